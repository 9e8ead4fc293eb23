from datetime import datetime, time, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from outreach import clock
from outreach.access import Role
from outreach.audit import AuditEvent
from outreach.db import db
from outreach.errors import Refused
from outreach.messages import delivery, instance, queries, services, waves
from outreach.messages.channels import accepted, unknown
from outreach.messages.models import (
    Channel,
    Message,
    MessageStatus,
    Purpose,
    SendingRate,
    SendingWindow,
    SendPolicy,
    Wave,
    WaveStatus,
    WindowDays,
)
from tests import fake_channel
from tests.factories import (
    make_contact,
    make_gift,
    make_message,
    make_robot,
    make_running_wave,
    make_solicitation,
    make_unit,
    open_sending,
    save,
)


def make_unknown(app: Flask) -> Message:
    open_sending()
    make_running_wave(1)
    fake_channel.install(app, lambda _message: unknown("connection lost"))
    delivery.drain()
    waves.finish_waves()
    db.session.commit()
    return db.session.scalars(sa.select(Message)).one()


def resolve(client, message: Message, decision: str, reason: str = "电话问过", resend_no: int = 0):
    return client.post(
        f"/messages/{message.id}/resolve",
        data={"decision": decision, "reason": reason, "resend_no": resend_no},
    )


def test_messages_are_listed_with_masked_addresses_and_the_reason_for_those_withheld(
    app: Flask, sign_in
):
    open_sending()
    given = make_solicitation(unit=make_unit(name="衡阳市财政局"))
    make_contact(given.unit, name="王联络", email="wang@finance.example")
    db.session.refresh(given.unit)
    make_running_wave(solicitations=[given])
    make_gift(given, 3_000_000)
    fake_channel.install(app)
    delivery.drain()
    page = sign_in(Role.STAFF).get("/messages").text
    assert "w***@finance.example" in page
    assert "wang@finance.example" not in page
    assert "衡阳市财政局" in page
    assert "已到账 3.00 万元，10-20" in page


def test_messages_are_found_by_status_unit_and_wave(app: Flask, sign_in):
    first, second = make_solicitation(), make_solicitation()
    make_running_wave(solicitations=[first])
    wave = make_running_wave(solicitations=[second])
    client = sign_in(Role.AUDITOR)
    names = {s.unit.name: s for s in (first, second)}
    for query in (f"unit={second.unit_id}", f"wave={wave.id}", f"status=queued&wave={wave.id}"):
        page = client.get(f"/messages?{query}").text
        assert [name for name in names if name in page] == [second.unit.name]
    assert "没有符合条件" in client.get("/messages?status=sent").text
    assert client.get("/messages?status=nonsense&wave=x").status_code == 200


def test_those_that_wait_for_a_person_come_first_with_a_warning(app: Flask, sign_in):
    message = make_unknown(app)
    make_message(recipient_name="后来的")
    page = sign_in(Role.STAFF).get("/messages").text
    assert "1 条消息结果不明" in page
    assert page.index(message.recipient_name) < page.index("后来的")


def test_sending_an_unknown_message_again_takes_a_reason_and_is_audited(app: Flask, sign_in):
    message = make_unknown(app)
    client = sign_in(Role.STAFF)
    assert resolve(client, message, "resend", reason="").status_code == 422
    assert resolve(client, message, "resend").status_code == 302
    db.session.expire_all()
    assert message.status is MessageStatus.QUEUED
    assert db.session.scalars(sa.select(Wave.status)).one() is WaveStatus.RUNNING
    event = db.session.scalars(sa.select(AuditEvent).filter_by(action="resend.message")).one()
    assert event.facts == {"reason": "电话问过"}
    assert app.extensions["woken"] == ["deliver"]
    channel = fake_channel.install(app, lambda _message: accepted())
    delivery.drain()
    assert dict(channel.taken) == {(message.id, 1): 1}


@pytest.mark.parametrize(
    ("decision", "status"),
    [("sent", MessageStatus.SENT), ("cancel", MessageStatus.CANCELLED)],
)
def test_an_unknown_message_can_be_settled_without_sending(
    app: Flask, sign_in, decision: str, status: MessageStatus
):
    message = make_unknown(app)
    assert resolve(sign_in(Role.STAFF), message, decision).status_code == 302
    db.session.expire_all()
    assert message.status is status
    assert delivery.drain() == 0


