"""The order in which a person makes the visits of a day"""

import sqlalchemy as sa
from alembic import op

revision = '0022'
down_revision = '0021'
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table('visit') as visit:
        visit.add_column(sa.Column('position', sa.Integer()))


def downgrade():
    with op.batch_alter_table('visit') as visit:
        visit.drop_column('position')
