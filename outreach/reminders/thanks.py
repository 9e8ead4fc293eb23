"""Gifts for which a letter of thanks is due, is being written, or has gone out."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa

from outreach.campaigns.models import Campaign, Solicitation
from outreach.db import db
from outreach.gifts.models import Gift
from outreach.messages.models import Message, MessageSolicitation, MessageStatus, Purpose, Wave


@dataclass(frozen=True)
class ThankedGift:
    """What one unit is thanked for: one gift, or several together."""

    amount_fen: int
    received_on: date
    """Of the last."""


def read_thanked(campaign: Campaign, gift_ids: Collection[int]) -> dict[int, ThankedGift]:
    """Those of the gifts that stand, by solicitation."""
    rows = db.session.execute(
        sa.select(
            Solicitation.id,
            sa.cast(sa.func.sum(Gift.amount_fen), sa.BigInteger),
            sa.func.max(Gift.received_on),
        )
        .join(Gift, Gift.unit_id == Solicitation.unit_id)
        .where(
            Solicitation.campaign_id == campaign.id,
            Gift.campaign_id == campaign.id,
            Gift.id.in_(gift_ids),
            _stands(),
        )
        .group_by(Solicitation.id)
    )
    return {solicitation_id: ThankedGift(fen, on) for solicitation_id, fen, on in rows}


def list_unthanked(campaign: Campaign, recorded_from: datetime) -> list[Gift]:
    """Units' gifts that were recorded since then and that no letter of thanks names, whatever
    became of the letter, and those of which the letter expired, whenever they were recorded. A gift
    that only puts right one that was thanked for does not count."""
    of_units = sa.select(Gift).where(Gift.campaign_id == campaign.id, Gift.unit_id.is_not(None))
    gifts = db.session.scalars(of_units.order_by(Gift.id)).all()
    expired = _list_expired(campaign)
    named = _list_named(campaign, expired)
    late = {gift_id for _wave_id, gift_id in expired}
    settled = named | {gift.reversal_of_id for gift in gifts}
    given: Counter[int | None] = Counter()
    thanked: Counter[int | None] = Counter()
    for gift in gifts:
        given[gift.unit_id] += gift.amount_fen
        if gift.id in named:
            thanked[gift.unit_id] += gift.amount_fen
    return [
        gift
        for gift in gifts
        if (gift.recorded_at >= recorded_from or gift.id in late)
        and gift.amount_fen > 0
        and gift.id not in settled
        and given[gift.unit_id] > thanked[gift.unit_id]
    ]


def _list_named(campaign: Campaign, expired: Collection[tuple[int | None, int]]) -> set[int]:
    """Ids of the gifts that letters of thanks name, cancelled ones too: a person decided. Nobody
    did of one that expired."""
    rows = db.session.execute(
        sa.select(Wave.id, Wave.audience).filter_by(campaign_id=campaign.id, purpose=Purpose.THANKS)
    )
    return {
        gift_id
        for wave_id, audience in rows
        for gift_id in audience.get("gift_ids", ())
        if (wave_id, gift_id) not in expired
    }


def _list_expired(campaign: Campaign) -> set[tuple[int | None, int]]:
    """Waves with the gifts of units whose letter of thanks expired."""
    rows = db.session.execute(
        sa.select(Message.wave_id, Gift.id)
        .join(MessageSolicitation, MessageSolicitation.message_id == Message.id)
        .join(Solicitation, Solicitation.id == MessageSolicitation.solicitation_id)
        .join(Gift, Gift.unit_id == Solicitation.unit_id)
        .where(
            Message.campaign_id == campaign.id,
            Gift.campaign_id == campaign.id,
            Message.purpose == Purpose.THANKS,
            Message.status == MessageStatus.EXPIRED,
        )
    )
    return {(wave_id, gift_id) for wave_id, gift_id in rows}


def _stands() -> sa.ColumnElement[bool]:
    reversed_ids = sa.select(Gift.reversal_of_id).where(Gift.reversal_of_id.is_not(None))
    return Gift.reversal_of_id.is_(None) & Gift.id.not_in(reversed_ids)