def test_two_people_cannot_both_have_it_sent_again(app: Flask, sign_in):
    message = make_unknown(app)
    resolve(sign_in(Role.STAFF), message, "resend")
    delivery.drain()  # unknown once more
    answer = resolve(sign_in(Role.STAFF), message, "resend", resend_no=0)
    assert answer.status_code == 409
    assert resolve(sign_in(Role.STAFF), message, "resend", resend_no=1).status_code == 302


def test_a_message_of_a_cancelled_wave_is_not_sent_again(app: Flask, sign_in):
    message = make_unknown(app)
    db.session.scalars(sa.select(Wave)).one().status = WaveStatus.CANCELLED
    db.session.commit()
    assert resolve(sign_in(Role.STAFF), message, "resend").status_code == 422


def test_an_expired_message_is_not_sent_again(app: Flask, sign_in, tuesday_morning):
    message = make_unknown(app)
    tuesday_morning.shift(timedelta(days=3))
    assert resolve(sign_in(Role.STAFF), message, "resend").status_code == 422


def test_auditors_read_a_message_but_do_not_settle_it(app: Flask, sign_in):
    message = make_unknown(app)
    client = sign_in(Role.AUDITOR)
    page = client.get(f"/messages/{message.id}").text
    assert message.body_text in page
    assert "记录结果" not in page
    assert resolve(client, message, "sent").status_code == 403


def test_the_link_in_an_account_message_is_not_shown(app: Flask, sign_in):
    message = make_message(purpose=Purpose.ACCOUNT, body_text="https://x.example/invite/7")
    client = sign_in(Role.STAFF)
    assert "invite/7" not in client.get(f"/messages/{message.id}").text
    assert "invite/7" not in client.get("/messages").text


def test_the_switch_starts_off_and_says_who_changed_it(app: Flask, sign_in):
    client = sign_in(Role.SECRETARY_GENERAL)
    assert "发送尚未开通" in client.get("/messages/sending").text
    client.post("/messages/sending/switch", data={"is_on": "on"})
    policy = db.session.get(SendPolicy, 1)
    assert policy.is_on
    assert app.extensions["woken"] == ["deliver"]
    page = client.get("/messages/sending").text
    assert "10-20 10:00 由人员" in page
    assert "没有设置发送时段" in page
    client.post("/messages/sending/switch", data={"is_on": "off"})
    db.session.expire_all()
    assert not policy.is_on
    assert "发送总开关已关闭" in client.get("/messages").text


def test_caps_are_kept_within_reason(app: Flask, sign_in):
    client = sign_in(Role.SECRETARY_GENERAL)
    caps = {
        "contact_cap": 1,
        "contact_cap_days": 14,
        "unit_cap": 2,
        "unit_gap_days": 5,
        "sms_daily_budget": 90,
        "sms_price_fen": "0.04",
    }
    assert client.post("/messages/sending", data=caps | {"unit_cap": -1}).status_code == 422
    assert client.post("/messages/sending", data=caps | {"unit_gap_days": 31}).status_code == 422
    assert client.post("/messages/sending", data=caps).status_code == 302
    policy = db.session.get(SendPolicy, 1)
    assert (policy.contact_cap, policy.contact_cap_days, policy.unit_cap) == (1, 14, 2)
    assert policy.unit_gap_days == 5
    assert (policy.sms_daily_budget, policy.sms_price_fen) == (90, 4)
    assert not policy.is_on


WINDOW = {
    "days": "workdays",
    "opens_at": "08:30",
    "closes_at": "17:30",
    "season_from": "01-01",
    "season_to": "12-31",
}


def test_windows_are_added_changed_and_deleted_by_administrators(app: Flask, sign_in):
    client = sign_in(Role.ADMINISTRATOR)
    assert client.post("/messages/sending/windows/new", data=WINDOW).status_code == 302
    window = db.session.scalars(sa.select(SendingWindow)).one()
    assert (window.days, window.opens_at) == (WindowDays.WORKDAYS, time(8, 30))
    path = f"/messages/sending/windows/{window.id}"
    assert client.post(path, data=WINDOW | {"closes_at": "08:00"}).status_code == 422
    assert client.post(path, data=WINDOW | {"season_from": "13-01"}).status_code == 422
    assert client.post(path, data=WINDOW | {"days": "never"}).status_code == 422
    assert client.post(path, data=WINDOW | {"season_from": "05-01"}).status_code == 302
    db.session.expire_all()
    assert window.season_from == "05-01"
    client.post(path, data={"delete": "1"})
    assert db.session.scalars(sa.select(SendingWindow)).all() == []
    assert sign_in(Role.SECRETARY_GENERAL).get(path).status_code == 403


