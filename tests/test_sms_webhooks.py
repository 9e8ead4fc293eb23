"""What the provider pushes: deliveries and replies, early, twice, about others, and garbage."""

import json
import logging

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from outreach import clock
from outreach.campaigns.models import Solicitation
from outreach.db import db
from outreach.messages import dead_addresses, delivery, opt_outs, outbox, sms_receipts
from outreach.messages.addresses import hash_address
from outreach.messages.channels import accepted, unknown
from outreach.messages.models import (
    BounceCause,
    Channel,
    DeliveryReceipt,
    EarlyReceipt,
    FailureKind,
    Message,
    MessageStatus,
)
from outreach.todos import services
from outreach.todos.models import Todo, TodoKind, TodoOutcome
from tests import fake_channel
from tests.factories import (
    make_campaign,
    make_message,
    make_solicitation,
    make_user,
    open_sending,
)
from tests.sms_office import SECRET, use_provider

S = MessageStatus
PHONE = "13812345678"


def make_text() -> Message:
    message = make_message(channel=Channel.SMS, address=PHONE, body_text="通知")
    message.provider_template = "SMS_1"
    db.session.commit()
    return message


def begin() -> str:
    claim = outbox.claim(clock.now())
    outbox.begin(claim.token, claim.ids, clock.now())
    db.session.commit()
    return claim.token


def aliyun_report(message: Message, **values) -> dict:
    return {
        "phone_number": PHONE,
        "send_time": "2026-10-20 10:00:00",
        "report_time": "2026-10-20 10:00:05",
        "success": True,
        "err_code": "DELIVERED",
        "err_msg": "用户接收成功",
        "sms_size": "1",
        "biz_id": "900^0",
        "out_id": f"{message.id}.{message.resend_no}",
    } | values


def tencent_report(**values) -> dict:
    return {
        "user_receive_time": "2026-10-20 10:00:05",
        "nationcode": "86",
        "mobile": PHONE,
        "report_status": "SUCCESS",
        "errmsg": "DELIVRD",
        "description": "用户短信送达成功",
        "sid": "5000:77",
    } | values


def push(client: FlaskClient, provider: str, body, what: str = "reports", secret: str = SECRET):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = client.post(
        f"/callbacks/sms/{provider}/{secret}/{what}", data=data, content_type="application/json"
    )
    db.session.expire_all()
    return answer


@pytest.fixture
def sent(app: Flask) -> Message:
    open_sending()
    fake_channel.install(app, lambda _message: accepted("5000:77"))
    message = make_text()
    delivery.drain()
    use_provider(app, "aliyun")
    return message


def test_a_delivery_is_taken_and_answered(client: FlaskClient, sent: Message):
    answer = push(client, "aliyun", [aliyun_report(sent)])
    assert (answer.status_code, answer.json) == (200, {"code": 0, "msg": "成功"})
    assert sent.status is S.DELIVERED


def test_what_could_not_be_delivered_failed(client: FlaskClient, sent: Message):
    push(
        client,
        "aliyun",
        [aliyun_report(sent, success=False, err_code="MK:0001", err_msg=f"{PHONE} 空号")],
    )
    assert (sent.status, sent.failure) == (S.FAILED, FailureKind.BOUNCED)
    assert sent.facts["answer"] == "MK:0001 … 空号"
    assert sent.facts["cause"] == BounceCause.NO_SUCH_ADDRESS
    assert dead_addresses.find(sent.channel, sent.address_hash)


def test_the_same_report_twice_counts_once(client: FlaskClient, sent: Message):
    push(client, "aliyun", [aliyun_report(sent), aliyun_report(sent)])
    push(client, "aliyun", [aliyun_report(sent)])
    assert db.session.query(DeliveryReceipt).count() == 1


def test_a_report_by_number_of_the_provider_is_matched(
    app: Flask, client: FlaskClient, sent: Message
):
    use_provider(app, "tencent")
    answer = push(client, "tencent", [tencent_report()])
    assert answer.json == {"result": 0, "errmsg": "OK"}
    assert sent.status is S.DELIVERED
    push(client, "tencent", [tencent_report()])
    assert db.session.query(DeliveryReceipt).count() == 1
    assert db.session.query(EarlyReceipt).count() == 0


@pytest.mark.parametrize("provider", ["aliyun", "tencent"])
@pytest.mark.parametrize("outcome", [accepted("5000:77"), unknown("lost")])
def test_a_report_may_come_before_the_acceptance_is_written_down(
    app: Flask, client: FlaskClient, provider: str, outcome
):
    open_sending()
    use_provider(app, provider)
    message = make_text()
    token = begin()
    is_aliyun = provider == "aliyun"
    push(client, provider, [aliyun_report(message) if is_aliyun else tencent_report()])
    assert message.status is S.SENDING
    outbox.follow_up(outbox.record_outcomes(token, {message.id: outcome}, now := clock.now()), now)
    db.session.commit()
    sms_receipts.settle_early(clock.now())
    db.session.commit()
    # Tencent does not give our number back: only the acceptance says which message is meant.
    is_known = is_aliyun or outcome.provider_id
    assert message.status is (S.DELIVERED if is_known else S.UNKNOWN)


