"""Where units, sectors and the campaign stand: stage and money put together, in few queries.

Money decides over the stage: a unit has given when its net gifts reach its open pledge, or are
above nothing without a pledge. Outstanding = not given, not declined, not exempt.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date
from itertools import accumulate
from typing import Any

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import contains_eager

from outreach import clock, workdays
from outreach.accounts.models import User
from outreach.campaigns import pace
from outreach.campaigns.models import Campaign, Sector, SectorLineage, Solicitation, Stage
from outreach.campaigns.pace import DayAmount, PaceBasis
from outreach.campaigns.queries import in_scope
from outreach.db import db
from outreach.gifts.models import Gift, GiftKind, Pledge
from outreach.terms import Term
from outreach.units.models import Unit, UnitAlias


class Status(Term):
    """What is shown of a unit: its stage, unless money or a decision says more."""

    NOT_CONTACTED = "not_contacted", _("未联系")
    CONTACTED = "contacted", _("已联系")
    VISITED = "visited", _("已走访")
    PLEDGED = "pledged", _("已认捐")
    DECLINED = "declined", _("已婉拒")
    PARTIAL = "partial", _("部分到账")
    GIVEN = "given", _("已到账")
    EXEMPT = "exempt", _("本年不劝募")


@dataclass(frozen=True)
class Standing:
    """One unit in one campaign; `solicitation` has unit, sector and solicitor loaded."""

    solicitation: Solicitation
    given_fen: int
    """Net of reversals."""
    pledged_fen: int
    """The open pledge; 0 without one."""
    pledge_due_on: date | None
    previous_fen: int
    """What the unit gave in the campaign before, net of reversals."""
    days_silent: int

    @property
    def has_given(self) -> bool:
        return 0 < self.given_fen >= self.pledged_fen

    @property
    def status(self) -> Status:
        if self.has_given:
            return Status.GIVEN
        if self.given_fen > 0:
            return Status.PARTIAL
        if self.solicitation.is_exempt:
            return Status.EXEMPT
        return Status[self.solicitation.stage.name]

    @property
    def is_outstanding(self) -> bool:
        is_asked = not self.solicitation.is_exempt and self.solicitation.stage is not Stage.DECLINED
        return is_asked and not self.has_given

    @property
    def missing_fen(self) -> int:
        """What is still to come of the pledge."""
        return max(self.pledged_fen - self.given_fen, 0)

    def is_snoozed(self, today: date) -> bool:
        until = self.solicitation.snoozed_until
        return until is not None and today <= until


def list_standings(  # noqa: PLR0913
    campaign: Campaign,
    *,
    viewer: User | None = None,
    sector_ids: Collection[int] | None = None,
    outstanding_only: bool = False,
    solicitor_id: int | None = None,
    search: str = "",
    today: date | None = None,
) -> list[Standing]:
    """Standings in the order of sectors and names. Without a viewer the machine asks and sees
    all; `search` looks into names, former names and pinyin initials."""
    query = _Query(campaign)
    conditions = []
    if viewer is not None:
        conditions.append(in_scope(viewer, Solicitation.sector_id))
    if sector_ids is not None:
        conditions.append(Solicitation.sector_id.in_(sector_ids))
    if solicitor_id is not None:
        conditions.append(Solicitation.solicitor_id == solicitor_id)
    if search.strip():
        conditions.append(_matches(search.strip()))
    if outstanding_only:
        conditions.append(query.is_outstanding)
    return query.fetch(*conditions, today=today or clock.today())


def find_standing(solicitation: Solicitation) -> Standing:
    """The standing of one unit as the database has it now."""
    query = _Query(solicitation.campaign)
    return query.fetch(Solicitation.id == solicitation.id, today=clock.today())[0]


@dataclass(frozen=True)
class SectorFigures:
    sector: Sector
    amount_fen: int
    """With the gifts that are credited to the sector only (个人板块)."""
    previous_fen: int
    """What the sectors that this one continues raised in the campaign before, as it was then."""
    unit_count: int
    given_count: int
    outstanding_count: int
    pace_share: float
    lag_margin_percent: int = field(repr=False)

    @property
    def direction(self) -> str:
        if self.amount_fen == self.previous_fen:
            return "unchanged"
        return "risen" if self.amount_fen > self.previous_fen else "fallen"

    @property
    def share(self) -> float | None:
        """Raised so far as a share of last year's; None when there was nothing."""
        return self.amount_fen / self.previous_fen if self.previous_fen > 0 else None

    @property
    def expected_fen(self) -> int:
        """Where the pace line is today."""
        return round(self.previous_fen * self.pace_share)

    @property
    def lag(self) -> float:
        """Points behind the pace line; negative when ahead."""
        return pace.lag_points(self.pace_share, self.share)

    @property
    def is_lagging(self) -> bool:
        return pace.is_lagging(self.lag, self.lag_margin_percent)


