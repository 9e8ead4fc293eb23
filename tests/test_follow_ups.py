"""Which visits the planner proposes, for when, and why."""

import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outreach import clock
from outreach.campaigns.models import (
    Campaign,
    CampaignStatus,
    DeclineReason,
    Solicitation,
    Stage,
    StageCause,
    StageChange,
)
from outreach.db import db
from outreach.messages.models import (
    Channel,
    FailureKind,
    Message,
    MessageSolicitation,
    MessageStatus,
    Purpose,
)
from outreach.visits.models import OPEN, Visit, VisitOutcome, VisitStatus
from outreach.visits.planning import propose_follow_ups
from outreach.visits.services import log_visit
from outreach.workdays import CalendarYear
from tasks.visits import propose_visits
from tests.factories import (
    make_campaign,
    make_gift,
    make_pledge,
    make_sector,
    make_solicitation,
    make_unit,
    make_user,
    make_visit,
    save,
)

TODAY = date(2026, 10, 20)
TOMORROW = date(2026, 10, 21)
LONG_AGO = date(2026, 10, 12)
"""Five full working days before TODAY."""


def remind(*solicitations: Solicitation, on: date = LONG_AGO, **values: Any) -> Message:
    sent_at = clock.at(on, time(9, 30))
    return save(
        Message(
            **{
                "purpose": Purpose.REMINDER,
                "channel": Channel.EMAIL,
                "campaign_id": solicitations[0].campaign_id,
                "address": "a@unit.example",
                "address_hash": "0" * 64,
                "body_text": "…",
                "status": MessageStatus.SENT,
                "facts": {},
                "next_at": sent_at,
                "not_after": sent_at,
                "queued_at": sent_at,
                "sent_at": sent_at,
                "status_at": sent_at,
                "links": [MessageSolicitation(solicitation_id=s.id) for s in solicitations],
            }
            | values
        )
    )


def plan(campaign: Campaign) -> list[Visit]:
    propose_follow_ups(campaign)
    db.session.commit()
    return list(db.session.scalars(sa.select(Visit).order_by(Visit.id)))


@pytest.fixture
def silent(app: Flask) -> Solicitation:
    solicitation = make_solicitation(solicitor_id=make_user().id)
    remind(solicitation)
    return solicitation


def test_a_silent_unit_gets_a_visit_by_its_solicitor_with_the_reason(silent: Solicitation):
    [visit] = plan(silent.campaign)
    assert (visit.solicitation_id, visit.visitor_id) == (silent.id, silent.solicitor_id)
    assert (visit.status, visit.planned_on) == (VisitStatus.PROPOSED, TOMORROW)
    assert visit.reason == "10-12 发出提醒后 5 个工作日未回应"


def test_the_last_day_of_silence_must_be_over(app: Flask):
    remind(still_waiting := make_solicitation(), on=date(2026, 10, 13))
    assert plan(still_waiting.campaign) == []
    with time_machine.travel("2026-10-21T07:00:00+08:00"):
        assert len(plan(still_waiting.campaign)) == 1


def test_silence_counts_working_days_around_national_day(app: Flask):
    remind(solicitation := make_solicitation(), on=date(2026, 9, 29))
    # 09-30, then the holiday, 10-08, 10-09, Saturday 10-10 made up, 10-12.
    with time_machine.travel("2026-10-12T18:00:00+08:00"):
        assert plan(solicitation.campaign) == []
    with time_machine.travel("2026-10-13T07:00:00+08:00"):
        [visit] = plan(solicitation.campaign)
    assert visit.planned_on == date(2026, 10, 14)


def test_proposals_skip_the_holiday_and_use_the_made_up_saturday(app: Flask):
    campaign = make_campaign(visits_per_day=1)
    sector, user = make_sector(campaign), make_user()
    for _ in range(4):
        remind(make_solicitation(campaign, sector, solicitor_id=user.id), on=date(2026, 9, 18))
    with time_machine.travel("2026-09-29T07:00:00+08:00"):
        days = [visit.planned_on for visit in plan(campaign)]
    assert days == [date(2026, 9, 30), *(date(2026, 10, day) for day in (8, 9, 10))]


def answer_by_gift(solicitation: Solicitation) -> None:
    make_pledge(solicitation, 200, recorded_at=datetime(2026, 9, 1, tzinfo=UTC), due_on=LONG_AGO)
    make_gift(solicitation, 100)


def answer_by_pledge(solicitation: Solicitation) -> None:
    make_pledge(solicitation, due_on=date(2026, 10, 19))


