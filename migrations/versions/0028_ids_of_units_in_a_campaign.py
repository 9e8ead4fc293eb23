"""A unit of a campaign that was merged away leaves its id to nobody"""

from alembic import op

revision = '0028'
down_revision = '0027'
branch_labels = None
depends_on = None


def upgrade():
    _renew_solicitations(sqlite_autoincrement=True)


def downgrade():
    _renew_solicitations()


def _renew_solicitations(**options):
    """SQLite says how ids are given when a table is made; PostgreSQL has a sequence for it."""
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table('solicitation', recreate='always', table_kwargs=options):
            pass
