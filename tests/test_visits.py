"""Planning, moving and logging a visit."""

import threading
from collections.abc import Callable
from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import IntegrityError

from outreach import clock
from outreach.access import Role
from outreach.campaigns.models import CampaignStatus, DeclineReason, Stage, StageCause, StageChange
from outreach.db import db
from outreach.errors import Conflict, Refused
from outreach.gifts.models import Pledge
from outreach.visits import services
from outreach.visits.models import Visit, VisitOutcome, VisitStatus
from outreach.workdays import CalendarDay
from tests.factories import (
    make_campaign,
    make_gift,
    make_sector,
    make_solicitation,
    make_user,
    make_visit,
    save,
)

TODAY = date(2026, 10, 20)
TOMORROW = date(2026, 10, 21)


def log(visit: Visit, outcome: VisitOutcome, **values) -> Visit:
    logged = services.log_visit(visit, outcome=outcome, **{"by": visit.visitor} | values)
    db.session.commit()
    return logged


def follow_up_of(visit: Visit) -> Visit | None:
    return db.session.scalar(sa.select(Visit).filter_by(proposal_key=f"visit:{visit.id}"))


@pytest.fixture
def visit(app: Flask) -> Visit:
    return make_visit(make_solicitation(), make_user())


def test_a_pledge_at_the_door_is_recorded_and_checked_when_it_is_due(visit: Visit):
    due_on = TODAY + timedelta(days=10)
    log(visit, VisitOutcome.PLEDGED, pledge_fen=500_000, pledge_due_on=due_on, note="下周转账")
    solicitation = visit.solicitation
    pledge = db.session.scalars(sa.select(Pledge)).one()
    assert (pledge.amount_fen, pledge.due_on) == (500_000, due_on)
    assert (visit.status, visit.note) == (VisitStatus.LOGGED, "下周转账")
    assert solicitation.stage is Stage.PLEDGED
    assert solicitation.last_contact_on == TODAY
    assert (solicitation.next_action, solicitation.next_action_on) == ("核对认捐是否到账", due_on)
    assert follow_up_of(visit) is None


def test_a_unit_that_wants_to_discuss_is_left_in_peace_until_the_day_it_named(visit: Visit):
    next_on = date(2026, 10, 28)
    log(visit, VisitOutcome.WILL_DISCUSS, next_on=next_on)
    solicitation = visit.solicitation
    assert solicitation.stage is Stage.VISITED
    assert (solicitation.next_action, solicitation.next_action_on) == ("了解研究结果", next_on)
    assert solicitation.snoozed_until == next_on - timedelta(days=1)
    follow_up = follow_up_of(visit)
    assert (follow_up.planned_on, follow_up.status) == (next_on, VisitStatus.PROPOSED)
    assert follow_up.reason == "10-20 走访时表示需研究后答复"


def test_a_unit_that_names_no_day_is_asked_again_after_a_week(visit: Visit):
    log(visit, VisitOutcome.WILL_DISCUSS)
    assert visit.solicitation.next_action_on == TODAY + timedelta(days=7)


def test_come_again_proposes_a_visit_by_the_same_person_not_before_the_day(visit: Visit):
    saturday = date(2026, 10, 24)
    log(visit, VisitOutcome.COME_AGAIN, next_on=saturday)
    follow_up = follow_up_of(visit)
    assert follow_up.planned_on == date(2026, 10, 26), "Monday: offices are closed at the weekend"
    assert follow_up.visitor_id == visit.visitor_id
    assert follow_up.reason == "10-20 走访时约定 10-24 再访"


def test_a_closed_door_proposes_a_visit_on_the_next_working_day(visit: Visit):
    save(CalendarDay(day=TOMORROW, is_workday=False, note="市运动会"))
    log(visit, VisitOutcome.NOT_IN)
    assert follow_up_of(visit).planned_on == date(2026, 10, 22)
    assert visit.solicitation.next_action_on == date(2026, 10, 22)
    assert visit.solicitation.stage is Stage.VISITED


