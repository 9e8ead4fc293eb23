"""The ledger: instalments, why a unit gives more or less, what was published, residuals"""

import sqlalchemy as sa
from alembic import op

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table('solicitation') as solicitation:
        solicitation.add_column(sa.Column('change_reason', sa.String(24)))
    op.create_table(
        'pledge_instalment',
        sa.Column('pledge_id', sa.Integer(), sa.ForeignKey('pledge.id', name='fk_pledge_instalment_pledge_id_pledge'), primary_key=True),
        sa.Column('due_on', sa.Date(), primary_key=True),
        sa.Column('amount_fen', sa.BigInteger(), nullable=False),
        sa.Column('owed_fen', sa.BigInteger(), nullable=False),
        sa.CheckConstraint('amount_fen > 0', name='ck_pledge_instalment_amount_positive'),
    )
    op.execute(
        'INSERT INTO pledge_instalment (pledge_id, due_on, amount_fen, owed_fen)'
        ' SELECT id, due_on, amount_fen, amount_fen FROM pledge'
    )
    with op.batch_alter_table('pledge') as pledge:
        pledge.drop_column('due_on')
    op.create_table(
        'stated_figure',
        sa.Column('id', sa.Integer(), primary_key=True),
        sa.Column('campaign_id', sa.Integer(), sa.ForeignKey('campaign.id', name='fk_stated_figure_campaign_id_campaign'), nullable=False),
        sa.Column('subject', sa.String(24), nullable=False),
        sa.Column('sector_id', sa.Integer(), sa.ForeignKey('sector.id', name='fk_stated_figure_sector_id_sector')),
        sa.Column('value', sa.BigInteger(), nullable=False),
        sa.Column('source', sa.String(120), nullable=False),
        sa.CheckConstraint("(subject = 'sector') = (sector_id IS NOT NULL)", name='ck_stated_figure_sector_is_named'),
    )
    op.create_index('ix_stated_figure_campaign_id', 'stated_figure', ['campaign_id'])
    op.create_table(
        'residual_note',
        sa.Column('campaign_id', sa.Integer(), sa.ForeignKey('campaign.id', name='fk_residual_note_campaign_id_campaign'), primary_key=True),
        sa.Column('residual', sa.String(24), primary_key=True),
        sa.Column('owner_id', sa.Integer(), sa.ForeignKey('user_account.id', name='fk_residual_note_owner_id_user_account'), nullable=False),
        sa.Column('note', sa.String(200), nullable=False),
        sa.Column('amount_fen', sa.BigInteger(), nullable=False),
        sa.Column('noted_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('noted_by_id', sa.Integer(), sa.ForeignKey('user_account.id', name='fk_residual_note_noted_by_id_user_account'), nullable=False),
    )


def downgrade():
    with op.batch_alter_table('pledge') as pledge:
        pledge.add_column(sa.Column('due_on', sa.Date()))
    op.execute(
        'UPDATE pledge SET due_on ='
        ' (SELECT max(due_on) FROM pledge_instalment WHERE pledge_id = pledge.id)'
    )
    with op.batch_alter_table('pledge') as pledge:
        pledge.alter_column('due_on', nullable=False)
    op.drop_table('pledge_instalment')
    op.drop_table('residual_note')
    op.drop_table('stated_figure')
    with op.batch_alter_table('solicitation') as solicitation:
        solicitation.drop_column('change_reason')
