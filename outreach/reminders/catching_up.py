"""Units that a wave did not reach and that may be written to now. What kept their letter back has
gone: money that might have been theirs was another's, an address was mended, or the letter named a
second unit that gave. The machine says so; a person decides whether they are written to."""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from outreach import clock
from outreach.campaigns.models import Campaign, Solicitation
from outreach.db import db
from outreach.messages.gate import may_have_gone
from outreach.messages.models import (
    OPEN_STATUSES,
    Message,
    MessageSolicitation,
    MessageStatus,
    Purpose,
    Wave,
    WaveStatus,
)
from outreach.messages.waves import is_corrected
from outreach.reminders.audience import AudienceFilter, Member, find_members
from outreach.reminders.models import WaveMember
from outreach.reminders.queries import channels_of
from outreach.units.models import Contact

WITHIN = timedelta(days=14)
"""After a wave that is older its words are too: the units are for the next wave."""

PREPARED = (WaveStatus.DRAFT, WaveStatus.IN_REVIEW, WaveStatus.APPROVED, WaveStatus.HELD)


def find_missed(campaign: Campaign, now: datetime) -> dict[int, list[Member]]:
    """Whom reminders of the last days missed and the send gate would let pass today, by the last
    wave that was to reach them; without those for whom a wave is being prepared already."""
    missed = _list_missed(campaign, now)
    if not missed:
        return {}
    waves = db.session.scalars(sa.select(Wave).where(Wave.id.in_(missed)).order_by(Wave.id))
    found = {wave.id: _choose(campaign, wave, missed[wave.id]) for wave in waves}
    return {wave_id: members for wave_id, members in found.items() if members}


def find_missed_by(wave: Wave, now: datetime) -> list[Member]:
    """Of `find_missed`, those of one wave."""
    campaign = db.session.get_one(Campaign, wave.campaign_id)
    missed = _list_missed(campaign, now).get(wave.id)
    return _choose(campaign, wave, missed) if missed else []


def audience_for(wave: Wave, solicitation_ids: list[int]) -> AudienceFilter:
    """Those of these units whom the wave's words are still for: a letter about a pledge says
    nothing to a unit that has none any more."""
    audience = AudienceFilter.model_validate(wave.audience)
    return audience.model_copy(update={"solicitation_ids": tuple(solicitation_ids)})


def _choose(campaign: Campaign, wave: Wave, solicitation_ids: list[int]) -> list[Member]:
    members = find_members(campaign, audience_for(wave, solicitation_ids), channels_of(wave))
    return [member for member in members if member.withheld is None]


def _list_missed(campaign: Campaign, now: datetime) -> dict[int, list[int]]:
    """Units by the last wave that was to reach them and did not."""
    chosen = db.session.execute(
        sa.select(WaveMember.solicitation_id, Wave.id, Wave.started_at)
        .join(Wave, Wave.id == WaveMember.wave_id)
        .where(
            Wave.campaign_id == campaign.id,
            Wave.purpose == Purpose.REMINDER,
            Wave.started_at > now - WITHIN,
            # What somebody stopped or put right does not go on.
            Wave.status.not_in((WaveStatus.CANCELLED, WaveStatus.PAUSED)),
            ~is_corrected(),
        )
        .order_by(Wave.started_at, Wave.id)
    )
    last: dict[int, tuple[int, Any]] = {
        solicitation_id: (wave_id, started_at) for solicitation_id, wave_id, started_at in chosen
    }
    tried = _last_tried(now - WITHIN) if last else {}
    prepared = _list_prepared(campaign) if last else set()
    missed: dict[int, list[int]] = defaultdict(list)
    for solicitation_id, (wave_id, started_at) in last.items():
        was_tried = solicitation_id in tried and tried[solicitation_id] >= started_at
        if not was_tried and solicitation_id not in prepared:
            missed[wave_id].append(solicitation_id)
    return missed


def _last_tried(since: datetime) -> dict[int, datetime]:
    """When the last reminder was queued that reached a unit, or may have, or still may. What failed
    was tried, too, as long as the unit has that address: another has to be found before anybody
    writes again. What failed second says nothing of the first address, which may be another now."""
    today = clock.today()
    still_there = sa.exists().where(
        Solicitation.id == MessageSolicitation.solicitation_id,
        Contact.unit_id == Solicitation.unit_id,
        sa.or_(Contact.email == Message.address, Contact.mobile == Message.address),
        Contact.valid_from <= today,
        sa.or_(Contact.valid_to.is_(None), Contact.valid_to >= today),
    )
    has_failed = (Message.status == MessageStatus.FAILED) & Message.fallback_of_id.is_(None)
    rows = db.session.execute(
        sa.select(MessageSolicitation.solicitation_id, sa.func.max(Message.queued_at))
        .join(Message, Message.id == MessageSolicitation.message_id)
        .where(
            Message.purpose == Purpose.REMINDER,
            Message.queued_at > since,
            sa.or_(
                Message.status.in_(OPEN_STATUSES), may_have_gone(Message), has_failed & still_there
            ),
        )
        .group_by(MessageSolicitation.solicitation_id)
    )
    return dict(rows.all())


def _list_prepared(campaign: Campaign) -> set[int]:
    """Units of a wave that has not begun: that it names one by one, or that were submitted."""
    is_prepared = (
        Wave.campaign_id == campaign.id,
        Wave.purpose == Purpose.REMINDER,
        Wave.status.in_(PREPARED),
    )
    audiences = db.session.scalars(sa.select(Wave.audience).where(*is_prepared))
    submitted = db.session.scalars(
        sa.select(WaveMember.solicitation_id)
        .join(Wave, Wave.id == WaveMember.wave_id)
        .where(*is_prepared, WaveMember.withheld_reason.is_(None))
    )
    return {
        solicitation_id
        for audience in audiences
        for solicitation_id in AudienceFilter.model_validate(audience).solicitation_ids
    } | set(submitted)
