"""Units that were reminded and have not been heard of since: what visits and rules start from."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from outreach import clock, workdays
from outreach.gifts.standings import Standing
from outreach.visits.history import History, Reminder


@dataclass(frozen=True)
class Silence:
    """The last reminder about a unit, which has led to nothing."""

    standing: Standing
    reminder: Reminder

    @property
    def sent_on(self) -> date:
        return clock.day_of(self.reminder.sent_at)

    @property
    def key(self) -> str:
        """What is proposed for it is proposed once; a message may be about two units."""
        return f"message:{self.reminder.message_id}:{self.standing.solicitation.id}"


def find_silent(
    standings: Iterable[Standing], history: History, *, workdays_since: int
) -> Iterator[Silence]:
    """Those who were reminded and did not answer in so many working days, of which the last is
    over. A call that somebody made since, or decided against, has taken the reminder's place.
    CalendarUnknown when it comes to a day that nobody knows."""
    today = clock.today()
    calendar = workdays.load_calendar()
    for standing in standings:
        solicitation = standing.solicitation
        reminder = history.reminders.get(solicitation.id)
        if reminder is None or is_promised(standing):
            continue
        called_at = history.ladder(solicitation.id).closed_at
        if called_at is not None and called_at > reminder.sent_at:
            continue
        if history.has_heard(solicitation, since=reminder.sent_at):
            continue
        silence = Silence(standing, reminder)
        if calendar.add_workdays(silence.sent_on, workdays_since) < today:
            yield silence


def is_promised(standing: Standing) -> bool:
    """The unit has named a day that is still to come."""
    return standing.pledge_due_on is not None and standing.pledge_due_on >= clock.today()
