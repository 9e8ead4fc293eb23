"""Changes of meetings, of who comes, and of what was agreed."""

import hashlib
import secrets
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta

from flask import current_app
from flask_babel import lazy_gettext as _

from outreach import audit, clock
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, Stage, StageCause
from outreach.campaigns.services import advance_stage, record_contact
from outreach.db import db, insert_new
from outreach.errors import NotFound, Refused
from outreach.meetings.models import ActionItem, Attendee, Meeting, MeetingStatus, PartStat
from outreach.meetings.queries import list_coordinators, list_office_users, list_solicitations
from outreach.meetings.rendering import Method, build_calendar, render_notice
from outreach.messages.linting import refuse_pressure
from outreach.messages.models import Channel, Purpose
from outreach.messages.queueing import queue_message
from outreach.units.models import Unit

STILL_TYPING = timedelta(minutes=15)
"""In which one entry of the audit trail stands for all drafts of one person."""


def create_meeting(  # noqa: PLR0913
    campaign: Campaign,
    *,
    title: str,
    starts_at: datetime,
    ends_at: datetime,
    place: str,
    agenda: str,
    organizer: User,
) -> Meeting:
    meeting = Meeting(
        campaign_id=campaign.id,
        uid=f"{secrets.token_hex(16)}@{_domain()}",
        title=title,
        starts_at=starts_at,
        ends_at=ends_at,
        place=place,
        agenda=agenda,
        organizer_id=organizer.id,
        created_at=clock.now(),
    )
    db.session.add(meeting)
    db.session.flush()
    audit.record("create.meeting", f"meeting:{meeting.id}", starts_at=starts_at.isoformat())
    return meeting


def update_meeting(
    meeting: Meeting,
    *,
    title: str,
    starts_at: datetime,
    ends_at: datetime,
    place: str,
    agenda: str,
) -> int:
    """Returns how many messages were queued: those who were invited learn of another title, time
    or place, not of another agenda. Who had answered for another time is asked again."""
    _refuse_cancelled(meeting)
    is_moved = (meeting.starts_at, meeting.ends_at) != (starts_at, ends_at)
    is_news = is_moved or (meeting.title, meeting.place) != (title, place)
    invited = [row for row in meeting.attendees if row.invited_sequence is not None]
    if is_moved and invited and starts_at <= clock.now():
        raise Refused(_("通知已经发出，会议不能改到已经过去的时间。"))
    if invited:  # what stands there already must not keep a change from those who are to come
        written = ((title, meeting.title), (place, meeting.place), (agenda, meeting.agenda))
        refuse_pressure("\n".join(new for new, old in written if new != old))
    meeting.title, meeting.place, meeting.agenda = title, place, agenda
    meeting.starts_at, meeting.ends_at = starts_at, ends_at
    queued = 0
    if is_news and invited and meeting.is_open:
        meeting.sequence += 1
        if is_moved:
            meeting.moved_sequence = meeting.sequence
        for attendee in invited if is_moved else ():
            attendee.partstat, attendee.delegate_name = PartStat.NEEDS_ACTION, ""
        queued = _queue_notices(meeting, invited, Method.REQUEST)
    audit.record("edit.meeting", f"meeting:{meeting.id}", sequence=meeting.sequence, queued=queued)
    return queued


def invite(meeting: Meeting, *, unit_ids: Iterable[int] = (), user_ids: Iterable[int] = ()) -> int:
    """Puts units, each by its coordinator, and staff on the list; returns how many are new.
    Nothing is mailed before `send_invitations`."""
    _refuse_cancelled(meeting)
    coordinators = list_coordinators(meeting.campaign)
    staff = {user.id for user in list_office_users()}
    contact_ids = [coordinators[unit].id for unit in sorted(set(unit_ids)) if unit in coordinators]
    count = _add_attendees(meeting, "contact_id", contact_ids)
    count += _add_attendees(meeting, "user_id", sorted(staff & set(user_ids)))
    if count:
        audit.record("invite.meeting", f"meeting:{meeting.id}", count=count)
    return count


def send_invitations(meeting: Meeting) -> int:
    """Queues the invitation to everybody on the list who has not been sent it; returns how many
    messages. Running it twice queues nothing twice."""
    if not meeting.is_open:
        raise Refused(_("会议已开始或已取消，不再发送通知。"))
    readers = list_to_notify(meeting)
    if readers:
        refuse_pressure("\n".join((meeting.title, meeting.place, meeting.agenda)))
    queued = _queue_notices(meeting, readers, Method.REQUEST)
    if queued:
        audit.record(
            "notify.meeting", f"meeting:{meeting.id}", sequence=meeting.sequence, queued=queued
        )
    return queued