@pytest.mark.parametrize(
    ("hours", "field", "remedy"),
    [
        ({"opens_at": "00:00", "closes_at": "23:59"}, "“开始时间”落在静默时间内", "08:00 到 21:00"),
        ({"opens_at": "07:59"}, "“开始时间”落在静默时间内", "08:00 到 21:00"),
        ({"opens_at": "21:00", "closes_at": "22:00"}, "“开始时间”落在静默时间内", "08:00 到 21:00"),
        ({"closes_at": "21:01"}, "“结束时间”落在静默时间内", "不晚于 21:00"),
    ],
)
@pytest.mark.parametrize("days", ["workdays", "every_day"])
def test_quiet_hours_are_refused(app: Flask, sign_in, days: str, hours, field: str, remedy: str):
    client = sign_in(Role.ADMINISTRATOR)
    data = WINDOW | {"days": days} | hours
    answer = client.post("/messages/sending/windows/new", data=data)
    assert answer.status_code == 422
    assert field in answer.text
    assert remedy in answer.text
    assert db.session.scalars(sa.select(SendingWindow)).all() == []


def test_quiet_hours_are_refused_whoever_asks(app: Flask):
    with pytest.raises(Refused, match="静默时间"):
        services.save_window(
            None,
            days=WindowDays.WORKDAYS,
            opens_at=time(8),
            closes_at=time(21, 0, 1),
            season_from="01-01",
            season_to="12-31",
        )


def test_hours_may_reach_to_the_quiet_ones_and_every_day_is_warned_of(app: Flask, sign_in):
    client = sign_in(Role.ADMINISTRATOR)
    whole = WINDOW | {"opens_at": "08:00", "closes_at": "21:00"}
    assert client.post("/messages/sending/windows/new", data=whole).status_code == 302
    assert "周末和节假日也会发出" not in client.get("/messages/sending").text
    data = whole | {"days": "every_day"}
    assert client.post("/messages/sending/windows/new", data=data).status_code == 302
    assert client.get("/messages/sending").text.count("周末和节假日也会发出") == 1


def test_the_local_outbox_shows_what_was_sent(app: Flask, sign_in):
    open_sending()
    make_message(subject="本周周报", body_text="各位领导:\n本周到账 3 万元。")
    assert delivery.drain() == 1
    client = sign_in(Role.ADMINISTRATOR)
    assert "本周周报" in client.get("/messages/local-outbox").text
    name = next((app.extensions["outreach.settings"].data_dir / "outbox").iterdir()).name
    assert "本周到账 3 万元" in client.get(f"/messages/local-outbox?file={name}").text
    assert client.get("/messages/local-outbox?file=../test.db").status_code == 404


# Whether anything may go out now


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+08:00")


@pytest.fixture
def office_hours(app: Flask) -> None:
    policy = SendPolicy(
        id=1,
        is_on=True,
        contact_cap=2,
        contact_cap_days=7,
        unit_cap=3,
        unit_gap_days=0,
        epoch=0,
        changed_at=clock.now(),
    )
    instance.adopt(policy)
    save(policy)
    save(SendingRate(channel=Channel.EMAIL, per_minute=None))
    save(SendingWindow(days=WindowDays.WORKDAYS, opens_at=time(9), closes_at=time(17)))


@pytest.mark.parametrize(
    ("moment", "opens"),
    [
        ("2026-10-20T09:00", "now"),
        ("2026-10-20T08:59", "2026-10-20T09:00"),
        ("2026-10-20T17:00", "2026-10-21T09:00"),
        ("2026-10-24T10:00", "2026-10-26T09:00"),  # Saturday
        ("2026-10-10T10:00", "now"),  # Saturday, a make-up day
        ("2026-10-01T10:00", "2026-10-08T09:00"),  # National Day
        ("2026-12-31T10:00", "now"),
        ("2026-12-31T18:00", None),  # 2027 is not known
    ],
)
def test_office_hours_follow_holidays_and_make_up_days(
    office_hours, moment: str, opens: str | None
):
    state = queries.sending_state(at(moment))
    assert state.is_open == (opens == "now")
    assert state.opens_at == (at(opens) if opens and opens != "now" else None)
    assert bool(state.reason) == (opens != "now")


