"""To-dos and the ladder: call, visit, leader, president; each step for a person to take."""

from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outreach import clock
from outreach.access import Role
from outreach.audit import AuditEvent
from outreach.campaigns.models import (
    Campaign,
    DeclineReason,
    Solicitation,
    Stage,
    StageCause,
    StageChange,
)
from outreach.db import db
from outreach.errors import Conflict, Refused
from outreach.messages import opt_outs
from outreach.messages.addresses import hash_address
from outreach.messages.models import Channel, FailureKind, Message, MessageStatus, Purpose
from outreach.todos import services
from outreach.todos.models import LADDER, VISIT, Todo, TodoKind, TodoOutcome, TodoStatus, step_after
from outreach.units import contacts
from outreach.units.contacts import Details
from outreach.units.models import ContactRole
from outreach.visits.models import OPEN, Visit, VisitOutcome, VisitStatus
from outreach.visits.planning import propose_follow_ups
from outreach.visits.services import drop_visit, log_visit
from tasks.visits import propose_visits
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
from tests.test_follow_ups import remind

TODAY = date(2026, 10, 20)
TOMORROW = date(2026, 10, 21)


@pytest.fixture
def call(app: Flask) -> Todo:
    """A call that is due today, with an owner."""
    solicitor = make_user()
    return make_todo(make_solicitation(solicitor_id=solicitor.id), solicitor)


def settle(todo: Todo, outcome: TodoOutcome, **values: Any) -> object:
    following = services.settle(todo, outcome=outcome, **{"by": todo.owner} | values)
    db.session.commit()
    return following


def run_planner(campaign: Campaign) -> None:
    propose_follow_ups(campaign)
    db.session.commit()


def list_todos(*kinds: TodoKind) -> list[Todo]:
    every = db.session.scalars(sa.select(Todo).order_by(Todo.id)).all()
    return [todo for todo in every if not kinds or todo.kind in kinds]


def list_visits() -> list[Visit]:
    return list(db.session.scalars(sa.select(Visit).order_by(Visit.id)))


def test_the_ladder_has_one_order():
    steps = [TodoKind.CALL]
    while following := step_after(steps[-1]):
        steps.append(following)
    assert steps == [TodoKind.CALL, VISIT, TodoKind.LEADER, TodoKind.PRESIDENT]
    assert TodoKind.FIND_CONTACT not in LADDER


def test_who_answered_counts_as_contacted(call: Todo):
    assert settle(call, TodoOutcome.SETTLED, note="下周报班子会") is None
    solicitation = call.solicitation
    assert (solicitation.last_contact_on, solicitation.stage) == (TODAY, Stage.CONTACTED)
    [change] = db.session.scalars(sa.select(StageChange)).all()
    assert (change.cause, change.by_id) == (StageCause.TODO, call.owner_id)
    assert (call.status, call.note) == (TodoStatus.DONE, "下周报班子会")
    assert call.settled_by_id == call.owner_id
    event = db.session.scalars(sa.select(AuditEvent).filter_by(action="settle.todo")).one()
    assert event.facts == {"kind": "call", "outcome": "settled"}


def test_nobody_was_reached_where_nobody_answered(call: Todo):
    settle(call, TodoOutcome.NO_ANSWER)
    assert call.solicitation.last_contact_on is None
    assert call.solicitation.stage is Stage.NOT_CONTACTED


def test_a_call_that_nobody_answered_leads_to_a_visit_with_the_reason(call: Todo):
    assert settle(call, TodoOutcome.NO_ANSWER) == VISIT
    assert list_todos() == [call]
    run_planner(call.solicitation.campaign)
    [visit] = list_visits()
    assert (visit.status, visit.planned_on) == (VisitStatus.PROPOSED, TOMORROW)
    assert (visit.visitor_id, visit.reason) == (call.owner_id, "10-20 打电话没有答复")
    assert visit.proposal_key == f"todo:{call.id}"
    run_planner(call.solicitation.campaign)
    assert list_visits() == [visit]


