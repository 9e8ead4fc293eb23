"""What rules find, what they propose of it, and that they do neither twice."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, time, timedelta

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outreach import clock, workdays
from outreach.access import Role
from outreach.campaigns.models import Campaign, CampaignStatus, SectorLineage, Solicitation, Stage
from outreach.db import db
from outreach.digests.decisions import DecisionKind, count_decisions
from outreach.errors import Refused
from outreach.gifts.models import Instalment
from outreach.gifts.standings import lags_on, sector_figures
from outreach.messages import delivery, outbox, waves
from outreach.messages.addresses import hash_address
from outreach.messages.gate import Candidate
from outreach.messages.models import (
    Channel,
    FailureKind,
    Message,
    MessageStatus,
    Purpose,
    Wave,
    WaveStatus,
    WithheldReason,
)
from outreach.reminders import proposals, rule_services, rules, services
from outreach.reminders.audience import AudienceFilter
from outreach.reminders.models import ReminderRule, RuleKind
from outreach.reminders.queries import preview_wave
from outreach.todos.models import Todo, TodoKind, TodoOutcome, TodoStatus
from outreach.units.models import ContactRole
from outreach.visits.models import Visit, VisitStatus
from outreach.visits.planning import propose_follow_ups
from tasks.rules import run_rules as task
from tasks.visits import propose_visits
from tests import fake_channel
from tests.factories import (
    make_campaign,
    make_contact,
    make_gift,
    make_line,
    make_pledge,
    make_running_wave,
    make_sector,
    make_solicitation,
    make_todo,
    make_unit,
    make_user,
    make_visit,
    open_sending,
    save,
)
from tests.test_follow_ups import remind
from tests.test_gate import REASONS, Case, ask, give  # noqa: F401

TODAY = date(2026, 10, 20)
TOMORROW = date(2026, 10, 21)


@pytest.fixture
def campaign(app: Flask) -> Campaign:
    open_sending()
    before = make_campaign(starts_on=date(2025, 9, 1), ends_on=date(2025, 12, 31))
    return make_campaign(previous_id=before.id)


def make_rule(campaign: Campaign, kind: RuleKind, **numbers: int) -> ReminderRule:
    """A rule that the secretary-general has tried and switched on."""
    boss = make_user(Role.SECRETARY_GENERAL)
    template = None
    if rules.drafts_waves(kind):
        template = rule_services.take_wording(kind, by=boss)
    rule = rule_services.save_rule(campaign, kind, proposals.DEFAULTS[kind] | numbers, template)
    rule_services.try_rule(rule)
    rule_services.switch_on(rule, by=boss)
    db.session.commit()
    return rule


def run() -> list[str]:
    results = [run.result for run in rule_services.run_rules()]
    db.session.commit()
    return results


def drafts() -> list[Wave]:
    return list(db.session.scalars(sa.select(Wave).order_by(Wave.id)))


def todos() -> list[Todo]:
    return list(db.session.scalars(sa.select(Todo).order_by(Todo.id)))


def units_of(wave: Wave) -> list[str]:
    return [letter.units for letter in preview_wave(wave).letters]


def make_lagging(campaign: Campaign, previous_fen: int = 100_000_00) -> Solicitation:
    """An outstanding unit in a sector of which everything had come in early last year."""
    sector, before = make_sector(campaign), campaign.previous
    last_year = make_sector(before)
    save(SectorLineage(sector_id=sector.id, predecessor_id=last_year.id))
    make_gift(make_solicitation(before, last_year), previous_fen, received_on=date(2025, 9, 2))
    return make_solicitation(campaign, sector)


def approve(wave: Wave) -> None:
    services.submit_wave(wave, by=make_user(Role.STAFF))
    services.approve_wave(wave, by=make_user(Role.ADMINISTRATOR))
    db.session.commit()


# Lagging sectors


def test_a_lagging_sector_gets_one_draft_for_its_outstanding_units(campaign: Campaign):
    unit = make_lagging(campaign)
    make_gift(given_by := make_solicitation(campaign, unit.sector), 1_00)
    make_solicitation(campaign)
    rule = make_rule(campaign, RuleKind.LAGGING_SECTOR)
    assert run() == ["起草 1 个批次"]
    [wave] = drafts()
    assert (wave.status, wave.purpose) == (WaveStatus.DRAFT, Purpose.REMINDER)
    assert wave.author_id == rule.author_id
    assert wave.proposal_key == f"rule:{rule.id}:sector:{unit.sector_id}:2026-W43"
    assert units_of(wave) == [unit.unit.name]
    assert given_by.unit.name not in units_of(wave)
    assert clock.day_of(rule.last_run_at) == TODAY
    assert rule.last_result == "起草 1 个批次"


@pytest.mark.parametrize(("workdays_behind", "drafted"), [(4, 0), (5, 1)])
def test_a_sector_is_behind_on_each_of_the_last_working_days(
    campaign: Campaign, workdays_behind: int, drafted: int
):
    """It fell behind when a large gift was reversed, so many working days ago."""
    unit = make_lagging(campaign)
    gift = make_gift(
        other := make_solicitation(campaign, unit.sector), 100_000_00, received_on=date(2026, 9, 2)
    )
    day = workdays.load_calendar().last_workdays(TODAY, workdays_behind)[-1]
    make_gift(other, -100_000_00, reversal_of_id=gift.id, received_on=day)
    make_rule(campaign, RuleKind.LAGGING_SECTOR, workdays=5)
    run()
    assert len(drafts()) == drafted


def test_money_of_this_morning_keeps_a_sector_from_lagging(campaign: Campaign):
    unit = make_lagging(campaign)
    make_gift(make_solicitation(campaign, unit.sector), 95_000_00)
    make_rule(campaign, RuleKind.LAGGING_SECTOR)
    assert run() == ["没有新的建议"]


def test_working_days_are_counted_around_national_day(app: Flask):
    calendar = workdays.load_calendar()
    assert calendar.last_workdays(date(2026, 10, 12), 4) == [
        date(2026, 10, 10),  # a Saturday that is made up
        date(2026, 10, 9),
        date(2026, 10, 8),
        date(2026, 9, 30),
    ]


def test_a_sector_is_drafted_for_once_a_week(campaign: Campaign, tuesday_morning):
    make_lagging(campaign)
    make_rule(campaign, RuleKind.LAGGING_SECTOR)
    run()
    services.cancel_wave(drafts()[0])
    tuesday_morning.shift(timedelta(days=3))
    assert run() == ["没有新的建议"]
    tuesday_morning.shift(timedelta(days=3))
    assert run() == ["起草 1 个批次"]
    tuesday_morning.shift(timedelta(days=7))
    assert run() == ["没有新的建议"]  # last week's draft is still open


def test_an_open_wave_for_the_sector_stands_in_the_way(campaign: Campaign):
    unit = make_lagging(campaign)
    wave = make_running_wave(solicitations=[unit])
    rule = make_rule(campaign, RuleKind.LAGGING_SECTOR)
    [passed_over] = rules.find_proposals(rule).passed_over
    assert passed_over.subject == unit.sector.name
    assert "第一次提醒" in passed_over.reason
    wave.audience = AudienceFilter(solicitation_ids=(unit.id,)).model_dump(mode="json")
    assert len(rules.find_proposals(rule).waves) == 1


def test_a_sector_whose_units_cannot_be_written_to_gets_no_empty_draft(campaign: Campaign):
    make_lagging(campaign).snoozed_until = date(2026, 11, 1)
    rule = make_rule(campaign, RuleKind.LAGGING_SECTOR)
    assert run() == ["没有新的建议"]
    assert "没有可以发送" in rules.find_proposals(rule).passed_over[0].reason


WORKDAYS = [date(2026, 9, 28), date(2026, 9, 30), date(2026, 10, 3), date(2026, 10, 8), TODAY]


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    last_year=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 60), st.integers(1, 9))),
    this_year=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 4), st.integers(1, 9))),
    is_reversed=st.booleans(),
)
def test_lags_of_past_days_are_those_that_were_shown_then(
    app: Flask, last_year, this_year, is_reversed
):
    before = make_campaign(starts_on=date(2025, 9, 1), ends_on=date(2025, 12, 31))
    campaign = make_campaign(previous_id=before.id)
    givers = []
    for number in range(2):
        sector, old = make_sector(campaign), make_sector(before)
        save(SectorLineage(sector_id=sector.id, predecessor_id=old.id))
        givers.append(make_solicitation(campaign, sector, unit=make_unit()))
        for which, offset, amount in last_year:
            if which == number:
                on = date(2025, 9, 1) + timedelta(days=offset)
                make_gift(make_solicitation(before, old, unit=make_unit()), amount, received_on=on)
    shown, first = {}, None
    for position, day in enumerate(WORKDAYS):
        with time_machine.travel(clock.at(day, time(17))):
            for which, on, amount in this_year:
                if on == position:
                    gift = make_gift(givers[which], amount)
                    first = first or gift
            if is_reversed and first is not None and position == len(WORKDAYS) - 2:
                reversal = {"reversal_of_id": first.id, "sector_id": first.sector_id}
                make_gift(
                    next(row for row in givers if row.unit_id == first.unit_id),
                    -first.amount_fen,
                    **reversal,
                )
            shown[day] = {row.sector.id: row.lag for row in sector_figures(campaign)}
    assert lags_on(campaign, WORKDAYS) == shown


# Silence


@pytest.fixture
def silent(campaign: Campaign) -> Solicitation:
    """Reminded three working days ago, the last of which is over."""
    solicitation = make_solicitation(campaign, solicitor_id=make_user().id)
    remind(solicitation, on=date(2026, 10, 14), contact_id=solicitation.unit.contacts[0].id)
    return solicitation


def test_who_does_not_answer_is_to_be_called(silent: Solicitation):
    rule = make_rule(silent.campaign, RuleKind.SILENT)
    assert run() == ["提出 1 项待办"]
    [todo] = todos()
    assert (todo.kind, todo.status) == (TodoKind.CALL, TodoStatus.OPEN)
    assert (todo.solicitation_id, todo.owner_id) == (silent.id, silent.solicitor_id)
    assert todo.contact_id == silent.unit.contacts[0].id
    assert todo.due_on == TOMORROW
    assert todo.reason == "10-14 发出提醒后 3 个工作日未回应"
    message_id = db.session.scalars(sa.select(Message.id)).one()
    assert todo.proposal_key == f"rule:{rule.id}:message:{message_id}:{silent.id}"


def test_the_days_of_silence_skip_the_holiday(campaign: Campaign):
    remind(make_solicitation(campaign), on=date(2026, 9, 29))
    make_rule(campaign, RuleKind.SILENT, workdays=3)  # 09-30, 10-08, 10-09
    with time_machine.travel("2026-10-09T18:00:00+08:00"):
        assert run() == ["没有新的建议"]
    with time_machine.travel("2026-10-10T07:10:00+08:00"):  # the Saturday that is made up
        assert run() == ["提出 1 项待办"]


def snooze(unit: Solicitation) -> None:
    unit.snoozed_until = TODAY


def plan_visit(unit: Solicitation) -> None:
    make_visit(unit)


def receive_a_payment(unit: Solicitation) -> None:
    make_line(unit.campaign, payer=unit.unit.name)


def leave_an_old_reply_unread(unit: Solicitation) -> None:
    make_todo(unit, kind=TodoKind.REPLY, created_at=clock.now() - timedelta(days=7))


@pytest.mark.parametrize(
    "happen", [snooze, plan_visit, receive_a_payment, leave_an_old_reply_unread]
)
def test_nobody_is_called_who_should_be_left_in_peace(silent: Solicitation, happen):
    happen(silent)
    rule = make_rule(silent.campaign, RuleKind.SILENT)
    assert run() == ["没有新的建议"]
    assert [one.subject for one in rules.find_proposals(rule).passed_over] == [silent.unit.name]


def answer_with_a_gift(unit: Solicitation) -> None:
    make_gift(unit)


def answer_with_a_pledge(unit: Solicitation) -> None:
    make_pledge(unit)


def reply(unit: Solicitation) -> None:
    make_todo(unit, kind=TodoKind.REPLY, reason="“我们已经捐了”")


def be_met(unit: Solicitation) -> None:
    unit.last_contact_on = date(2026, 10, 15)


@pytest.mark.parametrize("happen", [answer_with_a_gift, answer_with_a_pledge, reply, be_met])
def test_an_answer_is_an_answer_for_calls_and_visits(silent: Solicitation, happen):
    happen(silent)
    silent.campaign.follow_up_workdays = 3
    make_rule(silent.campaign, RuleKind.SILENT)
    assert run() == ["没有新的建议"]
    assert propose_follow_ups(silent.campaign).count == 0


def test_while_the_rule_is_on_the_visit_comes_after_the_call(silent: Solicitation):
    silent.campaign.follow_up_workdays = 3
    rule = make_rule(silent.campaign, RuleKind.SILENT)
    propose_visits.run()
    assert db.session.scalars(sa.select(Visit)).all() == []
    run()
    propose_visits.run()
    assert db.session.scalars(sa.select(Visit)).all() == []
    [todo] = todos()
    todo.status, todo.outcome, todo.settled_at = (
        TodoStatus.DONE,
        TodoOutcome.NO_ANSWER,
        clock.now(),
    )
    db.session.commit()
    propose_visits.run()
    assert db.session.scalars(sa.select(Visit)).one().solicitation_id == silent.id
    assert rule.is_on


def test_without_the_rule_a_visit_is_proposed_as_before(silent: Solicitation):
    silent.campaign.follow_up_workdays = 3
    rule_services.switch_off(make_rule(silent.campaign, RuleKind.SILENT))
    db.session.commit()
    propose_visits.run()
    assert db.session.scalars(sa.select(Visit)).one().solicitation_id == silent.id


# Pledges


def promise(campaign: Campaign, due_on: date = date(2026, 10, 12), **values) -> Solicitation:
    """A pledge that has been overdue for five full working days, unless another day is given."""
    solicitation = make_solicitation(campaign, **values)
    make_pledge(solicitation, 32_000_00, due_on=due_on)
    return solicitation


def test_overdue_pledges_become_one_letter_to_the_finance_contacts(campaign: Campaign):
    with_finance, without = promise(campaign), promise(campaign)
    finance = make_contact(with_finance.unit, role=ContactRole.FINANCE)
    make_contact(with_finance.unit, role=ContactRole.LEADER)
    promise(campaign, due_on=date(2026, 10, 13))
    make_rule(campaign, RuleKind.PLEDGE_OVERDUE)
    assert run() == ["起草 1 个批次"]
    [wave] = drafts()
    letters = {letter.units: letter for letter in preview_wave(wave).letters}
    assert letters.keys() == {with_finance.unit.name, without.unit.name}
    assert letters[with_finance.unit.name].recipient.contact is finance
    to_coordinator = letters[without.unit.name].recipient.contact
    assert to_coordinator.role is ContactRole.COORDINATOR
    assert "自愿认捐3.2 万元" in letters[without.unit.name].rendered.text
    described = services.read_audience(wave).describe(campaign)
    assert described == "全部板块 · 逐一选定的 2 家单位 · 写给财务，没有的写给联络员"


def test_a_pledge_due_before_the_holiday_is_asked_about_after_it(campaign: Campaign):
    promise(campaign, due_on=date(2026, 9, 29))
    make_rule(campaign, RuleKind.PLEDGE_OVERDUE, workdays=2)  # 09-30, 10-08
    with time_machine.travel("2026-10-08T18:00:00+08:00"):
        assert run() == ["没有新的建议"]
    with time_machine.travel("2026-10-09T07:10:00+08:00"):
        assert run() == ["起草 1 个批次"]


def test_each_pledge_is_asked_about_once(campaign: Campaign, tuesday_morning):
    first = promise(campaign)
    make_rule(campaign, RuleKind.PLEDGE_OVERDUE)
    run()
    services.cancel_wave(drafts()[0])
    second = promise(campaign)
    tuesday_morning.shift(timedelta(days=1))
    assert run() == ["起草 1 个批次"]
    assert units_of(drafts()[1]) == [second.unit.name]
    # A new promise is a new pledge.
    db.session.execute(
        sa.text("UPDATE pledge SET withdrawn_at = recorded_at WHERE solicitation_id = :id"),
        {"id": first.id},
    )
    make_pledge(first, due_on=date(2026, 10, 13))
    tuesday_morning.shift(timedelta(days=1))
    run()
    assert units_of(drafts()[2]) == [first.unit.name]


def test_the_next_instalment_is_asked_about_when_it_is_overdue_too(
    campaign: Campaign, tuesday_morning
):
    row = make_solicitation(campaign)
    parts = {date(2026, 10, 12): 20_000_00, date(2026, 10, 26): 30_000_00}
    instalments = [
        Instalment(due_on=due_on, amount_fen=parts[due_on], owed_fen=owed_fen)
        for due_on, owed_fen in zip(parts, (20_000_00, 50_000_00), strict=True)
    ]
    make_pledge(row, 50_000_00, instalments=instalments)
    make_rule(campaign, RuleKind.PLEDGE_OVERDUE)
    assert run() == ["起草 1 个批次"]
    make_gift(row, 20_000_00, received_on=TODAY)
    services.cancel_wave(drafts()[0])
    tuesday_morning.shift(timedelta(days=10))
    assert run() == ["没有新的建议"], "the second one has been overdue for too short a time"
    tuesday_morning.shift(timedelta(days=10))
    assert run() == ["起草 1 个批次"]


def test_whom_the_gate_withholds_today_is_asked_another_day(campaign: Campaign, tuesday_morning):
    resting = promise(campaign, snoozed_until=TODAY)
    rule = make_rule(campaign, RuleKind.PLEDGE_OVERDUE)
    assert run() == ["没有新的建议"]
    assert "暂缓联系" in rules.find_proposals(rule).passed_over[0].reason
    tuesday_morning.shift(timedelta(days=1))
    run()
    assert units_of(drafts()[0]) == [resting.unit.name]


def test_a_superior_cannot_be_chosen_as_the_reader():
    with pytest.raises(ValueError, match="role"):
        AudienceFilter(role=ContactRole.LEADER)


# Thanks


def test_gifts_become_one_letter_of_thanks_a_day(campaign: Campaign, tuesday_morning):
    one, two = make_solicitation(campaign), make_solicitation(campaign)
    make_gift(one, 32_000_00, received_on=date(2026, 10, 19))
    make_gift(two, 5_000_00)
    make_solicitation(campaign)
    rule = make_rule(campaign, RuleKind.GIFT_RECEIVED)
    assert run() == ["起草 1 个批次"]
    [wave] = drafts()
    assert wave.purpose is Purpose.THANKS
    assert wave.proposal_key == f"rule:{rule.id}:thanks:2026-10-20"
    letters = {letter.units: letter.rendered.text for letter in preview_wave(wave).letters}
    assert letters.keys() == {one.unit.name, two.unit.name}
    assert "自愿捐赠的3.2 万元已于10月19日到账" in letters[one.unit.name]
    make_gift(two, 8_000_00)
    assert run() == ["没有新的建议"]  # today's letter is drafted
    tuesday_morning.shift(timedelta(days=1))
    assert run() == ["起草 1 个批次"]
    [letter] = preview_wave(drafts()[1]).letters
    assert "8,000 元" in letter.rendered.text


def test_several_gifts_of_a_unit_are_thanked_for_together(campaign: Campaign):
    unit = make_solicitation(campaign)
    make_gift(unit, 10_000_00)
    make_gift(unit, 20_000_00)
    make_rule(campaign, RuleKind.GIFT_RECEIVED)
    run()
    [letter] = preview_wave(drafts()[0]).letters
    assert "3 万元" in letter.rendered.text


def test_gifts_recorded_long_ago_and_reversed_ones_are_not_thanked_for(campaign: Campaign):
    old = make_solicitation(campaign)
    make_gift(old, recorded_at=clock.at(date(2026, 10, 14), time(23, 59)))
    gift = make_gift(undone := make_solicitation(campaign), 300)
    make_gift(undone, -300, reversal_of_id=gift.id)
    sector = make_sector(campaign)
    of_sector = make_gift(make_solicitation(campaign, sector), 1)
    db.session.execute(
        sa.text("UPDATE gift SET unit_id = NULL WHERE id = :id"), {"id": of_sector.id}
    )
    make_rule(campaign, RuleKind.GIFT_RECEIVED, workdays=3)  # 10-15, 10-16, 10-19
    assert run() == ["没有新的建议"]
    make_gift(make_solicitation(campaign), recorded_at=clock.at(date(2026, 10, 15), time()))
    assert run() == ["起草 1 个批次"]


def test_a_correction_of_a_gift_is_not_thanked_for_again(campaign: Campaign, tuesday_morning):
    unit = make_solicitation(campaign)
    gift = make_gift(unit, 300)
    make_rule(campaign, RuleKind.GIFT_RECEIVED)
    run()
    tuesday_morning.shift(timedelta(days=1))
    make_gift(unit, -300, reversal_of_id=gift.id)
    make_gift(unit, 300, reference="更正")
    assert run() == ["没有新的建议"]


def test_a_letter_of_thanks_goes_out_and_asks_nothing_of_money_and_caps(
    app: Flask, campaign: Campaign
):
    unit = make_solicitation(campaign, stage=Stage.CONTACTED, snoozed_until=date(2026, 11, 1))
    make_gift(unit, 32_000_00)
    make_rule(campaign, RuleKind.GIFT_RECEIVED)
    run()
    [wave] = drafts()
    approve(wave)
    assert services.start_due_waves() == 1
    db.session.commit()
    channel = fake_channel.install(app)
    delivery.drain()
    assert len(channel.taken) == 1
    message = db.session.scalars(sa.select(Message)).one()
    assert (message.purpose, message.status) == (Purpose.THANKS, MessageStatus.SENT)


def test_nobody_is_thanked_for_a_gift_that_was_reversed_after_the_approval(campaign: Campaign):
    unit, other = make_solicitation(campaign), make_solicitation(campaign)
    gift = make_gift(unit, 300)
    make_gift(other, 500)
    make_rule(campaign, RuleKind.GIFT_RECEIVED)
    run()
    [wave] = drafts()
    approve(wave)
    make_gift(unit, -300, reversal_of_id=gift.id)
    left_out = preview_wave(wave).left_out
    assert [member.withheld.reason for member in left_out] == [WithheldReason.NOTHING_GIVEN]
    assert services.start_due_waves() == 1


def test_a_letter_of_thanks_that_expired_is_proposed_again(
    app: Flask, campaign: Campaign, tuesday_morning
):
    fake_channel.install(app)
    solicitation = make_solicitation(campaign)
    make_gift(solicitation)
    make_rule(campaign, RuleKind.GIFT_RECEIVED)
    run()
    [wave] = drafts()
    approve(wave)
    services.start_due_waves()
    db.session.commit()
    tuesday_morning.move_to(wave.not_after + timedelta(hours=10))
    outbox.reap(clock.now())
    waves.finish_waves()
    db.session.commit()
    assert run() == ["起草 1 个批次"]
    assert units_of(drafts()[1]) == [solicitation.unit.name]
    assert run() == ["没有新的建议"]


def test_a_unit_without_an_address_is_shown_and_keeps_nobody_waiting(campaign: Campaign):
    make_gift(make_solicitation(campaign, unit=make_unit()))
    rule = make_rule(campaign, RuleKind.GIFT_RECEIVED)
    assert run() == ["没有新的建议"]
    assert len(rules.find_proposals(rule).passed_over) == 1
    make_gift(make_solicitation(campaign))
    run()
    assert len(preview_wave(drafts()[0]).left_out) == 1


OF_RECIPIENT = {
    WithheldReason.OPTED_OUT,
    WithheldReason.NO_ADDRESS,
    WithheldReason.DEAD_ADDRESS,
    WithheldReason.NOT_IN_AUDIENCE,
}


@pytest.mark.parametrize("reason", sorted(REASONS.keys() - {WithheldReason.NOTHING_GIVEN}), ids=str)
def test_thanks_and_corrections_ask_only_about_the_recipient(ask, reason):  # noqa: F811
    case = Case()
    give(case)
    REASONS[reason](case)
    of_thanks = {*OF_RECIPIENT, WithheldReason.CONTACT_LEFT}
    for purpose, reasons in ((Purpose.THANKS, of_thanks), (Purpose.CORRECTION, OF_RECIPIENT)):
        expected = {1: reason} if reason in reasons else {}
        assert ask(case.candidate(purpose)) == expected, purpose


def test_who_has_given_nothing_is_not_thanked(ask):  # noqa: F811
    case = Case()
    assert ask(case.candidate(Purpose.THANKS)) == {1: WithheldReason.NOTHING_GIVEN}
    assert ask(case.candidate(Purpose.CORRECTION)) == {}


@pytest.mark.parametrize("purpose", [Purpose.REMINDER, Purpose.THANKS, Purpose.CORRECTION])
def test_every_wave_goes_to_its_approved_audience_only(app: Flask, ask, purpose):  # noqa: F811
    case = Case()
    if purpose is Purpose.THANKS:
        give(case)
    wave = make_running_wave(solicitations=[make_solicitation(case.campaign)])
    expected = {1: WithheldReason.NOT_IN_AUDIENCE}
    assert ask(case.candidate(purpose, wave_id=wave.id)) == expected


# Dead addresses


def bounce(unit: Solicitation, **values) -> Message:
    contact = unit.unit.contacts[0]
    return remind(
        unit,
        on=date(2026, 10, 19),
        **{
            "contact_id": contact.id,
            "address": contact.email,
            "address_hash": hash_address(Channel.EMAIL, contact.email),
            "status": MessageStatus.FAILED,
            "failure": FailureKind.BOUNCED,
        }
        | values,
    )


def test_a_dead_address_asks_for_a_new_contact(campaign: Campaign):
    unit = make_solicitation(campaign, solicitor_id=make_user().id)
    bounce(unit)
    message = bounce(unit, failure=FailureKind.REJECTED)
    bounce(make_solicitation(campaign), failure=FailureKind.EXHAUSTED)
    rule = make_rule(campaign, RuleKind.BOUNCED)
    assert run() == ["提出 1 项待办"]
    [todo] = todos()
    assert (todo.kind, todo.owner_id) == (TodoKind.FIND_CONTACT, unit.solicitor_id)
    assert (todo.due_on, todo.contact_id) == (TOMORROW, message.contact_id)
    assert todo.reason == "10-19 的邮件没有送到（对方拒收），请核实联络员和联系方式"
    assert todo.proposal_key == f"rule:{rule.id}:message:{message.id}:{unit.id}"


def correct(unit: Solicitation) -> None:
    unit.unit.contacts[0].email = "new@unit.example"


def leave(unit: Solicitation) -> None:
    unit.unit.contacts[0].valid_to = date(2026, 10, 19)


def get_through(unit: Solicitation) -> None:
    bounce(
        unit,
        status=MessageStatus.DELIVERED,
        failure=None,
        status_at=clock.now(),
    )


@pytest.mark.parametrize("happen", [correct, leave, get_through])
def test_an_address_that_was_seen_to_is_left_alone(campaign: Campaign, happen):
    unit = make_solicitation(campaign)
    bounce(unit)
    happen(unit)
    make_rule(campaign, RuleKind.BOUNCED)
    assert run() == ["没有新的建议"]


# Every rule


def make_all(campaign: Campaign) -> list[ReminderRule]:
    """Something to find for each kind, and all rules on."""
    make_lagging(campaign)
    remind(make_solicitation(campaign), on=date(2026, 10, 12))
    promise(campaign)
    make_gift(make_solicitation(campaign))
    bounce(make_solicitation(campaign))
    ahead = make_campaign(
        code="2027",
        status=CampaignStatus.PLANNED,
        starts_on=clock.today() + timedelta(days=10),
    )
    make_solicitation(ahead)
    return [make_rule(ahead if kind is RuleKind.RELAY else campaign, kind) for kind in RuleKind]


def count_proposals() -> tuple[int, int]:
    return len(drafts()), len(todos())


def test_a_second_run_proposes_nothing(campaign: Campaign):
    make_all(campaign)
    run()
    assert count_proposals() == (4, 2)
    assert run() == ["没有新的建议"] * len(RuleKind)
    assert count_proposals() == (4, 2)


def test_two_workers_at_once_propose_everything_once(app: Flask, campaign: Campaign):
    make_all(campaign)
    db.session.remove()
    together = threading.Barrier(2)

    def work(_worker: int) -> None:
        with app.app_context():
            together.wait()
            run()

    with ThreadPoolExecutor(2) as workers:
        list(workers.map(work, range(2)))
    assert count_proposals() == (4, 2)


@pytest.mark.parametrize("kind", RuleKind, ids=str)
def test_a_key_that_is_taken_is_not_proposed_again_whatever_was_found(
    campaign: Campaign, kind: RuleKind
):
    """Two workers that found the same before either wrote."""
    rule = next(rule for rule in make_all(campaign) if rule.kind is kind)
    findings = rules.find_proposals(rule)
    assert not findings.is_empty
    run()
    before = count_proposals()
    assert rule_services._draft_waves(rule, findings) == 0
    assert all(
        not rule_services.propose(
            one.solicitation.id, one.kind, reason="", due_on=one.due_on, key=one.key
        )
        for one in findings.todos
    )
    assert count_proposals() == before


def test_rules_that_are_off_and_campaigns_that_do_not_run_propose_nothing(campaign: Campaign):
    made = make_all(campaign)
    for rule in made:
        rule.campaign.status = CampaignStatus.CLOSED
    assert run() == []
    for rule in made:
        rule.campaign.status = CampaignStatus.RUNNING
        rule_services.switch_off(rule)
    assert run() == []
    assert count_proposals() == (0, 0)


def test_a_year_without_holidays_holds_every_rule_and_says_so(campaign: Campaign):
    make_all(campaign)
    campaign.ends_on = date(2027, 12, 31)
    db.session.commit()
    with time_machine.travel("2027-01-12T07:10:00+08:00"):
        assert run() == ["2027 年放假安排未确认，规则暂停。请在设置中确认。"] * len(RuleKind)
        task.run()
    assert count_proposals() == (0, 0)


def test_a_rule_whose_author_is_gone_waits_for_another(campaign: Campaign):
    unit = make_solicitation(campaign)
    make_gift(unit)
    rule = make_rule(campaign, RuleKind.GIFT_RECEIVED)
    rule.author.is_enabled = False
    db.session.commit()
    assert run() == ["启用人的账号已停用。请由他人重新启用。"]
    rule_services.switch_on(rule, by=make_user(Role.ADMINISTRATOR))
    rule.template.is_archived = True
    db.session.commit()
    assert run() == ["模板已停用。请另选模板后重新启用。"]
    assert drafts() == []


def test_the_run_leaves_pages_that_are_open_valid(campaign: Campaign):
    rule = make_rule(campaign, RuleKind.SILENT)
    version = rule.version
    run()
    assert rule.version == version


def test_the_task_tells_what_was_proposed_and_rests_on_holidays(campaign: Campaign):
    make_gift(make_solicitation(campaign))
    make_rule(campaign, RuleKind.GIFT_RECEIVED)
    with time_machine.travel("2026-10-18T07:10:00+08:00"):
        assert task.run() == "今天不是工作日"
    assert task.run() == "款项到账：起草 1 个批次"
    rule_services.switch_off(rule_services.find_rule(campaign, RuleKind.GIFT_RECEIVED))
    db.session.commit()
    assert task.run() == "没有启用的规则"


def test_the_draft_waits_for_a_person_on_the_dashboard(campaign: Campaign):
    make_gift(make_solicitation(campaign))
    make_rule(campaign, RuleKind.GIFT_RECEIVED)
    run()
    [wave] = drafts()
    now = clock.now()
    assert count_decisions(campaign, now, now) == {DecisionKind.RULE_DRAFT: 1}
    services.submit_wave(wave, by=make_user())
    assert count_decisions(campaign, now, now) == {DecisionKind.APPROVE_WAVE: 1}


def test_who_switched_the_rule_on_cannot_approve_its_draft(campaign: Campaign):
    make_gift(make_solicitation(campaign))
    rule = make_rule(campaign, RuleKind.GIFT_RECEIVED)
    run()
    [wave] = drafts()
    services.submit_wave(wave, by=make_user(Role.STAFF))
    with pytest.raises(Refused, match="另一人"):
        services.approve_wave(wave, by=rule.author)
    services.approve_wave(wave, by=make_user(Role.ADMINISTRATOR))
    assert wave.status is WaveStatus.APPROVED


def test_when_the_gift_comes_everything_else_stops(app: Flask, silent: Solicitation):
    """Not a rule's work: the gate withholds the reminder and the planner takes the visit back."""
    silent.campaign.follow_up_workdays = 3
    wave = make_running_wave(solicitations=[silent])
    propose_follow_ups(silent.campaign)
    db.session.commit()
    make_gift(silent)
    channel = fake_channel.install(app)
    delivery.drain()
    assert not channel.taken
    message = db.session.scalars(sa.select(Message).filter_by(wave_id=wave.id)).one()
    assert message.withheld_reason is WithheldReason.ALREADY_GIVEN
    propose_follow_ups(silent.campaign)
    assert db.session.scalars(sa.select(Visit)).one().status is VisitStatus.DROPPED
    make_rule(silent.campaign, RuleKind.SILENT)
    assert run() == ["没有新的建议"]


def test_when_the_gift_comes_nobody_has_to_call_any_more(silent: Solicitation):
    make_rule(silent.campaign, RuleKind.SILENT)
    run()
    make_gift(silent)
    propose_follow_ups(silent.campaign)
    assert [todo.status for todo in todos()] == [TodoStatus.DROPPED]
    assert run() == ["没有新的建议"]


def test_a_candidate_of_no_wave_passes(app: Flask, campaign: Campaign):
    make_gift(unit := make_solicitation(campaign))
    candidate = Candidate(
        key=1,
        purpose=Purpose.THANKS,
        channel=Channel.EMAIL,
        address_hash="0" * 64,
        campaign_id=campaign.id,
        solicitation_ids=(unit.id,),
    )
    assert app.extensions["outreach.gate"].ask([candidate], clock.now()) == {}
