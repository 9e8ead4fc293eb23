"""A unit says who answers for it this year: through its link, or to somebody on the telephone."""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from http import HTTPStatus

import sqlalchemy as sa
from flask_babel import lazy_gettext as _

from outreach import audit, clock
from outreach.accounts.models import User
from outreach.campaigns.models import CampaignStatus, Solicitation
from outreach.db import db
from outreach.errors import Conflict, OutreachError, Refused
from outreach.messages.models import Channel
from outreach.relay.models import RelayAnswer
from outreach.relay.queries import find_answer, find_current, list_current
from outreach.todos import services as todos
from outreach.units import contacts
from outreach.units.contacts import Details
from outreach.units.models import Contact, ContactRole, Unit
from outreach.units.queries import find_head_count
from outreach.units.services import count_heads

WINDOW = timedelta(hours=1)
MOST_ANSWERS = 20
"""About one unit in `WINDOW`: a person changes their mind less often than a script."""


class TooManyAnswers(OutreachError):
    status = HTTPStatus.TOO_MANY_REQUESTS


@dataclass(frozen=True)
class Person:
    """Who is named; empty where nothing was said, which leaves what is known."""

    name: str = ""
    title: str = ""
    mobile: str = ""
    """E.164, or empty."""
    email: str = ""
    """Lower case, or empty."""


@dataclass(frozen=True)
class Named:
    """What is said about one part: the person stays, with what is new about them, or another
    has come, or nobody has it any more."""

    person: Person
    is_new: bool = False
    is_nobody: bool = False


@dataclass(frozen=True)
class Reply:
    coordinator: Named
    leader: Named
    seen: str
    """`mark_people` as the answering person read it."""
    head_count: int | None = None
    preferred_channel: Channel | None = None
    payroll_month: int | None = None
    note: str = ""


def answer(
    solicitation: Solicitation,
    reply: Reply,
    *,
    by: User | None,
    coordinator: Contact | None = None,
) -> RelayAnswer:
    """Takes the answer down and changes the unit's contacts by it; `by` is None when the unit
    answers through its link, which is that of `coordinator`. Conflict when the people were changed
    since the page was read."""
    unit, campaign = solicitation.unit, solicitation.campaign
    _lock(solicitation)
    if campaign.status is CampaignStatus.CLOSED:
        raise Refused(_("活动已经结束，不再核对。"))
    if reply.seen != mark_people(unit):
        raise Conflict(
            _("这家单位的联系人刚刚有人改过，您填的还没有保存。请看清现在的登记，再提交一次。")
        )
    subject = f"solicitation:{solicitation.id}"
    answers = audit.count_since(clock.now() - WINDOW, "answer.relay", subject)
    if by is None and answers >= MOST_ANSWERS:
        raise TooManyAnswers(_("更改次数过多。请一小时后再试，或直接回复邮件告诉我们。"))
    coordinator = coordinator or find_current(unit, ContactRole.COORDINATOR)
    preferred = reply.preferred_channel
    _note_person(unit, ContactRole.COORDINATOR, coordinator, reply.coordinator, preferred)
    leader = find_current(unit, ContactRole.LEADER)
    _note_person(unit, ContactRole.LEADER, leader, reply.leader)
    known = find_head_count(unit.id, campaign.id)
    if reply.head_count is not None and (known is None or known.count != reply.head_count):
        count_heads(unit, campaign.id, reply.head_count)
    row = find_answer(solicitation) or RelayAnswer(solicitation_id=solicitation.id)
    row.answered_at, row.by_id = clock.now(), by.id if by else None
    row.has_successor = bool(row.has_successor) or (
        coordinator is not None and reply.coordinator.is_new
    )
    row.payroll_month, row.note = reply.payroll_month, reply.note
    db.session.add(row)
    db.session.flush()
    todos.end_check(solicitation, by=by)
    means = "phone" if by else "link"
    audit.record("answer.relay", subject, by=means)
    return row


def mark_people(unit: Unit) -> str:
    """Changes whenever one of its coordinators or leaders does."""
    roles = (ContactRole.COORDINATOR, ContactRole.LEADER)
    found = [one for role in roles for one in list_current(unit, role)]
    return " ".join(f"{one.id}.{one.version}" for one in found)


def _note_person(
    unit: Unit,
    role: ContactRole,
    current: Contact | None,
    named: Named,
    preferred: Channel | None = None,
) -> None:
    person = named.person
    if current is not None and named.is_nobody:
        _end(current, clock.today())
    elif named.is_new and current is not None:
        contacts.hand_over(current, _details(person, role, _first_day(current), preferred))
    elif named.is_new:
        contacts.create_contact(unit, _details(person, role, clock.today(), preferred))
    elif current is not None:
        _correct(current, person, preferred)


def _details(
    person: Person, role: ContactRole, valid_from: date, preferred: Channel | None
) -> Details:
    return Details(**vars(person), role=role, valid_from=valid_from, preferred_channel=preferred)


def _first_day(predecessor: Contact) -> date:
    """Today; the predecessor has at least one day."""
    return max(clock.today(), predecessor.valid_from + timedelta(days=1))


def _end(contact: Contact, today: date) -> None:
    contacts.end_contact(contact, max(contact.valid_from, today - timedelta(days=1)))


def _correct(contact: Contact, person: Person, preferred: Channel | None) -> None:
    """Puts in what was said anew."""
    names = ("name", "title", "role", "mobile", "email", "valid_from", "preferred_channel")
    known = Details(**{name: getattr(contact, name) for name in names})
    said = {name: value for name, value in vars(person).items() if value}
    if contact.role is ContactRole.COORDINATOR:
        said["preferred_channel"] = preferred
    if (details := replace(known, **said)) != known:
        contacts.update_contact(contact, details)


def _lock(solicitation: Solicitation) -> None:
    """Of two answers about one unit the second sees what the first has changed."""
    db.session.execute(
        sa.select(Solicitation.id).filter_by(id=solicitation.id).with_for_update(key_share=True)
    )
    db.session.expire(solicitation.unit, ["contacts"])