def test_a_unit_that_declines_is_not_asked_again(visit: Visit):
    log(visit, VisitOutcome.DECLINED, decline_reason=DeclineReason.HARD_TIMES, note="今年亏损")
    solicitation = visit.solicitation
    assert solicitation.stage is Stage.DECLINED
    assert solicitation.decline_reason is DeclineReason.HARD_TIMES
    assert (solicitation.next_action, solicitation.next_action_on) == ("", None)
    assert follow_up_of(visit) is None
    change = db.session.scalars(sa.select(StageChange)).one()
    assert (change.cause, change.by_id) == (StageCause.VISIT, visit.visitor_id)


def test_a_unit_that_had_declined_and_talks_again_is_taken_up_again(app: Flask):
    solicitation = make_solicitation(stage=Stage.DECLINED, decline_reason=DeclineReason.OTHER)
    visit = make_visit(solicitation, make_user())
    log(visit, VisitOutcome.WILL_DISCUSS)
    assert solicitation.stage is Stage.VISITED
    assert follow_up_of(visit) is not None


def test_a_closed_door_does_not_take_up_a_unit_that_had_declined(app: Flask):
    solicitation = make_solicitation(stage=Stage.DECLINED, decline_reason=DeclineReason.OTHER)
    visit = make_visit(solicitation, make_user())
    log(visit, VisitOutcome.NOT_IN)
    assert solicitation.stage is Stage.DECLINED
    assert follow_up_of(visit) is None


def test_a_unit_that_has_given_is_not_visited_again(app: Flask):
    solicitation = make_solicitation()
    make_gift(solicitation)
    visit = make_visit(solicitation, make_user())
    log(visit, VisitOutcome.NOT_IN)
    assert follow_up_of(visit) is None


@pytest.mark.parametrize(
    ("outcome", "values", "words"),
    [
        (VisitOutcome.PLEDGED, {"pledge_due_on": TOMORROW}, "认捐金额"),
        (VisitOutcome.PLEDGED, {"pledge_fen": 100}, "约定到账"),
        (VisitOutcome.PLEDGED, {"pledge_fen": 100, "pledge_due_on": date(2026, 10, 1)}, "早于"),
        (VisitOutcome.COME_AGAIN, {}, "下次走访"),
        (VisitOutcome.COME_AGAIN, {"next_on": TODAY}, "晚于今天"),
        (VisitOutcome.DECLINED, {}, "婉拒原因"),
        (VisitOutcome.NOT_IN, {"visited_on": TOMORROW}, "晚于今天"),
    ],
)
def test_a_log_that_lacks_what_its_outcome_needs_changes_nothing(
    visit: Visit, outcome: VisitOutcome, values: dict, words: str
):
    with pytest.raises(Refused, match=words):
        log(visit, outcome, **values)
    db.session.rollback()
    assert visit.status is VisitStatus.PLANNED
    assert visit.solicitation.stage is Stage.NOT_CONTACTED
    assert db.session.scalar(sa.select(sa.func.count(Pledge.id))) == 0


def test_the_day_of_the_visit_counts_and_not_the_day_it_was_typed_in(app: Flask):
    visit = make_visit(make_solicitation(), make_user(), planned_on=date(2026, 10, 16))
    log(visit, VisitOutcome.NOT_IN, visited_on=date(2026, 10, 19))
    assert visit.planned_on == date(2026, 10, 19)
    assert visit.solicitation.last_contact_on == date(2026, 10, 19)


def test_the_same_log_sent_twice_is_one_visit(visit: Visit):
    first = log(visit, VisitOutcome.PLEDGED, pledge_fen=1, pledge_due_on=TOMORROW, client_key="k1")
    again = log(visit, VisitOutcome.PLEDGED, pledge_fen=1, pledge_due_on=TOMORROW, client_key="k1")
    assert first.id == again.id
    assert db.session.scalar(sa.select(sa.func.count(Pledge.id))) == 1


def test_a_visit_that_somebody_else_logged_is_a_conflict(visit: Visit):
    log(visit, VisitOutcome.NOT_IN, client_key="k1")
    with pytest.raises(Conflict, match="已登记了这次走访"):
        log(visit, VisitOutcome.NOT_IN, client_key="k2")


