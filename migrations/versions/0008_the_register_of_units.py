"""The register of units: units that turned out to be one, and what merging them moved"""

import sqlalchemy as sa
from alembic import op

revision = '0008'
down_revision = '0010'
branch_labels = None
depends_on = None


def _of(table, column, referred, *, nullable=True, primary_key=False):
    key = sa.ForeignKey(f'{referred}.id', name=f'fk_{table}_{column}_{referred}')
    return sa.Column(column, sa.Integer(), key, nullable=nullable, primary_key=primary_key)


def upgrade():
    with op.batch_alter_table('unit') as unit:
        unit.add_column(sa.Column('merged_into_id', sa.Integer()))
        unit.create_foreign_key('fk_unit_merged_into_id_unit', 'unit', ['merged_into_id'], ['id'])
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
        sa.CheckConstraint('survivor_id <> loser_id', name='ck_unit_merge_two_units'),
    )
    op.create_index('ix_unit_merge_survivor_id', 'unit_merge', ['survivor_id'])
    op.create_index('ix_unit_merge_loser_id', 'unit_merge', ['loser_id'])
    op.create_table(
        'units_apart',
        _of('units_apart', 'one_id', 'unit', nullable=False, primary_key=True),
        _of('units_apart', 'other_id', 'unit', nullable=False, primary_key=True),
        sa.Column('noted_at', sa.DateTime(timezone=True), nullable=False),
        _of('units_apart', 'noted_by_id', 'user_account'),
        sa.CheckConstraint('one_id < other_id', name='ck_units_apart_in_order'),
    )


def downgrade():
    op.drop_table('units_apart')
    op.drop_table('unit_merge')
    with op.batch_alter_table('unit_alias') as alias:
        alias.drop_column('kind')
    with op.batch_alter_table('unit') as unit:
        unit.drop_constraint('fk_unit_merged_into_id_unit', type_='foreignkey')
        unit.drop_column('merged_into_id')
