"""Finding a unit among very many: indexes of what names begin with, and of the pairs of characters in them"""

from alembic import op

revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None

SEARCHED = (('unit', 'name_key'), ('unit', 'initials'), ('unit', 'short_name'), ('unit_alias', 'name_key'))


def upgrade():
    if op.get_bind().dialect.name != 'postgresql':
        return
    # See docs/decisions/0016. No extension, and no privilege but that of making tables.
    op.execute(
        "CREATE FUNCTION name_pairs(name text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT"
        " PARALLEL SAFE RETURN (SELECT coalesce(array_agg(DISTINCT substr(name, place, 2)), '{}')"
        " FROM generate_series(1, length(name) - 1) AS place)"
    )
    for table, column in SEARCHED:
        op.execute(f'CREATE INDEX ix_search_{table}_{column} ON {table} ({column} COLLATE "C")')
        op.execute(f'CREATE INDEX ix_search_{table}_{column}_pairs ON {table} USING gin (name_pairs({column}))')
    op.execute('CREATE INDEX ix_search_unit_credit_code ON unit (credit_code COLLATE "C")')
    op.execute('CREATE INDEX ix_search_contact_last_digits ON contact (right(mobile, 4))')


def downgrade():
    if op.get_bind().dialect.name != 'postgresql':
        return
    for table, column in SEARCHED:
        op.execute(f'DROP INDEX ix_search_{table}_{column}')
        op.execute(f'DROP INDEX ix_search_{table}_{column}_pairs')
    op.execute('DROP INDEX ix_search_unit_credit_code')
    op.execute('DROP INDEX ix_search_contact_last_digits')
    op.execute('DROP FUNCTION name_pairs')
