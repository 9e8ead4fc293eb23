"""When the first channel fails a recipient for good, the same person is written to once over the
other one, with the text and at the address that were approved for that case."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from outreach import audit
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign
from outreach.db import db
from outreach.messages import instance, queueing, waves
from outreach.messages.channels import Verdict
from outreach.messages.models import (
    Message,
    MessageSolicitation,
    MessageStatus,
    OptOut,
    Wave,
    WaveStatus,
)
from outreach.messages.queueing import Draft
from outreach.reminders.approval import says_as_approved
from outreach.reminders.audience import Member, Way, spare_shared
from outreach.reminders.models import WaveMember
from outreach.reminders.queries import restore_members, write_letters
from outreach.reminders.services import draft_letter

_Other = aliased(Message)
_MAY_FALL_BACK = (WaveStatus.RUNNING, WaveStatus.FINISHED)


def queue_fallbacks(now: datetime) -> int:
    """Queues what takes the place of messages that failed; returns how many are new. Any number
    of processes may call it at once. A wave that has finished runs again until its end."""
    # Locked first and looked at after, as `waves.finish_waves` does and for the same reasons.
    due = db.session.scalars(
        sa.select(Wave)
        .where(
            Wave.id.in_(sa.select(_select_failed().subquery().c.wave_id)),
            Wave.status.in_(_MAY_FALL_BACK),
            Wave.fallback_version_id.is_not(None),
            Wave.not_after > now,
            # What is being put right must not go on, not even over another channel.
            ~waves.is_corrected(),
        )
        .order_by(Wave.id)
        .with_for_update(key_share=True, skip_locked=True)
        .execution_options(populate_existing=True)
    ).all()
    counts = {wave.id: _queue(wave) for wave in due if says_as_approved(wave)}
    for wave_id, count in counts.items():
        if count:
            waves.reopen_wave(wave_id)
            audit.record("fall_back.wave", f"wave:{wave_id}", messages=count)
    return sum(counts.values())


def count_held(wave: Wave, now: datetime) -> int:
    """How many messages failed and are not followed by another channel, because what the words say
    of the campaign is not what was approved. They are for a person."""
    may_fall_back = wave.status in _MAY_FALL_BACK and wave.not_after > now
    if wave.fallback_version_id is None or not may_fall_back or says_as_approved(wave):
        return 0
    failed = _select_failed().where(Message.wave_id == wave.id).subquery()
    return db.session.scalar(sa.select(sa.func.count(failed.c.id.distinct()))) or 0


def _select_failed() -> sa.Select[Any]:
    """Wave, message, unit, reader and facts of what failed for good and has an approved second
    address that the wave does not write to yet. After a restore only what was queued since: of what
    failed before, the fallback may be out, and a person sees that it failed."""
    restored_at = instance.restored_at()
    return (
        sa.select(
            Message.wave_id,
            Message.id,
            WaveMember.solicitation_id,
            WaveMember.contact_id,
            Message.facts,
        )
        .join(MessageSolicitation, MessageSolicitation.message_id == Message.id)
        .join(
            WaveMember,
            sa.and_(
                WaveMember.wave_id == Message.wave_id,
                WaveMember.solicitation_id == MessageSolicitation.solicitation_id,
                WaveMember.address_hash == Message.address_hash,
            ),
        )
        .where(
            Message.status == MessageStatus.FAILED,
            Message.fallback_of_id.is_(None),
            sa.true() if restored_at is None else Message.queued_at > restored_at,
            WaveMember.fallback_hash != "",
            # Who opted out of the channel that failed is not written to over the other one.
            ~sa.exists().where(
                OptOut.channel == Message.channel, OptOut.address_hash == Message.address_hash
            ),
            ~sa.exists().where(_Other.fallback_of_id == Message.id),
            ~sa.exists().where(
                _Other.wave_id == Message.wave_id, _Other.address_hash == WaveMember.fallback_hash
            ),
        )
        .order_by(Message.id)
    )


def _queue(wave: Wave) -> int:
    units: dict[int, set[tuple[int, int]]] = {}
    for _wave_id, message_id, *unit, facts in db.session.execute(
        _select_failed().where(Message.wave_id == wave.id)
    ):
        # What our own account or certificate kept back fails by any channel, or goes out by the
        # first one when that is mended.
        if facts.get("verdict") != Verdict.MISCONFIGURED.value:
            units.setdefault(message_id, set()).add(tuple(unit))
    if not units:
        return 0
    members = restore_members(wave)
    # Of two messages that failed and have one second address, one takes the place of both.
    together: dict[Way, list[Member]] = {}
    first: dict[Way, int] = {}
    for message_id, of in units.items():
        turned = _turn(members, of)
        ways = {member.way for member in turned}
        if len(ways) == 1:  # else there is no second address any more that all its units share
            way = ways.pop()
            first.setdefault(way, message_id)
            together.setdefault(way, []).extend(turned)
    drafts = [_draft(wave, first[way], sharing) for way, sharing in together.items()]
    return queueing.materialise(wave, [draft for draft in drafts if draft is not None])


def _turn(members: Sequence[Member], units: set[tuple[int, int]]) -> list[Member]:
    """The units of one message, each with its reader, turned to the second way."""
    return [
        replace(member, way=member.second, second=None, withheld=None)
        for member in members
        if member.second is not None
        and member.contact is not None
        and (member.solicitation.id, member.contact.id) in units
    ]


def _draft(wave: Wave, message_id: int, members: list[Member]) -> Draft | None:
    """None when the text would have a hole in it."""
    campaign = db.session.get_one(Campaign, wave.campaign_id)
    spared = spare_shared(campaign, members, wave.purpose)
    author = db.session.get_one(User, wave.author_id)
    letter = write_letters(wave, spared, author).letters[0]
    return None if letter.holes else replace(draft_letter(letter), fallback_of_id=message_id)
