"""Robots of WeCom groups: their pages, what groups are told, and that the key stays secret."""

import http.client
import json
import logging
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from outreach import audit, clock
from outreach.access import Role
from outreach.audit import AuditEvent
from outreach.campaigns.models import Campaign, CampaignStatus, SectorLineage
from outreach.db import db
from outreach.digests.services import build_digest
from outreach.errors import Refused
from outreach.messages import delivery, outbox, rates, robots
from outreach.messages.channels import Verdict, wecom
from outreach.messages.models import (
    Channel,
    FailureKind,
    Message,
    MessageStatus,
    Purpose,
    SendingRate,
    SendingWindow,
    SendPolicy,
    WecomRobot,
)
from outreach.messages.queries import explain, sending_state
from tasks.delivery import deliver
from tests import factories
from tests.conftest import SignIn
from tests.services import PATIENCE
from tests.wecom_server import DROP, NO_ROBOT, TOO_FAST, Post, RobotServer

KEY = "693a91f6-7xxx-4bc4-97a0-0ec2sifa5aaa"
ADDRESS = f"https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={KEY}"
WAN = 1_000_000
TUESDAY = date(2026, 10, 20)


@pytest.fixture
def campaign(app: Flask) -> Campaign:
    before = factories.make_campaign(starts_on=date(2025, 9, 1), ends_on=date(2025, 12, 31))
    return factories.make_campaign(code="2026", previous_id=before.id)


@pytest.fixture
def server(app: Flask) -> Iterator[RobotServer]:
    """Where the application's WeCom channel posts to."""
    with RobotServer() as server:
        factories.open_sending()
        connect(app, server)
        yield server


def connect(app: Flask, server: RobotServer) -> None:
    channel = wecom.GroupRobots(server.url, robots.read_keys, timeout=PATIENCE)
    app.extensions["outreach.channels"] = {Channel.WECOM: channel.open}


def messages() -> list[Message]:
    db.session.rollback()
    return list(
        db.session.scalars(sa.select(Message).filter_by(channel=Channel.WECOM).order_by(Message.id))
    )


def build(campaign: Campaign) -> None:
    build_digest(campaign, TUESDAY)
    db.session.commit()


def robot() -> WecomRobot:
    return db.session.scalars(sa.select(WecomRobot)).one()


def set_rate(per_minute: int | None) -> None:
    rate = db.session.scalars(sa.select(SendingRate).filter_by(channel=Channel.WECOM)).one()
    rate.per_minute = per_minute
    db.session.commit()


def make_sector(campaign: Campaign, *, given: int, previous_fen: int = 0, open_units: int = 0):
    """A sector in which `given` units have given 2 万 each, and `open_units` nothing."""
    sector = factories.make_sector(campaign)
    for _ in range(given):
        gift = factories.make_solicitation(campaign, sector)
        factories.make_gift(gift, 2 * WAN, received_on=date(2026, 10, 13))
    for _ in range(open_units):
        factories.make_solicitation(campaign, sector)
    if previous_fen:
        old = factories.make_sector(campaign.previous)
        factories.save(SectorLineage(sector_id=sector.id, predecessor_id=old.id))
        unit = factories.make_solicitation(campaign.previous, old)
        factories.make_gift(unit, previous_fen, received_on=date(2025, 9, 10))
    return sector


def group_of(sector) -> WecomRobot:
    return factories.make_robot(campaign_id=sector.campaign_id, sector_id=sector.id)


# Pages


def test_a_robot_is_added_with_the_address_that_wecom_shows(app: Flask, sign_in: SignIn):
    client = sign_in(Role.ADMINISTRATOR)
    assert "还没有企业微信群" in client.get("/settings/robots").text
    data = {"name": "总会工作群", "group": ":", "key": f" {ADDRESS} ", "is_on": "y"}
    page = client.post("/settings/robots/new", data=data, follow_redirects=True).text
    assert "总会工作群（所有活动）" in page
    assert "还没有发过" in page
    assert (robot().key, robot().campaign_id, robot().sector_id) == (KEY, None, None)


