"""To-dos that are settled on a phone, perhaps without a network"""

import sqlalchemy as sa
from alembic import op

revision = '0021'
down_revision = '0020'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('todo', sa.Column('client_key', sa.String(36)))
    op.create_index('uq_todo_client_key', 'todo', ['client_key'], unique=True)


def downgrade():
    op.drop_index('uq_todo_client_key', 'todo')
    with op.batch_alter_table('todo') as todo:
        todo.drop_column('client_key')
