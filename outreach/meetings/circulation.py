"""印发: the minutes go to those who were invited, as a letter with the file."""

import hashlib
from collections import defaultdict

import sqlalchemy as sa
from flask import current_app
from flask_babel import lazy_gettext as _

from outreach import audit, clock
from outreach.db import db
from outreach.errors import Refused
from outreach.meetings.minutes_file import MEDIA_TYPE, write_minutes_file
from outreach.meetings.models import Attendee, Meeting, MeetingStatus
from outreach.meetings.queries import list_solicitations
from outreach.meetings.rendering import format_formal_day, format_period
from outreach.messages import attachments
from outreach.messages.addresses import hash_address
from outreach.messages.channels import EnclosedFile
from outreach.messages.linting import refuse_pressure
from outreach.messages.models import Channel, Message, Purpose
from outreach.messages.queueing import queue_message

LONGEST_NAME = 40
"""Characters of the meeting's title in the name of the file."""


def circulate(meeting: Meeting, *, with_absent: bool) -> int:
    """Queues one letter to each address of those who signed in, or of all on the list; returns how
    many. The same minutes are sent to nobody twice, and are frozen as they are now. The meeting has
    to be locked."""
    if meeting.status is not MeetingStatus.HELD or not (meeting.minutes or meeting.decisions):
        raise Refused(_("会议召开并写好纪要后才能印发。"))
    readers = list_readers(meeting, with_absent=with_absent)
    if not readers:
        raise Refused(_("没有可以发到的人：名单上的人都没有登记邮箱。"))
    now, subject = version(meeting), f"关于印发“{meeting.title}”纪要的通知"
    keys = {address: _occurrence(meeting, now, address) for address in readers}
    had = _list_queued(keys)
    readers = {address: group for address, group in readers.items() if address not in had}
    if not readers:
        return 0
    items = [item.text for item in meeting.action_items]
    refuse_pressure("\n".join([meeting.title, meeting.minutes, meeting.decisions, *items]))
    file = attachments.keep(
        EnclosedFile(
            f"{meeting.title[:LONGEST_NAME]}纪要.docx", MEDIA_TYPE, write_minutes_file(meeting)
        )
    )
    units = {row.contact.unit_id for group in readers.values() for row in group if row.contact}
    solicitations = list_solicitations(meeting, units)
    queued = 0
    for address, group in readers.items():
        text = _write(meeting, group, subject)
        queued += queue_message(
            purpose=Purpose.MINUTES,
            channel=Channel.EMAIL,
            occurrence=keys[address],
            address=address,
            recipient_name=group[0].person.name,
            subject=subject,
            body_text=text,
            campaign_id=meeting.campaign_id,
            contact_id=group[0].contact_id,
            solicitation_ids=tuple(
                solicitations[row.contact.unit_id].id for row in group if row.contact
            ),
            reply_to=meeting.spokesperson.email if meeting.spokesperson else "",
            attachment=file,
        )
    meeting.circulated_at, meeting.circulated_version = clock.now(), now
    audit.record("circulate.minutes", f"meeting:{meeting.id}", queued=queued, version=now)
    return queued


def list_readers(meeting: Meeting, *, with_absent: bool) -> dict[str, list[Attendee]]:
    """By address; who answers for several units reads the minutes once."""
    readers: dict[str, list[Attendee]] = defaultdict(list)
    for attendee in meeting.attendees:
        if attendee.mailbox and (with_absent or attendee.signed_in_at):
            readers[attendee.mailbox].append(attendee)
    return dict(readers)


def _occurrence(meeting: Meeting, now: str, address: str) -> str:
    return f"minutes:{meeting.id}:{now}:{hash_address(Channel.EMAIL, address)[:16]}"


def _list_queued(keys: dict[str, str]) -> set[str]:
    """Addresses to which these minutes were sent before."""
    found = set(
        db.session.scalars(
            sa.select(Message.occurrence).where(Message.occurrence.in_(keys.values()))
        )
    )
    return {address for address, key in keys.items() if key in found}


def version(meeting: Meeting) -> str:
    """Changes whenever what the minutes say does."""
    items = [(item.text, item.owner_id, item.due_on) for item in meeting.action_items]
    text = repr((meeting.title, meeting.minutes, meeting.decisions, items))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _write(meeting: Meeting, group: list[Attendee], subject: str) -> str:
    template = current_app.jinja_env.get_template("meetings/circulation.txt")
    return (
        template.render(
            subject=subject,
            meeting=meeting,
            units=[row.contact.unit.name for row in group if row.contact],
            person=group[0].person,
            was_there=any(row.signed_in_at for row in group),
            period=format_period(meeting.starts_at, meeting.ends_at),
            sender=current_app.extensions["outreach.settings"].mail_sender_name,
            day=format_formal_day(clock.now()),
        ).strip()
        + "\n"
    )
