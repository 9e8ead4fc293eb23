"""Where units, sectors and the campaign stand: stage and money put together, in few queries.

Money decides over the stage: a unit has given when its net gifts reach its open pledge, or are
above nothing without a pledge. Outstanding = not given, not declined, not exempt.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from itertools import accumulate, chain
from typing import Any, TypeVar

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import contains_eager
from sqlalchemy.orm.attributes import set_committed_value

from outreach import clock, workdays
from outreach.accounts.models import User
from outreach.campaigns import pace
from outreach.campaigns.models import Campaign, Sector, Solicitation, Stage
from outreach.campaigns.pace import DayAmount, PaceBasis
from outreach.campaigns.queries import in_scope
from outreach.db import db
from outreach.gifts.lineage import inherited_by_day, read_lineage
from outreach.gifts.models import GiftKind
from outreach.gifts.queries import (
    OneUnit,
    UnitMoney,
    count_units,
    matches_unit,
    or_zero,
    sum_by_day,
    sum_by_sector,
    sum_by_sector_and_day,
    sum_by_unit,
)
from outreach.terms import Term
from outreach.units.models import Unit

Row = TypeVar("Row", Sector, User)


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
    """When the next instalment is due that is not covered."""
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
    solicitation_ids: Collection[int] | None = None,
    outstanding_only: bool = False,
    solicitor_id: int | None = None,
    search: str = "",
    today: date | None = None,
) -> list[Standing]:
    """Standings in the order of sectors and names. Without a viewer the machine asks and sees
    all; `search` looks into names, former names and pinyin initials."""
    money = UnitMoney(campaign.id)
    conditions = []
    if viewer is not None:
        conditions.append(in_scope(viewer, Solicitation.sector_id))
    if sector_ids is not None:
        conditions.append(Solicitation.sector_id.in_(sector_ids))
    if solicitation_ids is not None:
        conditions.append(Solicitation.id.in_(solicitation_ids))
    if solicitor_id is not None:
        conditions.append(Solicitation.solicitor_id == solicitor_id)
    if search.strip():
        conditions.append(matches_unit(search))
    if outstanding_only:
        conditions.append(money.is_outstanding)
    return _fetch(campaign, money, conditions, today or clock.today())


def find_standing(solicitation: Solicitation) -> Standing:
    """The standing of one unit as the database has it now."""
    campaign = solicitation.campaign
    parameters = {
        "campaign": campaign.id,
        "previous": campaign.previous_id,
        "solicitation": solicitation.id,
        "unit": solicitation.unit_id,
    }
    return _read(campaign, _select_one(), clock.today(), parameters)[0]


@cache
def _select_one() -> sa.Select[Any]:
    """Asked after each visit and each change: it is put together once."""
    campaign, previous, solicitation, unit = (
        sa.bindparam(name, type_=sa.Integer())
        for name in ("campaign", "previous", "solicitation", "unit")
    )
    one = OneUnit(solicitation, unit)
    statement = _select(UnitMoney(campaign, one), sum_by_unit(previous, one))
    return statement.where(Solicitation.id == solicitation)


def find_by_name(campaign: Campaign, name: str) -> list[Solicitation]:
    """The unit of exactly this name, or else those that a search for it finds."""
    found = [standing.solicitation for standing in list_standings(campaign, search=name)]
    return [row for row in found if row.unit.name == name] or found


@dataclass(frozen=True)
class SectorFigures:
    sector: Sector
    amount_fen: int
    """With the gifts that are credited to the sector only (个人板块)."""
    previous_fen: int
    """What this sector continues of the campaign before, as it was then: see `lineage`."""
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


@dataclass(frozen=True)
class CampaignFigures:
    total_fen: int
    allocated_fen: int
    """Credited to a sector; with `unallocated_fen` it makes the total."""
    unallocated_fen: int
    individual_fen: int
    previous_total_fen: int
    previous_by_now_fen: int
    """What last year had brought by the same working day."""
    goal_fen: int
    unit_count: int
    given_count: int
    outstanding_count: int
    pace_share: float
    pace_basis: PaceBasis

    @property
    def share(self) -> float | None:
        """Raised so far as a share of the goal, or of last year's total without a goal."""
        whole = self.goal_fen or self.previous_total_fen
        return self.total_fen / whole if whole > 0 else None


