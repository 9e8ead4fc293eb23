"""Whoever got a wrong letter gets the right one, and nobody else does."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outreach import clock
from outreach.access import Role
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, CampaignStatus
from outreach.db import db, insert_new
from outreach.errors import Refused
from outreach.merging.plans import plan_merge
from outreach.merging.services import merge_units
from outreach.messages import delivery, erasure, outbox, queueing, receipts, waves
from outreach.messages.addresses import hash_address
from outreach.messages.models import (
    Channel,
    FailureKind,
    Message,
    MessageStatus,
    OptOut,
    Purpose,
    ReceiptKind,
    SendPolicy,
    TemplateVersion,
    Wave,
    WaveStatus,
    WithheldReason,
)
from outreach.messages.receipts import Report
from outreach.reminders import services
from outreach.reminders.models import WaveMember
from outreach.reminders.queries import preview_wave
from outreach.units.models import Unit
from tests import fake_channel
from tests.factories import (
    make_campaign,
    make_contact,
    make_gift,
    make_running_wave,
    make_solicitation,
    make_template,
    make_unit,
    make_user,
    open_sending,
)
from tests.test_catching_up import write_both_at_once
from tests.test_waves import make_plan
from tests.test_waves_pages import post

S = MessageStatus
MAY_HAVE_ARRIVED = {S.SENT, S.DELIVERED, S.UNKNOWN, S.SENDING}


@pytest.fixture
def campaign(app: Flask) -> Campaign:
    open_sending()
    return make_campaign(code="2026")


def make_wrong(campaign: Campaign, count: int = 2, status: S = S.SENT) -> Wave:
    """A finished wave of which every message is in this state."""
    wave = make_running_wave(solicitations=[make_solicitation(campaign) for _ in range(count)])
    set_status(list(db.session.scalars(sa.select(Message).filter_by(wave_id=wave.id))), status)
    wave.status = WaveStatus.FINISHED
    db.session.commit()
    return wave


def set_status(messages: list[Message], status: S) -> None:
    for message in messages:
        message.status = status
        message.failure = FailureKind.REJECTED if status is S.FAILED else None
        message.withheld_reason = WithheldReason.SNOOZED if status is S.WITHHELD else None
        message.sent_at = clock.now() if status in {S.SENT, S.DELIVERED} else None
    db.session.commit()


def correct(wrong: Wave, **values) -> Wave:
    wave = services.create_correction(wrong, make_plan(**values), author=make_user())
    db.session.commit()
    return wave


def approve(wave: Wave) -> Wave:
    services.submit_wave(wave, by=db.session.get(User, wave.author_id))
    services.approve_wave(wave, by=make_user(Role.SECRETARY_GENERAL))
    db.session.commit()
    return wave


def addresses(wave: Wave) -> set[str]:
    return set(db.session.scalars(sa.select(Message.address).filter_by(wave_id=wave.id)))


FEW = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def test_a_correction_goes_to_exactly_those_who_were_reached_whatever_became_of_the_rest(
    campaign: Campaign,
):
    wrong = make_wrong(campaign, len(S))
    ids = list(db.session.scalars(sa.select(Message.id).filter_by(wave_id=wrong.id)))
    version = make_template()
    user = make_user()

    @FEW
    @given(states=st.lists(st.sampled_from(list(S)), min_size=len(S), max_size=len(S)))
    def check(states: list[S]) -> None:
        for id_, status in zip(ids, states, strict=True):
            set_status([db.session.get_one(Message, id_)], status)
        expected = {
            db.session.get_one(Message, id_).address
            for id_, status in zip(ids, states, strict=True)
            if status in MAY_HAVE_ARRIVED
        }
        if not expected:
            with pytest.raises(Refused, match="没有发到任何人"):
                services.create_correction(wrong, make_plan(version), author=user)
            db.session.rollback()
            return
        wave = approve(services.create_correction(wrong, make_plan(version), author=user))
        services.start_wave(wave)
        db.session.commit()
        assert addresses(wave) == expected
        services.cancel_wave(wave)
        db.session.commit()

    check()


def test_it_is_a_correction_down_to_its_messages_and_names_what_it_corrects(campaign: Campaign):
    wrong = make_wrong(campaign)
    wave = approve(correct(wrong))
    services.start_wave(wave)
    assert (wave.purpose, wave.correction_of_id) == (Purpose.CORRECTION, wrong.id)
    purposes = set(db.session.scalars(sa.select(Message.purpose).filter_by(wave_id=wave.id)))
    assert purposes == {Purpose.CORRECTION}


def test_it_goes_to_the_address_of_then_though_the_contact_has_left_and_has_another(
    app: Flask, campaign: Campaign
):
    wrong = make_wrong(campaign, 1)
    message = db.session.scalars(sa.select(Message)).one()
    solicitation_id, address = message.links[0].solicitation_id, message.address
    unit = db.session.get(WaveMember, 1).solicitation.unit
    unit.contacts[0].email = "another@unit.example"
    unit.contacts[0].valid_to = date(2026, 10, 1)
    db.session.commit()
    wave = approve(correct(wrong))
    services.start_wave(wave)
    db.session.commit()
    channel = fake_channel.install(app)
    delivery.drain()
    row = db.session.scalars(sa.select(Message).filter_by(wave_id=wave.id)).one()
    assert (row.status, row.address) == (S.SENT, address)
    assert [link.solicitation_id for link in row.links] == [solicitation_id]
    assert channel.taken[row.id, 0] == 1


def test_neither_money_nor_stage_nor_caps_nor_the_end_of_the_campaign_keep_it_back(
    app: Flask, campaign: Campaign
):
    wrong = make_wrong(campaign, 3)
    gave, snoozed, exempt = (row.solicitation for row in db.session.scalars(sa.select(WaveMember)))
    make_gift(gave)
    snoozed.snoozed_until = date(2026, 11, 30)
    exempt.is_exempt = True
    policy = db.session.get(SendPolicy, 1)
    policy.contact_cap = policy.unit_cap = 0
    campaign.status = CampaignStatus.CLOSED
    db.session.commit()
    wave = approve(correct(wrong))
    services.start_wave(wave)
    db.session.commit()
    fake_channel.install(app)
    delivery.drain()
    assert waves.counts(wave.id)[S.SENT] == 3


def test_who_opted_out_gets_no_correction_and_is_named_among_those_left_out(campaign: Campaign):
    wrong = make_wrong(campaign)
    message = db.session.scalars(sa.select(Message).order_by(Message.id)).first()
    key = {"channel": message.channel, "address_hash": message.address_hash}
    insert_new(OptOut, [key | {"source": "t", "at": clock.now()}], ["channel", "address_hash"])
    db.session.commit()
    letters = preview_wave(correct(wrong))
    assert [member.withheld.reason for member in letters.left_out] == [WithheldReason.OPTED_OUT]
    assert len(letters.letters) == 1


def test_a_message_that_turns_out_not_to_have_arrived_is_not_corrected(campaign: Campaign):
    wrong = make_wrong(campaign)
    wave = approve(correct(wrong))
    message = db.session.scalars(sa.select(Message).order_by(Message.id)).first()
    set_status([message], S.FAILED)
    services.start_wave(wave)
    assert message.address not in addresses(wave)
    assert len(addresses(wave)) == 1


def test_what_was_cancelled_because_it_had_arrived_is_corrected(campaign: Campaign):
    """It was put back into the queue, and a receipt proved that it need not be sent again."""
    wrong = make_wrong(campaign)
    message = db.session.scalars(sa.select(Message).order_by(Message.id)).first()
    set_status([message], S.QUEUED)
    receipts.take([Report("test:1", message.id, 0, ReceiptKind.DELIVERED)], clock.now())
    db.session.commit()
    assert message.status is S.CANCELLED
    wave = approve(correct(wrong))
    services.start_wave(wave)
    assert message.address in addresses(wave)


def test_what_may_have_arrived_is_corrected_also_when_it_was_given_up(campaign: Campaign):
    wrong = make_wrong(campaign)
    message = db.session.scalars(sa.select(Message).order_by(Message.id)).first()
    set_status([message], S.UNKNOWN)
    outbox.settle_unknown(message, outbox.Decision.CANCEL, clock.now())
    db.session.commit()
    wave = approve(correct(wrong))
    services.start_wave(wave)
    assert message.address in addresses(wave)


def test_who_was_erased_since_is_left_out_and_said_so(campaign: Campaign):
    wrong = make_wrong(campaign)
    message = db.session.scalars(sa.select(Message).order_by(Message.id)).first()
    erasure.erase_letters([message.contact_id], name="（已删除）")
    letters = preview_wave(correct(wrong))
    assert [member.withheld.reason for member in letters.left_out] == [WithheldReason.NO_ADDRESS]
    assert len(letters.letters) == 1


def test_nothing_is_added_to_an_approved_correction(app: Flask, campaign: Campaign):
    wrong = make_wrong(campaign)
    wave = approve(correct(wrong))
    services.start_wave(wave)
    row = db.session.scalars(sa.select(Message).filter_by(wave_id=wave.id)).first()
    row.address_hash = "0" * 64
    db.session.commit()
    fake_channel.install(app)
    delivery.drain()
    db.session.refresh(row)
    assert row.withheld_reason is WithheldReason.NOT_IN_AUDIENCE


def test_the_author_of_a_correction_cannot_approve_it(campaign: Campaign):
    author = make_user(Role.SECRETARY_GENERAL)
    wave = services.create_correction(make_wrong(campaign), make_plan(), author=author)
    services.submit_wave(wave, by=author)
    with pytest.raises(Refused, match="另一人"):
        services.approve_wave(wave, by=author)


@pytest.mark.parametrize("status", [WaveStatus.RUNNING, WaveStatus.PAUSED])
def test_a_wave_that_may_go_on_has_to_be_cancelled_first(campaign: Campaign, status: WaveStatus):
    wrong = make_wrong(campaign)
    wrong.status = status
    db.session.commit()
    with pytest.raises(Refused, match="请先取消"):
        correct(wrong)


def test_a_wave_has_one_correction_at_a_time(campaign: Campaign):
    wrong = make_wrong(campaign)
    first = correct(wrong)
    with pytest.raises(Refused, match="已有更正"):
        correct(wrong)
    services.cancel_wave(first)
    assert correct(wrong).correction_of_id == wrong.id


def test_a_correction_that_reached_nobody_does_not_stand_in_the_way_of_another(campaign: Campaign):
    wrong = make_wrong(campaign)
    first = correct(wrong)
    first.status = WaveStatus.FINISHED
    db.session.commit()
    assert correct(wrong).correction_of_id == wrong.id


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_two_who_correct_a_wave_at_once_make_one_correction(
    app: Flask, campaign: Campaign, monkeypatch
):
    wrong_id, author_id = make_wrong(campaign).id, make_user().id
    version_id = make_template().id
    write_both_at_once(monkeypatch)
    db.session.commit()

    def write(_number: int) -> bool:
        with app.app_context():
            plan = make_plan(db.session.get_one(TemplateVersion, version_id))
            wrong, author = db.session.get_one(Wave, wrong_id), db.session.get_one(User, author_id)
            try:
                services.create_correction(wrong, plan, author=author)
            except Refused:
                return False
            db.session.commit()
            return True

    with ThreadPoolExecutor(2) as people:
        assert sorted(people.map(write, range(2))) == [False, True]


def test_the_wrong_words_cannot_be_the_correction(campaign: Campaign):
    wrong = make_wrong(campaign)
    with pytest.raises(Refused, match="发错的那份文字"):
        correct(wrong, version=wrong.template_version)


def test_a_wave_over_two_channels_is_corrected_over_both(campaign: Campaign):
    wrong = make_wrong(campaign)
    message = db.session.scalars(sa.select(Message).order_by(Message.id)).first()
    message.channel, message.address = Channel.SMS, "+8613800001234"
    message.address_hash = hash_address(Channel.SMS, message.address)
    db.session.commit()
    with pytest.raises(Refused, match="短信"):
        correct(wrong)
    sms = make_template(Channel.SMS, subject="", body="((联系人))：前一条通知有误，请以此为准。")
    wave = approve(correct(wrong, fallback=sms))
    services.start_wave(wave)
    rows = db.session.scalars(sa.select(Message).filter_by(wave_id=wave.id))
    assert {row.channel for row in rows} == {Channel.EMAIL, Channel.SMS}
    assert "+8613800001234" in addresses(wave)


def test_a_correction_need_not_say_that_giving_is_voluntary(campaign: Campaign):
    wave = correct(make_wrong(campaign), version=make_template(body="前信日期有误，应为十月。"))
    assert not [f for f in preview_wave(wave).findings if "自愿" in str(f.message)]


def test_two_units_that_shared_the_wrong_letter_share_the_correction(campaign: Campaign):
    units = make_unit(), make_unit()
    for unit in units:
        make_contact(unit, email="same@unit.example")
    wrong = make_running_wave(solicitations=[make_solicitation(campaign, unit=units[0])])
    other = make_solicitation(campaign, unit=units[1])
    message = db.session.scalars(sa.select(Message)).one()
    queueing._link({message.id: [other.id]})
    set_status([message], S.SENT)
    wrong.status = WaveStatus.FINISHED
    db.session.commit()
    wave = approve(correct(wrong))
    assert services.start_wave(wave) == 1
    row = db.session.scalars(sa.select(Message).filter_by(wave_id=wave.id)).one()
    assert len(row.links) == 2


# Pages


def test_a_correction_from_the_page_of_the_wrong_wave(campaign: Campaign, sign_in):
    wrong = make_wrong(campaign)
    version = make_template()
    staff = sign_in()
    assert "发更正" in staff.get(f"/c/2026/waves/{wrong.id}").text
    page = staff.get(f"/c/2026/waves/{wrong.id}/correct").text
    assert "2 <small>位收件人" in page
    data = {"name": "更正", "start": "now", "template_version_id": version.id}
    assert staff.post(f"/c/2026/waves/{wrong.id}/correct", data=data).status_code == 302
    wave = db.session.scalars(sa.select(Wave).filter_by(correction_of_id=wrong.id)).one()
    assert f"/waves/{wrong.id}" in staff.get(f"/c/2026/waves/{wave.id}").text
    wrong_page = staff.get(f"/c/2026/waves/{wrong.id}").text
    assert "这一批已有更正" in wrong_page
    assert "/correct" not in wrong_page
    assert "这一批已有更正" in staff.get(f"/c/2026/waves/{wrong.id}/correct").text
    assert staff.get(f"/c/2026/waves/{wave.id}/edit").location.endswith("/correction")
    assert post(staff, wave, "correction", **data | {"name": "改过的更正"}).status_code == 302
    db.session.expire_all()
    assert (wave.name, wave.correction_of_id) == ("改过的更正", wrong.id)
    assert post(staff, wave, "submit").status_code == 302
    assert post(sign_in(Role.SECRETARY_GENERAL), wave, "approve").status_code == 302


def test_a_form_without_a_text_says_so_and_keeps_the_rest(campaign: Campaign, sign_in):
    wrong = make_wrong(campaign)
    make_template()
    data = {"name": "我写的名称", "start": "now", "template_version_id": ""}
    answer = sign_in().post(f"/c/2026/waves/{wrong.id}/correct", data=data)
    assert answer.status_code == 422
    assert "请选择更正的文字" in answer.text
    assert "我写的名称" in answer.text


def test_a_paused_wave_offers_to_be_cancelled_first(campaign: Campaign, sign_in):
    wrong = make_wrong(campaign)
    wrong.status = WaveStatus.PAUSED
    db.session.commit()
    page = sign_in().get(f"/c/2026/waves/{wrong.id}/correct").text
    assert "先停下发错的这一批" in page
    assert f"/waves/{wrong.id}/cancel" in page
    assert "template_version_id" not in page


def test_an_auditor_may_look_but_not_correct(campaign: Campaign, sign_in):
    wrong = make_wrong(campaign)
    auditor = sign_in(Role.AUDITOR)
    assert "/correct" not in auditor.get(f"/c/2026/waves/{wrong.id}").text
    assert auditor.get(f"/c/2026/waves/{wrong.id}/correct").status_code == 403


def test_a_wave_of_another_campaign_is_not_corrected_from_here(campaign: Campaign, sign_in):
    other = make_wrong(make_campaign())
    assert sign_in().get(f"/c/2026/waves/{other.id}/correct").status_code == 404


def test_the_period_of_a_correction_is_checked_like_any_other(campaign: Campaign):
    now = clock.now()
    with pytest.raises(Refused, match="最迟发送时间"):
        correct(make_wrong(campaign), not_after=now - timedelta(days=1))


def test_a_unit_that_was_made_of_two_since_is_corrected_at_both_readers(
    app: Flask, campaign: Campaign
):
    wrong = make_wrong(campaign)
    one, other = db.session.scalars(sa.select(Unit).order_by(Unit.id))
    merge_units(one, other, fingerprint=plan_merge(one, other).fingerprint, by=make_user())
    db.session.commit()
    wave = approve(correct(wrong))
    services.start_wave(wave)
    db.session.commit()
    fake_channel.install(app)
    delivery.drain()
    assert addresses(wave) == addresses(wrong)
    assert waves.counts(wave.id)[S.SENT] == 2
    assert {row.solicitation.unit_id for row in db.session.scalars(sa.select(WaveMember))} == {
        one.id
    }


@pytest.mark.parametrize("status", [S.EXPIRED, S.FAILED, S.WITHHELD])
def test_whom_a_correction_did_not_reach_gets_another_one_and_nobody_gets_two(
    app: Flask, campaign: Campaign, sign_in, status: S
):
    wrong = make_wrong(campaign, 4)
    first = approve(correct(wrong))
    services.start_wave(first)
    rows = list(db.session.scalars(sa.select(Message).filter_by(wave_id=first.id)))
    for row, became in zip(rows, (S.SENT, S.UNKNOWN, status, S.CANCELLED), strict=True):
        set_status([row], became)
    with pytest.raises(Refused, match="已有更正"):
        correct(wrong)
    waves.finish_waves()
    db.session.commit()
    db.session.expire_all()
    staff = sign_in()
    page = staff.get(f"/c/2026/waves/{wrong.id}").text
    assert "发更正" in page
    assert "这一批已有更正" in page
    assert "2 <small>位收件人" in staff.get(f"/c/2026/waves/{wrong.id}/correct").text
    second = approve(correct(wrong))
    services.start_wave(second)
    db.session.commit()
    assert addresses(second) == {row.address for row in rows[2:]}
    set_status(list(db.session.scalars(sa.select(Message).filter_by(wave_id=second.id))), S.SENT)
    waves.finish_waves()
    db.session.commit()
    db.session.expire_all()
    with pytest.raises(Refused, match="不再发第二次"):
        correct(wrong)
    assert "/correct" not in staff.get(f"/c/2026/waves/{wrong.id}").text
    assert "这一批已有更正" in staff.get(f"/c/2026/waves/{wrong.id}/correct").text


def test_whom_a_correction_reached_before_it_was_cancelled_gets_no_second_one(campaign: Campaign):
    wrong = make_wrong(campaign)
    first = approve(correct(wrong))
    services.start_wave(first)
    reached, other = db.session.scalars(sa.select(Message).filter_by(wave_id=first.id))
    set_status([reached], S.SENT)
    services.cancel_wave(first)
    db.session.commit()
    second = approve(correct(wrong))
    services.start_wave(second)
    assert addresses(second) == {other.address}


def test_whom_the_first_correction_reached_after_all_is_taken_out_of_an_approved_second_one(
    campaign: Campaign,
):
    wrong = make_wrong(campaign)
    first = approve(correct(wrong))
    services.start_wave(first)
    late, other = db.session.scalars(sa.select(Message).filter_by(wave_id=first.id))
    set_status([late, other], S.FAILED)
    waves.finish_waves()
    db.session.commit()
    db.session.expire_all()
    second = approve(correct(wrong))
    set_status([late], S.DELIVERED)
    services.start_wave(second)
    assert addresses(second) == {other.address}


def test_wrong_words_are_not_sent_again_once_there_is_a_correction(campaign: Campaign, sign_in):
    wrong = make_wrong(campaign, status=S.UNKNOWN)
    wave = correct(wrong)
    message = db.session.scalars(sa.select(Message).filter_by(wave_id=wrong.id)).first()
    data = {"decision": "resend", "reason": "没收到", "resend_no": message.resend_no}
    staff = sign_in(Role.ADMINISTRATOR)
    answer = staff.post(f"/messages/{message.id}/resolve", data=data)
    assert answer.status_code == 422
    assert f"所在批次已有更正“{wave.name}”" in answer.text
    db.session.expire_all()
    assert (message.status, wrong.status) == (S.UNKNOWN, WaveStatus.FINISHED)
    services.cancel_wave(wave)
    db.session.commit()
    assert staff.post(f"/messages/{message.id}/resolve", data=data).status_code == 302
    assert db.session.get(Message, message.id).status is S.QUEUED
