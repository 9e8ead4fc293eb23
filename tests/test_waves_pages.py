"""The pages of waves, as people and their browsers use them."""

import re
from datetime import date, timedelta

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from outreach import clock
from outreach.access import Role
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign
from outreach.db import db
from outreach.messages import delivery, outbox, queries, waves
from outreach.messages.models import Message, MessageStatus, Wave, WaveStatus
from outreach.reminders import services
from tests import factories, fake_channel
from tests.factories import (
    keep_office_hours,
    make_campaign,
    make_contact,
    make_pledge,
    make_sector,
    make_solicitation,
    make_template,
    make_unit,
    make_user,
    open_sending,
)
from tests.test_waves import make_approved, make_wave


@pytest.fixture
def campaign(app: Flask) -> Campaign:
    open_sending()
    return make_campaign(code="2026")


def only_wave() -> Wave:
    return db.session.scalars(sa.select(Wave)).one()


def post(client, wave: Wave, action: str, **values):
    version = db.session.scalar(sa.select(Wave.version).filter_by(id=wave.id))
    return client.post(f"/c/2026/waves/{wave.id}/{action}", data={"version": version} | values)


def test_a_wave_from_the_form_to_the_queue(app: Flask, campaign: Campaign, sign_in):
    unit = make_solicitation(campaign).unit
    left_out = make_solicitation(campaign)
    make_pledge(left_out)
    version = make_template()
    staff, boss = sign_in(Role.STAFF), sign_in(Role.SECRETARY_GENERAL)
    data = {
        "name": "十月提醒",
        "sectors": "all",
        "template_version_id": version.id,
        "start": "now",
    }
    assert staff.post("/c/2026/waves/new", data=data).status_code == 302
    wave = only_wave()
    page = staff.get(f"/c/2026/waves/{wave.id}").text
    assert f"{unit.name}如有意参加" in page
    assert "已认捐 10.00 万元" in page
    assert "将发出 1 封邮件" in page
    assert "另有 1 家未列入" in page
    assert "style=" not in page

    assert post(staff, wave, "submit").status_code == 302
    assert "批准后立即发出 1 封邮件" in boss.get(f"/c/2026/waves/{wave.id}").text
    assert post(boss, wave, "approve").status_code == 302
    assert app.extensions["woken"] == ["start_waves"]
    assert "正在启动" in boss.get(f"/c/2026/waves/{wave.id}").text

    services.start_due_waves()
    db.session.commit()
    running = staff.get(f"/c/2026/waves/{wave.id}").text
    assert "every 2s" in running
    assert unit.name in running
    assert post(boss, wave, "pause").status_code == 302
    stopped = staff.get(f"/c/2026/waves/{wave.id}").text
    assert "暂停，须由秘书长或管理员继续" in stopped
    assert "/resume" not in stopped
    assert post(staff, wave, "resume").status_code == 403
    assert post(boss, wave, "resume").status_code == 302
    assert post(staff, wave, "pause").status_code == 302
    assert post(staff, wave, "resume").status_code == 302
    assert app.extensions["woken"][-1] == "deliver"
    assert post(staff, wave, "cancel").status_code == 302
    assert only_wave().status is WaveStatus.CANCELLED
    assert "十月提醒" in staff.get("/c/2026/waves").text


def test_the_tasks_start_waves_and_wake_delivery(app: Flask, campaign: Campaign):
    from tasks.waves import start_waves

    make_solicitation(campaign)
    make_approved(campaign)
    start_waves.run()
    assert app.extensions["woken"] == ["deliver"]
    assert only_wave().status is WaveStatus.RUNNING


def test_the_author_sees_that_somebody_else_has_to_approve(campaign: Campaign, sign_in):
    make_solicitation(campaign)
    author = make_user(Role.SECRETARY_GENERAL)
    wave = make_wave(campaign, author)
    client = sign_in(author)
    post(client, wave, "submit")
    page = client.get(f"/c/2026/waves/{wave.id}").text
    assert "须由另一位秘书长或管理员批准" in page
    assert "/approve" not in page
    answer = post(client, wave, "approve")
    assert answer.status_code == 422
    assert "另一人" in answer.text
    assert only_wave().status is WaveStatus.IN_REVIEW


