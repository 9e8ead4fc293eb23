"""Which step is tried with a unit next: the cheapest one that is likely to work, and what else.

The figures are a secretariat's rules of thumb, not statistics: they put steps in an order, and tell
how much a visit adds to what a call would do. Each line of `RULES` says one thing that people know.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from outreach.visits.models import Means, VisitOutcome

LIKELY: Final = 50
"""Chance, of a hundred, from which a step is likely to work."""
USUAL: Final = {Means.MESSAGE: 60, Means.CALL: 60, Means.VISIT: 70, Means.LEADER: 60}


@dataclass(frozen=True)
class Case:
    """What is known of a unit that has not given yet."""

    has_contact: bool = True
    has_history: bool = True
    """It gave last year."""
    is_big: bool = False
    """It is among the fifth that is worth most."""
    gives_less: bool = False
    is_due: bool = False
    """The day that it named is over, and the money is not there."""
    was_reminded: bool = False
    left_call_unanswered: bool = False
    last_outcome: VisitOutcome | None = None


RULES: Final[tuple[tuple[Callable[[Case], bool], Mapping[Means, int]], ...]] = (
    (lambda case: not case.has_contact, {Means.MESSAGE: -95, Means.CALL: -95, Means.VISIT: -10}),
    (lambda case: not case.has_history, {Means.MESSAGE: -30, Means.CALL: -5}),
    (lambda case: case.is_big, {Means.MESSAGE: -25, Means.CALL: -20}),
    (lambda case: case.gives_less, {Means.MESSAGE: -25, Means.CALL: -15, Means.VISIT: -5}),
    (lambda case: case.is_due, {Means.MESSAGE: -20, Means.CALL: 20}),
    (lambda case: case.was_reminded, {Means.MESSAGE: -45}),
    (lambda case: case.left_call_unanswered, {Means.MESSAGE: -20, Means.CALL: -45}),
    (lambda case: case.last_outcome is VisitOutcome.NOT_IN, {Means.VISIT: -30}),
    (lambda case: case.last_outcome is VisitOutcome.WILL_DISCUSS, {Means.CALL: 15}),
)


@dataclass(frozen=True)
class Choice:
    means: Means
    alternative: Means
    visit_gain: int
    """What a visit adds to the chance, of a hundred, over a cheaper step that is likely to work."""


def choose(case: Case) -> Choice:
    chances = estimate(case)
    means, *others = sorted(chances, key=lambda means: _rank(means, chances))
    is_cheaper = _COST[means] < _COST[Means.VISIT]
    gain = chances[Means.VISIT] - (chances[means] if is_cheaper else 0)
    return Choice(means, others[0], max(gain, 0) if _COST[means] <= _COST[Means.VISIT] else 0)


def estimate(case: Case) -> dict[Means, int]:
    """Chance that each step works, of a hundred."""
    chances = dict(USUAL)
    for is_so, changes in RULES:
        if is_so(case):
            for means, change in changes.items():
                chances[means] += change
    return {means: min(max(chance, 0), 95) for means, chance in chances.items()}


_COST: Final = {means: rank for rank, means in enumerate(Means)}


def _rank(means: Means, chances: Mapping[Means, int]) -> tuple[bool, int]:
    """Likely ones first, the cheapest of them first; then the others, the best of them first."""
    is_likely = chances[means] >= LIKELY
    return not is_likely, _COST[means] if is_likely else -chances[means]
