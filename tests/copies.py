"""Copies of a whole database, as a backup makes them and a restore puts them back."""

from typing import Any

import sqlalchemy as sa

from outreach.db import db
from tests import factories

_LAST_ID = {
    "sqlite": "SELECT seq FROM sqlite_sequence WHERE name = 'message'",
    "postgresql": "SELECT last_value FROM message_id_seq WHERE is_called",
}
_COUNT_FROM = {
    "sqlite": "UPDATE sqlite_sequence SET seq = :last WHERE name = 'message'",
    "postgresql": "SELECT setval('message_id_seq', greatest(:last, 1), :last > 0)",
}


class Copy:
    """Every row as it is now, and the last id that a message got. What is put back is exactly
    that, whatever has happened since."""

    def __init__(self) -> None:
        db.session.rollback()
        self._rows: dict[sa.Table, list[dict[str, Any]]] = {}
        for table in db.metadata.sorted_tables:
            rows = [dict(row) for row in db.session.execute(sa.select(table)).mappings()]
            if rows:
                self._rows[table] = rows
        self._last_id = db.session.scalar(sa.text(_LAST_ID[db.engine.dialect.name])) or 0
        db.session.rollback()

    def put_back(self) -> None:
        clear()
        for table, rows in self._rows.items():
            db.session.execute(sa.insert(table), rows)
        db.session.execute(sa.text(_COUNT_FROM[db.engine.dialect.name]), {"last": self._last_id})
        db.session.commit()


def clear() -> None:
    db.session.rollback()
    db.session.expunge_all()
    with factories.without_seals():
        for table in reversed(db.metadata.sorted_tables):
            db.session.execute(sa.delete(table))
    db.session.commit()
