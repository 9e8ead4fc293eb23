"""Statements: files of which every payment is kept as a line"""

import sqlalchemy as sa
from alembic import op

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None

TEXTS = (('account_tail', 4), ('serial', 80), ('summary', 200))


def upgrade():
    op.create_table(
        'statement',
        sa.Column('id', sa.Integer(), primary_key=True),
        sa.Column('campaign_id', sa.Integer(), sa.ForeignKey('campaign.id', name='fk_statement_campaign_id_campaign'), nullable=False),
        sa.Column('file_name', sa.String(200), nullable=False),
        sa.Column('sha256', sa.String(64), nullable=False),
        sa.Column('source', sa.String(24), nullable=False),
        sa.Column('account_tail', sa.String(4), nullable=False),
        sa.Column('first_on', sa.Date()),
        sa.Column('last_on', sa.Date()),
        sa.Column('credit_count', sa.Integer(), nullable=False),
        sa.Column('credit_fen', sa.BigInteger(), nullable=False),
        sa.Column('known_count', sa.Integer(), nullable=False),
        sa.Column('known_fen', sa.BigInteger(), nullable=False),
        sa.Column('debit_count', sa.Integer(), nullable=False),
        sa.Column('debit_fen', sa.BigInteger(), nullable=False),
        sa.Column('imported_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('imported_by_id', sa.Integer(), sa.ForeignKey('user_account.id', name='fk_statement_imported_by_id_user_account')),
        sa.UniqueConstraint('campaign_id', 'sha256', name=op.f('uq_statement_campaign_id_sha256')),
        sa.CheckConstraint('first_on <= last_on', name=op.f('ck_statement_period_in_order')),
    )
    with op.batch_alter_table('statement_line') as line:
        line.add_column(sa.Column('statement_id', sa.Integer()))
        for name, length in TEXTS:
            line.add_column(sa.Column(name, sa.String(length), server_default='', nullable=False))
        line.add_column(sa.Column('refunded_fen', sa.BigInteger(), server_default='0', nullable=False))
        line.create_foreign_key('fk_statement_line_statement_id_statement', 'statement', ['statement_id'], ['id'])
        line.create_check_constraint(op.f('ck_statement_line_refund_within_amount'), 'refunded_fen BETWEEN 0 AND amount_fen')
        line.create_index('ix_statement_line_statement_id', ['statement_id'])
        line.create_index('ix_statement_line_campaign_id_status', ['campaign_id', 'status'])


def downgrade():
    with op.batch_alter_table('statement_line') as line:
        line.drop_index('ix_statement_line_campaign_id_status')
        line.drop_index('ix_statement_line_statement_id')
        line.drop_constraint(op.f('ck_statement_line_refund_within_amount'), type_='check')
        line.drop_constraint('fk_statement_line_statement_id_statement', type_='foreignkey')
        for name in ('refunded_fen', 'summary', 'serial', 'account_tail', 'statement_id'):
            line.drop_column(name)
    op.drop_table('statement')