def test_a_robot_of_a_sector_belongs_to_its_campaign(campaign: Campaign, sign_in: SignIn):
    sector = factories.make_sector(campaign, name="金融系统")
    client = sign_in(Role.ADMINISTRATOR)
    data = {"name": "金融群", "group": f"{campaign.id}:{sector.id}", "key": KEY, "is_on": "y"}
    page = client.post("/settings/robots/new", data=data, follow_redirects=True).text
    assert "金融系统" in page
    assert (robot().campaign_id, robot().sector_id) == (campaign.id, sector.id)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "请填写群名称"),
        ({"key": ""}, "请粘贴群机器人的 Webhook 地址"),
        ({"key": "短"}, "密钥不对"),
        ({"key": "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key="}, "密钥不对"),
        ({"group": "7:7"}, "invalid-feedback"),
        ({"name": "已有的群"}, "请换一个名称"),
    ],
)
def test_a_robot_that_cannot_be_right_is_refused_at_the_field(
    app: Flask, sign_in: SignIn, change: dict, message: str
):
    factories.make_robot(name="已有的群")
    data = {"name": "总会工作群", "group": ":", "key": KEY, "is_on": "y"}
    page = sign_in(Role.ADMINISTRATOR).post("/settings/robots/new", data=data | change).text
    assert message in page
    assert robot().name == "已有的群"


def test_sectors_of_a_closed_campaign_are_offered_only_where_they_are_chosen_already(
    campaign: Campaign, sign_in: SignIn
):
    sector = factories.make_sector(campaign, name="金融系统")
    chosen = group_of(sector)
    campaign.status = CampaignStatus.CLOSED
    db.session.commit()
    client = sign_in(Role.ADMINISTRATOR)
    assert "金融系统" not in client.get("/settings/robots/new").text
    assert "金融系统" in client.get(f"/settings/robots/{chosen.id}").text


def test_a_key_is_kept_unless_another_is_typed_and_never_shown(app: Flask, sign_in: SignIn):
    chosen = factories.make_robot(key=KEY)
    client = sign_in(Role.ADMINISTRATOR)
    page = f"/settings/robots/{chosen.id}"
    shown = client.get(page).text
    assert "已设置" in shown
    assert KEY not in shown
    client.post(page, data={"name": "新名", "group": ":", "key": ""})
    assert (robot().name, robot().key, robot().is_on) == ("新名", KEY, False)
    client.post(page, data={"name": "新名", "group": ":", "key": KEY[::-1], "is_on": "y"})
    assert robot().key == KEY[::-1]
    facts = [event.facts for event in db.session.scalars(sa.select(AuditEvent))]
    assert [fact["is_key_new"] for fact in facts] == [False, True]


def test_one_robot_in_two_rows_is_refused_while_both_are_on(app: Flask, sign_in: SignIn):
    """Each row has a bucket, and the provider counts them together."""
    last_year = factories.make_robot(name="去年的群", key=KEY)
    client = sign_in(Role.ADMINISTRATOR)
    data = {"name": "总会工作群", "group": ":", "key": KEY, "is_on": "y"}
    assert "已用于“去年的群”" in client.post("/settings/robots/new", data=data).text
    last_year.is_on = False
    db.session.commit()
    assert client.post("/settings/robots/new", data=data).status_code == 302
    page = f"/settings/robots/{last_year.id}"
    again = {"name": "去年的群", "group": ":", "key": "", "is_on": "y"}
    assert "已用于“总会工作群”" in client.post(page, data=again).text
    assert client.post(page, data=again | {"key": KEY[::-1]}).status_code == 302


def test_a_test_message_shows_whether_the_group_can_be_reached(
    app: Flask, server: RobotServer, sign_in: SignIn
):
    chosen = factories.make_robot(name="总会工作群", key=KEY)
    client = sign_in(Role.ADMINISTRATOR)
    assert client.post(f"/settings/robots/{chosen.id}/test").status_code == 302
    assert app.extensions["woken"] == ["deliver"]
    delivery.drain()
    assert server.posts == [
        Post(KEY, "markdown", "**测试消息**\n看到这条消息，说明“总会工作群”已经接通。")
    ]
    page = client.get("/settings/robots").text
    assert "已发出" in page
    assert "测试 10-20 10:00" in page


