"""What a restore must not repeat: ids of messages"""

from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade():
    _renew_messages(sqlite_autoincrement=True)


def downgrade():
    _renew_messages()


def _renew_messages(**options):
    """SQLite says how ids are given when a table is made; PostgreSQL has a sequence for it."""
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table('message', recreate='always', table_kwargs=options):
            pass
