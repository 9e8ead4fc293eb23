"""What is kept about a person. One person may be several contacts: of several units, or of one unit
at several times."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import sqlalchemy as sa
from flask_babel import LazyString
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import joinedload

from outreach.audit import AuditEvent
from outreach.campaigns.models import Campaign, Solicitation, StageChange
from outreach.db import db
from outreach.meetings.models import ActionItem, Attendee, Meeting
from outreach.messages.addresses import hash_address
from outreach.messages.models import Channel, Message, OptOut, Wave
from outreach.relay.models import RelayAnswer
from outreach.reminders.models import WaveMember
from outreach.todos.models import Todo
from outreach.units.models import Contact, Unit
from outreach.visits.models import Visit


@dataclass(frozen=True)
class Mention:
    """A text that holds the person's name. It may mean somebody else of that name."""

    label: LazyString
    campaign: Campaign
    unit: Unit | None
    meeting: Meeting | None
    text: str


@dataclass(frozen=True)
class Dossier:
    """The person that a contact is, with all that is kept."""

    contact: Contact
    contacts: Sequence[Contact]
    """Every row of the person, that of `contact` among them, the newest first."""

    @property
    def ids(self) -> list[int]:
        return [contact.id for contact in self.contacts]

    @cached_property
    def addresses(self) -> dict[tuple[Channel, str], str]:
        """By channel and hash."""
        ways = [
            pair
            for contact in self.contacts
            for pair in ((Channel.EMAIL, contact.email), (Channel.SMS, contact.mobile))
        ]
        return {
            (channel, address_hash): address
            for channel, address in ways
            if (address_hash := hash_address(channel, address))
        }

    @cached_property
    def shared(self) -> list[Contact]:
        """Other people in the register with the same number or address."""
        emails = {contact.email for contact in self.contacts} - {""}
        mobiles = {contact.mobile for contact in self.contacts} - {""}
        has_same = sa.or_(Contact.email.in_(emails), Contact.mobile.in_(mobiles))
        others = sa.select(Contact).where(has_same, Contact.id.not_in(self.ids))
        return list(db.session.scalars(others.order_by(Contact.id)))

    @cached_property
    def opt_outs(self) -> list[OptOut]:
        hashes = [address_hash for _channel, address_hash in self.addresses]
        rows = db.session.scalars(sa.select(OptOut).where(OptOut.address_hash.in_(hashes)))
        return [row for row in rows if (row.channel, row.address_hash) in self.addresses]

    @cached_property
    def letters(self) -> list[Message]:
        return list(
            db.session.scalars(
                sa.select(Message)
                .where(Message.contact_id.in_(self.ids))
                .order_by(Message.queued_at.desc(), Message.id.desc())
            )
        )

    @cached_property
    def memberships(self) -> Sequence[sa.Row[Wave, WaveMember]]:
        """Waves whose audience the person was in, whether or not they were written to."""
        return db.session.execute(
            sa.select(Wave, WaveMember)
            .join(WaveMember, WaveMember.wave_id == Wave.id)
            .where(WaveMember.contact_id.in_(self.ids))
            .order_by(WaveMember.id.desc())
        ).all()

    @cached_property
    def invitations(self) -> list[Attendee]:
        return list(
            db.session.scalars(
                sa.select(Attendee)
                .where(Attendee.contact_id.in_(self.ids))
                .options(joinedload(Attendee.meeting))
                .order_by(Attendee.id.desc())
            )
        )

    @cached_property
    def todos(self) -> list[Todo]:
        return list(
            db.session.scalars(
                sa.select(Todo).where(Todo.contact_id.in_(self.ids)).order_by(Todo.id.desc())
            )
        )

    @cached_property
    def events(self) -> list[AuditEvent]:
        subjects = [f"contact:{id_}" for id_ in self.ids]
        return list(
            db.session.scalars(
                sa.select(AuditEvent)
                .where(AuditEvent.subject.in_(subjects))
                .order_by(AuditEvent.id.desc())
            )
        )

    @cached_property
    def mentions(self) -> list[Mention]:
        """What people wrote about the person's units, and at meetings."""
        unit_ids = {contact.unit_id for contact in self.contacts}
        found = [*_in_units(unit_ids, self.contact.name), *_in_meetings(self.contact.name)]
        return [mention for mention in found if self.contact.name in mention.text]


def find_person(contact: Contact) -> Dossier:
    """The contact with its other rows: of the same name, at the same unit or with the same number
    or address."""
    is_same = [Contact.unit_id == contact.unit_id]
    is_same += [Contact.email == contact.email] if contact.email else []
    is_same += [Contact.mobile == contact.mobile] if contact.mobile else []
    rows = db.session.scalars(
        sa.select(Contact)
        .where(Contact.name == contact.name, Contact.erased_at.is_(None), sa.or_(*is_same))
        .options(joinedload(Contact.unit))
        .order_by(Contact.valid_from.desc(), Contact.id.desc())
    )
    return Dossier(contact, list(rows))


def _in_units(unit_ids: set[int], name: str) -> Iterator[Mention]:
    about: list[tuple[LazyString, sa.Select[Solicitation, str]]] = [
        (_("走访记录"), _texts(Visit.note, Visit.solicitation_id)),
        (_("走访事由"), _texts(Visit.reason, Visit.solicitation_id)),
        (_("待办事由"), _texts(Todo.reason, Todo.solicitation_id)),
        (_("待办结果"), _texts(Todo.note, Todo.solicitation_id)),
        (_("进展说明"), _texts(StageChange.note, StageChange.solicitation_id)),
        (_("核对备注"), _texts(RelayAnswer.note, RelayAnswer.solicitation_id)),
        (_("下一步"), _texts(Solicitation.next_action, Solicitation.id)),
    ]
    for label, texts in about:
        rows = db.session.execute(
            texts.where(Solicitation.unit_id.in_(unit_ids)).options(
                joinedload(Solicitation.unit), joinedload(Solicitation.campaign)
            )
        )
        for solicitation, text in rows:
            if name in text:
                yield Mention(label, solicitation.campaign, solicitation.unit, None, text)


def _texts(
    column: sa.orm.InstrumentedAttribute[str], key: sa.orm.InstrumentedAttribute[int]
) -> sa.Select[Solicitation, str]:
    is_about = Solicitation.id == key
    return sa.select(Solicitation, column).where(is_about, column != "").order_by(Solicitation.id)


def _in_meetings(name: str) -> Iterator[Mention]:
    written = (Meeting.agenda, Meeting.minutes, Meeting.decisions)
    has_name = sa.or_(*(column.contains(name, autoescape=True) for column in written))
    for meeting in db.session.scalars(sa.select(Meeting).where(has_name).order_by(Meeting.id)):
        text = "\n".join((meeting.agenda, meeting.minutes, meeting.decisions))
        yield Mention(_("会议议程与纪要"), meeting.campaign, None, meeting, text)
    for column, label in (
        (Attendee.delegate_name, _("代为参会")),
        (ActionItem.text, _("会议待办")),
    ):
        rows = db.session.execute(
            sa.select(Meeting, column)
            .join(column.class_, column.class_.meeting_id == Meeting.id)
            .where(column.contains(name, autoescape=True))
            .order_by(Meeting.id)
        )
        for meeting, text in rows:
            yield Mention(label, meeting.campaign, None, meeting, text)