def test_a_key_that_is_not_valid_is_told_with_what_to_do(
    app: Flask, server: RobotServer, sign_in: SignIn
):
    robots.queue_test(factories.make_robot())
    db.session.commit()
    server.script = [NO_ROBOT]
    delivery.drain()
    assert "请更换密钥（93000" in sign_in(Role.ADMINISTRATOR).get("/settings/robots").text


def test_a_second_click_within_the_minute_sends_nothing(
    app: Flask, server: RobotServer, sign_in: SignIn, tuesday_morning
):
    chosen = factories.make_robot()
    client = sign_in(Role.ADMINISTRATOR)
    client.post(f"/settings/robots/{chosen.id}/test")
    answer = client.post(f"/settings/robots/{chosen.id}/test")
    assert (answer.status_code, len(messages())) == (422, 1)
    tuesday_morning.shift(timedelta(minutes=1))
    assert client.post(f"/settings/robots/{chosen.id}/test").status_code == 302


def test_a_robot_that_is_off_is_not_tested(app: Flask):
    with pytest.raises(Refused, match="已停用"):
        robots.queue_test(factories.make_robot(is_on=False))


@pytest.mark.parametrize(
    ("moment", "when"),
    [("2026-10-20T22:00", "10-21 08:00"), ("2026-10-21T07:59", "10-21 08:00")],
)
def test_a_group_is_not_tested_while_people_sleep(
    app: Flask, server: RobotServer, sign_in: SignIn, tuesday_morning, moment: str, when: str
):
    chosen = factories.make_robot()
    tuesday_morning.move_to(f"{moment}:00+08:00")
    answer = sign_in(Role.ADMINISTRATOR).post(f"/settings/robots/{chosen.id}/test")
    assert (answer.status_code, messages()) == (422, [])
    assert f"请在 {when} 之后再发" in answer.text


def test_a_group_is_tested_in_the_hours_only(app: Flask, server: RobotServer):
    chosen = factories.make_robot()
    db.session.execute(sa.delete(SendingWindow))
    db.session.commit()
    with pytest.raises(Refused, match="没有设置发送时段"):
        robots.queue_test(chosen)
    db.session.get_one(SendPolicy, 1).is_on = False
    with pytest.raises(Refused, match="总开关已关闭"):
        robots.queue_test(chosen)


def test_a_test_of_a_group_that_comes_too_late_for_the_day_is_not_sent_at_night(
    app: Flask, server: RobotServer, tuesday_morning
):
    tuesday_morning.move_to("2026-10-20T20:59:50+08:00")
    for _ in range(2):
        robots.queue_test(factories.make_robot())
    db.session.commit()
    claim = outbox.claim(clock.now(), limit=1)
    tuesday_morning.move_to("2026-10-20T21:00:10+08:00")
    assert not outbox.begin(claim.token, claim.ids, clock.now()).messages
    outbox.release(claim.token, claim.ids, of=MessageStatus.QUEUED)
    db.session.commit()
    delivery.drain()
    assert server.posts == []
    waiting = messages()
    assert {message.status for message in waiting} == {MessageStatus.QUEUED}
    assert "到时过期，不会发出" in explain(waiting[0], sending_state(clock.now()))


def test_a_robot_that_was_deleted_gets_nothing_and_its_number_does_not_come_back(
    app: Flask, server: RobotServer, sign_in: SignIn
):
    chosen = factories.make_robot()
    robots.queue_test(chosen)
    db.session.commit()
    assert (
        sign_in(Role.ADMINISTRATOR).post(f"/settings/robots/{chosen.id}/delete").status_code == 302
    )
    later = factories.make_robot()
    delivery.drain()
    (message,) = messages()
    assert (message.status, message.failure) == (MessageStatus.FAILED, FailureKind.REJECTED)
    assert "已删除" in message.facts["answer"]
    assert message.address != later.address
    assert server.requests == 0


