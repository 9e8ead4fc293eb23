"""What the pages that look across capabilities show."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from outreach.access import OFFICE
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, Solicitation
from outreach.campaigns.queries import in_scope
from outreach.db import db
from outreach.gifts.comparison import Movement
from outreach.gifts.queries import or_zero, sum_by_unit
from outreach.gifts.standings import Standing
from outreach.units.models import Unit
from outreach.units.search import Found, tiers

MOST_FOUND = 20
MOST_LOOKED_AT = 200
"""Matches of one kind that are put in order."""


def compare(standings: Sequence[Standing]) -> dict[Movement, list[Standing]]:
    """Units against last year, each in exactly one group."""
    groups: dict[Movement, list[Standing]] = {movement: [] for movement in Movement}
    for standing in standings:
        groups[Movement.between(standing.previous_fen, standing.given_fen)].append(standing)
    return groups


@dataclass(frozen=True)
class Branch:
    """A unit of which another is in charge, and what it gave in the campaign, in fen."""

    unit: Unit
    given_fen: int


def list_branches(unit: Unit, campaign: Campaign, viewer: User) -> list[Branch]:
    """The units directly under this one that the viewer may see in the campaign."""
    given = sum_by_unit(campaign.id).subquery()
    rows = db.session.execute(
        sa.select(Unit, or_zero(given.c.amount))
        .join(Solicitation, Solicitation.unit_id == Unit.id)
        .outerjoin(given, given.c.unit_id == Unit.id)
        .where(
            Unit.parent_id == unit.id,
            Solicitation.campaign_id == campaign.id,
            in_scope(viewer, Solicitation.sector_id),
        )
        .order_by(Unit.name)
    )
    return [Branch(branch, amount) for branch, amount in rows]


def is_shown(unit_id: int | None, campaign: Campaign, viewer: User) -> bool:
    """Whether the viewer may see a page of the unit in the campaign."""
    found = sa.select(Solicitation.id).where(
        Solicitation.unit_id == unit_id,
        Solicitation.campaign_id == campaign.id,
        in_scope(viewer, Solicitation.sector_id),
    )
    return db.session.scalar(found) is not None


def search_units(campaign: Campaign, viewer: User, text: str) -> list[Solicitation]:
    """Units of the campaign that the viewer may see, the best matches first: see `units.search`.
    Only the office finds units by a telephone number."""
    ids: list[int] = []
    for selects in tiers(text.strip(), with_phones=viewer.role in OFFICE):
        ids += [id_ for id_ in _find_places(campaign, viewer, selects) if id_ not in ids]
        if len(ids) >= MOST_FOUND:
            break
    rows = db.session.scalars(
        sa.select(Solicitation)
        .where(Solicitation.id.in_(ids[:MOST_FOUND]))
        .options(joinedload(Solicitation.unit), joinedload(Solicitation.sector))
    )
    return sorted(rows, key=lambda row: ids.index(row.id))


def _find_places(campaign: Campaign, viewer: User, selects: Sequence[Found]) -> list[int]:
    """Ids of solicitations. Of many that hold a text some are taken, so that it is fast."""
    parts = []
    for select in selects:
        [unit_id, shown_by] = select.selected_columns
        found = (
            select.with_only_columns(Solicitation.id, shown_by)
            .join(Solicitation, Solicitation.unit_id == unit_id)
            .where(
                Solicitation.campaign_id == campaign.id,
                in_scope(viewer, Solicitation.sector_id),
            )
            .limit(MOST_LOOKED_AT)
            .subquery()
        )
        parts.append(sa.select(found.c.id, found.c.shown_by))
    union = sa.union_all(*parts).subquery()
    length = sa.func.length(union.c.shown_by)
    ranked = sa.select(union.c.id).order_by(length, union.c.shown_by, union.c.id)
    return list(dict.fromkeys(db.session.scalars(ranked)))
