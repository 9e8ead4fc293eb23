"""A week of visits as people lay it out: who, on which day."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from outreach import workdays
from outreach.accounts.models import User
from outreach.visits.day_order import arrange
from outreach.visits.models import Visit
from outreach.workdays import CalendarUnknown


@dataclass(frozen=True)
class Day:
    day: date
    is_workday: bool | None
    """None when no holiday table covers the year."""


@dataclass(frozen=True)
class Row:
    visitor: User | None
    cells: list[list[Visit]]
    """One list for each day of the week."""


@dataclass(frozen=True)
class Week:
    days: list[Day]
    rows: list[Row]

    @property
    def previous(self) -> date:
        return self.days[0].day - timedelta(days=7)

    @property
    def next(self) -> date:
        return self.days[0].day + timedelta(days=7)


def build_week(monday: date, visits: Sequence[Visit]) -> Week:
    """Rows by visitor, those that nobody has first. Saturday and Sunday are left out when they
    are off and nobody goes anywhere."""
    calendar = workdays.load_calendar()
    cells: defaultdict[tuple[int | None, date], list[Visit]] = defaultdict(list)
    visitors: dict[int | None, User | None] = {}
    for visit in visits:
        cells[visit.visitor_id, visit.planned_on].append(visit)
        visitors[visit.visitor_id] = visit.visitor
    visited = {visit.planned_on for visit in visits}
    days = [
        day
        for day in (_look_up(calendar, monday + timedelta(days=offset)) for offset in range(7))
        if day.is_workday or day.day in visited or day.day.weekday() < 5
    ]
    order = sorted(visitors, key=lambda visitor_id: visitor_id or 0)
    rows = [Row(visitors[key], [arrange(cells[key, day.day]) for day in days]) for key in order]
    return Week(days, rows)


def _look_up(calendar: workdays.Calendar, day: date) -> Day:
    try:
        return Day(day, calendar.is_workday(day))
    except CalendarUnknown:
        return Day(day, None)
