"""Units that were invited and did not come: each gets a call about what was said, as a to-do."""

from dataclasses import dataclass

from flask_babel import lazy_gettext as _

from outreach import audit
from outreach.campaigns.models import Solicitation
from outreach.errors import Refused
from outreach.gifts.standings import find_standing
from outreach.meetings.models import Attendee, Meeting, MeetingStatus
from outreach.meetings.queries import list_solicitations
from outreach.todos.models import TodoKind
from outreach.todos.services import propose_step


@dataclass(frozen=True)
class Calls:
    proposed: int
    left_out: int
    """Their units have given, declined or are not asked, or wait for a call already."""


def list_absent(meeting: Meeting) -> list[Attendee]:
    """One for each unit from which nobody signed in; staff are not among them."""
    there = {row.contact.unit_id for row in meeting.attendees if row.contact and row.signed_in_at}
    absent = {
        row.contact.unit_id: row
        for row in reversed(meeting.attendees)
        if row.contact and row.contact.unit_id not in there
    }
    return sorted(absent.values(), key=lambda row: row.id)


def propose_calls(meeting: Meeting) -> Calls:
    """A call about the meeting for each absent unit that is still asked. Running it again proposes
    nothing twice, also when a call was settled or dropped meanwhile."""
    if meeting.status is not MeetingStatus.HELD:
        raise Refused(_("请先结束签到，再给缺席单位安排补会电话。"))
    absent = list_absent(meeting)
    solicitations = list_solicitations(meeting, {_unit_id(row) for row in absent})
    proposed = sum(_propose_call(meeting, solicitations[_unit_id(row)]) for row in absent)
    audit.record("call_absent.meeting", f"meeting:{meeting.id}", count=proposed)
    return Calls(proposed, len(absent) - proposed)


def _propose_call(meeting: Meeting, solicitation: Solicitation) -> bool:
    if not find_standing(solicitation).is_outstanding:
        return False
    day = propose_step(
        solicitation,
        TodoKind.CALL,
        reason=f"未参加“{meeting.title}”，请电话告知会议内容",
        key=f"meeting:{meeting.id}:{solicitation.id}",
        owner=None,
    )
    return day is not None


def _unit_id(attendee: Attendee) -> int:
    assert attendee.contact is not None
    return attendee.contact.unit_id
