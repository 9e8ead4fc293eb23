"""Reads of gifts and pledges: sums in SQL, always net of reversals."""

from collections import defaultdict
from typing import Any

import sqlalchemy as sa

from outreach.campaigns.models import Campaign, Solicitation, Stage
from outreach.campaigns.pace import DayAmount
from outreach.db import db
from outreach.gifts.models import Gift, GiftKind, Pledge


class UnitMoney:
    """Solicitations of a campaign joined with the sums of their money, to select from."""

    def __init__(self, campaign: Campaign) -> None:
        gifts = sum_by_unit(campaign.id).subquery("given")
        pledges = (
            sa.select(
                Pledge.solicitation_id,
                sa.func.sum(Pledge.amount_fen).label("amount"),
                sa.func.max(Pledge.due_on).label("due_on"),
            )
            .where(Pledge.withdrawn_at.is_(None))
            .group_by(Pledge.solicitation_id)
            .subquery("promised")
        )
        self.given = or_zero(gifts.c.amount)
        self.pledged = or_zero(pledges.c.amount)
        self.due_on = pledges.c.due_on
        self.source = sa.outerjoin(
            sa.outerjoin(Solicitation, gifts, gifts.c.unit_id == Solicitation.unit_id),
            pledges,
            pledges.c.solicitation_id == Solicitation.id,
        )
        self.is_in_campaign = Solicitation.campaign_id == campaign.id
        self.has_given = sa.and_(self.given > 0, self.given >= self.pledged)
        self.is_outstanding = sa.and_(
            ~self.has_given,
            Solicitation.stage != Stage.DECLINED,
            Solicitation.is_exempt.is_(False),
        )


def sum_by_unit(campaign_id: int | None) -> sa.Select[int | None, int]:
    return (
        sa.select(Gift.unit_id, sum_fen().label("amount"))
        .where(Gift.campaign_id == campaign_id, Gift.unit_id.is_not(None))
        .group_by(Gift.unit_id)
    )


def sum_by_sector(campaign: Campaign) -> dict[tuple[int | None, GiftKind], int]:
    """Fen by sector and kind; sector None holds what is unallocated."""
    rows = db.session.execute(
        sa.select(Gift.sector_id, Gift.kind, sum_fen())
        .where(Gift.campaign_id == campaign.id)
        .group_by(Gift.sector_id, Gift.kind)
    )
    return {(sector_id, kind): amount for sector_id, kind, amount in rows}


def sum_by_day(campaign_id: int) -> list[DayAmount]:
    rows = db.session.execute(
        sa.select(Gift.received_on, sum_fen())
        .where(Gift.campaign_id == campaign_id)
        .group_by(Gift.received_on)
        .order_by(Gift.received_on)
    )
    return [(day, amount) for day, amount in rows]


def sum_by_sector_and_day(campaign_id: int | None) -> dict[int | None, list[DayAmount]]:
    rows = db.session.execute(
        sa.select(Gift.sector_id, Gift.received_on, sum_fen())
        .where(Gift.campaign_id == campaign_id)
        .group_by(Gift.sector_id, Gift.received_on)
    )
    history: defaultdict[int | None, list[DayAmount]] = defaultdict(list)
    for sector_id, day, amount in rows:
        history[sector_id].append((day, amount))
    return history


def count_units(campaign: Campaign) -> dict[int, tuple[int, int, int]]:
    """Units, units that have given and units outstanding, by sector."""
    money = UnitMoney(campaign)
    rows = db.session.execute(
        sa.select(
            Solicitation.sector_id,
            sa.func.count(),
            sa.func.count().filter(money.has_given),
            sa.func.count().filter(money.is_outstanding),
        )
        .select_from(money.source)
        .where(money.is_in_campaign)
        .group_by(Solicitation.sector_id)
    )
    return {sector_id: (units, given, outstanding) for sector_id, units, given, outstanding in rows}


def list_open_pledges(solicitation: Solicitation) -> list[Pledge]:
    return list(
        db.session.scalars(
            sa.select(Pledge).where(
                Pledge.solicitation_id == solicitation.id, Pledge.withdrawn_at.is_(None)
            )
        )
    )


def sum_fen() -> sa.ColumnElement[int]:
    """Sum of the gifts' amounts; 0 without any."""
    return or_zero(sa.func.sum(Gift.amount_fen))


def or_zero(amount: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
    # PostgreSQL adds bigints up to a numeric, which arrives as Decimal.
    return sa.cast(sa.func.coalesce(amount, 0), sa.BigInteger)
