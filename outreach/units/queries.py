"""Reads of units, their other names and their contacts."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import joinedload, selectinload

from outreach.db import db
from outreach.errors import NotFound
from outreach.units.models import ImportBatch, ImportKind, Unit, UnitAlias, UnitHeadCount
from outreach.units.naming import name_key

T = TypeVar("T")
SLICE = 5_000
"""Values in one IN list; SQLite takes at most 32,766 in a statement."""


def find_units(*, keys: Iterable[str] = (), credit_codes: Iterable[str] = ()) -> list[Unit]:
    """Units that have one of these name keys (own or alias) or codes; aliases and contacts too.
    A code that a unit went by before is among its aliases."""
    found: dict[int, Unit] = {}
    for some in slices(sorted(set(keys))):
        by_alias = sa.select(UnitAlias.unit_id).where(UnitAlias.name_key.in_(some))
        _load(found, sa.or_(Unit.name_key.in_(some), Unit.id.in_(by_alias)))
    for some in slices(sorted(set(credit_codes))):
        keys_ = [code.casefold() for code in some]
        by_alias = sa.select(UnitAlias.unit_id).where(UnitAlias.name_key.in_(keys_))
        _load(found, sa.or_(Unit.credit_code.in_(some), Unit.id.in_(by_alias)))
    return list(found.values())


def find_unit(name: str) -> Unit | None:
    """The one unit of that name; its former names and abbreviations count too."""
    found = find_units(keys=[name_key(name)])
    own = [unit for unit in found if unit.name_key == name_key(name)]
    candidates = own or found
    return candidates[0] if len(candidates) == 1 else None


def get_alias(alias_id: int) -> UnitAlias:
    alias = db.session.get(UnitAlias, alias_id)
    if alias is None:
        raise NotFound(_("没有这个别名，可能刚被删除。"))
    return alias


def find_head_count(unit_id: int, campaign_id: int) -> UnitHeadCount | None:
    return db.session.scalar(
        sa.select(UnitHeadCount).filter_by(unit_id=unit_id, campaign_id=campaign_id)
    )


def find_batch(kind: ImportKind, campaign_id: int, sha256: str) -> ImportBatch | None:
    return db.session.scalar(
        sa.select(ImportBatch).filter_by(
            kind=kind, campaign_id=campaign_id, sha256=sha256, undone_at=None
        )
    )


def get_batch(campaign_id: int, batch_id: int) -> ImportBatch:
    batch = db.session.scalar(
        sa.select(ImportBatch).filter_by(id=batch_id, campaign_id=campaign_id)
    )
    if batch is None:
        raise NotFound(_("没有这次导入。"))
    return batch


def select_batches(campaign_id: int, kind: ImportKind | None = None) -> sa.Select[ImportBatch]:
    """Files that were taken in, newest first, each with who did it; None is any kind."""
    query = (
        sa.select(ImportBatch)
        .where(ImportBatch.campaign_id == campaign_id)
        .options(joinedload(ImportBatch.created_by), joinedload(ImportBatch.undone_by))
        .order_by(ImportBatch.id.desc())
    )
    return query if kind is None else query.where(ImportBatch.kind == kind)


def slices(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), SLICE):
        yield values[start : start + SLICE]


def _load(found: dict[int, Unit], condition: sa.ColumnElement[bool]) -> None:
    query = sa.select(Unit).where(condition, Unit.merged_into_id.is_(None))
    for unit in db.session.scalars(
        query.options(selectinload(Unit.aliases), selectinload(Unit.contacts))
    ):
        found[unit.id] = unit
