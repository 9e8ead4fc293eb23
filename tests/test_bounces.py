"""Bounces: what a mail is read as, what it is matched with, and what follows from it."""

import time
from datetime import timedelta

import hypothesis.strategies as st
import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings

from outreach import clock
from outreach.access import Role
from outreach.audit import AuditEvent
from outreach.campaigns.models import Campaign
from outreach.db import db
from outreach.messages import (
    bounces,
    dead_addresses,
    delivery,
    notices,
    opt_outs,
    queries,
    receipts,
)
from outreach.messages.addresses import hash_address
from outreach.messages.channels import Outgoing, accepted, mime
from outreach.messages.mailbox import MOST_OCTETS
from outreach.messages.models import (
    BounceCause,
    Channel,
    DeliveryReceipt,
    FailureKind,
    Message,
    MessageStatus,
    Purpose,
    ReceiptKind,
    SendPolicy,
    WithheldReason,
)
from outreach.messages.notices import Finding
from outreach.messages.receipts import Report
from outreach.messages.return_paths import ReturnPaths
from tests import bounce_corpus as corpus
from tests import fake_channel
from tests.bounce_corpus import CORPUS, Sent
from tests.factories import make_message, make_running_wave, make_solicitation, open_sending
from tests.test_outbox_properties import clear

F = Finding
OURS = "office@charity.example"


@pytest.fixture
def app(app: Flask) -> Flask:
    app.extensions["outreach.settings"].mail_sender = OURS
    return app


@pytest.fixture
def sent(app: Flask) -> Sent:
    """A message to a unit as its provider took it, with no return address of its own."""
    return send(app)


def send(app: Flask, **values) -> Sent:
    make_message(**{"purpose": Purpose.INVITATION} | values)
    return deliver(app)


def deliver(app: Flask) -> Sent:
    """Sends the one message that waits."""
    taken: list[Outgoing] = []

    def answer(message: Outgoing):
        taken.append(message)
        return accepted("ok")

    fake_channel.install(app, answer)
    if db.session.get(SendPolicy, 1) is None:
        open_sending()
    delivery.drain()
    (outgoing,) = taken
    data = mime.build(outgoing, sender_name="慈善总会", sender=OURS)
    envelope_sender = app.extensions["outreach.return_paths"].of(outgoing) or OURS
    return Sent(data, envelope_sender, outgoing.address)


def take(*mails: bytes) -> dict[Finding, int]:
    tally = bounces.take(mails, clock.now())
    db.session.commit()
    db.session.expire_all()
    return dict(tally)


def the_message() -> Message:
    return db.session.scalars(sa.select(Message).order_by(Message.id.desc())).first()


EXPECTED_STATUS = {F.BOUNCED: MessageStatus.FAILED, F.DELIVERED: MessageStatus.DELIVERED}


def test_each_mail_is_read_as_what_it_is(sent: Sent, app: Flask):
    for name, (compose, finding, cause) in CORPUS.items():
        about = send(app)
        assert take(compose(about)[:MOST_OCTETS]) == {finding: 1}, name
        message = the_message()
        assert message.status is EXPECTED_STATUS.get(finding, MessageStatus.SENT), name
        if finding is F.BOUNCED:
            assert message.failure is FailureKind.BOUNCED, name
            assert message.facts["cause"] == cause, name
            assert str(cause.label) in queries.explain(message), name
            assert about.recipient not in str(message.facts), name
        is_out = opt_outs.find(Channel.EMAIL, message.address_hash) is not None
        assert is_out == (finding is F.COMPLAINT), name


def test_the_corpus_is_large_enough_to_mean_something():
    assert len(CORPUS) >= 40


def test_a_mail_that_comes_twice_counts_once(sent: Sent):
    data = corpus.postfix_no_such_user(sent)
    take(data, data)
    take(data)
    assert db.session.query(DeliveryReceipt).count() == 1


def test_one_mail_that_cannot_be_read_does_not_stop_the_others(sent: Sent):
    broken = corpus.parts_in_parts_without_end(sent)
    tally = take(broken, corpus.noise(sent), corpus.postfix_no_such_user(sent), broken)
    assert tally == {F.UNREADABLE: 2, F.NOT_OURS: 1, F.BOUNCED: 1}
    assert the_message().status is MessageStatus.FAILED


def test_what_was_read_is_told_in_words():
    tally = {F.DELAYED: 1, F.BOUNCED: 2}
    assert bounces.summarise(tally, 0) == "读取 3 封：退信 2，暂缓 1"
    assert bounces.summarise({}, 0) == ""
    assert bounces.summarise({}, 2) == "2 封没有读出，下次再试"


