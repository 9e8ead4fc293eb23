"""The mailbox that bounces come back to, over real IMAP; and the way round: out by SMTP, back by
IMAP."""

import imaplib
import logging
import ssl
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from app import create_app
from outreach import jobs
from outreach.db import db
from outreach.jobs import JobResult
from outreach.messages import delivery, mailbox, queries
from outreach.messages.channels import Outgoing
from outreach.messages.mailbox import Account, Mailbox, MailboxUnavailable
from outreach.messages.models import (
    DeliveryReceipt,
    FailureKind,
    Message,
    MessageStatus,
    Purpose,
    WithheldReason,
)
from outreach.reminders.queries import measure_progress
from tasks.bounces import read_bounces
from tests import bounce_corpus as corpus
from tests.bounce_corpus import Sent
from tests.conftest import make_settings
from tests.factories import (
    make_campaign,
    make_message,
    make_running_wave,
    make_solicitation,
    open_sending,
)
from tests.imap_server import CAPABILITIES, DROP, GARBAGE, ImapServer
from tests.servers import HANG, patience
from tests.smtp_server import Received, RecordingServer
from tests.test_meeting_answers import plan, send_reply


def account(server: ImapServer, **values) -> Account:
    return Account(
        **{
            "server": "localhost",
            "port": server.port,
            "username": server.username,
            "password": server.password,
            "folder": "INBOX",
            "use_tls": False,
            "timeout": patience(*server.script.values()),
        }
        | values
    )


def read(server: ImapServer, **values) -> tuple[list[bytes], int]:
    """The mails of one visit, and how many could not be read."""
    box = Mailbox(account(server, **values))
    with closing(box.unread()) as batches:
        return [data for mails in batches for data in mails], box.failed


def fill(server: ImapServer, count: int) -> list[bytes]:
    mails = [f"Subject: {number}\r\n\r\n{number}\r\n".encode() for number in range(count)]
    for data in mails:
        server.put(data)
    return mails


def test_each_mail_is_read_once():
    with ImapServer() as server:
        mails = fill(server, 120)
        assert read(server) == (mails, 0)
        assert read(server) == ([], 0)
        server.put(b"Subject: new\r\n\r\n")
        assert read(server) == ([b"Subject: new\r\n\r\n"], 0)


def test_one_visit_ends(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mailbox, "MOST_MAILS", 70)
    with ImapServer() as server:
        mails = fill(server, 100)
        assert read(server) == (mails[:70], 0)
        assert read(server) == (mails[70:], 0)


def test_a_mail_is_marked_after_it_was_taken_in():
    """Whoever reads commits before it asks for more; what fails before is read again."""
    with ImapServer() as server:
        fill(server, 80)
        batches = Mailbox(account(server)).unread()
        next(batches)
        assert len(server.unseen()) == 80
        next(batches)
        assert len(server.unseen()) == 30
        batches.close()
        assert len(server.unseen()) == 30


def test_of_a_large_mail_only_the_beginning_is_fetched():
    with ImapServer() as server:
        server.put(b"Subject: big\r\n\r\n" + bytes(5_000_000))
        (data,), _failed = read(server)
        assert data.startswith(b"Subject: big")
        assert len(data) == server.sent_octets == mailbox.MOST_OCTETS


def test_what_others_have_read_or_thrown_away_stays_as_it_is():
    with ImapServer() as server:
        server.put(b"1").flags.add(r"\Seen")
        thrown_away = server.put(b"2")
        thrown_away.flags |= {r"\Seen", r"\Deleted"}
        server.put(b"3", folder="Archive")
        server.put(b"4")
        assert read(server) == ([b"4"], 0)
        assert thrown_away in server.folders["INBOX"]
        assert read(server, folder="Archive") == ([b"3"], 0)


def test_a_server_that_wants_to_know_who_is_there_is_told():
    """163 and 126."""
    with ImapServer(capabilities=f"{CAPABILITIES} ID", needs_id=True) as server:
        mails = fill(server, 2)
        assert read(server) == (mails, 0)


@pytest.mark.parametrize("fault", [DROP, HANG, GARBAGE, "NO cannot be read", "BAD what?"])
def test_one_mail_that_cannot_be_fetched_does_not_stop_the_others(fault: str):
    with ImapServer({"FETCH 2": fault}) as server:
        mails = fill(server, 4)
        assert read(server) == ([mails[0], mails[2], mails[3]], 1)
        assert server.unseen() == [2]
        server.script.clear()
        assert read(server) == ([mails[1]], 0)


