"""Taking a statement back: what it changed; ids of lines never come back"""

import sqlalchemy as sa
from alembic import op

revision = '0014'
down_revision = '0013'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('statement', sa.Column('changed', sa.JSON(), server_default='{}', nullable=False))
    _renew_lines(sqlite_autoincrement=True)


def downgrade():
    _renew_lines()
    with op.batch_alter_table('statement') as statement:
        statement.drop_column('changed')


def _renew_lines(**options):
    """SQLite says how ids are given when a table is made; PostgreSQL has a sequence for it."""
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table('statement_line', recreate='always', table_kwargs=options):
            pass
