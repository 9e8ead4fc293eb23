"""Replies to text messages: each is a to-do of its own, with room for its words"""

import sqlalchemy as sa
from alembic import op

revision = '0027'
down_revision = '0026'
branch_labels = None
depends_on = None

NAME = 'uq_todo_open_solicitation_id_kind'


def _index(condition):
    op.create_index(
        NAME, 'todo', ['solicitation_id', 'kind'], unique=True,
        sqlite_where=sa.text(condition), postgresql_where=sa.text(condition),
    )


def upgrade():
    op.drop_index(NAME, table_name='todo')
    with op.batch_alter_table('todo') as todo:
        todo.alter_column('reason', type_=sa.String(500), existing_type=sa.String(200))
    _index("status = 'open' AND kind <> 'reply'")


def downgrade():
    """Replies are lost: the version before knows no such to-do."""
    op.execute("DELETE FROM todo WHERE kind = 'reply'")
    op.execute("UPDATE todo SET reason = substr(reason, 1, 200)")
    op.drop_index(NAME, table_name='todo')
    with op.batch_alter_table('todo') as todo:
        todo.alter_column('reason', type_=sa.String(200), existing_type=sa.String(500))
    _index("status = 'open'")