def test_a_visit_without_a_plan_is_logged_once_however_often_it_is_sent(app: Flask):
    solicitation, visitor = make_solicitation(), make_user()

    def send() -> Visit:
        visit = services.start_unplanned_visit(solicitation, by=visitor, client_key="k1")
        return log(visit, VisitOutcome.NOT_IN, client_key="k1")

    # The follow-up that the first one leaves open is not what the second one logs.
    assert send().id == send().id
    logged = sa.select(sa.func.count(Visit.id)).filter_by(status=VisitStatus.LOGGED)
    assert db.session.scalar(logged) == 1


def test_who_drops_in_makes_the_visit_that_was_planned_for_later(app: Flask):
    solicitation, planner, visitor = make_solicitation(), make_user(), make_user()
    planned = make_visit(solicitation, planner, planned_on=date(2026, 10, 23))
    visit = services.start_unplanned_visit(solicitation, by=visitor)
    log(visit, VisitOutcome.PLEDGED, pledge_fen=1, pledge_due_on=TOMORROW)
    assert visit.id == planned.id
    assert (visit.visitor_id, visit.planned_on) == (visitor.id, TODAY)


def in_threads(app: Flask, work: Callable[[int], object], count: int = 2) -> list[object]:
    """Results or exceptions of `work(0)`, `work(1)`…, each in a session of its own, at once."""
    barrier = threading.Barrier(count)
    results: list[object] = [None] * count

    def run(number: int) -> None:
        with app.app_context():
            barrier.wait()
            try:
                results[number] = work(number)
                db.session.commit()
            except Exception as error:  # noqa: BLE001 - what it is, the test decides
                results[number] = error
            finally:
                db.session.remove()

    db.session.commit()
    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    db.session.expire_all()
    return results


def test_of_two_people_who_log_one_visit_at_once_one_wins(app: Flask, visit: Visit):
    visit_id, users = visit.id, [make_user().id, make_user().id]

    def send(number: int) -> VisitStatus:
        visit = db.session.get_one(Visit, visit_id)
        by = db.session.get_one(services.User, users[number])
        return services.log_visit(
            visit, outcome=VisitOutcome.NOT_IN, by=by, client_key=f"k{number}"
        ).status

    results = in_threads(app, send)
    assert {type(result) for result in results} == {VisitStatus, Conflict}
    assert db.session.scalar(sa.select(sa.func.count(Visit.id))) == 2, "the visit and its follow-up"


def test_the_same_unplanned_log_sent_twice_at_once_is_one_visit(app: Flask):
    solicitation_id, user_id = make_solicitation().id, make_user().id

    def send(_number: int) -> int:
        solicitation = db.session.get_one(services.Solicitation, solicitation_id)
        by = db.session.get_one(services.User, user_id)
        visit = services.start_unplanned_visit(solicitation, by=by, client_key="k1")
        return services.log_visit(
            visit,
            outcome=VisitOutcome.PLEDGED,
            pledge_fen=1,
            pledge_due_on=TOMORROW,
            by=by,
            client_key="k1",
        ).id

    results = in_threads(app, send, count=3)
    assert len(set(results)) == 1, results
    assert db.session.scalar(sa.select(sa.func.count(Visit.id))) == 1
    assert db.session.scalar(sa.select(sa.func.count(Pledge.id))) == 1


def test_one_person_never_plans_more_visits_for_a_day_than_there_is_room(app: Flask):
    campaign = make_campaign(visits_per_day=2)
    sector, visitor = make_sector(campaign), make_user()
    for _ in range(2):
        solicitation = make_solicitation(campaign, sector)
        services.plan_visit(solicitation, planned_on=TOMORROW, visitor=visitor)
    third = make_solicitation(campaign, sector)
    with pytest.raises(Refused, match="已排满 2 次"):
        services.plan_visit(third, planned_on=TOMORROW, visitor=visitor)
    services.plan_visit(third, planned_on=TOMORROW, visitor=make_user())


