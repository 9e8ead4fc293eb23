"""Sending at speed: indexes of the rows that need them, and letters kept out of the row"""

import sqlalchemy as sa
from alembic import op

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None

UNIQUE = ('occurrence', 'fallback_of_id')
LETTER = ('body_text', 'body_html', 'calendar')


def _some(name, columns, where, *, unique=False):
    condition = sa.text(where)
    op.create_index(
        name, 'message', columns, unique=unique, postgresql_where=condition, sqlite_where=condition
    )


def _message():
    # SQLite makes the table anew, and does not say of itself how it gives ids.
    return op.batch_alter_table('message', table_kwargs={'sqlite_autoincrement': True})


def upgrade():
    with _message() as message:
        for column in UNIQUE:
            message.drop_constraint(f'uq_message_{column}', type_='unique')
        message.drop_index('ix_message_status_next_at_id')
        message.drop_index('ix_message_channel_sent_at')
        message.drop_index('ix_message_provider_id')
    _some('ix_message_open', ['status', 'next_at', 'id'], "status IN ('queued', 'sending', 'unknown')")
    _some('ix_message_sms_sent_at', ['sent_at'], "channel = 'sms'")
    for column in UNIQUE:
        _some(f'uq_message_{column}', [column], f'{column} IS NOT NULL', unique=True)
    if op.get_bind().dialect.name == 'postgresql':
        op.execute('ALTER TABLE message SET (fillfactor = 50, toast_tuple_target = 1024)')
        for column in LETTER:
            op.execute(f'ALTER TABLE message ALTER COLUMN {column} SET STORAGE EXTERNAL')


def downgrade():
    if op.get_bind().dialect.name == 'postgresql':
        op.execute('ALTER TABLE message RESET (fillfactor, toast_tuple_target)')
        for column in LETTER:
            op.execute(f'ALTER TABLE message ALTER COLUMN {column} SET STORAGE EXTENDED')
    for name in ('ix_message_open', 'ix_message_sms_sent_at', *(f'uq_message_{column}' for column in UNIQUE)):
        op.drop_index(name, table_name='message')
    with _message() as message:
        for column in UNIQUE:
            message.create_unique_constraint(f'uq_message_{column}', [column])
        message.create_index('ix_message_status_next_at_id', ['status', 'next_at', 'id'])
        message.create_index('ix_message_channel_sent_at', ['channel', 'sent_at'])
        message.create_index('ix_message_provider_id', ['provider_id'])
