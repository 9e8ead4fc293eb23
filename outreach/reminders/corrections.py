"""Who is owed a correction: exactly those whom the wrong wave reached, or may have reached, at the
addresses and over the channels that were used then, and whom no correction has reached yet
(docs/decisions/0010)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.orm import aliased

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

OVER = (WaveStatus.FINISHED, WaveStatus.CANCELLED)
"""States in which nothing of a wave goes out any more."""

_Right = aliased(Message)
_Correction = aliased(Wave)


def has_reached(wave: Wave) -> bool:
    """Whether a message of the wave arrived, or may have. What failed, was withheld, expired or was
    cancelled in time reached nobody."""
    reached = sa.exists().where(Message.wave_id == wave.id, may_have_gone(Message))
    return bool(db.session.scalar(sa.select(reached)))


def count_owed(wave: Wave) -> dict[Channel, int]:
    """How many recipients of the wave are owed a correction, by channel."""
    rows = db.session.execute(
        sa.select(Message.channel, sa.func.count())
        .where(_is_owed(wave.id))
        .group_by(Message.channel)
        .order_by(Message.channel)
    )
    return dict(rows.all())


def find_open_correction(wave: Wave) -> Wave | None:
    """The one that is being prepared or is on its way."""
    return db.session.scalar(
        sa.select(Wave).where(Wave.correction_of_id == wave.id, Wave.status.not_in(OVER))
    )


def _is_owed(wrong_id: int | None) -> sa.ColumnElement[bool]:
    """Condition: a message of the wrong wave that arrived, or may have, and that no correction has
    followed to its address, or may have."""
    followed = sa.exists().where(
        _Right.wave_id == _Correction.id,
        _Correction.correction_of_id == wrong_id,
        _Right.channel == Message.channel,
        _Right.address_hash == Message.address_hash,
        may_have_gone(_Right),
    )
    return sa.and_(Message.wave_id == wrong_id, may_have_gone(Message), ~followed)


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
        .where(_is_owed(wave.correction_of_id))
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


def addresses_owed(wave: Wave) -> dict[str, str]:
    """The addresses that are owed the correction, by hash, as the wrong messages have them."""
    rows = db.session.execute(
        sa.select(Message.address_hash, Message.address).where(_is_owed(wave.correction_of_id))
    )
    return dict(rows.all())


def count_unwritten(wave: Wave, channels: Sequence[Channel]) -> Counter[Channel]:
    """Those who are owed a correction over channels for which there is no text, by channel."""
    owed = count_owed(wave)
    return Counter({channel: count for channel, count in owed.items() if channel not in channels})
