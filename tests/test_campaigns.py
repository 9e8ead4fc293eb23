import itertools
from datetime import date

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outreach import clock
from outreach.access import Role
from outreach.campaigns.models import (
    DeclineReason,
    Solicitation,
    Stage,
    StageCause,
    StageChange,
)
from outreach.campaigns.services import (
    PATH,
    TRANSITIONS,
    advance_stage,
    assign_solicitor,
    change_stage,
    plan_next_action,
    record_contact,
)
from outreach.db import db
from outreach.errors import Refused
from tests import factories

ALL_MOVES = list(itertools.product(Stage, Stage))


def move(solicitation: Solicitation, to: Stage) -> None:
    reason = DeclineReason.HARD_TIMES if to is Stage.DECLINED else None
    change_stage(solicitation, to, cause=StageCause.PERSON, by=None, decline_reason=reason)


def at(stage: Stage) -> Solicitation:
    reason = DeclineReason.OTHER if stage is Stage.DECLINED else None
    return factories.make_solicitation(stage=stage, decline_reason=reason)


def list_changes(solicitation: Solicitation) -> list[StageChange]:
    return list(
        db.session.scalars(
            sa.select(StageChange)
            .filter_by(solicitation_id=solicitation.id)
            .order_by(StageChange.id)
        )
    )


@pytest.mark.parametrize(("stage", "to"), ALL_MOVES)
def test_a_move_is_made_when_the_table_has_it_and_refused_when_not(stage: Stage, to: Stage):
    solicitation = Solicitation(id=1, stage=stage)
    if to in TRANSITIONS[stage]:
        assert to is not stage
        return
    with pytest.raises(Refused):
        move(solicitation, to)
    assert solicitation.stage is stage


def test_every_stage_can_decline_and_every_stage_can_be_reached_again():
    assert set(TRANSITIONS) == set(Stage)
    assert all(Stage.DECLINED in TRANSITIONS[stage] for stage in PATH)
    for start in Stage:
        reached = {start}
        while (wider := reached.union(*(TRANSITIONS[stage] for stage in reached))) != reached:
            reached = wider
        assert reached == set(Stage)


def test_a_change_keeps_who_when_from_where_and_why(app: Flask):
    solicitation, person = factories.make_solicitation(), factories.make_user()
    change_stage(solicitation, Stage.VISITED, cause=StageCause.VISIT, by=person, note="见到局长")
    db.session.commit()
    [change] = list_changes(solicitation)
    assert (change.from_stage, change.to_stage) == (Stage.NOT_CONTACTED, Stage.VISITED)
    assert (change.by, change.cause, change.note) == (person, StageCause.VISIT, "见到局长")
    assert clock.day_of(change.at) == date(2026, 10, 20)
    assert solicitation.changes == [change]


def test_declining_needs_a_reason_and_reopening_forgets_it(app: Flask):
    solicitation = factories.make_solicitation()
    with pytest.raises(Refused):
        change_stage(solicitation, Stage.DECLINED, cause=StageCause.PERSON, by=None)
    move(solicitation, Stage.DECLINED)
    db.session.commit()
    assert solicitation.decline_reason is DeclineReason.HARD_TIMES
    move(solicitation, Stage.CONTACTED)
    db.session.commit()
    assert solicitation.decline_reason is None


def test_the_database_refuses_a_decline_without_a_reason(app: Flask):
    solicitation = factories.make_solicitation()
    solicitation.stage = Stage.DECLINED
    with pytest.raises(sa.exc.IntegrityError):
        db.session.commit()


def test_advancing_only_goes_forward(app: Flask):
    solicitation = at(Stage.VISITED)
    advance_stage(solicitation, Stage.CONTACTED, cause=StageCause.MESSAGE)
    advance_stage(solicitation, Stage.VISITED, cause=StageCause.VISIT)
    assert list_changes(solicitation) == []
    advance_stage(solicitation, Stage.PLEDGED, cause=StageCause.PLEDGE)
    assert solicitation.stage is Stage.PLEDGED


def test_advancing_leaves_a_unit_that_declined_alone(app: Flask):
    solicitation = at(Stage.DECLINED)
    advance_stage(solicitation, Stage.CONTACTED, cause=StageCause.MESSAGE)
    assert solicitation.stage is Stage.DECLINED


def test_the_last_contact_never_moves_back(app: Flask):
    solicitation = factories.make_solicitation()
    record_contact(solicitation, date(2026, 10, 12))
    record_contact(solicitation, date(2026, 10, 8))
    assert solicitation.last_contact_on == date(2026, 10, 12)
    assert solicitation.days_silent(date(2026, 10, 20)) == 8


def test_a_day_without_an_action_is_refused(app: Flask):
    solicitation = factories.make_solicitation()
    with pytest.raises(Refused):
        plan_next_action(solicitation, action="", on=date(2026, 10, 21), snoozed_until=None)
    plan_next_action(
        solicitation, action="致电财务", on=date(2026, 10, 21), snoozed_until=date(2026, 10, 25)
    )
    plan_next_action(solicitation, action="", on=None, snoozed_until=None)
    db.session.commit()
    assert (solicitation.next_action, solicitation.next_action_on) == ("", None)


@pytest.mark.parametrize("role", [Role.LIAISON, Role.AUDITOR])
def test_only_the_office_answers_for_a_unit(app: Flask, role: Role):
    solicitation = factories.make_solicitation()
    with pytest.raises(Refused):
        assign_solicitor(solicitation, factories.make_user(role))
    with pytest.raises(Refused):
        assign_solicitor(solicitation, factories.make_user(is_enabled=False))
    solicitor = factories.make_user(Role.STAFF)
    assign_solicitor(solicitation, solicitor)
    db.session.commit()
    assert solicitation.solicitor is solicitor
    assign_solicitor(solicitation, None)
    db.session.commit()
    assert solicitation.solicitor is None


Step = tuple[str, Stage]
STEPS = st.lists(st.tuples(st.sampled_from(["change", "advance"]), st.sampled_from(Stage)))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_there_is_no_way_around_the_table_and_history_replays_to_the_stage(
    app: Flask, steps: list[Step]
):
    solicitation = factories.make_solicitation()
    for kind, to in steps:
        before = solicitation.stage
        try:
            if kind == "change":
                move(solicitation, to)
            elif to is not Stage.DECLINED:
                advance_stage(solicitation, to, cause=StageCause.VISIT)
        except Refused:
            assert solicitation.stage is before
            assert to not in TRANSITIONS[before]
    db.session.commit()
    stage = Stage.NOT_CONTACTED
    for change in list_changes(solicitation):
        assert change.from_stage is stage
        assert change.to_stage in TRANSITIONS[stage]
        stage = change.to_stage
    assert solicitation.stage is stage
    assert (solicitation.decline_reason is not None) == (stage is Stage.DECLINED)
