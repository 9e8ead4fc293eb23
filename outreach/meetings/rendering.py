"""A meeting as an iCalendar object (RFC 5545, 5546) and as a formal notice (会议通知).

What leaves the house is Chinese, whatever language the sender's pages are in; it names the one
attendee that it is written to and nobody else.
"""

from datetime import date, datetime
from enum import StrEnum
from functools import cache

from flask import current_app
from icalendar import STATUS, Calendar, Event, Timezone, vCalAddress

from outreach import clock
from outreach.meetings import links
from outreach.meetings.models import Attendee, Meeting, MeetingStatus, PartStat

WEEKDAYS = "一二三四五六日"


class Method(StrEnum):
    """What an iCalendar object asks of its reader (RFC 5546, 3.2)."""

    PUBLISH = "PUBLISH"
    REQUEST = "REQUEST"
    CANCEL = "CANCEL"


def build_calendar(meeting: Meeting, method: Method, attendee: Attendee | None = None) -> str:
    """The iCalendar text; without an attendee it names nobody but the organizer."""
    event = Event.new(
        uid=meeting.uid,
        sequence=meeting.sequence,
        stamp=clock.now(),
        start=clock.local(meeting.starts_at),
        end=clock.local(meeting.ends_at),
        summary=meeting.title,
        location=meeting.place or None,
        description=meeting.agenda or None,
        organizer=_organizer(meeting, attendee),
        attendees=[_attendee(attendee)] if attendee else None,
        status=STATUS.CANCELLED if meeting.status is MeetingStatus.CANCELLED else STATUS.CONFIRMED,
    )
    calendar = Calendar()
    calendar.add("VERSION", "2.0")
    calendar.add("PRODID", "-//Outreach//Coordination meetings//ZH")
    calendar.add("METHOD", method.value)
    calendar.add_component(event)
    calendar.add_component(time_zone())
    return calendar.to_ical().decode()


@cache
def time_zone() -> Timezone:
    """Asia/Shanghai, whose clocks have not changed since 1991. To work it out takes longer than to
    write all the rest of a calendar."""
    return Timezone.from_tzinfo(clock.SHANGHAI, first_date=date(2000, 1, 1))


def render_notice(meeting: Meeting, attendees: list[Attendee]) -> tuple[str, str]:
    """Subject and text for one address; several attendees when it answers for several units."""
    is_cancelled = meeting.status is MeetingStatus.CANCELLED
    is_update = attendees[0].invited_sequence is not None
    subject = (
        f"关于取消“{meeting.title}”的通知"
        if is_cancelled
        else f"关于调整“{meeting.title}”安排的通知"
        if is_update
        else f"关于召开“{meeting.title}”的通知"
    )
    text = current_app.jinja_env.get_template("meetings/notice.txt").render(
        subject=subject,
        meeting=meeting,
        person=attendees[0].person,
        link=links.answer_link(attendees[0]),
        units=[attendee.contact.unit.name for attendee in attendees if attendee.contact],
        is_cancelled=is_cancelled,
        is_update=is_update,
        period=format_period(meeting.starts_at, meeting.ends_at),
        sender=current_app.extensions["outreach.settings"].mail_sender_name,
        day=format_formal_day(clock.now()),
    )
    return subject, text.strip() + "\n"


def format_period(start: datetime, end: datetime) -> str:
    """«2026年10月22日（星期四）14:30—16:00»"""
    weekday = WEEKDAYS[clock.day_of(start).weekday()]
    hours = f"{clock.local(start):%H:%M}—{clock.local(end):%H:%M}"
    return f"{format_formal_day(start)}(星期{weekday}){hours}"


def format_formal_day(instant: datetime) -> str:
    day = clock.day_of(instant)
    return f"{day.year}年{day.month}月{day.day}日"


def _organizer(meeting: Meeting, attendee: Attendee | None) -> vCalAddress:
    """Where calendars send their replies: to the mailbox that is read here, at an address of the
    attendee's own, or without such a mailbox to the organizer in person, or to the federation."""
    settings, person = current_app.extensions["outreach.settings"], meeting.spokesperson
    sender = settings.mail_sender
    read_here = links.reply_address(attendee) if attendee else ""
    address = read_here or (person and person.email) or sender
    name = person.name if person else settings.mail_sender_name
    return vCalAddress.new(address, cn=name, sent_by=sender if address != sender else None)


def _attendee(attendee: Attendee) -> vCalAddress:
    return vCalAddress.new(
        attendee.person.email,
        cn=attendee.person.name,
        cutype="INDIVIDUAL",
        role="REQ-PARTICIPANT",
        partstat=attendee.partstat.value.upper(),
        rsvp=attendee.partstat is PartStat.NEEDS_ACTION,
    )
