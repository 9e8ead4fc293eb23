"""Two readers of a unit that was made of two"""

from alembic import op

revision = '0025'
down_revision = '0024'
branch_labels = None
depends_on = None

OF_UNIT = 'uq_wave_member_wave_id_solicitation_id'
OF_READER = 'uq_wave_member_wave_id_solicitation_id_contact_id'


def upgrade():
    with op.batch_alter_table('wave_member') as member:
        member.drop_constraint(OF_UNIT, type_='unique')
        member.create_unique_constraint(OF_READER, ['wave_id', 'solicitation_id', 'contact_id'])


def downgrade():
    with op.batch_alter_table('wave_member') as member:
        member.drop_constraint(OF_READER, type_='unique')
        member.create_unique_constraint(OF_UNIT, ['wave_id', 'solicitation_id'])