def test_staff_and_auditors_cannot_approve(campaign: Campaign, sign_in):
    make_solicitation(campaign)
    wave = make_wave(campaign)
    services.submit_wave(wave, by=db.session.get(User, wave.author_id))
    db.session.commit()
    for role in (Role.STAFF, Role.AUDITOR, Role.LIAISON):
        assert post(sign_in(role), wave, "approve").status_code == 403
    assert sign_in(Role.LIAISON).get("/c/2026/waves").status_code == 403


def test_what_changed_since_the_page_was_read_is_not_approved(campaign: Campaign, sign_in):
    make_solicitation(campaign)
    wave = make_wave(campaign)
    services.submit_wave(wave, by=db.session.get(User, wave.author_id))
    db.session.commit()
    answer = post(sign_in(Role.SECRETARY_GENERAL), wave, "approve", version=wave.version - 1)
    assert answer.status_code == 409
    assert only_wave().status is WaveStatus.IN_REVIEW


def test_a_wave_is_returned_with_a_reason(campaign: Campaign, sign_in):
    make_solicitation(campaign)
    wave = make_wave(campaign)
    services.submit_wave(wave, by=db.session.get(User, wave.author_id))
    db.session.commit()
    boss = sign_in(Role.SECRETARY_GENERAL)
    post(boss, wave, "return", reason="")
    assert only_wave().status is WaveStatus.IN_REVIEW
    post(boss, wave, "return", reason="请先电话联系")
    assert "请先电话联系" in sign_in().get(f"/c/2026/waves/{wave.id}").text


def test_editing_an_approved_wave_warns_and_voids(campaign: Campaign, sign_in):
    make_solicitation(campaign)
    wave = make_approved(campaign)
    client = sign_in()
    assert "作废" in client.get(f"/c/2026/waves/{wave.id}/edit").text
    data = {
        "name": "改过",
        "sectors": "all",
        "template_version_id": wave.template_version_id,
        "start": "later",
        "starts_on": "2026-10-22",
        "starts_time": "09:30",
        "last_on": "",
    }
    assert post(client, wave, "edit", **data).status_code == 302
    wave = only_wave()
    assert (wave.status, wave.name) == (WaveStatus.DRAFT, "改过")
    assert clock.local(wave.starts_at).isoformat() == "2026-10-22T09:30:00+08:00"
    assert clock.day_of(wave.not_after) == date(2026, 10, 27)  # the third working day


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"name": ""}, "请填写名称"),
        ({"sectors": "chosen"}, "请至少选择一个板块"),
        ({"start": "later"}, "请填写发送的日期和时间"),
        ({"min_previous": "很多"}, "不是金额"),
        ({"min_previous": "1e9999999"}, "不是金额"),
        ({"min_days_silent": "-3"}, "0 到 366"),
        ({"start": "later", "starts_on": "0001-01-01", "starts_time": "09:00"}, "date"),
        ({"last_on": "9999-12-31"}, "date"),
    ],
)
def test_a_form_that_is_not_right_says_why_and_keeps_the_rest(
    campaign: Campaign, sign_in, values, says
):
    data = {
        "name": "十月提醒",
        "sectors": "all",
        "template_version_id": make_template().id,
        "start": "now",
    }
    answer = sign_in().post("/c/2026/waves/new", data=data | values)
    assert answer.status_code == 422
    assert says in answer.text
    assert db.session.scalars(sa.select(Wave)).all() == []


def test_a_number_too_large_for_a_row_is_not_found(campaign: Campaign, sign_in):
    assert sign_in().get("/c/2026/waves/99999999999").status_code == 404


def test_a_character_that_the_database_does_not_take_is_left_out(campaign: Campaign, sign_in):
    data = {"name": "十月\x00提醒", "sectors": "all", "start": "now"}
    sign_in().post("/c/2026/waves/new", data=data | {"template_version_id": make_template().id})
    assert db.session.scalars(sa.select(Wave)).one().name == "十月提醒"


def test_the_count_follows_the_form(campaign: Campaign, sign_in):
    sector = make_sector(campaign)
    make_solicitation(campaign, sector)
    make_solicitation(campaign)
    version = make_template()
    url = f"/c/2026/waves/audience?template_version_id={version.id}"
    client = sign_in()
    assert "写给 2 家单位" in client.get(f"{url}&sectors=all").text
    assert "写给 1 家单位" in client.get(f"{url}&sectors=chosen&sector_ids={sector.id}").text
    assert "请至少选择一个板块" in client.get(f"{url}&sectors=chosen").text
    assert client.get("/c/2026/waves/audience").status_code == 200


