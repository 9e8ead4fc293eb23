"""Answers that calendars send by mail (METHOD:REPLY; RFC 5546, 3.2.3), told from the other mail in
the mailbox that bounces come back to.

They were written by strangers. One counts when it names the signed address that its invitation
gave as organizer, the meeting's UID, and the invited person as the one who answers: who was merely
forwarded the invitation answers for nobody."""

import email
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.errors import MessageError
from email.message import Message
from typing import Any

from flask_babel import lazy_gettext as _
from icalendar import Calendar

from outreach.meetings import answers, links
from outreach.meetings.models import PartStat
from outreach.meetings.queries import lock_attendee
from outreach.messages.notices import MOST_BOUNDARIES
from outreach.terms import Term

MOST_OCTETS = 64 * 1024
"""Of a calendar object that is read; an answer has one or two thousand."""
ANSWERS = {
    partstat.value.upper(): partstat for partstat in PartStat if partstat != PartStat.NEEDS_ACTION
}
TYPES = ("text/calendar", "application/ics")


class Reply(Term):
    TAKEN = "taken", _("会议回复")
    LATE = "late", _("过时的会议回复")
    """About an earlier time of the meeting, or from before the answer that is known."""
    STRANGE = "strange", _("对不上的会议回复")


@dataclass(frozen=True)
class _Answer:
    attendee_ids: frozenset[int]
    uid: str
    sequence: int
    at: datetime
    partstats: Mapping[str, tuple[PartStat, str]]
    """By address in lower case: the answer, and the name of who comes instead."""


def take(mails: Iterable[bytes], now: datetime) -> tuple[Counter[Reply], list[bytes]]:
    """Takes in the answers; returns what they were, and the mails that are none. Safe to be given
    a mail again."""
    taken: Counter[Reply] = Counter()
    others = []
    for data in mails:
        reply = _find_reply(data)
        if reply is None:
            others.append(data)
        else:
            mail, calendar = reply
            answer = _read(mail, calendar, now)
            taken[_note(answer) if answer else Reply.STRANGE] += 1
    return taken, others


def summarise(taken: Mapping[Reply, int]) -> str:
    """«会议回复 2，过时的会议回复 1»; empty when there was none."""
    return "，".join(f"{reply.label} {taken[reply]}" for reply in Reply if taken.get(reply))


def _find_reply(data: bytes) -> tuple[Message, Any] | None:
    if data.lower().count(b"boundary=") > MOST_BOUNDARIES:
        return None
    try:
        mail = email.message_from_bytes(data)
        parts = [part for part in mail.walk() if part.get_content_type() in TYPES]
    except (RecursionError, MessageError):
        return None
    for part in parts:
        content: Any = part.get_payload(decode=True)
        if not isinstance(content, bytes) or len(content) > MOST_OCTETS:
            continue
        try:
            calendar = Calendar.from_ical(content.decode("utf-8", "replace"))
        except (ValueError, KeyError, IndexError, RecursionError):
            continue
        if str(calendar.get("METHOD", "")).upper() == "REPLY":
            return mail, calendar
    return None


def _read(mail: Message, calendar: Any, now: datetime) -> _Answer | None:
    events = calendar.walk("VEVENT")
    if len(events) != 1:
        return None
    event = events[0]
    try:
        sequence, stamp = int(event.get("SEQUENCE", 0)), event["DTSTAMP"].dt
        attendees = event.get("ATTENDEE", [])
        headers = " ".join(str(value) for value in mail.values())
        return _Answer(
            attendee_ids=frozenset(links.find_attendees(f"{headers} {event.get('ORGANIZER')}")),
            uid=str(event["UID"]),
            sequence=sequence,
            # A clock that is ahead must not keep later answers out.
            at=min(stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC), now),
            partstats=_read_partstats(attendees if isinstance(attendees, list) else [attendees]),
        )
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError):
        return None


def _read_partstats(attendees: list[Any]) -> dict[str, tuple[PartStat, str]]:
    names = {_address(row): _clean(row.params.get("CN", "")) for row in attendees}
    found: dict[str, tuple[PartStat, str]] = {}
    for row in attendees:
        partstat = ANSWERS.get(str(row.params.get("PARTSTAT", "")).upper())
        if partstat:
            delegate = row.params.get("DELEGATED-TO", "")
            address = _address(delegate[0] if isinstance(delegate, list) and delegate else delegate)
            found[_address(row)] = (partstat, names.get(address, ""))
    return found


def _clean(name: Any) -> str:
    return "".join(letter for letter in str(name) if letter.isprintable()).strip()[:60]


def _address(value: Any) -> str:
    return str(value).strip('"').lower().removeprefix("mailto:")


def _note(answer: _Answer) -> Reply:
    if len(answer.attendee_ids) != 1:
        return Reply.STRANGE
    attendee = lock_attendee(next(iter(answer.attendee_ids)))
    if attendee is None or attendee.meeting.uid != answer.uid:
        return Reply.STRANGE
    said = answer.partstats.get(attendee.person.email.lower())
    if said is None:
        return Reply.STRANGE
    partstat, delegate_name = said
    is_taken = answers.take_reply(
        attendee, partstat, sequence=answer.sequence, at=answer.at, delegate_name=delegate_name
    )
    return Reply.TAKEN if is_taken else Reply.LATE
