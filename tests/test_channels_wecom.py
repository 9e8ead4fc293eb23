"""The robot of a WeCom group, over a server that speaks its protocol."""

import logging
import socket
import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import config
from outreach.messages.addresses import domain_of, hash_address, normalise_address
from outreach.messages.channels import Outcome, Verdict, wecom
from outreach.messages.models import Channel
from outreach.web import mask
from tests.servers import HANG, patience
from tests.services import PATIENCE
from tests.test_channels_email import make_outgoing
from tests.wecom_server import DROP, DROP_UNREAD, NO_ROBOT, TOO_FAST, Post, RobotServer

V = Verdict
KEY = "693a91f6-7xxx-4bc4-97a0-0ec2sifa5aaa"
ADDRESS = "robot:12"


def deliver(
    endpoint: str, *texts: str, address: str = ADDRESS, timeout: float = PATIENCE
) -> list[Outcome]:
    robots = wecom.GroupRobots(endpoint, lambda: {ADDRESS: KEY}, timeout=timeout)
    messages = [
        make_outgoing(id=number, address=address, body_text=text)
        for number, text in enumerate(texts, 1)
    ]
    with robots.open() as sender:
        return list(sender.deliver(messages))


def test_a_message_is_one_post_of_markdown_to_the_robot_of_its_group():
    with RobotServer(keys={KEY}) as server:
        (outcome,) = deliver(server.url, "# 周报\n**到账** 3 万元")
    assert outcome.verdict is V.ACCEPTED
    assert server.posts == [Post(KEY, "markdown", "# 周报\n**到账** 3 万元")]


@pytest.mark.parametrize(
    ("answer", "verdict", "posts"),
    [
        (TOO_FAST, V.RETRY, 0),
        (429, V.RETRY, 0),
        (NO_ROBOT, V.MISCONFIGURED, 0),
        ({"errcode": 93008, "errmsg": "not in group"}, V.MISCONFIGURED, 0),
        (404, V.MISCONFIGURED, 0),
        (302, V.MISCONFIGURED, 0),
        ({"errcode": 40058, "errmsg": "content exceed max length"}, V.REJECTED, 0),
        ({"errcode": -1, "errmsg": "system busy"}, V.UNKNOWN, 0),
        (500, V.UNKNOWN, 0),
        (502, V.UNKNOWN, 0),
        (b"<html>ok</html>", V.UNKNOWN, 0),
        (b"", V.UNKNOWN, 0),
        (b"[]", V.UNKNOWN, 0),
        (b'{"errmsg": "ok"}', V.UNKNOWN, 0),
        (b'{"errcode": "0"}', V.UNKNOWN, 0),
        (b"\xff\xfe", V.UNKNOWN, 0),
        (DROP_UNREAD, V.UNKNOWN, 0),
        (DROP, V.UNKNOWN, 1),
        (HANG, V.UNKNOWN, 1),
    ],
)
def test_each_answer_leads_to_the_outcome_that_it_proves(answer, verdict: Verdict, posts: int):
    with RobotServer(answer) as server:
        (outcome,) = deliver(server.url, "您好", timeout=patience(answer))
    assert outcome.verdict is verdict
    assert len(server.posts) == posts
    assert server.requests == 1, "nothing is tried again behind the outbox's back"


def test_a_server_that_is_not_there_has_taken_nothing():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        (outcome,) = deliver(f"http://127.0.0.1:{closed.getsockname()[1]}", "您好")
    assert outcome.verdict is V.RETRY


def test_a_server_that_speaks_no_tls_has_taken_nothing():
    with RobotServer() as server:
        (outcome,) = deliver(server.url.replace("http:", "https:"), "您好")
    assert outcome.verdict is V.RETRY
    assert server.posts == []


def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: Path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with RobotServer(tls=context) as server:
        (outcome,) = deliver(server.url.replace("http://127.0.0.1", "https://localhost"), "您好")
    assert outcome.verdict is V.MISCONFIGURED
    assert server.posts == []


def test_a_robot_that_was_switched_off_gets_nothing():
    with RobotServer() as server:
        (outcome,) = deliver(server.url, "您好", address="robot:13")
    assert outcome.verdict is V.REJECTED
    assert server.requests == 0


def test_one_wrong_key_does_not_hold_up_the_others():
    with RobotServer(NO_ROBOT) as server:
        outcomes = deliver(server.url, "一", "二")
    assert [outcome.verdict for outcome in outcomes] == [V.MISCONFIGURED, V.ACCEPTED]


def test_a_message_is_touched_only_when_its_outcome_is_asked_for():
    robots = wecom.GroupRobots("", lambda: {ADDRESS: KEY})
    with RobotServer() as server:
        robots = wecom.GroupRobots(server.url, lambda: {ADDRESS: KEY})
        outcomes = robots.deliver([make_outgoing(address=ADDRESS) for _ in range(3)])
        assert server.requests == 0
        next(outcomes)
        assert server.requests == 1


