"""Reads behind the settings pages."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby

import chinese_calendar
import sqlalchemy as sa

from outreach import workdays
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign
from outreach.campaigns.queries import list_campaigns
from outreach.db import db
from outreach.gifts.queries import sum_by_sector
from outreach.workdays import CalendarDay, CalendarYear

HOLIDAYS = {holiday.value: holiday.chinese for holiday in chinese_calendar.Holiday}


@dataclass(frozen=True)
class SpecialDays:
    """Days in a row on which offices do other than the day of the week says."""

    first: date
    last: date
    is_workday: bool
    name: str
    is_entered: bool
    """Staff entered them; the others come from the State Council's announcement."""


@dataclass(frozen=True)
class Year:
    number: int
    is_known: bool
    confirmation: CalendarYear | None
    confirmed_by: User | None
    special_days: list[SpecialDays]


@dataclass(frozen=True)
class Baseline:
    """What a campaign's ledger says: what the year after is measured against."""

    by_sector: dict[int, int]
    """Fen; with `unallocated_fen` they make the total."""
    unallocated_fen: int
    total_fen: int


def read_baseline(campaign: Campaign) -> Baseline:
    by_sector: dict[int, int] = {}
    unallocated = 0
    for (sector_id, _kind), amount in sum_by_sector(campaign).items():
        if sector_id is None:
            unallocated += amount
        else:
            by_sector[sector_id] = by_sector.get(sector_id, 0) + amount
    return Baseline(by_sector, unallocated, unallocated + sum(by_sector.values()))


def describe_year(number: int) -> Year:
    confirmation = db.session.get(CalendarYear, number)
    by_id = confirmation.confirmed_by_id if confirmation else None
    return Year(
        number=number,
        is_known=workdays.is_known(number),
        confirmation=confirmation,
        confirmed_by=db.session.get(User, by_id) if by_id else None,
        special_days=list_special_days(number),
    )


def list_special_days(year: int) -> list[SpecialDays]:
    days = _special_days(year)
    # Days in a row differ from their place in the list by the same amount.
    runs = groupby(
        enumerate(days), lambda item: (item[1][0] - timedelta(days=item[0]), *item[1][1:])
    )
    special = []
    for _key, members in runs:
        run = [day for _place, day in members]
        (first, is_workday, name, is_entered), last = run[0], run[-1][0]
        special.append(SpecialDays(first, last, is_workday, name, is_entered))
    return special


def missing_year(today: date) -> int | None:
    """Next year, when its holidays are not known by mid-November: they are announced by then."""
    year = today.year + 1
    is_late = today >= date(today.year, 11, 15)
    return year if is_late and not workdays.is_known(year) else None


def list_campaigns_with_sectors() -> list[Campaign]:
    return [campaign for campaign in list_campaigns() if campaign.sectors]


def _special_days(year: int) -> list[tuple[date, bool, str, bool]]:
    """Day, whether it is a working day, its name, and whether staff entered it."""
    first, last = date(year, 1, 1), date(year, 12, 31)
    days = {day: (is_workday, name, False) for day, is_workday, name in _announced(first, last)}
    rows = db.session.scalars(sa.select(CalendarDay).where(CalendarDay.day.between(first, last)))
    days |= {row.day: (row.is_workday, row.note, True) for row in rows}
    return [(day, *days[day]) for day in sorted(days)]


def _announced(first: date, last: date) -> Iterator[tuple[date, bool, str]]:
    day = first
    while day <= last:
        try:
            is_off, name = chinese_calendar.get_holiday_detail(day)
        except NotImplementedError:
            return
        if name is not None:
            yield day, not is_off, HOLIDAYS[name]
        day += timedelta(days=1)
