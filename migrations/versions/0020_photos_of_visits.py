"""Photos of visits"""

import sqlalchemy as sa
from alembic import op

revision = '0020'
down_revision = '0019'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        'visit_photo',
        sa.Column('id', sa.Integer(), primary_key=True),
        sa.Column('visit_id', sa.Integer(), sa.ForeignKey('visit.id', name='fk_visit_photo_visit_id_visit'), nullable=False),
        sa.Column('name', sa.String(40), nullable=False),
        sa.Column('byte_count', sa.Integer(), nullable=False),
        sa.Column('sha256', sa.String(64), nullable=False),
        sa.Column('width', sa.Integer(), nullable=False),
        sa.Column('height', sa.Integer(), nullable=False),
        sa.Column('made_by_id', sa.Integer(), sa.ForeignKey('user_account.id', name='fk_visit_photo_made_by_id_user_account')),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint('name', name=op.f('uq_visit_photo_name')),
        sa.UniqueConstraint('visit_id', 'sha256', name=op.f('uq_visit_photo_visit_id_sha256')),
    )


def downgrade():
    op.drop_table('visit_photo')
