"""What a restore must not repeat: ids of messages, digests, fallbacks"""

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade():
    _renew_messages(sqlite_autoincrement=True)
    with op.batch_alter_table('send_policy', schema=None) as batch_op:
        batch_op.add_column(sa.Column('restored_at', sa.DateTime(timezone=True), nullable=True))

    # Of a message that was cancelled because it had arrived, when that became known.
    message = sa.table("message", sa.column("status"), sa.column("sent_at"), sa.column("status_at"),
                       sa.column("facts", sa.JSON()))
    has_arrived = message.c.facts["arrived"].as_boolean()
    op.execute(sa.update(message).where(message.c.status == "cancelled", has_arrived)
               .values(sent_at=message.c.status_at))


def downgrade():
    with op.batch_alter_table('send_policy', schema=None) as batch_op:
        batch_op.drop_column('restored_at')

    _renew_messages()


def _renew_messages(**options):
    """SQLite says how ids are given when a table is made; PostgreSQL has a sequence for it."""
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table('message', recreate='always', table_kwargs=options):
            pass
