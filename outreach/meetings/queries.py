"""Reads of meetings, of who may be invited, and of action items that are still open."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import joinedload, selectinload

from outreach import clock
from outreach.access import OFFICE
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, Solicitation
from outreach.db import db
from outreach.errors import NotFound
from outreach.meetings.models import (
    COMING,
    ActionItem,
    Attendee,
    Meeting,
    MeetingStatus,
    PartStat,
)
from outreach.messages.models import Message, MessageStatus
from outreach.units.models import Contact, ContactRole, Unit
from outreach.workdays import Half


def get_meeting(campaign: Campaign, meeting_id: int) -> Meeting:
    return _one_meeting(_select_meetings(campaign).where(Meeting.id == meeting_id))


def lock_meeting(campaign: Campaign, meeting_id: int) -> Meeting:
    """The meeting as it is now, held until the transaction ends: of two people who save at once
    the second reads what the first has written."""
    return _one_meeting(
        _select_meetings(campaign)
        .where(Meeting.id == meeting_id)
        .with_for_update(of=Meeting)
        .execution_options(populate_existing=True)
    )


def get_attendee(meeting: Meeting, attendee_id: int) -> Attendee:
    for attendee in meeting.attendees:
        if attendee.id == attendee_id:
            return attendee
    raise NotFound(_("这个人不在本次会议的名单上。"))


def find_meeting(meeting_id: int) -> Meeting | None:
    """Of whatever campaign."""
    return db.session.scalar(sa.select(Meeting).where(Meeting.id == meeting_id).options(*_PEOPLE))


def get_invited(attendee_id: int) -> Attendee | None:
    """An attendee of whatever campaign."""
    return db.session.get(Attendee, attendee_id)


def lock_attendee(attendee_id: int) -> Attendee | None:
    """An attendee of whatever campaign, with the meeting held until the transaction ends."""
    attendee = get_invited(attendee_id)
    if attendee is None:
        return None
    meeting = lock_meeting(attendee.meeting.campaign, attendee.meeting_id)
    return get_attendee(meeting, attendee_id)


def list_same_person(attendee: Attendee) -> list[Attendee]:
    """The attendees of the meeting that were sent the same message: one person, several units."""
    address = attendee.person.email.lower()
    return [
        row
        for row in attendee.meeting.attendees
        if row is attendee or (address and row.person.email.lower() == address)
    ]


def get_action_item(campaign: Campaign, item_id: int) -> ActionItem:
    item = db.session.scalar(
        sa.select(ActionItem)
        .join(ActionItem.meeting)
        .where(ActionItem.id == item_id, Meeting.campaign_id == campaign.id)
    )
    if item is None:
        raise NotFound(_("没有这条待办事项。"))
    return item


def list_meetings(
    campaign: Campaign,
    *,
    first: date | None = None,
    last: date | None = None,
    with_cancelled: bool = False,
) -> list[Meeting]:
    """Meetings that begin on `first` … `last` (both included), earliest first."""
    query = sa.select(Meeting).where(Meeting.campaign_id == campaign.id)
    if not with_cancelled:
        query = query.where(Meeting.status != MeetingStatus.CANCELLED)
    if first:
        query = query.where(Meeting.starts_at >= clock.start_of(first))
    if last:
        query = query.where(Meeting.starts_at < clock.start_of(last + timedelta(days=1)))
    return list(db.session.scalars(query.order_by(Meeting.starts_at, Meeting.id)))


def count_attendance(campaign: Campaign) -> dict[int, tuple[int, int]]:
    """By meeting id: people on its list, and those of them who signed in."""
    rows = db.session.execute(
        sa.select(Attendee.meeting_id, sa.func.count(), sa.func.count(Attendee.signed_in_at))
        .join(Attendee.meeting)
        .where(Meeting.campaign_id == campaign.id)
        .group_by(Attendee.meeting_id)
    )
    return {meeting_id: (listed, present) for meeting_id, listed, present in rows}


def list_engagements(user_ids: Collection[int]) -> set[tuple[int, date, Half]]:
    """Who of these people is at a meeting on which day, and in which half of it it begins: its
    organizer, and who of the office was invited and has not declined."""
    is_on = Meeting.status != MeetingStatus.CANCELLED
    organized = sa.select(Meeting.organizer_id.label("user_id"), Meeting.starts_at).where(
        is_on, Meeting.organizer_id.in_(user_ids)
    )
    invited = (
        sa.select(Attendee.user_id, Meeting.starts_at)
        .join(Attendee.meeting)
        .where(is_on, Attendee.user_id.in_(user_ids), Attendee.partstat != PartStat.DECLINED)
    )
    rows: Iterable[tuple[int, datetime]] = db.session.execute(sa.union(organized, invited))
    return {
        (user_id, clock.day_of(starts_at), Half.of(clock.local(starts_at).time()))
        for user_id, starts_at in rows
    }


def list_open_action_items(campaign: Campaign) -> list[ActionItem]:
    """Action items of all meetings that are not done, the most urgent first."""
    return list(
        db.session.scalars(
            sa.select(ActionItem)
            .join(ActionItem.meeting)
            .where(Meeting.campaign_id == campaign.id, ActionItem.completed_at.is_(None))
            .options(
                joinedload(ActionItem.meeting),
                joinedload(ActionItem.unit),
                joinedload(ActionItem.owner),
            )
            .order_by(ActionItem.due_on, ActionItem.id)
        )
    )


def list_office_users() -> list[User]:
    """Who may be invited as staff or own an action item."""
    return list(
        db.session.scalars(
            sa.select(User).where(User.role.in_(OFFICE), User.is_enabled).order_by(User.name)
        )
    )


def list_coordinators(campaign: Campaign) -> dict[int, Contact]:
    """By unit id: the coordinator who answers for the unit today, the newest if there are two."""
    today = clock.today()
    contacts = db.session.scalars(
        sa.select(Contact)
        .join(Solicitation, Solicitation.unit_id == Contact.unit_id)
        .where(
            Solicitation.campaign_id == campaign.id,
            Contact.role == ContactRole.COORDINATOR,
            Contact.valid_from <= today,
            sa.or_(Contact.valid_to.is_(None), Contact.valid_to >= today),
        )
        .order_by(Contact.valid_from, Contact.id)
    )
    return {contact.unit_id: contact for contact in contacts}


def search_units(campaign: Campaign, text: str, *, limit: int = 8) -> list[Unit]:
    """Units of the campaign whose name or pinyin initials hold the text."""
    if not text:
        return []
    return list(
        db.session.scalars(
            sa.select(Unit)
            .join(Solicitation, Solicitation.unit_id == Unit.id)
            .where(
                Solicitation.campaign_id == campaign.id,
                sa.or_(
                    Unit.name.contains(text, autoescape=True),
                    Unit.short_name.contains(text, autoescape=True),
                    Unit.initials.contains(text.lower(), autoescape=True),
                ),
            )
            .order_by(Unit.name)
            .limit(limit)
        )
    )


def find_unit(campaign: Campaign, unit_id: int | None) -> Unit | None:
    return db.session.scalar(
        sa.select(Unit)
        .join(Solicitation, Solicitation.unit_id == Unit.id)
        .where(Solicitation.campaign_id == campaign.id, Unit.id == unit_id)
    )


def list_solicitations(meeting: Meeting, unit_ids: set[int]) -> dict[int, Solicitation]:
    """By unit id: the units' solicitations in the meeting's campaign."""
    rows = db.session.scalars(
        sa.select(Solicitation).where(
            Solicitation.campaign_id == meeting.campaign_id, Solicitation.unit_id.in_(unit_ids)
        )
    )
    return {row.unit_id: row for row in rows}


@dataclass(frozen=True)
class AttendeeCounts:
    invited: int
    accepted: int
    declined: int
    signed_in: int
    units: int
    """Units that signed in."""


def count_attendees(meeting: Meeting) -> AttendeeCounts:
    rows = meeting.attendees
    present = [row for row in rows if row.signed_in_at is not None]
    return AttendeeCounts(
        invited=len(rows),
        accepted=sum(row.partstat in COMING for row in rows),
        declined=sum(row.partstat is PartStat.DECLINED for row in rows),
        signed_in=len(present),
        units=len({row.contact.unit_id for row in present if row.contact is not None}),
    )


def list_notices(meeting: Meeting) -> dict[str, MessageStatus]:
    """By address: what became of the newest message about this meeting."""
    messages = db.session.execute(
        sa.select(Message.address, Message.status)
        .where(Message.occurrence.startswith(f"invitation:{meeting.id}:", autoescape=True))
        .order_by(Message.id)
    )
    return {message.address: message.status for message in messages}


_PEOPLE = (
    selectinload(Meeting.attendees).joinedload(Attendee.contact).joinedload(Contact.unit),
    selectinload(Meeting.attendees).joinedload(Attendee.user),
)


def _select_meetings(campaign: Campaign) -> sa.Select[Meeting]:
    return sa.select(Meeting).where(Meeting.campaign_id == campaign.id).options(*_PEOPLE)


def _one_meeting(query: sa.Select[Meeting]) -> Meeting:
    meeting = db.session.scalar(query)
    if meeting is None:
        raise NotFound(_("没有这次会议。"))
    return meeting
