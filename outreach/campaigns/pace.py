"""How far along a campaign should be today, told by last year's. Pure: no database, no clock."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Final

from flask_babel import lazy_gettext as _

from outreach.terms import Term

DayAmount = tuple[date, int]
"""What came in on a day, in fen; reversals are negative."""

PRECISION: Final = 6
"""Decimals kept of a lag in points: floats that are equal on paper compare as equal."""


class PaceBasis(Term):
    """What the pace line was drawn from."""

    LAST_YEAR = "last_year", _("按上年度同一工作日的到账进度")
    STRAIGHT_LINE = "straight_line", _("没有上年度数据，按工作日平均推算")
    CALENDAR_DAYS = "calendar_days", _("节假日安排未确认，暂按自然日推算")


def calendar_days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=offset) for offset in range((last - first).days + 1)]


def expected_share(
    today: date,
    days: Sequence[date],
    history: Iterable[DayAmount] = (),
    history_days: Sequence[date] = (),
) -> float:
    """Share of the whole, 0 to 1, that should be in by the end of `today`.

    `days` and `history_days` are the days that count in this campaign and in last year's, in
    order; `history` is what came in last year. On the n-th day as much is expected as had come
    in by the n-th day then; without history the expectation grows by the same step each day.
    """
    reached = bisect_right(days, today)
    if reached == 0:
        return 0.0
    if reached == len(days):
        return 1.0
    history = list(history)
    total = sum(amount for _day, amount in history)
    if total <= 0:
        return reached / len(days)
    by_then = sum(amount for day, amount in history if bisect_right(history_days, day) <= reached)
    return min(max(by_then / total, 0.0), 1.0)


def lag_points(pace_share: float, share: float | None) -> float:
    """Points (percent of the whole) by which `share` is behind; 0 when there is no share."""
    return 0.0 if share is None else round((pace_share - share) * 100, PRECISION)


def is_lagging(lag: float, margin_percent: int) -> bool:
    return lag > margin_percent
