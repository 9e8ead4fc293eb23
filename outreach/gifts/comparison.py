"""Year on year: what each unit and each sector gives against the campaign before, taken apart.

On both bases (`lineage`), and each fen once, so that for every sector and for the whole

    this year - last year as it was = new + up + down + lapsed + loose + moved
    this year - last year as it is  = new + up + down + lapsed + loose

`loose` is the change of what has no unit; `moved` adds up to nothing over all sectors.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import sqlalchemy as sa
from flask_babel import LazyString
from flask_babel import lazy_gettext as _

from outreach.campaigns.models import Campaign, Sector, Solicitation
from outreach.db import db
from outreach.gifts.lineage import Lineage, read_lineage
from outreach.gifts.models import Gift
from outreach.gifts.queries import sum_fen
from outreach.terms import Term
from outreach.units.models import Unit


class Movement(Term):
    """What a unit gives against last year; each unit is in exactly one group."""

    NEW = "new", _("新增")
    UP = "up", _("上升")
    UNCHANGED = "unchanged", _("持平")
    DOWN = "down", _("下降")
    LAPSED = "lapsed", _("上年有、本年未到账")
    NEITHER = "neither", _("两年均无")

    @classmethod
    def between(cls, then_fen: int, now_fen: int) -> "Movement":
        if now_fen <= 0:
            return cls.LAPSED if then_fen > 0 else cls.NEITHER
        if then_fen <= 0:
            return cls.NEW
        if now_fen == then_fen:
            return cls.UNCHANGED
        return cls.UP if now_fen > then_fen else cls.DOWN


@dataclass(frozen=True)
class UnitChange:
    unit: Unit
    solicitation: Solicitation | None
    """None when the unit gave last year and is not in this campaign."""
    sector_id: int | None
    """Where it counts as it is."""
    now_fen: int
    then: dict[int | None, int]
    """Last year's fen, by the sector of this year for which they count as it was."""

    @property
    def then_fen(self) -> int:
        return sum(self.then.values())

    @property
    def change_fen(self) -> int:
        return self.now_fen - self.then_fen

    @property
    def movement(self) -> Movement:
        return Movement.between(self.then_fen, self.now_fen)

    @property
    def has_moved(self) -> bool:
        return any(sector_id != self.sector_id for sector_id in self.then)

    @property
    def reason(self) -> LazyString | str:
        """Why, as a person noted it or its solicitation says; empty when nobody knows."""
        row = self.solicitation
        if row is None:
            return _("不在本年名册")
        if row.change_reason is not None:
            return row.change_reason.label
        if self.movement is Movement.LAPSED and row.decline_reason is not None:
            return row.decline_reason.label
        return _("本年不劝募") if self.movement is Movement.LAPSED and row.is_exempt else ""


@dataclass
class SectorChange:
    """Amounts in fen. Without a sector: what counts for none, or the whole."""

    sector: Sector | None = None
    now_fen: int = 0
    as_was_fen: int = 0
    as_is_fen: int = 0
    loose_fen: int = 0
    parts: Counter[Movement] = field(default_factory=Counter)
    """Change by movement, with its sign."""
    units: Counter[Movement] = field(default_factory=Counter)
    """Number of units by movement."""

    @property
    def change_fen(self) -> int:
        """On last year as it was."""
        return self.now_fen - self.as_was_fen

    @property
    def moved_fen(self) -> int:
        """Last year's gifts of units that came, less those of units that went."""
        return self.as_is_fen - self.as_was_fen

    @property
    def explained_fen(self) -> int:
        """Equals the change, or something is wrong: see `ledger`."""
        return self.parts.total() + self.loose_fen + self.moved_fen

    @property
    def direction(self) -> str:
        if self.change_fen == 0:
            return "unchanged"
        return "risen" if self.change_fen > 0 else "fallen"

    def take(self, other: "SectorChange") -> None:
        self.now_fen += other.now_fen
        self.as_was_fen += other.as_was_fen
        self.as_is_fen += other.as_is_fen
        self.loose_fen += other.loose_fen
        self.parts.update(other.parts)
        self.units.update(other.units)


@dataclass(frozen=True)
class Comparison:
    units: list[UnitChange]
    sectors: list[SectorChange]
    """In the federation's order."""
    elsewhere: SectorChange
    """What counts for no sector: not allocated, or of a sector that nobody continues."""

    @property
    def whole(self) -> SectorChange:
        total = SectorChange()
        for change in (*self.sectors, self.elsewhere):
            total.take(change)
        return total


def compare_years(campaign: Campaign) -> Comparison:
    """The campaign against the one before; without one all is new."""
    lineage = read_lineage(campaign)
    changes: dict[int | None, SectorChange] = {None: SectorChange()}
    changes |= {sector.id: SectorChange(sector) for sector in lineage.sectors}
    now, then = _sum_gifts(campaign.id), _sum_gifts(campaign.previous_id)
    units = list(_compare_units(campaign, lineage, now, then))
    for unit in units:
        here = changes[unit.sector_id]
        here.now_fen += unit.now_fen
        here.as_is_fen += unit.then_fen
        here.parts[unit.movement] += unit.change_fen
        here.units[unit.movement] += 1
        for sector_id, amount in unit.then.items():
            changes[sector_id].as_was_fen += amount
    for sector_id, amount in now.get(None, {}).items():
        changes[sector_id].now_fen += amount
        changes[sector_id].loose_fen += amount
    for then_id, amount in then.get(None, {}).items():
        heir = changes[lineage.place(then_id, None)]
        heir.as_was_fen += amount
        heir.as_is_fen += amount
        heir.loose_fen -= amount
    return Comparison(units, [changes[sector.id] for sector in lineage.sectors], changes[None])


_Sums = dict[int | None, dict[int | None, int]]
"""Fen by unit and sector; None: without."""


def _compare_units(
    campaign: Campaign, lineage: Lineage, now: _Sums, then: _Sums
) -> Iterator[UnitChange]:
    rows = db.session.execute(
        sa.select(Unit, Solicitation)
        .outerjoin(
            Solicitation,
            (Solicitation.unit_id == Unit.id) & (Solicitation.campaign_id == campaign.id),
        )
        .where(sa.or_(Solicitation.id.is_not(None), Unit.id.in_(_givers(campaign.previous_id))))
        .order_by(Unit.name, Unit.id)
    )
    for unit, solicitation in rows:
        sector_id = solicitation.sector_id if solicitation else None
        before: defaultdict[int | None, int] = defaultdict(int)
        for then_id, amount in then.get(unit.id, {}).items():
            before[lineage.place(then_id, sector_id)] += amount
        if solicitation is None:
            sector_id = next(iter(before), None)
        yield UnitChange(
            unit, solicitation, sector_id, sum(now.get(unit.id, {}).values()), dict(before)
        )


def _sum_gifts(campaign_id: int | None) -> _Sums:
    sums: _Sums = defaultdict(dict)
    for unit_id, sector_id, amount in db.session.execute(
        sa.select(Gift.unit_id, Gift.sector_id, sum_fen())
        .where(Gift.campaign_id == campaign_id)
        .group_by(Gift.unit_id, Gift.sector_id)
    ):
        sums[unit_id][sector_id] = amount
    return sums


def _givers(campaign_id: int | None) -> sa.Select[int | None]:
    return sa.select(Gift.unit_id).where(Gift.campaign_id == campaign_id)