def test_a_link_can_propose_the_audience(campaign: Campaign, sign_in):
    sector = make_sector(campaign)
    page = sign_in().get(f"/c/2026/waves/new?sector_ids={sector.id}").text
    assert 'checked class="form-check-input" id="sector_ids-0" name="sector_ids"' in page


def test_the_progress_page_reloads_when_the_wave_has_moved_on(campaign: Campaign, sign_in):
    make_solicitation(campaign)
    wave = make_approved(campaign)
    services.start_wave(wave)
    db.session.commit()
    client = sign_in()
    url = f"/c/2026/waves/{wave.id}/progress?status="
    assert "every 2s" in client.get(url + "running").text
    assert client.get(url + "approved").headers["HX-Refresh"] == "true"


def test_an_unknown_outcome_is_shown_with_a_link(campaign: Campaign, sign_in):
    make_solicitation(campaign)
    wave = make_approved(campaign)
    services.start_wave(wave)
    db.session.execute(sa.update(Message).values(status=MessageStatus.UNKNOWN))
    db.session.commit()
    message_id = db.session.scalar(sa.select(Message.id))
    page = sign_in().get(f"/c/2026/waves/{wave.id}?status=unknown").text
    assert "有 1 条不知对方是否收到" in page
    assert f"/messages/{message_id}" in page


def test_addresses_are_masked(campaign: Campaign, sign_in):
    unit = make_unit()
    make_contact(unit, email="wangwu@unit.example")
    make_solicitation(campaign, unit=unit)
    wave = make_wave(campaign)
    page = sign_in().get(f"/c/2026/waves/{wave.id}").text
    assert "w***@unit.example" in page
    assert "wangwu@" not in page


def test_a_wave_of_another_campaign_is_not_found(campaign: Campaign, sign_in):
    wave = make_wave(make_campaign())
    assert sign_in().get(f"/c/2026/waves/{wave.id}").status_code == 404


def test_a_held_wave_is_released_by_a_person(campaign: Campaign, sign_in, tuesday_morning):
    make_solicitation(campaign)
    wave = make_approved(campaign)
    tuesday_morning.shift(timedelta(hours=3))
    services.start_due_waves()
    db.session.commit()
    client = sign_in()
    assert "放行" in client.get(f"/c/2026/waves/{wave.id}").text
    assert post(client, wave, "start").status_code == 302
    assert only_wave().status is WaveStatus.RUNNING


def test_a_letter_of_thanks_is_no_text_for_a_reminder(app: Flask, sign_in):
    campaign = factories.make_campaign()
    factories.make_template(subject="感谢", body="((单位名称))捐赠的((本次捐款))已到账。捐赠自愿。")
    shown = factories.make_template()
    page = sign_in(Role.STAFF).get(f"/c/{campaign.code}/waves/new")
    choices = re.findall(r'<option[^>]* value="(\d+)"', page.text)
    assert str(shown.id) in choices
    assert str(shown.id - 1) not in choices


BEFORE_HOLIDAYS = ("2026-04-03", "2026-06-18", "2026-09-30")


@pytest.mark.parametrize("day", BEFORE_HOLIDAYS)
def test_a_wave_of_the_evening_before_a_holiday_goes_out_after_it(app: Flask, sign_in, day: str):
    with time_machine.travel(f"{day}T17:31:00+08:00", tick=False) as now:
        open_sending()
        keep_office_hours()
        fake_channel.install(app)
        campaign = make_campaign(code="2026", starts_on=date(2026, 3, 1))
        make_solicitation(campaign)
        staff, boss = sign_in(Role.STAFF), sign_in(Role.SECRETARY_GENERAL)
        data = {"name": "节前提醒", "sectors": "all", "start": "now"}
        data["template_version_id"] = make_template().id
        staff.post("/c/2026/waves/new", data=data)
        wave = only_wave()
        post(staff, wave, "submit")
        assert "消息将在" in boss.get(f"/c/2026/waves/{wave.id}").text
        post(boss, wave, "approve")
        services.start_due_waves()
        db.session.commit()
        now.move_to(queries.sending_state(clock.now()).opens_at)
        outbox.reap(clock.now())
        db.session.commit()
        delivery.drain()
        waves.finish_waves()
        db.session.commit()
        assert db.session.scalars(sa.select(Message.status)).all() == [MessageStatus.SENT]


