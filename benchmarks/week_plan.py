"""What a solver adds to a week of visits: `.venv/bin/python -m benchmarks.week_plan [--units N]
[--staff N] [--runs N]`.

Made-up federations with a seed: units with last year's gifts of every size, in twelve districts of
unlike size, three in ten of them with days on which they receive visitors; staff with five visits a
day, some on leave. Each week is planned three times: in the order of the list, greedily by worth,
and by the solver; all three are measured alike.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from datetime import date, timedelta
from random import Random

from outreach.visits.assignment import Assignment, Stop, VisitorDay, Week, solve, spread

MONDAY = date(2026, 10, 26)
DISTRICTS = {
    f"区县{number}": weight
    for number, weight in enumerate((20, 16, 12, 10, 8, 8, 6, 5, 5, 4, 3, 3))
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=600)
    parser.add_argument("--staff", type=int, default=8)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    weeks = [make_week(Random(seed), options.units, options.staff) for seed in range(options.runs)]
    print(f"{options.units} units, {options.staff} staff, medians of {options.runs} weeks")
    print(f"{'':10}{'measure':>10}{'worth':>10}{'trips':>8}{'visits':>8}{'seconds':>9}{'worst':>7}")
    for name, plan in {"in order": in_order, "greedy": spread, "solver": solve}.items():
        print(f"{name:10}" + describe(weeks, plan))


def make_week(random: Random, units: int, staff: int) -> Week:
    days = [MONDAY + timedelta(days=offset) for offset in range(5)]
    stops = [
        Stop(
            key=key,
            worth=int(random.lognormvariate(9.5, 1.1)),
            district=random.choices(list(DISTRICTS), list(DISTRICTS.values()))[0],
            days=frozenset(random.sample(days, random.choice((1, 2, 3, 5, 5, 5, 5, 5, 5, 5)))),
            visitor_id=random.randrange(staff),
        )
        for key in range(units)
    ]
    places = [
        VisitorDay(visitor, day, random.choice((5, 5, 5, 5, 4, 3, 0)))
        for visitor in range(staff)
        for day in days
    ]
    return Week(stops, places, trip=int(statistics.median(stop.worth for stop in stops)) // 2)


def in_order(week: Week) -> Assignment:
    """As a list is worked off: the next unit, to its own visitor's first day with room."""
    left = [day.room for day in week.days]
    assignment = {}
    for key, gains in week.gains.items():
        own = [
            p for p in gains if left[p] and week.days[p].visitor_id == week.stops[key].visitor_id
        ]
        if own:
            assignment[key] = own[0]
            left[own[0]] -= 1
    return assignment


def describe(weeks: list[Week], plan: Callable[[Week], Assignment]) -> str:
    rows = []
    for week in weeks:
        started = time.perf_counter()
        found = plan(week)
        seconds = time.perf_counter() - started
        measure, trips = week.measure(found), week.count_trips(found)
        rows.append((measure, measure + trips * week.trip, trips, len(found), seconds))
    measure, worth, trips, visits, seconds = (
        statistics.median(column) for column in zip(*rows, strict=True)
    )
    worst = max(row[-1] for row in rows)
    return f"{measure:10,.0f}{worth:10,.0f}{trips:8.0f}{visits:8.0f}{seconds:9.2f}{worst:7.1f}"


if __name__ == "__main__":
    main()
