"""Opting out: by link, by reply, by telephone; and that it holds."""

import re
from email import message_from_bytes, policy

import pytest
import sqlalchemy as sa
from flask import Flask

from outreach import clock
from outreach.access import Role
from outreach.audit import AuditEvent
from outreach.campaigns.importing import apply_register
from outreach.db import db
from outreach.messages import delivery, opt_outs, outbox
from outreach.messages.addresses import hash_address
from outreach.messages.channels import mime
from outreach.messages.models import (
    Channel,
    Message,
    MessageStatus,
    OptOut,
    Purpose,
    WithheldReason,
)
from outreach.spreadsheets.reading import SourceFile
from outreach.units.models import Contact
from tests import fake_channel
from tests.factories import make_message, make_running_wave, make_solicitation, open_sending

EMAIL = "zhang@unit.example"
HASH = hash_address(Channel.EMAIL, EMAIL)


@pytest.fixture
def path(app: Flask) -> str:
    return opt_outs.link(Channel.EMAIL, HASH).removeprefix("http://127.0.0.1:8000")


def is_out() -> bool:
    db.session.rollback()
    return opt_outs.find(Channel.EMAIL, HASH) is not None


def test_looking_changes_nothing_and_a_click_does(client, path):
    page = client.get(path)
    assert "确认退订" in page.text
    assert client.head(path).status_code == 200
    assert not is_out()
    assert "今后不再" in client.post(path).text
    assert is_out()
    assert "今后不再" in client.get(path).text


def test_a_mail_programme_may_do_it_in_one_click(client, path):
    for _ in range(2):
        answer = client.post(path, data={"List-Unsubscribe": "One-Click"})
        assert answer.status_code == 200
    assert is_out()
    assert db.session.query(OptOut).count() == 1


def test_it_needs_no_form_token_and_no_session(app: Flask, path):
    app.config["WTF_CSRF_ENABLED"] = True
    assert app.test_client().post(path).status_code == 200
    assert is_out()


def test_a_mistake_can_be_taken_back(client, path):
    client.post(path)
    assert "确认退订" in client.post(f"{path}/undo").text
    assert not is_out()


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_link_that_we_did_not_sign_is_refused(client, path, method):
    answer = getattr(client, method)(path[:-3] + "xyz")
    assert answer.status_code == 404
    assert "不完整" in answer.text
    assert not is_out()


def test_the_link_names_nobody(app: Flask, path):
    assert "zhang" not in path
    assert "unit.example" not in path


@pytest.mark.parametrize(
    "text",
    [
        "R",
        "r",
        "T",
        "TD",
        "td ",
        "退订",
        " 退訂。",
        "ＴＤ",
        "回复R",
        "退 订!",
        "N",
        "TD退订",
        "回T",
        "请退订",
        "退订谢谢",
        "不要再发了",
        "别发了",
        "别发",
        "請勿再發",
        "不要给我发",
        "请不要再给我发短信",
        "我已经退休，别再发",
        "请勿打扰！",
        "勿扰",
        "停止发送短信",
        "STOP",
        "stop",
        "取消订阅",
        "拒收",
        "QX",
        "Unsubscribe",
    ],
)
def test_a_reply_that_says_no_more(app: Flask, text: str):
    assert opt_outs.take_reply(Channel.SMS, "138 0000 1234", text)
    assert opt_outs.find(Channel.SMS, hash_address(Channel.SMS, "+8613800001234"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "好的",
        "收到R",
        "TTD",
        "不退订",
        "不用退订",
        "谢谢",
        "收到",
        "我们已经捐了",
        "材料不要发错了",
        "不要再发邮件，请发短信",
        "不要再发送邮件，请发短信",
        "不要发票",
        "请发到我邮箱",
        "不好意思打扰了",
        "non-stop",
    ],
)
def test_a_reply_that_says_something_else(app: Flask, text: str):
    assert not opt_outs.take_reply(Channel.SMS, "13800001234", text)
    assert db.session.query(OptOut).count() == 0


