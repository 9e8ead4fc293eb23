"""Gifts for which a letter of thanks is due, is being written, or has gone out."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa

from outreach.campaigns.models import Campaign, Solicitation
from outreach.db import db
from outreach.gifts.models import Gift
from outreach.messages.models import Purpose, Wave


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
    became of the letter. A gift that only puts right one that was thanked for does not count."""
    of_units = sa.select(Gift).where(Gift.campaign_id == campaign.id, Gift.unit_id.is_not(None))
    gifts = db.session.scalars(of_units.order_by(Gift.id)).all()
    named = list_named(campaign)
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
        if gift.recorded_at >= recorded_from
        and gift.amount_fen > 0
        and gift.id not in settled
        and given[gift.unit_id] > thanked[gift.unit_id]
    ]


def list_named(campaign: Campaign) -> set[int]:
    """Ids of the gifts that letters of thanks name, cancelled ones too: a person decided."""
    audiences = db.session.scalars(
        sa.select(Wave.audience).filter_by(campaign_id=campaign.id, purpose=Purpose.THANKS)
    )
    return {gift_id for audience in audiences for gift_id in audience.get("gift_ids", ())}


def _stands() -> sa.ColumnElement[bool]:
    reversed_ids = sa.select(Gift.reversal_of_id).where(Gift.reversal_of_id.is_not(None))
    return Gift.reversal_of_id.is_(None) & Gift.id.not_in(reversed_ids)
