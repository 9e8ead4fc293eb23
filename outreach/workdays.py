"""Working days in China: the State Council's holidays and make-up days (调休), and our own.

`chinesecalendar` knows the announced years and raises for others. A day that staff entered wins
over it; a year that neither covers is unknown, and what depends on it is held.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta

import chinese_calendar
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from outreach.db import Base, db


class CalendarUnknown(Exception):
    """No holiday table covers this year, and nobody has confirmed one."""

    def __init__(self, year: int) -> None:
        super().__init__(str(year))
        self.year = year


class CalendarDay(Base):
    """A day for which staff know better than the library."""

    __tablename__ = "calendar_day"

    day: Mapped[date] = mapped_column(primary_key=True)
    is_workday: Mapped[bool]
    note: Mapped[str] = mapped_column(sa.String(60), default="")


class CalendarYear(Base):
    """A year whose holidays staff have entered by hand and confirmed to be complete."""

    __tablename__ = "calendar_year"

    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    confirmed_at: Mapped[datetime]
    confirmed_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))


def is_workday(day: date) -> bool:
    """Whether offices work on this day; CalendarUnknown when nobody knows."""
    entered = db.session.get(CalendarDay, day)
    if entered is not None:
        return entered.is_workday
    return _is_announced_workday(day)


def is_known(year: int) -> bool:
    try:
        is_workday(date(year, 1, 1))
        is_workday(date(year, 12, 31))
    except CalendarUnknown:
        return False
    return True


def next_workday(after: date, is_free: Callable[[date], bool] = lambda day: True) -> date:
    """The first working day after `after` for which `is_free` holds."""
    day = after + timedelta(days=1)
    while not (is_workday(day) and is_free(day)):
        day += timedelta(days=1)
    return day


def add_workdays(start: date, count: int) -> date:
    """The day on which `count` working days have passed since `start`."""
    day = start
    for _ in range(count):
        day = next_workday(day)
    return day


def count_workdays(start: date, end: date) -> int:
    """Working days from `start` up to and including `end`; 0 when `end` is before `start`."""
    return len(list_workdays(start, end))


def list_workdays(first: date, last: date) -> list[date]:
    """Working days from `first` up to and including `last`, by one query for the whole period;
    CalendarUnknown when nobody knows one of them."""
    entered = db.session.execute(
        sa.select(CalendarDay.day, CalendarDay.is_workday).where(
            CalendarDay.day.between(first, last)
        )
    )
    known = dict(entered.all())
    days = (first + timedelta(days=offset) for offset in range((last - first).days + 1))
    return [day for day in days if (known[day] if day in known else _is_announced_workday(day))]


def _is_announced_workday(day: date) -> bool:
    try:
        return bool(chinese_calendar.is_workday(day))
    except NotImplementedError:
        if db.session.get(CalendarYear, day.year) is None:
            raise CalendarUnknown(day.year) from None
        return day.weekday() < 5
