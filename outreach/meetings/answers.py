"""What invited people answer themselves: on the page behind their link, or from their calendar."""

from datetime import datetime, timedelta
from http import HTTPStatus

from flask_babel import lazy_gettext as _

from outreach import audit, clock
from outreach.errors import Conflict, OutreachError, Refused
from outreach.meetings.models import Attendee, PartStat
from outreach.meetings.queries import list_same_person

WINDOW = timedelta(hours=1)
MOST_ANSWERS = 20
"""By one link in `WINDOW`: a person changes their mind less often than a script."""


class TooManyAnswers(OutreachError):
    status = HTTPStatus.TOO_MANY_REQUESTS


def answer(
    attendee: Attendee, partstat: PartStat, *, sequence: int | None, delegate_name: str = ""
) -> None:
    """The answer of the person who holds the link, until the meeting begins. Conflict when they
    read another time than the one that holds now. The meeting has to be locked."""
    meeting = attendee.meeting
    if not meeting.is_open:
        raise Refused(_("会议已开始或已取消，不能再回复。如有事请联系会议联系人。"))
    if sequence is None or not is_about_this_time(attendee, sequence):
        raise Conflict(
            _("会议时间刚刚改过，您的回复没有保存。请重新打开链接，看清新的时间再回复。")
        )
    subject = f"attendee:{attendee.id}"
    if audit.count_since(clock.now() - WINDOW, "answer.attendee", subject) >= MOST_ANSWERS:
        raise TooManyAnswers(_("更改次数过多。请一小时后再试，或直接联系会议联系人。"))
    _note(attendee, partstat, at=clock.now(), delegate_name=delegate_name, by="link")


def take_reply(
    attendee: Attendee, partstat: PartStat, *, sequence: int, at: datetime, delegate_name: str = ""
) -> bool:
    """The answer that a calendar sent at `at`; False when it is about another time of the meeting,
    or older than the answer that is known (RFC 5546, 2.1.5). The meeting has to be locked."""
    is_late = attendee.answered_at is not None and at <= attendee.answered_at
    if is_late or not attendee.meeting.is_open or not is_about_this_time(attendee, sequence):
        return False
    _note(attendee, partstat, at=at, delegate_name=delegate_name, by="calendar")
    return True


def is_about_this_time(attendee: Attendee, sequence: int) -> bool:
    return attendee.meeting.moved_sequence <= sequence <= attendee.meeting.sequence


def _note(
    attendee: Attendee, partstat: PartStat, *, at: datetime, delegate_name: str, by: str
) -> None:
    for row in list_same_person(attendee):
        row.partstat, row.answered_at = partstat, at
        row.delegate_name = delegate_name if partstat is PartStat.DELEGATED else ""
    audit.record("answer.attendee", f"attendee:{attendee.id}", partstat=partstat.value, by=by)