def test_a_report_that_nothing_waits_for_is_forgotten(
    app: Flask, client: FlaskClient, tuesday_morning
):
    use_provider(app, "tencent")
    push(client, "tencent", [tencent_report()])
    assert db.session.query(EarlyReceipt).count() == 1
    tuesday_morning.shift(2 * 86400)
    sms_receipts.settle_early(clock.now())
    assert db.session.query(EarlyReceipt).count() == 0


@pytest.mark.parametrize(
    "strange",
    [
        {"phone_number": "13900000000"},
        {"out_id": "4711.0", "biz_id": "1^1"},
        {"out_id": "someone-else", "biz_id": "1^1"},
        {"out_id": "", "biz_id": ""},
        {"out_id": "99999999999.0"},
        {"out_id": "9999999999.0"},
    ],
)
def test_a_report_about_something_else_changes_nothing(
    client: FlaskClient, sent: Message, strange: dict
):
    assert push(client, "aliyun", [aliyun_report(sent, **strange)]).status_code == 200
    assert sent.status is S.SENT


@pytest.mark.parametrize(
    ("provider", "secret"),
    [("aliyun", "wrong"), ("aliyun", "秘密"), ("tencent", SECRET), ("other", SECRET)],
)
@pytest.mark.parametrize("what", ["reports", "replies"])
def test_without_the_secret_there_is_nothing_here(
    client: FlaskClient, sent: Message, provider: str, secret: str, what: str
):
    answer = push(client, provider, [aliyun_report(sent)], what, secret)
    assert answer.status_code == 404
    assert sent.status is S.SENT


def test_without_a_secret_in_the_settings_nobody_may_report(
    app: Flask, client: FlaskClient, sent: Message
):
    app.extensions["outreach.settings"].sms_callback_secret = ""
    assert push(client, "aliyun", [aliyun_report(sent)], secret="").status_code == 404
    assert push(client, "aliyun", [aliyun_report(sent)], secret="x").status_code == 404


GARBAGE = [
    b"",
    b"?",
    b"\xff\xfe",
    b"null",
    b"7",
    b'"text"',
    b"{}",
    b"[null, 7, [], {}]",
    b"[" * 100_000,
    b'[{"phone_number": "\\u0000", "success": true, "biz_id": "\\ud800", "out_id": "\\u0000"}]',
    b'[{"phone_number": {}, "success": "yes", "biz_id": 1}]',
    b'[{"nationcode": "86", "mobile": "x", "report_status": "MAYBE", "sid": ""}]',
    b'[{"phone_number": "1", "content": "\\ud800"}]',
]


@pytest.mark.parametrize("body", GARBAGE)
@pytest.mark.parametrize("what", ["reports", "replies"])
@pytest.mark.parametrize("provider", ["aliyun", "tencent"])
def test_garbage_is_skipped(app: Flask, client: FlaskClient, provider: str, what: str, body: bytes):
    use_provider(app, provider)
    assert push(client, provider, body, what).status_code == 200


def test_the_good_ones_among_the_bad_count(
    client: FlaskClient, sent: Message, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING)
    strange = aliyun_report(sent, err_msg="\x00\ud800", out_id="\ud800", biz_id="\x00")
    answer = push(client, "aliyun", [None, {"success": True}, strange, aliyun_report(sent)])
    assert answer.status_code == 200
    assert sent.status is S.DELIVERED
    assert "2 reports of the SMS provider make no sense" in caplog.text
    assert PHONE not in caplog.text


def test_a_push_that_is_too_large_is_not_read(client: FlaskClient, sent: Message):
    report = aliyun_report(sent)
    answer = push(client, "aliyun", [report] * 5000)
    assert answer.status_code == 413
    assert sent.status is S.SENT


