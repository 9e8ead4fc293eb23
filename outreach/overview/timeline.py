"""Everything that happened with a unit in a campaign, on one line of time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time

import sqlalchemy as sa
from flask_babel import LazyString
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import joinedload, selectinload

from outreach import clock
from outreach.campaigns.models import SectorMove, Solicitation, StageChange
from outreach.db import db
from outreach.gifts.models import Gift, GroupKind, Pledge
from outreach.meetings.models import Attendee, Meeting, MeetingStatus
from outreach.messages import gate
from outreach.messages.models import Message, MessageSolicitation, MessageStatus, Wave
from outreach.messages.queries import explain, sending_state
from outreach.money import format_yuan
from outreach.reminders.models import WaveMember
from outreach.terms import Term
from outreach.todos.models import Todo
from outreach.todos.rendering import icon_of
from outreach.units.models import Contact
from outreach.visits.models import Visit, VisitPhoto, VisitStatus

NOON = time(12)
"""Where events that know only their day stand on the line."""


@dataclass(frozen=True)
class Entry:
    at: datetime
    icon: str
    title: str | LazyString
    detail: str = ""
    who: str = ""
    badge: Term | None = None
    message_id: int | None = None
    wave_id: int | None = None
    meeting_id: int | None = None
    todo_id: int | None = None
    group_id: int | None = None
    visit_id: int | None = None
    """Of one that was logged."""
    photos: Sequence[VisitPhoto] = ()
    is_ahead: bool = False
    has_hour: bool = True
    """False for what is known by its day only."""


def unit_timeline(solicitation: Solicitation) -> list[Entry]:
    """Newest first; what is planned stands above today."""
    entries = [
        *_stage_changes(solicitation),
        *_sector_moves(solicitation),
        *_messages(solicitation),
        *_left_out(solicitation),
        *_visits(solicitation),
        *_todos(solicitation),
        *_meetings(solicitation),
        *_pledges(solicitation),
        *_gifts(solicitation),
    ]
    return sorted(entries, key=lambda entry: entry.at, reverse=True)


def _stage_changes(solicitation: Solicitation) -> Iterator[Entry]:
    changes = db.session.scalars(
        sa.select(StageChange)
        .filter_by(solicitation_id=solicitation.id)
        .options(joinedload(StageChange.by))
    )
    for change in changes:
        yield Entry(
            at=change.at,
            icon="flag",
            title=_(
                "进展由“%(before)s”变为“%(after)s”",
                before=change.from_stage.label,
                after=change.to_stage.label,
            ),
            detail=change.note,
            who=change.by.name if change.by else str(change.cause.label),
        )


def _sector_moves(solicitation: Solicitation) -> Iterator[Entry]:
    moves = db.session.scalars(
        sa.select(SectorMove)
        .filter_by(solicitation_id=solicitation.id)
        .options(joinedload(SectorMove.by))
    )
    for move in moves:
        yield Entry(
            at=move.at,
            icon="arrow-right",
            title=_("板块由“%(before)s”改为“%(after)s”", before=move.from_name, after=move.to_name),
            detail=move.reason,
            who=move.by.name if move.by else "",
        )


def _messages(solicitation: Solicitation) -> Iterator[Entry]:
    messages = db.session.scalars(
        sa.select(Message)
        .join(MessageSolicitation)
        .where(MessageSolicitation.solicitation_id == solicitation.id)
        .options(joinedload(Message.wave))
    ).all()
    is_waiting = any(message.status is MessageStatus.QUEUED for message in messages)
    sending = sending_state(clock.now()) if is_waiting else None
    for message in messages:
        yield Entry(
            at=message.sent_at or message.status_at,
            icon="mail" if message.channel == "email" else "device-mobile",
            title=f"{message.purpose.label} · {message.channel.label}",
            detail=explain(message, sending) or message.subject or message.body_text,
            who=message.recipient_name,
            badge=message.status,
            message_id=message.id,
        )


def _left_out(solicitation: Solicitation) -> Iterator[Entry]:
    """Waves that went out and that the unit was not written to by, though their filter chose it."""
    chosen = db.session.execute(
        sa.select(Wave, WaveMember)
        .join(WaveMember, WaveMember.wave_id == Wave.id)
        .where(WaveMember.solicitation_id == solicitation.id)
    )
    for wave, member in chosen:
        if wave.started_at and member.withheld_reason:
            yield Entry(
                at=wave.started_at,
                icon="mail",
                title=f"{wave.purpose.label} · {wave.name}",
                detail=gate.describe(member.withheld_reason, member.facts),
                badge=MessageStatus.WITHHELD,
                wave_id=wave.id,
            )


def _visits(solicitation: Solicitation) -> Iterator[Entry]:
    visits = db.session.scalars(
        sa.select(Visit)
        .filter_by(solicitation_id=solicitation.id)
        .options(joinedload(Visit.visitor), selectinload(Visit.photos))
    )
    for visit in visits:
        is_ahead = visit.status in {VisitStatus.PROPOSED, VisitStatus.PLANNED}
        yield Entry(
            at=visit.logged_at or clock.at(visit.planned_on, visit.planned_time or NOON),
            icon="walk",
            title=_("走访：%(outcome)s", outcome=visit.outcome.label)
            if visit.outcome
            else _("走访"),
            detail=visit.note or visit.reason,
            who=visit.visitor.name if visit.visitor else "",
            badge=visit.status,
            visit_id=visit.id if visit.outcome else None,
            photos=visit.photos,
            is_ahead=is_ahead,
            has_hour=visit.logged_at is not None or visit.planned_time is not None,
        )


def _todos(solicitation: Solicitation) -> Iterator[Entry]:
    todos = db.session.scalars(
        sa.select(Todo)
        .filter_by(solicitation_id=solicitation.id)
        .options(joinedload(Todo.owner), joinedload(Todo.settled_by))
    )
    for todo in todos:
        who = todo.settled_by or todo.owner
        yield Entry(
            at=todo.settled_at or clock.at(todo.due_on, NOON),
            icon=icon_of(todo.kind),
            title=_("%(what)s：%(outcome)s", what=todo.kind.label, outcome=todo.outcome.label)
            if todo.outcome
            else todo.kind.label,
            detail=todo.note or todo.reason,
            who=who.name if who else "",
            badge=None if todo.outcome else todo.status,
            todo_id=todo.id,
            is_ahead=todo.is_open,
            has_hour=todo.settled_at is not None,
        )


def _meetings(solicitation: Solicitation) -> Iterator[Entry]:
    attendees = db.session.scalars(
        sa.select(Attendee)
        .join(Attendee.meeting)
        .join(Attendee.contact)
        .where(
            Meeting.campaign_id == solicitation.campaign_id,
            Contact.unit_id == solicitation.unit_id,
        )
        .options(joinedload(Attendee.meeting), joinedload(Attendee.contact))
    )
    for attendee in attendees:
        meeting = attendee.meeting
        yield Entry(
            at=meeting.starts_at,
            icon="users",
            title=meeting.title,
            detail=str(_("已签到") if attendee.signed_in_at else attendee.partstat.label),
            who=attendee.contact.name if attendee.contact else "",
            badge=meeting.status,
            meeting_id=meeting.id,
            is_ahead=meeting.status is MeetingStatus.PLANNED,
        )


def _pledges(solicitation: Solicitation) -> Iterator[Entry]:
    pledges = db.session.scalars(
        sa.select(Pledge)
        .filter_by(solicitation_id=solicitation.id)
        .options(joinedload(Pledge.recorded_by))
    )
    for pledge in pledges:
        yield Entry(
            at=pledge.recorded_at,
            icon="note",
            title=_("认捐 %(amount)s 元", amount=format_yuan(pledge.amount_fen)),
            detail=_describe_due(pledge)
            + (f" · {_('已由新的认捐代替')}" if pledge.withdrawn_at else ""),
            who=pledge.recorded_by.name if pledge.recorded_by else "",
        )


def _describe_due(pledge: Pledge) -> str:
    if len(pledge.instalments) == 1:
        return str(_("约定 %(day)s 前到账", day=pledge.due_on))
    return "、".join(
        str(_("%(day)s 前 %(amount)s 元", day=part.due_on, amount=format_yuan(part.amount_fen)))
        for part in pledge.instalments
    )


def _gifts(solicitation: Solicitation) -> Iterator[Entry]:
    gifts = db.session.scalars(
        sa.select(Gift)
        .filter_by(campaign_id=solicitation.campaign_id, unit_id=solicitation.unit_id)
        .options(joinedload(Gift.recorded_by), joinedload(Gift.group))
        .order_by(Gift.id)
    )
    together: dict[object, list[Gift]] = {}
    for gift in gifts:
        together.setdefault(_event_of(gift), []).append(gift)
    for parts in together.values():
        first = parts[0]
        amount = format_yuan(abs(sum(part.amount_fen for part in parts)))
        yield Entry(
            at=clock.at(first.received_on, NOON),
            has_hour=False,
            icon="coin",
            title=_("冲销 %(amount)s 元", amount=amount)
            if first.reversal_of_id
            else _("到账 %(amount)s 元", amount=amount),
            detail=" · ".join(filter(None, _describe_gift(parts))),
            who=first.recorded_by.name if first.recorded_by else "",
            group_id=first.group_id if _is_part(first) else None,
        )


def _is_part(gift: Gift) -> bool:
    return gift.group is not None and gift.group.kind is GroupKind.REMITTANCE


def _event_of(gift: Gift) -> object:
    """The same for parts of one payment that came, or were taken back, together."""
    if not _is_part(gift):
        return gift.id
    return gift.group_id, gift.reversal_of_id is None, gift.received_on, gift.note


def _describe_gift(parts: list[Gift]) -> Iterator[str]:
    first = parts[0]
    if len(parts) == 1:
        yield str(first.kind.label)
        yield first.designation
    else:
        yield "、".join(_describe_part(part) for part in parts)
    yield str(first.channel.label)
    if first.group and _is_part(first) and len(parts) < first.group.stated_count:
        yield str(
            _(
                "属于一笔 %(amount)s 元的款项，共 %(count)s 部分",
                amount=format_yuan(first.group.stated_fen),
                count=first.group.stated_count,
            )
        )
    yield first.note


def _describe_part(part: Gift) -> str:
    amount = format_yuan(abs(part.amount_fen))
    text = str(_("%(kind)s %(amount)s 元", kind=part.kind.label, amount=amount))
    return f"{text}（{part.designation}）" if part.designation else text
