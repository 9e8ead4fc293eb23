"""Reads of to-dos. A liaison's reads are scoped to the sectors that they serve."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import joinedload

from outreach import clock
from outreach.access import Role
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, Solicitation, Stage
from outreach.campaigns.queries import in_scope
from outreach.db import db
from outreach.errors import NotFound
from outreach.gifts.queries import UnitMoney
from outreach.messages.addresses import hash_address
from outreach.messages.models import Channel, FailureKind, Message, OptOut
from outreach.terms import Term
from outreach.todos.models import (
    LADDER,
    VISIT,
    Todo,
    TodoKind,
    TodoOutcome,
    TodoStatus,
    step_after,
)
from outreach.units.models import Contact, ContactRole, Unit

DEAD = (FailureKind.BOUNCED, FailureKind.REJECTED)
"""After such a failure the address does not count as one that can be written to."""


class TodoView(Term):
    """What the list of to-dos shows."""

    MINE = "mine", _("我的")
    ALL = "all", _("全部")
    OVERDUE = "overdue", _("已逾期")
    DONE = "done", _("已办结")


@dataclass(frozen=True)
class Ladder:
    """The steps of `LADDER` that were taken about one unit, open ones last."""

    todos: Sequence[Todo] = ()

    @property
    def is_waiting(self) -> bool:
        """Somebody is to take a step: nothing else is proposed meanwhile."""
        return any(todo.is_open for todo in self.todos)

    @property
    def unanswered(self) -> Todo | None:
        """The last step that was taken, when nobody answered."""
        taken = [todo for todo in self.todos if todo.status is TodoStatus.DONE]
        return taken[-1] if taken and taken[-1].outcome is TodoOutcome.NO_ANSWER else None

    @property
    def wants_visit(self) -> Todo | None:
        """The step after which a visit is tried."""
        todo = self.unanswered
        return todo if todo is not None and step_after(todo.kind) == VISIT else None

    @property
    def closed_at(self) -> datetime | None:
        """When a person last had to do with it: settled a step, or decided against one."""
        moments = [todo.settled_at for todo in self.todos if todo.settled_by_id is not None]
        return max((at for at in moments if at is not None), default=None)


def list_ladders(campaign: Campaign) -> dict[int, Ladder]:
    """By solicitation; only those about which a step was ever proposed."""
    return _read_ladders(Solicitation.campaign_id == campaign.id)


def find_ladder(solicitation: Solicitation) -> Ladder:
    found = _read_ladders(Todo.solicitation_id == solicitation.id)
    return found.get(solicitation.id, Ladder())


def select_todos(
    campaign: Campaign,
    viewer: User,
    view: TodoView = TodoView.ALL,
    kind: TodoKind | None = None,
) -> sa.Select[Todo]:
    """Open to-dos by day, closed ones newest first; only what the viewer may see."""
    statement = (
        sa.select(Todo)
        .join(Todo.solicitation)
        .where(Solicitation.campaign_id == campaign.id, in_scope(viewer, Solicitation.sector_id))
        .options(*_WITH_UNIT, joinedload(Todo.settled_by))
    )
    if kind is not None:
        statement = statement.where(Todo.kind == kind)
    if view is TodoView.DONE:
        closed = statement.where(Todo.status != TodoStatus.OPEN)
        return closed.order_by(Todo.settled_at.desc(), Todo.id.desc())
    statement = statement.where(Todo.status == TodoStatus.OPEN)
    if view is TodoView.MINE:
        statement = statement.where(Todo.owner_id == viewer.id)
    if view is TodoView.OVERDUE:
        statement = statement.where(Todo.due_on < clock.today(), is_due(campaign))
    return statement.order_by(Todo.due_on, Todo.id)


def get_todo(campaign: Campaign, todo_id: int, viewer: User) -> Todo:
    todo = db.session.scalar(
        sa.select(Todo)
        .join(Todo.solicitation)
        .where(
            Todo.id == todo_id,
            Solicitation.campaign_id == campaign.id,
            in_scope(viewer, Solicitation.sector_id),
        )
        .options(*_WITH_UNIT)
    )
    if todo is None:
        raise NotFound(_("没有这件待办，或不在您负责的范围内。"))
    return todo


def find_by_client_key(client_key: str | None) -> Todo | None:
    """The to-do that was settled with this key, when the same log was sent before."""
    if not client_key:
        return None
    return db.session.scalar(sa.select(Todo).filter_by(client_key=client_key))


@dataclass(frozen=True)
class Agenda:
    """What one person has to do."""

    due: list[Todo]
    """Today, the longest overdue first."""
    ahead_count: int
    """Open, but not due yet."""


def read_agenda(campaign: Campaign, owner: User) -> Agenda:
    mine = select_todos(campaign, owner, TodoView.MINE).add_columns(is_due(campaign))
    rows = db.session.execute(mine).all()
    return Agenda(
        due=[todo for todo, has_come in rows if has_come],
        ahead_count=sum(todo.due_on > clock.today() for todo, _has_come in rows),
    )


def is_due(campaign: Campaign) -> sa.ColumnElement[bool]:
    """Condition on to-dos joined with their solicitations: open, its day has come, and nothing
    speaks against it: the unit has not given, promised or declined, and is not at rest. What a
    unit says itself is read in any case."""
    today = clock.today()
    money = UnitMoney(campaign.id)
    asked = (
        sa.select(Solicitation.id)
        .select_from(money.source)
        .where(
            money.is_in_campaign,
            money.is_outstanding,
            sa.or_(money.due_on.is_(None), money.due_on < today),
        )
        # Not the solicitation that the to-do was joined with.
        .correlate(None)
    )
    return sa.and_(
        Todo.status == TodoStatus.OPEN,
        Todo.due_on <= today,
        sa.or_(
            Todo.kind == TodoKind.REPLY,
            Solicitation.snoozed_until.is_(None),
            Solicitation.snoozed_until < today,
        ),
        sa.or_(
            Todo.kind.in_((TodoKind.FIND_CONTACT, TodoKind.REPLY)),
            sa.and_(
                Todo.kind == TodoKind.CONFIRM,
                Solicitation.is_exempt.is_(False),
                Solicitation.stage != Stage.DECLINED,
            ),
            Todo.solicitation_id.in_(asked),
        ),
    )


def list_open(campaign: Campaign, unit_ids: Collection[int]) -> dict[int, list[Todo]]:
    """Open to-dos about these units, by unit and day."""
    todos = db.session.scalars(
        sa.select(Todo)
        .join(Todo.solicitation)
        .where(
            Solicitation.campaign_id == campaign.id,
            Solicitation.unit_id.in_(unit_ids),
            Todo.status == TodoStatus.OPEN,
        )
        .options(*_WITH_UNIT)
        .order_by(Todo.due_on, Todo.id)
    )
    found: defaultdict[int, list[Todo]] = defaultdict(list)
    for todo in todos:
        found[todo.solicitation.unit_id].append(todo)
    return dict(found)


def list_waiting_units(campaign: Campaign) -> set[int]:
    """Units about which there is something to do."""
    return set(
        db.session.scalars(
            sa.select(Solicitation.unit_id)
            .join(Todo, Todo.solicitation_id == Solicitation.id)
            .where(Solicitation.campaign_id == campaign.id, Todo.status == TodoStatus.OPEN)
        )
    )


@dataclass(frozen=True)
class Card:
    """A to-do with the person whom it takes one to."""

    todo: Todo
    contact: Contact | None
    shows_phone: bool
    """The number may be shown in full: the reader is the one who has to call today."""

    @property
    def unit(self) -> Unit:
        return self.todo.solicitation.unit


def list_cards(todos: Sequence[Todo], reader: User) -> list[Card]:
    """In the order of the to-dos; the number of queries does not depend on theirs."""
    if not todos:
        return []
    today = clock.today()
    unit_ids = {todo.solicitation.unit_id for todo in todos}
    people = [
        contact
        for contact in db.session.scalars(sa.select(Contact).where(Contact.unit_id.in_(unit_ids)))
        if contact.is_valid_on(today)
    ]
    return [
        Card(
            todo=todo,
            contact=_whom(todo, people),
            shows_phone=todo.is_open
            and todo.due_on <= today
            and not todo.is_resting(today)
            and todo.owner_id == reader.id,
        )
        for todo in todos
    ]


def find_secretary_general() -> User | None:
    """The one with the fewest open to-dos, when there are several."""
    load = (
        sa.select(sa.func.count(Todo.id))
        .where(Todo.owner_id == User.id, Todo.status == TodoStatus.OPEN)
        .scalar_subquery()
    )
    return db.session.scalar(
        sa.select(User)
        .where(User.role == Role.SECRETARY_GENERAL, User.is_enabled)
        .order_by(load, User.id)
        .limit(1)
    )


def list_reachable(unit_ids: Collection[int]) -> list[Contact]:
    """Coordinators in office to whom a reminder could go: with an address that nobody opted out
    and from which nothing came back."""
    today = clock.today()
    coordinators = db.session.scalars(
        sa.select(Contact)
        .where(Contact.unit_id.in_(unit_ids), Contact.role == ContactRole.COORDINATOR)
        .order_by(Contact.id)
    )
    hashes = {c: _hashes(c) for c in coordinators if c.is_valid_on(today)}
    every = set().union(*hashes.values())
    dead = set(
        db.session.scalars(
            sa.union(
                sa.select(OptOut.address_hash).where(OptOut.address_hash.in_(every)),
                sa.select(Message.address_hash).where(
                    Message.address_hash.in_(every), Message.failure.in_(DEAD)
                ),
            )
        )
    )
    return [contact for contact, own in hashes.items() if own - dead]


def _hashes(contact: Contact) -> set[str]:
    found = {
        hash_address(Channel.EMAIL, contact.email),
        hash_address(Channel.SMS, contact.mobile),
    }
    return found - {""}


_WITH_UNIT: tuple[Any, ...] = (
    joinedload(Todo.solicitation).joinedload(Solicitation.unit),
    joinedload(Todo.solicitation).joinedload(Solicitation.sector),
    joinedload(Todo.owner),
)

_SUPERIORS = {TodoKind.LEADER, TodoKind.PRESIDENT}


def _whom(todo: Todo, people: Sequence[Contact]) -> Contact | None:
    """The contact that the to-do names while in office, or who has the role; a number before
    none."""
    role = ContactRole.LEADER if todo.kind in _SUPERIORS else ContactRole.COORDINATOR
    fitting = [
        contact
        for contact in people
        if contact.unit_id == todo.solicitation.unit_id
        and (contact.role is role or contact.id == todo.contact_id)
    ]
    return max(
        fitting,
        key=lambda contact: (contact.id == todo.contact_id, bool(contact.mobile), contact.id),
        default=None,
    )


def _read_ladders(about: sa.ColumnElement[bool]) -> dict[int, Ladder]:
    todos = db.session.scalars(
        sa.select(Todo)
        .join(Todo.solicitation)
        .where(about, Todo.kind.in_([step for step in LADDER if isinstance(step, TodoKind)]))
        .options(joinedload(Todo.owner))
        .order_by(Todo.settled_at.is_(None), Todo.settled_at, Todo.id)
    )
    by_unit: defaultdict[int, list[Todo]] = defaultdict(list)
    for todo in todos:
        by_unit[todo.solicitation_id].append(todo)
    return {key: Ladder(found) for key, found in by_unit.items()}
