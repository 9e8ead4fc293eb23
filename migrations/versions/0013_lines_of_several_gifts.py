"""A payment that came in may be several gifts of the ledger"""

import sqlalchemy as sa
from alembic import op

revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None

MADE_HERE = """
    INSERT INTO line_gift (gift_id, line_id, is_made_here)
    SELECT gift.id, line.id,
           coalesce(gift.line_key, '') = line.line_key
           || CASE WHEN line.reopened_count > 0 THEN '~' || line.reopened_count ELSE '' END
    FROM statement_line AS line JOIN gift ON gift.id = line.gift_id
"""
LIKELY = """
    INSERT INTO likely_gift (line_id, gift_id)
    SELECT id, likely_gift_id FROM statement_line WHERE likely_gift_id IS NOT NULL
"""
BACK = """
    UPDATE statement_line SET gift_id = (SELECT min(gift_id) FROM line_gift WHERE line_id = statement_line.id),
    likely_gift_id = (SELECT min(gift_id) FROM likely_gift WHERE line_id = statement_line.id)
"""


def upgrade():
    op.create_table(
        'line_gift',
        sa.Column('gift_id', sa.Integer(), sa.ForeignKey('gift.id', name='fk_line_gift_gift_id_gift'), primary_key=True, autoincrement=False),
        sa.Column('line_id', sa.Integer(), sa.ForeignKey('statement_line.id', name='fk_line_gift_line_id_statement_line'), nullable=False),
        sa.Column('is_made_here', sa.Boolean(), nullable=False),
    )
    op.create_index('ix_line_gift_line_id', 'line_gift', ['line_id'])
    op.create_table(
        'likely_gift',
        sa.Column('line_id', sa.Integer(), sa.ForeignKey('statement_line.id', name='fk_likely_gift_line_id_statement_line'), primary_key=True),
        sa.Column('gift_id', sa.Integer(), sa.ForeignKey('gift.id', name='fk_likely_gift_gift_id_gift'), primary_key=True),
    )
    op.create_index('ix_likely_gift_gift_id', 'likely_gift', ['gift_id'])
    op.execute(MADE_HERE)
    op.execute(LIKELY)
    with op.batch_alter_table('statement_line') as line:
        for name in ('gift_id', 'likely_gift_id'):
            line.drop_constraint(f'fk_statement_line_{name}_gift', type_='foreignkey')
        line.drop_constraint('uq_statement_line_gift_id', type_='unique')
        line.drop_column('gift_id')
        line.drop_column('likely_gift_id')


def downgrade():
    """Of several gifts a line keeps the first."""
    with op.batch_alter_table('statement_line') as line:
        line.add_column(sa.Column('gift_id', sa.Integer()))
        line.add_column(sa.Column('likely_gift_id', sa.Integer()))
        line.create_unique_constraint('uq_statement_line_gift_id', ['gift_id'])
        for name in ('gift_id', 'likely_gift_id'):
            line.create_foreign_key(f'fk_statement_line_{name}_gift', 'gift', [name], ['id'])
    op.execute(BACK)
    op.drop_table('likely_gift')
    op.drop_table('line_gift')
