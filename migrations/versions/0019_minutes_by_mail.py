"""Minutes by mail: files that go with messages, and which minutes were sent"""

import sqlalchemy as sa
from alembic import op

from outreach.db import UtcDateTime

revision = '0019'
down_revision = '0018'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        'attachment',
        sa.Column('id', sa.Integer(), primary_key=True),
        sa.Column('name', sa.String(60), nullable=False),
        sa.Column('media_type', sa.String(100), nullable=False),
        sa.Column('content', sa.LargeBinary(), nullable=False),
        sa.Column('created_at', UtcDateTime(), nullable=False),
    )
    op.create_table(
        'message_attachment',
        sa.Column('message_id', sa.Integer(), sa.ForeignKey('message.id', name='fk_message_attachment_message_id_message'), primary_key=True),
        sa.Column('attachment_id', sa.Integer(), sa.ForeignKey('attachment.id', name='fk_message_attachment_attachment_id_attachment'), nullable=False),
    )
    op.create_index('ix_message_attachment_attachment_id', 'message_attachment', ['attachment_id'])
    with op.batch_alter_table('meeting') as meeting:
        meeting.add_column(sa.Column('circulated_at', UtcDateTime()))
        meeting.add_column(sa.Column('circulated_version', sa.String(16), nullable=False, server_default=''))


def downgrade():
    """Letters keep their text and lose their files."""
    op.execute("UPDATE message SET purpose = 'invitation' WHERE purpose = 'minutes'")
    with op.batch_alter_table('meeting') as meeting:
        meeting.drop_column('circulated_version')
        meeting.drop_column('circulated_at')
    op.drop_table('message_attachment')
    op.drop_table('attachment')
