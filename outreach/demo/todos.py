"""What there is to do about units that did not answer, at each step of the ladder."""

from collections import defaultdict
from datetime import date, time, timedelta

import sqlalchemy as sa

from outreach import clock
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, Solicitation, Stage
from outreach.db import db
from outreach.gifts.standings import list_standings
from outreach.messages.models import Message, MessageSolicitation, MessageStatus
from outreach.todos.models import Todo, TodoKind, TodoOutcome, TodoStatus
from outreach.visits.models import OPEN, Visit, VisitOutcome, VisitStatus

CALLS_AHEAD = (-1, 0, 2)
"""Days from today on which each solicitor's calls are due."""


def make_todos(campaign: Campaign, secretary: User) -> None:
    by_solicitor: defaultdict[int | None, list[Solicitation]] = defaultdict(list)
    for solicitation in _list_silent(campaign):
        by_solicitor[solicitation.solicitor_id].append(solicitation)
    groups = sorted(by_solicitor.values(), key=len, reverse=True)
    waiting = [groups[0].pop() for _ in groups[0][-3:]] if groups else []
    for number, group in enumerate(groups):
        for days, solicitation in zip(CALLS_AHEAD[number % 2 :], group, strict=False):
            _open(solicitation, TodoKind.CALL, days, "提醒发出后 5 个工作日未回应")
        for solicitation in group[3:4]:
            _close(solicitation, TodoKind.CALL, 1, TodoOutcome.NO_ANSWER, "打了两次，无人接听")
    for solicitation in waiting:
        _close(solicitation, TodoKind.CALL, 6, TodoOutcome.NO_ANSWER, "号码能通，无人接听")
        _find_closed(solicitation, _day(4))
    for solicitation in waiting[:2]:
        _open(solicitation, TodoKind.LEADER, 1, f"{_day(4):%m-%d} 走访未见到负责人")
    for solicitation in waiting[2:]:
        _close(solicitation, TodoKind.LEADER, 2, TodoOutcome.NO_ANSWER, "领导出差，未回电话")
        todo = _open(solicitation, TodoKind.PRESIDENT, 0, f"{_day(2):%m-%d} 与分管领导沟通没有答复")
        todo.owner_id = secretary.id
    for solicitation, contact_id in _list_refused(campaign)[:2]:
        todo = _open(solicitation, TodoKind.FIND_CONTACT, 0, "邮件被退回：对方拒收")
        todo.contact_id = contact_id
    db.session.flush()


def _list_silent(campaign: Campaign) -> list[Solicitation]:
    """Units that were reminded and have not been heard of since, and that nobody is to visit."""
    visited = set(
        db.session.scalars(sa.select(Visit.solicitation_id).where(Visit.status.in_(OPEN)))
    )
    asked = (s.solicitation for s in list_standings(campaign, outstanding_only=True))
    return [
        solicitation
        for solicitation in asked
        if solicitation.stage is Stage.CONTACTED
        and solicitation.last_contact_on is None
        and solicitation.snoozed_until is None
        and solicitation.id not in visited
    ]


def _list_refused(campaign: Campaign) -> list[tuple[Solicitation, int]]:
    """Units whose reminder was refused, each with the contact whom it should have reached."""
    rows = db.session.execute(
        sa.select(Solicitation, Message.contact_id)
        .join(MessageSolicitation, MessageSolicitation.solicitation_id == Solicitation.id)
        .join(Message, Message.id == MessageSolicitation.message_id)
        .where(
            Solicitation.campaign_id == campaign.id,
            Message.status == MessageStatus.FAILED,
            Message.contact_id.is_not(None),
        )
        .order_by(Solicitation.id)
    )
    return [(solicitation, contact_id) for solicitation, contact_id in rows if contact_id]


def _open(solicitation: Solicitation, kind: TodoKind, days: int, reason: str) -> Todo:
    todo = Todo(
        solicitation_id=solicitation.id,
        kind=kind,
        owner_id=solicitation.solicitor_id,
        due_on=clock.today() + timedelta(days=days),
        reason=reason,
        created_at=clock.now() - timedelta(days=2),
    )
    db.session.add(todo)
    return todo


def _close(
    solicitation: Solicitation, kind: TodoKind, days_ago: int, outcome: TodoOutcome, note: str
) -> None:
    todo = _open(solicitation, kind, -days_ago, "提醒发出后 5 个工作日未回应")
    todo.status, todo.outcome, todo.note = TodoStatus.DONE, outcome, note
    todo.created_at = clock.at(_day(days_ago), time(7))
    todo.settled_at = clock.at(_day(days_ago), time(15, 20))
    todo.settled_by_id = solicitation.solicitor_id


def _find_closed(solicitation: Solicitation, day: date) -> None:
    db.session.add(
        Visit(
            solicitation_id=solicitation.id,
            visitor_id=solicitation.solicitor_id,
            status=VisitStatus.LOGGED,
            planned_on=day,
            outcome=VisitOutcome.NOT_IN,
            note="未见到负责人，材料留给值班同志。",
            logged_at=clock.at(day, time(10, 30)),
            created_at=clock.at(day, time(7)),
        )
    )


def _day(days_ago: int) -> date:
    return clock.today() - timedelta(days=days_ago)