def list_to_notify(meeting: Meeting) -> list[Attendee]:
    """Attendees with an e-mail address who have not been sent the invitation as it is now."""
    return [
        attendee
        for attendee in meeting.attendees
        if attendee.mailbox
        and attendee.invited_sequence != meeting.sequence
        and attendee.partstat is not PartStat.DECLINED
        and attendee.signed_in_at is None
    ]


def remove_attendee(meeting: Meeting, attendee: Attendee) -> None:
    if attendee.invited_sequence is not None or attendee.signed_in_at is not None:
        raise Refused(_("已发通知或已签到的人员不能移出名单。如不参加，请把回复改为“不参加”。"))
    meeting.attendees.remove(attendee)
    audit.record("remove.attendee", f"meeting:{meeting.id}", attendee_id=attendee.id)


def record_answer(attendee: Attendee, partstat: PartStat) -> None:
    """What the attendee said, on the telephone or by mail."""
    _refuse_cancelled(attendee.meeting)
    if partstat is not PartStat.DELEGATED:
        attendee.delegate_name = ""
    attendee.partstat, attendee.answered_at = partstat, clock.now()
    audit.record("answer.attendee", f"attendee:{attendee.id}", partstat=partstat.value)


def cancel_meeting(meeting: Meeting, *, reason: str) -> int:
    """Returns how many cancellations were queued: one for each address that was invited."""
    _refuse_cancelled(meeting)
    if meeting.status is MeetingStatus.HELD:
        raise Refused(_("会议已经召开，不能取消。"))
    invited = [row for row in meeting.attendees if row.invited_sequence is not None]
    may_come = meeting.is_open
    meeting.status = MeetingStatus.CANCELLED
    meeting.cancel_reason = reason
    meeting.sequence += 1
    queued = _queue_notices(meeting, invited, Method.CANCEL) if may_come else 0
    audit.record("cancel.meeting", f"meeting:{meeting.id}", reason=reason, queued=queued)
    return queued


def sign_in(attendee: Attendee) -> None:
    """The attendee is there. The second tick of the same person changes nothing."""
    refuse_not_due(attendee.meeting)
    if attendee.signed_in_at is not None:
        return
    attendee.signed_in_at = clock.now()
    audit.record("sign_in.attendee", f"attendee:{attendee.id}")
    if attendee.meeting.status is MeetingStatus.HELD:
        _count_as_contact(attendee.meeting, [attendee])


def undo_sign_in(attendee: Attendee) -> None:
    """Takes a mistaken tick back, until the meeting counts as contact."""
    if attendee.meeting.status is MeetingStatus.HELD:
        raise Refused(_("会议已结束，签到已计入各单位的联系记录，不能撤销。"))
    if attendee.signed_in_at is None:
        return
    attendee.signed_in_at = None
    audit.record("undo_sign_in.attendee", f"attendee:{attendee.id}")


def add_walk_in(
    meeting: Meeting, *, unit: Unit | None = None, user: User | None = None
) -> Attendee:
    """Signs in a unit or a member of staff that was not on the list."""
    refuse_not_due(meeting)
    if unit is not None:
        person_id, column = _walk_in_contact(unit), "contact_id"
    elif user is not None:
        person_id, column = user.id, "user_id"
    else:
        raise NotFound(_("请先选择到会的单位或人员。"))
    _add_attendees(meeting, column, [person_id])
    attendee = next(row for row in meeting.attendees if getattr(row, column) == person_id)
    sign_in(attendee)
    return attendee


def hold_meeting(meeting: Meeting) -> None:
    """The meeting has taken place: each unit that signed in was contacted."""
    refuse_not_due(meeting)
    if meeting.status is MeetingStatus.HELD:
        return
    meeting.status = MeetingStatus.HELD
    present = [attendee for attendee in meeting.attendees if attendee.signed_in_at is not None]
    _count_as_contact(meeting, present)
    audit.record("hold.meeting", f"meeting:{meeting.id}", signed_in=len(present))


def write_minutes(
    meeting: Meeting, *, minutes: str, decisions: str, draft_by: User | None = None
) -> None:
    """May be called as often as needed, from the day of the meeting on. Once it has begun, saving
    minutes says that it was held; a draft, which is saved while somebody types, does not."""
    refuse_not_due(meeting)
    if meeting.starts_at <= clock.now() and draft_by is None:
        hold_meeting(meeting)
    if (meeting.minutes, meeting.decisions) == (minutes, decisions):
        return
    meeting.minutes, meeting.decisions = minutes, decisions
    subject, since = f"meeting:{meeting.id}", clock.now() - STILL_TYPING
    # A page that saves by itself would say every few seconds what it has said before.
    if not (draft_by and audit.count_since(since, "write.minutes", subject, by=draft_by.id)):
        audit.record("write.minutes", subject, length=len(minutes))


