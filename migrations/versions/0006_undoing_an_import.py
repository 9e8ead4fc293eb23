"""Undoing an import: what each batch did to each row, and who took it back"""

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None

STANDING = sa.text('undone_at IS NULL')


def upgrade():
    with op.batch_alter_table('import_batch') as batch:
        batch.add_column(sa.Column('undone_at', sa.DateTime(timezone=True)))
        batch.add_column(sa.Column('undone_by_id', sa.Integer(), sa.ForeignKey('user_account.id', name='fk_import_batch_undone_by_id_user_account')))
        batch.drop_constraint('uq_import_batch_kind_campaign_id_sha256', type_='unique')
    op.create_index(
        'uq_import_batch_standing',
        'import_batch',
        ['kind', 'campaign_id', 'sha256'],
        unique=True,
        sqlite_where=STANDING,
        postgresql_where=STANDING,
    )
    op.create_table(
        'import_change',
        sa.Column('id', sa.Integer(), primary_key=True),
        sa.Column('batch_id', sa.Integer(), sa.ForeignKey('import_batch.id', name='fk_import_change_batch_id_import_batch'), nullable=False),
        sa.Column('table_name', sa.String(40), nullable=False),
        sa.Column('row_id', sa.Integer(), nullable=False),
        sa.Column('old', sa.JSON()),
        sa.Column('new', sa.JSON(), nullable=False),
    )
    op.create_index('ix_import_change_batch_id', 'import_change', ['batch_id'])


def downgrade():
    """An undone batch and the one that took its place cannot both stay: the undone one goes, and
    the gifts that it brought are no longer known to be from a file."""
    undone = 'SELECT id FROM import_batch WHERE undone_at IS NOT NULL'
    op.execute(f'UPDATE gift SET import_batch_id = NULL WHERE import_batch_id IN ({undone})')
    op.drop_table('import_change')
    op.execute('DELETE FROM import_batch WHERE undone_at IS NOT NULL')
    op.drop_index('uq_import_batch_standing', 'import_batch')
    with op.batch_alter_table('import_batch') as batch:
        batch.create_unique_constraint('uq_import_batch_kind_campaign_id_sha256', ['kind', 'campaign_id', 'sha256'])
        batch.drop_column('undone_by_id')
        batch.drop_column('undone_at')
