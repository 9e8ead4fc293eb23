"""Rates and the day's budget for text messages: kept, and closed where they are missing."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from unittest import mock

import hypothesis.strategies as st
import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import example, given

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
    WecomRobot,
)
from tests import fake_channel
from tests.factories import make_message, make_robot, make_running_wave, open_sending, save

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


def take_posts(
    robot: WecomRobot,
    rate: SendingRate,
    now: datetime,
    wanted: list[int],
    *,
    is_busy: bool = False,
) -> list[int]:
    """Which of these messages, each with so many posts, its bucket gives at this moment; `is_busy`:
    some are on their way."""
    robots = {robot.address: robot}
    with mock.patch.object(rates, "_on_their_way", return_value=set(robots) if is_busy else set()):
        rates._fill_robots(robots, rates.posts_per_minute(rate), now)
    allowance = rates.Allowance({(Channel.WECOM, ""): rate}, robots, 0, now)
    rows = [(at, Channel.WECOM, robot.address, posts) for at, posts in enumerate(wanted)]
    over = allowance.take(rows)
    return [posts for at, posts in enumerate(wanted) if at not in over]


posts_of_messages = st.lists(st.integers(1, 10) | st.integers(1, 30), max_size=30)
pauses = st.sampled_from([0, 1, 29, 30, 31, 59, 60, 61]) | st.floats(0, 200)


@given(
    per_minute=st.none() | st.integers(1, 20) | st.integers(21, 600),
    visits=st.lists(st.tuples(pauses, posts_of_messages), min_size=2, max_size=40),
    set_back=st.lists(st.sampled_from([0, 0, 0, 0.01, 5, 60, 7200, 86_400]), max_size=40),
)
def test_no_sixty_seconds_see_more_than_twenty_posts_of_a_robot(per_minute, visits, set_back):
    """Whatever is taken when, and however often the clock is set back meanwhile. A message with
    more posts than a minute has goes all the same, and alone."""
    robot = WecomRobot(id=1, tokens=0.0, tokens_at=None)
    rate = SendingRate(per_minute=per_minute)
    seconds = behind = 0.0
    taken: list[tuple[float, int]] = []
    for visit, (pause, wanted) in enumerate(visits):
        seconds += pause
        behind += set_back[visit] if visit < len(set_back) else 0
        now = START + timedelta(seconds=seconds) - timedelta(seconds=behind)
        taken += [(seconds, posts) for posts in take_posts(robot, rate, now, wanted)]
    for first, (since, _posts) in enumerate(taken):
        # A thousandth: datetimes are kept to the microsecond.
        posts = [count for at, count in taken[first:] if at < since + 60 - 0.001]
        assert sum(posts) <= min(per_minute or 20, 20) or len(posts) == 1


@given(
    skew=st.sampled_from([1, 30, 59, 60, 61, 300, 7200]),
    visits=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 10)), min_size=10, max_size=60),
)
@example(skew=300, visits=[(1, 0), (0, 1)] * 10)
def test_two_clocks_give_a_robot_two_minutes_worth_at_most(skew, visits):
    """Where the clocks of two machines differ the limit cannot be kept to the second, but however
    often the two take turns they give one minute's worth more at most."""
    robot = WecomRobot(id=1, tokens=0.0, tokens_at=None)
    rate = SendingRate(per_minute=20)
    taken: list[tuple[int, int]] = []
    ended: list[datetime] = []  # by the clock of the machine
    seconds = 0
    for machine, pause in visits:
        seconds += pause
        now = START + timedelta(seconds=seconds + skew * machine)
        is_busy = any(now - rates.MINUTE < at <= now for at in ended)
        posts = take_posts(robot, rate, now, [1] * 30, is_busy=is_busy)
        ended += [now for _post in posts]
        taken.append((seconds, sum(posts)))
    for since, _posts in taken:
        assert sum(posts for at, posts in taken if since <= at < since + 60) <= 40


@pytest.mark.parametrize("ahead", [timedelta(minutes=5), timedelta(days=1), timedelta(days=400)])
def test_a_clock_that_was_ahead_stops_a_robot_for_a_minute(ahead: timedelta):
    robot = WecomRobot(id=1, tokens=0.0, tokens_at=None)
    rate = SendingRate(per_minute=20)
    assert len(take_posts(robot, rate, START + ahead, [1] * 30)) == 20
    assert take_posts(robot, rate, START, [1]) == []
    assert take_posts(robot, rate, START + timedelta(seconds=59), [1]) == []
    assert len(take_posts(robot, rate, START + timedelta(seconds=60), [1] * 30)) == 20


def test_a_message_of_more_posts_than_a_minute_has_goes_alone():
    robot = WecomRobot(id=1, tokens=0.0, tokens_at=None)
    rate = SendingRate(per_minute=20)
    assert take_posts(robot, rate, START, [1, 25, 19]) == [1, 19]
    assert take_posts(robot, rate, START + timedelta(seconds=59), [25]) == []
    assert take_posts(robot, rate, START + timedelta(seconds=60), [25, 1]) == [25]
    assert take_posts(robot, rate, START + timedelta(seconds=119), [1]) == []
    assert take_posts(robot, rate, START + timedelta(seconds=120), [1]) == [1]


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


def test_a_post_of_unknown_outcome_does_not_keep_its_group_waiting(app: Flask, tuesday_morning):
    """Its worker has died; the row keeps its token so that a late answer still counts."""
    open_sending()
    db.session.execute(sa.update(SendingRate).values(per_minute=20))
    robot = make_robot()
    lost = make_message(channel=Channel.WECOM, address=robot.address)
    channel = fake_channel.FakeChannel()
    app.extensions["outreach.channels"] = {Channel.WECOM: channel.open}
    claim = outbox.claim(clock.now())
    outbox.begin(claim.token, claim.ids, clock.now())
    db.session.commit()
    tuesday_morning.shift(timedelta(minutes=20))
    outbox.reap(clock.now())
    for _ in range(25):
        make_message(channel=Channel.WECOM, address=robot.address)
    for _ in range(3):
        delivery.drain()
        tuesday_morning.shift(timedelta(minutes=2))
    assert (lost.status, lost.token is None) == (MessageStatus.UNKNOWN, False)
    assert sum(channel.taken.values()) == 25
