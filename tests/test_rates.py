"""Rates and the day's budget for text messages: kept, and closed where they are missing."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import given

from outreach import clock
from outreach.access import Role
from outreach.db import db
from outreach.messages import delivery, outbox, rates, services
from outreach.messages.models import (
    Channel,
    Message,
    MessageStatus,
    SendingRate,
    SendPolicy,
)
from tests import fake_channel
from tests.factories import make_message, make_running_wave, open_sending, save

START = datetime(2026, 10, 20, 2, 0, tzinfo=UTC)


def set_rate(per_minute: int | None, channel: Channel = Channel.EMAIL, domain: str = "") -> None:
    row = db.session.scalars(
        sa.select(SendingRate).filter_by(channel=channel, domain=domain)
    ).one_or_none() or SendingRate(channel=channel, domain=domain)
    row.per_minute = per_minute
    save(row)


def queue(count: int, domain: str = "office.example", **values) -> None:
    for number in range(count):
        make_message(address=f"p{number}.{clock.now():%H%M%S%f}@{domain}", **values)


def test_no_minute_sees_more_than_its_rate(app: Flask, tuesday_morning):
    """A sweep each half minute for ten minutes; the bucket holds one minute's worth."""
    open_sending()
    set_rate(30)
    fake_channel.install(app)
    queue(200)
    sent: Counter[int] = Counter()
    for half_minute in range(20):
        sent[half_minute] = delivery.drain()
        tuesday_morning.shift(timedelta(seconds=30))
    assert all(sent[at] + sent[at + 1] <= 45 for at in range(1, 18))
    assert sum(sent.values()) == 200
    assert sent[0] == 30
    assert sum(sent[at] for at in range(10)) >= 160, "as fast as the rate allows"


def test_a_domain_has_a_rate_of_its_own(app: Flask):
    open_sending()
    set_rate(2, domain="qq.com")
    channel = fake_channel.install(app)
    queue(5, "qq.com")
    queue(5, "163.com")
    delivery.drain()
    domains = Counter(
        row.domain for row in db.session.query(Message).filter_by(status=MessageStatus.SENT)
    )
    assert domains == {"qq.com": 2, "163.com": 5}
    assert len(channel.taken) == 7
    waiting = db.session.query(Message).filter_by(status=MessageStatus.QUEUED).all()
    assert {(row.attempts, row.token) for row in waiting} == {(0, None)}


def test_a_channel_without_a_rate_sends_nothing(app: Flask):
    open_sending()
    db.session.execute(sa.delete(SendingRate).where(SendingRate.channel == Channel.EMAIL))
    db.session.commit()
    fake_channel.install(app)
    make_message()
    assert delivery.drain() == 0


def test_one_channel_does_not_wait_for_the_other(app: Flask):
    open_sending()
    set_rate(1)
    channel = fake_channel.install(app)
    queue(5)
    make_message(channel=Channel.SMS, address="13800001234")
    delivery.drain()
    assert len(channel.taken) == 2


def test_a_clock_that_is_set_back_gives_nothing_away(app: Flask, tuesday_morning):
    open_sending()
    set_rate(5)
    fake_channel.install(app)
    queue(20)
    assert delivery.drain() == 5
    tuesday_morning.shift(-timedelta(hours=2))
    db.session.execute(sa.update(Message).values(next_at=clock.now()))
    db.session.commit()
    assert delivery.drain() == 0


@given(
    per_minute=st.integers(1, 600),
    skew=st.sampled_from([0, 1, 5, 59, 61, 300, 599, 601, 7200, 86_400]) | st.integers(0, 200_000),
    visits=st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 40), st.integers(0, 700)),
        min_size=2,
        max_size=60,
    ),
)
def test_two_machines_whose_clocks_differ_keep_the_rate_together(per_minute, skew, visits):
    """Beside what the minute and the full bucket give, a clock that is ahead is worth one bucket
    at most, and that once, however often the two take turns."""
    rate = SendingRate(per_minute=per_minute, tokens=0.0, tokens_at=None)
    seconds = 0
    taken: list[tuple[int, int]] = []
    for machine, pause, wanted in visits:
        seconds += pause
        rates._fill(rate, per_minute, START + timedelta(seconds=seconds + skew * machine))
        count = min(wanted, max(int(rate.tokens), 0))
        rate.tokens -= count
        taken.append((seconds, count))
    ahead = min(skew / 60, 1.0)
    for first, (since, _count) in enumerate(taken):
        for last in range(first, len(taken)):
            minutes = (taken[last][0] - since) / 60
            total = sum(count for _at, count in taken[first : last + 1])
            assert total <= per_minute * (1 + minutes + ahead) + 1e-6


