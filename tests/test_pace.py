from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outreach.campaigns.pace import calendar_days, expected_share, is_lagging, lag_points

START = date(2026, 9, 1)
LAST_YEAR = date(2025, 9, 1)
TEN_DAYS = calendar_days(START, START + timedelta(days=9))
TEN_DAYS_BEFORE = calendar_days(LAST_YEAR, LAST_YEAR + timedelta(days=9))


def last_year(number: int) -> date:
    return TEN_DAYS_BEFORE[number - 1]


def test_without_history_each_working_day_expects_as_much_as_the_next():
    assert expected_share(TEN_DAYS[0], TEN_DAYS) == 0.1
    assert expected_share(TEN_DAYS[4], TEN_DAYS) == 0.5


def test_nothing_is_expected_before_the_campaign_and_all_after_it():
    assert expected_share(START - timedelta(days=1), TEN_DAYS) == 0
    assert expected_share(TEN_DAYS[-1], TEN_DAYS) == 1
    assert expected_share(TEN_DAYS[-1] + timedelta(days=90), TEN_DAYS) == 1


def test_as_much_is_expected_as_had_come_in_by_the_same_working_day_last_year():
    history = [(last_year(1), 70), (last_year(3), 20), (last_year(8), 10)]
    shares = [expected_share(day, TEN_DAYS, history, TEN_DAYS_BEFORE) for day in TEN_DAYS[:4]]
    assert shares == [0.7, 0.7, 0.9, 0.9]


def test_working_days_are_compared_and_not_dates():
    """Last year began after a holiday: its third day of work was ten days in."""
    history_days = [LAST_YEAR, LAST_YEAR + timedelta(days=9), LAST_YEAR + timedelta(days=10)]
    history = [(LAST_YEAR + timedelta(days=9), 60), (LAST_YEAR + timedelta(days=10), 40)]
    assert expected_share(TEN_DAYS[1], TEN_DAYS, history, history_days) == 0.6


def test_money_of_a_weekend_counts_with_the_working_day_before_it():
    history_days = [date(2025, 9, 5), date(2025, 9, 8)]  # Friday and Monday
    history = [(date(2025, 9, 6), 30), (date(2025, 9, 8), 70)]
    assert expected_share(TEN_DAYS[0], TEN_DAYS, history, history_days) == 0.3


def test_reversals_never_push_the_expectation_out_of_bounds():
    late = [(last_year(1), 100), (last_year(2), 100), (last_year(3), -120)]
    assert expected_share(TEN_DAYS[1], TEN_DAYS, late, TEN_DAYS_BEFORE) == 1
    early = [(last_year(1), 10), (last_year(2), -20), (last_year(3), 50)]
    assert expected_share(TEN_DAYS[1], TEN_DAYS, early, TEN_DAYS_BEFORE) == 0


def test_history_that_was_reversed_to_nothing_is_no_history():
    history = [(last_year(1), 100), (last_year(2), -100)]
    assert expected_share(TEN_DAYS[4], TEN_DAYS, history, TEN_DAYS_BEFORE) == 0.5


@pytest.mark.parametrize(
    ("pace_share", "share", "lag", "lags"),
    [
        (0.5, 0.45, 5.0, False),  # exactly the margin is not yet behind it
        (0.5, 0.44, 6.0, True),
        (0.5, 0.8, -30.0, False),
        (0.5, None, 0.0, False),  # nothing to compare with
    ],
)
def test_a_sector_lags_when_it_is_behind_by_more_than_the_margin(pace_share, share, lag, lags):
    assert lag_points(pace_share, share) == lag
    assert is_lagging(lag_points(pace_share, share), 5) is lags


@given(
    st.lists(st.tuples(st.integers(-5, 140), st.integers(1, 10**12)), max_size=40),
    st.integers(1, 100),
    st.integers(1, 100),
)
def test_the_pace_line_never_falls_and_ends_at_the_whole(gifts, length, length_before):
    days = calendar_days(START, START + timedelta(days=length - 1))
    before = calendar_days(LAST_YEAR, LAST_YEAR + timedelta(days=length_before - 1))
    history = [(LAST_YEAR + timedelta(days=offset), amount) for offset, amount in gifts]
    line = [expected_share(day, days, history, before) for day in days]
    assert line == sorted(line)
    assert line[0] >= 0
    assert line[-1] == 1
