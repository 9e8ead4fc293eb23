"""Gifts that were entered together and are held against one figure, and what a gift is for"""

import sqlalchemy as sa
from alembic import op

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        'gift_group',
        sa.Column('id', sa.Integer(), primary_key=True),
        sa.Column('campaign_id', sa.Integer(), sa.ForeignKey('campaign.id', name='fk_gift_group_campaign_id_campaign'), nullable=False),
        sa.Column('kind', sa.String(24), nullable=False),
        sa.Column('key', sa.String(40), nullable=False),
        sa.Column('stated_count', sa.Integer(), nullable=False),
        sa.Column('stated_fen', sa.BigInteger(), nullable=False),
        sa.Column('recorded_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('recorded_by_id', sa.Integer(), sa.ForeignKey('user_account.id', name='fk_gift_group_recorded_by_id_user_account')),
        sa.CheckConstraint('stated_fen > 0 AND stated_count > 0', name='ck_gift_group_stated_positive'),
        sa.UniqueConstraint('campaign_id', 'key', name='uq_gift_group_campaign_id_key'),
    )
    with op.batch_alter_table('gift') as gift:
        gift.add_column(sa.Column('designation', sa.String(120), nullable=False, server_default=''))
        gift.add_column(sa.Column('group_id', sa.Integer(), sa.ForeignKey('gift_group.id', name='fk_gift_group_id_gift_group')))
        gift.create_index('ix_gift_group_id', ['group_id'])


def downgrade():
    """The gifts stay; that they belong together is not known any more."""
    with op.batch_alter_table('gift') as gift:
        gift.drop_index('ix_gift_group_id')
        gift.drop_constraint('fk_gift_group_id_gift_group', type_='foreignkey')
        gift.drop_column('group_id')
        gift.drop_column('designation')
    op.drop_table('gift_group')