def test_an_unknown_year_is_named(office_hours):
    assert "2027" in str(queries.sending_state(at("2027-01-04T10:00")).reason)


def test_hours_of_every_day_do_not_need_a_calendar(office_hours):
    save(SendingWindow(days=WindowDays.EVERY_DAY, opens_at=time(10), closes_at=time(11)))
    assert queries.sending_state(at("2027-01-04T10:30")).is_open
    assert not queries.sending_state(at("2027-01-04T11:30")).is_open


def test_a_season_may_go_over_new_year(app: Flask, office_hours):
    window = db.session.scalars(sa.select(SendingWindow)).one()
    window.season_from, window.season_to = "11-01", "03-31"
    db.session.commit()
    assert queries.sending_state(at("2026-11-02T10:00")).is_open
    assert queries.sending_state(at("2026-02-02T10:00")).is_open
    assert not queries.sending_state(at("2026-10-20T10:00")).is_open


def test_outside_the_hours_only_accounts_and_tests_are_served(
    app: Flask, office_hours, tuesday_morning
):
    tuesday_morning.move_to(at("2026-10-24T10:00"))
    wanted = [make_message(purpose=purpose) for purpose in Purpose]
    channel = fake_channel.install(app)
    delivery.drain()
    db.session.expire_all()
    assert {m.purpose for m in wanted if m.status is MessageStatus.SENT} == {
        Purpose.ACCOUNT,
        Purpose.TEST,
    }
    assert len(channel.taken) == 2


def write_abroad(app: Flask) -> None:
    """Has mail leave the machine."""
    settings = app.extensions["outreach.settings"]
    changed = settings.model_copy(update={"mail_server": "mail.example.gov.cn"})
    app.extensions["outreach.settings"] = changed


@pytest.mark.parametrize(
    ("moment", "opens"),
    [
        ("2026-10-20T07:59", "2026-10-20T08:00"),
        ("2026-10-20T08:00", "now"),
        ("2026-10-20T20:59", "now"),
        ("2026-10-20T21:00", "2026-10-21T08:00"),
        ("2026-10-20T23:30", "2026-10-21T08:00"),
        ("2026-10-21T00:30", "2026-10-21T08:00"),
    ],
)
@pytest.mark.parametrize("days", WindowDays)
def test_a_window_that_was_written_past_the_page_is_cut_to_the_day(
    app: Flask, office_hours, days: WindowDays, moment: str, opens: str
):
    write_abroad(app)
    db.session.execute(
        sa.update(SendingWindow).values(days=days, opens_at=time(0), closes_at=time(23, 59, 59))
    )
    db.session.commit()
    state = queries.sending_state(at(moment))
    assert state.is_open == (opens == "now")
    assert state.opens_at == (None if opens == "now" else at(opens))


def test_a_window_of_the_night_never_opens(app: Flask, office_hours, sign_in, tuesday_morning):
    write_abroad(app)
    db.session.execute(sa.update(SendingWindow).values(opens_at=time(21), closes_at=time(23)))
    db.session.commit()
    for moment in ("2026-10-20T22:00", "2026-10-20T10:00"):
        state = queries.sending_state(at(moment))
        assert not state.is_open
        assert "近期没有可用的发送时段" in str(state.reason)
    assert "这一段不会发出" in sign_in(Role.ADMINISTRATOR).get("/messages/sending").text
    tuesday_morning.move_to(at("2026-10-20T22:00"))
    reminder, account = (make_message(purpose=p) for p in (Purpose.REMINDER, Purpose.ACCOUNT))
    fake_channel.install(app)
    delivery.drain()
    db.session.expire_all()
    assert reminder.status is MessageStatus.QUEUED
    assert account.status is MessageStatus.SENT, "somebody waits for it"


def test_at_night_goes_only_what_stays_on_the_machine(app: Flask):
    """So that the demonstration can be looked at in the evening."""
    open_sending()
    night = at("2026-10-20T22:00")
    assert queries.sending_state(night).is_open
    robot = make_robot()
    assert not queries.sending_state(night).is_open, "a group is elsewhere"
    robot.is_on = False
    db.session.commit()
    assert queries.sending_state(night).is_open
    write_abroad(app)
    assert not queries.sending_state(night).is_open


def test_without_a_policy_nothing_is_sent(app: Flask):
    make_message(purpose=Purpose.ACCOUNT)
    channel = fake_channel.install(app)
    assert delivery.drain() == 0
    assert not channel.taken