def test_a_closed_door_after_the_call_leads_to_the_leader_and_then_to_the_president(call: Todo):
    secretary, campaign = make_user(Role.SECRETARY_GENERAL), call.solicitation.campaign
    settle(call, TodoOutcome.NO_ANSWER)
    run_planner(campaign)
    [visit] = list_visits()
    log_visit(visit, outcome=VisitOutcome.NOT_IN, by=visit.visitor)
    db.session.commit()
    [leader] = list_todos(TodoKind.LEADER)
    assert (leader.due_on, leader.owner_id) == (TOMORROW, visit.visitor_id)
    assert (leader.reason, leader.proposal_key) == ("10-20 走访未见到负责人", f"visit:{visit.id}")
    assert visit.solicitation.next_action == "与分管领导沟通"
    assert visit.solicitation.next_action_on == TOMORROW
    run_planner(campaign)
    assert settle(leader, TodoOutcome.NO_ANSWER) is TodoKind.PRESIDENT
    [president] = list_todos(TodoKind.PRESIDENT)
    assert (president.owner_id, president.due_on) == (secretary.id, TOMORROW)
    assert president.reason == "10-20 与分管领导沟通没有答复"
    assert settle(president, TodoOutcome.NO_ANSWER) is None
    run_planner(campaign)
    assert (len(list_todos()), list_visits()) == (3, [visit])


def test_a_closed_door_without_a_call_before_leads_to_another_visit(app: Flask):
    visit = make_visit(make_solicitation(), make_user())
    log_visit(visit, outcome=VisitOutcome.NOT_IN, by=visit.visitor)
    db.session.commit()
    assert list_todos() == []
    assert [v.proposal_key for v in list_visits()] == [None, f"visit:{visit.id}"]


def test_a_closed_door_waits_while_the_call_is_still_to_be_made(call: Todo):
    visit = make_visit(call.solicitation, call.owner)
    log_visit(visit, outcome=VisitOutcome.NOT_IN, by=visit.visitor)
    db.session.commit()
    run_planner(call.solicitation.campaign)
    assert (list_visits(), list_todos()) == ([visit], [call])
    settle(call, TodoOutcome.NO_ANSWER)
    run_planner(call.solicitation.campaign)
    assert [v.proposal_key for v in list_visits()] == [None, f"todo:{call.id}"]


def test_an_answer_ends_the_ladder_and_the_next_closed_door_is_a_visit_again(call: Todo):
    settle(call, TodoOutcome.NO_ANSWER)
    visit = make_visit(call.solicitation, call.owner)
    log_visit(visit, outcome=VisitOutcome.NOT_IN, by=visit.visitor)
    [leader] = list_todos(TodoKind.LEADER)
    with time_machine.travel("2026-10-21T10:00:00+08:00"):
        settle(leader, TodoOutcome.SETTLED)
        run_planner(call.solicitation.campaign)
        assert list_visits() == [visit]
        again = make_visit(call.solicitation, call.owner)
        log_visit(again, outcome=VisitOutcome.NOT_IN, by=again.visitor)
        db.session.commit()
    assert list_todos(TodoKind.LEADER) == [leader]
    assert list_visits()[-1].proposal_key == f"visit:{again.id}"


def test_a_unit_whose_call_is_still_to_be_made_gets_no_visit_for_its_silence(call: Todo):
    remind(call.solicitation)
    campaign = call.solicitation.campaign
    run_planner(campaign)
    assert list_visits() == []
    settle(call, TodoOutcome.NO_ANSWER)
    run_planner(campaign)
    [visit] = list_visits()
    assert visit.proposal_key == f"todo:{call.id}"
    drop_visit(visit, reason="已电话说定")
    db.session.commit()
    run_planner(campaign)
    assert list_visits() == [visit], "who decides against the visit is not asked again"


