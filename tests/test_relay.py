"""Before a campaign begins each unit confirms who answers for it: by its link, or on the phone."""

import re
from datetime import date, timedelta

import pytest
import sqlalchemy as sa
import time_machine

from outreach import clock
from outreach.access import Role
from outreach.accounts.models import User
from outreach.audit import AuditEvent
from outreach.campaigns.models import (
    Campaign,
    CampaignStatus,
    DeclineReason,
    Solicitation,
    Stage,
)
from outreach.db import db
from outreach.messages import delivery
from outreach.messages.models import (
    Channel,
    FailureKind,
    Message,
    MessageStatus,
    Purpose,
    Wave,
    WithheldReason,
)
from outreach.relay import links, queries, services
from outreach.relay.models import RelayAnswer, RelayState
from outreach.relay.services import Named, Person, Reply, TooManyAnswers
from outreach.reminders import rule_services
from outreach.reminders import services as waves
from outreach.reminders.models import RuleKind
from outreach.reminders.queries import preview_wave
from outreach.todos.models import Todo, TodoKind, TodoStatus
from outreach.units.models import Contact, ContactRole
from outreach.visits.planning import propose_follow_ups
from tests import fake_channel
from tests.factories import (
    make_campaign,
    make_contact,
    make_gift,
    make_sector,
    make_solicitation,
    make_todo,
    make_unit,
    make_user,
    open_sending,
    save,
)
from tests.test_rules import drafts, make_rule, run

TODAY = date(2026, 10, 20)
OPENING = date(2026, 11, 2)


@pytest.fixture
def campaign(app) -> Campaign:
    open_sending()
    return make_campaign(
        status=CampaignStatus.PLANNED, starts_on=OPENING, ends_on=date(2027, 2, 26)
    )


@pytest.fixture
def unit(campaign: Campaign) -> Solicitation:
    return make_solicitation(campaign, solicitor_id=make_user().id)


def address(*solicitations: Solicitation) -> str:
    contacts = [solicitation.unit.contacts[0] for solicitation in solicitations]
    url = links.relay_link(solicitations[0].campaign, contacts)
    return re.sub("^https?://[^/]+", "", url)


def send(client, path: str, **fields):
    """The page as it is shown, with these fields changed, as a browser sends it."""
    shown = client.get(path).text
    seen = re.search(r'name="seen"[^>]* value="([^"]*)"', shown)[1]
    chosen = dict(re.findall(r'type="radio" name="(\w+)" value="(\w+)" checked', shown))
    return client.post(path, data=chosen | {"seen": seen} | fields)


def find_answer(solicitation: Solicitation) -> RelayAnswer | None:
    db.session.rollback()
    return queries.find_answer(solicitation)


def answer(solicitation: Solicitation, *, by: User | None = None, **values) -> RelayAnswer:
    values = {"coordinator": Named(Person()), "leader": Named(Person())} | values
    seen = services.mark_people(solicitation.unit)
    row = services.answer(solicitation, Reply(seen=seen, **values), by=by)
    db.session.commit()
    return row


# The link


def test_the_page_shows_who_is_registered_and_changes_nothing(client, unit: Solicitation):
    contact = unit.unit.contacts[0]
    page = client.get(address(unit)).text
    assert unit.unit.name in page
    assert f"仍是{contact.name}" in page
    assert contact.mobile.removeprefix("+86") not in page
    assert contact.email not in page
    assert find_answer(unit) is None


def test_one_tap_confirms(client, unit: Solicitation):
    before = services.mark_people(unit.unit)
    page = send(client, address(unit))
    assert (page.status_code, "谢谢，已经收到" in page.text) == (200, True)
    row = find_answer(unit)
    assert (row.by_id, row.has_successor, clock.day_of(row.answered_at)) == (None, False, TODAY)
    assert services.mark_people(unit.unit) == before
    assert "10-20 已核对过" in client.get(address(unit)).text


def test_a_successor_takes_over_and_the_old_link_ends(client, unit: Solicitation):
    path, old = address(unit), unit.unit.contacts[0]
    new = {
        "coordinator": "new",
        "coordinator_name": "李娜",
        "coordinator_title": "科长",
        "coordinator_email": "LiNa@unit.example",
        "preferred_channel": "email",
        "leader": "new",
        "leader_name": "陈局长",
        "head_count": "86",
        "payroll_month": "11",
        "note": "逢周三集中办公",
    }
    assert send(client, path, **new).status_code == 200
    row = find_answer(unit)
    assert (row.has_successor, row.payroll_month, row.note) == (True, 11, "逢周三集中办公")
    assert old.valid_to == TODAY - timedelta(days=1)
    current = queries.find_current(unit.unit, ContactRole.COORDINATOR)
    assert (current.name, current.title, current.email) == ("李娜", "科长", "lina@unit.example")
    assert (current.valid_from, current.preferred_channel) == (TODAY, Channel.EMAIL)
    assert queries.find_current(unit.unit, ContactRole.LEADER).name == "陈局长"
    assert services.find_head_count(unit.unit_id, unit.campaign_id).count == 86
    gone = client.get(path)
    assert (gone.status_code, "不再是登记的联络员" in gone.text) == (404, True)
    actions = set(db.session.scalars(sa.select(AuditEvent.action)))
    assert {"answer.relay", "end.contact", "create.contact", "count.heads"} <= actions


