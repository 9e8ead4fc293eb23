"""What a digest says: amounts in fen, days of Asia/Shanghai.

It is stored as JSON when the digest is built, so that an old digest never changes. Fields may be
added with a default; none may be renamed or removed.
"""

from datetime import date, datetime, time
from decimal import Decimal

from flask_babel import lazy_gettext as _
from pydantic import BaseModel

from outreach import money
from outreach.campaigns.pace import PaceBasis
from outreach.digests.decisions import DecisionKind
from outreach.terms import Term


class Direction(Term):
    """Against the amount that last year had brought by the same working day."""

    RISEN = "risen", _("上升")
    FALLEN = "fallen", _("下降")
    UNCHANGED = "unchanged", _("持平")


class SectorLine(BaseModel):
    sector_id: int
    name: str
    amount_fen: int
    previous_fen: int
    """Last year's total."""
    by_now_fen: int
    """What last year had brought by the same working day."""
    unit_count: int
    given_count: int
    outstanding_count: int
    lag: float
    """Points behind the pace line; negative when ahead."""
    is_lagging: bool

    @property
    def change_fen(self) -> int:
        return self.amount_fen - self.by_now_fen

    @property
    def direction(self) -> Direction:
        if self.change_fen == 0:
            return Direction.UNCHANGED
        return Direction.RISEN if self.change_fen > 0 else Direction.FALLEN


class NewlyGiven(BaseModel):
    """A unit that had not given before the week and had at its end."""

    unit_id: int
    name: str
    sector: str
    amount_fen: int


class VisitLine(BaseModel):
    unit_id: int
    unit: str
    day: date
    at: time | None
    visitor: str
    is_proposed: bool


class MeetingLine(BaseModel):
    meeting_id: int
    title: str
    starts_at: datetime
    place: str


class DecisionLine(BaseModel):
    kind: DecisionKind
    count: int


class Figures(BaseModel):
    first: date
    last: date
    """Monday and Sunday of the week that is reported on."""

    total_fen: int
    allocated_fen: int
    unallocated_fen: int
    individual_fen: int
    goal_fen: int
    previous_total_fen: int
    previous_by_now_fen: int
    pace_basis: PaceBasis
    opening_fen: int
    """The total of the digest before; without one, what had come in before the week."""
    week_fen: int
    """Came in during the week."""

    unit_count: int
    given_count: int
    outstanding_count: int

    sectors: list[SectorLine]
    newly_given: list[NewlyGiven]
    logged_visit_count: int
    sent_message_count: int
    visits: list[VisitLine]
    """Of the week that begins, as are the meetings."""
    meetings: list[MeetingLine]
    decisions: list[DecisionLine]

    @property
    def other_fen(self) -> int:
        """What brought the total from the last digest's to this one's beside the week itself:
        entries made late, reversals, and what came in after the week."""
        return self.total_fen - self.opening_fen - self.week_fen

    @property
    def not_asked_count(self) -> int:
        """Units that declined or are not asked this year."""
        return self.unit_count - self.given_count - self.outstanding_count

    @property
    def share(self) -> float | None:
        return self.total_fen / self.goal_fen if self.goal_fen else None

    @property
    def change_fen(self) -> int:
        """Against last year by the same working day."""
        return self.total_fen - self.previous_by_now_fen

    @property
    def rounding_fen(self) -> int:
        """By how much the sectors and the unallocated part, each rounded to 0.01 万元 as they are
        shown, miss the total as it is shown."""
        parts = [sector.amount_fen for sector in self.sectors] + [self.unallocated_fen]
        return _as_shown(self.total_fen) - sum(_as_shown(part) for part in parts)

    def going(self, direction: Direction) -> list[SectorLine]:
        return [sector for sector in self.sectors if sector.direction is direction]

    @property
    def lagging(self) -> list[SectorLine]:
        """The farthest behind first."""
        return sorted(
            (sector for sector in self.sectors if sector.is_lagging),
            key=lambda sector: -sector.lag,
        )


def _as_shown(fen: int) -> int:
    shown = Decimal(money.format_wan_yuan(fen).replace(",", ""))
    return money.from_wan_yuan(shown)
