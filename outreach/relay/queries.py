"""Who has confirmed, who has not, and to whom the letter did not get."""

from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa
from flask_babel import LazyString
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import joinedload

from outreach import clock
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, CampaignStatus, Solicitation, Stage
from outreach.campaigns.queries import in_scope
from outreach.db import db
from outreach.errors import NotFound
from outreach.messages.models import (
    Message,
    MessageSolicitation,
    MessageStatus,
    Purpose,
    Wave,
    WaveStatus,
)
from outreach.relay import links
from outreach.relay.models import RelayAnswer, RelayState
from outreach.units.models import Contact, ContactRole, Unit

ON_THE_WAY = (
    MessageStatus.QUEUED,
    MessageStatus.SENDING,
    MessageStatus.SENT,
    MessageStatus.DELIVERED,
    MessageStatus.UNKNOWN,
)
"""Statuses of a letter that may be answered yet."""


@dataclass(frozen=True)
class RelayUnit:
    """A unit that is asked to confirm."""

    solicitation: Solicitation
    answer: RelayAnswer | None
    letter: Message | None
    """The last one."""
    has_begun: bool
    """Letters of this campaign have gone out, and were not stopped: a unit without one had no
    address."""

    @property
    def state(self) -> RelayState:
        if self.answer is not None:
            return RelayState.ANSWERED
        if self.letter is not None:
            is_on_its_way = self.letter.status in ON_THE_WAY
            return RelayState.WAITING if is_on_its_way else RelayState.UNREACHED
        return RelayState.UNREACHED if self.has_begun else RelayState.NOT_SENT

    @property
    def written_at(self) -> datetime | None:
        return (self.letter.sent_at or self.letter.queued_at) if self.letter else None

    @property
    def why_unreached(self) -> LazyString:
        """In words, of one that the letter did not get to."""
        if self.letter is None:
            return _("没有能收信的联络员，或是发信后才列入的单位")
        if self.letter.withheld_reason is not None:
            return self.letter.withheld_reason.label
        return self.letter.failure.label if self.letter.failure else self.letter.status.label


def list_units(
    campaign: Campaign, viewer: User | None = None, today: date | None = None
) -> list[RelayUnit]:
    """Those that are asked this year, by sector and name; not those that are to be left in peace
    today. Without a viewer the machine asks and sees all."""
    today = today or clock.today()
    newest = (
        sa.select(MessageSolicitation.solicitation_id, sa.func.max(Message.id).label("id"))
        .join(Message, Message.id == MessageSolicitation.message_id)
        .where(
            Message.purpose == Purpose.RELAY,
            Message.campaign_id == campaign.id,
            # What was stopped before it went out asked nobody.
            Message.status != MessageStatus.CANCELLED,
        )
        .group_by(MessageSolicitation.solicitation_id)
        .subquery()
    )
    rows = db.session.execute(
        sa.select(Solicitation, RelayAnswer, Message)
        .join(Solicitation.unit)
        .join(Solicitation.sector)
        .outerjoin(RelayAnswer, RelayAnswer.solicitation_id == Solicitation.id)
        .outerjoin(newest, newest.c.solicitation_id == Solicitation.id)
        .outerjoin(Message, Message.id == newest.c.id)
        .where(
            Solicitation.campaign_id == campaign.id,
            Solicitation.is_exempt.is_(False),
            Solicitation.stage != Stage.DECLINED,
            sa.or_(Solicitation.snoozed_until.is_(None), Solicitation.snoozed_until < today),
            in_scope(viewer, Solicitation.sector_id) if viewer else sa.true(),
        )
        .options(
            joinedload(Solicitation.unit),
            joinedload(Solicitation.sector),
            joinedload(Solicitation.solicitor),
            joinedload(RelayAnswer.by),
        )
        .order_by(Solicitation.sector_id, Unit.name)
    ).all()
    has_begun = any(wave.started_at is not None for wave in list_waves(campaign))
    return [RelayUnit(*row, has_begun) for row in rows]


def list_waves(campaign: Campaign) -> list[Wave]:
    """Of its letters; not those that were cancelled or stopped for good."""
    return list(
        db.session.scalars(
            sa.select(Wave).where(
                Wave.campaign_id == campaign.id,
                Wave.purpose == Purpose.RELAY,
                Wave.status != WaveStatus.CANCELLED,
            )
        )
    )


def find_answer(solicitation: Solicitation) -> RelayAnswer | None:
    return db.session.get(RelayAnswer, solicitation.id)


def list_current(unit: Unit, role: ContactRole) -> list[Contact]:
    """Who answers for the unit in this role today; first whom a letter would go to: who can be
    reached, the newest."""
    today = clock.today()
    return sorted(
        (one for one in unit.contacts if one.role is role and one.is_valid_on(today)),
        key=lambda one: (not (one.email or one.mobile), -one.valid_from.toordinal(), one.id),
    )


def find_current(unit: Unit, role: ContactRole) -> Contact | None:
    return next(iter(list_current(unit, role)), None)


@dataclass(frozen=True)
class Place:
    """A unit for which the holder of a link may answer."""

    contact: Contact
    solicitation: Solicitation
    answer: RelayAnswer | None


def read_places(token: str) -> list[Place]:
    """The units of a link, of which its holder still is the contact. NotFound, in words for
    somebody without an account, when there is none or the campaign is over."""
    read = links.read_token(token)
    if read is None:
        raise NotFound(_("这个链接不完整。请从邮件里重新点开，或直接回复邮件告诉我们。"))
    campaign_id, contact_ids = read
    today = clock.today()
    rows = db.session.execute(
        sa.select(Contact, Solicitation, RelayAnswer)
        .join(
            Solicitation,
            sa.and_(
                Solicitation.unit_id == Contact.unit_id, Solicitation.campaign_id == campaign_id
            ),
        )
        .join(Solicitation.campaign)
        .outerjoin(RelayAnswer, RelayAnswer.solicitation_id == Solicitation.id)
        .where(
            Contact.id.in_(contact_ids),
            Contact.valid_from <= today,
            sa.or_(Contact.valid_to.is_(None), Contact.valid_to >= today),
            Campaign.status != CampaignStatus.CLOSED,
        )
        .options(joinedload(Solicitation.unit), joinedload(Solicitation.campaign))
        .order_by(Contact.id)
    )
    places = [Place(*row) for row in rows]
    if not places:
        raise NotFound(
            _("这个链接已经不能用了：活动已经结束，或您已不再是登记的联络员。有事请直接回复邮件。")
        )
    return places