def test_what_stays_empty_keeps_what_is_known_and_a_leader_may_go(client, unit: Solicitation):
    leader = make_contact(unit.unit, role=ContactRole.LEADER, name="旧领导")
    contact = unit.unit.contacts[0]
    email = contact.email
    answered = send(
        client,
        address(unit),
        coordinator_mobile="139 0734 1122",
        coordinator_name="没有换人时不看这里",
        leader="nobody",
    )
    assert answered.status_code == 200
    db.session.refresh(contact)
    assert (contact.mobile, contact.email) == ("+8613907341122", email)
    assert contact.name != "没有换人时不看这里"
    db.session.refresh(leader)
    assert leader.valid_to == TODAY - timedelta(days=1)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"coordinator": "new", "coordinator_mobile": "13907341122"}, "请填写姓名"),
        ({"coordinator": "new", "coordinator_name": "李娜"}, "至少一样"),
        ({"coordinator_mobile": "0734-8866123"}, "11 位大陆手机号码"),
        ({"coordinator_email": "lina@"}, "邮箱格式不正确"),
        ({"coordinator": "new", "coordinator_name": "李\n娜"}, "不能含换行"),
        ({"head_count": "很多"}, "invalid-feedback"),
        ({"payroll_month": "7"}, "invalid-feedback"),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_is_wrong_is_said_and_nothing_is_kept(client, unit: Solicitation, fields, said):
    page = send(client, address(unit), note="请勿丢失", **fields)
    assert (page.status_code, said in page.text, "请勿丢失" in page.text) == (422, True, True)
    assert find_answer(unit) is None


def test_of_two_who_change_the_people_the_second_is_told(client, unit: Solicitation):
    path = address(unit)
    seen = services.mark_people(unit.unit)
    make_contact(unit.unit, name="后来的同志", valid_from=TODAY)
    page = client.post(path, data={"seen": seen, "coordinator": "keep", "leader": "nobody"})
    assert (page.status_code, "刚刚有人改过" in page.text) == (409, True)
    assert find_answer(unit) is None
    assert send(client, path).status_code == 200


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_link_that_we_did_not_sign_opens_nothing(client, unit: Solicitation):
    contact = unit.unit.contacts[0]
    for token in ("x", f"{unit.campaign_id}-{contact.id}.AAAA", address(unit).split("/")[2][:-1]):
        assert client.get(f"/confirm/{token}/").status_code == 404
    unit.campaign.status = CampaignStatus.CLOSED
    db.session.commit()
    assert client.get(address(unit)).status_code == 404


def test_who_answers_for_two_units_answers_for_each(client, campaign: Campaign):
    sector = make_sector(campaign)
    one, other = (make_solicitation(campaign, sector) for _ in range(2))
    stranger = make_solicitation(campaign, sector)
    path = address(one, other)
    page = send(client, path).text
    assert other.unit.name in page
    assert stranger.unit.name not in page
    second = send(client, f"{path}?contact={other.unit.contacts[0].id}", head_count="5")
    assert second.status_code == 200
    not_mine = send(client, f"{path}?contact={stranger.unit.contacts[0].id}")
    assert not_mine.status_code == 200  # it is taken for one of their own
    assert [find_answer(each) is not None for each in (one, other, stranger)] == [True, True, False]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_script_that_answers_without_end_is_stopped(unit: Solicitation):
    for _ in range(services.MOST_ANSWERS):
        answer(unit)
    with pytest.raises(TooManyAnswers):
        answer(unit)
    answer(unit, by=make_user())  # who is asked on the telephone is no script


