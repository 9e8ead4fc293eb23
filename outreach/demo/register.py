"""The demonstration's 593 units with their contacts."""

import random
from collections.abc import Sequence
from datetime import date

import sqlalchemy as sa

from outreach import clock
from outreach.campaigns.models import Campaign
from outreach.db import db
from outreach.demo import names
from outreach.demo.figures import SectorFigure
from outreach.gifts.models import Gift, GiftKind
from outreach.units.models import Contact, ContactRole, Unit, UnitHeadCount
from outreach.units.naming import initials

KNOWN_SINCE = date(2022, 1, 1)
SHARED_CONTACTS = 6
"""Pairs of units that one 联络员 serves: they must get one message, not two."""


def make_register(sectors: list[SectorFigure], chance: random.Random) -> dict[str, list[Unit]]:
    """Units by the name of their sector."""
    register: dict[str, list[Unit]] = {}
    taken: set[str] = set()
    for sector in sectors:
        if sector.kind is None:
            register[sector.name] = []
            continue
        fresh = [
            name
            for name in names.make_units(sector.name, sector.kind, sector.unit_count + len(taken))
            if name not in taken
        ][: sector.unit_count]
        taken.update(fresh)
        register[sector.name] = [_make_unit(name, sector, chance) for name in fresh]
    units = [unit for group in register.values() for unit in group]
    for number, unit in enumerate(units, start=1):
        unit.contacts = _make_contacts(number, chance)
    for unit, neighbour in zip(units[20::30][:SHARED_CONTACTS], units[21::30], strict=False):
        _share_contact(unit, neighbour)
    db.session.add_all(units)
    db.session.flush()
    return register


def _make_unit(name: str, sector: SectorFigure, chance: random.Random) -> Unit:
    short = name.removeprefix(names.CITY).removesuffix("有限公司")
    district = chance.choice(names.DISTRICTS)
    street = f"{chance.choice(names.STREETS)}{chance.randint(1, 320)}号"
    return Unit(
        name=name,
        name_key=name,
        initials=initials(name),
        short_name=short,
        sms_name=short[:20],
        public_name="驻地部队" if sector.kind == "army" else "",
        kind=sector.kind,
        district=district,
        address=district + street,
        is_demo=True,
        created_at=clock.now(),
    )


def count_heads(campaigns: Sequence[Campaign], chance: random.Random) -> None:
    """More people than gave, in each year a few more or less; one unit in twelve has not said."""
    gave: dict[int | None, int] = {}
    donors = (
        sa.select(Gift.unit_id, Gift.campaign_id, sa.func.sum(Gift.donor_count))
        .where(Gift.kind == GiftKind.INDIVIDUAL, Gift.unit_id.is_not(None))
        .group_by(Gift.unit_id, Gift.campaign_id)
    )
    for unit_id, _campaign_id, count in db.session.execute(donors):
        gave[unit_id] = max(gave.get(unit_id, 0), count)
    for unit_id in db.session.scalars(sa.select(Unit.id).order_by(Unit.id)):
        most = max(gave.get(unit_id, 0), int(chance.lognormvariate(4.2, 0.9)) + 8)
        size = most * chance.uniform(1.1, 1.8)
        if chance.random() < 1 / 12:
            continue
        db.session.add_all(
            UnitHeadCount(
                unit_id=unit_id,
                campaign_id=campaign.id,
                count=int(size * chance.uniform(0.97, 1.03)),
            )
            for campaign in campaigns
        )


def _make_contacts(number: int, chance: random.Random) -> list[Contact]:
    """A coordinator for nearly every unit, a leader for half of them; some gaps, as in life."""
    if number % 97 == 0:
        return []
    coordinator = Contact(
        name=names.make_person(chance),
        title=chance.choice(("办公室主任", "工会主席", "党办干事", "人事科长", "综合科科员")),
        role=ContactRole.COORDINATOR,
        mobile=f"+8613800{number:06d}" if number % 23 else "",
        email=f"lianluo{number:03d}@danwei.example" if number % 19 else "",
        valid_from=KNOWN_SINCE,
    )
    if chance.random() < 0.5:
        return [coordinator]
    leader = Contact(
        name=names.make_person(chance),
        title=chance.choice(("副局长", "副总经理", "副书记", "副院长")),
        role=ContactRole.LEADER,
        mobile=f"+8613900{number:06d}",
        valid_from=KNOWN_SINCE,
    )
    return [coordinator, leader]


def _share_contact(unit: Unit, neighbour: Unit) -> None:
    mine = unit.contacts[0]
    mine.email = mine.email or "gongyong@danwei.example"
    theirs = neighbour.contacts[0]
    theirs.name, theirs.title = mine.name, mine.title
    theirs.mobile, theirs.email = mine.mobile, mine.email
