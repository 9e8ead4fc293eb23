"""Donation receipts: requested, issued under a number, reversed"""

import sqlalchemy as sa
from alembic import op

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table('donation_receipt',
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('gift_id', sa.Integer(), nullable=False),
        sa.Column('payer', sa.String(120), nullable=False),
        sa.Column('payer_code', sa.String(18), nullable=False),
        sa.Column('amount_fen', sa.BigInteger(), nullable=False),
        sa.Column('remark', sa.String(200), nullable=False),
        sa.Column('status', sa.String(24), nullable=False),
        sa.Column('requested_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('requested_by_id', sa.Integer()),
        sa.Column('code', sa.String(20)),
        sa.Column('number', sa.String(20)),
        sa.Column('check_code', sa.String(20), nullable=False),
        sa.Column('issued_on', sa.Date()),
        sa.Column('issued_by_id', sa.Integer()),
        sa.Column('ended_at', sa.DateTime(timezone=True)),
        sa.Column('ended_by_id', sa.Integer()),
        sa.Column('reason', sa.String(200), nullable=False),
        sa.Column('reversal_number', sa.String(20), nullable=False),
        sa.CheckConstraint('amount_fen > 0', name=op.f('ck_donation_receipt_amount_positive')),
        sa.CheckConstraint("(status IN ('issued', 'reversed')) = (number IS NOT NULL)",
                           name=op.f('ck_donation_receipt_issued_has_number')),
        sa.CheckConstraint('(number IS NULL) = (code IS NULL) AND (number IS NULL) = (issued_on IS NULL)',
                           name=op.f('ck_donation_receipt_number_has_code_and_day')),
        sa.ForeignKeyConstraint(['gift_id'], ['gift.id'], name=op.f('fk_donation_receipt_gift_id_gift')),
        sa.ForeignKeyConstraint(['requested_by_id'], ['user_account.id'],
                                name=op.f('fk_donation_receipt_requested_by_id_user_account')),
        sa.ForeignKeyConstraint(['issued_by_id'], ['user_account.id'],
                                name=op.f('fk_donation_receipt_issued_by_id_user_account')),
        sa.ForeignKeyConstraint(['ended_by_id'], ['user_account.id'],
                                name=op.f('fk_donation_receipt_ended_by_id_user_account')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_donation_receipt')),
        sa.UniqueConstraint('code', 'number', name=op.f('uq_donation_receipt_code_number')),
    )
    op.create_index('ix_donation_receipt_gift_id', 'donation_receipt', ['gift_id'])


def downgrade():
    op.drop_table('donation_receipt')