def test_messages_to_groups_are_listed_by_the_name_of_the_group(
    app: Flask, server: RobotServer, sign_in: SignIn
):
    robots.queue_test(factories.make_robot(name="总会工作群"))
    db.session.commit()
    client = sign_in(Role.STAFF)
    page = client.get("/messages?channel=wecom").text
    (message,) = messages()
    for text in (page, client.get(f"/messages/{message.id}").text):
        assert "总会工作群" in text
        assert "群机器人" in text
        assert message.address not in text


def test_what_a_group_may_have_got_in_part_says_so_to_whoever_decides(
    app: Flask, server: RobotServer, sign_in: SignIn
):
    server.script = [None, 500]
    chosen = factories.make_robot()
    factories.make_message(
        channel=Channel.WECOM, address=chosen.address, body_text="\n".join(["字" * 1000] * 2)
    )
    delivery.drain()
    (message,) = messages()
    assert message.status is MessageStatus.UNKNOWN
    assert "前 1 段已发出" in sign_in(Role.STAFF).get(f"/messages/{message.id}").text
    assert server.requests == 2


def test_only_people_are_offered_templates_and_opt_outs(app: Flask, sign_in: SignIn):
    client = sign_in(Role.ADMINISTRATOR)
    assert 'value="wecom"' not in client.get("/messages/templates/new").text
    contact = factories.make_contact(factories.make_unit())
    answer = client.post(f"/units/contacts/{contact.id}/opt-out", data={"channel": "wecom"})
    assert answer.status_code == 422


def test_the_rate_of_groups_is_set_for_each_and_has_no_domain(app: Flask, sign_in: SignIn):
    factories.open_sending()
    set_rate(20)
    client = sign_in(Role.ADMINISTRATOR)
    assert "每个群每分钟最多 20 条" in client.get("/messages/sending").text
    data = {"channel": "wecom", "domain": "robot.example", "per_minute": "5"}
    assert client.post("/messages/sending/rates", data=data).status_code == 422


@pytest.mark.parametrize("wanted", ["21", "600", ""])
def test_groups_cannot_be_given_more_than_wecom_takes(app: Flask, sign_in: SignIn, wanted: str):
    factories.open_sending()
    set_rate(5)
    client = sign_in(Role.ADMINISTRATOR)
    data = {"channel": "wecom", "domain": "", "per_minute": wanted}
    answer = client.post("/messages/sending/rates", data=data)
    assert answer.status_code == 422
    assert "企业微信规定每个群机器人每分钟最多发 20 条" in answer.text
    assert client.post("/messages/sending/rates", data=data | {"per_minute": "20"}).location
    assert "每个群每分钟最多 20 条" in client.get("/messages/sending").text
    assert client.post("/messages/sending/rates", data=data | {"delete": "1"}).location
    assert "每个群每分钟最多" not in client.get("/messages/sending").text


# What groups are told


def test_a_digest_goes_to_the_secretariats_groups_and_to_those_of_sectors(
    app: Flask, campaign: Campaign, server: RobotServer
):
    sector = make_sector(campaign, given=3, previous_fen=5 * WAN, open_units=1)
    other = factories.make_campaign()
    everywhere = factories.make_robot(name="总会工作群")
    here = factories.make_robot(name="本年工作群", campaign_id=campaign.id)
    factories.make_robot(name="停用的群", is_on=False)
    factories.make_robot(name="别的活动的群", campaign_id=other.id)
    group_of(factories.make_sector(other))
    theirs = group_of(sector)
    build(campaign)
    build(campaign)

    delivery.drain()

    assert [message.status for message in messages()] == [MessageStatus.SENT] * 3
    contents = {post.key: post.content for post in server.posts}
    keys = {robot.key: robot for robot in (everywhere, here, theirs)}
    assert set(contents) == set(keys)
    digest = contents[everywhere.key]
    assert digest == contents[here.key]
    assert "**到账总额 6.00 万元**" in digest
    assert "1 个板块中上升 1 个，下降 0 个，持平 0 个" in digest
    assert "没有等待处理的事项" in digest
    assert "(http://127.0.0.1:8000/c/2026/digests/1)" in digest
    note = contents[theirs.key]
    assert "已有 **3** 家单位完成捐赠，感谢" in note
    assert "本板块到账合计 **6.00 万元**" in note
    assert "上年度全年 5.00 万元，目前为上年度的 120.0%" in note
    assert "按上年度同期进度为 5.00 万元，高出 1.00 万元" in note


