"""Stops into days: what no assignment may break, and that the solver is never worse."""

from collections import Counter
from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from outreach.visits.assignment import Stop, VisitorDay, Week, solve, spread
from outreach.workdays import Half

MONDAY = date(2026, 10, 26)
DAYS = [MONDAY + timedelta(days=offset) for offset in range(5)]

stops = st.builds(
    Stop,
    key=st.integers(0, 999),
    worth=st.integers(0, 500),
    district=st.sampled_from(["蒸湘区", "雁峰区", "衡南县"]),
    days=st.frozensets(st.sampled_from(DAYS)),
    visitor_id=st.sampled_from([None, 1, 2]),
    half_days=st.dictionaries(st.sampled_from(DAYS), st.sampled_from(Half)),
)
visitor_days = st.builds(
    VisitorDay,
    visitor_id=st.sampled_from([1, 2]),
    day=st.sampled_from(DAYS),
    room=st.integers(0, 3),
    districts=st.frozensets(st.sampled_from(["蒸湘区", "雁峰区"])),
    half=st.sampled_from([None, *Half]),
)
weeks = st.builds(
    Week,
    st.lists(stops, max_size=25, unique_by=lambda stop: stop.key),
    st.lists(visitor_days, max_size=8, unique_by=lambda day: (day.visitor_id, day.day)),
    trip=st.integers(0, 200),
)


@settings(max_examples=60, deadline=None)
@given(weeks)
def test_an_assignment_keeps_to_rooms_and_days_and_is_never_worse_than_a_greedy_one(week: Week):
    greedy, solved = spread(week), solve(week, seconds=2)
    for assignment in (greedy, solved):
        taken = Counter(assignment.values())
        assert all(count <= week.days[place].room for place, count in taken.items())
        assert all(week.days[p].day in week.stops[key].days for key, p in assignment.items())
        halves = Counter((p, week.half_of(key, p)) for key, p in assignment.items())
        for (place, half), count in halves.items():
            day = week.days[place]
            assert half is None or (day.half in {None, half} and count <= day.half_room)
    assert week.measure(solved) >= week.measure(greedy) >= 0


def test_the_solver_sees_that_a_trip_is_worth_it_for_three_stops_together():
    stops = [Stop(key, 40, "衡南县", frozenset(DAYS)) for key in range(3)]
    week = Week(stops, [VisitorDay(1, MONDAY, room=3)], trip=100)
    assert spread(week) == {}
    assert solve(week) == {0: 0, 1: 0, 2: 0}


def test_a_unit_goes_to_its_own_visitor_and_where_somebody_goes_anyway():
    days = [
        VisitorDay(1, MONDAY, room=1),
        VisitorDay(2, MONDAY, room=1),
        VisitorDay(2, DAYS[1], room=1, districts=frozenset({"衡南县"})),
    ]
    own = Stop(1, 100, "蒸湘区", frozenset(DAYS), visitor_id=2)
    far = Stop(2, 100, "衡南县", frozenset(DAYS), visitor_id=2)
    assert solve(Week([own, far], days, trip=20)) == {1: 1, 2: 2}


def test_a_morning_holds_half_of_the_visits_of_a_day():
    mornings = [
        Stop(key, 100 - key, "蒸湘区", frozenset(DAYS), half_days=dict.fromkeys(DAYS, Half.MORNING))
        for key in range(4)
    ]
    anytime = Stop(9, 10, "蒸湘区", frozenset(DAYS))
    week = Week([*mornings, anytime], [VisitorDay(1, MONDAY, room=3)], trip=0)
    assert set(spread(week)) == set(solve(week)) == {0, 1, 9}
    free = Week(mornings, [VisitorDay(1, MONDAY, room=3, half=Half.MORNING)], trip=0)
    assert set(solve(free)) == {0, 1, 2}, "who has the morning only has it for all of them"