@pytest.mark.parametrize(
    ("script", "values", "told"),
    [
        ({"LOGIN": "NO [AUTHENTICATIONFAILED] no"}, {}, "拒绝登录"),
        ({}, {"password": "another"}, "拒绝登录"),
        ({}, {"password": "密码"}, "拒绝登录"),
        ({}, {"folder": "退信"}, "打不开文件夹“退信”"),
        ({"SELECT": "NO Unsafe Login"}, {}, "打不开文件夹“INBOX”"),
        ({"LOGIN": DROP}, {}, "暂时连不上"),
        ({"LOGIN": HANG}, {}, "暂时连不上"),
        ({"SEARCH": DROP}, {}, "暂时连不上"),
        ({"SEARCH": HANG}, {}, "暂时连不上"),
        ({"SEARCH": GARBAGE}, {}, "暂时连不上"),
        ({"SEARCH": "NO not now"}, {}, "暂时连不上"),
        ({"FETCH": DROP}, {}, "暂时连不上"),
        ({"STORE": DROP}, {}, "暂时连不上"),
        ({}, {"use_tls": True}, "暂时连不上"),
        ({}, {"port": 1}, "暂时连不上"),
    ],
)
def test_a_server_that_fails_is_told_of_in_words(script: dict, values: dict, told: str):
    with ImapServer(script) as server:
        fill(server, 6)
        with pytest.raises(MailboxUnavailable) as refusal:
            read(server, **values)
    assert told in str(refusal.value.message)
    assert server.password not in str(refusal.value.message)


def test_the_line_is_encrypted_and_the_server_has_to_prove_itself(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with ImapServer(tls=context) as server:
        mails = fill(server, 2)
        with pytest.raises(MailboxUnavailable) as refusal:
            read(server, use_tls=True)
        assert "证书不可信" in str(refusal.value.message)
        assert not server.commands
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_suffix(".crt")))
        assert read(server, use_tls=True) == (mails, 0)


# The task


@pytest.fixture
def provider():
    with RecordingServer() as server:
        yield server


@pytest.fixture
def imap():
    with ImapServer() as server:
        yield server


@pytest.fixture
def app(database_url: str, tmp_path: Path, provider: RecordingServer, imap: ImapServer):
    """Sends over SMTP and reads its bounces over IMAP, as in production."""
    settings = make_settings(
        database_url,
        tmp_path,
        mail_server="localhost",
        mail_port=provider.port,
        mail_sender="office@charity.example",
        mail_bounce_address="bounce@charity.example",
        bounce_server="localhost",
        bounce_port=imap.port,
        bounce_use_tls=False,
        bounce_username=imap.username,
        bounce_password=imap.password,
    )
    app = create_app(settings)
    app.config.update(TESTING=True)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


def as_sent(received: Received) -> Sent:
    return Sent(received.data, received.sender, received.recipient)


def run_task() -> jobs.JobRun:
    """Runs it as a worker does; returns what the timetable shows."""
    db.session.rollback()
    read_bounces()
    db.session.expire_all()
    return jobs.last_runs()["read_bounces"]


def test_what_bounces_fails_and_is_not_written_to_again(
    app: Flask, provider: RecordingServer, imap: ImapServer
):
    """The way round: a wave goes out over SMTP, one letter comes back over IMAP."""
    open_sending()
    wave = make_running_wave(3)
    delivery.drain()
    sent = [as_sent(received) for received in provider.messages]
    assert all(one.sender.startswith("bounce+") for one in sent)
    assert len({one.sender for one in sent}) == 3
    imap.put(corpus.postfix_no_such_user(sent[0]))
    imap.put(corpus.out_of_office(sent[1]))
    imap.put(corpus.postfix_delayed(sent[2]))
    imap.put(corpus.parts_in_parts_without_end(sent[2]))

    run = run_task()
    assert run.result is JobResult.DONE
    assert run.detail == "读取 4 封：退信 1，暂缓 1，自动回复 1，无法识别 1"

    bounced = db.session.scalars(sa.select(Message).filter_by(address=sent[0].recipient)).one()
    assert (bounced.status, bounced.failure) == (MessageStatus.FAILED, FailureKind.BOUNCED)
    explanation = queries.explain(bounced)
    assert explanation.startswith("退信：地址不存在或已停用。请向单位核实")
    assert explanation.endswith(
        "（550 5.1.1 <…>: Recipient address rejected: User unknown in local recipient table）"
    )
    progress = measure_progress([wave.id])[wave.id]
    assert (progress.counts[MessageStatus.FAILED], progress.counts[MessageStatus.SENT]) == (1, 2)
    make_message(purpose=Purpose.INVITATION, address=sent[0].recipient)
    make_message(purpose=Purpose.INVITATION, address=sent[1].recipient)
    delivery.drain()
    assert len(provider.messages) == 4
    withheld = db.session.scalars(
        sa.select(Message.withheld_reason).where(Message.withheld_reason.is_not(None))
    ).all()
    assert withheld == [WithheldReason.DEAD_ADDRESS]
    assert run_task().detail == ""


