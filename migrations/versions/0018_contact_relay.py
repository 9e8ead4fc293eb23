"""Contact relay: what a unit has confirmed about itself for a campaign"""

import sqlalchemy as sa
from alembic import op

from outreach.db import UtcDateTime

revision = '0018'
down_revision = '0017'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        'relay_answer',
        sa.Column('solicitation_id', sa.Integer(), nullable=False),
        sa.Column('answered_at', UtcDateTime(), nullable=False),
        sa.Column('by_id', sa.Integer()),
        sa.Column('has_successor', sa.Boolean(), nullable=False),
        sa.Column('payroll_month', sa.Integer()),
        sa.Column('note', sa.String(500), nullable=False),
        sa.CheckConstraint('payroll_month BETWEEN 1 AND 12', name=op.f('ck_relay_answer_payroll_month')),
        sa.ForeignKeyConstraint(['solicitation_id'], ['solicitation.id'], name=op.f('fk_relay_answer_solicitation_id_solicitation')),
        sa.ForeignKeyConstraint(['by_id'], ['user_account.id'], name=op.f('fk_relay_answer_by_id_user_account')),
        sa.PrimaryKeyConstraint('solicitation_id', name=op.f('pk_relay_answer')),
    )


def downgrade():
    """Answers are lost; what they said about people and numbers stays with these. Letters stay as
    some that asked for nothing."""
    op.execute("DELETE FROM todo WHERE kind = 'confirm'")
    op.execute("DELETE FROM reminder_rule WHERE kind = 'relay'")
    for table in ('message', 'wave'):
        op.execute(f"UPDATE {table} SET purpose = 'thanks' WHERE purpose = 'relay'")
    op.drop_table('relay_answer')
