"""A text message of which nobody knows whether it was accepted: its provider is asked."""

from datetime import timedelta

import pytest
from flask import Flask

from outreach import clock
from outreach.db import db
from outreach.messages import delivery, inquiries, outbox
from outreach.messages.models import Channel, FailureKind, Message, MessageStatus
from outreach.messages.outbox import Decision
from tests.factories import make_message, open_sending
from tests.sms_office import local_provider
from tests.sms_server import CLOSES_AFTER_READING, says
from tests.sms_server import SmsServer as Server

S = MessageStatus
PHONE = "13812345678"


def make_unknown(app: Flask) -> Message:
    """A message that the provider took without saying so."""
    open_sending()
    message = make_message(channel=Channel.SMS, address=PHONE, body_text="通知")
    message.provider_template = "SMS_1"
    db.session.commit()
    delivery.drain()
    db.session.refresh(message)
    assert message.status is S.UNKNOWN
    return message


def ask(minutes: int, tuesday_morning) -> int:
    tuesday_morning.shift(timedelta(minutes=minutes))
    cleared = inquiries.ask_due()
    db.session.expire_all()
    return cleared


def questions(server: Server) -> int:
    return sum(call.action != "SendSms" for call in server.calls)


@pytest.mark.parametrize(
    ("provider", "phone", "said", "status"),
    [
        ("aliyun", PHONE, 3, S.DELIVERED),
        ("aliyun", PHONE, 2, S.FAILED),
        ("tencent", f"+86{PHONE}", "SUCCESS", S.DELIVERED),
        ("tencent", f"+86{PHONE}", "FAIL", S.FAILED),
    ],
)
def test_a_definite_answer_clears_it_up(
    app: Flask, tuesday_morning, provider: str, phone: str, said, status: MessageStatus
):
    with local_provider(app, provider, CLOSES_AFTER_READING) as server:
        message = make_unknown(app)
        server.fates = {f"{message.id}.0": (phone, said)}
        assert ask(1, tuesday_morning) == 0
        assert ask(1, tuesday_morning) == 1
        assert message.status is status
        assert message.failure is (FailureKind.BOUNCED if status is S.FAILED else None)
        assert ask(60, tuesday_morning) == 0
    assert questions(server) == 1
    assert len(server.messages) == 1


def test_it_is_asked_three_times_and_no_proof_changes_nothing(app: Flask, tuesday_morning):
    with local_provider(app, "aliyun", CLOSES_AFTER_READING) as server:
        message = make_unknown(app)
        asked = []
        for minutes in (1, 1, 1, 7, 1, 18, 1, 1, 60):
            ask(minutes, tuesday_morning)
            asked.append(questions(server))
    assert asked == [0, 1, 1, 2, 2, 2, 3, 3, 3]
    assert (message.status, message.inquiries) == (S.UNKNOWN, 3)


def test_an_unreadable_answer_stops_the_round_and_changes_nothing(app: Flask, tuesday_morning):
    script = [CLOSES_AFTER_READING, says(503, b"")]
    with local_provider(app, "aliyun", *script) as server:
        message = make_unknown(app)
        server.fates = {f"{message.id}.0": (PHONE, 3)}
        ask(2, tuesday_morning)
        assert (message.status, message.inquiries) == (S.UNKNOWN, 1)
        ask(8, tuesday_morning)
    assert message.status is S.DELIVERED


def test_no_transaction_is_open_while_the_provider_is_asked(
    app: Flask, tuesday_morning, monkeypatch: pytest.MonkeyPatch
):
    with local_provider(app, "aliyun", CLOSES_AFTER_READING):
        make_unknown(app)
        channel = app.extensions["outreach.sms_channel"]
        seen = []

        def look(_question):
            seen.append(db.session().in_transaction())

        monkeypatch.setattr(channel, "ask", look)
        ask(2, tuesday_morning)
    assert seen == [False]


def test_what_a_person_has_sent_again_is_asked_about_anew(app: Flask, tuesday_morning):
    script = [CLOSES_AFTER_READING]
    with local_provider(app, "aliyun", *script) as server:
        message = make_unknown(app)
        ask(2, tuesday_morning)
        outbox.settle_unknown(message, Decision.RESEND, clock.now())
        db.session.commit()
        server.script.append(CLOSES_AFTER_READING)
        delivery.drain()
        db.session.refresh(message)
        assert (message.status, message.inquiries) == (S.UNKNOWN, 0)
        server.fates = {f"{message.id}.0": (PHONE, 2), f"{message.id}.1": (PHONE, 3)}
        ask(2, tuesday_morning)
    assert message.status is S.DELIVERED


def test_e_mail_is_not_asked_about(app: Flask, tuesday_morning):
    open_sending()
    message = make_message()
    claim = outbox.claim(clock.now())
    outbox.begin(claim.token, claim.ids, clock.now())
    db.session.commit()
    tuesday_morning.shift(timedelta(hours=1))
    outbox.reap(clock.now())
    db.session.commit()
    with local_provider(app, "aliyun") as server:
        ask(10, tuesday_morning)
    assert server.calls == []
    assert message.inquiries == 0


def test_the_task_tells_how_many_were_cleared_up(app: Flask, tuesday_morning):
    from tasks.inquiries import inquire

    with local_provider(app, "aliyun", CLOSES_AFTER_READING) as server:
        message = make_unknown(app)
        server.fates = {f"{message.id}.0": (PHONE, 3)}
        tuesday_morning.shift(timedelta(minutes=2))
        assert inquire.run() == "查明了 1 条短信的结果"
        assert inquire.run() == ""
