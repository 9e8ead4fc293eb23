"""The coming week: what is proposed and why, what people confirmed, and two who plan at once."""

from collections import Counter
from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outreach import clock
from outreach.accounts.models import User
from outreach.audit import AuditEvent
from outreach.campaigns.models import Campaign, CampaignStatus, Sector, Solicitation
from outreach.db import db
from outreach.errors import Refused
from outreach.todos.models import Todo, TodoKind, TodoOutcome
from outreach.todos.services import settle
from outreach.visits import services, staffing, week_planning
from outreach.visits.models import OPEN, AbsenceKind, Means, Visit, VisitOutcome, VisitStatus
from outreach.visits.planning import DayPlan
from outreach.visits.services import drop_visit, log_visit, move_visit
from outreach.visits.steps import Case, choose
from outreach.visits.week_planning import Booked, book_week, draft_week, return_unworked
from outreach.workdays import CalendarDay
from tasks.visits import plan_week
from tests.factories import (
    make_campaign,
    make_contact,
    make_gift,
    make_pledge,
    make_sector,
    make_solicitation,
    make_todo,
    make_unit,
    make_user,
    make_visit,
    save,
)
from tests.test_visits import in_threads

MONDAY = date(2026, 10, 19)
TODAY = date(2026, 10, 20)
FRIDAY = date(2026, 10, 23)


class Office:
    """A campaign with last year's gifts and one or more people."""

    def __init__(self, staff: int = 1, **values) -> None:
        before = make_campaign(
            starts_on=date(2025, 9, 1), ends_on=date(2025, 12, 31), status=CampaignStatus.CLOSED
        )
        self.before = before
        self.before_sector = make_sector(before)
        self.campaign: Campaign = make_campaign(previous_id=before.id, **values)
        self.sector: Sector = make_sector(self.campaign)
        self.users = [make_user() for _ in range(staff)]

    def unit(self, yuan: int = 10_000, *, owner: int | None = 0, called: bool = True, **values):
        """A unit that did not answer a call, so that only a visit is likely to work."""
        unit = make_unit(**values)
        make_contact(unit)
        if yuan:
            earlier = make_solicitation(self.before, self.before_sector, unit=unit)
            make_gift(earlier, yuan * 100, received_on=date(2025, 10, 1))
        solicitation = make_solicitation(
            self.campaign,
            self.sector,
            unit=unit,
            solicitor_id=None if owner is None else self.users[owner].id,
        )
        if called:
            call = make_todo(solicitation, kind=TodoKind.CALL)
            settle(call, outcome=TodoOutcome.NO_ANSWER, by=self.users[0])
            db.session.commit()
        return solicitation

    def plan(self) -> Booked:
        draft = draft_week(self.campaign, MONDAY)
        booked = book_week(self.campaign, draft, draft.solve())
        db.session.commit()
        return booked


def proposals() -> list[Visit]:
    statement = sa.select(Visit).filter_by(status=VisitStatus.PROPOSED).order_by(Visit.id)
    return list(db.session.scalars(statement))


def visit_of(solicitation: Solicitation) -> Visit | None:
    statement = sa.select(Visit).filter_by(solicitation_id=solicitation.id)
    return db.session.scalar(statement.where(Visit.status.in_(OPEN)))


def test_a_proposal_says_why_it_is_there_and_what_else_may_be_tried(app: Flask):
    office = Office()
    solicitation = office.unit(30_000)
    make_pledge(solicitation, due_on=date(2026, 10, 15))
    office.plan()
    [visit] = proposals()
    assert visit.reason == ("认捐 10-15 到期未到账；上年 3.00 万元；49 天没有联系；打电话没有答复")
    assert visit.alternative is Means.LEADER
    assert visit.visitor_id == office.users[0].id
    assert visit.proposal_key == f"week:2026-10-19:{solicitation.id}"