def test_a_wave_that_can_only_expire_is_neither_submitted_nor_approved_nor_promised(
    campaign: Campaign, sign_in
):
    make_solicitation(campaign)
    with time_machine.travel("2026-09-30T17:00:00+08:00", tick=False) as now:
        keep_office_hours()
        wave = make_wave(campaign)  # until 10-03
        services.submit_wave(wave, by=make_user())
        db.session.commit()
        now.shift(timedelta(minutes=40))
        staff, boss = sign_in(Role.STAFF), sign_in(Role.SECRETARY_GENERAL)
        page = boss.get(f"/c/2026/waves/{wave.id}").text
        assert "按现在的安排，一条也发不出去" in page
        assert "10-08 08:30 才开始，已在最迟发送时间 10-03 17:00 之后" in page
        assert "消息将在" not in page
        answer = post(boss, wave, "approve")
        assert answer.status_code == 422
        assert "请把最迟发送日改到10月8日或以后" in answer.text
        services.return_wave(wave, reason="改日期")
        db.session.commit()
        answer = post(staff, wave, "submit")
        assert answer.status_code == 422
        assert "请把最迟发送日改到10月8日或以后" in answer.text


def test_a_wave_is_not_submitted_for_days_of_which_nobody_knows_whether_offices_work(
    campaign: Campaign, sign_in
):
    make_solicitation(campaign)
    with time_machine.travel("2026-12-31T18:00:00+08:00", tick=False):
        keep_office_hours()
        staff = sign_in(Role.STAFF)
        wave = make_wave(campaign)
        answer = post(staff, wave, "submit")
        assert answer.status_code == 422
        assert "尚未确认2027年的节假日安排" in answer.text


def test_a_message_that_will_expire_is_not_said_to_go_out(campaign: Campaign, sign_in):
    make_solicitation(campaign)
    with time_machine.travel("2026-09-30T17:00:00+08:00", tick=False) as now:
        keep_office_hours()
        wave = make_approved(campaign)
        services.start_wave(wave)
        db.session.commit()
        now.shift(timedelta(minutes=40))
        message = db.session.scalars(sa.select(Message)).one()
        state = queries.sending_state(clock.now())
        assert "到时过期，不会发出" in queries.explain(message, state)
        client = sign_in()
        for path in (f"/messages/{message.id}", f"/c/2026/waves/{wave.id}"):
            page = client.get(path).text
            assert "到时过期，不会发出" in page
            assert "消息将在" not in page


def test_an_approved_wave_that_can_only_expire_is_held(campaign: Campaign):
    make_solicitation(campaign)
    with time_machine.travel("2026-09-30T17:00:00+08:00", tick=False) as now:
        keep_office_hours()
        wave = make_approved(campaign)
        now.shift(timedelta(minutes=40))
        services.start_due_waves()
        assert wave.status is WaveStatus.HELD
        assert "不会发出" in wave.paused_because


def test_no_reminder_is_submitted_approved_or_started_after_the_last_day_of_the_campaign(
    campaign: Campaign, sign_in
):
    make_solicitation(campaign)
    submitted, approved = make_wave(campaign), make_approved(campaign)
    services.submit_wave(submitted, by=make_user())
    campaign.ends_on = clock.today() - timedelta(days=1)
    db.session.commit()
    says = "活动10月19日截止，之后不再发提醒。要继续提醒，请先延长活动的结束日期"
    staff, boss = sign_in(Role.STAFF), sign_in(Role.SECRETARY_GENERAL)
    page = boss.get(f"/c/2026/waves/{submitted.id}").text
    assert says in page
    assert "立即发出" not in page
    assert says in post(boss, submitted, "approve").text
    assert says in post(staff, make_wave(campaign), "submit").text
    services.start_due_waves()
    assert approved.status is WaveStatus.HELD
    assert says in approved.paused_because


def test_a_reminder_for_after_the_last_day_is_not_submitted_before_it(campaign: Campaign, sign_in):
    make_solicitation(campaign)
    campaign.ends_on = clock.today()
    tomorrow = clock.now() + timedelta(days=1)
    wave = make_wave(campaign, starts_at=tomorrow, not_after=tomorrow + timedelta(days=1))
    assert "活动10月20日截止" in post(sign_in(), wave, "submit").text
    assert post(sign_in(), make_wave(campaign), "submit").status_code == 302
