"""What whoever approves a wave is told, and letters that people send to themselves."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from outreach import clock
from outreach.access import Role
from outreach.accounts.models import User
from outreach.audit import AuditEvent
from outreach.campaigns.models import Campaign
from outreach.db import db
from outreach.errors import Refused
from outreach.messages import delivery
from outreach.messages.models import (
    Channel,
    Message,
    MessageStatus,
    Purpose,
    SendingWindow,
    SendPolicy,
    TemplateVersion,
    Wave,
    WaveStatus,
)
from outreach.reminders import services
from outreach.reminders.comparison import Comparison, compare
from outreach.reminders.queries import preview_wave
from tests import fake_channel
from tests.factories import (
    make_campaign,
    make_contact,
    make_gift,
    make_solicitation,
    make_template,
    make_unit,
    make_user,
    open_sending,
    save,
)
from tests.test_waves import make_approved, make_wave
from tests.test_waves_pages import post

S = MessageStatus


@pytest.fixture
def campaign(app: Flask) -> Campaign:
    open_sending()
    return make_campaign(code="2026")


def send(app: Flask, campaign: Campaign, **values) -> Wave:
    """A wave that went out to all of its audience."""
    wave = make_approved(campaign, **values)
    services.start_wave(wave)
    db.session.commit()
    fake_channel.install(app)
    delivery.drain()
    db.session.execute(sa.update(Wave).filter_by(id=wave.id).values(status=WaveStatus.FINISHED))
    db.session.commit()
    return wave


def submit(campaign: Campaign, **values) -> Wave:
    wave = make_wave(campaign, **values)
    services.submit_wave(wave, by=db.session.get(User, wave.author_id))
    db.session.commit()
    return wave


def look_at(wave: Wave) -> Comparison:
    return compare(wave, preview_wave(wave))


# The difference


def test_units_that_are_new_and_units_that_are_gone_are_named_with_the_reason(
    app: Flask, campaign: Campaign
):
    stays, gave, snoozed = (make_solicitation(campaign) for _ in range(3))
    version = make_template()
    before = send(app, campaign, version=version)
    make_gift(gave)
    snoozed.snoozed_until = clock.today() + timedelta(days=30)
    new = make_solicitation(campaign)
    wave = submit(campaign, version=version)
    difference = look_at(wave).difference
    assert difference.before.id == before.id
    assert [unit.id for unit in difference.added] == [new.unit_id]
    reasons = {one.unit.id: one.reason for one in difference.dropped}
    assert reasons[gave.unit_id] == "已到账"
    assert "暂缓联系" in reasons[snoozed.unit_id]
    assert stays.unit_id not in reasons
    assert "新列入 1 家，不再列入 2 家；模板相同，渠道相同" in difference.lead


def test_a_unit_outside_the_filter_of_this_time_is_said_to_be_so(app: Flask, campaign: Campaign):
    kept, other = make_solicitation(campaign), make_solicitation(campaign)
    send(app, campaign)
    from outreach.reminders.audience import AudienceFilter

    chosen = AudienceFilter(sectors="chosen", sector_ids=(kept.sector_id,))
    difference = look_at(submit(campaign, audience=chosen)).difference
    assert [(one.unit.id, one.reason) for one in difference.dropped] == [
        (other.unit_id, "不在这次选择的范围内")
    ]


def test_it_is_told_whether_text_and_channel_are_the_same(app: Flask, campaign: Campaign):
    make_solicitation(campaign)
    first = make_template()
    send(app, campaign, version=first)
    second = save(
        TemplateVersion(
            template_id=first.template_id,
            number=2,
            subject="新主题",
            body="新的文字，捐赠自愿。",
            created_at=clock.now(),
        )
    )
    assert "由第 1 版改为第 2 版" in look_at(submit(campaign, version=second)).difference.text
    sms = make_template(Channel.SMS, subject="", body="((联系人))您好，请查收工作通知。")
    difference = look_at(submit(campaign, version=sms)).difference
    assert first.template.name in difference.text
    assert difference.channel == "渠道由邮件改为短信"


def test_the_first_wave_of_a_campaign_has_nothing_to_be_compared_with(
    app: Flask, campaign: Campaign
):
    other = make_campaign()
    make_solicitation(other)
    send(app, other)
    make_solicitation(campaign)
    assert look_at(submit(campaign)).difference is None


# The same words today, and how often before


def test_the_same_template_earlier_today_is_warned_of(app: Flask, campaign: Campaign):
    for _unit in range(3):
        make_solicitation(campaign)
    version = make_template()
    send(app, campaign, version=version)
    sent_today = look_at(submit(campaign, version=version)).sent_today
    assert sent_today.count == 3
    assert clock.local(sent_today.at).hour == 10


def test_the_same_words_under_another_name_are_warned_of_too(app: Flask, campaign: Campaign):
    make_solicitation(campaign)
    send(app, campaign, version=make_template())
    assert look_at(submit(campaign, version=make_template())).sent_today.count == 1


def test_other_words_other_units_and_other_days_are_not_warned_of(
    app: Flask, campaign: Campaign, tuesday_morning
):
    first = make_solicitation(campaign)
    version = make_template()
    wave = send(app, campaign, version=version)
    other_words = make_template(subject="别的", body="别的文字，捐赠自愿。")
    assert look_at(submit(campaign, version=other_words)).sent_today is None
    first.is_exempt = True
    make_solicitation(campaign)
    db.session.commit()
    assert look_at(submit(campaign, version=version)).sent_today is None
    first.is_exempt = False
    db.session.commit()
    assert look_at(submit(campaign, version=version)).sent_today is not None
    tuesday_morning.shift(timedelta(days=1))
    later = submit(campaign, version=version, not_after=clock.now() + timedelta(days=1))
    assert look_at(later).sent_today is None
    assert wave.status is WaveStatus.FINISHED


def test_what_reached_nobody_is_not_warned_of(app: Flask, campaign: Campaign):
    make_solicitation(campaign)
    version = make_template()
    wave = make_approved(campaign, version=version)
    services.start_wave(wave)
    services.cancel_wave(wave)
    db.session.commit()
    comparison = look_at(submit(campaign, version=version))
    assert comparison.sent_today is None
    assert comparison.most_asked == (0, 0)


def test_the_reminders_that_each_unit_has_had_are_counted(app: Flask, campaign: Campaign):
    twice = make_solicitation(campaign)
    send(app, campaign)
    once = make_solicitation(campaign)
    send(app, campaign, version=make_template(body="第二封，捐赠自愿。"))
    db.session.get(SendPolicy, 1).contact_cap = 9
    db.session.commit()
    comparison = look_at(submit(campaign))
    assert (comparison.asked[twice.id], comparison.asked[once.id]) == (2, 1)
    assert comparison.most_asked == (2, 1)


def test_the_page_in_review_tells_it_calmly(app: Flask, campaign: Campaign, sign_in):
    gave, stays = make_solicitation(campaign), make_solicitation(campaign)
    version = make_template()
    send(app, campaign, version=version, name="第一批")
    make_gift(gave)
    wave = submit(campaign, version=version)
    page = sign_in(Role.SECRETARY_GENERAL).get(f"/c/2026/waves/{wave.id}").text
    assert "与上一批“第一批”（10-20）相比：新列入 0 家，不再列入 1 家" in page
    assert '<details class="mt-2" id="difference">' in page
    assert "今天 10:00 已用同一模板发过 1 家" in page
    assert "最多提醒过 1 次（1 家）" in page
    assert "此前提醒过 1 次" in page
    assert gave.unit.name in page
    assert stays.unit.name in page


# Letters to oneself


def only_test() -> Message:
    return db.session.scalars(sa.select(Message).filter_by(purpose=Purpose.TEST)).one()


def test_a_person_reads_the_longest_letter_as_its_recipient_would(
    app: Flask, campaign: Campaign, sign_in
):
    make_solicitation(campaign, unit=(short := make_unit(name="甲局")))
    make_contact(short)
    long = make_unit(name="衡阳市某某某某某某某某某某某某某某单位")
    make_contact(long)
    make_solicitation(campaign, unit=long)
    wave = submit(campaign)
    letter = preview_wave(wave).longest
    person = make_user(Role.STAFF)
    assert post(sign_in(person), wave, "test").status_code == 302
    row = only_test()
    assert row.address == person.email
    assert row.subject == f"[测试] {letter.rendered.subject}"
    assert row.body_text == letter.rendered.text
    assert (row.contact_id, row.links, row.wave_id) == (None, [], None)
    assert app.extensions["woken"] == ["deliver"]
    events = db.session.scalars(sa.select(AuditEvent).filter_by(action="test.wave")).all()
    assert [event.subject for event in events] == [f"wave:{wave.id}"]
    assert person.email not in str(events[0].facts)


def test_a_double_click_sends_one_and_says_so(campaign: Campaign, sign_in, tuesday_morning):
    make_solicitation(campaign)
    wave = submit(campaign)
    client = sign_in()
    for _click in range(2):
        answer = client.post(f"/c/2026/waves/{wave.id}/test", follow_redirects=True)
    assert "没有再发" in answer.text
    assert only_test()
    tuesday_morning.shift(timedelta(minutes=1))
    post(client, wave, "test")
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Message)) == 2


def test_the_recipient_can_be_chosen_and_must_be_in_the_wave(campaign: Campaign, sign_in):
    chosen = make_solicitation(campaign)
    make_solicitation(campaign)
    stranger = make_solicitation(campaign, is_exempt=True)
    wave = submit(campaign)
    client = sign_in()
    post(client, wave, "test", solicitation_id=chosen.id)
    assert chosen.unit.name in only_test().body_text
    assert post(client, wave, "test", solicitation_id=stranger.id).status_code == 404
    assert post(client, wave, "test", solicitation_id="x").status_code == 400


def test_a_person_without_an_address_is_told_what_to_do(campaign: Campaign, sign_in):
    make_solicitation(campaign)
    by_mail = submit(campaign)
    sms = make_template(Channel.SMS, subject="", body="((联系人))您好，请查收工作通知。")
    by_sms = submit(campaign, version=sms)
    client = sign_in(make_user(Role.STAFF, email="", mobile=""))
    for wave, word in ((by_mail, "没有登记邮箱"), (by_sms, "没有登记手机号码")):
        answer = post(client, wave, "test")
        assert answer.status_code == 422
        assert word in answer.text
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Message)) == 0


def test_it_goes_out_at_any_hour_but_not_while_sending_is_off(
    app: Flask, campaign: Campaign, sign_in
):
    make_solicitation(campaign)
    wave, other = submit(campaign), submit(campaign)
    db.session.execute(sa.delete(SendingWindow))
    db.session.commit()
    client = sign_in()
    assert post(client, wave, "test").status_code == 302
    fake_channel.install(app)
    delivery.drain()
    assert only_test().status is S.SENT
    db.session.get(SendPolicy, 1).is_on = False
    db.session.commit()
    answer = post(client, other, "test")
    assert answer.status_code == 422
    assert "总开关已关闭" in answer.text


def test_it_does_not_count_as_a_reminder(app: Flask, campaign: Campaign):
    solicitation = make_solicitation(campaign)
    wave = submit(campaign)
    services.send_test(wave, None, to=make_user())
    db.session.commit()
    fake_channel.install(app)
    delivery.drain()
    db.session.refresh(solicitation)
    assert solicitation.last_contact_on is None
    assert look_at(wave).most_asked == (0, 0)


def test_a_wave_that_has_begun_is_not_tried_out(app: Flask, campaign: Campaign):
    make_solicitation(campaign)
    wave = send(app, campaign)
    with pytest.raises(Refused, match="不能再试发"):
        services.send_test(wave, None, to=make_user())


def test_an_auditor_sends_nothing(campaign: Campaign, sign_in):
    make_solicitation(campaign)
    wave = submit(campaign)
    auditor = sign_in(Role.AUDITOR)
    assert "/test" not in auditor.get(f"/c/2026/waves/{wave.id}").text
    assert post(auditor, wave, "test").status_code == 403


def test_a_text_is_tried_from_its_own_page_before_it_is_saved(
    app: Flask, campaign: Campaign, sign_in
):
    unit = make_solicitation(campaign).unit
    person = make_user(Role.STAFF)
    client = sign_in(person)
    data = {"channel": "email", "subject": "新主题", "body": "致((单位名称))，捐赠自愿。"}
    htmx = {"HX-Request": "true"}
    answer = client.post("/templates/test", data=data, headers=htmx)
    assert "已发给您自己" in answer.text
    assert "没有再发" in client.post("/templates/test", data=data, headers=htmx).text
    row = only_test()
    assert (row.subject, row.body_text) == ("[测试] 新主题", f"致{unit.name}，捐赠自愿。")
    assert row.address == person.email
    broken = client.post("/templates/test", data=data | {"body": "((无此项))"}, headers=htmx)
    assert broken.status_code == 422
    assert "((无此项))" in broken.text


# Progress that survives a lost connection


def test_a_running_page_keeps_asking_and_has_words_for_a_lost_connection(
    campaign: Campaign, sign_in
):
    make_solicitation(campaign)
    wave = make_approved(campaign)
    services.start_wave(wave)
    db.session.commit()
    url = f"/c/2026/waves/{wave.id}"
    for page in (url, f"{url}/progress?status=running"):
        text = sign_in().get(page).text
        assert "data-poll " in text
        assert 'role="status" hidden>' in text
        assert "连接中断，正在重试" in text
        assert '"timeout": 10000' in text
