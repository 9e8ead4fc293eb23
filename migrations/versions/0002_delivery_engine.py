"""What the delivery engine keeps: receipts, rates, rules, to-dos, robots, open statement lines"""

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table('sending_rate',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('channel', sa.Enum('email', 'sms', 'wecom', name='channel', native_enum=False, length=24), nullable=False),
    sa.Column('domain', sa.String(length=190), nullable=False),
    sa.Column('per_minute', sa.Integer(), nullable=True),
    sa.Column('tokens', sa.Double(), nullable=False),
    sa.Column('tokens_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint('per_minute > 0', name=op.f('ck_sending_rate_positive')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sending_rate')),
    sa.UniqueConstraint('channel', 'domain', name=op.f('uq_sending_rate_channel_domain'))
    )
    op.create_table('reminder_rule',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('campaign_id', sa.Integer(), nullable=False),
    sa.Column('kind', sa.Enum('lagging_sector', 'silent', 'pledge_overdue', 'gift_received', 'bounced', name='rulekind', native_enum=False, length=24), nullable=False),
    sa.Column('is_on', sa.Boolean(), nullable=False),
    sa.Column('settings', sa.JSON(), nullable=False),
    sa.Column('template_id', sa.Integer(), nullable=True),
    sa.Column('author_id', sa.Integer(), nullable=True),
    sa.Column('tried_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_run_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_result', sa.String(length=200), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['author_id'], ['user_account.id'], name=op.f('fk_reminder_rule_author_id_user_account')),
    sa.ForeignKeyConstraint(['campaign_id'], ['campaign.id'], name=op.f('fk_reminder_rule_campaign_id_campaign')),
    sa.ForeignKeyConstraint(['template_id'], ['template.id'], name=op.f('fk_reminder_rule_template_id_template')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_reminder_rule')),
    sa.UniqueConstraint('campaign_id', 'kind', name=op.f('uq_reminder_rule_campaign_id_kind'))
    )
    op.create_table('wecom_robot',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(length=60), nullable=False),
    sa.Column('key', sa.String(length=80), nullable=False),
    sa.Column('campaign_id', sa.Integer(), nullable=True),
    sa.Column('sector_id', sa.Integer(), nullable=True),
    sa.Column('is_on', sa.Boolean(), nullable=False),
    sa.Column('tokens', sa.Double(), nullable=False),
    sa.Column('tokens_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['campaign_id'], ['campaign.id'], name=op.f('fk_wecom_robot_campaign_id_campaign')),
    sa.ForeignKeyConstraint(['sector_id'], ['sector.id'], name=op.f('fk_wecom_robot_sector_id_sector')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_wecom_robot')),
    sa.UniqueConstraint('name', name=op.f('uq_wecom_robot_name')),
    sqlite_autoincrement=True
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
    op.create_table('todo',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('solicitation_id', sa.Integer(), nullable=False),
    sa.Column('contact_id', sa.Integer(), nullable=True),
    sa.Column('kind', sa.Enum('find_contact', 'call', 'leader', 'president', name='todokind', native_enum=False, length=24), nullable=False),
    sa.Column('status', sa.Enum('open', 'done', 'dropped', name='todostatus', native_enum=False, length=24), nullable=False),
    sa.Column('owner_id', sa.Integer(), nullable=True),
    sa.Column('due_on', sa.Date(), nullable=False),
    sa.Column('reason', sa.String(length=200), nullable=False),
    sa.Column('proposal_key', sa.String(length=80), nullable=True),
    sa.Column('outcome', sa.Enum('settled', 'no_answer', name='todooutcome', native_enum=False, length=24), nullable=True),
    sa.Column('note', sa.String(length=500), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('settled_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('settled_by_id', sa.Integer(), nullable=True),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.CheckConstraint("(status = 'done') = (outcome IS NOT NULL)", name=op.f('ck_todo_done_has_outcome')),
    sa.CheckConstraint("(status = 'open') = (settled_at IS NULL)", name=op.f('ck_todo_settled_has_moment')),
    sa.ForeignKeyConstraint(['contact_id'], ['contact.id'], name=op.f('fk_todo_contact_id_contact')),
    sa.ForeignKeyConstraint(['owner_id'], ['user_account.id'], name=op.f('fk_todo_owner_id_user_account')),
    sa.ForeignKeyConstraint(['settled_by_id'], ['user_account.id'], name=op.f('fk_todo_settled_by_id_user_account')),
    sa.ForeignKeyConstraint(['solicitation_id'], ['solicitation.id'], name=op.f('fk_todo_solicitation_id_solicitation')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_todo')),
    sa.UniqueConstraint('proposal_key', name=op.f('uq_todo_proposal_key'))
    )
    with op.batch_alter_table('todo', schema=None) as batch_op:
        batch_op.create_index('ix_todo_owner_id_status', ['owner_id', 'status'], unique=False)
        batch_op.create_index(batch_op.f('ix_todo_solicitation_id'), ['solicitation_id'], unique=False)
        batch_op.create_index('uq_todo_open_solicitation_id_kind', ['solicitation_id', 'kind'], unique=True, sqlite_where=sa.text("status = 'open'"), postgresql_where=sa.text("status = 'open'"))

    op.create_table('delivery_receipt',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('key', sa.String(length=120), nullable=False),
    sa.Column('message_id', sa.Integer(), nullable=False),
    sa.Column('resend_no', sa.Integer(), nullable=False),
    sa.Column('kind', sa.Enum('delivered', 'bounced', name='receiptkind', native_enum=False, length=24), nullable=False),
    sa.Column('cause', sa.Enum('no_such_address', 'mailbox_full', 'policy', 'given_up', 'other', name='bouncecause', native_enum=False, length=24), nullable=True),
    sa.Column('detail', sa.String(length=200), nullable=False),
    sa.Column('received_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['message_id'], ['message.id'], name=op.f('fk_delivery_receipt_message_id_message')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_delivery_receipt')),
    sa.UniqueConstraint('key', name=op.f('uq_delivery_receipt_key'))
    )
    with op.batch_alter_table('delivery_receipt', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_delivery_receipt_message_id'), ['message_id'], unique=False)

    op.create_table('early_receipt',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('provider_id', sa.String(length=120), nullable=False),
    sa.Column('address_hash', sa.String(length=64), nullable=False),
    sa.Column('kind', sa.Enum('delivered', 'bounced', name='receiptkind', native_enum=False, length=24), nullable=False),
    sa.Column('detail', sa.String(length=200), nullable=False),
    sa.Column('received_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_early_receipt')),
    sa.UniqueConstraint('provider_id', 'kind', name=op.f('uq_early_receipt_provider_id_kind'))
    )
    with op.batch_alter_table('early_receipt', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_early_receipt_received_at'), ['received_at'], unique=False)

    op.create_table('verified_address',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('channel', sa.Enum('email', 'sms', 'wecom', name='channel', native_enum=False, length=24), nullable=False),
    sa.Column('address_hash', sa.String(length=64), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_verified_address')),
    sa.UniqueConstraint('channel', 'address_hash', name=op.f('uq_verified_address_channel_address_hash'))
    )
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

    with op.batch_alter_table('contact', schema=None) as batch_op:
        batch_op.add_column(sa.Column('preferred_channel', sa.Enum('email', 'sms', 'wecom', name='channel', native_enum=False, length=24), nullable=True))

    with op.batch_alter_table('message', schema=None) as batch_op:
        batch_op.add_column(sa.Column('domain', sa.String(length=190), nullable=False, server_default=sa.text("''")))
        batch_op.add_column(sa.Column('segments', sa.Integer(), nullable=False, server_default=sa.text("'1'")))
        batch_op.create_index('ix_message_channel_sent_at', ['channel', 'sent_at'], unique=False)
        batch_op.drop_index('ix_message_status_next_at')
        batch_op.create_index('ix_message_status_next_at_id', ['status', 'next_at', 'id'], unique=False)
        batch_op.add_column(sa.Column('provider_template', sa.String(length=40), nullable=False, server_default=sa.text("''")))
        batch_op.add_column(sa.Column('variables', sa.JSON(), nullable=False, server_default=sa.text("'[]'")))
        batch_op.add_column(sa.Column('inquiries', sa.Integer(), nullable=False, server_default=sa.text("'0'")))
        batch_op.add_column(sa.Column('fallback_of_id', sa.Integer(), nullable=True))
        batch_op.create_index(batch_op.f('ix_message_provider_id'), ['provider_id'], unique=False)
        batch_op.create_unique_constraint(batch_op.f('uq_message_fallback_of_id'), ['fallback_of_id'])
        batch_op.create_foreign_key(batch_op.f('fk_message_fallback_of_id_message'), 'message', ['fallback_of_id'], ['id'])

    with op.batch_alter_table('send_policy', schema=None) as batch_op:
        batch_op.add_column(sa.Column('sms_daily_budget', sa.Integer(), nullable=False, server_default=sa.text("'0'")))
        batch_op.add_column(sa.Column('sms_price_fen', sa.Integer(), nullable=False, server_default=sa.text("'5'")))
        batch_op.add_column(sa.Column('instance_id', sa.String(length=36), nullable=False, server_default=sa.text("''")))
        batch_op.add_column(sa.Column('epoch', sa.BigInteger(), nullable=False, server_default=sa.text("'0'")))

    with op.batch_alter_table('template_version', schema=None) as batch_op:
        batch_op.add_column(sa.Column('provider_template', sa.String(length=40), nullable=False, server_default=sa.text("''")))

    with op.batch_alter_table('wave', schema=None) as batch_op:
        batch_op.add_column(sa.Column('purpose', sa.Enum('reminder', 'correction', 'thanks', 'invitation', 'digest', 'test', 'account', name='purpose', native_enum=False, length=24), nullable=False, server_default=sa.text("'reminder'")))
        batch_op.add_column(sa.Column('correction_of_id', sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column('proposal_key', sa.String(length=80), nullable=True))
        batch_op.add_column(sa.Column('fallback_version_id', sa.Integer(), nullable=True))
        batch_op.create_index(batch_op.f('ix_wave_correction_of_id'), ['correction_of_id'], unique=False)
        batch_op.create_unique_constraint(batch_op.f('uq_wave_proposal_key'), ['proposal_key'])
        batch_op.create_foreign_key(batch_op.f('fk_wave_correction_of_id_wave'), 'wave', ['correction_of_id'], ['id'])
        batch_op.create_foreign_key(batch_op.f('fk_wave_fallback_version_id_template_version'), 'template_version', ['fallback_version_id'], ['id'])

    with op.batch_alter_table('wave_member', schema=None) as batch_op:
        batch_op.add_column(sa.Column('channel', sa.Enum('email', 'sms', 'wecom', name='channel', native_enum=False, length=24), nullable=True))
        batch_op.add_column(sa.Column('fallback_hash', sa.String(length=64), nullable=False, server_default=sa.text("''")))

    # Rates fail closed: an installation that sends already goes on at a pace that providers bear.
    rates = sa.table(
        "sending_rate",
        sa.column("channel"), sa.column("domain"), sa.column("per_minute"), sa.column("tokens"),
    )
    policies = op.get_bind().scalar(sa.text("SELECT count(*) FROM send_policy"))
    if policies:
        op.execute("UPDATE send_policy SET sms_daily_budget = 500")
        op.bulk_insert(rates, [
            {"channel": channel, "domain": "", "per_minute": per_minute, "tokens": 0}
            for channel, per_minute in (("email", 600), ("sms", 60), ("wecom", 20))
        ])


def downgrade():
    with op.batch_alter_table('wave_member', schema=None) as batch_op:
        batch_op.drop_column('fallback_hash')
        batch_op.drop_column('channel')

    with op.batch_alter_table('wave', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('fk_wave_fallback_version_id_template_version'), type_='foreignkey')
        batch_op.drop_constraint(batch_op.f('fk_wave_correction_of_id_wave'), type_='foreignkey')
        batch_op.drop_constraint(batch_op.f('uq_wave_proposal_key'), type_='unique')
        batch_op.drop_index(batch_op.f('ix_wave_correction_of_id'))
        batch_op.drop_column('fallback_version_id')
        batch_op.drop_column('proposal_key')
        batch_op.drop_column('correction_of_id')
        batch_op.drop_column('purpose')

    with op.batch_alter_table('template_version', schema=None) as batch_op:
        batch_op.drop_column('provider_template')

    with op.batch_alter_table('send_policy', schema=None) as batch_op:
        batch_op.drop_column('epoch')
        batch_op.drop_column('instance_id')
        batch_op.drop_column('sms_price_fen')
        batch_op.drop_column('sms_daily_budget')

    with op.batch_alter_table('message', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('fk_message_fallback_of_id_message'), type_='foreignkey')
        batch_op.drop_constraint(batch_op.f('uq_message_fallback_of_id'), type_='unique')
        batch_op.drop_index(batch_op.f('ix_message_provider_id'))
        batch_op.drop_column('fallback_of_id')
        batch_op.drop_column('inquiries')
        batch_op.drop_index('ix_message_status_next_at_id')
        batch_op.create_index('ix_message_status_next_at', ['status', 'next_at'], unique=False)
        batch_op.drop_index('ix_message_channel_sent_at')
        batch_op.drop_column('segments')
        batch_op.drop_column('variables')
        batch_op.drop_column('provider_template')
        batch_op.drop_column('domain')

    with op.batch_alter_table('contact', schema=None) as batch_op:
        batch_op.drop_column('preferred_channel')

    with op.batch_alter_table('line_candidate', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_line_candidate_solicitation_id'))

    op.drop_table('line_candidate')
    with op.batch_alter_table('early_receipt', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_early_receipt_received_at'))

    op.drop_table('early_receipt')
    with op.batch_alter_table('delivery_receipt', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_delivery_receipt_message_id'))

    op.drop_table('delivery_receipt')
    op.drop_table('verified_address')
    with op.batch_alter_table('todo', schema=None) as batch_op:
        batch_op.drop_index('uq_todo_open_solicitation_id_kind', sqlite_where=sa.text("status = 'open'"), postgresql_where=sa.text("status = 'open'"))
        batch_op.drop_index(batch_op.f('ix_todo_solicitation_id'))
        batch_op.drop_index('ix_todo_owner_id_status')

    op.drop_table('todo')
    op.drop_table('statement_line')
    op.drop_table('wecom_robot')
    op.drop_table('reminder_rule')
    op.drop_table('sending_rate')
