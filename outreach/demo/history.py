"""The campaigns of 2022 and 2023: sector amounts as reported, unit amounts generated."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from outreach import clock
from outreach.accounts.models import User
from outreach.campaigns.models import (
    Campaign,
    CampaignStatus,
    Sector,
    SectorLineage,
    Solicitation,
    Stage,
)
from outreach.db import db
from outreach.demo.figures import (
    REPORT,
    SECTORS_2023,
    STEP_FEN,
    TOTAL_2022,
    TOTAL_2023,
    UNITS_2023,
    SectorFigure,
    split,
)
from outreach.gifts.models import Gift, GiftChannel, GiftKind, StatedFigure, Subject
from outreach.units.models import Unit

SMALLEST_STEPS = 3
"""No generated unit gift is below 300 yuan."""


@dataclass(frozen=True)
class Year:
    code: str
    first_day: date
    last_day: date
    goal_fen: int
    amounts: dict[str, int]
    """Fen by sector."""
    unallocated_fen: int
    donor_count: int
    absent_share: float
    """Share of units that did not take part."""


def make_campaign(
    year: Year,
    sectors: list[SectorFigure],
    register: dict[str, list[Unit]],
    solicitors: dict[str, User],
    previous: Campaign | None,
    chance: random.Random,
) -> Campaign:
    """A closed campaign with its gifts, adding up to the fen to what `year` says."""
    campaign = open_campaign(year, sectors, previous, CampaignStatus.CLOSED)
    gifts: list[Gift] = []
    for sector in campaign.sectors:
        giving = [unit for unit in register[sector.name] if chance.random() >= year.absent_share]
        for unit in register[sector.name]:
            db.session.add(
                Solicitation(
                    campaign_id=campaign.id,
                    unit_id=unit.id,
                    sector_id=sector.id,
                    solicitor_id=solicitors[sector.name].id,
                    stage=Stage.VISITED if unit in giving else Stage.CONTACTED,
                    last_contact_on=year.last_day,
                )
            )
        gifts += _make_sector_gifts(campaign, sector, giving, year.amounts[sector.name], chance)
    gifts += _make_loose_gifts(campaign, None, year.unallocated_fen, 3, chance)
    counts = split(year.donor_count, [gift.amount_fen**0.7 for gift in gifts])
    for gift, count in zip(gifts, counts, strict=True):
        gift.donor_count = count
    db.session.add_all(gifts)
    db.session.flush()
    return campaign


def state_figures(campaign: Campaign, sectors: list[SectorFigure]) -> None:
    """What the report of 2023 says, its contradictions with it."""
    whole = {
        Subject.TOTAL: TOTAL_2023,
        Subject.CHANGE: TOTAL_2023 - TOTAL_2022,
        Subject.UNIT_COUNT: UNITS_2023,
        Subject.SECTOR_COUNT: SECTORS_2023,
    }
    db.session.add_all(
        StatedFigure(campaign_id=campaign.id, subject=subject, value=value, source=REPORT)
        for subject, value in whole.items()
    )
    ids = {sector.name: sector.id for sector in campaign.sectors}
    db.session.add_all(
        StatedFigure(
            campaign_id=campaign.id,
            subject=Subject.SECTOR,
            sector_id=ids[sector.name],
            value=sector.amount_fen,
            source=REPORT,
        )
        for sector in sectors
    )


def open_campaign(
    year: Year, sectors: list[SectorFigure], previous: Campaign | None, status: CampaignStatus
) -> Campaign:
    campaign = Campaign(
        code=year.code,
        name=f"{year.code}年慈善一日捐",
        starts_on=year.first_day,
        ends_on=year.last_day,
        goal_fen=year.goal_fen,
        status=status,
        previous_id=previous.id if previous else None,
        is_demo=True,
        sectors=[Sector(name=sector.name, position=i) for i, sector in enumerate(sectors, 1)],
    )
    db.session.add(campaign)
    db.session.flush()
    if previous:
        before = {sector.name: sector.id for sector in previous.sectors}
        db.session.add_all(
            SectorLineage(sector_id=sector.id, predecessor_id=before[sector.name])
            for sector in campaign.sectors
        )
    return campaign


def make_gift(campaign: Campaign, amount_fen: int, day: date, chance: random.Random) -> Gift:
    """A gift without donor; callers say whose it is."""
    return Gift(
        campaign_id=campaign.id,
        amount_fen=amount_fen,
        kind=GiftKind.UNIT,
        channel=GiftChannel.TRANSFER,
        received_on=day,
        reference=f"{day:%Y%m%d}{chance.randrange(10**6):06d}",
        recorded_at=clock.start_of(day) + timedelta(hours=chance.randint(9, 17)),
        may_publish=chance.random() < 0.8,
    )


def pick_day(first: date, last: date, chance: random.Random, late: float = 1.6) -> date:
    """A weekday between both; giving starts slowly and swells towards the end."""
    span = (last - first).days
    day = first + timedelta(days=int(span * chance.betavariate(2, late)))
    return day if day.weekday() < 5 else max(first, day - timedelta(days=day.weekday() - 4))


def _make_sector_gifts(
    campaign: Campaign,
    sector: Sector,
    units: Sequence[Unit],
    amount_fen: int,
    chance: random.Random,
) -> list[Gift]:
    if not units:
        return _make_loose_gifts(campaign, sector, amount_fen, 120, chance)
    sizes = [chance.lognormvariate(4.2, 0.9) for _unit in units]
    weights = [chance.lognormvariate(0, 0.8) * size**0.6 for size in sizes]
    steps = split(amount_fen // STEP_FEN, weights, least=SMALLEST_STEPS)
    amounts = [step * STEP_FEN for step in steps]
    amounts[0] += amount_fen % STEP_FEN
    late = chance.uniform(1.2, 2.2)
    gifts = []
    for unit, amount in zip(units, amounts, strict=True):
        for part, kind in _split_by_donor(amount, chance):
            day = pick_day(campaign.starts_on, campaign.ends_on, chance, late)
            gift = make_gift(campaign, part, day, chance)
            gift.unit_id, gift.sector_id, gift.kind = unit.id, sector.id, kind
            gifts.append(gift)
    return gifts


def _split_by_donor(amount_fen: int, chance: random.Random) -> list[tuple[int, GiftKind]]:
    """What the unit gives, and in a third of the units what its people give on top."""
    if amount_fen < 20 * STEP_FEN or chance.random() > 0.35:
        return [(amount_fen, GiftKind.UNIT)]
    people = int(amount_fen * chance.uniform(0.1, 0.5)) // STEP_FEN * STEP_FEN
    return [(amount_fen - people, GiftKind.UNIT), (people, GiftKind.INDIVIDUAL)]


def _make_loose_gifts(
    campaign: Campaign, sector: Sector | None, amount_fen: int, count: int, chance: random.Random
) -> list[Gift]:
    """Gifts of persons credited to a sector only, or (without sector) not allocated."""
    if not amount_fen:
        return []
    parts = split(amount_fen, [chance.lognormvariate(0, 0.9) for _ in range(count)])
    gifts = []
    for part in parts:
        day = pick_day(campaign.starts_on, campaign.ends_on, chance)
        gift = make_gift(campaign, part, day, chance)
        gift.kind = GiftKind.INDIVIDUAL
        gift.sector_id = sector.id if sector else None
        gift.channel = chance.choice((GiftChannel.PLATFORM, GiftChannel.BOX, GiftChannel.TRANSFER))
        gift.may_publish = False
        gifts.append(gift)
    return gifts