def test_every_letter_to_a_unit_carries_the_link(app: Flask, client):
    """RFC 8058: both headers; and a line for people in the text and in the HTML part."""
    open_sending()
    message = make_message(purpose=Purpose.INVITATION, address=EMAIL, body_html="<body>您好</body>")
    db.session.commit()
    outgoing = begin(message)
    mail = message_from_bytes(
        mime.build(outgoing, sender_name="慈善总会", sender="a@b.example"), policy=policy.default
    )
    link = mail["List-Unsubscribe"].strip("<>")
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    for kind in ("plain", "html"):
        assert link in mail.get_body((kind,)).get_content()
    client.post(link.removeprefix("http://127.0.0.1:8000"))
    assert is_out()


def begin(message: Message):
    now = message.queued_at
    claim = outbox.claim(now)
    (outgoing,) = outbox.begin(claim.token, claim.ids, now).messages[Channel.EMAIL]
    db.session.commit()
    return outgoing


@pytest.mark.parametrize("purpose", [Purpose.DIGEST, Purpose.ACCOUNT, Purpose.TEST])
def test_letters_to_ourselves_carry_none(app: Flask, purpose: Purpose):
    open_sending()
    outgoing = begin(make_message(purpose=purpose))
    assert outgoing.unsubscribe_url == ""
    data = mime.build(outgoing, sender_name="慈善总会", sender="a@b.example")
    assert b"List-Unsubscribe" not in data


def test_what_waits_to_be_sent_is_withheld(app: Flask):
    open_sending()
    solicitation = make_solicitation()
    solicitation.unit.contacts[0].email = EMAIL
    make_running_wave(solicitations=[solicitation])
    channel = fake_channel.install(app)
    claim = outbox.claim(clock.now())
    db.session.commit()
    opt_outs.add(Channel.EMAIL, HASH, source="link")  # between claim and sending
    db.session.commit()
    delivery.deliver_batch(claim, {Channel.EMAIL: channel})
    message = db.session.query(Message).one()
    assert (message.status, message.withheld_reason) == (
        MessageStatus.WITHHELD,
        WithheldReason.OPTED_OUT,
    )
    assert not channel.taken


def test_a_new_import_does_not_bring_the_address_back(app: Flask):
    """The contact is erased and comes back with the next register: the opt-out still stands."""
    open_sending()
    solicitation = make_solicitation()
    campaign, unit = solicitation.campaign, solicitation.unit
    opt_outs.add(Channel.EMAIL, HASH, source="link")
    db.session.delete(unit.contacts[0])
    db.session.commit()
    register = f"单位名称,板块,联络员,邮箱\n{unit.name},{solicitation.sector.name},张三,{EMAIL}\n"
    plan = apply_register(campaign, SourceFile("名册.csv", register.encode()))
    assert not plan.problems
    db.session.commit()
    db.session.refresh(unit)
    assert [contact.email for contact in unit.contacts] == [EMAIL]
    make_running_wave(solicitations=[solicitation])
    channel = fake_channel.install(app)
    delivery.drain()
    assert not channel.taken


def test_staff_note_what_they_were_told(sign_in):
    contact = make_solicitation().unit.contacts[0]
    contact.email = EMAIL
    db.session.commit()
    page = f"/units/contacts/{contact.id}"
    staff, secretary = sign_in(Role.STAFF), sign_in(Role.SECRETARY_GENERAL)
    assert staff.post(f"{page}/opt-out", data={"channel": "email"}).status_code == 302
    assert is_out()
    assert "退订</span>" in re.sub(r"\s+", "", staff.get(page).text)
    assert staff.post(f"{page}/allow", data={"channel": "email"}).status_code == 403
    assert secretary.post(f"{page}/allow", data={"channel": "email"}).status_code == 422
    assert is_out()
    wish = {"channel": "email", "reason": "本人来电要求恢复"}
    assert secretary.post(f"{page}/allow", data=wish).status_code == 302
    assert not is_out()


def test_the_trail_tells_it_without_the_address(app: Flask, client, path):
    client.post(path)
    event = db.session.scalars(sa.select(AuditEvent).filter_by(action="add.opt_out")).one()
    assert EMAIL not in str(event.__dict__)
    assert db.session.query(Contact).count() == 0
