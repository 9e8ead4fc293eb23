"""Who is owed a correction: exactly those whom the wrong wave reached, or may have reached, at the
addresses and over the channels that were used then (docs/decisions/0010)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from outreach.campaigns.models import Campaign
from outreach.db import db
from outreach.gifts.standings import list_standings
from outreach.messages.gate import Withheld, may_have_gone
from outreach.messages.models import (
    Channel,
    Message,
    MessageSolicitation,
    Purpose,
    Wave,
    WaveStatus,
    WithheldReason,
)
from outreach.reminders.audience import Member, Way, ask_gate
from outreach.units.models import Contact


def count_reached(wave: Wave) -> dict[Channel, int]:
    """How many messages of the wave arrived, or may have, by channel. What failed, was withheld,
    expired or was cancelled in time reached nobody."""
    rows = db.session.execute(
        sa.select(Message.channel, sa.func.count())
        .where(Message.wave_id == wave.id, may_have_gone(Message))
        .group_by(Message.channel)
        .order_by(Message.channel)
    )
    return dict(rows.all())


def find_correction(wave: Wave) -> Wave | None:
    """The wave that puts this one right, unless it was cancelled or has ended without reaching
    anybody: then the wrong words still stand."""
    corrections = db.session.scalars(
        sa.select(Wave)
        .where(Wave.correction_of_id == wave.id, Wave.status != WaveStatus.CANCELLED)
        .order_by(Wave.id.desc())
    )
    return next((one for one in corrections if not _was_in_vain(one)), None)


def _was_in_vain(correction: Wave) -> bool:
    return correction.status is WaveStatus.FINISHED and not count_reached(correction)


def find_members(wave: Wave, channels: Sequence[Channel]) -> list[Member]:
    """Each unit that a message of the wrong wave was about, with who read it and where; one that
    was made of two by merging has two readers. `channels` are those for which the correction has a
    text."""
    campaign = db.session.get_one(Campaign, wave.campaign_id)
    standings = {standing.solicitation.id: standing for standing in list_standings(campaign)}
    rows = db.session.execute(
        sa.select(MessageSolicitation.solicitation_id, Message, Contact)
        .join(Message, Message.id == MessageSolicitation.message_id)
        .join(Contact, Contact.id == Message.contact_id)
        .where(Message.wave_id == wave.correction_of_id, may_have_gone(Message))
        .order_by(Message.id, MessageSolicitation.solicitation_id)
    )
    members = [
        Member(
            standings[solicitation_id],
            contact,
            Way(message.channel, message.address, message.address_hash),
            _explain_silence(message, channels),
        )
        for solicitation_id, message, contact in rows
    ]
    answers = ask_gate(campaign, members, Purpose.CORRECTION)
    return [
        replace(member, withheld=member.withheld or answer)
        for member, answer in zip(members, answers, strict=True)
    ]


def _explain_silence(message: Message, channels: Sequence[Channel]) -> Withheld | None:
    """Why there is nowhere to write to, or nothing to write there."""
    if not message.address:  # of somebody who was erased since
        return Withheld(WithheldReason.NO_ADDRESS, {})
    has_text = message.channel in channels
    return None if has_text else Withheld(WithheldReason.NOT_IN_AUDIENCE, {})


def addresses_reached(wave: Wave) -> dict[str, str]:
    """The addresses that the wrong wave reached, by hash, as its messages have them."""
    rows = db.session.execute(
        sa.select(Message.address_hash, Message.address).where(
            Message.wave_id == wave.correction_of_id, may_have_gone(Message)
        )
    )
    return dict(rows.all())


def count_unwritten(wave: Wave, channels: Sequence[Channel]) -> Counter[Channel]:
    """Those whom the wave reached over channels for which there is no text, by channel."""
    reached = count_reached(wave)
    return Counter(
        {channel: count for channel, count in reached.items() if channel not in channels}
    )
