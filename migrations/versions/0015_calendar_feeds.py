"""Calendars that people subscribe to"""

import sqlalchemy as sa
from alembic import op

revision = '0015'
down_revision = '0014'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        'calendar_feed',
        sa.Column('user_id', sa.Integer(), sa.ForeignKey('user_account.id', name='fk_calendar_feed_user_id_user_account'), primary_key=True, autoincrement=False),
        sa.Column('token_hash', sa.String(64), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint('token_hash', name=op.f('uq_calendar_feed_token_hash')),
    )


def downgrade():
    op.drop_table('calendar_feed')