def test_a_digest_is_queued_once_for_each_group(campaign: Campaign):
    factories.make_robot()
    build(campaign)
    build(campaign)
    (message,) = messages()
    assert (message.purpose, message.segments) == (Purpose.DIGEST, 1)


@pytest.mark.parametrize(("given", "has_note", "has_sum"), [(0, False, False), (2, True, False)])
def test_a_sum_that_would_tell_what_one_unit_gave_is_left_out(
    campaign: Campaign, given: int, has_note: bool, has_sum: bool
):
    group_of(make_sector(campaign, given=given, previous_fen=5 * WAN, open_units=2))
    build(campaign)
    texts = [message.body_text for message in messages()]
    assert bool(texts) == has_note
    assert any("万元" in text for text in texts) == has_sum


def test_no_unit_is_named_to_any_group(campaign: Campaign):
    """Neither those that gave nor those that did not, nor how many did not."""
    sector = make_sector(campaign, given=4, previous_fen=5 * WAN, open_units=7)
    group_of(sector)
    factories.make_robot()
    build(campaign)
    texts = "\n".join(f"{message.subject}\n{message.body_text}" for message in messages())
    assert len(messages()) == 2
    rows = db.session.execute(sa.text("SELECT name, short_name FROM unit")).all()
    assert len(rows) == 12
    assert [name for row in rows for name in row if name in texts] == []
    note = next(message.body_text for message in messages() if "感谢" in message.body_text)
    assert not any(word in note for word in ("7 家", "11 家", "未捐", "待劝募", "排名", "滞后"))


def test_names_that_wecom_would_read_as_markup_are_plain(campaign: Campaign):
    campaign.name = "活动<@all>"
    sector = make_sector(campaign, given=1)
    sector.name = "[板块](http://evil.example)"
    group_of(sector)
    factories.make_robot()
    build(campaign)
    assert len(messages()) == 2
    for message in messages():
        assert "<@all>" not in message.body_text
        assert "[板块]" not in message.body_text


def test_the_longest_digest_is_one_post(campaign: Campaign):
    for _ in range(30):
        make_sector(campaign, given=1, previous_fen=50 * WAN)
    db.session.execute(sa.text("UPDATE sector SET name = name || :more"), {"more": "系统" * 25})
    factories.make_robot()
    build(campaign)
    (message,) = messages()
    assert "等 30 个" in message.body_text
    assert message.segments == 1


# Rates and troubles


def test_each_robot_gets_twenty_a_minute_and_waits_for_no_other(
    app: Flask, server: RobotServer, tuesday_morning
):
    server.per_minute = 20
    set_rate(20)
    busy, quiet = factories.make_robot(), factories.make_robot()
    for chosen, count in ((busy, 50), (quiet, 5)):
        for _ in range(count):
            factories.make_message(channel=Channel.WECOM, address=chosen.address)
    counts = []
    for _ in range(3):
        delivery.drain()
        counts.append(dict(Counter(post.key for post in server.posts)))
        server.new_minute()
        tuesday_morning.shift(timedelta(minutes=1))
    assert counts == [
        {busy.key: 20, quiet.key: 5},
        {busy.key: 40, quiet.key: 5},
        {busy.key: 50, quiet.key: 5},
    ]
    assert {message.attempts for message in messages()} == {1}, "none was refused for its pace"