def sector_figures(
    campaign: Campaign, *, viewer: User | None = None, today: date | None = None
) -> list[SectorFigures]:
    """Figures of the sectors that the viewer may see, in the federation's order."""
    is_visible = in_scope(viewer, Sector.id) if viewer else sa.true()
    sectors = db.session.scalars(
        sa.select(Sector)
        .where(Sector.campaign_id == campaign.id, is_visible)
        .order_by(Sector.position)
    ).all()
    counts = _count_units(campaign)
    amounts = _sum_by_sector(campaign)
    history = _history_by_sector(campaign)
    calendar = _Calendar(campaign)
    today = today or clock.today()
    figures = []
    for sector in sectors:
        units, given, outstanding = counts.get(sector.id, (0, 0, 0))
        figures.append(
            SectorFigures(
                sector=sector,
                amount_fen=amounts.get(sector.id, 0),
                previous_fen=sum(amount for _day, amount in history[sector.id]),
                unit_count=units,
                given_count=given,
                outstanding_count=outstanding,
                pace_share=calendar.expected_share(today, history[sector.id]),
                lag_margin_percent=campaign.lag_margin_percent,
            )
        )
    return figures


@dataclass(frozen=True)
class CampaignFigures:
    total_fen: int
    allocated_fen: int
    """Credited to a sector; with `unallocated_fen` it makes the total."""
    previous_total_fen: int
    previous_by_now_fen: int
    """What last year had brought by the same working day."""
    goal_fen: int
    unit_count: int
    given_count: int
    outstanding_count: int
    individual_fen: int
    pace_share: float
    pace_basis: PaceBasis

    @property
    def unallocated_fen(self) -> int:
        return self.total_fen - self.allocated_fen

    @property
    def share(self) -> float | None:
        """Raised so far as a share of the goal, or of last year's total without a goal."""
        whole = self.goal_fen or self.previous_total_fen
        return self.total_fen / whole if whole > 0 else None


def campaign_figures(campaign: Campaign, *, today: date | None = None) -> CampaignFigures:
    total, allocated, individual = db.session.execute(
        sa.select(
            _sum_fen(),
            _sum_fen(Gift.sector_id.is_not(None)),
            _sum_fen(Gift.kind == GiftKind.INDIVIDUAL),
        ).where(Gift.campaign_id == campaign.id)
    ).one()
    counts = _count_units(campaign).values()
    history = _sum_by_day(campaign.previous_id)
    calendar = _Calendar(campaign)
    share = calendar.expected_share(today or clock.today(), history)
    previous_total = sum(amount for _day, amount in history)
    return CampaignFigures(
        total_fen=total,
        allocated_fen=allocated,
        previous_total_fen=previous_total,
        previous_by_now_fen=round(previous_total * share),
        goal_fen=campaign.goal_fen,
        unit_count=sum(units for units, _given, _outstanding in counts),
        given_count=sum(given for _units, given, _outstanding in counts),
        outstanding_count=sum(outstanding for _units, _given, outstanding in counts),
        individual_fen=individual,
        pace_share=share,
        pace_basis=calendar.basis(history),
    )


def cumulative(campaign: Campaign) -> list[tuple[date, int]]:
    """Running total in fen at the end of each day on which something came in."""
    daily = _sum_by_day(campaign.id)
    running = accumulate(amount for _day, amount in daily)
    return [(day, total) for (day, _amount), total in zip(daily, running, strict=True)]


class _Query:
    """Solicitations of a campaign joined with the sums of their money."""

    def __init__(self, campaign: Campaign) -> None:
        self.gifts = _sum_by_unit(campaign.id, "given")
        self.previous = _sum_by_unit(campaign.previous_id, "before")
        self.pledges = (
            sa.select(
                Pledge.solicitation_id,
                sa.func.sum(Pledge.amount_fen).label("amount"),
                sa.func.max(Pledge.due_on).label("due_on"),
            )
            .where(Pledge.withdrawn_at.is_(None))
            .group_by(Pledge.solicitation_id)
            .subquery("promised")
        )
        self.given = _or_zero(self.gifts.c.amount)
        self.pledged = _or_zero(self.pledges.c.amount)
        self.source = sa.outerjoin(
            sa.outerjoin(Solicitation, self.gifts, self.gifts.c.unit_id == Solicitation.unit_id),
            self.pledges,
            self.pledges.c.solicitation_id == Solicitation.id,
        )
        self.is_in_campaign = Solicitation.campaign_id == campaign.id
        self.has_given = sa.and_(self.given > 0, self.given >= self.pledged)
        self.is_outstanding = sa.and_(
            ~self.has_given,
            Solicitation.stage != Stage.DECLINED,
            Solicitation.is_exempt.is_(False),
        )

    def fetch(self, *conditions: sa.ColumnElement[bool], today: date) -> list[Standing]:
        statement = (
            sa.select(
                Solicitation,
                self.given,
                self.pledged,
                self.pledges.c.due_on,
                _or_zero(self.previous.c.amount),
            )
            .select_from(self.source)
            .outerjoin(self.previous, self.previous.c.unit_id == Solicitation.unit_id)
            .join(Solicitation.unit)
            .join(Solicitation.sector)
            .outerjoin(Solicitation.solicitor)
            .options(
                contains_eager(Solicitation.unit),
                contains_eager(Solicitation.sector),
                contains_eager(Solicitation.solicitor),
            )
            .where(self.is_in_campaign, *conditions)
            .order_by(Sector.position, Unit.name, Solicitation.id)
        )
        return [
            Standing(solicitation, given, pledged, due_on, before, solicitation.days_silent(today))
            for solicitation, given, pledged, due_on, before in db.session.execute(statement)
        ]