@pytest.mark.parametrize(
    ("text", "is_out"), [("TD", True), ("退订", True), ("r", True), ("收到，谢谢", False)]
)
@pytest.mark.parametrize("provider", ["aliyun", "tencent"])
def test_a_reply_can_opt_out(
    app: Flask,
    client: FlaskClient,
    caplog: pytest.LogCaptureFixture,
    provider: str,
    text: str,
    is_out: bool,
):
    caplog.set_level(logging.DEBUG)
    use_provider(app, provider)
    body = (
        [{"phone_number": PHONE, "content": text, "send_time": "", "sequence_id": 1}]
        if provider == "aliyun"
        else {"extend": "", "mobile": PHONE, "nationcode": "86", "sign": "慈善总会", "text": text}
    )
    answer = push(client, provider, body, "replies")
    assert answer.status_code == 200
    found = opt_outs.find(Channel.SMS, hash_address(Channel.SMS, PHONE))
    assert (found is not None) is is_out
    assert PHONE not in caplog.text
    assert text not in caplog.text or len(text) == 1


def reply(client: FlaskClient, *texts: str) -> None:
    entries = [{"phone_number": PHONE, "content": text} for text in texts]
    assert push(client, "aliyun", entries, "replies").status_code == 200


def list_replies() -> list[Todo]:
    return db.session.scalars(sa.select(Todo).order_by(Todo.id)).all()


@pytest.fixture
def units(app: Flask, tuesday_morning) -> list[Solicitation]:
    """Three: a message about the first went to the number, then one about the others."""
    open_sending()
    use_provider(app, "aliyun")
    fake_channel.install(app, lambda _message: accepted("5000:77"))
    campaign = make_campaign()
    found = [make_solicitation(campaign, solicitor_id=make_user().id) for _ in range(3)]
    for ids in ([found[0].id], [found[1].id, found[2].id]):
        make_message(
            channel=Channel.SMS, address=PHONE, body_text="通知", solicitation_ids=tuple(ids)
        ).provider_template = "SMS_1"
        db.session.commit()
        delivery.drain()
        tuesday_morning.shift(3600)
    return found


def test_what_else_is_replied_is_read_by_the_solicitor_the_same_day(
    client: FlaskClient, units: list[Solicitation]
):
    reply(client, "我们已经捐了\u0000\n谢谢")
    todos = list_replies()
    assert [todo.solicitation_id for todo in todos] == [units[1].id, units[2].id]
    assert [todo.owner_id for todo in todos] == [units[1].solicitor_id, units[2].solicitor_id]
    for todo in todos:
        assert (todo.kind, todo.reason) == (TodoKind.REPLY, "“我们已经捐了 谢谢”")
        assert todo.due_on == clock.today()


def test_the_same_reply_twice_is_one_to_do(client: FlaskClient, units: list[Solicitation]):
    reply(client, "收到", "收到")
    reply(client, "收到")
    assert [todo.reason for todo in list_replies()] == ["“收到”"] * 2
    services.settle(list_replies()[0], outcome=TodoOutcome.SETTLED, by=make_user())
    db.session.commit()
    reply(client, "收到")
    assert len(list_replies()) == 2


def test_another_reply_is_a_to_do_of_its_own(client: FlaskClient, units: list[Solicitation]):
    """However long it is, it takes no words away from what was said before it."""
    reply(client, "我们换联络员了", "已" * 300)
    reply(client, "请找王科长")
    said = ["“我们换联络员了”", f"“{'已' * 300}”", "“请找王科长”"]
    for unit in units[1:]:
        theirs = [todo for todo in list_replies() if todo.solicitation_id == unit.id]
        assert [todo.reason for todo in theirs] == said
        assert all(todo.is_open for todo in theirs)


def test_a_reply_that_cannot_be_kept_takes_no_opt_out_with_it(
    app: Flask, client: FlaskClient, units: list[Solicitation], caplog: pytest.LogCaptureFixture
):
    def fail(_message: Message, _words: str) -> None:
        raise ValueError("broken")

    app.extensions["outreach.on_reply"] = [fail]
    reply(client, "收到", "TD")
    assert opt_outs.find(Channel.SMS, hash_address(Channel.SMS, PHONE)) is not None
    assert "is lost" in caplog.text
    assert "收到" not in caplog.text


@pytest.mark.parametrize("text", ["TD", "别发了", "", " \u200b"])
def test_an_opt_out_and_an_empty_reply_are_no_to_do(
    client: FlaskClient, units: list[Solicitation], text: str
):
    reply(client, text)
    assert list_replies() == []


def test_a_message_that_nobody_knows_of_may_have_been_read(
    client: FlaskClient, units: list[Solicitation]
):
    db.session.execute(sa.update(Message).values(status=S.UNKNOWN, sent_at=None))
    db.session.commit()
    reply(client, "收到")
    assert len(list_replies()) == 2


def test_a_reply_to_what_was_about_no_unit_is_told_of_in_the_log(
    client: FlaskClient, sent: Message, caplog: pytest.LogCaptureFixture
):
    reply(client, "我们已经捐了")
    assert list_replies() == []
    [warning] = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert "a reply from a number" in warning.message
    assert PHONE not in caplog.text
    assert "捐" not in caplog.text