# Several parts

LINE = "字" * 1000
"""3000 bytes: two of them are two posts."""


def test_a_long_message_is_several_posts_and_one_outcome():
    with RobotServer() as server:
        outcomes = deliver(server.url, "\n".join([LINE] * 3))
    assert [outcome.verdict for outcome in outcomes] == [V.ACCEPTED]
    assert [post.content for post in server.posts] == [LINE] * 3


@pytest.mark.parametrize(
    ("answer", "verdict"), [(TOO_FAST, V.RETRY), (NO_ROBOT, V.MISCONFIGURED), (DROP, V.UNKNOWN)]
)
def test_when_the_first_part_fails_the_message_fails_as_it_did(answer, verdict: Verdict):
    with RobotServer(answer) as server:
        (outcome,) = deliver(server.url, "\n".join([LINE] * 3))
    assert outcome.verdict is verdict
    assert server.requests == 1


@pytest.mark.parametrize("answer", [TOO_FAST, NO_ROBOT, DROP, 500, {"errcode": 40058}])
def test_when_a_later_part_fails_a_person_decides(answer):
    with RobotServer(None, answer) as server:
        (outcome,) = deliver(server.url, "\n".join([LINE] * 3))
    assert outcome.verdict is V.UNKNOWN
    assert outcome.answer.startswith("共 3 段，前 1 段已发出，第 2 段没有")
    assert server.requests == 2


def test_what_is_too_long_for_a_group_is_refused_before_anything_is_sent():
    with RobotServer() as server:
        (outcome,) = deliver(server.url, "\n".join([LINE] * (wecom.MOST_PARTS + 1)))
    assert outcome.verdict is V.REJECTED
    assert server.requests == 0


LINES = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=40)
    | st.text("字𠮷é", max_size=40)
)


@given(lines=LINES, limit=st.integers(4, 60))
def test_parts_keep_the_limit_and_lose_nothing_but_line_breaks_at_the_seams(lines, limit: int):
    text = "\n".join(lines)
    parts = wecom.split(text, limit)
    assert all(len(part.encode()) <= limit for part in parts)
    rest = text.strip("\n")
    for number, part in enumerate(parts):
        assert part or not text.strip("\n"), "no empty post"
        assert rest.startswith(part)
        rest = rest[len(part) :]
        if number < len(parts) - 1:
            rest = rest.lstrip("\n")
    assert rest == ""


@given(lines=st.lists(st.text("字a", min_size=1, max_size=9), min_size=1))
def test_lines_that_fit_are_never_cut(lines):
    parts = wecom.split("\n".join(lines), 27)
    assert [line for part in parts for line in part.split("\n")] == lines


# The key


@pytest.mark.parametrize(
    "answer", [None, NO_ROBOT, DROP, HANG, 404, 500, b"x", {"errcode": 1, "errmsg": f"bad {KEY}"}]
)
def test_the_key_is_in_no_outcome_and_no_log(answer, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    with RobotServer(answer) as server:
        outcomes = deliver(server.url, "您好", timeout=patience(answer))
    outcomes += deliver("http://127.0.0.1:1", "您好")
    assert KEY not in f"{outcomes}{caplog.text}"


@pytest.mark.parametrize("endpoint", ["http://wecom.example", "wecom.example", "ftp://127.0.0.1"])
def test_keys_leave_this_machine_only_encrypted(endpoint: str):
    with pytest.raises(config.ConfigurationError, match="OUTREACH_WECOM_ENDPOINT: set an https"):
        config.load(wecom_endpoint=endpoint)


@pytest.mark.parametrize("endpoint", ["", "https://proxy.example/wecom", "http://127.0.0.1:8099"])
def test_posts_may_go_through_a_proxy_of_the_office(endpoint: str):
    assert config.load(wecom_endpoint=endpoint).wecom_endpoint == endpoint


# Addresses


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("robot:12", "robot:12"),
        ("robot:0", ""),
        ("robot:", ""),
        ("robot:12\n", ""),
        ("Robot:12", ""),
        ("13812345678", ""),
        (f"https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={KEY}", ""),
    ],
)
def test_the_address_of_a_group_names_a_robot_and_nothing_else(typed: str, stored: str):
    assert normalise_address(Channel.WECOM, typed) == stored
    assert bool(hash_address(Channel.WECOM, typed)) == bool(stored)


def test_a_robot_is_no_address_of_a_person_and_has_a_rate_of_its_own():
    assert (
        normalise_address(Channel.EMAIL, ADDRESS) == normalise_address(Channel.SMS, ADDRESS) == ""
    )
    assert domain_of(Channel.WECOM, ADDRESS) == ADDRESS
    assert domain_of(Channel.EMAIL, "li@unit.example") == "unit.example"
    assert domain_of(Channel.SMS, "+8613812345678") == ""


def test_a_group_is_shown_as_one(app):
    assert mask(ADDRESS) == "群机器人"
