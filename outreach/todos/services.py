"""What is proposed to people, and what they made of it."""

import hashlib
from collections.abc import Collection
from datetime import date, timedelta

import sqlalchemy as sa
from flask_babel import LazyString
from flask_babel import lazy_gettext as _

from outreach import audit, clock, workdays
from outreach.access import OFFICE
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, CampaignStatus, Solicitation, Stage, StageCause
from outreach.campaigns.services import advance_stage, record_contact
from outreach.db import db, insert_any_new
from outreach.errors import Conflict, Refused
from outreach.gifts.standings import find_standing
from outreach.messages.models import Message, MessageSolicitation
from outreach.todos.models import (
    ABOUT_PEOPLE,
    LADDER,
    LONGEST_REASON,
    Step,
    Todo,
    TodoKind,
    TodoOutcome,
    TodoStatus,
    step_after,
)
from outreach.todos.queries import find_by_client_key, find_secretary_general, list_reachable
from outreach.todos.rendering import tell_in_vain
from outreach.units.models import Contact


def propose(  # noqa: PLR0913
    solicitation_id: int,
    kind: TodoKind,
    *,
    reason: str,
    due_on: date,
    key: str,
    contact_id: int | None = None,
    owner_id: int | None = None,
) -> bool:
    """Puts a to-do on its owner's list; False when that `key` was proposed before, or the unit
    waits for the same thing already. Each reply is a thing of its own."""
    row = {
        "solicitation_id": solicitation_id,
        "contact_id": contact_id,
        "kind": kind,
        "status": TodoStatus.OPEN,
        "owner_id": owner_id,
        "due_on": due_on,
        "reason": reason[:LONGEST_REASON],
        "proposal_key": key,
        "created_at": clock.now(),
        "version": 1,
    }
    return bool(insert_any_new(Todo, [row]))


def propose_step(
    solicitation: Solicitation, kind: TodoKind, *, reason: str, key: str, owner: User | None
) -> date | None:
    """Proposes a step of the ladder for the next working day, after the unit's rest; its day, or
    None when the campaign is over by then or the step was proposed before."""
    campaign = solicitation.campaign
    rest = solicitation.snoozed_until or clock.today()
    due_on = _next_day(max(clock.today(), rest))
    if campaign.status is not CampaignStatus.RUNNING or due_on > campaign.ends_on:
        return None
    taker = _find_taker(kind, owner, solicitation)
    is_new = propose(
        solicitation.id,
        kind,
        reason=reason,
        due_on=due_on,
        key=key,
        owner_id=taker.id if taker else None,
    )
    return due_on if is_new else None


def settle(
    todo: Todo,
    *,
    outcome: TodoOutcome,
    by: User,
    note: str = "",
    client_key: str | None = None,
) -> Step | None:
    """Notes what came of a to-do; a unit that answered counts as contacted. Returns the step that
    follows because nobody answered. Conflict when somebody else has closed it."""
    if todo.kind not in LADDER and outcome is TodoOutcome.NO_ANSWER:
        raise Refused(_("还没有结果时，这件事保持待办。不再需要时请写明原因并取消。"))
    lock_open_todo(todo)
    _close(todo, outcome, by=by, note=note)
    todo.client_key = client_key
    audit.record("settle.todo", f"todo:{todo.id}", kind=todo.kind.value, outcome=outcome.value)
    if todo.kind in ABOUT_PEOPLE:
        return None
    if outcome is TodoOutcome.NO_ANSWER:
        return _go_on(todo)
    record_contact(todo.solicitation, clock.today())
    advance_stage(todo.solicitation, Stage.CONTACTED, cause=StageCause.TODO, by=by)
    return None


def drop(todo: Todo, *, reason: str, by: User) -> None:
    """Takes an open to-do off the list. What it was proposed for is not proposed again."""
    lock_open_todo(todo)
    _close(todo, None, by=by, note=reason)
    audit.record("drop.todo", f"todo:{todo.id}", kind=todo.kind.value)


def hand_over(todo: Todo, *, to: User, due_on: date) -> None:
    """Gives an open to-do another owner or day."""
    if not _may_own(to):
        raise Refused(_("%(name)s不能承办。请选择在用的工作人员账号。", name=to.name))
    lock_open_todo(todo)
    if due_on < clock.today() and due_on != todo.due_on:
        raise Refused(_("期限不能早于今天。"))
    todo.owner_id = to.id
    todo.due_on = due_on
    audit.record("hand_over.todo", f"todo:{todo.id}", owner=to.id, due_on=due_on.isoformat())


def withdraw_settled(campaign: Campaign, asked_ids: Collection[int]) -> None:
    """Closes the to-dos that time has overtaken: those about units that are not asked any more
    (their solicitations are not in `asked_ids`), and the search for a contact who was found."""
    todos = _take_open(Solicitation.campaign_id == campaign.id)
    searches = [todo for todo in todos if todo.kind is TodoKind.FIND_CONTACT]
    for todo in todos:
        if todo not in searches and _is_overtaken(todo, asked_ids):
            _close(todo, None, by=None, note=str(_tell_why(todo.solicitation)))
    found = list_reachable({todo.solicitation.unit_id for todo in searches})
    for todo in searches:
        for contact in found:
            if contact.unit_id == todo.solicitation.unit_id and contact.id != todo.contact_id:
                _end_search(todo, contact)


def _is_overtaken(todo: Todo, asked_ids: Collection[int]) -> bool:
    """Who answers for a unit is asked of all that belong to the year, whatever they have given;
    what a unit has said is read in any case."""
    solicitation = todo.solicitation
    if todo.kind is TodoKind.REPLY:
        return False
    if todo.kind is TodoKind.CONFIRM:
        return solicitation.is_exempt or solicitation.stage is Stage.DECLINED
    return todo.solicitation_id not in asked_ids


