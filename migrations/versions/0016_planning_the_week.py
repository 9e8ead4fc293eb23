"""Planning the week: when people and units have time, visits that go together, what else may be tried"""

import sqlalchemy as sa
from alembic import op

revision = '0016'
down_revision = '0015'
branch_labels = None
depends_on = None


def _of_user(table):
    key = sa.ForeignKey('user_account.id', name=f'fk_{table}_user_id_user_account')
    return sa.Column('user_id', sa.Integer(), key, nullable=False)


def upgrade():
    op.create_table(
        'staff_room',
        _of_user('staff_room'),
        sa.Column('weekday', sa.Integer(), nullable=False),
        sa.Column('visits', sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint('user_id', 'weekday', name='pk_staff_room'),
        sa.CheckConstraint('weekday BETWEEN 0 AND 6', name=op.f('ck_staff_room_weekday')),
        sa.CheckConstraint('visits BETWEEN 0 AND 20', name=op.f('ck_staff_room_visits')),
    )
    op.create_table(
        'absence',
        sa.Column('id', sa.Integer(), primary_key=True),
        _of_user('absence'),
        sa.Column('kind', sa.String(24), nullable=False),
        sa.Column('first_on', sa.Date(), nullable=False),
        sa.Column('last_on', sa.Date(), nullable=False),
        sa.Column('note', sa.String(60), nullable=False),
        sa.CheckConstraint('last_on >= first_on', name=op.f('ck_absence_period')),
    )
    op.create_index('ix_absence_user_id', 'absence', ['user_id'])
    with op.batch_alter_table('unit') as unit:
        unit.add_column(sa.Column('visit_days', sa.String(7), nullable=False, server_default=''))
    with op.batch_alter_table('campaign') as campaign:
        campaign.add_column(sa.Column('return_workdays', sa.Integer(), nullable=False, server_default='5'))
        campaign.create_check_constraint(op.f('ck_campaign_return_workdays'), 'return_workdays BETWEEN 1 AND 60')
    with op.batch_alter_table('visit') as visit:
        visit.add_column(sa.Column('alternative', sa.String(24)))
        visit.add_column(sa.Column('parent_id', sa.Integer()))
        visit.create_foreign_key('fk_visit_parent_id_visit', 'visit', ['parent_id'], ['id'])
        visit.create_index('ix_visit_parent_id', ['parent_id'])
    for table, column in (('unit', 'visit_days'), ('campaign', 'return_workdays')):
        with op.batch_alter_table(table) as changed:
            changed.alter_column(column, server_default=None)


def downgrade():
    with op.batch_alter_table('visit') as visit:
        visit.drop_index('ix_visit_parent_id')
        visit.drop_constraint('fk_visit_parent_id_visit', type_='foreignkey')
        visit.drop_column('parent_id')
        visit.drop_column('alternative')
    with op.batch_alter_table('campaign') as campaign:
        campaign.drop_constraint(op.f('ck_campaign_return_workdays'), type_='check')
        campaign.drop_column('return_workdays')
    with op.batch_alter_table('unit') as unit:
        unit.drop_column('visit_days')
    op.drop_table('absence')
    op.drop_table('staff_room')
