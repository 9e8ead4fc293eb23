"""Reads of visits, and what a visitor wants to know before the door."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import joinedload

from outreach import clock
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, Solicitation
from outreach.campaigns.queries import in_scope
from outreach.db import db
from outreach.errors import NotFound
from outreach.gifts.models import Gift, Pledge
from outreach.messages.models import Message, MessageSolicitation, MessageStatus, Purpose
from outreach.units.models import Contact, ContactRole, Unit
from outreach.visits.models import OPEN, Visit, VisitPhoto, VisitStatus


def select_visits(campaign: Campaign, viewer: User | None = None) -> sa.Select[Visit]:
    """Visits of a campaign with unit and visitor loaded; only what the viewer may see."""
    statement = (
        sa.select(Visit)
        .join(Visit.solicitation)
        .where(Solicitation.campaign_id == campaign.id)
        .options(
            joinedload(Visit.solicitation).joinedload(Solicitation.unit), joinedload(Visit.visitor)
        )
    )
    return (
        statement if viewer is None else statement.where(in_scope(viewer, Solicitation.sector_id))
    )


def get_visit(campaign: Campaign, visit_id: int, viewer: User) -> Visit:
    visit = db.session.scalar(select_visits(campaign, viewer).where(Visit.id == visit_id))
    if visit is None:
        raise NotFound(_("没有这次走访，或不在您负责的范围内。"))
    return visit


def get_photo(campaign: Campaign, photo_id: int, viewer: User) -> VisitPhoto:
    photo = db.session.scalar(
        sa.select(VisitPhoto)
        .join(VisitPhoto.visit)
        .join(Visit.solicitation)
        .where(
            VisitPhoto.id == photo_id,
            Solicitation.campaign_id == campaign.id,
            in_scope(viewer, Solicitation.sector_id),
        )
    )
    if photo is None:
        raise NotFound(_("没有这张照片，可能已被删除，或不在您负责的范围内。"))
    return photo


def find_by_client_key(client_key: str | None) -> Visit | None:
    """The visit that was logged with this key, when the same log was sent before."""
    if not client_key:
        return None
    return db.session.scalar(sa.select(Visit).filter_by(client_key=client_key))


def list_open_or_sent(solicitation_id: int, client_key: str | None) -> list[Visit]:
    """The unit's open visit, and the one that was logged with this key."""
    wanted = sa.and_(Visit.solicitation_id == solicitation_id, Visit.status.in_(OPEN))
    if client_key:
        wanted = sa.or_(wanted, Visit.client_key == client_key)
    return list(db.session.scalars(sa.select(Visit).where(wanted)))


def find_open_visit(solicitation_id: int) -> Visit | None:
    return db.session.scalar(
        sa.select(Visit).where(Visit.solicitation_id == solicitation_id, Visit.status.in_(OPEN))
    )


def list_open_ahead(
    campaign: Campaign, viewer: User, *, besides: Visit | None = None
) -> list[Visit]:
    """Open visits of today and later that somebody is to make, by person and day."""
    visits = list_visits(campaign, viewer=viewer, first=clock.today(), status=OPEN)
    return sorted(
        (visit for visit in visits if visit.visitor_id and visit is not besides),
        key=lambda visit: (visit.visitor_id or 0, visit.planned_on),
    )


def list_companions(visit: Visit) -> list[Visit]:
    """Open visits that go along with this one, or with those."""
    with_it = sa.select(Visit.id).where(Visit.parent_id == visit.id, Visit.status.in_(OPEN))
    ids = with_it.cte(recursive=True)
    ids = ids.union(sa.select(Visit.id).where(Visit.parent_id == ids.c.id, Visit.status.in_(OPEN)))
    statement = sa.select(Visit).where(Visit.id.in_(sa.select(ids.c.id))).order_by(Visit.id)
    return list(db.session.scalars(statement))


def find_follow_up(visit: Visit) -> Visit | None:
    """The visit that was proposed because of this one."""
    return db.session.scalar(sa.select(Visit).filter_by(proposal_key=f"visit:{visit.id}"))


def list_visits(
    campaign: Campaign,
    *,
    viewer: User | None = None,
    visitor_id: int | None = None,
    first: date | None = None,
    last: date | None = None,
    status: VisitStatus | Collection[VisitStatus] | None = None,
) -> list[Visit]:
    """Visits by day and time, both days included; `visitor_id` 0 means: not assigned yet."""
    statement = select_visits(campaign, viewer)
    if visitor_id is not None:
        statement = statement.where(
            Visit.visitor_id == visitor_id if visitor_id else Visit.visitor_id.is_(None)
        )
    if first is not None:
        statement = statement.where(Visit.planned_on >= first)
    if last is not None:
        statement = statement.where(Visit.planned_on <= last)
    if isinstance(status, VisitStatus):
        status = (status,)
    if status is not None:
        statement = statement.where(Visit.status.in_(status))
    order = (Visit.planned_on, Visit.planned_time.is_(None), Visit.planned_time, Visit.id)
    return list(db.session.scalars(statement.order_by(*order)))


