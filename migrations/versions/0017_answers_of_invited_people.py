"""Answers of invited people: when they came, who comes instead, and to which time"""

import sqlalchemy as sa
from alembic import op

revision = '0017'
down_revision = '0016'
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table('meeting') as meeting:
        meeting.add_column(sa.Column('moved_sequence', sa.Integer(), nullable=False, server_default='0'))
    with op.batch_alter_table('attendee') as attendee:
        attendee.add_column(sa.Column('delegate_name', sa.String(60), nullable=False, server_default=''))
        attendee.add_column(sa.Column('answered_at', sa.DateTime(timezone=True)))


def downgrade():
    """Who sends somebody else comes."""
    op.execute("UPDATE attendee SET partstat = 'accepted' WHERE partstat = 'delegated'")
    with op.batch_alter_table('attendee') as attendee:
        attendee.drop_column('answered_at')
        attendee.drop_column('delegate_name')
    with op.batch_alter_table('meeting') as meeting:
        meeting.drop_column('moved_sequence')