@pytest.mark.parametrize("ahead", [timedelta(minutes=5), timedelta(days=1), timedelta(days=400)])
def test_a_clock_that_was_ahead_stops_a_channel_for_minutes_only(ahead: timedelta):
    rate = SendingRate(per_minute=6, tokens=0.0, tokens_at=None)
    rates._fill(rate, 6, START)
    rates._fill(rate, 6, START + ahead)
    rate.tokens -= 6  # it sends what it may, and is set right
    rates._fill(rate, 6, START)
    assert rate.tokens < 0
    for seconds in range(0, 11 * 60 + 1, 30):
        rates._fill(rate, 6, START + timedelta(seconds=seconds))
    assert rate.tokens == pytest.approx(6)


def sms(count: int, text: str = "您好。") -> None:
    for number in range(count):
        make_message(channel=Channel.SMS, address=f"1380000{number:04}", body_text=text, subject="")


@pytest.mark.parametrize(("length", "expected"), [(10, 4), (100, 2), (400, 0)])
def test_the_budget_counts_segments(app: Flask, length: int, expected: int):
    open_sending()
    db.session.get(SendPolicy, 1).sms_daily_budget = 4
    fake_channel.install(app)
    sms(6, "好" * length)
    assert delivery.drain() == expected


def test_the_budget_is_new_each_day_of_shanghai(app: Flask, tuesday_morning):
    open_sending()
    db.session.get(SendPolicy, 1).sms_daily_budget = 2
    fake_channel.install(app)
    sms(5)
    assert delivery.drain() == 2
    assert rates.sms_used(clock.now()) == 2
    tuesday_morning.shift(timedelta(hours=13))  # 23:00
    assert delivery.drain() == 0
    tuesday_morning.shift(timedelta(hours=2))
    assert delivery.drain() == 2


def test_what_may_have_gone_out_is_counted(app: Flask):
    open_sending()
    db.session.get(SendPolicy, 1).sms_daily_budget = 1
    sms(2)
    first = outbox.claim(clock.now())
    outbox.begin(first.token, first.ids, clock.now())
    db.session.commit()
    assert len(first.ids) == 1
    assert outbox.claim(clock.now()) is None


def test_what_another_worker_has_in_hand_is_counted(app: Flask):
    open_sending()
    db.session.get(SendPolicy, 1).sms_daily_budget = 2
    sms(4)
    assert len(outbox.claim(clock.now()).ids) == 2
    db.session.commit()
    assert outbox.claim(clock.now()) is None


def test_without_a_budget_no_text_message_goes_out(app: Flask):
    open_sending()
    db.session.get(SendPolicy, 1).sms_daily_budget = 0
    fake_channel.install(app)
    sms(1)
    make_message()
    assert delivery.drain() == 1


def test_the_canary_of_a_wave_gets_its_turn_at_a_slow_rate(app: Flask, tuesday_morning):
    open_sending()
    set_rate(4)
    fake_channel.install(app)
    make_running_wave(14)
    counts = []
    for _ in range(6):
        counts.append(delivery.drain())
        tuesday_morning.shift(timedelta(minutes=1))
    assert sum(counts) == 14


def test_rates_are_set_in_the_browser(sign_in):
    open_sending()
    client = sign_in(Role.ADMINISTRATOR)
    page = "/messages/sending/rates"

    def post(**data) -> int:
        return client.post(page, data={"channel": "email", "domain": "", **data}).status_code

    assert post(domain="QQ.com ", per_minute="20") == 302
    assert "qq.com" in client.get("/messages/sending").text
    assert post(per_minute="30") == 302
    assert post(domain="not a domain", per_minute="5") == 422
    assert post(channel="sms", domain="qq.com", per_minute="5") == 422
    assert post(per_minute="0") == 422
    found = {(row.channel, row.domain): row.per_minute for row in db.session.query(SendingRate)}
    assert found[Channel.EMAIL, "qq.com"] == 20
    assert found[Channel.EMAIL, ""] == 30
    assert post(domain="qq.com", delete="1") == 302
    assert post(domain="qq.com", delete="1") == 404
    assert sign_in(Role.SECRETARY_GENERAL).post(page).status_code == 403


def test_the_switch_works_from_the_command_line(app: Flask):
    open_sending()
    command = app.test_cli_runner().invoke
    assert command(args=["sending", "status"]).exit_code == 0
    assert command(args=["sending", "off"]).exit_code == 0
    status = command(args=["sending", "status", "--json"])
    assert (status.exit_code, json.loads(status.output)["is_on"]) == (1, False)
    assert command(args=["sending", "on"]).exit_code == 0
    assert command(args=["sending", "status"]).exit_code == 0


def test_a_restored_database_gives_no_second_bucket(app: Flask, tuesday_morning):
    """What was taken since the copy was made is not known."""
    open_sending()
    set_rate(2)
    db.session.get(SendPolicy, 1).instance_id = "another"
    db.session.get(SendPolicy, 1).epoch = 7
    services.switch_sending(is_on=True)
    make_message()
    db.session.commit()
    assert outbox.claim(clock.now()) is None
    tuesday_morning.shift(timedelta(minutes=1))
    assert outbox.claim(clock.now()) is not None