def test_a_coordinator_of_today_can_be_replaced_today(app, campaign: Campaign):
    new = make_unit()
    first = make_contact(new, valid_from=TODAY)
    unit = make_solicitation(campaign, unit=new)
    answer(unit, coordinator=Named(Person("李娜", mobile="+8613907341122"), is_new=True))
    assert first.valid_to == TODAY
    successor = db.session.scalars(sa.select(Contact).filter_by(name="李娜")).one()
    assert successor.valid_from == TODAY + timedelta(days=1)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_who_got_the_letter_answers_for_themselves(client, campaign: Campaign):
    """Of two coordinators the other one stays."""
    shared = make_unit()
    asked, other = (make_contact(shared, name=name) for name in ("甲联络", "乙联络"))
    make_solicitation(campaign, unit=shared)
    make_rule(campaign, RuleKind.RELAY)
    run()
    go(letter())
    message = db.session.scalars(sa.select(Message)).one()
    assert message.contact_id == asked.id
    path = re.search(r"https?://[^/\s]+(/confirm/\S+/)", message.body_text)[1]
    assert "仍是甲联络" in client.get(path).text
    new = {"coordinator_name": "丙联络", "coordinator_mobile": "13907341122"}
    assert send(client, path, coordinator="new", **new).status_code == 200
    db.session.expire_all()
    assert (asked.valid_to, other.valid_to) == (TODAY - timedelta(days=1), None)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_nobody_of_the_office_answers_by_the_link_of_a_unit(
    campaign: Campaign, unit: Solicitation, written: Message, sign_in
):
    """An auditor changes nothing, and what staff note has their name."""
    for role in (Role.AUDITOR, Role.STAFF):
        client = sign_in(role)
        wave = drafts()[0]
        pages = (f"/messages/{written.id}", "/messages", f"/c/{campaign.code}/waves/{wave.id}")
        for page in pages:
            assert "/confirm/" not in client.get(page).text.replace("/confirm/…/", "")
        path = address(unit)
        assert "不能用单位的链接答复" in client.get(path).text
        assert send(client, path).status_code == 403
    assert find_answer(unit) is None


# The letters


def letter() -> Wave:
    [wave] = drafts()
    return wave


def go(wave: Wave) -> None:
    waves.submit_wave(wave, by=make_user(Role.STAFF))
    waves.approve_wave(wave, by=make_user(Role.SECRETARY_GENERAL))
    waves.start_due_waves()
    db.session.commit()


def test_two_weeks_before_opening_a_letter_to_every_unit_is_drafted(
    campaign: Campaign, unit: Solicitation
):
    make_rule(campaign, RuleKind.RELAY)
    campaign.starts_on = TODAY + timedelta(days=15)
    db.session.commit()
    assert run() == ["没有新的建议"]
    campaign.starts_on = TODAY + timedelta(days=14)
    db.session.commit()
    assert run() == ["起草 1 个批次"]
    assert run() == ["没有新的建议"]
    assert letter().purpose is Purpose.RELAY


def test_it_goes_out_before_the_campaign_runs_with_a_link_of_each(
    app, client, campaign: Campaign, unit: Solicitation
):
    exempt = make_solicitation(campaign, unit.sector, is_exempt=True)
    make_rule(campaign, RuleKind.RELAY)
    run()
    go(letter())
    fake_channel.install(app)
    delivery.drain(lambda: False)
    message = db.session.scalars(sa.select(Message)).one()
    assert message.status is MessageStatus.SENT
    link = re.search(r"https?://[^/\s]+(/confirm/\S+/)", message.body_text)[1]
    assert unit.unit.name in client.get(link).text
    assert queries.find_answer(exempt) is None
    assert unit.last_contact_on is None  # a question before it begins is no solicitation


def test_without_the_link_it_is_not_approved(campaign: Campaign, unit: Solicitation):
    make_rule(campaign, RuleKind.RELAY)
    run()
    wave = letter()
    wave.template_version.body = "您好，请核对。捐赠完全自愿。"
    db.session.commit()
    assert "没有((核对链接))" in str(preview_wave(wave).findings[0].message)


def test_a_campaign_that_is_over_asks_nobody(campaign: Campaign, unit: Solicitation):
    make_rule(campaign, RuleKind.RELAY)
    run()
    go(letter())
    campaign.status = CampaignStatus.CLOSED
    db.session.commit()
    delivery.drain(lambda: False)
    message = db.session.scalars(sa.select(Message)).one()
    assert message.withheld_reason is WithheldReason.CAMPAIGN_CLOSED


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_letters_that_were_stopped_ask_nobody_and_can_be_drafted_again(
    campaign: Campaign, unit: Solicitation
):
    rule = make_rule(campaign, RuleKind.RELAY)
    run()
    go(letter())
    waves.cancel_wave(letter())
    db.session.commit()
    assert run() == ["没有新的建议"]
    assert (calls(), states(campaign)) == ([], [RelayState.NOT_SENT])
    rule_services.switch_off(rule)
    rule_services.switch_on(rule, by=rule.author)
    db.session.commit()
    assert run() == ["起草 1 个批次"]
    go(drafts()[1])
    assert states(campaign) == [RelayState.WAITING]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_who_declines_before_it_goes_out_is_not_asked(campaign: Campaign, unit: Solicitation):
    make_rule(campaign, RuleKind.RELAY)
    run()
    go(letter())
    unit.stage, unit.decline_reason = Stage.DECLINED, DeclineReason.OTHER
    db.session.commit()
    delivery.drain(lambda: False)
    message = db.session.scalars(sa.select(Message)).one()
    assert message.withheld_reason is WithheldReason.DECLINED


