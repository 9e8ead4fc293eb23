"""Payments that nobody has claimed: nobody is reminded until a person says whose they are."""

from datetime import date, timedelta
from io import BytesIO

import pytest
import sqlalchemy as sa
from flask import Flask

from outreach.access import Role
from outreach.db import db
from outreach.errors import Conflict, Refused
from outreach.gifts import lines
from outreach.gifts.models import Gift, GiftKind, LineStatus, StatementLine
from outreach.messages import delivery
from outreach.messages.models import Message, MessageStatus, WithheldReason
from tests import fake_channel
from tests.factories import (
    make_contact,
    make_gift,
    make_line,
    make_running_wave,
    make_solicitation,
    make_unit,
    make_user,
    open_sending,
)


@pytest.fixture
def education(app: Flask):
    return make_solicitation(unit=make_unit(name="衡阳市教育局", short_name="市教育局"))


def test_the_reminder_waits_until_somebody_says_whose_it_is(app: Flask, education):
    """The line comes after the wave has begun; claimed, it is a gift and stops the next one."""
    open_sending()
    channel = fake_channel.install(app)
    make_contact(education.unit)
    wave = make_running_wave(solicitations=[education])
    line = make_line(education.campaign, payer="衡阳市教育局", amount_fen=30_000_00)
    delivery.drain()
    message = db.session.scalars(sa.select(Message).filter_by(wave_id=wave.id)).one()
    assert message.withheld_reason is WithheldReason.UNMATCHED_LINE
    assert not channel.taken
    lines.claim_line(line, education, kind=GiftKind.UNIT, by=make_user())
    db.session.commit()
    second = make_running_wave(solicitations=[education])
    delivery.drain()
    message = db.session.scalars(sa.select(Message).filter_by(wave_id=second.id)).one()
    assert message.withheld_reason is WithheldReason.ALREADY_GIVEN


def test_what_is_set_aside_stops_nobody(app: Flask, education):
    open_sending()
    fake_channel.install(app)
    make_contact(education.unit)
    line = make_line(education.campaign, payer="衡阳市教育局")
    lines.set_line_aside(line, reason="会费", by=make_user())
    db.session.commit()
    wave = make_running_wave(solicitations=[education])
    delivery.drain()
    message = db.session.scalars(sa.select(Message).filter_by(wave_id=wave.id)).one()
    assert message.status is MessageStatus.SENT


def test_a_line_is_settled_once(education):
    line = make_line(education.campaign)
    lines.claim_line(line, education, kind=GiftKind.UNIT, by=make_user())
    with pytest.raises(Conflict):
        lines.set_line_aside(line, reason="会费", by=make_user())
    with pytest.raises(Conflict):
        lines.claim_line(line, education, kind=GiftKind.UNIT, by=make_user())
    assert line.status is LineStatus.CLAIMED
    assert db.session.scalar(sa.select(sa.func.sum(Gift.amount_fen))) == 300_00


def list_open(campaign) -> list[StatementLine]:
    open_lines = sa.select(StatementLine).filter_by(campaign_id=campaign.id, status=LineStatus.OPEN)
    return list(db.session.scalars(open_lines.order_by(StatementLine.id)))


def test_the_same_line_is_kept_once(education):
    make_line(education.campaign, line_key="one")
    make_line(education.campaign, line_key="one", amount_fen=5)
    assert [line.amount_fen for line in list_open(education.campaign)] == [300_00]


@pytest.mark.parametrize(
    "wrong", [{"amount_fen": 0}, {"received_on": date(2026, 10, 20) + timedelta(days=1)}]
)
def test_what_cannot_be_is_refused(education, wrong):
    with pytest.raises(Refused):
        make_line(education.campaign, **wrong)


def test_it_is_claimed_in_the_browser(sign_in, education):
    client = sign_in(Role.STAFF)
    campaign = education.campaign
    base = f"/c/{campaign.code}/gifts/lines"
    form = {"key": "k", "payer": "衡阳市教育局", "amount_fen": "3000", "received_on": "2026-10-19"}
    for _ in range(2):  # the same page sent twice is one line
        assert client.post(f"{base}/new", data=form).status_code == 302
    page = client.get(base).text
    assert "付款人就是“衡阳市教育局”" in page
    line = list_open(campaign)[0]
    answer = client.post(f"{base}/{line.id}", data={"unit": "", "kind": "unit", "reason": ""})
    assert answer.status_code == 422
    assert "请选择单位" in answer.text
    answer = client.post(f"{base}/{line.id}", data={"unit": "没有这个单位", "kind": "unit"})
    assert "请从提示中选择" in answer.text
    answer = client.post(f"{base}/{line.id}", data={"unit": "衡阳市教育局", "kind": "unit"})
    assert answer.status_code == 302
    assert db.session.scalar(sa.select(sa.func.sum(Gift.amount_fen))) == 300_000
    assert not list_open(campaign)
    assert (
        client.post(f"{base}/{line.id}", data={"reason": "会费", "kind": "unit"}).status_code == 409
    )


def test_what_a_file_names_and_nobody_knows_can_be_kept_open(sign_in, education):
    """Twice the same payment is two lines; the same file again brings none."""
    client = sign_in(Role.STAFF)
    content = (
        "单位名称,金额,到账日期\n"
        "衡阳市教育局,100,2026-10-19\n"
        "衡阳市教育局工会,200,2026-10-19\n"
        "衡阳市教育局工会,200,2026-10-19\n"
    )
    base = f"/c/{education.campaign.code}/gifts"
    for expected in (2, 2):
        file = (BytesIO(content.encode()), "流水.csv")
        preview = client.post(f"{base}/import", data={"file": file}).headers["Location"]
        assert "把对不上单位的 2 笔登记为待认领" in client.get(preview).text
        assert client.post(f"{preview}/unmatched").status_code == 302
        kept = list_open(education.campaign)
        assert [line.candidates[0].solicitation_id for line in kept] == [education.id] * expected
    assert db.session.scalar(sa.select(sa.func.count(Gift.id))) == 0


def test_a_gift_elsewhere_changes_no_line(education):
    make_line(education.campaign)
    make_gift(education, 5)
    assert len(list_open(education.campaign)) == 1