def test_who_decides_against_the_call_is_not_sent_to_the_door(call: Todo):
    remind(call.solicitation)
    services.drop(call, reason="对方已来电说定", by=call.owner)
    db.session.commit()
    run_planner(call.solicitation.campaign)
    assert list_visits() == []
    remind(make_solicitation(call.solicitation.campaign))
    run_planner(call.solicitation.campaign)
    assert len(list_visits()) == 1, "others are visited"


def answer_by_pledge(solicitation: Solicitation) -> None:
    make_pledge(solicitation, due_on=date(2026, 10, 20))


def answer_by_visit(solicitation: Solicitation) -> None:
    make_visit(
        solicitation,
        status=VisitStatus.LOGGED,
        outcome=VisitOutcome.PLEDGED,
        logged_at=clock.now(),
    )


def be_met(solicitation: Solicitation) -> None:
    solicitation.last_contact_on = TOMORROW


@pytest.mark.parametrize("happen", [make_gift, answer_by_pledge, answer_by_visit, be_met])
def test_what_was_heard_after_the_call_makes_its_visit_needless(call: Todo, happen):
    settle(call, TodoOutcome.NO_ANSWER)
    with time_machine.travel("2026-10-21T10:00:00+08:00"):
        happen(call.solicitation)
        db.session.commit()
    with time_machine.travel("2026-10-22T07:00:00+08:00"):
        run_planner(call.solicitation.campaign)
    assert [visit for visit in list_visits() if visit.is_open] == []


def test_a_newer_reminder_is_no_answer(call: Todo):
    settle(call, TodoOutcome.NO_ANSWER)
    with time_machine.travel("2026-10-21T10:00:00+08:00"):
        remind(call.solicitation, on=TOMORROW)
        call.solicitation.last_contact_on = TOMORROW
        db.session.commit()
    with time_machine.travel("2026-10-22T07:00:00+08:00"):
        run_planner(call.solicitation.campaign)
    assert [visit.proposal_key for visit in list_visits()] == [f"todo:{call.id}"]


def give(solicitation: Solicitation) -> None:
    make_gift(solicitation)


def promise(solicitation: Solicitation) -> None:
    make_pledge(solicitation)


def decline(solicitation: Solicitation) -> None:
    solicitation.stage, solicitation.decline_reason = Stage.DECLINED, DeclineReason.OTHER


def be_exempt(solicitation: Solicitation) -> None:
    solicitation.is_exempt = True


@pytest.mark.parametrize(
    ("happen", "note"),
    [
        (give, "单位已到账或已认捐"),
        (promise, "单位已到账或已认捐"),
        (decline, "单位已婉拒"),
        (be_exempt, "本年度不再劝募这个单位"),
    ],
)
def test_what_is_settled_otherwise_is_taken_off_the_list(call: Todo, happen, note: str):
    other = make_todo(make_solicitation(call.solicitation.campaign))
    search = make_todo(call.solicitation, kind=TodoKind.FIND_CONTACT, contact_id=1)
    call.solicitation.unit.contacts[0].valid_to = date(2026, 10, 1)
    happen(call.solicitation)
    db.session.commit()
    propose_visits.run()
    db.session.expire_all()
    assert (call.status, call.note, call.settled_by_id) == (TodoStatus.DROPPED, note, None)
    assert other.is_open
    assert search.is_open


@pytest.mark.parametrize("happen", [give, promise, decline, be_exempt])
def test_what_a_unit_says_is_read_whatever_it_has_given(call: Todo, happen):
    reply = make_todo(call.solicitation, call.owner, kind=TodoKind.REPLY, reason="“我们已经捐了”")
    happen(call.solicitation)
    db.session.commit()
    propose_visits.run()
    db.session.expire_all()
    assert reply.is_open