def test_a_message_in_parts_takes_as_much_of_the_rate_as_it_has_posts(
    app: Flask, server: RobotServer, tuesday_morning
):
    server.per_minute = 5
    set_rate(5)
    chosen = factories.make_robot()
    for parts in (2, 2, 2, 7):
        text = "\n".join(["字" * 1000] * parts)
        factories.make_message(channel=Channel.WECOM, address=chosen.address, body_text=text)
    assert [message.segments for message in messages()] == [2, 2, 2, 7]
    assert delivery.drain() == 2
    tuesday_morning.shift(timedelta(minutes=1))
    server.new_minute()
    assert delivery.drain() == 1
    server.per_minute = None
    tuesday_morning.shift(timedelta(minutes=1))
    assert delivery.drain() == 1, "a message beyond the rate goes when the bucket is full"


@pytest.mark.parametrize("set_to", [20, 600, None])
def test_no_minute_sees_more_posts_of_a_robot_than_wecom_takes(
    app: Flask, server: RobotServer, tuesday_morning, set_to: int | None
):
    """Also where a rate of more was set before there was a limit."""
    set_rate(set_to)
    chosen = factories.make_robot()
    for _ in range(70):
        factories.make_message(channel=Channel.WECOM, address=chosen.address)
    sent = []
    for _ in range(50):
        sent.append(delivery.drain())
        tuesday_morning.shift(timedelta(seconds=5))
    assert max(sum(sent[at : at + 12]) for at in range(len(sent))) == 20
    assert sum(sent) == 70


def test_what_was_claimed_long_ago_counts_from_when_it_went_out(
    app: Flask, server: RobotServer, tuesday_morning
):
    """A worker that is held up posts late what it has claimed; another must not add to that."""
    set_rate(20)
    chosen = factories.make_robot()
    for _ in range(30):
        factories.make_message(channel=Channel.WECOM, address=chosen.address)
    slow = outbox.claim(clock.now())
    db.session.commit()
    assert len(slow.ids) == 20
    tuesday_morning.shift(timedelta(seconds=90))
    assert delivery.drain() == 0, "twenty are still to go"
    with wecom.GroupRobots(server.url, robots.read_keys).open() as sender:
        assert delivery.deliver_batch(slow, {Channel.WECOM: sender}) == 20
    tuesday_morning.shift(timedelta(seconds=59))
    assert delivery.drain() == 0
    tuesday_morning.shift(timedelta(seconds=1))
    assert delivery.drain() == 10


def test_a_restored_database_gives_a_robot_nothing_for_a_minute(
    app: Flask, server: RobotServer, tuesday_morning
):
    set_rate(20)
    chosen = factories.make_robot()
    factories.make_message(channel=Channel.WECOM, address=chosen.address)
    rates.empty(clock.now())
    db.session.commit()
    tuesday_morning.shift(timedelta(seconds=59))
    assert delivery.drain() == 0
    tuesday_morning.shift(timedelta(seconds=1))
    assert delivery.drain() == 1


def test_a_group_without_a_rate_gets_nothing(app: Flask, server: RobotServer):
    db.session.execute(sa.delete(SendingRate).where(SendingRate.channel == Channel.WECOM))
    db.session.commit()
    factories.make_message(channel=Channel.WECOM, address=factories.make_robot().address)
    assert delivery.drain() == 0


def test_a_bucket_is_looked_at_by_robot_and_not_by_channel(app: Flask):
    factories.open_sending()
    set_rate(1)
    first, second = factories.make_robot(), factories.make_robot()
    allowance = rates.fill(clock.now())
    taken = [
        (1, Channel.WECOM, first.address, 1),
        (2, Channel.WECOM, first.address, 1),
        (3, Channel.WECOM, second.address, 1),
        (4, Channel.WECOM, "robot:999", 1),
    ]
    assert allowance.take(taken) == {2}


def test_a_provider_that_says_too_fast_is_asked_again_later(
    app: Flask, server: RobotServer, tuesday_morning
):
    server.script = [TOO_FAST]
    factories.make_message(channel=Channel.WECOM, address=factories.make_robot().address)
    delivery.drain()
    (message,) = messages()
    assert (message.status, message.facts["verdict"]) == (MessageStatus.QUEUED, "retry")
    tuesday_morning.shift(timedelta(minutes=2))
    delivery.drain()
    assert [row.status for row in messages()] == [MessageStatus.SENT]