def answer_by_visit(solicitation: Solicitation) -> None:
    make_visit(
        solicitation,
        status=VisitStatus.LOGGED,
        outcome=VisitOutcome.PLEDGED,
        logged_at=clock.now(),
    )


def answer_by_call(solicitation: Solicitation) -> None:
    save(
        StageChange(
            solicitation_id=solicitation.id,
            at=clock.now(),
            from_stage=Stage.NOT_CONTACTED,
            to_stage=Stage.CONTACTED,
            cause=StageCause.PERSON,
        )
    )


def answer_at_a_meeting(solicitation: Solicitation) -> None:
    solicitation.last_contact_on = date(2026, 10, 15)


def promise_for_later(solicitation: Solicitation) -> None:
    make_pledge(solicitation, recorded_at=datetime(2026, 9, 1, tzinfo=UTC), due_on=TOMORROW)


def have_given(solicitation: Solicitation) -> None:
    make_gift(solicitation, recorded_at=datetime(2026, 9, 1, tzinfo=UTC))


def have_declined(solicitation: Solicitation) -> None:
    solicitation.stage, solicitation.decline_reason = Stage.DECLINED, DeclineReason.OTHER


def be_exempt(solicitation: Solicitation) -> None:
    solicitation.is_exempt = True


def be_expected(solicitation: Solicitation) -> None:
    make_visit(solicitation, planned_on=date(2026, 11, 2), status=VisitStatus.PLANNED)


@pytest.mark.parametrize(
    "happen",
    [
        answer_by_gift,
        answer_by_pledge,
        answer_by_visit,
        answer_by_call,
        answer_at_a_meeting,
        promise_for_later,
        have_given,
        have_declined,
        be_exempt,
        be_expected,
    ],
)
def test_nobody_visits_a_unit_that_answered_or_is_not_to_be_asked(silent: Solicitation, happen):
    happen(silent)
    db.session.commit()
    assert propose_follow_ups(silent.campaign).count == 0


def test_what_came_before_the_reminder_is_no_answer(silent: Solicitation):
    silent.last_contact_on = LONG_AGO
    make_pledge(silent, recorded_at=datetime(2026, 10, 1, tzinfo=UTC), due_on=date(2026, 10, 5))
    assert len(plan(silent.campaign)) == 1


@pytest.mark.parametrize(
    "values",
    [
        {"status": MessageStatus.QUEUED, "sent_at": None},
        {"status": MessageStatus.UNKNOWN, "sent_at": None},
        {"status": MessageStatus.FAILED, "failure": FailureKind.BOUNCED},
        {"purpose": Purpose.INVITATION},
    ],
)
def test_only_a_reminder_that_arrived_asks_for_an_answer(app: Flask, values: dict):
    remind(solicitation := make_solicitation(), **values)
    assert plan(solicitation.campaign) == []


def test_a_newer_reminder_gives_the_unit_its_time_again(silent: Solicitation):
    remind(silent, on=date(2026, 10, 19))
    assert plan(silent.campaign) == []


def test_one_message_about_two_units_asks_for_two_visits(app: Flask):
    campaign = make_campaign()
    units = [make_solicitation(campaign) for _ in range(2)]
    remind(*units)
    assert {visit.solicitation_id for visit in plan(campaign)} == {unit.id for unit in units}


def test_nothing_is_proposed_twice_also_after_it_was_dropped(silent: Solicitation):
    [visit] = plan(silent.campaign)
    assert plan(silent.campaign) == [visit]
    visit.status = VisitStatus.DROPPED
    db.session.commit()
    assert plan(silent.campaign) == [visit]


