"""Who cannot be reached by the first channel is written to once by the other."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from outreach import clock
from outreach.access import Role
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign
from outreach.db import db, insert_new
from outreach.errors import Refused
from outreach.merging.plans import plan_merge
from outreach.merging.services import merge_units
from outreach.messages import delivery, opt_outs, outbox, waves
from outreach.messages.addresses import hash_address
from outreach.messages.channels import Outcome, Outgoing, accepted, misconfigured, rejected, unknown
from outreach.messages.models import (
    Channel,
    FailureKind,
    Message,
    MessageStatus,
    OptOut,
    TemplateVersion,
    Wave,
    WaveStatus,
    WithheldReason,
)
from outreach.messages.services import switch_sending
from outreach.reminders import services
from outreach.reminders.fallbacks import queue_fallbacks
from outreach.reminders.models import WaveMember
from outreach.reminders.queries import measure_progress, preview_wave
from outreach.units.models import Contact, Unit
from tests import fake_channel
from tests.copies import Copy
from tests.factories import (
    make_campaign,
    make_contact,
    make_gift,
    make_solicitation,
    make_template,
    make_unit,
    make_user,
    open_sending,
)
from tests.test_waves import make_approved, make_plan, make_wave

S = MessageStatus


@pytest.fixture
def campaign(app: Flask) -> Campaign:
    open_sending()
    return make_campaign(code="2026")


def make_sms():
    return make_template(Channel.SMS, subject="", body="((联系人))您好，请查收工作通知。")


def start(campaign: Campaign, **values) -> Wave:
    """A wave by e-mail with a text message behind it, queued."""
    wave = make_approved(campaign, **{"fallback": make_sms()} | values)
    services.start_wave(wave)
    db.session.commit()
    return wave


def refuse_mail(message: Outgoing) -> Outcome:
    return rejected("550") if "@" in message.address else accepted("ok")


def sweep() -> int:
    queued = queue_fallbacks(clock.now())
    db.session.commit()
    return queued


def deliver_and_finish() -> None:
    delivery.drain()
    waves.finish_waves()
    db.session.commit()


def rows_of(wave: Wave) -> list[Message]:
    db.session.expire_all()
    query = sa.select(Message).filter_by(wave_id=wave.id).order_by(Message.id)
    return list(db.session.scalars(query))


def fail(wave: Wave, **values) -> Message:
    """Its first message fails for good, as the outbox would write it."""
    message = rows_of(wave)[0]
    message.status, message.failure = S.FAILED, FailureKind.REJECTED
    for name, value in values.items():
        setattr(message, name, value)
    db.session.commit()
    return message


# Channel order


def test_who_prefers_the_other_channel_is_written_to_by_it(campaign: Campaign):
    solicitation = make_solicitation(campaign)
    solicitation.unit.contacts[0].preferred_channel = Channel.SMS
    make_solicitation(campaign)
    db.session.commit()
    wave = start(campaign)
    assert sorted(row.channel for row in rows_of(wave)) == [Channel.EMAIL, Channel.SMS]
    assert next(row.body_text for row in rows_of(wave) if row.channel is Channel.SMS).endswith(
        "请查收工作通知。"
    )


def test_who_has_only_the_other_address_is_written_to_there(campaign: Campaign):
    unit = make_unit()
    make_contact(unit, email="")
    make_solicitation(campaign, unit=unit)
    wave = start(campaign)
    assert [row.channel for row in rows_of(wave)] == [Channel.SMS]
    assert db.session.scalars(sa.select(WaveMember.channel)).one() is Channel.SMS


def test_without_a_text_for_it_a_preference_changes_nothing(campaign: Campaign):
    solicitation = make_solicitation(campaign)
    solicitation.unit.contacts[0].preferred_channel = Channel.SMS
    db.session.commit()
    assert [row.channel for row in rows_of(start(campaign, fallback=None))] == [Channel.EMAIL]


def test_an_opt_out_is_not_got_round_by_the_other_channel(campaign: Campaign):
    contact = make_solicitation(campaign).unit.contacts[0]
    opt_out(Channel.EMAIL, contact.email)
    letters = preview_wave(make_wave(campaign, fallback=make_sms()))
    assert [member.withheld.reason for member in letters.left_out] == [WithheldReason.OPTED_OUT]


def opt_out(channel: Channel, address: str) -> None:
    key = {"channel": channel, "address_hash": hash_address(channel, address)}
    insert_new(OptOut, [key | {"source": "t", "at": clock.now()}], ["channel", "address_hash"])
    db.session.commit()


def test_two_texts_for_one_channel_are_refused(campaign: Campaign):
    with pytest.raises(Refused, match="同一渠道"):
        services.create_wave(campaign, make_plan(fallback=make_template()), author=make_user())


@pytest.mark.parametrize(
    "change",
    [
        lambda: sa.update(WaveMember).values(fallback_hash="0" * 64),
        lambda: sa.update(WaveMember).values(channel=Channel.SMS),
        lambda: sa.update(Wave).values(fallback_version_id=make_sms().id),
    ],
)
def test_the_approval_is_for_the_second_text_and_the_second_address_too(campaign: Campaign, change):
    make_solicitation(campaign)
    wave = make_approved(campaign, fallback=make_sms())
    db.session.execute(change())
    db.session.commit()
    db.session.expire_all()
    with pytest.raises(Refused, match="与批准时不一致"):
        services.start_wave(wave)


def test_a_second_text_with_a_hole_cannot_be_submitted(campaign: Campaign):
    make_solicitation(campaign)
    first = make_template(Channel.SMS, subject="", body="((联系人))您好，请查收工作通知。")
    second = make_template(body="上年度((上年度捐款))，捐赠自愿")
    wave = make_wave(campaign, version=first, fallback=second)
    with pytest.raises(Refused, match="上年度捐款"):
        services.submit_wave(wave, by=make_user())


# When the first channel fails


def test_a_refused_mail_is_followed_by_one_text_message(app: Flask, campaign: Campaign):
    make_solicitation(campaign)
    wave = start(campaign)
    channel = fake_channel.install(app, refuse_mail)
    deliver_and_finish()
    assert db.session.get(Wave, wave.id).status is WaveStatus.FINISHED
    assert sweep() == 1
    assert db.session.get(Wave, wave.id).status is WaveStatus.RUNNING
    deliver_and_finish()
    first, second = rows_of(wave)
    assert (first.status, second.status) == (S.FAILED, S.SENT)
    assert (second.channel, second.fallback_of_id) == (Channel.SMS, first.id)
    assert second.contact_id == first.contact_id
    assert second.not_after == db.session.get(Wave, wave.id).not_after
    assert sweep() == 0
    deliver_and_finish()
    assert sum(channel.taken.values()) == 1
    assert db.session.get(Wave, wave.id).status is WaveStatus.FINISHED


def test_who_opts_out_of_the_channel_that_failed_is_not_written_to_by_the_other(
    campaign: Campaign,
):
    make_solicitation(campaign)
    wave = start(campaign)
    fail(wave)
    [failed] = rows_of(wave)
    opt_outs.add(failed.channel, failed.address_hash, source="link")
    assert sweep() == 0


def test_the_sweep_queues_once_however_often_it_runs(campaign: Campaign):
    make_solicitation(campaign)
    wave = start(campaign)
    fail(wave)
    assert [sweep(), sweep(), sweep()] == [1, 0, 0]
    assert len(rows_of(wave)) == 2


def test_two_sweeps_at_once_queue_one_message(app: Flask, campaign: Campaign):
    for _unit in range(3):
        make_solicitation(campaign)
    wave = start(campaign)
    for message in rows_of(wave):
        message.status, message.failure = S.FAILED, FailureKind.BOUNCED
    db.session.commit()
    wave_id = wave.id
    db.session.remove()
    together = threading.Barrier(2)

    def run(_worker: int) -> int:
        with app.app_context():
            together.wait()
            return sweep()

    with ThreadPoolExecutor(2) as workers:
        assert sum(workers.map(run, range(2))) == 3
    rows = db.session.scalars(
        sa.select(Message.fallback_of_id).where(
            Message.wave_id == wave_id, Message.fallback_of_id.is_not(None)
        )
    ).all()
    assert len(rows) == len(set(rows)) == 3


def test_what_failed_before_a_restore_does_not_fall_back_by_itself(app: Flask, campaign: Campaign):
    """Its fallback may be out already: the copy that was put back is from before it."""
    make_solicitation(campaign)
    start(campaign)
    channel = fake_channel.install(app, refuse_mail)
    deliver_and_finish()
    copy = Copy()
    assert sweep() == 1
    deliver_and_finish()
    assert list(channel.taken.values()) == [1]
    copy.put_back()
    switch_sending(is_on=True)
    db.session.commit()
    assert sweep() == 0
    campaign = db.session.scalars(sa.select(Campaign)).one()
    start(campaign)  # what is queued from then on falls back as ever
    deliver_and_finish()
    assert sweep() == 1


def test_a_fallback_that_fails_has_no_fallback_of_its_own(app: Flask, campaign: Campaign):
    make_solicitation(campaign)
    wave = start(campaign)
    fake_channel.install(app, lambda _message: rejected("no"))
    deliver_and_finish()
    assert sweep() == 1
    deliver_and_finish()
    assert sweep() == 0
    assert [row.status for row in rows_of(wave)] == [S.FAILED, S.FAILED]


@pytest.mark.parametrize(
    "status", [S.QUEUED, S.SENDING, S.SENT, S.DELIVERED, S.UNKNOWN, S.EXPIRED, S.CANCELLED]
)
def test_only_what_failed_for_good_falls_back(campaign: Campaign, status: S):
    make_solicitation(campaign)
    wave = start(campaign)
    rows_of(wave)[0].status = status
    db.session.commit()
    assert sweep() == 0


def test_what_was_withheld_does_not_fall_back(campaign: Campaign):
    make_solicitation(campaign)
    wave = start(campaign)
    fail(wave, status=S.WITHHELD, failure=None, withheld_reason=WithheldReason.OPTED_OUT)
    assert sweep() == 0


def test_an_unknown_outcome_does_not_fall_back(app: Flask, campaign: Campaign):
    make_solicitation(campaign)
    start(campaign)
    fake_channel.install(app, lambda _message: unknown("lost"))
    deliver_and_finish()
    assert sweep() == 0


def test_what_our_own_account_kept_back_does_not_fall_back(
    app: Flask, campaign: Campaign, tuesday_morning
):
    make_solicitation(campaign)
    wave = start(campaign)
    fake_channel.install(app, lambda _message: misconfigured("535"))
    for _attempt in range(outbox.MAX_ATTEMPTS):
        delivery.drain()
        tuesday_morning.shift(timedelta(hours=6))
        db.session.execute(sa.update(Wave).values(status=WaveStatus.RUNNING))
        db.session.commit()
    assert rows_of(wave)[0].failure is FailureKind.EXHAUSTED
    assert sweep() == 0


@pytest.mark.parametrize("status", [WaveStatus.PAUSED, WaveStatus.CANCELLED])
def test_a_wave_that_was_stopped_does_not_fall_back(campaign: Campaign, status: WaveStatus):
    make_solicitation(campaign)
    wave = start(campaign)
    fail(wave)
    db.session.execute(sa.update(Wave).values(status=status))
    db.session.commit()
    assert sweep() == 0


def test_nothing_falls_back_after_the_last_day_of_the_wave(campaign: Campaign, tuesday_morning):
    make_solicitation(campaign)
    wave = start(campaign)
    fail(wave)
    tuesday_morning.shift(timedelta(days=4))
    assert sweep() == 0


def test_nothing_falls_back_when_the_campaign_is_not_as_approved_and_the_page_says_so(
    campaign: Campaign, sign_in
):
    make_solicitation(campaign)
    text = "((联系人))您好，((活动名称))将于((截止日期))结束，请查收工作通知。"
    wave = start(campaign, fallback=make_template(Channel.SMS, subject="", body=text))
    fail(wave)
    name, campaign.name = campaign.name, "另一个活动"
    db.session.commit()
    assert sweep() == 0
    says = "有 1 条发送失败的没有改用另一渠道"
    client = sign_in()
    assert says in client.get(f"/c/2026/waves/{wave.id}").text
    campaign = db.session.get_one(Campaign, campaign.id)
    campaign.name, ends_on = name, campaign.ends_on
    campaign.ends_on = ends_on + timedelta(days=1)
    db.session.commit()
    assert sweep() == 0
    campaign.ends_on = ends_on
    db.session.commit()
    assert says not in client.get(f"/c/2026/waves/{wave.id}").text
    assert sweep() == 1


def test_a_wave_that_is_being_corrected_does_not_go_on_by_the_other_channel(campaign: Campaign):
    for _unit in range(2):
        make_solicitation(campaign)
    wave = start(campaign)
    fail(wave)
    other = rows_of(wave)[1]
    other.status, other.sent_at = S.SENT, clock.now()
    wave.status = WaveStatus.FINISHED
    db.session.commit()
    correction = services.create_correction(wave, make_plan(), author=make_user())
    db.session.commit()
    assert sweep() == 0
    services.cancel_wave(correction)
    db.session.commit()
    assert sweep() == 1


def test_the_gate_is_asked_about_a_fallback_as_about_anything(app: Flask, campaign: Campaign):
    gave, opted_out, free = (make_solicitation(campaign) for _ in range(3))
    wave = start(campaign)
    fake_channel.install(app, refuse_mail)
    deliver_and_finish()
    sweep()
    make_gift(gave)
    opt_out(Channel.SMS, opted_out.unit.contacts[0].mobile)
    deliver_and_finish()
    by_unit = {
        row.links[0].solicitation_id: row for row in rows_of(wave) if row.fallback_of_id is not None
    }
    assert by_unit[gave.id].withheld_reason is WithheldReason.ALREADY_GIVEN
    assert by_unit[opted_out.id].withheld_reason is WithheldReason.OPTED_OUT
    assert by_unit[free.id].status is S.SENT


def test_a_number_that_was_not_approved_is_not_written_to(app: Flask, campaign: Campaign):
    solicitation = make_solicitation(campaign)
    wave = start(campaign)
    fail(wave)
    contact = solicitation.unit.contacts[0]
    approved, contact.mobile = contact.mobile, "+8613900001234"
    db.session.commit()
    assert sweep() == 0
    contact.mobile = approved
    db.session.commit()
    assert sweep() == 1
    second = rows_of(wave)[1]
    second.address_hash = hash_address(Channel.SMS, "+8613900001234")
    db.session.commit()
    fake_channel.install(app)
    delivery.drain()
    assert rows_of(wave)[1].withheld_reason is WithheldReason.NOT_IN_AUDIENCE


def test_the_second_address_is_for_fallbacks_alone(app: Flask, campaign: Campaign):
    make_solicitation(campaign)
    wave = start(campaign)
    fail(wave)
    sweep()
    second = rows_of(wave)[1]
    second.fallback_of_id = None
    db.session.commit()
    fake_channel.install(app)
    delivery.drain()
    assert rows_of(wave)[1].withheld_reason is WithheldReason.NOT_IN_AUDIENCE


def test_a_contact_whose_first_address_was_mended_meanwhile_still_falls_back(campaign: Campaign):
    solicitation = make_solicitation(campaign)
    fail(start(campaign))
    solicitation.unit.contacts[0].email = "mended@unit.example"
    db.session.commit()
    assert sweep() == 1


def test_a_number_that_the_wave_writes_to_already_gets_no_second_message(campaign: Campaign):
    first, second = make_unit(), make_unit()
    make_contact(first, mobile="+8613800001234")
    make_contact(second, mobile="+8613800001234", preferred_channel=Channel.SMS)
    for unit in (first, second):
        make_solicitation(campaign, unit=unit)
    wave = start(campaign)
    fail(wave, channel=Channel.EMAIL) if rows_of(wave)[0].channel is Channel.EMAIL else None
    assert {row.channel for row in rows_of(wave)} == {Channel.EMAIL, Channel.SMS}
    assert sweep() == 0


def test_two_persons_who_share_a_mailbox_do_not_get_each_other_s_unit(campaign: Campaign):
    for _unit in range(2):
        unit = make_unit()
        make_contact(unit, email="same@unit.example")
        make_solicitation(campaign, unit=unit)
    wave = start(campaign)
    fail(wave)
    assert sweep() == 0


def test_the_state_of_every_recipient_is_told_with_its_fallback(
    app: Flask, campaign: Campaign, sign_in
):
    for _unit in range(3):
        make_solicitation(campaign)
    wave = start(campaign)
    fake_channel.install(app, refuse_mail)
    deliver_and_finish()
    sweep()
    deliver_and_finish()
    progress = measure_progress([wave.id])[wave.id]
    assert progress.total == 6
    assert (progress.counts[S.FAILED], progress.counts[S.SENT]) == (3, 3)
    assert progress.fallbacks == {Channel.SMS: 3}
    assert progress.total - sum(progress.fallbacks.values()) == 3
    page = sign_in().get(f"/c/2026/waves/{wave.id}").text
    assert "其中 3 条改用短信" in page
    second = rows_of(wave)[-1]
    assert f"/messages/{second.fallback_of_id}" in sign_in().get(f"/messages/{second.id}").text


def test_the_task_wakes_delivery_when_there_is_something(app: Flask, campaign: Campaign):
    from tasks.waves import fall_back

    make_solicitation(campaign)
    wave = start(campaign)
    fall_back.run()
    assert app.extensions["woken"] == []
    fail(wave)
    assert fall_back.run() == "1 条改用另一渠道"
    assert app.extensions["woken"] == ["deliver"]


# Pages


def test_the_second_text_is_chosen_in_the_form_of_the_wave(campaign: Campaign, sign_in):
    make_solicitation(campaign)
    mail, sms = make_template(), make_sms()
    data = {"name": "十月提醒", "sectors": "all", "start": "now", "template_version_id": mail.id}
    client = sign_in(Role.STAFF)
    wrong = client.post("/c/2026/waves/new", data=data | {"fallback_version_id": mail.id})
    assert wrong.status_code == 422
    assert "同一渠道" in wrong.text
    client.post("/c/2026/waves/new", data=data | {"fallback_version_id": sms.id})
    wave = db.session.scalars(sa.select(Wave)).one()
    assert wave.fallback_version_id == sms.id
    page = client.get(f"/c/2026/waves/{wave.id}").text
    assert "1 位收件人另有一种联系方式" in page
    assert "请查收工作通知" in page
    count = "/c/2026/waves/audience?sectors=all&template_version_id"
    shown = client.get(f"{count}={mail.id}&fallback_version_id={sms.id}").text
    assert "全部改发也不超过 1 条计费" in shown
    assert "同一渠道" in client.get(f"{count}={mail.id}&fallback_version_id={mail.id}").text


def test_the_preference_is_kept_with_the_contact(campaign: Campaign, sign_in):
    contact = make_solicitation(campaign).unit.contacts[0]
    client = sign_in()
    typed = {"name": "王敏", "role": "coordinator", "valid_from": "2026-10-20"}
    client.post(f"/units/contacts/{contact.id}", data=typed | {"preferred_channel": "sms"})
    db.session.refresh(contact)
    assert contact.preferred_channel is Channel.SMS
    page = client.get(f"/units/contacts/{contact.id}").text
    assert '<option selected value="sms">' in page
    refused = client.post(f"/units/contacts/{contact.id}", data=typed | {"preferred_channel": "x"})
    assert refused.status_code == 200, "shown again, not taken"
    db.session.refresh(contact)
    assert contact.preferred_channel is Channel.SMS
    client.post(f"/units/contacts/{contact.id}", data=typed | {"preferred_channel": ""})
    db.session.refresh(contact)
    assert contact.preferred_channel is None


def test_an_author_of_a_fallback_is_the_author_of_the_wave(campaign: Campaign):
    make_solicitation(campaign)
    wave = start(campaign)
    fail(wave)
    sweep()
    author = db.session.get(User, wave.author_id)
    assert rows_of(wave)[1].reply_to == author.email


def test_each_reader_of_a_unit_that_was_made_of_two_falls_back_alone(
    app: Flask, campaign: Campaign
):
    for _ in range(2):
        make_solicitation(campaign)
    wave = start(campaign)
    fake_channel.install(app, refuse_mail)
    deliver_and_finish()
    mobiles = set(db.session.scalars(sa.select(Contact.mobile)))
    one, other = db.session.scalars(sa.select(Unit).order_by(Unit.id))
    merge_units(one, other, fingerprint=plan_merge(one, other).fingerprint, by=None)
    db.session.commit()
    assert sweep() == 2
    assert {row.address for row in rows_of(wave) if row.fallback_of_id} == mobiles
    deliver_and_finish()
    assert [row.status for row in rows_of(wave)] == [S.FAILED, S.FAILED, S.SENT, S.SENT]


# One telephone behind several messages


def make_two_with_one_telephone(campaign: Campaign, *emails: str) -> list[Unit]:
    units = [make_unit(name="衡阳市甲局"), make_unit(name="衡阳市乙局")]
    for unit, email in zip(units, emails, strict=True):
        make_contact(unit, name="老王", email=email, mobile="+8613800009999")
        make_solicitation(campaign, unit=unit)
    return units


def make_naming_sms() -> TemplateVersion:
    return make_template(Channel.SMS, subject="", body="((单位名称))您好，请查收工作通知。")


def test_two_messages_with_one_telephone_behind_them_fall_back_to_one(
    app: Flask, campaign: Campaign
):
    fake_channel.install(app, refuse_mail)
    make_two_with_one_telephone(campaign, "a@unit.example", "b@unit.example")
    wave = start(campaign, fallback=make_naming_sms())
    delivery.drain()
    assert (sweep(), sweep()) == (1, 0)
    deliver_and_finish()
    *_mails, sms = rows_of(wave)
    assert sms.status is S.SENT
    assert len(sms.links) == 2
    assert all(name in sms.body_text for name in ("甲局", "乙局"))


def test_of_a_unit_that_was_made_of_two_the_name_stands_in_it_once(app: Flask, campaign: Campaign):
    fake_channel.install(app)
    survivor, loser = make_two_with_one_telephone(campaign, *["both@unit.example"] * 2)
    loser.contacts[0].name = "王老师"
    db.session.commit()
    wave = start(campaign, fallback=make_naming_sms())
    deliver_and_finish()
    merge_units(survivor, loser, fingerprint=plan_merge(survivor, loser).fingerprint, by=None)
    db.session.commit()
    fail(wave)
    assert sweep() == 1
    sms = rows_of(wave)[-1]
    assert sms.body_text.count("甲局") == 1
    assert len(sms.links) == 1
