"""Reads of waves: what would go out, what went out, and who was left out."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from flask_sqlalchemy.pagination import Pagination
from sqlalchemy.orm import contains_eager, joinedload

from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, Solicitation
from outreach.campaigns.queries import list_running_campaigns
from outreach.db import db
from outreach.errors import NotFound
from outreach.gifts.standings import find_standing, list_standings
from outreach.messages.addresses import hash_address
from outreach.messages.gate import Withheld
from outreach.messages.models import (
    OPEN_STATUSES,
    Channel,
    Message,
    MessageSolicitation,
    MessageStatus,
    Template,
    TemplateVersion,
    Wave,
    WaveStatus,
    WithheldReason,
)
from outreach.reminders.audience import (
    AudienceFilter,
    Member,
    add_gifts,
    address_of,
    ask_gate,
    find_members,
)
from outreach.reminders.models import WaveMember
from outreach.reminders.rendering import Letter, Preview, preview
from outreach.units.models import Contact, ContactRole, Unit

PER_PAGE = 50


@dataclass(frozen=True)
class Progress:
    """How far a wave is: messages by status. The parts always add up to the total."""

    counts: dict[MessageStatus, int]

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def open_count(self) -> int:
        return sum(self.counts.get(status, 0) for status in OPEN_STATUSES)

    @property
    def gone_count(self) -> int:
        return sum(
            self.counts.get(status, 0) for status in (MessageStatus.SENT, MessageStatus.DELIVERED)
        )

    @property
    def parts(self) -> list[tuple[MessageStatus, int]]:
        """Statuses that occur, in the order of a message's life."""
        return [(status, self.counts[status]) for status in _LIFE if self.counts.get(status)]


_LIFE = (
    MessageStatus.DELIVERED,
    MessageStatus.SENT,
    MessageStatus.SENDING,
    MessageStatus.QUEUED,
    MessageStatus.UNKNOWN,
    MessageStatus.WITHHELD,
    MessageStatus.FAILED,
    MessageStatus.EXPIRED,
    MessageStatus.CANCELLED,
)


def get_wave(campaign: Campaign, wave_id: int) -> Wave:
    wave = db.session.scalar(
        sa.select(Wave)
        .filter_by(id=wave_id, campaign_id=campaign.id)
        .options(joinedload(Wave.template_version).joinedload(TemplateVersion.template))
    )
    if wave is None:
        raise NotFound(_("没有这个提醒批次。"))
    return wave


def list_waves(campaign: Campaign) -> list[Wave]:
    """Newest first."""
    return list(
        db.session.scalars(
            sa.select(Wave)
            .filter_by(campaign_id=campaign.id)
            .options(joinedload(Wave.template_version).joinedload(TemplateVersion.template))
            .order_by(Wave.id.desc())
        )
    )


def measure_progress(wave_ids: Iterable[int]) -> dict[int, Progress]:
    """By wave; a wave without messages has an empty one."""
    rows = db.session.execute(
        sa.select(Message.wave_id, Message.status, sa.func.count())
        .where(Message.wave_id.in_(list(wave_ids)))
        .group_by(Message.wave_id, Message.status)
    )
    counts: dict[int | None, dict[MessageStatus, int]] = defaultdict(dict)
    for wave_id, status, count in rows:
        counts[wave_id][status] = count
    return {wave_id: Progress(counts.get(wave_id, {})) for wave_id in wave_ids}


def list_current_versions() -> list[TemplateVersion]:
    """The newest version of each template in use."""
    newest = sa.select(sa.func.max(TemplateVersion.id)).group_by(TemplateVersion.template_id)
    return list(
        db.session.scalars(
            sa.select(TemplateVersion)
            .join(TemplateVersion.template)
            .where(TemplateVersion.id.in_(newest), Template.is_archived.is_(False))
            .options(contains_eager(TemplateVersion.template))
            .order_by(Template.channel, Template.name)
        )
    )


def list_solicitors(campaign: Campaign) -> list[User]:
    """People who have units in this campaign."""
    theirs = sa.select(Solicitation.solicitor_id).where(Solicitation.campaign_id == campaign.id)
    return list(db.session.scalars(sa.select(User).where(User.id.in_(theirs)).order_by(User.name)))


def names_of(user_ids: Collection[int | None]) -> dict[int, str]:
    users = db.session.execute(sa.select(User.id, User.name).where(User.id.in_(user_ids)))
    return dict(users.all())