def test_two_who_fill_the_last_room_at_once_leave_one_visit(app: Flask):
    campaign = make_campaign(visits_per_day=1)
    sector, visitor_id = make_sector(campaign), make_user().id
    units = [make_solicitation(campaign, sector).id for _ in range(2)]

    def plan(number: int) -> int:
        solicitation = db.session.get_one(services.Solicitation, units[number])
        visitor = db.session.get_one(services.User, visitor_id)
        return services.plan_visit(solicitation, planned_on=TOMORROW, visitor=visitor).id

    results = in_threads(app, plan)
    assert {type(result) for result in results} == {int, Refused}


def test_a_unit_has_one_open_visit(visit: Visit):
    with pytest.raises(Refused, match="已有一次待走访"):
        services.plan_visit(visit.solicitation, planned_on=TOMORROW, visitor=make_user())
    db.session.rollback()
    with pytest.raises(IntegrityError):
        make_visit(visit.solicitation, status=VisitStatus.PROPOSED)


@pytest.mark.parametrize(
    ("day", "words"),
    [(date(2026, 10, 19), "早于今天"), (date(2027, 1, 4), "12-31 结束")],
)
def test_visits_are_planned_from_today_to_the_end_of_the_campaign(
    app: Flask, day: date, words: str
):
    with pytest.raises(Refused, match=words):
        services.plan_visit(make_solicitation(), planned_on=day, visitor=make_user())


def test_a_closed_campaign_and_people_outside_the_office_get_no_visits(app: Flask):
    closed = make_solicitation(make_campaign(status=CampaignStatus.CLOSED))
    with pytest.raises(Refused, match="未在进行"):
        services.plan_visit(closed, planned_on=TOMORROW, visitor=make_user())
    for person in (make_user(Role.AUDITOR), make_user(is_enabled=False)):
        with pytest.raises(Refused, match="不能担任走访人"):
            services.plan_visit(make_solicitation(), planned_on=TOMORROW, visitor=person)


def test_who_confirms_a_proposal_that_nobody_has_makes_the_visit(app: Flask):
    proposal = make_visit(make_solicitation(), status=VisitStatus.PROPOSED, planned_on=TOMORROW)
    user = make_user()
    services.confirm_visit(proposal, by=user)
    db.session.commit()
    assert (proposal.status, proposal.visitor) == (VisitStatus.PLANNED, user)


def test_a_proposal_whose_day_has_passed_must_be_moved(app: Flask):
    user = make_user()
    proposal = make_visit(
        make_solicitation(), user, status=VisitStatus.PROPOSED, planned_on=date(2026, 10, 19)
    )
    with pytest.raises(Refused, match="改期"):
        services.confirm_visit(proposal, by=user)
    services.move_visit(proposal, planned_on=TOMORROW, visitor=user)
    db.session.commit()
    assert (proposal.status, proposal.planned_on) == (VisitStatus.PLANNED, TOMORROW)


def test_a_visit_moves_within_its_full_day_but_not_into_another(app: Flask):
    campaign = make_campaign(visits_per_day=1)
    sector, user = make_sector(campaign), make_user()
    visit = make_visit(make_solicitation(campaign, sector), user)
    make_visit(make_solicitation(campaign, sector), user, planned_on=TOMORROW)
    services.move_visit(visit, planned_on=TODAY, visitor=user, planned_time=clock.time(15, 0))
    with pytest.raises(Refused, match="已排满"):
        services.move_visit(visit, planned_on=TOMORROW, visitor=user)


def test_a_visit_is_dropped_with_a_reason_and_makes_room(visit: Visit):
    with pytest.raises(Refused, match="取消原因"):
        services.drop_visit(visit, reason="")
    services.drop_visit(visit, reason="对方改为电话联系")
    db.session.commit()
    assert (visit.status, visit.note) == (VisitStatus.DROPPED, "对方改为电话联系")
    services.plan_visit(visit.solicitation, planned_on=TODAY, visitor=visit.visitor)
    with pytest.raises(Conflict, match="已取消"):
        services.move_visit(visit, planned_on=TODAY, visitor=visit.visitor)
