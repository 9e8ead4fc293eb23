"""Receipts: in any order, twice or early, the end is the same."""

from datetime import timedelta

import hypothesis.strategies as st
import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings

from outreach import clock
from outreach.db import db
from outreach.messages import delivery, outbox, queries, receipts
from outreach.messages.channels import Outcome, accepted, rejected, retry, unknown
from outreach.messages.models import (
    DeliveryReceipt,
    FailureKind,
    Message,
    MessageStatus,
    ReceiptKind,
    Wave,
    WaveStatus,
)
from outreach.messages.outbox import Decision
from outreach.messages.receipts import Report
from tests import fake_channel
from tests.copies import clear
from tests.factories import make_message, make_running_wave, open_sending

S = MessageStatus
K = ReceiptKind


def record(token: str, outcomes: dict[int, Outcome]) -> None:
    outbox.follow_up(outbox.record_outcomes(token, outcomes, clock.now()), clock.now())


def report(message: Message, kind: ReceiptKind, *, resend_no: int = 0, key: str = "") -> Report:
    key = key or f"test:{message.id}.{resend_no}:{kind}"
    return Report(key, message.id, resend_no, kind, "5.1.1 no such user")


def take(*reports: Report) -> int:
    count = receipts.take(reports, clock.now())
    db.session.commit()
    return count


@pytest.fixture
def sent(app: Flask) -> Message:
    open_sending()
    fake_channel.install(app)
    message = make_message()
    delivery.drain()
    assert message.status is S.SENT
    return message


def begin(message: Message) -> str:
    """Brings the message to the point at which its worker knows the outcome and nobody else."""
    claim = outbox.claim(clock.now())
    outbox.begin(claim.token, claim.ids, clock.now())
    db.session.commit()
    return claim.token


def test_what_was_delivered_says_so(sent: Message):
    assert take(report(sent, K.DELIVERED)) == 1
    assert sent.status is S.DELIVERED
    assert clock.now() - sent.delivered_at < timedelta(minutes=1)


def test_what_bounced_failed(sent: Message):
    take(report(sent, K.BOUNCED))
    assert (sent.status, sent.failure) == (S.FAILED, FailureKind.BOUNCED)
    assert queries.explain(sent) == "退信：5.1.1 no such user"


def test_the_same_receipt_twice_counts_once(sent: Message):
    assert take(report(sent, K.DELIVERED), report(sent, K.DELIVERED)) == 1
    assert take(report(sent, K.DELIVERED)) == 0


def test_a_receipt_for_nothing_of_ours_is_left_out(app: Flask):
    assert take(Report("x", 4711, 0, K.DELIVERED)) == 0
    assert db.session.query(DeliveryReceipt).count() == 0


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (accepted(), S.DELIVERED),
        (unknown("lost"), S.DELIVERED),
        (retry("451"), S.CANCELLED),
        (rejected("550"), S.FAILED),
    ],
)
def test_a_receipt_that_comes_before_the_outcome(app: Flask, outcome, expected):
    """A provider that says «not accepted» and «delivered» is not written to again."""
    open_sending()
    message = make_message()
    token = begin(message)
    take(report(message, K.DELIVERED))
    assert message.status is S.SENDING
    record(token, {message.id: outcome})
    db.session.commit()
    assert message.status is expected
    channel = fake_channel.install(app)
    app_time = clock.now() + timedelta(days=1)
    assert outbox.claim(app_time) is None
    assert not channel.taken


def test_a_receipt_for_what_its_worker_lost(app: Flask, tuesday_morning):
    open_sending()
    message = make_message()
    begin(message)
    take(report(message, K.DELIVERED))
    tuesday_morning.shift(timedelta(hours=1))
    outbox.reap(clock.now())
    db.session.commit()
    assert message.status is S.DELIVERED


def test_what_had_arrived_before_it_bounced_is_not_sent_again(app: Flask):
    """A restored database holds it as queued, and the reports of its first sending come in."""
    open_sending()
    message = make_message()
    take(report(message, K.BOUNCED), report(message, K.DELIVERED))
    assert message.status is S.CANCELLED


def test_what_had_arrived_is_not_sent_again(app: Flask):
    open_sending()
    message = make_message()
    channel = fake_channel.install(app, lambda _message: unknown("lost"))
    delivery.drain()
    outbox.settle_unknown(message, Decision.RESEND, clock.now())
    db.session.commit()
    take(report(message, K.DELIVERED, resend_no=0))
    assert message.status is S.CANCELLED
    assert queries.explain(message) == "回执表明前一次已经送达，没有再发。"
    delivery.drain()
    assert not channel.taken


def test_the_bounce_of_an_earlier_sending_says_nothing_of_the_later(app: Flask):
    open_sending()
    message = make_message()
    fake_channel.install(app, lambda _message: unknown("lost"))
    delivery.drain()
    outbox.settle_unknown(message, Decision.RESEND, clock.now())
    db.session.commit()
    fake_channel.install(app)
    take(report(message, K.BOUNCED, resend_no=0))
    delivery.drain()
    db.session.refresh(message)
    assert message.status is S.SENT


def test_a_wave_of_which_much_bounces_pauses(app: Flask):
    open_sending()
    wave = make_running_wave(25)
    fake_channel.install(app)
    delivery.drain()
    db.session.get(Wave, wave.id).status = WaveStatus.RUNNING
    take(*(report(message, K.BOUNCED) for message in db.session.query(Message).limit(2)))
    db.session.expire_all()
    assert db.session.get(Wave, wave.id).status is WaveStatus.PAUSED


EVENTS = ("accept", "delivered", "delivered again", "bounced", "reap")


def happen(event: str, message: Message, token: str) -> None:
    now = clock.now()
    if event == "accept":
        record(token, {message.id: accepted()})
    elif event == "reap":
        outbox.reap(now + timedelta(hours=1))
    else:
        kind = K.BOUNCED if event == "bounced" else K.DELIVERED
        receipts.take([report(message, kind, key=event.removesuffix(" again"))], now)
    db.session.commit()


def test_receipts_in_any_order_end_alike(app: Flask):
    """I13: every subset with the acceptance, in every order."""

    @settings(
        max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(st.sets(st.sampled_from(EVENTS[1:])), st.randoms(use_true_random=False))
    def check(others, random) -> None:
        clear()
        open_sending()
        message = make_message()
        token = begin(message)
        events = sorted({"accept", *others})
        random.shuffle(events)
        for event in events:
            happen(event, message, token)
        db.session.refresh(message)
        has_arrived = others & {"delivered", "delivered again"}
        expected = S.FAILED if "bounced" in others else S.DELIVERED if has_arrived else S.SENT
        assert message.status is expected, events

    check()
