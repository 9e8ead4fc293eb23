"""Erases people. Gifts, and that a unit was written to, visited and invited, stay without them."""

from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from flask_babel import lazy_gettext as _

from outreach import audit, clock
from outreach.campaigns.models import Campaign, CampaignStatus, Solicitation
from outreach.db import db
from outreach.errors import Refused
from outreach.messages import opt_outs
from outreach.messages.erasure import erase_letters
from outreach.messages.models import Channel, Message
from outreach.privacy.queries import Dossier, find_person
from outreach.todos.models import Todo, TodoKind
from outreach.todos.queries import list_reachable
from outreach.todos.services import propose
from outreach.units.journal import rewrite_contact
from outreach.units.models import Contact, ContactRole

ERASED = "已删除"
"""What stands in the place of the name."""


@dataclass(frozen=True)
class Erasure:
    letter_count: int
    kept_out: list[Channel]
    """Channels of the addresses that will not be written to again, whoever brings them back."""


def erase_person(dossier: Dossier, *, basis: str, is_kept_out: bool) -> Erasure:
    """Erases a person; `basis` tells who asked and how that was checked. With `is_kept_out` the
    addresses are opted out of, but for those that others in the register have too. Refused while a
    message to the person is on its way."""
    # Whoever queues a letter to the person at this moment waits for the end of it.
    locked = sa.select(Contact).where(Contact.id.in_(dossier.ids)).order_by(Contact.id)
    contacts = db.session.scalars(
        locked.with_for_update().execution_options(populate_existing=True)
    ).all()
    kept_out = _keep_out(dossier) if is_kept_out else []
    letter_count = erase_letters(dossier.ids, name=ERASED)
    _empty_replies(dossier)
    for contact in contacts:
        _empty(contact)
        audit.record(
            "erase.contact",
            f"contact:{contact.id}",
            basis=basis,
            letters=letter_count,
            opted_out=[channel.value for channel in kept_out],
        )
    db.session.flush()
    for contact in contacts:
        rewrite_contact(contact)
        _have_successor_found(contact)
    return Erasure(letter_count, kept_out)


def erase_those_who_left(years: int, *, basis: str) -> tuple[int, int]:
    """Erases people whose last office ended more than so many years ago; returns how many, and how
    many have to wait because a message to them is in doubt. Commits after each."""
    today = clock.today()
    limit = today.replace(year=today.year - years, day=min(today.day, 28))
    has_left = sa.select(Contact.id).where(Contact.erased_at.is_(None), Contact.valid_to < limit)
    erased = waiting = 0
    for contact_id in db.session.scalars(has_left.order_by(Contact.id)).all():
        contact = db.session.get_one(Contact, contact_id)
        dossier = find_person(contact)
        is_elsewhere = any(
            other.valid_to is None or other.valid_to >= limit for other in dossier.contacts
        )
        if contact.erased_at is not None or is_elsewhere:
            continue
        try:
            erase_person(dossier, basis=basis, is_kept_out=False)
            db.session.commit()
            erased += 1
        except Refused:
            db.session.rollback()
            waiting += 1
    return erased, waiting


def sweep_letters() -> int:
    """Empties messages that were queued to people while they were being erased; returns how many
    messages."""
    is_left = (Contact.erased_at.is_not(None), Message.recipient_name != ERASED)
    ids = db.session.scalars(sa.select(Contact.id).join(Message).where(*is_left).distinct()).all()
    return erase_letters(ids, name=ERASED) if ids else 0


def _keep_out(dossier: Dossier) -> list[Channel]:
    others = {
        pair
        for contact in dossier.shared
        for pair in ((Channel.EMAIL, contact.email), (Channel.SMS, contact.mobile))
    }
    kept_out = []
    for (channel, address_hash), address in dossier.addresses.items():
        if (channel, address) not in others:
            opt_outs.add(channel, address_hash, source="erasure")
            kept_out.append(channel)
    return kept_out


def _empty_replies(dossier: Dossier) -> None:
    """What the person answered to text messages; that somebody read it stays."""
    of_theirs = (Todo.contact_id.in_(dossier.ids), Todo.kind == TodoKind.REPLY)
    for todo in db.session.scalars(sa.select(Todo).where(*of_theirs)):
        todo.reason = ERASED


def _empty(contact: Contact) -> None:
    yesterday = clock.today() - timedelta(days=1)
    contact.name = ERASED
    contact.title = contact.mobile = contact.email = ""
    contact.preferred_channel = None
    contact.valid_from = min(contact.valid_from, yesterday)
    contact.valid_to = min(contact.valid_to or yesterday, yesterday)
    contact.erased_at = clock.now()


def _have_successor_found(contact: Contact) -> None:
    """A unit that nobody can be written to about the campaign needs another coordinator."""
    if contact.role is not ContactRole.COORDINATOR or list_reachable([contact.unit_id]):
        return
    solicitations = db.session.scalars(
        sa.select(Solicitation)
        .join(Solicitation.campaign)
        .where(
            Solicitation.unit_id == contact.unit_id,
            Campaign.status == CampaignStatus.RUNNING,
            Solicitation.is_exempt.is_(False),
        )
    )
    for solicitation in solicitations:
        propose(
            solicitation.id,
            TodoKind.FIND_CONTACT,
            reason=str(_("原联系人的个人信息已按本人要求删除，请找到新的联络员")),
            due_on=clock.today(),
            key=f"erasure:{contact.id}:{solicitation.id}",
            contact_id=contact.id,
            owner_id=solicitation.solicitor_id,
        )
