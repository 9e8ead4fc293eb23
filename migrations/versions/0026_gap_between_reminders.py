"""Days from a reminder about a unit to the next one"""

import sqlalchemy as sa
from alembic import op

revision = '0026'
down_revision = '0025'
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table('send_policy') as policy:
        policy.add_column(sa.Column('unit_gap_days', sa.Integer(), nullable=False, server_default='2'))
        policy.create_check_constraint('ck_send_policy_gap', 'unit_gap_days >= 0')
    with op.batch_alter_table('send_policy') as policy:
        policy.alter_column('unit_gap_days', server_default=None)


def downgrade():
    with op.batch_alter_table('send_policy') as policy:
        policy.drop_constraint('ck_send_policy_gap', type_='check')
        policy.drop_column('unit_gap_days')