def test_a_robot_that_left_its_group_stops_nobody_else(app: Flask, server: RobotServer):
    gone, here = factories.make_robot(), factories.make_robot()
    server.keys = {here.key}
    for _ in range(4):
        factories.make_message(channel=Channel.WECOM, address=gone.address)
    factories.make_message(channel=Channel.WECOM, address=here.address)
    wave = factories.make_running_wave(1)
    delivery.drain()
    assert {(row.address, row.status, row.facts.get("verdict")) for row in messages()} == {
        (gone.address, MessageStatus.QUEUED, Verdict.MISCONFIGURED.value),
        (here.address, MessageStatus.SENT, None),
    }
    db.session.refresh(wave)
    assert wave.status.value == "running"


def test_a_read_of_the_keys_that_fails_leaves_nothing_unknown(app: Flask, server: RobotServer):
    def fail() -> dict[str, str]:
        raise sa.exc.OperationalError("SELECT", {}, Exception("gone"))

    channel = wecom.GroupRobots(server.url, fail)
    app.extensions["outreach.channels"] = {Channel.WECOM: channel.open}
    chosen = factories.make_robot()
    for _ in range(2):
        factories.make_message(channel=Channel.WECOM, address=chosen.address)
    with pytest.raises(sa.exc.OperationalError):
        delivery.drain()
    assert {(row.status, row.attempts) for row in messages()} == {(MessageStatus.QUEUED, 0)}


# The key


def test_the_key_is_nowhere_but_in_its_row(
    app: Flask,
    campaign: Campaign,
    server: RobotServer,
    sign_in: SignIn,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    """After it was typed, sent with, refused, lost on the way, and after a crash."""
    caplog.set_level(logging.DEBUG)
    client = sign_in(Role.ADMINISTRATOR)
    make_sector(campaign, given=3, open_units=1)
    data = {"name": "总会工作群", "group": ":", "key": ADDRESS, "is_on": "y"}
    pages = [
        client.post("/settings/robots/new", data=data | {"name": ""}).text,
        client.post("/settings/robots/new", data=data, follow_redirects=True).text,
    ]
    chosen = robot()
    build(campaign)
    robots.queue_test(chosen)
    for _ in range(3):
        factories.make_message(channel=Channel.WECOM, address=chosen.address)
    server.script = [None, NO_ROBOT, DROP, {"errcode": 40058, "errmsg": f"no {KEY}"}]
    deliver()
    factories.make_message(channel=Channel.WECOM, address=chosen.address)
    monkeypatch.setattr(http.client.HTTPConnection, "getresponse", crash)
    with pytest.raises(ZeroDivisionError) as crashed:
        deliver()
    logging.getLogger("outreach.test").error("crashed", exc_info=crashed.value)
    assert {message.status for message in messages()} >= {
        MessageStatus.SENT,
        MessageStatus.QUEUED,
        MessageStatus.UNKNOWN,
        MessageStatus.FAILED,
    }

    pages += [client.get(f"/messages/{message.id}").text for message in messages()]
    pages += [
        client.get(path).text
        for path in (
            "/settings/robots",
            f"/settings/robots/{chosen.id}",
            "/messages",
            "/messages/sending",
            "/settings/audit",
            "/settings/timetable",
        )
    ]
    client.post(f"/settings/robots/{chosen.id}/delete")

    assert len([post for post in server.posts if post.key == KEY]) >= 2, "it was used"
    kept = "".join([*pages, caplog.text, dump_database()])
    assert "总会工作群" in kept
    assert KEY not in kept
    assert audit.find_tampering() is None


def crash(_connection: http.client.HTTPConnection) -> None:
    raise ZeroDivisionError


def dump_database() -> str:
    """Every row of every table, in the state that a copy of it would have."""
    db.session.rollback()
    rows = {
        name: [list(row) for row in db.session.execute(sa.select(table))]
        for name, table in db.metadata.tables.items()
    }
    return json.dumps(rows, default=str, ensure_ascii=False)
