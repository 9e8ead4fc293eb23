"""Gifts are final: the database itself refuses to change what one is, or to remove it"""

from alembic import op

revision = '0024'
down_revision = '0023'
branch_labels = None
depends_on = None

FINAL = (
    'campaign_id, amount_fen, kind, donor_count, basis, channel, received_on, reference, note,'
    ' designation, reversal_of_id, line_key, import_batch_id, group_id, recorded_at, recorded_by_id'
)
"""All but the unit and the sector that it is credited to, and the donor's consent."""
REFUSAL = 'a gift is final: record a reversal'


def upgrade():
    if op.get_bind().dialect.name == 'sqlite':
        for name, what in (('change', f'UPDATE OF {FINAL}'), ('removal', 'DELETE')):
            op.execute(
                f"CREATE TRIGGER gift_refuses_{name} BEFORE {what} ON gift"
                f" BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
            )
        return
    op.execute(
        'CREATE FUNCTION refuse_change_of_gift() RETURNS trigger LANGUAGE plpgsql AS'
        f" $$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$"
    )
    for name, what in (('change', f'UPDATE OF {FINAL}'), ('removal', 'DELETE')):
        op.execute(
            f'CREATE TRIGGER gift_refuses_{name} BEFORE {what} ON gift'
            ' FOR EACH ROW EXECUTE FUNCTION refuse_change_of_gift()'
        )


def downgrade():
    on = '' if op.get_bind().dialect.name == 'sqlite' else ' ON gift'
    for name in ('change', 'removal'):
        op.execute(f'DROP TRIGGER gift_refuses_{name}{on}')
    if on:
        op.execute('DROP FUNCTION refuse_change_of_gift()')
