"""Statements: files of which every payment is kept as a line"""

import sqlalchemy as sa
from alembic import op

revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None

LINES = sa.table('statement_line', sa.column('id'), sa.column('status'))
CANDIDATES = sa.table(
    'line_candidate',
    sa.column('line_id'),
    sa.column('solicitation_id'),
    sa.column('because'),
    sa.column('reasons', sa.JSON()),
)
TEXTS = (('account_tail', 4), ('serial', 80), ('summary', 200), ('set_aside_because', 200))


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
        line.add_column(sa.Column('refunds', sa.JSON(), server_default='{}', nullable=False))
        line.add_column(sa.Column('reopened_count', sa.Integer(), server_default='0', nullable=False))
        line.add_column(sa.Column('is_clear', sa.Boolean(), server_default=sa.false(), nullable=False))
        line.add_column(sa.Column('likely_gift_id', sa.Integer()))
        line.create_foreign_key('fk_statement_line_likely_gift_id_gift', 'gift', ['likely_gift_id'], ['id'])
        line.create_foreign_key('fk_statement_line_statement_id_statement', 'statement', ['statement_id'], ['id'])
        line.create_check_constraint(op.f('ck_statement_line_refund_within_amount'), 'refunded_fen BETWEEN 0 AND amount_fen')
        line.create_index('ix_statement_line_statement_id', ['statement_id'])
        line.create_index('ix_statement_line_campaign_id_status', ['campaign_id', 'status'])
    _keep_candidates_of_open_lines()
    with op.batch_alter_table('line_candidate') as candidate:
        candidate.add_column(sa.Column('score', sa.Integer(), server_default='0', nullable=False))
        candidate.add_column(sa.Column('reasons', sa.JSON(), server_default='[]', nullable=False))
    _write_reasons()
    with op.batch_alter_table('line_candidate') as candidate:
        candidate.drop_column('because')
    op.create_table(
        'payer_alias',
        sa.Column('id', sa.Integer(), primary_key=True),
        sa.Column('payer_key', sa.String(120), nullable=False),
        sa.Column('payer', sa.String(120), nullable=False),
        sa.Column('unit_id', sa.Integer(), sa.ForeignKey('unit.id', name='fk_payer_alias_unit_id_unit'), nullable=False),
        sa.Column('line_id', sa.Integer(), sa.ForeignKey('statement_line.id', name='fk_payer_alias_line_id_statement_line')),
        sa.Column('learned_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('learned_by_id', sa.Integer(), sa.ForeignKey('user_account.id', name='fk_payer_alias_learned_by_id_user_account')),
        sa.UniqueConstraint('payer_key', 'unit_id', name=op.f('uq_payer_alias_payer_key_unit_id')),
    )
    op.create_index('ix_payer_alias_unit_id', 'payer_alias', ['unit_id'])
    op.create_index('ix_payer_alias_line_id', 'payer_alias', ['line_id'])
    op.create_table(
        'column_choice',
        sa.Column('id', sa.Integer(), primary_key=True),
        sa.Column('fingerprint', sa.String(64), nullable=False),
        sa.Column('fields', sa.JSON(), nullable=False),
        sa.Column('file_name', sa.String(200), nullable=False),
        sa.Column('chosen_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('chosen_by_id', sa.Integer(), sa.ForeignKey('user_account.id', name='fk_column_choice_chosen_by_id_user_account')),
        sa.UniqueConstraint('fingerprint', name=op.f('uq_column_choice_fingerprint')),
    )


def _keep_candidates_of_open_lines():
    """Only those are asked for."""
    settled = sa.select(LINES.c.id).where(LINES.c.status != 'open')
    op.execute(sa.delete(CANDIDATES).where(CANDIDATES.c.line_id.in_(settled)))


def _write_reasons():
    for line_id, solicitation_id, because in op.get_bind().execute(
        sa.select(CANDIDATES.c.line_id, CANDIDATES.c.solicitation_id, CANDIDATES.c.because)
    ).all():
        op.execute(
            sa.update(CANDIDATES)
            .where(CANDIDATES.c.line_id == line_id, CANDIDATES.c.solicitation_id == solicitation_id)
            .values(reasons=[['noted', because]])
        )


def downgrade():
    op.drop_table('column_choice')
    op.drop_table('payer_alias')
    with op.batch_alter_table('line_candidate') as candidate:
        candidate.add_column(sa.Column('because', sa.String(120), server_default='', nullable=False))
        candidate.drop_column('reasons')
        candidate.drop_column('score')
    with op.batch_alter_table('statement_line') as line:
        line.drop_index('ix_statement_line_campaign_id_status')
        line.drop_index('ix_statement_line_statement_id')
        line.drop_constraint(op.f('ck_statement_line_refund_within_amount'), type_='check')
        line.drop_constraint('fk_statement_line_statement_id_statement', type_='foreignkey')
        line.drop_constraint('fk_statement_line_likely_gift_id_gift', type_='foreignkey')
        for name in ('likely_gift_id', 'is_clear', 'reopened_count', 'refunds', 'refunded_fen', 'set_aside_because', 'summary', 'serial', 'account_tail', 'statement_id'):
            line.drop_column(name)
    op.drop_table('statement')