def test_who_replied_counts_as_contacted_once_it_was_read(call: Todo):
    reply = make_todo(call.solicitation, call.owner, kind=TodoKind.REPLY)
    with pytest.raises(Refused):
        settle(reply, TodoOutcome.NO_ANSWER)
    assert settle(reply, TodoOutcome.SETTLED) is None
    assert call.solicitation.stage is Stage.CONTACTED
    assert call.is_open


def details(name: str = "新人", **values: Any) -> Details:
    return Details(
        **{
            "name": name,
            "title": "",
            "role": ContactRole.COORDINATOR,
            "mobile": "",
            "email": "new@unit.example",
            "valid_from": TODAY,
        }
        | values
    )


@pytest.fixture
def search(app: Flask) -> Todo:
    """The coordinator's mail came back."""
    solicitation = make_solicitation()
    [contact] = solicitation.unit.contacts
    contact.mobile = ""
    db.session.commit()
    bounce(contact.email)
    return make_todo(solicitation, kind=TodoKind.FIND_CONTACT, contact_id=contact.id)


def bounce(email: str) -> Message:
    now = clock.now()
    return save(
        Message(
            purpose=Purpose.REMINDER,
            channel=Channel.EMAIL,
            address=email,
            address_hash=hash_address(Channel.EMAIL, email),
            body_text="…",
            status=MessageStatus.FAILED,
            failure=FailureKind.BOUNCED,
            facts={},
            next_at=now,
            not_after=now,
            queued_at=now,
            status_at=now,
        )
    )


def test_the_search_ends_when_a_coordinator_with_an_address_is_registered(search: Todo):
    contacts.create_contact(search.solicitation.unit, details("王敏"))
    db.session.commit()
    assert (search.status, search.outcome) == (TodoStatus.DONE, TodoOutcome.SETTLED)
    assert search.note == "已登记联络员王敏"
    assert search.solicitation.last_contact_on is None, "nobody was spoken to"


@pytest.mark.parametrize(
    "values",
    [
        {"email": ""},
        {"role": ContactRole.LEADER},
        {"valid_from": TOMORROW},
    ],
)
def test_the_search_goes_on_without_a_coordinator_who_can_be_written_to(search: Todo, values):
    contacts.create_contact(search.solicitation.unit, details(**values))
    db.session.commit()
    run_planner(search.solicitation.campaign)
    assert search.is_open


def test_an_address_that_came_back_or_was_opted_out_ends_no_search(search: Todo):
    unit = search.solicitation.unit
    bounce("gone@unit.example")
    opt_outs.add(Channel.EMAIL, hash_address(Channel.EMAIL, "never@unit.example"), source="request")
    for name in ("gone", "never"):
        contacts.create_contact(unit, details(email=f"{name}@unit.example"))
    db.session.commit()
    run_planner(search.solicitation.campaign)
    assert search.is_open


def test_the_search_ends_when_the_address_is_corrected(search: Todo):
    [contact] = search.solicitation.unit.contacts
    contacts.update_contact(contact, details(contact.name, email="right@unit.example"))
    db.session.commit()
    assert search.outcome is TodoOutcome.SETTLED


def test_the_sweep_sees_a_coordinator_who_came_with_an_import(search: Todo):
    campaign = search.solicitation.campaign
    run_planner(campaign)
    assert search.is_open
    make_contact(search.solicitation.unit, name="李娟")
    run_planner(campaign)
    assert (search.outcome, search.note) == (TodoOutcome.SETTLED, "已登记联络员李娟")


def test_a_search_is_not_given_up_by_no_answer(search: Todo):
    with pytest.raises(Refused):
        services.settle(search, outcome=TodoOutcome.NO_ANSWER, by=make_user())


