"""Changes to the people at a unit who answer for the campaign."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from flask import current_app
from flask_babel import lazy_gettext as _

from outreach import audit
from outreach.db import db
from outreach.errors import NotFound, Refused
from outreach.messages import dead_addresses, opt_outs
from outreach.messages.addresses import hash_address
from outreach.messages.models import Channel
from outreach.terms import Term
from outreach.units.models import Contact, ContactRole, Unit

OnNewAddress = Callable[[Contact], None]
"""What else changes when a contact was given an address; handed over in `app.py`."""


class RevealReason(Term):
    """Why somebody needs a number in full; the audit trail keeps it."""

    CALL = "call", _("电话联系")
    VISIT = "visit", _("安排走访")
    MEETING = "meeting", _("会议通知")
    CHECK = "check", _("核对信息")


@dataclass(frozen=True)
class Details:
    name: str
    title: str
    role: ContactRole
    mobile: str
    """E.164, or empty."""
    email: str
    """Lower case, or empty."""
    valid_from: date
    preferred_channel: Channel | None = None


def get_unit(unit_id: int) -> Unit:
    """Refused when it was merged into another: that one is to be changed."""
    unit = db.session.get(Unit, unit_id)
    if unit is None:
        raise NotFound(_("没有这个单位。"))
    if unit.merged_into_id is not None:
        raise Refused(_("“%(unit)s”已并入另一个单位，请到那个单位的页面修改。", unit=unit.name))
    return unit


def get_contact(contact_id: int) -> Contact:
    contact = db.session.get(Contact, contact_id)
    if contact is None or contact.erased_at is not None:
        raise NotFound(_("没有这位联系人，或其个人信息已按要求删除。"))
    return contact


def create_contact(unit: Unit, details: Details) -> Contact:
    contact = Contact(unit_id=unit.id, **vars(details))
    db.session.add(contact)
    db.session.flush()
    audit.record("create.contact", f"contact:{contact.id}", unit=unit.id)
    _tell_new_address(contact)
    return contact


def update_contact(contact: Contact, details: Details) -> None:
    _check_period(details.valid_from, contact.valid_to)
    changed = [name for name, value in vars(details).items() if getattr(contact, name) != value]
    for name in changed:
        setattr(contact, name, getattr(details, name))
    audit.record("change.contact", f"contact:{contact.id}", fields=changed)
    if {"mobile", "email"} & set(changed):
        db.session.flush()
        _tell_new_address(contact)


def hand_over(contact: Contact, successor: Details) -> Contact:
    """Somebody else answers for the unit from `successor.valid_from` on; the day before is the
    predecessor's last one."""
    last = successor.valid_from - timedelta(days=1)
    if contact.valid_to is not None and contact.valid_to < last:
        raise Refused(_("%(name)s已经离任。请直接添加新联系人。", name=contact.name))
    end_contact(contact, last)
    return create_contact(contact.unit, successor)


def end_contact(contact: Contact, valid_to: date | None) -> None:
    """`valid_to` is the last day on which the person answers for the unit; None takes it back."""
    _check_period(contact.valid_from, valid_to)
    contact.valid_to = valid_to
    day = valid_to.isoformat() if valid_to else None
    audit.record("end.contact", f"contact:{contact.id}", valid_to=day)


def reveal_contact(contact: Contact, reason: RevealReason) -> None:
    audit.record("reveal.contact", f"contact:{contact.id}", reason=reason)


def list_channels(contact: Contact) -> dict[Channel, datetime | None]:
    """The channels over which the contact has an address, each with the moment since when the
    person has been opted out of it."""
    return {
        channel: opt_outs.find(channel, address_hash)
        for channel in (Channel.EMAIL, Channel.SMS)
        if (address_hash := _hash(contact, channel))
    }


def opt_out_contact(contact: Contact, channel: Channel) -> None:
    if not opt_outs.add(channel, _hash(contact, channel), source="request"):
        raise Refused(_("该联系人已经退订，或没有这种联系方式。"))


def allow_contact(contact: Contact, channel: Channel, *, reason: str) -> None:
    """Takes an opt-out back; only on the person's own wish, which `reason` tells."""
    if not opt_outs.withdraw(channel, _hash(contact, channel), reason=reason):
        raise Refused(_("该联系人没有退订。"))


def list_bounced(contact: Contact) -> dict[Channel, datetime]:
    """The channels over which a message to the contact came back, with the moment: the address
    does not exist."""
    return {
        channel: at
        for channel in (Channel.EMAIL, Channel.SMS)
        if (at := dead_addresses.find(channel, _hash(contact, channel)))
    }


def verify_contact(contact: Contact, channel: Channel, *, reason: str) -> None:
    """Lets an address that a message came back from be written to again; `reason` tells how it
    was found to be right."""
    if not dead_addresses.verify(channel, _hash(contact, channel), reason=reason):
        raise Refused(_("没有消息从这个地址退回，不需要核实。"))


def _tell_new_address(contact: Contact) -> None:
    hooks: Sequence[OnNewAddress] = current_app.extensions["outreach.on_new_address"]
    for note in hooks:
        note(contact)


def _hash(contact: Contact, channel: Channel) -> str:
    return hash_address(channel, contact.email if channel is Channel.EMAIL else contact.mobile)


def _check_period(valid_from: date, valid_to: date | None) -> None:
    if valid_to is not None and valid_to < valid_from:
        raise Refused(_("截止日不能早于开始日 %(day)s。", day=valid_from.isoformat()))
