"""Reads of gifts and pledges: sums in SQL, always net of reversals."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Self

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import joinedload
from werkzeug.datastructures import MultiDict

from outreach.campaigns.models import Campaign, Solicitation, Stage
from outreach.campaigns.pace import DayAmount
from outreach.db import db
from outreach.errors import NotFound
from outreach.gifts.models import Gift, GiftBasis, GiftKind, Instalment, Pledge
from outreach.units.models import Unit, UnitAlias
from outreach.units.naming import name_key

UNALLOCATED: Final = "none"
"""What the filter by sector is set to for gifts without one."""


@dataclass(frozen=True)
class GiftFilter:
    """What the query string of the list of gifts asks for."""

    sector: str = ""
    """Id of a sector, or UNALLOCATED."""
    search: str = ""
    first: date | None = None
    last: date | None = None
    kind: str = ""

    @classmethod
    def read(cls, arguments: MultiDict[str, str]) -> Self:
        return cls(
            sector=arguments.get("sector", ""),
            search=arguments.get("q", "").strip(),
            first=arguments.get("first", type=date.fromisoformat),
            last=arguments.get("last", type=date.fromisoformat),
            kind=arguments.get("kind", ""),
        )

    @property
    def is_empty(self) -> bool:
        return self == type(self)()

    def conditions(self) -> Iterator[sa.ColumnElement[bool]]:
        if self.sector == UNALLOCATED:
            yield Gift.sector_id.is_(None)
        elif self.sector.isdecimal():
            yield Gift.sector_id == int(self.sector)
        if self.search:
            yield sa.or_(
                Gift.unit_id.in_(sa.select(Unit.id).where(matches_unit(self.search))),
                Gift.reference == self.search,
            )
        if self.first:
            yield Gift.received_on >= self.first
        if self.last:
            yield Gift.received_on <= self.last
        if self.kind in set(GiftKind):
            yield Gift.kind == GiftKind[self.kind.upper()]


@dataclass(frozen=True)
class Totals:
    """Sums of a list of gifts in fen. Each pair adds up to the total."""

    total: int
    allocated: int
    unallocated: int
    unit: int
    individual: int
    into_account: int
    outside_account: int


def select_gifts(campaign: Campaign, wanted: GiftFilter) -> sa.Select[Gift]:
    """The gifts that the filter asks for, newest first, with what a row shows."""
    return (
        sa.select(Gift)
        .where(Gift.campaign_id == campaign.id, *wanted.conditions())
        .options(
            joinedload(Gift.unit),
            joinedload(Gift.sector),
            joinedload(Gift.recorded_by),
            joinedload(Gift.group),
        )
        .order_by(Gift.received_on.desc(), Gift.id.desc())
    )


def sum_gifts(campaign: Campaign, wanted: GiftFilter) -> Totals:
    def part(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
        return or_zero(sa.func.sum(Gift.amount_fen).filter(*conditions))

    parts = db.session.execute(
        sa.select(
            sum_fen(),
            part(Gift.sector_id.is_not(None)),
            part(Gift.sector_id.is_(None)),
            part(Gift.kind == GiftKind.UNIT),
            part(Gift.kind == GiftKind.INDIVIDUAL),
            part(Gift.basis == GiftBasis.INTO_ACCOUNT),
            part(Gift.basis == GiftBasis.OUTSIDE_ACCOUNT),
        ).where(Gift.campaign_id == campaign.id, *wanted.conditions())
    ).one()
    return Totals(*parts)


def list_reversed(gifts: Iterable[Gift]) -> set[int]:
    """Ids of those among the gifts that were reversed."""
    ids = [gift.id for gift in gifts]
    return set(
        db.session.scalars(sa.select(Gift.reversal_of_id).where(Gift.reversal_of_id.in_(ids)))
    )


def matches_unit(text: str) -> sa.ColumnElement[bool]:
    """Condition on `Unit`: name, short name, former name or pinyin initials hold the text."""
    text = text.strip()
    key = name_key(text) or text
    is_alias = sa.exists().where(
        UnitAlias.unit_id == Unit.id, UnitAlias.name_key.contains(key, autoescape=True)
    )
    return sa.or_(
        Unit.name_key.contains(key, autoescape=True),
        Unit.short_name.contains(text, autoescape=True),
        Unit.initials.contains(text.lower(), autoescape=True),
        is_alias,
    )


def get_gift(campaign: Campaign, gift_id: int) -> Gift:
    gift = db.session.scalar(sa.select(Gift).filter_by(campaign_id=campaign.id, id=gift_id))
    if gift is None:
        raise NotFound(_("没有这笔到账记录。"))
    return gift


def find_gift(campaign: Campaign, line_key: str) -> Gift | None:
    return db.session.scalar(sa.select(Gift).filter_by(campaign_id=campaign.id, line_key=line_key))


Parameter = sa.BindParameter[int]


@dataclass(frozen=True)
class OneUnit:
    """Parameters of a statement about one unit's place in a campaign."""

    solicitation_id: Parameter
    unit_id: Parameter


class UnitMoney:
    """Solicitations of a campaign joined with the sums of their money, to select from. With
    `of`, the gifts and pledges of no other unit are summed up."""

    def __init__(self, campaign_id: int | Parameter, of: OneUnit | None = None) -> None:
        gifts = sum_by_unit(campaign_id, of).subquery("given")
        promised = sa.select(
            Pledge.solicitation_id, sa.func.sum(Pledge.amount_fen).label("amount")
        ).where(Pledge.withdrawn_at.is_(None))
        if of is not None:
            promised = promised.where(Pledge.solicitation_id == of.solicitation_id)
        pledges = promised.group_by(Pledge.solicitation_id).subquery("promised")
        self.given = or_zero(gifts.c.amount)
        self.pledged = or_zero(pledges.c.amount)
        self.due_on = next_due(Solicitation.id, self.given)
        self.source = sa.outerjoin(
            sa.outerjoin(Solicitation, gifts, gifts.c.unit_id == Solicitation.unit_id),
            pledges,
            pledges.c.solicitation_id == Solicitation.id,
        )
        self.is_in_campaign = Solicitation.campaign_id == campaign_id
        self.has_given = sa.and_(self.given > 0, self.given >= self.pledged)
        self.is_outstanding = sa.and_(
            ~self.has_given,
            Solicitation.stage != Stage.DECLINED,
            Solicitation.is_exempt.is_(False),
        )


def next_due(
    solicitation_id: sa.SQLColumnExpression[int], given_fen: sa.ColumnElement[int]
) -> sa.ScalarSelect[Any]:
    """When the first instalment is due that `given_fen` does not cover; NULL when none is left."""
    return (
        sa.select(sa.func.min(Instalment.due_on))
        .join(Pledge, Pledge.id == Instalment.pledge_id)
        .where(
            Pledge.solicitation_id == solicitation_id,
            Pledge.withdrawn_at.is_(None),
            Instalment.owed_fen > given_fen,
        )
        .scalar_subquery()
    )


def sum_by_unit(
    campaign_id: int | Parameter | None, of: OneUnit | None = None
) -> sa.Select[int | None, int]:
    is_units = Gift.unit_id.is_not(None) if of is None else Gift.unit_id == of.unit_id
    return (
        sa.select(Gift.unit_id, sum_fen().label("amount"))
        .where(Gift.campaign_id == campaign_id, is_units)
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
    money = UnitMoney(campaign.id)
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