def test_what_gave_more_is_visited_first_and_leave_and_holidays_are_kept(app: Flask):
    office = Office(visits_per_day=1)
    save(CalendarDay(day=date(2026, 10, 21), is_workday=False, note="市运动会"))
    staffing.add_absence(office.users[0], AbsenceKind.LEAVE, FRIDAY, FRIDAY)
    small, big = office.unit(10_000), office.unit(90_000)
    booked = office.plan()
    assert booked.visit_count == 1
    assert visit_of(big).planned_on == date(2026, 10, 22), "the one day that is left"
    assert visit_of(small) is None


def test_a_unit_is_visited_when_it_receives_visitors_and_not_before_its_day(app: Flask):
    office = Office()
    thursdays = office.unit(visit_days="3")
    rests, promised = office.unit(), office.unit()
    rests.snoozed_until = date(2026, 10, 22)
    make_pledge(promised, due_on=date(2026, 11, 2))
    db.session.commit()
    office.plan()
    assert visit_of(thursdays).planned_on == date(2026, 10, 22)
    assert visit_of(rests).planned_on == FRIDAY
    assert visit_of(promised) is None


def test_a_unit_that_receives_in_the_afternoon_waits_for_one_with_a_free_afternoon(app: Flask):
    office = Office(staff=2)
    user, other = office.users
    staffing.add_absence(user, AbsenceKind.AFTERNOON, TODAY, FRIDAY)
    staffing.add_absence(other, AbsenceKind.LEAVE, TODAY, date(2026, 10, 22))
    mornings, afternoons = office.unit(visit_days="3a"), office.unit(visit_days="3p4p")
    silent = office.unit(called=False, visit_days="3p")
    office.plan()
    assert visit_of(mornings).visitor_id == user.id
    assert visit_of(afternoons).visitor_id == other.id
    plan = DayPlan(office.campaign, [user.id])
    assert plan.find_day(silent.unit, user.id, TODAY) == date(2026, 10, 29)
    assert plan.find_day(silent.unit, None, TODAY) == date(2026, 10, 22)


def test_planning_again_keeps_what_people_decided_and_moves_only_proposals(app: Flask):
    office = Office(visits_per_day=1)
    units = [office.unit(10_000 + number) for number in range(3)]
    office.plan()
    confirmed, dropped, moved = (visit_of(unit) for unit in units)
    services.confirm_visit(confirmed, by=office.users[0])
    services.drop_visit(dropped, reason="对方要来我会")
    db.session.commit()
    place = (confirmed.planned_on, confirmed.visitor_id, confirmed.version)
    better = office.unit(500_000)
    office.plan()
    assert (confirmed.planned_on, confirmed.visitor_id, confirmed.version) == place
    assert visit_of(units[1]) is None, "what was decided against is not proposed again"
    assert visit_of(better) is not None
    assert visit_of(units[2]) is moved, "the same visit, on another day if that is better"
    count = len(proposals())
    assert office.plan().visit_count == count == 2


def test_a_visit_goes_along_with_that_to_the_unit_in_charge(app: Flask):
    office = Office(visits_per_day=2)
    parent = office.unit(90_000, district="蒸湘区")
    child = office.unit(20_000, district="蒸湘区", parent_id=parent.unit_id)
    office.plan()
    first, second = visit_of(parent), visit_of(child)
    assert (second.parent_id, second.planned_on) == (first.id, first.planned_on)
    parent.next_action_on = first.planned_on
    services.move_visit(first, planned_on=FRIDAY, visitor=office.users[0])
    assert (first.planned_on, second.planned_on) == (FRIDAY, FRIDAY)
    assert (first.status, second.status) == (VisitStatus.PLANNED, VisitStatus.PROPOSED)
    assert parent.next_action_on == FRIDAY
    other = make_user()
    make_visit(make_solicitation(office.campaign, office.sector), other, planned_on=FRIDAY)
    with pytest.raises(Refused, match="共 2 家"):
        services.move_visit(first, planned_on=FRIDAY, visitor=other)
    services.move_visit(second, planned_on=FRIDAY, visitor=other)
    assert second.parent_id is None, "who goes with somebody else goes alone"


