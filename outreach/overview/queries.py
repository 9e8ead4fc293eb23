"""What the pages that look across capabilities show."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import contains_eager

from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, Solicitation
from outreach.campaigns.queries import in_scope
from outreach.db import db
from outreach.gifts.standings import Standing
from outreach.units.models import Contact, Unit, UnitAlias

MOST_FOUND = 20


@dataclass(frozen=True)
class Comparison:
    """A sector's units against last year, each unit in exactly one group."""

    new: list[Standing]
    up: list[Standing]
    down: list[Standing]
    same: list[Standing]
    not_yet: list[Standing]
    """Gave last year and nothing so far this year."""
    neither: list[Standing]


def compare(standings: Sequence[Standing]) -> Comparison:
    groups = Comparison([], [], [], [], [], [])
    for standing in standings:
        now, before = standing.given_fen, standing.previous_fen
        if now > 0 and before <= 0:
            groups.new.append(standing)
        elif now <= 0:
            (groups.not_yet if before > 0 else groups.neither).append(standing)
        elif now == before:
            groups.same.append(standing)
        else:
            (groups.up if now > before else groups.down).append(standing)
    return groups


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
