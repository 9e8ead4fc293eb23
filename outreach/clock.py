"""The only source of time. Instants are aware and in UTC; days are those of Asia/Shanghai."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")


def now() -> datetime:
    return datetime.now(UTC)


def today() -> date:
    return local(now()).date()


def local(instant: datetime) -> datetime:
    """The same instant on the wall clock of Asia/Shanghai."""
    return instant.astimezone(SHANGHAI)


def day_of(instant: datetime) -> date:
    return local(instant).date()


def at(day: date, hour: time) -> datetime:
    """The UTC instant at which a wall clock in Asia/Shanghai shows this day and hour."""
    return datetime.combine(day, hour, SHANGHAI).astimezone(UTC)


def start_of(day: date) -> datetime:
    return at(day, time())


def end_of(day: date) -> datetime:
    """Its last second."""
    return at(day, time(23, 59, 59))


def monday_of(day: date) -> date:
    """First day of the week that holds `day`; weeks run Monday to Sunday (ISO 8601)."""
    return day - timedelta(days=day.weekday())
