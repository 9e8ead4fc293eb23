"""People whose data was erased"""

import sqlalchemy as sa
from alembic import op

from outreach.db import UtcDateTime

revision = '0023'
down_revision = '0022'
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table('contact') as contact:
        contact.add_column(sa.Column('erased_at', UtcDateTime()))


def downgrade():
    with op.batch_alter_table('contact') as contact:
        contact.drop_column('erased_at')