def mark_minutes(meeting: Meeting) -> str:
    """Changes whenever the minutes do, and not with the rest of the meeting: people sign in and
    out while somebody types."""
    text = f"{meeting.minutes}\x00{meeting.decisions}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def create_action_item(
    meeting: Meeting, *, text: str, owner: User, due_on: date, unit_id: int | None = None
) -> ActionItem:
    _refuse_cancelled(meeting)
    if unit_id is not None and unit_id not in list_solicitations(meeting, {unit_id}):
        raise NotFound(_("没有这个单位。"))
    item = ActionItem(
        meeting_id=meeting.id, text=text, owner_id=owner.id, due_on=due_on, unit_id=unit_id
    )
    db.session.add(item)
    db.session.flush()
    audit.record("create.action_item", f"action_item:{item.id}", due_on=due_on.isoformat())
    return item


def complete_action_item(item: ActionItem) -> None:
    if item.completed_at is None:
        item.completed_at = clock.now()
        audit.record("complete.action_item", f"action_item:{item.id}")


def reopen_action_item(item: ActionItem) -> None:
    if item.completed_at is not None:
        item.completed_at = None
        audit.record("reopen.action_item", f"action_item:{item.id}")


def _add_attendees(meeting: Meeting, column: str, person_ids: list[int]) -> int:
    other = "user_id" if column == "contact_id" else "contact_id"
    rows = [
        {
            "meeting_id": meeting.id,
            column: person_id,
            other: None,
            "partstat": PartStat.NEEDS_ACTION,
        }
        for person_id in person_ids
    ]
    count = insert_new(Attendee, rows, ["meeting_id", column])
    db.session.expire(meeting, ["attendees"])
    return count


def _walk_in_contact(unit: Unit) -> int:
    """The person in whose place the unit signs in: its coordinator, or whoever it has."""
    today = clock.today()
    contacts = [contact for contact in unit.contacts if contact.is_valid_on(today)]
    if not contacts:
        raise Refused(
            _("“%(name)s”还没有登记联系人。请先在单位页面登记，再补签到。", name=unit.name)
        )
    return min(contacts, key=lambda contact: (contact.role != "coordinator", -contact.id)).id


def _queue_notices(meeting: Meeting, attendees: list[Attendee], method: Method) -> int:
    """One message to each address; a person who answers for two units gets one naming both."""
    by_address: dict[str, list[Attendee]] = defaultdict(list)
    for attendee in attendees:
        if attendee.mailbox:
            by_address[attendee.mailbox].append(attendee)
    units = {row.contact.unit_id for row in attendees if row.contact is not None}
    solicitations = list_solicitations(meeting, units)
    queued = 0
    for address, group in by_address.items():
        subject, text = render_notice(meeting, group)
        first = group[0]
        queued += queue_message(
            purpose=Purpose.INVITATION,
            channel=Channel.EMAIL,
            occurrence=f"invitation:{meeting.id}:{first.id}:{meeting.sequence}",
            address=address,
            recipient_name=first.person.name,
            subject=subject,
            body_text=text,
            campaign_id=meeting.campaign_id,
            contact_id=first.contact_id,
            solicitation_ids=tuple(
                solicitations[row.contact.unit_id].id for row in group if row.contact is not None
            ),
            reply_to=meeting.spokesperson.email if meeting.spokesperson else "",
            calendar=build_calendar(meeting, method, first),
            not_after=meeting.starts_at,
        )
        for attendee in group:
            attendee.invited_sequence = meeting.sequence
    return queued


def _count_as_contact(meeting: Meeting, present: list[Attendee]) -> None:
    units = {row.contact.unit_id for row in present if row.contact is not None}
    day = clock.day_of(meeting.starts_at)
    for solicitation in list_solicitations(meeting, units).values():
        record_contact(solicitation, day)
        advance_stage(solicitation, Stage.CONTACTED, cause=StageCause.MEETING, note=meeting.title)


def _refuse_cancelled(meeting: Meeting) -> None:
    if meeting.status is MeetingStatus.CANCELLED:
        raise Refused(_("会议已取消，不能再修改。"))


def refuse_not_due(meeting: Meeting) -> None:
    _refuse_cancelled(meeting)
    if not meeting.is_due:
        raise Refused(_("签到和纪要在会议当天才开放。"))


def _domain() -> str:
    address: str = current_app.extensions["outreach.settings"].mail_sender
    return address.rpartition("@")[2]