def test_the_next_step_waits_for_the_working_day_and_for_the_rest_of_the_unit(app: Flask):
    solicitation = make_solicitation()
    day = services.propose_step(
        solicitation, TodoKind.LEADER, reason="…", key="k1", owner=make_user()
    )
    assert day == TOMORROW
    resting = make_solicitation(snoozed_until=date(2026, 10, 29))
    facts: dict[str, Any] = {"reason": "…", "owner": make_user()}
    assert services.propose_step(resting, TodoKind.LEADER, key="k2", **facts) == date(2026, 10, 30)
    with time_machine.travel("2026-09-30T10:00:00+08:00"):
        holiday = make_solicitation()
        day = services.propose_step(holiday, TodoKind.LEADER, key="k3", **facts)
    assert day == date(2026, 10, 8)


def test_in_a_year_that_nobody_knows_the_step_is_not_forgotten(app: Flask):
    solicitation = make_solicitation(make_campaign(ends_on=date(2027, 1, 31)))
    with time_machine.travel("2026-12-31T16:00:00+08:00"):
        day = services.propose_step(
            solicitation, TodoKind.LEADER, reason="…", key="k", owner=make_user()
        )
    assert day == date(2027, 1, 1)


def test_no_step_is_proposed_beyond_the_end_of_the_campaign(app: Flask):
    solicitation = make_solicitation(make_campaign(ends_on=TODAY))
    step = services.propose_step(solicitation, TodoKind.LEADER, reason="…", key="k", owner=None)
    assert step is None
    assert list_todos() == []


def test_a_step_goes_to_somebody_who_is_still_here(app: Flask):
    left, solicitor = make_user(is_enabled=False), make_user()
    solicitation = make_solicitation(solicitor_id=solicitor.id)
    services.propose_step(solicitation, TodoKind.LEADER, reason="…", key="k1", owner=left)
    nobodys = make_solicitation()
    services.propose_step(nobodys, TodoKind.LEADER, reason="…", key="k2", owner=left)
    assert [todo.owner_id for todo in list_todos()] == [solicitor.id, None]


def test_of_several_secretaries_general_the_one_with_less_to_do_gets_the_next(app: Flask):
    secretaries = [make_user(Role.SECRETARY_GENERAL) for _ in range(2)]
    make_user(Role.SECRETARY_GENERAL, is_enabled=False)
    for number in range(3):
        services.propose_step(
            make_solicitation(), TodoKind.PRESIDENT, reason="…", key=f"k{number}", owner=None
        )
    first, second = (user.id for user in secretaries)
    assert [todo.owner_id for todo in list_todos()] == [first, second, first]


def test_a_to_do_that_somebody_closed_is_not_closed_again(call: Todo):
    settle(call, TodoOutcome.NO_ANSWER)
    other = make_user()
    for change in (
        lambda: services.settle(call, outcome=TodoOutcome.SETTLED, by=other),
        lambda: services.drop(call, reason="x", by=other),
        lambda: services.hand_over(call, to=other, due_on=TOMORROW),
    ):
        with pytest.raises(Conflict, match="没有答复"):
            change()
    assert call.outcome is TodoOutcome.NO_ANSWER


def test_a_to_do_is_handed_to_somebody_of_the_office_only(call: Todo):
    colleague = make_user()
    services.hand_over(call, to=colleague, due_on=TOMORROW)
    assert (call.owner_id, call.due_on) == (colleague.id, TOMORROW)
    for wrong in (make_user(Role.AUDITOR), make_user(is_enabled=False)):
        with pytest.raises(Refused):
            services.hand_over(call, to=wrong, due_on=TOMORROW)
    with pytest.raises(Refused):
        services.hand_over(call, to=colleague, due_on=date(2026, 10, 1))


def test_a_to_do_of_nobody_belongs_to_who_settled_it(app: Flask):
    todo, user = make_todo(make_solicitation()), make_user()
    services.settle(todo, outcome=TodoOutcome.SETTLED, by=user)
    assert todo.owner_id == user.id