def test_a_text_message_has_no_bounces_by_mail(sent: Sent):
    db.session.execute(sa.update(Message).values(channel=Channel.SMS))
    assert take(corpus.postfix_no_such_user(sent)) == {F.FORGED: 1}


def test_a_mail_about_two_messages_is_about_none(app: Flask, sent: Sent):
    other = send(app)
    both = Sent(
        sent.data.replace(b"\r\n\r\n", f"\r\nReferences: {other.message_id}\r\n\r\n".encode(), 1),
        sent.sender,
        sent.recipient,
    )
    assert take(corpus.postfix_no_such_user(both)) == {F.NOT_OURS: 1}


def test_a_complaint_ends_letters_to_that_address(app: Flask, sent: Sent):
    take(corpus.complaint(sent), corpus.complaint(sent))
    event = db.session.scalars(sa.select(AuditEvent).filter_by(action="add.opt_out")).one()
    assert event.facts == {"channel": "email", "by": "complaint"}
    make_message(purpose=Purpose.INVITATION, address=sent.recipient)
    delivery.drain()
    assert the_message().status is MessageStatus.WITHHELD


# Return addresses of their own


@pytest.fixture
def own_mailbox(app: Flask) -> ReturnPaths:
    paths = ReturnPaths("bounce@charity.example", "a secret key")
    app.extensions["outreach.return_paths"] = paths
    return paths


def without_headers(sent: Sent) -> Sent:
    """The server returned nothing of the message, and names another address of the recipient."""
    return Sent(b"Subject: x\r\n\r\n", sent.sender, "li.ming@other.example")


def test_a_signed_return_address_needs_no_other_proof(app: Flask, own_mailbox: ReturnPaths):
    sent = send(app)
    assert sent.sender.startswith("bounce+")
    shouted = Sent(sent.data, sent.sender.upper(), sent.recipient)
    assert take(corpus.postfix_no_such_user(without_headers(shouted))) == {F.BOUNCED: 1}
    assert the_message().status is MessageStatus.FAILED


def test_a_return_address_that_we_did_not_sign_is_left_alone(app: Flask, own_mailbox: ReturnPaths):
    sent = send(app)
    other = ReturnPaths(own_mailbox.mailbox, "another key")
    number = sent.sender.partition("+")[2].partition(".")[0]
    for forged in (
        sent.sender.replace(f"+{number}.", f"+{int(number) + 1}."),
        sent.sender.replace(".0.", ".1."),
        other.of(Outgoing(int(number), 0, *[""] * 7, at=clock.now())),
    ):
        data = corpus.postfix_no_such_user(Sent(sent.data, forged, sent.recipient))
        assert take(data) == {F.FORGED: 1}, forged
    assert the_message().status is MessageStatus.SENT


def test_without_a_signature_the_message_id_and_the_address_prove_it(
    app: Flask, own_mailbox: ReturnPaths
):
    """Some servers send back to the sender that the letter shows."""
    sent = send(app)
    assert take(corpus.qq_letter(Sent(sent.data, OURS, sent.recipient))) == {F.BOUNCED: 1}


def test_a_bounce_of_the_first_sending_is_told_from_one_of_the_second(
    app: Flask, own_mailbox: ReturnPaths
):
    first = send(app)
    db.session.execute(sa.update(Message).values(resend_no=1))
    assert take(corpus.postfix_no_such_user(first)) == {F.BOUNCED: 1}
    assert the_message().status is MessageStatus.SENT


@given(st.integers(1, 999_999_999), st.integers(0, 9999), st.text(max_size=20))
def test_a_return_address_is_read_back_from_any_text(message_id: int, resend_no: int, text: str):
    paths = ReturnPaths("bounce@charity.example", "a secret key")
    address = paths.of(Outgoing(message_id, resend_no, *[""] * 7, at=clock.now()))
    assert len(address.partition("@")[0]) <= 64
    assert paths.find(f"{text} <{address}> {text}") == ({(message_id, resend_no)}, False)


