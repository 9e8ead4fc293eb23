"""Who goes where on which day: stops into days of visitors, for the most worth.

Nothing here knows the database. A stop is worth something; less with another visitor than its own,
a bit less each day later; and each district that a visitor's day goes to costs a trip. So the
measure is: worth of the stops that are made, less the trips.

`spread` takes the stops by worth, each to the place that is best at its turn. `solve` asks a solver
of mixed integer programmes, because trips are what one stop at a time cannot see: see
docs/decisions/0018. `benchmarks/week_plan.py` holds both against each other.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from outreach.workdays import Half

STRANGER_PERCENT: Final = 80
"""What a stop is worth to a visitor who is not its own, of a hundred."""
LATER_PERCENT: Final = 2
"""What each day later takes off."""
SECONDS: Final = 10.0
"""After which the solver gives the best that it has found."""
GAP: Final = 0.01
"""How far from the optimum an answer may be."""
CONTENDERS: Final = 2
"""For each seat, how many stops the solver looks at, by worth. With all of 600 it takes three times
as long for a few thousandths."""

Assignment = dict[int, int]
"""Place of the day in the list of days, by the key of the stop."""


@dataclass(frozen=True)
class Stop:
    key: int
    worth: int
    district: str
    days: frozenset[date]
    """On which the unit receives visitors and wants one."""
    visitor_id: int | None = None
    """Whose unit it is."""
    half_days: Mapping[date, Half] = field(default_factory=dict)
    """Those of the days of which only one half will do."""


@dataclass(frozen=True)
class VisitorDay:
    visitor_id: int
    day: date
    room: int
    """Visits that still fit."""
    districts: frozenset[str] = frozenset()
    """Where the visitor goes on this day in any case."""
    is_there: bool = True
    """The visitor works on this day, also when no visit fits any more."""
    half: Half | None = None
    """When the visitor has time, if it is only half of the day."""

    @property
    def half_room(self) -> int:
        """Visits that still fit into a half of the day."""
        return self.room if self.half else (self.room + 1) // 2

    def suits(self, stop: Stop) -> bool:
        half = stop.half_days.get(self.day, self.half)
        return self.room > 0 and self.day in stop.days and self.half in {None, half}


class Week:
    """Days, what may be put into them, and what that is worth."""

    def __init__(self, stops: Sequence[Stop], days: Sequence[VisitorDay], trip: int) -> None:
        """`trip` is what going to a district costs, in units of worth."""
        self.stops = {stop.key: stop for stop in stops}
        self.days = days
        self.trip = trip
        self._order = {day: rank for rank, day in enumerate(sorted({d.day for d in days}))}
        self.gains: Mapping[int, Mapping[int, int]] = {
            stop.key: {
                place: self._worth(stop, day) for place, day in enumerate(days) if day.suits(stop)
            }
            for stop in stops
        }

    def measure(self, assignment: Assignment) -> int:
        """Worth of what is assigned, less the trips."""
        worth = sum(self.gains[key][place] for key, place in assignment.items())
        return worth - self.trip * self.count_trips(assignment)

    def count_trips(self, assignment: Assignment) -> int:
        """Districts to which somebody goes on a day only because of the assignment."""
        return len({trip for item in assignment.items() if (trip := self.trip_of(*item))})

    def trip_of(self, key: int, place: int) -> tuple[int, str] | None:
        """The trip that the stop needs; None where the visitor goes in any case."""
        district = self.stops[key].district
        return None if district in self.days[place].districts else (place, district)

    def half_of(self, key: int, place: int) -> Half | None:
        """The half of the day in which alone the stop can be made there."""
        return self.stops[key].half_days.get(self.days[place].day)

    def _worth(self, stop: Stop, day: VisitorDay) -> int:
        is_own = stop.visitor_id in {None, day.visitor_id}
        percent = 100 if is_own else STRANGER_PERCENT
        return stop.worth * (percent - LATER_PERCENT * self._order[day.day]) // 100


def spread(week: Week, kept: Assignment | None = None) -> Assignment:
    """What is kept, and each other stop, by worth, at the place that is best at its turn."""
    filling = _Filling(week, kept or {})
    filling.fill(_by_worth(stop for stop in week.stops.values() if stop.key not in (kept or {})))
    return filling.assignment


def solve(week: Week, *, seconds: float = SECONDS) -> Assignment:
    """An assignment near the best one; never worse than `spread`."""
    return max(spread(week, _ask_solver(week, seconds)), spread(week), key=week.measure)


def _by_worth(stops: Iterable[Stop]) -> list[int]:
    return [stop.key for stop in sorted(stops, key=lambda stop: (-stop.worth, stop.key))]


def _ask_solver(week: Week, seconds: float) -> Assignment:
    """Nothing when it finds nothing in time.

    One variable for each stop at each place, and one for each trip. Given the trips, what is left
    is a flow, whose best answer is whole by itself: so only the trips must be whole.
    """
    # Loaded here: it takes a third of a second, which no web worker should wait for.
    import numpy
    from scipy import optimize, sparse

    room = sum(day.room for day in week.days)
    keys = _by_worth(week.stops.values())[: CONTENDERS * room]
    seats = [(key, place) for key in keys for place in week.gains[key]]
    if not seats:
        return {}
    trips: dict[tuple[int, str], int] = {}
    rows = _Rows()
    for column, (key, place) in enumerate(seats):
        rows.add(("stop", key), column, 1, limit=1)
        rows.add(("day", place), column, 1, limit=week.days[place].room)
        if (half := week.half_of(key, place)) is not None:
            rows.add((half, place), column, 1, limit=week.days[place].half_room)
        if (trip := week.trip_of(key, place)) is not None:
            trip_column = len(seats) + trips.setdefault(trip, len(trips))
            rows.add(("seat", column), column, 1, limit=0)
            rows.add(("seat", column), trip_column, -1, limit=0)
    width = len(seats) + len(trips)
    found = optimize.milp(
        numpy.array([-week.gains[key][place] for key, place in seats] + [week.trip] * len(trips)),
        integrality=numpy.array([0] * len(seats) + [1] * len(trips)),
        bounds=optimize.Bounds(0, 1),
        constraints=optimize.LinearConstraint(
            sparse.csr_array(
                (rows.values, (rows.numbers, rows.columns)), shape=(len(rows.limits), width)
            ),
            ub=rows.limits,
        ),
        options={"time_limit": seconds, "mip_rel_gap": GAP},
    )
    if found.x is None:
        return {}
    return {key: place for (key, place), value in zip(seats, found.x, strict=False) if value > 0.5}


class _Rows:
    """The lines of a sparse matrix, each with the most that it may come to."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, int], int] = {}
        self.limits: list[int] = []
        self.numbers: list[int] = []
        self.columns: list[int] = []
        self.values: list[int] = []

    def add(self, name: tuple[str, int], column: int, value: int, *, limit: int) -> None:
        if name not in self._names:
            self._names[name] = len(self.limits)
            self.limits.append(limit)
        self.numbers.append(self._names[name])
        self.columns.append(column)
        self.values.append(value)


