"""What staff know better than the published calendar."""

from datetime import date, timedelta

import sqlalchemy as sa
from flask_babel import lazy_gettext as _

from outreach import audit, clock, workdays
from outreach.accounts.models import User
from outreach.db import db
from outreach.errors import Refused
from outreach.workdays import CalendarDay, CalendarYear

LONGEST_PERIOD = 31


def enter_days(first: date, last: date, *, is_workday: bool, note: str) -> None:
    days = _period(first, last)
    for day in days:
        db.session.merge(CalendarDay(day=day, is_workday=is_workday, note=note))
    workdays.forget_calendar()
    audit.record(
        "change.calendar", f"calendar_day:{first}", last=last.isoformat(), is_workday=is_workday
    )


def remove_days(first: date, last: date) -> None:
    """The published calendar holds again."""
    db.session.execute(sa.delete(CalendarDay).where(CalendarDay.day.in_(_period(first, last))))
    workdays.forget_calendar()
    audit.record("restore.calendar", f"calendar_day:{first}", last=last.isoformat())


def confirm_year(year: int, by: User) -> None:
    """Staff say that they have entered all holidays of a year that is not published yet.

    Refused when a day that is always a holiday is missing: then the list cannot be complete.
    """
    if workdays.is_known(year):
        raise Refused(_("%(year)s 年的节假日已经确认。", year=year))
    always_off = [date(year, 1, 1), date(year, 5, 1), date(year, 10, 1)]
    entered = set(
        db.session.scalars(
            sa.select(CalendarDay.day).where(
                CalendarDay.day.in_(always_off), ~CalendarDay.is_workday
            )
        )
    )
    if missing := [day.isoformat() for day in always_off if day not in entered]:
        raise Refused(_("节假日还不完整，缺少：%(days)s。", days="、".join(missing)))
    db.session.add(CalendarYear(year=year, confirmed_at=clock.now(), confirmed_by_id=by.id))
    workdays.forget_calendar()
    audit.record("confirm.calendar", f"calendar_year:{year}")


def withdraw_confirmation(year: int) -> None:
    db.session.execute(sa.delete(CalendarYear).where(CalendarYear.year == year))
    workdays.forget_calendar()
    audit.record("withdraw.calendar", f"calendar_year:{year}")


def _period(first: date, last: date) -> list[date]:
    count = (last - first).days + 1
    if count < 1:
        raise Refused(_("结束日期不能早于开始日期。"))
    if count > LONGEST_PERIOD:
        raise Refused(_("一次最多填写 %(count)s 天。", count=LONGEST_PERIOD))
    return [first + timedelta(days=offset) for offset in range(count)]