def test_a_reservation_that_nobody_made_is_given_back(app: Flask):
    office = Office(return_workdays=2)
    late, later = office.unit(), office.unit()
    made = make_visit(late, office.users[0], planned_on=date(2026, 10, 15))
    make_visit(later, office.users[0], planned_on=date(2026, 10, 16))
    assert return_unworked(office.campaign) == 1
    db.session.commit()
    assert (made.status, made.note) == (VisitStatus.DROPPED, "逾期 2 个工作日未走访，退回重排")
    [event] = db.session.scalars(sa.select(AuditEvent).filter_by(action="return.visit"))
    assert (event.subject, event.facts) == (f"visit:{made.id}", {"day": "2026-10-15"})
    assert event.user_id is None, "the clock did it"
    office.plan()
    assert visit_of(late).planned_on > TODAY


def test_calls_go_to_those_for_whom_a_call_will_do_then_to_those_who_wait_for_a_message(
    app: Flask, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(week_planning, "CALLS_PER_DAY", 1)
    office = Office(visits_per_day=1)
    make_visit(office.unit(800_000), office.users[0], planned_on=date(2026, 10, 21))
    make_visit(office.unit(800_000), office.users[0], planned_on=date(2026, 10, 22))
    staffing.add_absence(office.users[0], AbsenceKind.LEAVE, FRIDAY, FRIDAY)
    late = office.unit(called=False)
    make_pledge(late, due_on=date(2026, 10, 15))
    quiet = [office.unit(20_000 - number, called=False) for number in range(2)]
    booked = office.plan()
    assert (booked.visit_count, booked.todo_count, booked.message_count) == (0, 2, 2)
    calls = db.session.scalars(sa.select(Todo).filter_by(status="open").order_by(Todo.due_on)).all()
    assert [call.solicitation_id for call in calls] == [late.id, quiet[0].id]
    assert [call.due_on.day for call in calls] == [21, 22], "on leave nobody calls"
    assert [call.reason[-8:] for call in calls] == ["也可以：上门走访", "；也可以：发消息"]
    assert office.plan().todo_count == 0


def test_a_unit_that_was_just_reached_is_left_in_peace_unless_it_is_due(app: Flask):
    office = Office()
    spoken, due = office.unit(), office.unit()
    spoken.last_contact_on = due.last_contact_on = date(2026, 10, 17)
    make_pledge(due, due_on=date(2026, 10, 15))
    office.plan()
    assert visit_of(spoken).planned_on == FRIDAY
    assert visit_of(due).planned_on == date(2026, 10, 21)


def test_a_gift_that_came_while_the_solver_worked_counts(app: Flask):
    office = Office()
    solicitation, other = office.unit(), office.unit()
    draft = draft_week(office.campaign, MONDAY)
    found = draft.solve()
    make_gift(solicitation)
    services.plan_visit(other, planned_on=TODAY, visitor=make_user())
    db.session.commit()
    assert book_week(office.campaign, draft, found).visit_count == 0
    assert proposals() == []


def test_a_day_that_filled_up_while_the_solver_worked_takes_nothing_more(app: Flask):
    office = Office(visits_per_day=1)
    office.unit(visit_days="4")
    other = office.unit(called=False)
    draft = draft_week(office.campaign, MONDAY)
    found = draft.solve()
    services.plan_visit(other, planned_on=FRIDAY, visitor=office.users[0])
    db.session.commit()
    assert book_week(office.campaign, draft, found).visit_count == 0
    assert (
        DayPlan(office.campaign, [office.users[0].id]).count_room(office.users[0].id, FRIDAY) == 0
    )


def test_two_who_plan_at_once_book_no_unit_twice(app: Flask):
    office = Office(staff=2, visits_per_day=2)
    for number in range(16):
        office.unit(10_000 + number, owner=number % 2)
    campaign_id = office.campaign.id
    draft = draft_week(office.campaign, MONDAY)
    found = draft.solve()
    db.session.rollback()

    def work(_number: int) -> int:
        booked = book_week(db.session.get_one(Campaign, campaign_id), draft, found)
        db.session.commit()
        return booked.visit_count

    assert in_threads(app, work) == [12, 12]
    db.session.expire_all()
    visits = proposals()
    assert len(visits) == len({visit.solicitation_id for visit in visits}) == 12
    days = Counter((visit.visitor_id, visit.planned_on) for visit in visits)
    assert max(days.values()) == 2


def test_who_plans_a_visit_while_the_week_is_booked_is_not_doubled(app: Flask):
    office, other = Office(), make_user()
    solicitation = office.unit()
    campaign_id, other_id, key = office.campaign.id, other.id, solicitation.id
    draft = draft_week(office.campaign, MONDAY)
    found = draft.solve()
    db.session.rollback()

    def work(number: int) -> None:
        if number:
            book_week(db.session.get_one(Campaign, campaign_id), draft, found)
        else:
            services.plan_visit(
                db.session.get_one(Solicitation, key),
                planned_on=FRIDAY,
                visitor=db.session.get_one(User, other_id),
            )

    results = in_threads(app, work)
    assert results[1] is None, "the planner leaves a unit that is taken"
    assert results[0] is None or isinstance(results[0], Refused)
    count = sa.select(sa.func.count()).select_from(Visit).where(Visit.status.in_(OPEN))
    assert db.session.scalar(count) == 1


def test_of_two_who_confirm_a_visit_of_nobody_one_has_it(app: Flask):
    office = Office(staff=2)
    visit_id = make_visit(office.unit(), status=VisitStatus.PROPOSED, planned_on=FRIDAY).id
    ids = [user.id for user in office.users]

    def work(number: int) -> int | None:
        visit = db.session.get_one(Visit, visit_id)
        services.confirm_visit(visit, by=db.session.get_one(User, ids[number]))
        return visit.visitor_id

    first, second = in_threads(app, work)
    assert first == second == db.session.get_one(Visit, visit_id).visitor_id


def test_the_task_tells_what_it_did_and_what_it_could_not(app: Flask, tuesday_morning):
    office = Office(visits_per_day=1)
    late = office.unit()
    office.unit()
    make_visit(late, office.users[0], planned_on=date(2026, 10, 9))
    assert plan_week.run() == "周计划 2 次走访、2 趟；退回 1 次逾期走访"
    assert plan_week.run() == "周计划 2 次走访、2 趟"
    office.campaign.ends_on = date(2027, 1, 31)
    db.session.commit()
    tuesday_morning.move_to("2027-01-05T10:00:00+08:00")
    assert "2027 年的放假安排" in plan_week.run()


def test_a_campaign_that_does_not_run_is_not_planned(app: Flask):
    with pytest.raises(Refused, match="未在进行"):
        draft_week(make_campaign(status="planned"), MONDAY)
    december = make_campaign(ends_on=date(2027, 1, 31))
    with pytest.raises(Refused, match="2027 年的放假安排"):
        draft_week(december, date(2026, 12, 28))


@pytest.mark.parametrize(
    ("today", "monday"), [(20, 19), (22, 19), (23, 26), (24, 26), (25, 26), (26, 26)]
)
def test_the_coming_week_is_the_next_one_from_friday_on(
    app: Flask, tuesday_morning, today: int, monday: int
):
    tuesday_morning.move_to(f"2026-10-{today}T10:00:00+08:00")
    assert week_planning.coming_week() == date(2026, 10, monday)


@pytest.mark.parametrize(
    ("case", "means", "alternative"),
    [
        (Case(), Means.MESSAGE, Means.CALL),
        (Case(was_reminded=True), Means.CALL, Means.VISIT),
        (Case(is_big=True, was_reminded=True), Means.VISIT, Means.LEADER),
        (Case(has_contact=False), Means.VISIT, Means.LEADER),
        (Case(left_call_unanswered=True), Means.VISIT, Means.LEADER),
        (
            Case(left_call_unanswered=True, last_outcome=VisitOutcome.NOT_IN),
            Means.LEADER,
            Means.MESSAGE,
        ),
    ],
)
def test_the_cheapest_step_that_is_likely_to_work_comes_first(case, means, alternative):
    choice = choose(case)
    assert (choice.means, choice.alternative) == (means, alternative)
    assert choice.visit_gain >= 0


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    room=st.integers(1, 3),
    units=st.lists(
        st.tuples(st.sampled_from([0, 1, None]), st.sampled_from(["", "02", "4", "3p", "4a"])),
        max_size=10,
    ),
    leave=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6), st.integers(0, 2)), max_size=3),
    decisions=st.lists(st.sampled_from(["confirm", "drop", "move", "plan"]), max_size=8),
)
def test_whatever_people_do_a_plan_keeps_its_promises(app: Flask, room, units, leave, decisions):
    """No unit twice, no day beyond its room, none on leave, a holiday or when the unit
    receives nobody; and what was confirmed stays."""
    office = Office(staff=2, visits_per_day=room)
    for owner, visit_days in units:
        office.unit(owner=owner, visit_days=visit_days)
    for user, offset, length in leave:
        first = MONDAY + timedelta(days=offset)
        kind = (AbsenceKind.LEAVE, AbsenceKind.AFTERNOON, AbsenceKind.MEETING)[length]
        last = first + timedelta(days=length)
        staffing.add_absence(office.users[user], kind, first, last)
    office.plan()
    kept: dict[int, tuple[date, int | None]] = {}
    for number, decision in enumerate(decisions):
        mine = [v for v in proposals() if v.solicitation.campaign_id == office.campaign.id]
        if decision == "plan":
            office.plan()
        elif mine:
            _decide(decision, mine[number % len(mine)], office)
        planned = _open_visits(office)
        now = {v.id: (v.planned_on, v.visitor_id) for v in planned if v.status == "planned"}
        assert all(now[key] == place for key, place in kept.items())
        kept = now
    visits = _open_visits(office)
    rooms = staffing.Rooms(room, [user.id for user in office.users])
    plan = DayPlan(office.campaign, [user.id for user in office.users])
    taken = Counter((visit.visitor_id, visit.planned_on) for visit in visits)
    assert all(count <= rooms.of(*place) for place, count in taken.items())
    assert len({visit.solicitation_id for visit in visits}) == len(visits)
    for visit in visits:
        if visit.status is VisitStatus.PROPOSED:
            assert clock.today() < visit.planned_on <= FRIDAY
            unit = visit.solicitation.unit
            assert unit.receives_on(visit.planned_on)
            assert plan.meets(unit, visit.visitor_id, visit.planned_on)


