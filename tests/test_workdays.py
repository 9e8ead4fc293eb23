from datetime import date, timedelta

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from outreach import clock, workdays
from outreach.workdays import Calendar, CalendarDay, CalendarUnknown, CalendarYear
from tests.conftest import noting_statements
from tests.factories import save

MARCH_OF_A_CONFIRMED_YEAR = st.dates(date(2031, 3, 1), date(2031, 3, 31))


def test_national_day_is_off_and_its_make_up_days_are_worked(app: Flask):
    assert workdays.is_workday(date(2026, 9, 20)), "a Sunday, made up for the holiday"
    assert workdays.is_workday(date(2026, 10, 10)), "a Saturday, made up for the holiday"
    assert not workdays.is_workday(date(2026, 10, 7)), "a Wednesday in the holiday"
    assert workdays.next_workday(date(2026, 9, 30)) == date(2026, 10, 8)
    assert workdays.next_workday(date(2026, 10, 9)) == date(2026, 10, 10)


def test_working_days_are_counted_with_both_ends(app: Flask):
    assert len(workdays.list_workdays(date(2026, 9, 28), date(2026, 10, 10))) == 6
    assert workdays.list_workdays(date(2026, 10, 8), date(2026, 10, 8)) == [date(2026, 10, 8)]
    assert workdays.list_workdays(date(2026, 10, 8), date(2026, 10, 7)) == []
    assert workdays.add_workdays(date(2026, 9, 30), 3) == date(2026, 10, 10)


def test_a_day_that_staff_entered_wins_over_the_announcement(app: Flask):
    save(CalendarDay(day=date(2026, 10, 20), is_workday=False, note="市运动会"))
    save(CalendarDay(day=date(2026, 10, 24), is_workday=True))
    assert workdays.next_workday(date(2026, 10, 19)) == date(2026, 10, 21)
    assert workdays.is_workday(date(2026, 10, 24))


def test_a_year_that_nobody_knows_is_refused_until_it_is_confirmed(app: Flask):
    assert not workdays.is_known(2031)
    with pytest.raises(CalendarUnknown) as refusal:
        workdays.is_workday(date(2031, 3, 3))
    assert refusal.value.year == 2031
    save(CalendarYear(year=2031, confirmed_at=clock.now()))
    assert workdays.is_known(2031)
    assert workdays.is_workday(date(2031, 3, 3))
    assert not workdays.is_workday(date(2031, 3, 2)), "a Sunday"


def test_single_days_entered_do_not_make_a_year_known(app: Flask):
    save(CalendarDay(day=date(2031, 1, 1), is_workday=False))
    save(CalendarDay(day=date(2031, 12, 31), is_workday=True))
    assert not workdays.is_known(2031)
    assert workdays.is_workday(date(2031, 12, 31)), "the day itself is known"


def test_a_campaign_of_120_days_is_counted_with_two_queries(app: Flask):
    with noting_statements() as statements:
        workdays.list_workdays(date(2026, 9, 1), date(2026, 12, 30))
    assert len([text for text in statements if text.startswith("SELECT")]) == 2


@given(
    start=MARCH_OF_A_CONFIRMED_YEAR,
    count=st.integers(1, 30),
    off=st.sets(st.dates(date(2031, 3, 1), date(2031, 4, 30)), max_size=10),
)
def test_adding_and_counting_agree(start: date, count: int, off: set[date]):
    calendar = Calendar(entered=dict.fromkeys(off, False), confirmed_years={2031})
    end = calendar.add_workdays(start, count)
    assert len(calendar.list_workdays(start + timedelta(days=1), end)) == count
    assert calendar.is_workday(end)
