"""Takes down each row that merging changes, removes or adds, so that it can be undone exactly.

A step is JSON: the table, the row's key, and its columns `before` and `after`. A row that was
removed has no `after`, one that was added no `before`.
"""

import enum
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from typing import Any

import sqlalchemy as sa
from flask_babel import lazy_gettext as _

from outreach.db import UtcDateTime, db, run
from outreach.errors import Refused
from outreach.gifts.services import Credit, credit_gift

Row = Mapping[str, Any]
Step = dict[str, Any]
OWNERS = {"unit_id", "solicitation_id", "sector_id", "merged_into_id"}
"""Columns that say what a row hangs on. Another value than merging gave stops an undo; any other
column that was changed since keeps what people gave it."""


class Journal:
    """Changes rows and writes down how; `version` is raised, so that open forms notice."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def change(self, table: sa.Table, row: Row, values: Row) -> None:
        before = {name: row[name] for name in values}
        if before == dict(values):
            return
        _update(table, _key(table, row), before, values)
        self._note(table, row, before, values)

    def remove(self, table: sa.Table, row: Row) -> None:
        run(sa.delete(table).where(*_is_row(table, _key(table, row))))
        self._note(table, row, row, None)

    def add(self, table: sa.Table, values: Row) -> Row:
        row = run(sa.insert(table).values(**values).returning(*table.c)).mappings().one()
        self._note(table, row, None, row)
        return row

    def _note(self, table: sa.Table, row: Row, before: Row | None, after: Row | None) -> None:
        self.steps.append(
            {
                "table": table.name,
                "key": _key(table, row),
                "before": _plain(before),
                "after": _plain(after),
            }
        )


def undo(steps: list[Step]) -> None:
    """Sets back what the steps did, the last one first. What was added since stays; what was
    removed since stays removed. Refused when a row was moved on since."""
    ids: dict[tuple[str, int], int] = {}
    for step in reversed(steps):
        table = db.metadata.tables[step["table"]]
        before = _typed(table, step["before"])
        for column in table.c if before else ():
            for key in column.foreign_keys:
                other = key.column.table.name, before.get(column.name)
                if other in ids:
                    before[column.name] = ids[other]
        if step["after"] is None:
            _restore(table, before, ids)
        elif step["before"] is None:
            _take_away(table, step["key"])
        else:
            _set_back(table, step["key"], before, _typed(table, step["after"]))


def rows_of(column: sa.Column[Any], value: int) -> list[Row]:
    table = column.table
    query = sa.select(table).where(column == value).order_by(*table.primary_key.columns)
    return list(run(query).mappings())


def find_row(table: sa.Table, key: Row) -> Row | None:
    return run(sa.select(table).where(*_is_row(table, key))).mappings().first()


def references(table: sa.Table) -> Iterator[sa.Column[Any]]:
    """Every column, anywhere, that refers to the table."""
    for other in db.metadata.sorted_tables:
        for key in other.foreign_keys:
            if key.column.table is table:
                yield key.parent


def _restore(table: sa.Table, row: dict[str, Any], ids: dict[tuple[str, int], int]) -> None:
    """Inserts a row again; under a new id when somebody else has got the old one since."""
    is_taken = "id" in row and find_row(table, {"id": row["id"]}) is not None
    old_id = row.pop("id") if is_taken else None
    made = run(sa.insert(table).values(**row).returning(*table.primary_key.columns)).one()
    if old_id is not None:
        ids[table.name, old_id] = made.id


def _take_away(table: sa.Table, key: Row) -> None:
    """Not when something that came since hangs on it."""
    row = find_row(table, key)
    if row is None:
        return
    in_use = any(rows_of(column, row["id"]) for column in references(table))
    if table.name == "solicitation":
        gift = db.metadata.tables["gift"]
        given = sa.select(gift.c.id).where(
            gift.c.unit_id == row["unit_id"], gift.c.campaign_id == row["campaign_id"]
        )
        in_use = in_use or run(given.limit(1)).first() is not None
    if not in_use:
        run(sa.delete(table).where(*_is_row(table, key)))


def _set_back(table: sa.Table, key: Row, before: Row, after: Row) -> None:
    now = {name: after.get(name, value) for name, value in key.items()}
    row = find_row(table, now)
    if row is None:
        return
    changed = {name for name in after if row[name] != after[name]}
    if changed & OWNERS:
        raise Refused(_("合并之后有记录又改了归属，无法撤销这次合并。请逐项改正。"))
    if not changed:
        _update(table, now, after, before)


def _update(table: sa.Table, key: Row, before: Row, after: Row) -> None:
    if table.name == "gift":
        credit_gift(key["id"], before=Credit(**before), after=Credit(**after))
        return
    values = dict(after)
    if "version" in table.c:
        values["version"] = table.c.version + 1
    run(sa.update(table).where(*_is_row(table, key)).values(values))


def _is_row(table: sa.Table, key: Row) -> list[sa.ColumnElement[bool]]:
    return [table.c[name] == value for name, value in key.items()]


def _key(table: sa.Table, row: Row) -> dict[str, Any]:
    return {column.name: row[column.name] for column in table.primary_key.columns}


def _plain(row: Row | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {name: _plain_value(value) for name, value in row.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    return value.isoformat() if isinstance(value, date | time) else value


def _typed(table: sa.Table, row: Row | None) -> dict[str, Any]:
    return {name: _typed_value(table.c[name], value) for name, value in (row or {}).items()}


def _typed_value(column: sa.Column[Any], value: Any) -> Any:
    if value is None or isinstance(column.type, sa.JSON):
        return value
    kind: Any = datetime if isinstance(column.type, UtcDateTime) else column.type.python_type
    if issubclass(kind, date | datetime | time):
        return kind.fromisoformat(value)
    return kind(value) if issubclass(kind, enum.Enum) else value
