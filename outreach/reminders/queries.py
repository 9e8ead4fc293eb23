"""Reads of waves: what would go out, what went out, and who was left out."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from flask_sqlalchemy.pagination import Pagination
from sqlalchemy.orm import contains_eager, joinedload

from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, Solicitation
from outreach.campaigns.queries import list_running_campaigns
from outreach.db import db
from outreach.errors import NotFound
from outreach.gifts.standings import Standing, list_standings
from outreach.messages.gate import Withheld
from outreach.messages.models import (
    OPEN_STATUSES,
    Channel,
    Message,
    MessageSolicitation,
    MessageStatus,
    Purpose,
    Template,
    TemplateVersion,
    Wave,
    WaveStatus,
    WithheldReason,
)
from outreach.reminders import corrections
from outreach.reminders.audience import (
    AudienceFilter,
    Member,
    Way,
    add_gifts,
    ask_gate,
    find_members,
    group,
    look_up,
    way_to,
)
from outreach.reminders.models import WaveMember
from outreach.reminders.rendering import Preview, Trial, Writer, preview, try_out
from outreach.units.models import Unit

PER_PAGE = 50


@dataclass(frozen=True)
class Progress:
    """How far a wave is: messages by status. The parts always add up to the total."""

    counts: dict[MessageStatus, int]
    fallbacks: dict[Channel, int]
    """How many of the messages take the place of one that failed, by their channel: a recipient
    whom one of these reached has two messages, of which the first has failed."""

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
    fallbacks = _count_fallbacks(wave_ids)
    return {
        wave_id: Progress(counts.get(wave_id, {}), fallbacks.get(wave_id, {}))
        for wave_id in wave_ids
    }


def _count_fallbacks(wave_ids: Iterable[int]) -> dict[int | None, dict[Channel, int]]:
    rows = db.session.execute(
        sa.select(Message.wave_id, Message.channel, sa.func.count())
        .where(Message.wave_id.in_(list(wave_ids)), Message.fallback_of_id.is_not(None))
        .group_by(Message.wave_id, Message.channel)
    )
    counts: dict[int | None, dict[Channel, int]] = defaultdict(dict)
    for wave_id, channel, count in rows:
        counts[wave_id][channel] = count
    return counts


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
    if wave.status is WaveStatus.DRAFT:
        members = choose_members(wave)
    else:
        members = _less_withheld(campaign, restore_members(wave), wave.purpose)
    return write_letters(wave, members, db.session.get_one(User, wave.author_id))


def write_letters(wave: Wave, members: list[Member], author: User) -> Preview:
    return preview(
        db.session.get_one(Campaign, wave.campaign_id),
        wave.template_version,
        members,
        author,
        fallback=wave.fallback_version,
        purpose=wave.purpose,
    )


def choose_members(wave: Wave) -> list[Member]:
    """Whom the wave would be for if it were submitted now."""
    if wave.purpose is Purpose.CORRECTION:
        return corrections.find_members(wave, channels_of(wave))
    campaign = db.session.get_one(Campaign, wave.campaign_id)
    audience = AudienceFilter.model_validate(wave.audience)
    return find_members(campaign, audience, channels_of(wave), wave.purpose)


def describe_audience(wave: Wave) -> str:
    """Whom the wave is for, in words."""
    if wave.correction_of is not None:
        return str(_("“%(name)s”发到或可能发到的收件人", name=wave.correction_of.name))
    campaign = db.session.get_one(Campaign, wave.campaign_id)
    return AudienceFilter.model_validate(wave.audience).describe(campaign)


def channels_of(wave: Wave) -> list[Channel]:
    """The channels for which the wave has a text, its first one first."""
    texts = (wave.template_version, wave.fallback_version)
    return [version.template.channel for version in texts if version is not None]


def _less_withheld(campaign: Campaign, members: list[Member], purpose: Purpose) -> list[Member]:
    answers = ask_gate(campaign, members, purpose)
    return [
        replace(member, withheld=member.withheld or answer)
        for member, answer in zip(members, answers, strict=True)
    ]


def try_text(version: TemplateVersion, author: User) -> Trial:
    """What the outstanding units of the newest running campaign would read; nothing when there are
    none. The send gate is not asked: what is tried is the text."""
    campaigns = list_running_campaigns()
    if not campaigns:
        return try_out([])
    campaign = campaigns[-1]
    standings = list_standings(campaign, outstanding_only=True)
    writer = Writer(campaign, version, author)
    members = look_up(campaign, standings, [version.template.channel])
    return try_out([writer.write(recipient) for recipient in group(members)])


def restore_members(wave: Wave) -> list[Member]:
    """The audience that was submitted. Somebody whose address is another one since then was not
    approved at that address and is left out; a correction goes where the wrong letter went."""
    campaign = db.session.get_one(Campaign, wave.campaign_id)
    standings = {standing.solicitation.id: standing for standing in list_standings(campaign)}
    reached = corrections.addresses_owed(wave) if wave.correction_of_id else None
    rows = db.session.scalars(
        sa.select(WaveMember)
        .filter_by(wave_id=wave.id)
        .options(joinedload(WaveMember.contact))
        .order_by(WaveMember.id)
    )
    members = [_restore(wave, row, standings[row.solicitation_id], reached) for row in rows]
    return add_gifts(campaign, AudienceFilter.model_validate(wave.audience), members)


def _restore(
    wave: Wave, row: WaveMember, standing: Standing, reached: dict[str, str] | None
) -> Member:
    channels = channels_of(wave)
    channel = row.channel or channels[0]
    if row.withheld_reason or row.contact is None:
        reason = row.withheld_reason or WithheldReason.NOT_IN_AUDIENCE
        return Member(standing, row.contact, Way(channel, "", ""), Withheld(reason, row.facts))
    if reached is None:
        way = way_to(row.contact, channel)
    else:
        way = Way(channel, reached.get(row.address_hash, ""), row.address_hash)
    withheld = None
    if not way.address or way.address_hash != row.address_hash:
        withheld = Withheld(WithheldReason.NOT_IN_AUDIENCE, {})
    seconds = [way_to(row.contact, other) for other in channels if other is not channel]
    approved = [second for second in seconds if second.address_hash == row.fallback_hash != ""]
    return Member(standing, row.contact, way, withheld, approved[0] if approved else None)


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
