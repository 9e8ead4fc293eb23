"""Units move between the sectors of a campaign; ids of sectors never come back"""

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade():
    _renew_sectors(sqlite_autoincrement=True)
    op.create_table('sector_move',
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('solicitation_id', sa.Integer(), nullable=False),
        sa.Column('at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('by_id', sa.Integer(), nullable=True),
        sa.Column('from_name', sa.String(length=60), nullable=False),
        sa.Column('to_name', sa.String(length=60), nullable=False),
        sa.Column('reason', sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(['by_id'], ['user_account.id'], name=op.f('fk_sector_move_by_id_user_account')),
        sa.ForeignKeyConstraint(['solicitation_id'], ['solicitation.id'],
                                name=op.f('fk_sector_move_solicitation_id_solicitation')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_sector_move')),
    )
    op.create_index('ix_sector_move_solicitation_id', 'sector_move', ['solicitation_id'])


def downgrade():
    op.drop_table('sector_move')
    _renew_sectors()


def _renew_sectors(**options):
    """SQLite says how ids are given when a table is made; PostgreSQL has a sequence for it."""
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table('sector', recreate='always', table_kwargs=options):
            pass
