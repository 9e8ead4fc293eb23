"""Copies of a whole database, as a backup makes them and a restore puts them back."""

from typing import Any

import sqlalchemy as sa

from outreach.db import db


class Copy:
    """Every row as it is now. What is put back is exactly that, whatever has happened since."""

    def __init__(self) -> None:
        db.session.rollback()
        self._rows: dict[sa.Table, list[dict[str, Any]]] = {}
        for table in db.metadata.sorted_tables:
            rows = [dict(row) for row in db.session.execute(sa.select(table)).mappings()]
            if rows:
                self._rows[table] = rows
        db.session.rollback()

    def put_back(self) -> None:
        clear()
        for table, rows in self._rows.items():
            db.session.execute(sa.insert(table), rows)
        db.session.commit()


def clear() -> None:
    db.session.rollback()
    db.session.expunge_all()
    for table in reversed(db.metadata.sorted_tables):
        db.session.execute(sa.delete(table))
    db.session.commit()