@dataclass(frozen=True)
class Figures:
    campaign: CampaignFigures
    sectors: list[SectorFigures]


def read_figures(
    campaign: Campaign, *, viewer: User | None = None, today: date | None = None
) -> Figures:
    """Figures of the campaign and of the sectors that the viewer may see, in the federation's
    order. A page that needs both asks here: together they cost six queries."""
    books = _Books(campaign, today or clock.today(), viewer)
    return Figures(books.whole(), [books.sector(sector) for sector in books.lineage.sectors])


def sector_figures(
    campaign: Campaign, *, viewer: User | None = None, today: date | None = None
) -> list[SectorFigures]:
    return read_figures(campaign, viewer=viewer, today=today).sectors


def lags_on(campaign: Campaign, days: Iterable[date]) -> dict[date, dict[int, float]]:
    """Points by which each sector was behind its pace line at the end of each day, by day and
    sector: with what was in by then, as the ledger knows it now."""
    received = sum_by_sector_and_day(campaign.id)
    lineage = read_lineage(campaign)
    history = inherited_by_day(campaign, lineage)
    calendar = _Calendar(campaign)
    lags: dict[date, dict[int, float]] = {day: {} for day in days}
    for sector in lineage.sectors:
        before = history.get(sector.id, [])
        previous = sum(amount for _day, amount in before)
        for day, found in lags.items():
            raised = sum(amount for on, amount in received.get(sector.id, ()) if on <= day)
            share = raised / previous if previous > 0 else None
            found[sector.id] = pace.lag_points(calendar.expected_share(day, before), share)
    return lags


def cumulative(campaign: Campaign) -> list[tuple[date, int]]:
    """Running total in fen at the end of each day on which something came in."""
    daily = sum_by_day(campaign.id)
    running = accumulate(amount for _day, amount in daily)
    return [(day, total) for (day, _amount), total in zip(daily, running, strict=True)]


class _Books:
    """What the figures are made of, read once."""

    def __init__(self, campaign: Campaign, today: date, viewer: User | None = None) -> None:
        self.campaign = campaign
        self.today = today
        self.lineage = read_lineage(campaign, viewer)
        self.counts = count_units(campaign)
        self.amounts = sum_by_sector(campaign)
        self.history = inherited_by_day(campaign, self.lineage)
        self.calendar = _Calendar(campaign)

    def sector(self, sector: Sector) -> SectorFigures:
        history = self.history.get(sector.id, [])
        units, given, outstanding = self.counts.get(sector.id, (0, 0, 0))
        return SectorFigures(
            sector=sector,
            amount_fen=sum(self.amounts.get((sector.id, kind), 0) for kind in GiftKind),
            previous_fen=sum(amount for _day, amount in history),
            unit_count=units,
            given_count=given,
            outstanding_count=outstanding,
            pace_share=self.calendar.expected_share(self.today, history),
            lag_margin_percent=self.campaign.lag_margin_percent,
        )

    def whole(self) -> CampaignFigures:
        history = list(chain.from_iterable(self.history.values()))
        previous_total = sum(amount for _day, amount in history)
        share = self.calendar.expected_share(self.today, history)
        total = sum(self.amounts.values())
        unallocated = sum(self.amounts.get((None, kind), 0) for kind in GiftKind)
        units, given, outstanding = (
            sum(column) for column in zip((0, 0, 0), *self.counts.values(), strict=True)
        )
        return CampaignFigures(
            total_fen=total,
            allocated_fen=total - unallocated,
            unallocated_fen=unallocated,
            individual_fen=sum(
                amount
                for (_sector, kind), amount in self.amounts.items()
                if kind is GiftKind.INDIVIDUAL
            ),
            previous_total_fen=previous_total,
            previous_by_now_fen=round(previous_total * share),
            goal_fen=self.campaign.goal_fen,
            unit_count=units,
            given_count=given,
            outstanding_count=outstanding,
            pace_share=share,
            pace_basis=self.calendar.basis(history),
        )