# What cannot be relied on


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_mail_is_so_broken_that_reading_it_fails(data: st.DataObject):
    original = Sent(b"Message-ID: <outreach-7.0@charity.example>\r\n\r\nx\r\n", OURS, "a@b.example")
    names = sorted(set(CORPUS) - {"a_report_of_five_megabytes", "parts_in_parts_without_end"})
    mail = bytearray(CORPUS[data.draw(st.sampled_from(names))][0](original))
    for _ in range(data.draw(st.integers(0, 6))):
        start = data.draw(st.integers(0, len(mail)))
        end = data.draw(st.integers(start, min(len(mail), start + 200)))
        mail[start:end] = data.draw(st.binary(max_size=20))
    notice = notices.read(bytes(mail))
    assert notice.finding in Finding
    assert notice.detail.isprintable()
    assert len(notice.detail) <= 200
    notice.detail.encode()


def test_words_of_a_report_in_code_are_read_whole(sent: Sent):
    notice = notices.read(corpus.exchange_report_in_base64(sent))
    assert "RecipientNotFound" in notice.detail
    assert f"rfc822; {sent.recipient}" in notice.text, "whom it is about"
    notice = notices.read(corpus.gateway_report_in_quoted_printable(sent))
    assert "the mailbox is full, over quota" in notice.detail
    assert "id=3D7A queue=4F1C" in notice.detail, "decoded once"


@pytest.mark.parametrize("cut", range(0, 1200, 7))
def test_a_report_in_code_may_be_cut_off_anywhere(cut: int):
    about = Sent(b"Message-ID: <outreach-7.0@charity.example>\r\n\r\nx\r\n", OURS, "a@b.example")
    for compose in (corpus.exchange_report_in_base64, corpus.gateway_codes_all_parts):
        assert notices.read(compose(about)[: -cut or None]).finding in Finding


def test_code_hides_no_parts_in_parts(sent: Sent):
    boundaries = "".join(f"X: boundary={number}\n" for number in range(notices.MOST_BOUNDARIES))
    hidden = corpus.report(
        sent, recipient=boundaries, encode=corpus.coded_in_base64, encoding="base64"
    )
    assert notices.read(hidden) == notices.Notice(F.UNREADABLE)


def test_a_mail_made_to_take_long_does_not():
    hostile = (
        b"From: postmaster@x.example\r\nContent-Type: text/html\r\n\r\n"
        + b"<a" * 60_000
        + b"<script>" * 8_000
        + b"a@" * 30_000
        + b" no such" * 5_000
    )
    nested = "".join(f"boundary={number}\r\n\r\n--{number}\r\n" for number in range(90))
    for mail in (hostile, nested.encode() + b"-\r\n" * 60_000, b"\r\n" * 120_000 + hostile):
        began = time.process_time()
        notices.read(mail)
        assert time.process_time() - began < 5


# I13


REPORTS = ("delivered", "no such address", "full", "delivered again", "bounced again")


def test_reports_of_several_messages_in_any_order_end_alike(app: Flask):
    """I13, for what follows from receipts: whether an address counts as dead."""

    @settings(
        max_examples=15,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.lists(st.tuples(st.integers(0, 2), st.sampled_from(REPORTS)), min_size=2, max_size=6),
        st.data(),
    )
    def check(reports, data) -> None:
        ends = set()
        for order in (reports, data.draw(st.permutations(reports))):
            clear()
            sent = [send_at(app, hours) for hours in range(3)]
            for index, kind in order:
                take(compose(sent[index], kind))
            statuses = tuple(db.session.scalars(sa.select(Message.status).order_by(Message.id)))
            ends.add((statuses, dead_addresses.find(Channel.EMAIL, HASH) is not None))
        assert len(ends) == 1
        ((statuses, is_dead),) = ends
        gone = [index for index, kind in reports if kind in ("no such address", "bounced again")]
        arrived = [index for index, status in enumerate(statuses) if status is S.DELIVERED]
        assert is_dead == (bool(gone) and max(gone) > max(arrived, default=-1))

    check()


ADDRESS = "li@unit.example"
HASH = hash_address(Channel.EMAIL, ADDRESS)
S = MessageStatus


def send_at(app: Flask, hours: int) -> Sent:
    with time_machine.travel(clock.now() + timedelta(hours=hours)):
        return send(app, address=ADDRESS, purpose=Purpose.ACCOUNT)


def compose(sent: Sent, kind: str) -> bytes:
    if kind.startswith("delivered"):
        return corpus.postfix_delivered(sent)
    if kind == "full":
        return corpus.gmail_over_quota(sent)
    return corpus.postfix_no_such_user(sent)


# Dead addresses


