"""Reads of donation receipts, and what does not fit together about them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby, pairwise

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import aliased, contains_eager, joinedload

from outreach import clock
from outreach.campaigns.models import Campaign
from outreach.db import db, run
from outreach.errors import NotFound
from outreach.gifts.models import Gift, GiftBasis
from outreach.receipts.models import STANDING, DonationReceipt, ReceiptStatus

PATIENCE = timedelta(days=10)
"""A request that has waited longer is told of."""


@dataclass(frozen=True)
class Coverage:
    """How much of the money in the account receipts stand for, in fen."""

    given_fen: int
    """Gifts into the account that were not reversed."""
    issued_fen: int
    requested_fen: int

    @property
    def without_fen(self) -> int:
        return self.given_fen - self.issued_fen - self.requested_fen


@dataclass(frozen=True)
class NumberGap:
    """Numbers between two that were issued which nobody knows."""

    code: str
    first: str
    last: str

    @property
    def count(self) -> int:
        return int(self.last) - int(self.first) + 1


def get_receipt(campaign: Campaign, receipt_id: int) -> DonationReceipt:
    receipt = db.session.scalar(_of(campaign).where(DonationReceipt.id == receipt_id))
    if receipt is None:
        raise NotFound(_("没有这张票据。"))
    return receipt


def select_receipts(
    campaign: Campaign, status: ReceiptStatus | None = None, search: str = ""
) -> sa.Select[DonationReceipt]:
    """Newest first; `search` is a part of the payer's name, or a number."""
    wanted = _of(campaign)
    if status is not None:
        wanted = wanted.where(DonationReceipt.status == status)
    if search:
        wanted = wanted.where(
            sa.or_(
                DonationReceipt.payer.contains(search, autoescape=True),
                DonationReceipt.number == search,
            )
        )
    return wanted.order_by(DonationReceipt.id.desc())


def list_requested(campaign: Campaign) -> list[DonationReceipt]:
    """In the order in which they were asked for."""
    wanted = _of(campaign).where(DonationReceipt.status == ReceiptStatus.REQUESTED)
    return list(db.session.scalars(wanted.order_by(DonationReceipt.id)))


def list_of_gift(gift: Gift) -> list[DonationReceipt]:
    query = sa.select(DonationReceipt).filter_by(gift_id=gift.id).order_by(DonationReceipt.id)
    return list(db.session.scalars(query))


def sum_standing(gift: Gift) -> int:
    """Fen for which receipts stand or are requested."""
    total = sa.func.coalesce(sa.func.sum(DonationReceipt.amount_fen), 0)
    query = sa.select(total).where(
        DonationReceipt.gift_id == gift.id, DonationReceipt.status.in_(STANDING)
    )
    return int(db.session.scalar(query) or 0)


def sum_coverage(campaign: Campaign) -> Coverage:
    given = sa.select(sa.func.coalesce(sa.func.sum(Gift.amount_fen), 0)).where(
        Gift.campaign_id == campaign.id, Gift.basis == GiftBasis.INTO_ACCOUNT
    )
    by_status = dict(
        db.session.execute(
            sa.select(DonationReceipt.status, sa.func.sum(DonationReceipt.amount_fen))
            .join(Gift, Gift.id == DonationReceipt.gift_id)
            .where(
                Gift.campaign_id == campaign.id,
                DonationReceipt.status.in_(STANDING),
                Gift.id.not_in(_reversed_ids()),
            )
            .group_by(DonationReceipt.status)
        ).all()
    )
    return Coverage(
        given_fen=int(db.session.scalar(given) or 0),
        issued_fen=int(by_status.get(ReceiptStatus.ISSUED, 0)),
        requested_fen=int(by_status.get(ReceiptStatus.REQUESTED, 0)),
    )


def list_of_reversed_gifts(campaign: Campaign) -> list[DonationReceipt]:
    """Receipts that stand although the money is gone: each has to be reversed or withdrawn."""
    return list(
        db.session.scalars(
            _of(campaign)
            .where(DonationReceipt.status.in_(STANDING), Gift.id.in_(_reversed_ids()))
            .order_by(DonationReceipt.id)
        )
    )


def list_overdue(campaign: Campaign) -> list[DonationReceipt]:
    """Requests that have waited for too long, the oldest first."""
    wanted = _of(campaign).where(
        DonationReceipt.status == ReceiptStatus.REQUESTED,
        DonationReceipt.requested_at < clock.now() - PATIENCE,
    )
    return list(db.session.scalars(wanted.order_by(DonationReceipt.id)))


def list_number_gaps(campaign: Campaign) -> list[NumberGap]:
    """Gaps in the numbers of each code that the campaign used; other campaigns may have used the
    same code, so that their numbers count too."""
    codes = (
        sa.select(DonationReceipt.code)
        .join(Gift, Gift.id == DonationReceipt.gift_id)
        .where(Gift.campaign_id == campaign.id, DonationReceipt.code.is_not(None))
    )
    red = aliased(DonationReceipt)
    issued = sa.select(DonationReceipt.code, DonationReceipt.number).where(
        DonationReceipt.code.in_(codes)
    )
    # The red one comes out of the same sequence.
    reversals = sa.select(red.code, red.reversal_number).where(
        red.code.in_(codes), red.reversal_number != ""
    )
    used = run(sa.union(issued, reversals))
    return list(_find_gaps(used))


def _find_gaps(used: Iterable[tuple[str, str]]) -> Iterable[NumberGap]:
    """Among numbers with the same code and as many digits."""
    known = sorted(
        (code, len(number), int(number), number)
        for code, number in used
        if number.isascii() and number.isdecimal()
    )
    for (code, width), group in groupby(known, key=lambda row: row[:2]):
        for before, after in pairwise(number for _code, _width, number, _text in group):
            if after > before + 1:
                first, last = (str(number).zfill(width) for number in (before + 1, after - 1))
                yield NumberGap(code, first, last)


def _of(campaign: Campaign) -> sa.Select[DonationReceipt]:
    return (
        sa.select(DonationReceipt)
        .join(DonationReceipt.gift)
        .where(Gift.campaign_id == campaign.id)
        .options(
            contains_eager(DonationReceipt.gift).options(
                joinedload(Gift.unit), joinedload(Gift.sector)
            )
        )
    )


def _reversed_ids() -> sa.Select[int | None]:
    return sa.select(Gift.reversal_of_id).where(Gift.reversal_of_id.is_not(None))