class _Calendar:
    """The days that count in this campaign and in last year's."""

    def __init__(self, campaign: Campaign) -> None:
        before = campaign.previous or campaign
        first = min(before.starts_on, campaign.starts_on)
        last = max(before.ends_on, campaign.ends_on)
        self.is_known = True
        try:
            days = workdays.list_workdays(first, last)
        except workdays.CalendarUnknown:
            self.is_known = False
            days = pace.calendar_days(first, last)
        self.days = [day for day in days if campaign.starts_on <= day <= campaign.ends_on]
        self.history_days = [day for day in days if before.starts_on <= day <= before.ends_on]

    def expected_share(self, today: date, history: Collection[DayAmount]) -> float:
        return pace.expected_share(today, self.days, history, self.history_days)

    def basis(self, history: Collection[DayAmount]) -> PaceBasis:
        if not self.is_known:
            return PaceBasis.CALENDAR_DAYS
        return PaceBasis.LAST_YEAR if history else PaceBasis.STRAIGHT_LINE


def _fetch(
    campaign: Campaign,
    money: UnitMoney,
    conditions: Iterable[sa.ColumnElement[bool]],
    today: date,
) -> list[Standing]:
    statement = _select(money, sum_by_unit(campaign.previous_id)).where(*conditions)
    return _read(campaign, statement, today)


def _select(money: UnitMoney, last_year: sa.Select[int | None, int]) -> sa.Select[Any]:
    previous = last_year.subquery("previous")
    return (
        sa.select(
            Solicitation,
            money.given,
            money.pledged,
            money.due_on,
            or_zero(previous.c.amount),
        )
        .select_from(money.source)
        .outerjoin(previous, previous.c.unit_id == Solicitation.unit_id)
        .join(Solicitation.unit)
        .join(Solicitation.sector)
        .options(contains_eager(Solicitation.unit))
        .where(money.is_in_campaign)
        .order_by(Sector.position, Unit.name, Solicitation.id)
    )


def _read(
    campaign: Campaign,
    statement: sa.Select[Any],
    today: date,
    parameters: Mapping[str, int | None] | None = None,
) -> list[Standing]:
    rows = db.session.execute(statement, parameters).all()
    _attach_few(campaign, [row[0] for row in rows])
    return [
        Standing(solicitation, given, pledged, due_on, before, solicitation.days_silent(today))
        for solicitation, given, pledged, due_on, before in rows
    ]


def _attach_few(campaign: Campaign, solicitations: Sequence[Solicitation]) -> None:
    """Sets what few rows share; joined to each row of a long list it would double its cost."""
    sectors = _by_id(Sector, {row.sector_id for row in solicitations})
    solicitors = _by_id(User, {row.solicitor_id for row in solicitations if row.solicitor_id})
    for row in solicitations:
        set_committed_value(row, "campaign", campaign)
        set_committed_value(row, "sector", sectors[row.sector_id])
        set_committed_value(
            row, "solicitor", solicitors[row.solicitor_id] if row.solicitor_id else None
        )


def _by_id(table: type[Row], ids: Collection[int]) -> dict[int, Row]:
    if len(ids) == 1:  # of one unit they mostly are at hand
        return {id_: db.session.get_one(table, id_) for id_ in ids}
    rows = db.session.scalars(sa.select(table).where(table.id.in_(ids))) if ids else ()
    return {row.id: row for row in rows}
