"""A person's calendar as iCalendar text (RFC 5545). It leaves the house: it is Chinese and has no
numbers of telephones; what more there is to know is behind the link of each entry."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from urllib.parse import urlsplit

from flask import current_app
from icalendar import STATUS, Calendar, Event

from outreach import clock
from outreach.accounts.models import User
from outreach.feeds import queries
from outreach.meetings.models import MeetingStatus
from outreach.meetings.rendering import time_zone
from outreach.web import external_url

VISIT_TAKES = timedelta(hours=1)
EVERY = timedelta(hours=1)
"""How often a program is asked to look again."""


def build_feed(user: User) -> bytes:
    calendar = Calendar()
    calendar.add("VERSION", "2.0")
    calendar.add("PRODID", "-//Outreach//Calendar of a person//ZH")
    calendar.add("METHOD", "PUBLISH")
    calendar.add("X-WR-CALNAME", f"慈善一日捐 · {user.name}")
    calendar.add("REFRESH-INTERVAL", EVERY, {"VALUE": "DURATION"})
    calendar.add("X-PUBLISHED-TTL", EVERY)
    for event in (*_visits(user), *_meetings(user), *_action_items(user), *_todos(user)):
        calendar.add_component(event)
    calendar.add_component(time_zone())
    return bytes(calendar.to_ical())


def _visits(user: User) -> Iterator[Event]:
    for visit in queries.list_visits(user):
        unit = visit.solicitation.unit
        start, end = _whole(visit.planned_on)
        if visit.planned_time:
            start = datetime.combine(visit.planned_on, visit.planned_time, clock.SHANGHAI)
            end = start + VISIT_TAKES
        yield Event.new(
            uid=_uid(f"visit-{visit.id}"),
            sequence=visit.version,
            stamp=clock.now(),
            start=start,
            end=end,
            summary=f"走访 {unit.short_name or unit.name}",
            location=unit.address or unit.district or None,
            description=visit.reason or None,
            url=external_url(
                "visits.log_visit",
                campaign_code=visit.solicitation.campaign.code,
                visit_id=visit.id,
            ),
            status=STATUS.CONFIRMED,
        )


def _meetings(user: User) -> Iterator[Event]:
    for meeting in queries.list_meetings(user):
        is_cancelled = meeting.status is MeetingStatus.CANCELLED
        yield Event.new(
            uid=meeting.uid,
            sequence=meeting.sequence,
            stamp=clock.now(),
            start=clock.local(meeting.starts_at),
            end=clock.local(meeting.ends_at),
            summary=meeting.title,
            location=meeting.place or None,
            url=external_url(
                "meetings.meeting", campaign_code=meeting.campaign.code, meeting_id=meeting.id
            ),
            status=STATUS.CANCELLED if is_cancelled else STATUS.CONFIRMED,
        )


def _action_items(user: User) -> Iterator[Event]:
    for item in queries.list_action_items(user):
        of = f"（{item.unit.name}）" if item.unit else ""
        campaign = item.meeting.campaign
        url = external_url(
            "meetings.meeting", campaign_code=campaign.code, meeting_id=item.meeting_id
        )
        yield _due(f"action-{item.id}", f"会议待办：{item.text}{of}", item.due_on, url)


def _todos(user: User) -> Iterator[Event]:
    for todo in queries.list_todos(user):
        solicitation = todo.solicitation
        url = external_url("todos.todo", campaign_code=solicitation.campaign.code, todo_id=todo.id)
        summary = f"{todo.kind.label}：{solicitation.unit.name}"
        yield _due(f"todo-{todo.id}", summary, todo.due_on, url)


def _due(name: str, summary: str, day: date, url: str) -> Event:
    """What is overdue stands on today, where it is seen."""
    start, end = _whole(max(day, clock.today()))
    stamp = clock.now()
    return Event.new(uid=_uid(name), stamp=stamp, start=start, end=end, summary=summary, url=url)


def _whole(day: date) -> tuple[date | datetime, date | datetime]:
    return day, day + timedelta(days=1)


def _uid(name: str) -> str:
    base = current_app.extensions["outreach.settings"].public_base_url
    return f"{name}@{urlsplit(base).hostname}"