class _Filling:
    """An assignment that grows."""

    def __init__(self, week: Week, assignment: Assignment) -> None:
        self.week = week
        self.assignment = dict(assignment)
        self._taken = Counter(assignment.values())
        self._halves = Counter(
            (place, week.half_of(key, place)) for key, place in assignment.items()
        )
        self._districts: defaultdict[int, set[str]] = defaultdict(set)
        for key, place in assignment.items():
            self._districts[place].add(week.stops[key].district)

    def fill(self, keys: Iterable[int]) -> None:
        for key in keys:
            gains = {place: self._gain(key, place) for place in self.week.gains[key]}
            place = max(gains, key=lambda place: gains[place], default=None)
            if place is not None and gains[place] > 0:
                self.assignment[key] = place
                self._taken[place] += 1
                self._halves[place, self.week.half_of(key, place)] += 1
                self._districts[place].add(self.week.stops[key].district)

    def _gain(self, key: int, place: int) -> int:
        """What the stop adds at this place; 0 where there is no room."""
        day, half = self.week.days[place], self.week.half_of(key, place)
        is_half_full = half is not None and self._halves[place, half] >= day.half_room
        if self._taken[place] >= day.room or is_half_full:
            return 0
        trip = self.week.trip_of(key, place)
        is_new = trip is not None and trip[1] not in self._districts[place]
        return self.week.gains[key][place] - (self.week.trip if is_new else 0)
