"""Reads of merges."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from outreach.db import db
from outreach.gifts.queries import matches_unit
from outreach.merging.models import UnitMerge
from outreach.units.models import Unit

MOST_MERGES = 50
MOST_FOUND = 20


def list_merges() -> Sequence[UnitMerge]:
    """The last merges, newest first, those that were undone too."""
    return db.session.scalars(
        sa.select(UnitMerge)
        .options(
            joinedload(UnitMerge.survivor),
            joinedload(UnitMerge.loser),
            joinedload(UnitMerge.merged_by),
        )
        .order_by(UnitMerge.id.desc())
        .limit(MOST_MERGES)
    ).all()


def list_others(unit: Unit, text: str) -> Sequence[Unit]:
    """Other units, in this campaign or not, whose name or initials hold the text."""
    if not text:
        return []
    is_other = sa.and_(Unit.id != unit.id, Unit.merged_into_id.is_(None))
    return db.session.scalars(
        sa.select(Unit)
        .where(is_other, matches_unit(text))
        .order_by(sa.func.length(Unit.name), Unit.name)
        .limit(MOST_FOUND)
    ).all()


def find_survivor(unit_id: int) -> Unit | None:
    """The unit that this one, which was merged, is now; None when it stands by itself."""
    unit = db.session.get(Unit, unit_id)
    if unit is None or unit.merged_into_id is None:
        return None
    while unit.merged_into_id is not None:
        unit = db.session.get_one(Unit, unit.merged_into_id)
    return unit
