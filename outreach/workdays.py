"""Working days in China: the State Council's holidays and make-up days (调休), and our own.

`chinesecalendar` knows the announced years and raises for others. A day that staff entered wins
over it; a year that neither covers is unknown, and what depends on it is held.

Who asks about many days loads the calendar once: `load_calendar()`. The functions of this module
load it for one question.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Self

import chinese_calendar
import sqlalchemy as sa
from flask import g, has_request_context
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import Mapped, mapped_column

from outreach.db import Base, db
from outreach.terms import Term

NOON = time(12)


class Half(Term):
    """Of a working day."""

    MORNING = "a", _("上午")
    AFTERNOON = "p", _("下午")

    @classmethod
    def of(cls, hour: time) -> Self:
        return cls.MORNING if hour < NOON else cls.AFTERNOON


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


@dataclass(frozen=True)
class Calendar:
    """The working days as they are known now. Every method raises CalendarUnknown when it comes
    to a day that nobody knows."""

    entered: Mapping[date, bool]
    """Days that staff entered: whether offices work on them."""
    confirmed_years: Set[int]

    def is_workday(self, day: date) -> bool:
        entered = self.entered.get(day)
        if entered is not None:
            return entered
        announced = _announced(day)
        if announced is not None:
            return announced
        if day.year not in self.confirmed_years:
            raise CalendarUnknown(day.year)
        return day.weekday() < 5

    def is_known(self, year: int) -> bool:
        return year in self.confirmed_years or _announced(date(year, 1, 1)) is not None

    def next_workday(self, after: date) -> date:
        """The first working day after `after`."""
        day = after + timedelta(days=1)
        while not self.is_workday(day):
            day += timedelta(days=1)
        return day

    def add_workdays(self, start: date, count: int) -> date:
        """The day on which `count` working days have passed since `start`."""
        day = start
        for _each in range(count):
            day = self.next_workday(day)
        return day

    def last_workdays(self, before: date, count: int) -> list[date]:
        """The `count` working days before `before`, the latest first."""
        days: list[date] = []
        day = before
        while len(days) < count:
            day -= timedelta(days=1)
            if self.is_workday(day):
                days.append(day)
        return days

    def list_workdays(self, first: date, last: date) -> list[date]:
        """Working days from `first` up to and including `last`."""
        days = (first + timedelta(days=offset) for offset in range((last - first).days + 1))
        return [day for day in days if self.is_workday(day)]


def load_calendar() -> Calendar:
    """The calendar as the database has it; two queries, whatever the number of days. A page asks
    once, however many of its parts need to know."""
    if not has_request_context():
        return _read_calendar()
    if "calendar" not in g:
        g.calendar = _read_calendar()
    calendar: Calendar = g.calendar
    return calendar


def forget_calendar() -> None:
    """It was changed: the rest of the page reads it anew."""
    g.pop("calendar", None)


def _read_calendar() -> Calendar:
    entered = db.session.execute(sa.select(CalendarDay.day, CalendarDay.is_workday))
    return Calendar(
        entered=dict(entered.all()),
        confirmed_years=set(db.session.scalars(sa.select(CalendarYear.year))),
    )


def is_workday(day: date) -> bool:
    """Whether offices work on this day; CalendarUnknown when nobody knows."""
    return load_calendar().is_workday(day)


def is_known(year: int) -> bool:
    return load_calendar().is_known(year)


def next_workday(after: date) -> date:
    """The first working day after `after`."""
    return load_calendar().next_workday(after)


def add_workdays(start: date, count: int) -> date:
    """The day on which `count` working days have passed since `start`."""
    return load_calendar().add_workdays(start, count)


def list_workdays(first: date, last: date) -> list[date]:
    """Working days from `first` up to and including `last`; none when `last` is before `first`."""
    return load_calendar().list_workdays(first, last)


@lru_cache(maxsize=4096)
def _announced(day: date) -> bool | None:
    """What the State Council announced; None for a year that the library does not know.

    Kept, because the library looks through all holidays for the years that it knows on each call.
    """
    try:
        return bool(chinese_calendar.is_workday(day))
    except NotImplementedError:
        return None
