"""What whoever approves a wave wants to know about those before it: what is different this time,
who was written to with the same words today, and how often each unit was asked already."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from flask_babel import lazy_gettext as _

from outreach import clock
from outreach.campaigns.models import Campaign
from outreach.db import db
from outreach.gifts.standings import Standing, Status, list_standings
from outreach.messages.gate import describe, may_have_gone
from outreach.messages.models import (
    Message,
    MessageSolicitation,
    Purpose,
    TemplateVersion,
    Wave,
)
from outreach.reminders.models import WaveMember
from outreach.reminders.rendering import Letter, Preview
from outreach.units.models import Unit
from outreach.web import format_day


@dataclass(frozen=True)
class Dropped:
    unit: Unit
    reason: str


@dataclass(frozen=True)
class Difference:
    """A wave beside the last one of its campaign that was sent."""

    before: Wave
    added: list[Unit]
    dropped: list[Dropped]
    text: str
    channel: str

    @property
    def lead(self) -> str:
        return str(
            _(
                "与上一批“%(name)s”（%(day)s）相比：新列入 %(added)s 家，不再列入 %(dropped)s 家；"
                "%(text)s，%(channel)s。",
                name=self.before.name,
                day=format_day(self.before.started_at),
                added=len(self.added),
                dropped=len(self.dropped),
                text=self.text,
                channel=self.channel,
            )
        )


@dataclass(frozen=True)
class SentToday:
    """The same words went out to some of these units or contacts earlier today."""

    at: datetime
    count: int
    """Units."""


@dataclass(frozen=True)
class Comparison:
    difference: Difference | None
    """None for the first wave of a campaign, and before an audience is frozen."""
    sent_today: SentToday | None
    asked: dict[int, int]
    """How often each unit has been reminded in this campaign, by solicitation; none: 0."""

    def asked_of(self, letter: Letter) -> int:
        """How often the unit of a letter that was asked most has been."""
        return max(self.asked.get(id_, 0) for id_ in letter.recipient.solicitation_ids)

    @property
    def most_asked(self) -> tuple[int, int]:
        """The highest number of reminders that a unit has had, and how many units have."""
        most = max(self.asked.values(), default=0)
        return most, sum(count == most for count in self.asked.values())


def compare(wave: Wave, letters: Preview) -> Comparison:
    ids = [id_ for letter in letters.letters for id_ in letter.recipient.solicitation_ids]
    return Comparison(
        difference=_find_difference(wave),
        sent_today=_find_sent_today(wave, letters.letters),
        asked=_count_reminders(ids),
    )


def _find_difference(wave: Wave) -> Difference | None:
    now = _list_members([wave.id])
    before = _last_before(wave)
    if before is None or not now:
        return None
    then = {row.solicitation_id: row for row in _list_members([before.id]) if _is_written_to(row)}
    written_to = {row.solicitation_id for row in now if _is_written_to(row)}
    standings = _standings_of(wave, (then.keys() | written_to))
    left_out = {row.solicitation_id: row for row in now if not _is_written_to(row)}
    return Difference(
        before=before,
        added=[
            standings[row.solicitation_id].solicitation.unit
            for row in now
            if _is_written_to(row) and row.solicitation_id not in then
        ],
        dropped=[
            Dropped(
                standings[id_].solicitation.unit,
                _explain(standings[id_], left_out.get(id_)),
            )
            for id_ in then
            if id_ not in written_to
        ],
        text=_compare_texts(before.template_version, wave.template_version),
        channel=_compare_channels(before, wave),
    )


def _last_before(wave: Wave) -> Wave | None:
    return db.session.scalar(
        sa.select(Wave)
        .where(
            Wave.campaign_id == wave.campaign_id,
            Wave.purpose == wave.purpose,
            Wave.id != wave.id,
            Wave.started_at.is_not(None),
        )
        .order_by(Wave.started_at.desc(), Wave.id.desc())
        .limit(1)
    )


def _list_members(wave_ids: Collection[int]) -> Sequence[WaveMember]:
    return db.session.scalars(
        sa.select(WaveMember).where(WaveMember.wave_id.in_(wave_ids)).order_by(WaveMember.id)
    ).all()


def _is_written_to(row: WaveMember) -> bool:
    return row.withheld_reason is None


def _standings_of(wave: Wave, solicitation_ids: Collection[int]) -> dict[int, Standing]:
    campaign = db.session.get_one(Campaign, wave.campaign_id)
    standings = list_standings(campaign) if solicitation_ids else []
    return {standing.solicitation.id: standing for standing in standings}


_OVER = {Status.GIVEN, Status.DECLINED, Status.EXEMPT}


def _explain(standing: Standing, row: WaveMember | None) -> str:
    """Why a unit that the last wave wrote to is not written to now."""
    if row is not None and row.withheld_reason is not None:
        return describe(row.withheld_reason, row.facts)
    if standing.status in _OVER:
        return str(standing.status.label)
    return str(_("不在这次选择的范围内"))


def _compare_texts(before: TemplateVersion, now: TemplateVersion) -> str:
    if before.id == now.id:
        return str(_("模板相同"))
    if before.template_id == now.template_id:
        return str(
            _("同一模板，由第 %(old)s 版改为第 %(new)s 版", old=before.number, new=now.number)
        )
    return str(_("换了模板（上一批用“%(name)s”）", name=before.template.name))


def _compare_channels(before: Wave, now: Wave) -> str:
    old, new = before.template_version.template.channel, now.template_version.template.channel
    if old is new:
        return str(_("渠道相同"))
    return str(_("渠道由%(old)s改为%(new)s", old=old.label, new=new.label))


def _find_sent_today(wave: Wave, letters: Sequence[Letter]) -> SentToday | None:
    """Words are the same when they are of the same template, or read the same."""
    units = {id_ for letter in letters for id_ in letter.recipient.solicitation_ids}
    words = {letter.rendered.text for letter in letters}
    addresses = {letter.recipient.members[0].address_hash for letter in letters}
    templates = {letter.version.template_id for letter in letters}
    today = clock.start_of(clock.today())
    rows = db.session.execute(
        sa.select(
            sa.func.coalesce(Message.sent_at, Message.status_at),
            Message.address_hash,
            Message.body_text,
            MessageSolicitation.solicitation_id,
            TemplateVersion.template_id,
        )
        .join(MessageSolicitation, MessageSolicitation.message_id == Message.id)
        .join(Wave, Wave.id == Message.wave_id)
        .join(
            TemplateVersion,
            TemplateVersion.id.in_((Wave.template_version_id, Wave.fallback_version_id)),
        )
        .where(
            Message.wave_id != wave.id,
            may_have_gone(Message),
            sa.func.coalesce(Message.sent_at, Message.status_at) >= today,
        )
    ).all()
    hits = [
        row
        for row in rows
        if (row.solicitation_id in units or row.address_hash in addresses)
        and (row.template_id in templates or row.body_text in words)
    ]
    if not hits:
        return None
    return SentToday(min(row[0] for row in hits), len({row.solicitation_id for row in hits}))


def _count_reminders(solicitation_ids: Collection[int]) -> Counter[int]:
    rows = db.session.execute(
        sa.select(MessageSolicitation.solicitation_id, sa.func.count())
        .join(Message, Message.id == MessageSolicitation.message_id)
        .where(
            Message.purpose == Purpose.REMINDER,
            may_have_gone(Message),
            MessageSolicitation.solicitation_id.in_(solicitation_ids),
        )
        .group_by(MessageSolicitation.solicitation_id)
    )
    return Counter(dict(rows.all()))
