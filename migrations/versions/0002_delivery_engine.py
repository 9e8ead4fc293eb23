"""What the delivery engine keeps: receipts, rates, the mark of the installation, open lines"""

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table('sending_rate',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('channel', sa.Enum('email', 'sms', name='channel', native_enum=False, length=24), nullable=False),
    sa.Column('domain', sa.String(length=190), nullable=False),
    sa.Column('per_minute', sa.Integer(), nullable=True),
    sa.Column('tokens', sa.Double(), nullable=False),
    sa.Column('tokens_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint('per_minute > 0', name=op.f('ck_sending_rate_positive')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sending_rate')),
    sa.UniqueConstraint('channel', 'domain', name=op.f('uq_sending_rate_channel_domain'))
    )
    op.create_table('statement_line',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('campaign_id', sa.Integer(), nullable=False),
    sa.Column('line_key', sa.String(length=80), nullable=False),
    sa.Column('payer', sa.String(length=120), nullable=False),
    sa.Column('amount_fen', sa.BigInteger(), nullable=False),
    sa.Column('received_on', sa.Date(), nullable=False),
    sa.Column('reference', sa.String(length=80), nullable=False),
    sa.Column('note', sa.String(length=200), nullable=False),
    sa.Column('status', sa.Enum('open', 'claimed', 'set_aside', name='linestatus', native_enum=False, length=24), nullable=False),
    sa.Column('gift_id', sa.Integer(), nullable=True),
    sa.Column('settled_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('settled_by_id', sa.Integer(), nullable=True),
    sa.CheckConstraint("(status = 'open') = (settled_at IS NULL)", name=op.f('ck_statement_line_settled_has_moment')),
    sa.CheckConstraint('amount_fen > 0', name=op.f('ck_statement_line_amount_positive')),
    sa.ForeignKeyConstraint(['campaign_id'], ['campaign.id'], name=op.f('fk_statement_line_campaign_id_campaign')),
    sa.ForeignKeyConstraint(['gift_id'], ['gift.id'], name=op.f('fk_statement_line_gift_id_gift')),
    sa.ForeignKeyConstraint(['settled_by_id'], ['user_account.id'], name=op.f('fk_statement_line_settled_by_id_user_account')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_statement_line')),
    sa.UniqueConstraint('campaign_id', 'line_key', name=op.f('uq_statement_line_campaign_id_line_key')),
    sa.UniqueConstraint('gift_id', name=op.f('uq_statement_line_gift_id'))
    )
    op.create_table('delivery_receipt',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('key', sa.String(length=120), nullable=False),
    sa.Column('message_id', sa.Integer(), nullable=False),
    sa.Column('resend_no', sa.Integer(), nullable=False),
    sa.Column('kind', sa.Enum('delivered', 'bounced', name='receiptkind', native_enum=False, length=24), nullable=False),
    sa.Column('detail', sa.String(length=200), nullable=False),
    sa.Column('received_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['message_id'], ['message.id'], name=op.f('fk_delivery_receipt_message_id_message')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_delivery_receipt')),
    sa.UniqueConstraint('key', name=op.f('uq_delivery_receipt_key'))
    )
    with op.batch_alter_table('delivery_receipt', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_delivery_receipt_message_id'), ['message_id'], unique=False)

    op.create_table('line_candidate',
    sa.Column('line_id', sa.Integer(), nullable=False),
    sa.Column('solicitation_id', sa.Integer(), nullable=False),
    sa.Column('because', sa.String(length=120), nullable=False),
    sa.ForeignKeyConstraint(['line_id'], ['statement_line.id'], name=op.f('fk_line_candidate_line_id_statement_line')),
    sa.ForeignKeyConstraint(['solicitation_id'], ['solicitation.id'], name=op.f('fk_line_candidate_solicitation_id_solicitation')),
    sa.PrimaryKeyConstraint('line_id', 'solicitation_id', name=op.f('pk_line_candidate'))
    )
    with op.batch_alter_table('line_candidate', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_line_candidate_solicitation_id'), ['solicitation_id'], unique=False)

    with op.batch_alter_table('message', schema=None) as batch_op:
        batch_op.add_column(sa.Column('domain', sa.String(length=190), nullable=False, server_default=sa.text("''")))
        batch_op.add_column(sa.Column('segments', sa.Integer(), nullable=False, server_default=sa.text("'1'")))
        batch_op.create_index('ix_message_channel_sent_at', ['channel', 'sent_at'], unique=False)

    with op.batch_alter_table('send_policy', schema=None) as batch_op:
        batch_op.add_column(sa.Column('sms_daily_budget', sa.Integer(), nullable=False, server_default=sa.text("'0'")))
        batch_op.add_column(sa.Column('instance_id', sa.String(length=36), nullable=False, server_default=sa.text("''")))
        batch_op.add_column(sa.Column('epoch', sa.BigInteger(), nullable=False, server_default=sa.text("'0'")))

    # Rates fail closed: an installation that sends already goes on at a pace that providers bear.
    if op.get_bind().scalar(sa.text("SELECT count(*) FROM send_policy")):
        op.execute("UPDATE send_policy SET sms_daily_budget = 500")
        rates = sa.table(
            "sending_rate",
            sa.column("channel"), sa.column("domain"), sa.column("per_minute"), sa.column("tokens"),
        )
        op.bulk_insert(rates, [
            {"channel": "email", "domain": "", "per_minute": 600, "tokens": 0},
            {"channel": "sms", "domain": "", "per_minute": 60, "tokens": 0},
        ])


def downgrade():
    with op.batch_alter_table('send_policy', schema=None) as batch_op:
        batch_op.drop_column('epoch')
        batch_op.drop_column('instance_id')
        batch_op.drop_column('sms_daily_budget')

    with op.batch_alter_table('message', schema=None) as batch_op:
        batch_op.drop_index('ix_message_channel_sent_at')
        batch_op.drop_column('segments')
        batch_op.drop_column('domain')

    with op.batch_alter_table('line_candidate', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_line_candidate_solicitation_id'))

    op.drop_table('line_candidate')
    with op.batch_alter_table('delivery_receipt', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_delivery_receipt_message_id'))

    op.drop_table('delivery_receipt')
    op.drop_table('statement_line')
    op.drop_table('sending_rate')
