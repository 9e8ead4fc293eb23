"""The register of units: units that turned out to be one, and what merging them moved; head-counts by year; who is in charge"""

import sqlalchemy as sa
from alembic import op

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None


def _of(table, column, referred, *, nullable=True, primary_key=False):
    key = sa.ForeignKey(f'{referred}.id', name=f'fk_{table}_{column}_{referred}')
    return sa.Column(column, sa.Integer(), key, nullable=nullable, primary_key=primary_key)


def _count_heads_by_year():
    """What the register said is what it says for the campaigns that are not over."""
    op.create_table(
        'unit_head_count',
        sa.Column('id', sa.Integer(), primary_key=True),
        _of('unit_head_count', 'unit_id', 'unit', nullable=False),
        _of('unit_head_count', 'campaign_id', 'campaign', nullable=False),
        sa.Column('count', sa.Integer(), nullable=False),
        sa.Column('version', sa.Integer(), nullable=False),
        sa.UniqueConstraint('unit_id', 'campaign_id', name='uq_unit_head_count_unit_id_campaign_id'),
        sa.CheckConstraint('count >= 0', name=op.f('ck_unit_head_count_count_not_negative')),
    )
    op.execute(
        'INSERT INTO unit_head_count (unit_id, campaign_id, count, version)'
        ' SELECT unit.id, campaign.id, unit.head_count, 1 FROM unit'
        ' JOIN solicitation ON solicitation.unit_id = unit.id'
        " JOIN campaign ON campaign.id = solicitation.campaign_id AND campaign.status <> 'closed'"
        ' WHERE unit.head_count IS NOT NULL'
    )
    with op.batch_alter_table('unit') as unit:
        unit.drop_constraint(op.f('ck_unit_head_count_not_negative'), type_='check')
        unit.drop_column('head_count')


def upgrade():
    with op.batch_alter_table('unit') as unit:
        for column in ('merged_into_id', 'parent_id'):
            unit.add_column(sa.Column(column, sa.Integer()))
            unit.create_foreign_key(f'fk_unit_{column}_unit', 'unit', [column], ['id'])
    op.create_index('ix_unit_parent_id', 'unit', ['parent_id'])
    _count_heads_by_year()
    with op.batch_alter_table('unit_alias') as alias:
        alias.add_column(sa.Column('kind', sa.String(24), nullable=False, server_default='former'))
    with op.batch_alter_table('unit_alias') as alias:
        alias.alter_column('kind', server_default=None)
    op.create_table(
        'unit_merge',
        sa.Column('id', sa.Integer(), primary_key=True),
        _of('unit_merge', 'survivor_id', 'unit', nullable=False),
        _of('unit_merge', 'loser_id', 'unit', nullable=False),
        sa.Column('steps', sa.JSON(), nullable=False),
        sa.Column('merged_at', sa.DateTime(timezone=True), nullable=False),
        _of('unit_merge', 'merged_by_id', 'user_account'),
        sa.Column('undone_at', sa.DateTime(timezone=True)),
        _of('unit_merge', 'undone_by_id', 'user_account'),
        sa.CheckConstraint('survivor_id <> loser_id', name=op.f('ck_unit_merge_two_units')),
    )
    op.create_index('ix_unit_merge_survivor_id', 'unit_merge', ['survivor_id'])
    op.create_index('ix_unit_merge_loser_id', 'unit_merge', ['loser_id'])
    op.create_table(
        'units_apart',
        _of('units_apart', 'one_id', 'unit', nullable=False, primary_key=True),
        _of('units_apart', 'other_id', 'unit', nullable=False, primary_key=True),
        sa.Column('noted_at', sa.DateTime(timezone=True), nullable=False),
        _of('units_apart', 'noted_by_id', 'user_account'),
        sa.CheckConstraint('one_id < other_id', name=op.f('ck_units_apart_in_order')),
    )


def downgrade():
    op.drop_table('units_apart')
    op.drop_table('unit_merge')
    with op.batch_alter_table('unit_alias') as alias:
        alias.drop_column('kind')
    op.drop_index('ix_unit_parent_id', table_name='unit')
    with op.batch_alter_table('unit') as unit:
        for column in ('merged_into_id', 'parent_id'):
            unit.drop_constraint(f'fk_unit_{column}_unit', type_='foreignkey')
            unit.drop_column(column)
        unit.add_column(sa.Column('head_count', sa.Integer()))
        unit.create_check_constraint(op.f('ck_unit_head_count_not_negative'), 'head_count >= 0')
    op.execute(
        'UPDATE unit SET head_count = (SELECT max(count) FROM unit_head_count'
        ' WHERE unit_head_count.unit_id = unit.id)'
    )
    op.drop_table('unit_head_count')