def _open_visits(office: Office) -> list[Visit]:
    return list(
        db.session.scalars(
            sa.select(Visit).where(
                Visit.solicitation.has(campaign_id=office.campaign.id), Visit.status.in_(OPEN)
            )
        )
    )


def _decide(decision: str, visit: Visit, office: Office) -> None:
    try:
        if decision == "confirm":
            services.confirm_visit(visit, by=office.users[0])
        elif decision == "drop":
            services.drop_visit(visit, reason="另行安排")
        else:
            services.move_visit(visit, planned_on=FRIDAY, visitor=office.users[1])
        db.session.commit()
    except Refused:
        db.session.rollback()


@pytest.mark.parametrize("change", ["drop", "log"])
def test_what_was_joined_to_a_proposal_does_not_hold_the_next_plan_up(app: Flask, change: str):
    office = Office()
    parent, other = office.unit(), office.unit()
    office.plan()
    first, second = (
        db.session.scalars(sa.select(Visit).filter_by(solicitation_id=one.id)).one()
        for one in (parent, other)
    )
    move_visit(second, planned_on=first.planned_on, visitor=office.users[0], parent=first)
    if change == "drop":
        drop_visit(second, reason="不用了")
    else:
        log_visit(second, outcome=VisitOutcome.NOT_IN, by=office.users[0])
    make_gift(parent, 1_000_000_00)
    office.plan()
    db.session.refresh(second)
    assert second.parent_id is None
    assert db.session.get(Visit, first.id) is None