# The calls


@pytest.fixture
def written(campaign: Campaign, unit: Solicitation) -> Message:
    """The unit's letter, which has arrived."""
    make_rule(campaign, RuleKind.RELAY)
    run()
    go(letter())
    message = db.session.scalars(sa.select(Message)).one()
    message.status, message.sent_at = MessageStatus.SENT, clock.now()
    return save(message)


def calls() -> list[Todo]:
    return list(db.session.scalars(sa.select(Todo).filter_by(kind=TodoKind.CONFIRM)))


def states(campaign: Campaign) -> list[RelayState]:
    return [one.state for one in queries.list_units(campaign)]


def test_who_does_not_answer_is_called_and_an_answer_ends_the_call(
    campaign: Campaign, unit: Solicitation, written: Message
):
    assert states(campaign) == [RelayState.WAITING]
    with time_machine.travel("2026-10-27T07:10:00+08:00"):
        assert run() == ["没有新的建议"]  # the fifth working day is not over
    with time_machine.travel("2026-10-28T07:10:00+08:00"):
        assert run() == ["提出 1 项待办"]
        assert run() == ["没有新的建议"]
        [todo] = calls()
        assert (todo.owner_id, todo.contact_id) == (unit.solicitor_id, written.contact_id)
        assert todo.reason == "10-20 发出核对函后没有答复"
        answer(unit, by=unit.solicitor)
        assert (todo.status, todo.settled_by_id) == (TodoStatus.DONE, unit.solicitor_id)
    assert states(campaign) == [RelayState.ANSWERED]


def test_who_has_answered_is_not_called(campaign: Campaign, unit: Solicitation, written: Message):
    answer(unit)
    with time_machine.travel("2026-10-28T07:10:00+08:00"):
        run()
    assert calls() == []


def test_who_cannot_be_written_to_is_called_at_once(
    campaign: Campaign, unit: Solicitation, written: Message
):
    bounced, failure = MessageStatus.FAILED, FailureKind.BOUNCED
    written.status, written.failure = bounced, failure
    nobody = make_solicitation(campaign, unit.sector, unit=make_unit())
    db.session.commit()
    assert states(campaign) == [RelayState.UNREACHED] * 2
    run()
    reasons = {todo.solicitation_id: todo.reason for todo in calls()}
    assert reasons[unit.id] == "核对函没有送到：退信"
    assert "没有能收信的联络员" in reasons[nobody.id]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_who_has_given_is_still_asked_and_who_is_exempt_is_not(app, sign_in):
    given, exempt = (
        make_solicitation(campaign, solicitor_id=make_user().id)
        for campaign in [make_campaign()]
        for _ in range(2)
    )
    todos = [make_todo(one, one.solicitor, kind=TodoKind.CONFIRM) for one in (given, exempt)]
    make_gift(given)
    exempt.is_exempt = True
    db.session.commit()
    days = [
        sign_in(one.solicitor).get(f"/c/{one.campaign.code}/my-day").text for one in (given, exempt)
    ]
    assert ["电话核对联络信息" in day for day in days] == [True, False]
    propose_follow_ups(given.campaign)
    db.session.commit()
    assert [todo.status for todo in todos] == [TodoStatus.OPEN, TodoStatus.DROPPED]


def test_staff_note_on_the_telephone_what_the_unit_says(
    campaign: Campaign, unit: Solicitation, written: Message, sign_in
):
    staff = sign_in(Role.STAFF)
    everything = f"/c/{campaign.code}/relay"
    assert "已发信，未答复" in staff.get(everything).text
    path = f"/c/{campaign.code}/units/{unit.unit_id}/relay"
    page = send(staff, f"{path}?next={everything}", head_count="0", payroll_month="1")
    assert (page.status_code, page.location) == (302, everything)
    page = staff.get(f"{everything}?state=answered").text
    assert "电话核对" in page
    assert "1 月工资代扣" in page
    assert unit.unit.name not in staff.get(f"{everything}?state=waiting").text
    assert services.find_head_count(unit.unit_id, unit.campaign_id).count == 0