def note_new_address(contact: Contact) -> None:
    """The search for a contact ends when somebody who can be written to was registered."""
    if contact not in list_reachable({contact.unit_id}):
        return
    for todo in _take_open(
        Solicitation.unit_id == contact.unit_id, Todo.kind == TodoKind.FIND_CONTACT
    ):
        _end_search(todo, contact)


def note_reply(message: Message, words: str) -> None:
    """What people reply to a text message is read by somebody the same day, for each unit that the
    message was about. The same words to the same message count once."""
    digest = hashlib.sha256(words.encode()).hexdigest()[:16]
    solicitations = db.session.scalars(
        sa.select(Solicitation)
        .join(MessageSolicitation, MessageSolicitation.solicitation_id == Solicitation.id)
        .where(MessageSolicitation.message_id == message.id)
        .order_by(Solicitation.id)
    ).all()
    for solicitation in solicitations:
        taker = _find_taker(TodoKind.REPLY, None, solicitation)
        propose(
            solicitation.id,
            TodoKind.REPLY,
            reason=f"“{words[: LONGEST_REASON - 2]}”",
            due_on=clock.today(),
            key=f"reply:{message.id}:{digest}:{solicitation.id}",
            contact_id=message.contact_id,
            owner_id=taker.id if taker else None,
        )


def end_check(solicitation: Solicitation, *, by: User | None) -> None:
    """The unit has said who answers for it: nobody need ask on the telephone."""
    for todo in _take_open(Todo.solicitation_id == solicitation.id, Todo.kind == TodoKind.CONFIRM):
        _close(todo, TodoOutcome.SETTLED, by=by, note=str(_("已核对")))


def was_settled(todo: Todo, client_key: str | None) -> bool:
    """Whether this very log has arrived before. Of two at the same moment the second waits."""
    lock_todo(todo)
    return find_by_client_key(client_key) is not None


def lock_todo(todo: Todo) -> None:
    """Reads to-do and unit anew and keeps others from changing them until the commit."""
    db.session.flush()
    for statement in (
        sa.select(Todo).filter_by(id=todo.id).with_for_update(),
        # Not a full lock: rows of others may refer to the solicitation meanwhile.
        sa.select(Solicitation).filter_by(id=todo.solicitation_id).with_for_update(key_share=True),
    ):
        db.session.scalars(statement, execution_options={"populate_existing": True}).one()


def lock_open_todo(todo: Todo) -> None:
    """The same; Conflict when it was closed meanwhile."""
    lock_todo(todo)
    if todo.status is TodoStatus.OPEN:
        return
    name = todo.settled_by.name if todo.settled_by else _("系统")
    what = todo.outcome.label if todo.outcome else todo.status.label
    raise Conflict(_("%(name)s已办结这件事（%(what)s）。", name=name, what=what))


def _go_on(todo: Todo) -> Step | None:
    """The visit is left to its planner, who knows where there is room."""
    following = step_after(todo.kind)
    if following is None or not find_standing(todo.solicitation).is_outstanding:
        return None
    if not isinstance(following, TodoKind):
        return following
    day = propose_step(
        todo.solicitation,
        following,
        reason=tell_in_vain(todo),
        key=f"todo:{todo.id}",
        owner=todo.owner,
    )
    return following if day else None


def _find_taker(kind: TodoKind, owner: User | None, solicitation: Solicitation) -> User | None:
    if kind is TodoKind.PRESIDENT:
        return find_secretary_general()
    candidates = (owner, solicitation.solicitor)
    return next((user for user in candidates if user is not None and _may_own(user)), None)


def _may_own(user: User) -> bool:
    return user.is_enabled and user.role in OFFICE


def _next_day(after: date) -> date:
    """The next working day. In a year that nobody knows it is the next weekday: a day that turns
    out to be a holiday harms nobody, a step without a day would be forgotten."""
    try:
        return workdays.next_workday(after)
    except workdays.CalendarUnknown:
        day = after + timedelta(days=1)
        while day.weekday() > 4:
            day += timedelta(days=1)
        return day


def _take_open(*about: sa.ColumnElement[bool]) -> list[Todo]:
    return list(
        db.session.scalars(
            sa.select(Todo)
            .join(Todo.solicitation)
            .where(Todo.status == TodoStatus.OPEN, *about)
            .order_by(Todo.id)
            # A row that somebody is working on is theirs.
            .with_for_update(of=Todo, skip_locked=True),
            execution_options={"populate_existing": True},
        )
    )


def _end_search(todo: Todo, contact: Contact) -> None:
    if todo.is_open:
        note = _("已登记联络员%(name)s", name=contact.name)
        _close(todo, TodoOutcome.SETTLED, by=None, note=str(note))


def _close(todo: Todo, outcome: TodoOutcome | None, *, by: User | None, note: str) -> None:
    """Without an outcome it is dropped; without a person it closed itself."""
    by_id = by.id if by else None
    todo.status = TodoStatus.DONE if outcome else TodoStatus.DROPPED
    todo.outcome = outcome
    todo.note = note
    todo.settled_at = clock.now()
    todo.settled_by_id = by_id
    if todo.owner_id is None:
        todo.owner_id = by_id


def _tell_why(solicitation: Solicitation) -> LazyString:
    if solicitation.is_exempt:
        return _("本年度不再劝募这个单位")
    if solicitation.stage is Stage.DECLINED:
        return _("单位已婉拒")
    return _("单位已到账或已认捐")