def test_two_workers_at_once_propose_one_visit(app: Flask, silent: Solicitation):
    code, barrier, counts = silent.campaign_id, threading.Barrier(2), []

    def run() -> None:
        with app.app_context():
            campaign = db.session.get_one(Campaign, code)
            db.session.commit()
            barrier.wait()
            counts.append(propose_follow_ups(campaign).count)
            db.session.commit()
            db.session.remove()

    db.session.commit()
    workers = [threading.Thread(target=run) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(counts) == [0, 1]
    assert db.session.scalar(sa.select(sa.func.count(Visit.id))) == 1


def test_planning_and_logging_at_once_neither_fail_nor_overfill_a_day(app: Flask):
    campaign = make_campaign(visits_per_day=2)
    sector, users = make_sector(campaign), [make_user(), make_user()]
    units = [make_solicitation(campaign, sector, solicitor_id=users[n % 2].id) for n in range(12)]
    remind(*units[:8])
    campaign_id = campaign.id
    visit_ids = [make_visit(unit, users[n % 2]).id for n, unit in enumerate(units[8:])]
    failures: list[Exception] = []

    def run(work: Callable[[], object]) -> None:
        with app.app_context():
            try:
                work()
                db.session.commit()
            except Exception as failure:  # noqa: BLE001 - the test shows whatever it is
                failures.append(failure)
            finally:
                db.session.remove()

    def log(visit_id: int) -> None:
        visit = db.session.get_one(Visit, visit_id)
        log_visit(visit, outcome=VisitOutcome.NOT_IN, by=None)

    work = [partial(log, visit_id) for visit_id in visit_ids]
    work += [lambda: propose_follow_ups(db.session.get_one(Campaign, campaign_id))] * 2
    db.session.commit()
    threads = [threading.Thread(target=run, args=(each,)) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    visits = db.session.scalars(sa.select(Visit).where(Visit.status.in_(OPEN))).all()
    assert sorted(visit.solicitation_id for visit in visits) == [unit.id for unit in units]
    assert max(Counter((visit.visitor_id, visit.planned_on) for visit in visits).values()) == 2


def test_a_unit_without_solicitor_waits_for_somebody_to_take_it(app: Flask):
    remind(nobodys := make_solicitation())
    left = make_user(is_enabled=False)
    remind(of_one_who_left := make_solicitation(nobodys.campaign, solicitor_id=left.id))
    assert [visit.visitor_id for visit in plan(nobodys.campaign)] == [None, None]
    assert of_one_who_left.solicitor_id == left.id


def test_a_snoozed_unit_is_visited_after_its_rest(silent: Solicitation):
    silent.snoozed_until = date(2026, 10, 29)
    assert plan(silent.campaign)[0].planned_on == date(2026, 10, 30)


def test_nothing_is_proposed_after_the_end_of_the_campaign(silent: Solicitation):
    silent.campaign.ends_on = TODAY
    assert plan(silent.campaign) == []


def test_a_campaign_that_does_not_run_gets_no_proposals(silent: Solicitation):
    silent.campaign.status = CampaignStatus.CLOSED
    assert plan(silent.campaign) == []


def test_those_who_gave_most_last_year_are_visited_first(app: Flask):
    before = make_campaign(starts_on=date(2025, 9, 1), ends_on=date(2025, 12, 31))
    campaign = make_campaign(previous_id=before.id, visits_per_day=1)
    sector, user = make_sector(campaign), make_user()
    units = [make_solicitation(campaign, sector, solicitor_id=user.id) for _ in range(3)]
    for unit, amount in zip(units, (100, 900, 500), strict=True):
        make_gift(make_solicitation(before, unit=unit.unit), amount, received_on=before.starts_on)
        remind(unit)
    order = [visit.solicitation_id for visit in sorted(plan(campaign), key=lambda v: v.planned_on)]
    assert order == [units[1].id, units[2].id, units[0].id]


def logged(solicitation: Solicitation, outcome: VisitOutcome, **values: Any) -> Visit:
    return make_visit(
        solicitation,
        **{
            "visitor": make_user(),
            "status": VisitStatus.LOGGED,
            "outcome": outcome,
            "planned_on": date(2026, 10, 16),
            "logged_at": clock.at(date(2026, 10, 16), time(11)),
        }
        | values,
    )


@pytest.mark.parametrize(
    ("outcome", "next_on", "day"),
    [
        (VisitOutcome.COME_AGAIN, date(2026, 10, 24), date(2026, 10, 26)),
        (VisitOutcome.COME_AGAIN, date(2026, 10, 19), TOMORROW),
        (VisitOutcome.NOT_IN, None, TOMORROW),
        (VisitOutcome.WILL_DISCUSS, date(2026, 11, 3), date(2026, 11, 3)),
    ],
)
def test_a_visit_that_asked_for_another_gets_one(
    app: Flask, outcome: VisitOutcome, next_on: date | None, day: date
):
    before = logged(make_solicitation(), outcome, next_on=next_on)
    visit = plan(before.solicitation.campaign)[-1]
    assert (visit.planned_on, visit.visitor_id) == (day, before.visitor_id)
    assert visit.proposal_key == f"visit:{before.id}"
    assert visit.reason.startswith("10-16 走访")


def test_only_the_last_visit_counts_and_only_without_an_answer_since(app: Flask):
    visited_twice, promised = make_solicitation(), make_solicitation()
    logged(visited_twice, VisitOutcome.NOT_IN, logged_at=clock.at(date(2026, 10, 9), time(9)))
    logged(visited_twice, VisitOutcome.PLEDGED)
    logged(promised, VisitOutcome.WILL_DISCUSS)
    make_pledge(promised, due_on=date(2026, 10, 19))
    for solicitation in (visited_twice, promised):
        assert propose_follow_ups(solicitation.campaign).count == 0


def test_who_was_silent_and_asked_for_a_visit_gets_one_visit(silent: Solicitation):
    logged(silent, VisitOutcome.NOT_IN, logged_at=clock.at(date(2026, 10, 9), time(9)))
    assert len([visit for visit in plan(silent.campaign) if visit.is_open]) == 1


def test_a_proposal_is_taken_back_when_the_unit_gives_but_a_plan_stays(app: Flask):
    campaign = make_campaign()
    units = [make_solicitation(campaign) for _ in range(2)]
    remind(units[0])
    [proposal] = plan(campaign)
    planned = make_visit(units[1], planned_on=TOMORROW)
    for unit in units:
        make_gift(unit)
    plan(campaign)
    assert (proposal.status, proposal.note) == (VisitStatus.DROPPED, "单位已到账，或不再劝募")
    assert planned.status is VisitStatus.PLANNED


def test_beyond_the_years_that_are_known_nothing_is_proposed_and_the_result_says_so(app: Flask):
    campaign = make_campaign(ends_on=date(2027, 1, 31))
    sector, user = make_sector(campaign), make_user()
    late = logged(
        make_solicitation(campaign, sector),
        VisitOutcome.COME_AGAIN,
        next_on=date(2027, 1, 8),
        visitor=user,
    )
    remind(make_solicitation(campaign, sector))
    assert propose_visits.run() == "新提出 1 次走访；2027 年放假安排未确认，该年的走访暂未安排"
    save(CalendarYear(year=2027, confirmed_at=clock.now()))
    assert propose_visits.run() == "新提出 1 次走访"
    follow_up = db.session.scalars(sa.select(Visit).filter_by(proposal_key=f"visit:{late.id}"))
    assert follow_up.one().planned_on == date(2027, 1, 8)


def test_a_visit_can_be_logged_when_next_year_is_unknown(app: Flask):
    campaign = make_campaign(ends_on=date(2027, 1, 31))
    with time_machine.travel("2026-12-31T16:00:00+08:00"):
        visit = make_visit(make_solicitation(campaign), make_user())
        log_visit(visit, outcome=VisitOutcome.NOT_IN, by=visit.visitor)
        db.session.commit()
    assert visit.status is VisitStatus.LOGGED
    assert visit.solicitation.next_action == "再次走访"


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    room=st.integers(1, 3),
    owners=st.lists(st.integers(0, 2), min_size=1, max_size=12),
    planned=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6)), max_size=5),
    next_days=st.lists(st.one_of(st.none(), st.integers(-3, 20)), max_size=12),
)
def test_no_day_of_a_visitor_ever_exceeds_its_room(app: Flask, room, owners, planned, next_days):
    campaign = make_campaign(visits_per_day=room)
    sector, users = make_sector(campaign), [make_user(), make_user()]
    solicitor_ids = [users[0].id, users[1].id, None]
    taken: Counter[tuple[int, int]] = Counter()
    for owner, offset in planned:
        taken[owner, offset] += 1
        if taken[owner, offset] <= room:
            unit = make_solicitation(campaign, sector, unit=make_unit())
            make_visit(unit, users[owner], planned_on=TODAY + timedelta(days=offset))
    for owner in owners:
        unit = make_solicitation(
            campaign, sector, unit=make_unit(), solicitor_id=solicitor_ids[owner]
        )
        if next_days:
            offset = next_days.pop()
            next_on = None if offset is None else TODAY + timedelta(days=offset)
            outcome = VisitOutcome.COME_AGAIN if next_on else VisitOutcome.NOT_IN
            visitor = users[owner] if owner < 2 else None
            logged(unit, outcome, next_on=next_on, visitor=visitor)
        else:
            remind(unit)
    assert propose_follow_ups(campaign).count == len(owners)
    db.session.commit()
    assert propose_follow_ups(campaign).count == 0
    visits = db.session.scalars(
        sa.select(Visit)
        .join(Visit.solicitation)
        .where(Solicitation.campaign_id == campaign.id, Visit.status.in_(OPEN))
    ).all()
    days = Counter((visit.visitor_id, visit.planned_on) for visit in visits if visit.visitor_id)
    assert all(count <= room for count in days.values()), days
    proposed = [visit for visit in visits if visit.status is VisitStatus.PROPOSED]
    assert all(visit.planned_on > TODAY and visit.planned_on.weekday() < 5 for visit in proposed)
