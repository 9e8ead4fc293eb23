"""The order in which a person makes the visits of a day; when on a day a unit receives visitors"""

import sqlalchemy as sa
from alembic import op

revision = '0022'
down_revision = '0021'
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table('visit') as visit:
        visit.add_column(sa.Column('position', sa.Integer()))
    with op.batch_alter_table('unit') as unit:
        unit.alter_column('visit_days', type_=sa.String(14), existing_type=sa.String(7))


def downgrade():
    """Half a day becomes a whole one where a unit is visited, and any half where a person is away."""
    op.execute("UPDATE absence SET kind = 'meeting' WHERE kind IN ('morning', 'afternoon')")
    op.execute("UPDATE unit SET visit_days = REPLACE(REPLACE(visit_days, 'a', ''), 'p', '')")
    with op.batch_alter_table('unit') as unit:
        unit.alter_column('visit_days', type_=sa.String(7), existing_type=sa.String(14))
    with op.batch_alter_table('visit') as visit:
        visit.drop_column('position')