class _Calendar:
    """The days that count in this campaign and in last year's."""

    def __init__(self, campaign: Campaign) -> None:
        self.is_known = True
        periods = [campaign, campaign.previous or campaign]
        try:
            self.days, self.history_days = (
                workdays.list_workdays(period.starts_on, period.ends_on) for period in periods
            )
        except workdays.CalendarUnknown:
            self.is_known = False
            self.days, self.history_days = (
                pace.calendar_days(period.starts_on, period.ends_on) for period in periods
            )

    def expected_share(self, today: date, history: Iterable[DayAmount]) -> float:
        return pace.expected_share(today, self.days, history, self.history_days)

    def basis(self, history: Collection[DayAmount]) -> PaceBasis:
        if not self.is_known:
            return PaceBasis.CALENDAR_DAYS
        return PaceBasis.LAST_YEAR if history else PaceBasis.STRAIGHT_LINE


def _sum_fen(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    """Sum of the gifts for which the conditions hold; 0 without any."""
    total: sa.ColumnElement[Any] = sa.func.sum(Gift.amount_fen)
    if conditions:
        total = sa.func.sum(Gift.amount_fen).filter(*conditions)
    return _or_zero(total)


def _or_zero(amount: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
    # PostgreSQL adds bigints up to a numeric, which arrives as Decimal.
    return sa.cast(sa.func.coalesce(amount, 0), sa.BigInteger)


def _sum_by_unit(campaign_id: int | None, name: str) -> sa.Subquery:
    return (
        sa.select(Gift.unit_id, _sum_fen().label("amount"))
        .where(Gift.campaign_id == campaign_id, Gift.unit_id.is_not(None))
        .group_by(Gift.unit_id)
        .subquery(name)
    )


def _sum_by_sector(campaign: Campaign) -> dict[int, int]:
    rows = db.session.execute(
        sa.select(Gift.sector_id, _sum_fen())
        .where(Gift.campaign_id == campaign.id)
        .group_by(Gift.sector_id)
    )
    return {sector_id: amount for sector_id, amount in rows if sector_id is not None}


def _sum_by_day(campaign_id: int | None) -> list[DayAmount]:
    rows = db.session.execute(
        sa.select(Gift.received_on, _sum_fen())
        .where(Gift.campaign_id == campaign_id)
        .group_by(Gift.received_on)
        .order_by(Gift.received_on)
    )
    return [(day, amount) for day, amount in rows]


def _history_by_sector(campaign: Campaign) -> dict[int, list[DayAmount]]:
    """What came in last year, by day, for each of this year's sectors through its lineage."""
    rows = db.session.execute(
        sa.select(SectorLineage.sector_id, Gift.received_on, _sum_fen())
        .join(Sector, Sector.id == SectorLineage.sector_id)
        .join(Gift, Gift.sector_id == SectorLineage.predecessor_id)
        .where(Sector.campaign_id == campaign.id)
        .group_by(SectorLineage.sector_id, Gift.received_on)
    )
    history: defaultdict[int, list[DayAmount]] = defaultdict(list)
    for sector_id, day, amount in rows:
        history[sector_id].append((day, amount))
    return history


def _count_units(campaign: Campaign) -> dict[int, tuple[int, int, int]]:
    """Units, units that have given and units outstanding, by sector."""
    query = _Query(campaign)
    rows = db.session.execute(
        sa.select(
            Solicitation.sector_id,
            sa.func.count(),
            sa.func.count().filter(query.has_given),
            sa.func.count().filter(query.is_outstanding),
        )
        .select_from(query.source)
        .where(query.is_in_campaign)
        .group_by(Solicitation.sector_id)
    )
    return {sector_id: (units, given, outstanding) for sector_id, units, given, outstanding in rows}


def _matches(text: str) -> sa.ColumnElement[bool]:
    is_alias = sa.exists().where(
        UnitAlias.unit_id == Unit.id, UnitAlias.name.contains(text, autoescape=True)
    )
    return sa.or_(
        Unit.name.contains(text, autoescape=True),
        Unit.short_name.contains(text, autoescape=True),
        Unit.initials.contains(text.lower(), autoescape=True),
        is_alias,
    )
