"""Who paused a wave: what the secretary-general stopped, staff do not set going again"""

import sqlalchemy as sa
from alembic import op

revision = '0029'
down_revision = '0028'
branch_labels = None
depends_on = None

KEY = 'fk_wave_paused_by_id_user_account'


def upgrade():
    with op.batch_alter_table('wave') as wave:
        wave.add_column(sa.Column('paused_by_id', sa.Integer(), nullable=True))
        wave.create_foreign_key(KEY, 'user_account', ['paused_by_id'], ['id'])


def downgrade():
    with op.batch_alter_table('wave') as wave:
        wave.drop_constraint(KEY, type_='foreignkey')
        wave.drop_column('paused_by_id')
