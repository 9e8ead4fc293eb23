"""What has happened with the units of a campaign since they were reminded."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from outreach import clock
from outreach.campaigns.models import Campaign, Solicitation, StageCause, StageChange
from outreach.db import db
from outreach.gifts.models import Gift, Pledge
from outreach.messages.models import Message, MessageSolicitation, MessageStatus, Purpose
from outreach.todos.models import ABOUT_PEOPLE, Todo, TodoKind, TodoOutcome
from outreach.todos.queries import Ladder, list_ladders
from outreach.visits.models import Visit


@dataclass(frozen=True)
class Reminder:
    """The last one that reached a unit."""

    message_id: int
    contact_id: int | None
    sent_at: datetime


@dataclass(frozen=True)
class History:
    """By solicitation."""

    keys: set[str | None]
    """What was proposed before, as a visit or as a to-do."""
    waiting: set[int]
    """Those with an open visit."""
    last_visits: dict[int, Visit]
    ladders: dict[int, Ladder]
    answers: dict[int, datetime]
    changes: dict[int, datetime]
    reminders: dict[int, Reminder]

    def ladder(self, solicitation_id: int) -> Ladder:
        return self.ladders.get(solicitation_id, Ladder())

    def has_heard(self, solicitation: Solicitation, *, since: datetime) -> bool:
        """Whether the unit answered, or was visited or met, after `since`; a reminder that was
        sent later is no answer."""
        key = solicitation.id
        visit = self.last_visits.get(key)
        heard = (self.answers.get(key), self.changes.get(key), visit.logged_at if visit else None)
        reminder = self.reminders.get(key)
        asked_on = clock.day_of(max(since, reminder.sent_at) if reminder else since)
        was_met = (solicitation.last_contact_on or asked_on) > asked_on
        return was_met or any(at and at > since for at in heard)


def read_history(campaign: Campaign) -> History:
    keys, waiting, last_visits = _read_visits(campaign)
    ladders = list_ladders(campaign)
    keys |= {todo.proposal_key for ladder in ladders.values() for todo in ladder.todos}
    return History(
        keys=keys,
        waiting=waiting,
        last_visits=last_visits,
        ladders=ladders,
        answers=_last_answers(campaign),
        changes=_last_changes(campaign),
        reminders=_last_reminders(campaign),
    )


def _read_visits(campaign: Campaign) -> tuple[set[str | None], set[int], dict[int, Visit]]:
    """Keys that are taken, solicitations with an open visit, and the last logged visit of each."""
    visits = db.session.scalars(
        sa.select(Visit)
        .join(Visit.solicitation)
        .where(Solicitation.campaign_id == campaign.id)
        .order_by(Visit.logged_at, Visit.id)
        .options(joinedload(Visit.visitor))
    ).all()
    return (
        {visit.proposal_key for visit in visits},
        {visit.solicitation_id for visit in visits if visit.is_open},
        {visit.solicitation_id: visit for visit in visits if visit.logged_at},
    )


def _last_reminders(campaign: Campaign) -> dict[int, Reminder]:
    rows = db.session.execute(
        sa.select(
            MessageSolicitation.solicitation_id, Message.id, Message.contact_id, Message.sent_at
        )
        .join(Message, Message.id == MessageSolicitation.message_id)
        .join(Solicitation, Solicitation.id == MessageSolicitation.solicitation_id)
        .where(
            Solicitation.campaign_id == campaign.id,
            Message.purpose == Purpose.REMINDER,
            Message.status.in_((MessageStatus.SENT, MessageStatus.DELIVERED)),
        )
        .order_by(Message.sent_at, Message.id)
    )
    return {
        solicitation_id: Reminder(message_id, contact_id, sent_at)
        for solicitation_id, message_id, contact_id, sent_at in rows
        if sent_at is not None
    }


def _last_answers(campaign: Campaign) -> dict[int, datetime]:
    """When each unit last promised or gave something, replied, or answered to a to-do."""
    given = (
        sa.select(Solicitation.id, Gift.recorded_at)
        .join(
            Gift,
            (Gift.unit_id == Solicitation.unit_id) & (Gift.campaign_id == Solicitation.campaign_id),
        )
        .where(Solicitation.campaign_id == campaign.id, Gift.amount_fen > 0)
    )
    promised = (
        sa.select(Solicitation.id, Pledge.recorded_at)
        .join(Pledge, Pledge.solicitation_id == Solicitation.id)
        .where(Solicitation.campaign_id == campaign.id)
    )
    told = (
        sa.select(Solicitation.id, Todo.settled_at)
        .join(Todo, Todo.solicitation_id == Solicitation.id)
        .where(
            Solicitation.campaign_id == campaign.id,
            Todo.outcome == TodoOutcome.SETTLED,
            Todo.settled_at.is_not(None),
            Todo.kind.not_in(ABOUT_PEOPLE),
        )
    )
    replied = (
        sa.select(Solicitation.id, Todo.created_at)
        .join(Todo, Todo.solicitation_id == Solicitation.id)
        .where(Solicitation.campaign_id == campaign.id, Todo.kind == TodoKind.REPLY)
    )
    return _newest(given, promised, told, replied)


def _last_changes(campaign: Campaign) -> dict[int, datetime]:
    """When somebody last moved each unit to another stage; machines do not count."""
    return _newest(
        sa.select(Solicitation.id, StageChange.at)
        .join(StageChange, StageChange.solicitation_id == Solicitation.id)
        .where(
            Solicitation.campaign_id == campaign.id,
            StageChange.cause.not_in((StageCause.MESSAGE, StageCause.DEMO)),
        )
    )


def _newest(*statements: sa.Select[int, Any]) -> dict[int, datetime]:
    newest: dict[int, datetime] = {}
    for statement in statements:
        for key, at in db.session.execute(statement):
            newest[key] = max(at, newest.get(key, at))
    return newest
