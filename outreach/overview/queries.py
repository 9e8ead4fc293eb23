"""What the pages that look across capabilities show."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import contains_eager

from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, Solicitation
from outreach.campaigns.queries import in_scope
from outreach.db import db
from outreach.gifts.comparison import Movement
from outreach.gifts.queries import or_zero, sum_by_unit
from outreach.gifts.standings import Standing
from outreach.units.models import Contact, Unit, UnitAlias

MOST_FOUND = 20


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
    """Units of the campaign whose name, former name or pinyin initials hold the text, or whose
    contact's phone ends in it (four digits or more)."""
    text = text.strip()
    if not text:
        return []
    matches = [
        Unit.name.contains(text, autoescape=True),
        Unit.short_name.contains(text, autoescape=True),
        Unit.initials.contains(text.lower(), autoescape=True),
        sa.exists().where(
            UnitAlias.unit_id == Unit.id, UnitAlias.name.contains(text, autoescape=True)
        ),
    ]
    if text.isdigit() and len(text) >= 4:
        matches.append(sa.exists().where(Contact.unit_id == Unit.id, Contact.mobile.endswith(text)))
    statement = (
        sa.select(Solicitation)
        .join(Solicitation.unit)
        .join(Solicitation.sector)
        .options(contains_eager(Solicitation.unit), contains_eager(Solicitation.sector))
        .where(
            Solicitation.campaign_id == campaign.id,
            in_scope(viewer, Solicitation.sector_id),
            sa.or_(*matches),
        )
        .order_by(sa.func.length(Unit.name), Unit.name)
        .limit(MOST_FOUND)
    )
    return list(db.session.scalars(statement))
