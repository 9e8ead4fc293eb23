"""What the send gate asks about replies: what a unit has said is read before it is asked again."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from outreach.campaigns.models import Solicitation
from outreach.db import db
from outreach.messages.gate import (
    Candidate,
    Subject,
    Withheld,
    about_units,
    all_solicitations,
    asked_of,
    found,
    screened,
)
from outreach.messages.models import Purpose, WithheldReason
from outreach.todos.models import Todo, TodoKind, TodoStatus
from outreach.units.models import Unit

_IS_UNREAD = (Todo.kind == TodoKind.REPLY) & (Todo.status == TodoStatus.OPEN)


def has_unread_reply(subject: Subject) -> sa.ColumnElement[bool]:
    return found(
        sa.select(Todo.id).where(Todo.solicitation_id == subject.solicitation_id, _IS_UNREAD)
    )


@screened(has_unread_reply)
@asked_of(Purpose.REMINDER)
def check_unread_reply(candidates: Sequence[Candidate], _now: datetime) -> dict[int, Withheld]:
    """It may say «we have given», or whom to ask instead. Its words stay with the to-do."""
    rows = db.session.execute(
        sa.select(Todo.solicitation_id, Unit.name, Todo.created_at)
        .join(Todo.solicitation)
        .join(Solicitation.unit)
        .where(Todo.solicitation_id.in_(all_solicitations(candidates)), _IS_UNREAD)
        .order_by(Todo.created_at, Todo.id)
    )
    facts = {
        solicitation_id: {"unit": unit, "at": at.isoformat()} for solicitation_id, unit, at in rows
    }
    return about_units(candidates, WithheldReason.UNREAD_REPLY, facts)