def test_a_crash_between_commit_and_mark_does_no_harm(
    app: Flask, provider: RecordingServer, imap: ImapServer
):
    open_sending()
    make_message()
    delivery.drain()
    imap.put(corpus.postfix_no_such_user(as_sent(provider.messages[0])))
    imap.script = {"STORE": DROP}
    with pytest.raises(MailboxUnavailable):
        run_task()
    db.session.expire_all()
    assert db.session.scalars(sa.select(Message.status)).one() is MessageStatus.FAILED
    assert imap.unseen() == [1]
    imap.script = {}
    assert run_task().detail == "读取 1 封：退信 1"
    assert db.session.query(DeliveryReceipt).count() == 1
    assert imap.unseen() == []


def test_the_timetable_says_what_is_wrong_with_the_mailbox(app: Flask, imap: ImapServer):
    imap.password = "changed meanwhile"
    with pytest.raises(MailboxUnavailable):
        run_task()
    run = jobs.last_runs()["read_bounces"]
    assert run.result is JobResult.FAILED
    assert "客户端授权码" in run.detail


def test_the_network_is_not_touched_in_an_open_transaction(
    app: Flask, provider: RecordingServer, imap: ImapServer, monkeypatch: pytest.MonkeyPatch
):
    open_sending()
    make_message()
    delivery.drain()
    for _ in range(120):
        imap.put(corpus.postfix_no_such_user(as_sent(provider.messages[0])))
    in_transaction: list[bool] = []
    send = imaplib.IMAP4.send

    def watch(self, data: bytes) -> None:
        in_transaction.append(db.session().in_transaction())
        send(self, data)

    monkeypatch.setattr(imaplib.IMAP4, "send", watch)
    assert run_task().detail == "读取 120 封：退信 120"
    assert len(in_transaction) > 120
    assert not any(in_transaction)


def test_a_worker_that_is_to_stop_ends_after_a_batch(app: Flask, imap: ImapServer):
    fill(imap, 120)

    def stop(command: str) -> None:
        if command == "STORE":
            app.extensions["outreach.stopping"].set()

    imap.on_command = stop
    assert run_task().detail == "读取 50 封：与本系统无关 50"
    assert len(imap.unseen()) == 70


def test_without_a_mailbox_nothing_is_read(app: Flask, imap: ImapServer):
    app.extensions["outreach.settings"].bounce_server = ""
    assert run_task().detail == "没有设置退信邮箱"
    assert imap.commands == []


def test_no_address_reaches_the_log(
    app: Flask, provider: RecordingServer, imap: ImapServer, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    open_sending()
    make_message(address="canary@unit.example")
    delivery.drain()
    sent = as_sent(provider.messages[0])
    for compose, _finding, _cause in corpus.CORPUS.values():
        imap.put(compose(sent)[: mailbox.MOST_OCTETS])
    imap.script = {"FETCH 1": DROP}
    run_task()
    assert "canary" not in caplog.text
    assert imap.password not in caplog.text


def test_a_message_without_a_mailbox_of_its_own_comes_back_to_its_sender(
    app: Flask, provider: RecordingServer
):
    paths = app.extensions["outreach.return_paths"]
    none = replace(paths, mailbox="")
    outgoing = Outgoing(1, 0, *[""] * 7, at=None)
    assert none.of(outgoing) == ""
    assert paths.of(outgoing).startswith("bounce+1.0.")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_answer_from_a_calendar_is_told_from_what_bounces(app: Flask, imap: ImapServer):
    campaign = make_campaign()
    meeting = plan(campaign, make_solicitation(campaign))
    imap.put(send_reply(meeting.attendees[0]))
    imap.put(corpus.parts_in_parts_without_end(Sent(b"", "a@b.example", "c@d.example")))
    assert run_task().detail == "读取 1 封：无法识别 1；会议回复 1"
    assert imap.unseen() == []