def list_logged(campaign: Campaign, visitor: User, day: date) -> list[Visit]:
    """What this person has done on a day, in the order of the plan."""
    return list_visits(
        campaign, visitor_id=visitor.id, first=day, last=day, status=VisitStatus.LOGGED
    )


def count_unassigned(campaign: Campaign) -> int:
    """Open visits that nobody is to make yet."""
    return (
        db.session.scalar(
            sa.select(sa.func.count(Visit.id))
            .join(Visit.solicitation)
            .where(
                Solicitation.campaign_id == campaign.id,
                Visit.status.in_(OPEN),
                Visit.visitor_id.is_(None),
            )
        )
        or 0
    )


@dataclass(frozen=True)
class Card:
    """A visit with what its visitor wants to know before the door."""

    visit: Visit
    contact: Contact | None
    shows_phone: bool
    """The number may be shown in full: it is the reader's own visit of today."""
    given_fen: int
    previous_fen: int
    last_visit: Visit | None
    pledge: Pledge | None
    reminded_at: datetime | None

    @property
    def unit(self) -> Unit:
        return self.visit.solicitation.unit


def list_cards(campaign: Campaign, visits: Sequence[Visit], reader: User) -> list[Card]:
    """Cards in the order of the visits; the number of queries does not depend on theirs."""
    today = clock.today()
    solicitation_ids = [visit.solicitation_id for visit in visits]
    unit_ids = [visit.solicitation.unit_id for visit in visits]
    contacts = _contacts(unit_ids, today)
    given = _amounts(campaign.id, unit_ids)
    previous = _amounts(campaign.previous_id, unit_ids)
    last_visits = _last_visits(solicitation_ids)
    pledges = _open_pledges(solicitation_ids)
    reminders = _last_reminders(solicitation_ids)
    return [
        Card(
            visit=visit,
            contact=contacts.get(visit.solicitation.unit_id),
            shows_phone=visit.is_open
            and visit.planned_on == today
            and visit.visitor_id == reader.id,
            given_fen=given.get(visit.solicitation.unit_id, 0),
            previous_fen=previous.get(visit.solicitation.unit_id, 0),
            last_visit=last_visits.get(visit.solicitation_id),
            pledge=pledges.get(visit.solicitation_id),
            reminded_at=reminders.get(visit.solicitation_id),
        )
        for visit in visits
    ]


def _contacts(unit_ids: list[int], today: date) -> dict[int, Contact]:
    """The person to call at each unit: the coordinator before others, a number before none."""
    contacts = db.session.scalars(sa.select(Contact).where(Contact.unit_id.in_(unit_ids)))
    best_last = sorted(
        (contact for contact in contacts if contact.is_valid_on(today)),
        key=lambda contact: (bool(contact.mobile), contact.role is ContactRole.COORDINATOR),
    )
    return {contact.unit_id: contact for contact in best_last}


def _amounts(campaign_id: int | None, unit_ids: list[int]) -> dict[int, int]:
    """What each unit gave in a campaign, in fen, net of reversals."""
    rows = db.session.execute(
        sa.select(Gift.unit_id, sa.func.sum(Gift.amount_fen))
        .where(Gift.campaign_id == campaign_id, Gift.unit_id.in_(unit_ids))
        .group_by(Gift.unit_id)
    )
    return {unit_id: int(amount) for unit_id, amount in rows if unit_id is not None}


def _last_visits(solicitation_ids: list[int]) -> dict[int, Visit]:
    visits = db.session.scalars(
        sa.select(Visit)
        .where(Visit.solicitation_id.in_(solicitation_ids), Visit.status == VisitStatus.LOGGED)
        .order_by(Visit.planned_on, Visit.id)
    )
    return {visit.solicitation_id: visit for visit in visits}


def _open_pledges(solicitation_ids: list[int]) -> dict[int, Pledge]:
    pledges = db.session.scalars(
        sa.select(Pledge).where(
            Pledge.solicitation_id.in_(solicitation_ids), Pledge.withdrawn_at.is_(None)
        )
    )
    return {pledge.solicitation_id: pledge for pledge in pledges}


def _last_reminders(solicitation_ids: list[int]) -> dict[int, datetime]:
    rows = db.session.execute(
        sa.select(MessageSolicitation.solicitation_id, sa.func.max(Message.sent_at))
        .join(Message, Message.id == MessageSolicitation.message_id)
        .where(
            MessageSolicitation.solicitation_id.in_(solicitation_ids),
            Message.purpose == Purpose.REMINDER,
            Message.status.in_((MessageStatus.SENT, MessageStatus.DELIVERED)),
        )
        .group_by(MessageSolicitation.solicitation_id)
    )
    return {key: sent_at for key, sent_at in rows if sent_at is not None}