def preview_wave(wave: Wave) -> Preview:
    """A draft as its filter would have it now; after that the audience that was submitted, less
    those whom the send gate would withhold now."""
    campaign = db.session.get_one(Campaign, wave.campaign_id)
    version = wave.template_version
    if wave.status is WaveStatus.DRAFT:
        audience = AudienceFilter.model_validate(wave.audience)
        members = find_members(campaign, audience, version.template.channel, wave.purpose)
    else:
        members = _less_withheld(campaign, restore_members(wave), wave)
    return preview(campaign, version, members, db.session.get_one(User, wave.author_id))


def _less_withheld(campaign: Campaign, members: list[Member], wave: Wave) -> list[Member]:
    answers = ask_gate(campaign, members, wave.template_version.template.channel, wave.purpose)
    return [
        replace(member, withheld=member.withheld or answers.get(member.solicitation.id))
        for member in members
    ]


def sample_letters(version: TemplateVersion, author: User) -> list[Letter]:
    """What the outstanding units with the longest and the shortest name in the newest running
    campaign would read; fewer when there are none."""
    campaigns = list_running_campaigns()
    if not campaigns:
        return []
    campaign = campaigns[-1]
    length = sa.func.length(Unit.name)
    members = {}
    for order in (length.desc(), length):
        member = _find_sample(campaign, version.template.channel, order)
        if member is not None:
            members[member.address_hash] = member
    return preview(campaign, version, list(members.values()), author).letters


def _find_sample(
    campaign: Campaign, channel: Channel, order: sa.ColumnElement[Any]
) -> Member | None:
    has_address = Contact.email != "" if channel is Channel.EMAIL else Contact.mobile != ""
    found = db.session.execute(
        sa.select(Solicitation, Contact)
        .join(Solicitation.unit)
        .join(Contact, Contact.unit_id == Unit.id)
        .where(
            Solicitation.campaign_id == campaign.id,
            Contact.role == ContactRole.COORDINATOR,
            Contact.valid_to.is_(None),
            has_address,
        )
        .order_by(order, Solicitation.id)
        .limit(1)
    ).first()
    if found is None:
        return None
    solicitation, contact = found
    address = address_of(contact, channel)
    return Member(
        find_standing(solicitation), contact, address, hash_address(channel, address), None
    )


def restore_members(wave: Wave) -> list[Member]:
    """The audience that was submitted. Somebody whose address is another one since then was not
    approved at that address and is left out."""
    campaign = db.session.get_one(Campaign, wave.campaign_id)
    channel = wave.template_version.template.channel
    standings = {standing.solicitation.id: standing for standing in list_standings(campaign)}
    rows = db.session.scalars(
        sa.select(WaveMember)
        .filter_by(wave_id=wave.id)
        .options(joinedload(WaveMember.contact))
        .order_by(WaveMember.id)
    )
    members = []
    for row in rows:
        contact = row.contact
        address = address_of(contact, channel) if contact is not None else ""
        withheld = Withheld(row.withheld_reason, row.facts) if row.withheld_reason else None
        if withheld is None and hash_address(channel, address) != row.address_hash:
            withheld = Withheld(WithheldReason.NOT_IN_AUDIENCE, {})
        members.append(
            Member(standings[row.solicitation_id], contact, address, row.address_hash, withheld)
        )
    return add_gifts(campaign, AudienceFilter.model_validate(wave.audience), members)


def list_left_out(wave: Wave) -> list[WaveMember]:
    """Units that the filter chose and that no message of the wave was made for."""
    return list(
        db.session.scalars(
            sa.select(WaveMember)
            .where(WaveMember.wave_id == wave.id, WaveMember.withheld_reason.is_not(None))
            .options(
                joinedload(WaveMember.solicitation).joinedload(Solicitation.unit),
                joinedload(WaveMember.solicitation).joinedload(Solicitation.sector),
            )
            .order_by(WaveMember.id)
        )
    )


def list_messages(wave: Wave, *, status: MessageStatus | None, page: int) -> Pagination:
    query = sa.select(Message).where(Message.wave_id == wave.id).order_by(Message.id)
    if status is not None:
        query = query.where(Message.status == status)
    return db.paginate(query, page=page, per_page=PER_PAGE, error_out=False)


def units_of(messages: Iterable[Message]) -> dict[int, list[Unit]]:
    """The units that each message is about, by message."""
    rows = db.session.execute(
        sa.select(MessageSolicitation.message_id, Unit)
        .join(Solicitation, Solicitation.id == MessageSolicitation.solicitation_id)
        .join(Unit, Unit.id == Solicitation.unit_id)
        .where(MessageSolicitation.message_id.in_([message.id for message in messages]))
        .order_by(Unit.name)
    )
    units: dict[int, list[Unit]] = defaultdict(list)
    for message_id, unit in rows:
        units[message_id].append(unit)
    return units