@pytest.mark.parametrize("compose", [corpus.netease_full, corpus.qq_content_refused])
def test_a_full_mailbox_or_a_filter_does_not_make_an_address_dead(sent: Sent, compose):
    take(compose(sent))
    message = the_message()
    assert message.failure is FailureKind.BOUNCED
    assert dead_addresses.find(Channel.EMAIL, message.address_hash) is None
    assert "地址没有问题" in queries.explain(message)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_an_address_that_took_a_later_message_is_alive(app: Flask, order: tuple[int, int]):
    """Whichever of the two reports comes first."""
    sent = [send_at(app, hours) for hours in range(2)]
    mails = [corpus.postfix_no_such_user(sent[0]), corpus.postfix_delivered(sent[1])]
    for index in order:
        take(mails[index])
    assert dead_addresses.find(Channel.EMAIL, HASH) is None


def test_an_address_that_took_an_earlier_message_may_be_dead(app: Flask):
    sent = [send_at(app, hours) for hours in range(2)]
    take(corpus.postfix_delivered(sent[0]), corpus.postfix_no_such_user(sent[1]))
    assert dead_addresses.find(Channel.EMAIL, HASH) is not None


def test_a_dead_address_is_written_to_no_more_until_somebody_has_checked_it(
    app: Flask, sign_in, tuesday_morning
):
    contact = make_solicitation().unit.contacts[0]
    take(corpus.postfix_no_such_user(send(app, address=contact.email)))
    page = f"/units/contacts/{contact.id}"
    tuesday_morning.shift(timedelta(days=1))

    make_message(purpose=Purpose.INVITATION, address=contact.email)
    delivery.drain()
    withheld = the_message()
    assert withheld.withheld_reason is WithheldReason.DEAD_ADDRESS
    assert queries.explain(withheld) == "该地址不存在或已停用，10-20 发去的消息被退回"
    client = sign_in(Role.STAFF)
    assert "2026-10-20 被退回" in client.get(page).text
    refusal = client.post(f"{page}/verify", data={"channel": "email", "reason": " "})
    assert refusal.status_code == 422
    assert "请写明怎样核实的" in refusal.text

    reason = {"channel": "email", "reason": "已与本人电话核对"}
    assert client.post(f"{page}/verify", data=reason).status_code == 302
    assert "被退回" not in client.get(page).text
    assert client.post(f"{page}/verify", data=reason).status_code == 422
    event = db.session.scalars(sa.select(AuditEvent).filter_by(action="verify.address")).one()
    assert event.facts == {"channel": "email", "reason": "已与本人电话核对"}
    sent = send(app, address=contact.email)

    tuesday_morning.shift(timedelta(days=1))
    take(corpus.postfix_no_such_user(sent))
    client = sign_in(Role.STAFF)
    assert "2026-10-22 被退回" in client.get(page).text
    assert client.post(f"{page}/verify", data=reason).status_code == 302
    assert "被退回" not in client.get(page).text


def test_another_address_of_the_contact_is_not_dead(app: Flask, sign_in):
    contact = make_solicitation().unit.contacts[0]
    take(corpus.postfix_no_such_user(send(app, address=contact.email)))
    contact.email = "new@unit.example"
    db.session.commit()
    assert "被退回" not in sign_in(Role.STAFF).get(f"/units/contacts/{contact.id}").text


def test_a_provider_that_says_that_a_number_does_not_exist_is_believed_too(app: Flask):
    open_sending()
    fake_channel.install(app)
    message = make_message(channel=Channel.SMS, address="13800001234")
    delivery.drain()
    report = Report(
        "sms:1", message.id, 0, ReceiptKind.BOUNCED, "空号", BounceCause.NO_SUCH_ADDRESS
    )
    receipts.take([report], clock.now())
    assert dead_addresses.find(Channel.SMS, message.address_hash)


def test_a_bounce_shows_where_people_look(app: Flask, sign_in):
    """On the dashboard, in the list of failed messages, on the page of the message."""
    wave = make_running_wave(1)
    sent = deliver(app)
    take(corpus.postfix_no_such_user(sent))
    client = sign_in(Role.SECRETARY_GENERAL)
    code = db.session.get(Campaign, wave.campaign_id).code
    assert "发送失败或被退回的消息" in client.get(f"/c/{code}/").text
    for page in ("/messages?status=failed", f"/messages/{the_message().id}"):
        text = client.get(page).text
        assert "退信：地址不存在或已停用。请向单位核实" in text, page
        assert sent.recipient not in text
    contact_page = f"/units/contacts/{the_message().contact_id}"
    assert contact_page in client.get(f"/messages/{the_message().id}").text
    assert "联系方式被退回" in client.get(contact_page).text
    assert "发送失败" in client.get(f"/c/{code}/waves/{wave.id}").text