ACTIONS = ("call", "settle", "no_answer", "drop", "not_in", "come_again", "drop_visit", "gift")


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(actions=st.lists(st.sampled_from(ACTIONS), max_size=14))
def test_whatever_comes_of_the_steps_none_is_skipped_and_none_is_proposed_twice(
    app: Flask, actions: list[str]
):
    solicitor = make_user()
    solicitation = make_solicitation(make_campaign(), solicitor_id=solicitor.id)
    remind(solicitation)
    moment = datetime.combine(TODAY, time(10), clock.SHANGHAI)
    for number, action in enumerate(actions):
        moment += timedelta(days=1)
        with time_machine.travel(moment):
            act(action, solicitation, f"rule:1:{solicitation.id}:{number}")
            db.session.commit()
            run_planner(solicitation.campaign)
        check_steps(solicitation)


def act(action: str, solicitation: Solicitation, key: str) -> None:
    todo = db.session.scalar(
        sa.select(Todo)
        .filter_by(solicitation_id=solicitation.id, status=TodoStatus.OPEN)
        .order_by(Todo.id.desc())
    )
    visit = db.session.scalar(
        sa.select(Visit).where(Visit.solicitation_id == solicitation.id, Visit.status.in_(OPEN))
    )
    by = solicitation.solicitor
    assert by is not None
    if action == "call":
        services.propose(
            solicitation.id,
            TodoKind.CALL,
            reason="…",
            due_on=clock.today(),
            key=key,
            owner_id=by.id,
        )
    elif action == "gift":
        make_gift(solicitation)
    elif action in {"settle", "no_answer"} and todo:
        outcome = TodoOutcome.SETTLED if action == "settle" else TodoOutcome.NO_ANSWER
        services.settle(todo, outcome=outcome, by=by)
    elif action == "drop" and todo:
        services.drop(todo, reason="x", by=by)
    elif action == "drop_visit" and visit:
        drop_visit(visit, reason="x")
    elif action in {"not_in", "come_again"} and visit:
        next_on = None if action == "not_in" else clock.today() + timedelta(days=1)
        log_visit(visit, outcome=VisitOutcome(action), by=by, next_on=next_on)


def check_steps(solicitation: Solicitation) -> None:
    todos = db.session.scalars(sa.select(Todo).filter_by(solicitation_id=solicitation.id)).all()
    visits = db.session.scalars(sa.select(Visit).filter_by(solicitation_id=solicitation.id)).all()
    unanswered = {f"todo:{t.id}": t for t in todos if t.outcome is TodoOutcome.NO_ANSWER}
    closed_doors = {f"visit:{v.id}": v for v in visits if v.outcome is VisitOutcome.NOT_IN}
    open_kinds = [todo.kind for todo in todos if todo.is_open]
    assert len(open_kinds) == len(set(open_kinds))
    for todo in todos:
        if todo.kind is TodoKind.LEADER:
            door = closed_doors[todo.proposal_key]
            before = [t for t in unanswered.values() if t.settled_at <= door.logged_at]
            assert TodoKind.CALL in {t.kind for t in before}
        if todo.kind is TodoKind.PRESIDENT:
            assert unanswered[todo.proposal_key].kind is TodoKind.LEADER
    for visit in visits:
        if (visit.proposal_key or "").startswith("todo:"):
            assert unanswered[visit.proposal_key].kind is TodoKind.CALL
    keys = [row.proposal_key for row in (*todos, *visits) if row.proposal_key]
    assert len(keys) == len(set(keys)), "a step is proposed once, as a visit or as a to-do"


def test_units_of_one_campaign_do_not_stand_in_each_others_way(app: Flask):
    campaign = make_campaign()
    sector, user = make_sector(campaign), make_user()
    units = [
        make_solicitation(campaign, sector, unit=make_unit(), solicitor_id=user.id)
        for _ in range(4)
    ]
    for unit in units[:2]:
        settle(make_todo(unit, user), TodoOutcome.NO_ANSWER)
    make_todo(units[2], user)
    remind(*units)
    assert propose_visits.run() == "新提出 3 次走访"
    assert {visit.solicitation_id for visit in list_visits()} == {
        unit.id for unit in (units[0], units[1], units[3])
    }
