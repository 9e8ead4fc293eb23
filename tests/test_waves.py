"""Waves from audience to the last message."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask
from sqlalchemy.exc import IntegrityError

from outreach import audit, clock
from outreach.access import Role
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, CampaignStatus, SectorLineage, Stage
from outreach.db import db
from outreach.errors import Forbidden, Refused
from outreach.messages import delivery, linting, outbox, waves
from outreach.messages.models import (
    Channel,
    Message,
    MessageStatus,
    TemplateVersion,
    Wave,
    WaveStatus,
    WithheldReason,
)
from outreach.reminders import services
from outreach.reminders.audience import AudienceFilter, SectorChoice
from outreach.reminders.models import WaveMember
from outreach.reminders.queries import preview_wave
from outreach.reminders.rendering import federation_name
from outreach.reminders.services import WavePlan, create_wave
from outreach.units.models import ContactRole
from tests import fake_channel
from tests.factories import (
    keep_office_hours,
    make_campaign,
    make_contact,
    make_gift,
    make_sector,
    make_solicitation,
    make_template,
    make_unit,
    make_user,
    open_sending,
    save,
)
from tests.services import PATIENCE


def make_plan(version: TemplateVersion | None = None, **values) -> WavePlan:
    now = clock.now()
    return WavePlan(
        **{
            "name": "十月提醒",
            "version": version or make_template(),
            "audience": AudienceFilter(),
            "starts_at": now,
            "not_after": now + timedelta(days=3),
        }
        | values
    )


def make_wave(campaign: Campaign, author: User | None = None, **values) -> Wave:
    plan = make_plan(**values)
    wave = create_wave(campaign, plan, author=author or make_user(Role.STAFF))
    db.session.commit()
    return wave


def make_approved(campaign: Campaign, **values) -> Wave:
    wave = make_wave(campaign, **values)
    services.submit_wave(wave, by=db.session.get(User, wave.author_id))
    services.approve_wave(wave, by=make_user(Role.SECRETARY_GENERAL))
    db.session.commit()
    return wave


def reasons(wave: Wave) -> dict[str, WithheldReason]:
    return {
        member.solicitation.unit.name: member.withheld.reason
        for member in preview_wave(wave).left_out
    }


@pytest.fixture
def campaign(app: Flask) -> Campaign:
    open_sending()
    return make_campaign()


# Audience


def test_only_outstanding_units_are_written_to(campaign: Campaign):
    outstanding, given = make_solicitation(campaign), make_solicitation(campaign)
    make_solicitation(campaign, stage=Stage.DECLINED, decline_reason="other")
    make_solicitation(campaign, is_exempt=True)
    make_gift(given)
    letters = preview_wave(make_wave(campaign)).letters
    assert [letter.units for letter in letters] == [outstanding.unit.name]


def test_an_audience_of_lagging_sectors_leaves_the_others_out(campaign: Campaign):
    before = make_campaign(starts_on=date(2025, 9, 1), ends_on=date(2025, 12, 31))
    campaign.previous_id = before.id
    ahead, lagging = make_sector(campaign), make_sector(campaign)
    for sector, raised in ((ahead, 100_000_00), (lagging, 1_00)):
        last_year = make_sector(before, name=sector.name)
        save(SectorLineage(sector_id=sector.id, predecessor_id=last_year.id))
        giver = make_solicitation(before, last_year)
        make_gift(giver, 100_000_00, received_on=date(2025, 9, 10))
        make_gift(make_solicitation(campaign, sector), raised)
    wanted = make_solicitation(campaign, lagging)
    make_solicitation(campaign, ahead)
    wave = make_wave(campaign, audience=AudienceFilter(sectors=SectorChoice.LAGGING))
    assert [letter.units for letter in preview_wave(wave).letters] == [wanted.unit.name]


def test_filters_narrow_the_audience(campaign: Campaign):
    before = make_campaign(starts_on=date(2025, 9, 1), ends_on=date(2025, 12, 31))
    campaign.previous_id = before.id
    solicitor = make_user()
    lapsed = make_solicitation(campaign, solicitor_id=solicitor.id)
    make_gift(make_solicitation(before, unit=lapsed.unit), 50_000_00)
    new = make_solicitation(campaign, stage=Stage.VISITED, last_contact_on=date(2026, 10, 19))

    def found(**values) -> list[str]:
        wave = make_wave(campaign, audience=AudienceFilter(**values))
        return [letter.units for letter in preview_wave(wave).letters]

    assert found(gave_last_year=True) == [lapsed.unit.name]
    assert found(min_previous_fen=50_000_01) == []
    assert found(solicitor_id=solicitor.id) == [lapsed.unit.name]
    assert found(min_days_silent=10) == [lapsed.unit.name]
    assert found(statuses=("visited",)) == [new.unit.name]
    assert found(sectors="chosen", sector_ids=(new.sector_id,)) == [new.unit.name]


def test_every_unit_that_is_left_out_has_its_reason(campaign: Campaign):
    snoozed = make_solicitation(campaign, snoozed_until=date(2026, 10, 30))
    nobody = make_solicitation(campaign, unit=make_unit())
    left = make_unit()
    make_contact(left, valid_to=date(2026, 9, 30))
    gone = make_solicitation(campaign, unit=left)
    assert reasons(make_wave(campaign)) == {
        snoozed.unit.name: WithheldReason.SNOOZED,
        nobody.unit.name: WithheldReason.NO_ADDRESS,
        gone.unit.name: WithheldReason.CONTACT_LEFT,
    }


def test_a_superior_is_never_written_to(campaign: Campaign):
    unit = make_unit()
    make_contact(unit, role=ContactRole.LEADER)
    make_solicitation(campaign, unit=unit)
    assert preview_wave(make_wave(campaign)).letters == []


def test_a_contact_of_two_units_gets_one_message_that_names_both(campaign: Campaign):
    units = make_unit(name="衡阳市甲局"), make_unit(name="衡阳市乙局")
    for unit in units:
        make_contact(unit, email="same@unit.example", name="王五")
        make_solicitation(campaign, unit=unit)
    wave = make_approved(campaign)
    assert services.start_wave(wave) == 1
    message = db.session.scalars(sa.select(Message)).one()
    assert (
        "衡阳市甲局、衡阳市乙局" in message.body_text
        or "衡阳市乙局、衡阳市甲局" in message.body_text
    )
    assert len(message.links) == 2


def test_of_two_units_that_share_a_contact_one_that_gave_is_no_longer_named(campaign: Campaign):
    units = make_unit(name="衡阳市甲局"), make_unit(name="衡阳市乙局")
    for unit in units:
        make_contact(unit, email="same@unit.example")
    gave, outstanding = (make_solicitation(campaign, unit=unit) for unit in units)
    wave = make_approved(campaign)
    make_gift(gave)
    services.start_wave(wave)
    message = db.session.scalars(sa.select(Message)).one()
    assert "衡阳市甲局" not in message.body_text
    assert [link.solicitation_id for link in message.links] == [outstanding.id]
    left_out = db.session.scalars(sa.select(WaveMember).filter_by(solicitation_id=gave.id)).one()
    assert left_out.withheld_reason is WithheldReason.ALREADY_GIVEN


def test_text_messages_need_a_mainland_mobile(campaign: Campaign):
    abroad, here = make_unit(), make_unit()
    make_contact(abroad, mobile="+4915112345678")
    make_contact(here, mobile="+8613800001234")
    make_solicitation(campaign, unit=abroad)
    make_solicitation(campaign, unit=here)
    wave = make_wave(campaign, version=make_template(Channel.SMS, subject="", body="((单位名称))"))
    letters = preview_wave(wave).letters
    assert [letter.recipient.address for letter in letters] == ["+8613800001234"]


def test_a_template_with_a_hole_cannot_be_submitted(campaign: Campaign):
    make_solicitation(campaign)
    wave = make_wave(campaign, version=make_template(body="上年度((上年度捐款))，捐赠自愿"))
    with pytest.raises(Refused, match="上年度捐款"):
        services.submit_wave(wave, by=make_user())


PRESSING = "2026年慈善一日捐（处级每人必须捐500元，未捐单位名单将通报）"


def test_a_campaign_whose_name_presses_people_writes_no_letters(campaign: Campaign):
    make_solicitation(campaign)
    wave = make_wave(campaign)
    author = db.session.get(User, wave.author_id)
    campaign.name = PRESSING
    refused = [str(finding.message) for finding in linting.refusals(preview_wave(wave).findings)]
    assert all("活动名称" in text and "活动设置" in text for text in refused)
    assert any("每人必须捐500元" in text for text in refused)
    with pytest.raises(Refused, match="活动名称"):
        services.submit_wave(wave, by=author)

    campaign.name = "2026年慈善一日捐"
    services.submit_wave(wave, by=author)
    campaign.name = PRESSING
    with pytest.raises(Refused, match="活动名称"):
        services.approve_wave(wave, by=make_user(Role.SECRETARY_GENERAL))


def test_a_name_that_no_letter_has_is_not_looked_at(campaign: Campaign):
    make_solicitation(campaign)
    campaign.name = PRESSING
    wave = make_wave(campaign, version=make_template(subject="工作联系", body="您好，捐赠自愿。"))
    assert preview_wave(wave).findings == []


def test_what_a_letter_comes_to_with_its_values_is_looked_at_too(campaign: Campaign):
    unit = make_unit(name="处级")
    make_contact(unit)
    make_solicitation(campaign, unit=unit)
    wave = make_wave(campaign, version=make_template(body="((单位名称))200元，捐赠自愿。"))
    with pytest.raises(Refused, match=r"填入内容后.*处级200元"):
        services.submit_wave(wave, by=make_user())


def test_what_the_template_says_itself_is_told_once(campaign: Campaign):
    make_solicitation(campaign)
    wave = make_wave(campaign, version=make_template(body="实行摊派，捐赠自愿。"))
    assert len(preview_wave(wave).findings) == 1


# Approval


def test_the_author_cannot_approve(campaign: Campaign):
    make_solicitation(campaign)
    author = make_user(Role.SECRETARY_GENERAL)
    wave = make_wave(campaign, author)
    services.submit_wave(wave, by=author)
    with pytest.raises(Refused, match="另一人"):
        services.approve_wave(wave, by=author)


def test_the_author_cannot_approve_what_another_person_submitted(campaign: Campaign):
    make_solicitation(campaign)
    author = make_user(Role.SECRETARY_GENERAL)
    wave = make_wave(campaign, author)
    services.submit_wave(wave, by=make_user(Role.STAFF))
    with pytest.raises(Refused, match="另一人"):
        services.approve_wave(wave, by=author)


def test_staff_cannot_approve(campaign: Campaign):
    make_solicitation(campaign)
    wave = make_wave(campaign)
    services.submit_wave(wave, by=db.session.get(User, wave.author_id))
    with pytest.raises(Forbidden):
        services.approve_wave(wave, by=make_user(Role.STAFF))


def test_who_edits_a_wave_cannot_approve_it(campaign: Campaign):
    make_solicitation(campaign)
    wave = make_wave(campaign)
    editor = make_user(Role.SECRETARY_GENERAL)
    services.update_wave(wave, make_plan(), by=editor)
    services.submit_wave(wave, by=editor)
    with pytest.raises(Refused, match="另一人"):
        services.approve_wave(wave, by=editor)


def test_the_database_too_wants_a_second_person(campaign: Campaign):
    wave = make_wave(campaign)
    with pytest.raises(IntegrityError):
        db.session.execute(sa.update(Wave).values(approver_id=wave.author_id))
    db.session.rollback()


def test_an_edit_voids_the_approval(campaign: Campaign):
    make_solicitation(campaign)
    wave = make_approved(campaign)
    services.update_wave(wave, make_plan(name="改过"), by=make_user())
    assert wave.status is WaveStatus.DRAFT
    assert (wave.approver_id, wave.approval_hash) == (None, None)
    assert db.session.scalar(sa.select(sa.func.count()).select_from(WaveMember)) == 0
    with pytest.raises(Refused):
        services.start_wave(wave)


def test_a_wave_without_recipients_cannot_be_submitted(campaign: Campaign):
    with pytest.raises(Refused, match="没有可以发送的收件人"):
        services.submit_wave(make_wave(campaign), by=make_user())


def test_a_returned_wave_is_a_draft_with_the_reason(campaign: Campaign):
    make_solicitation(campaign)
    wave = make_wave(campaign)
    services.submit_wave(wave, by=make_user())
    services.return_wave(wave, reason="语气再客气些")
    assert (wave.status, wave.paused_because) == (WaveStatus.DRAFT, "语气再客气些")


def test_the_approver_sees_who_gave_since_it_was_submitted(campaign: Campaign):
    gave, outstanding = make_solicitation(campaign), make_solicitation(campaign)
    wave = make_wave(campaign)
    services.submit_wave(wave, by=db.session.get(User, wave.author_id))
    make_gift(gave)
    assert reasons(wave) == {gave.unit.name: WithheldReason.ALREADY_GIVEN}
    assert [letter.units for letter in preview_wave(wave).letters] == [outstanding.unit.name]
    make_gift(outstanding)
    with pytest.raises(Refused, match="没有可以发送的收件人"):
        services.approve_wave(wave, by=make_user(Role.SECRETARY_GENERAL))


# Start


def test_an_approved_wave_starts_once(campaign: Campaign):
    make_solicitation(campaign)
    wave = make_approved(campaign)
    assert services.start_due_waves() == 1
    assert services.start_due_waves() == 0
    assert wave.status is WaveStatus.RUNNING
    assert waves.counts(wave.id)[MessageStatus.QUEUED] == 1


def test_two_clocks_at_once_start_a_wave_once(app: Flask, campaign: Campaign):
    for _unit in range(3):
        make_solicitation(campaign)
    make_approved(campaign)
    db.session.remove()
    together = threading.Barrier(2)

    def start(_clock: int) -> int:
        with app.app_context():
            together.wait()
            started = services.start_due_waves()
            db.session.commit()
            return started

    with ThreadPoolExecutor(2) as clocks:
        assert sum(clocks.map(start, range(2))) == 1
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Message)) == 3
    assert db.session.scalars(sa.select(Wave.status)).one() is WaveStatus.RUNNING


# SQLite has one writer at a time: nobody can wait for anybody.
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_person_who_cancels_a_wave_and_the_clock_do_not_wait_for_each_other(
    app: Flask, campaign: Campaign
):
    make_solicitation(campaign)
    first, second = make_approved(campaign), make_approved(campaign)
    second_id = second.id
    services._move(second, WaveStatus.CANCELLED)  # the person is about to write the audit event

    def start() -> int:
        with app.app_context():
            started = services.start_due_waves()
            db.session.commit()
            return started

    with ThreadPoolExecutor(1) as clocks:
        assert clocks.submit(start).result(timeout=PATIENCE) == 1
    audit.record("cancel.wave", f"wave:{second_id}")
    db.session.commit()
    db.session.refresh(first)
    assert (first.status, second.status) == (WaveStatus.RUNNING, WaveStatus.CANCELLED)


def test_a_contact_of_many_units_gets_a_subject_that_is_cut(campaign: Campaign):
    for number in range(9):
        unit = make_unit(name=f"某某市人民政府国有资产监督管理委员会第{number}直属企业集团公司")
        make_contact(make_solicitation(campaign, unit=unit).unit, email="one@unit.example")
    wave = make_approved(campaign, version=make_template(subject="((单位名称))慈善一日捐"))
    assert services.start_due_waves() == 1
    message = db.session.scalars(sa.select(Message).filter_by(wave_id=wave.id)).one()
    assert len(message.subject) == 200
    assert message.subject.endswith("…")


def test_a_wave_is_held_however_long_the_reason(campaign: Campaign):
    staff = make_user(Role.STAFF, mobile="+8613800009999")
    for number in range(3):
        unit = make_unit(name=f"第{number}" + "某" * 100)
        make_contact(make_solicitation(campaign, unit=unit, solicitor_id=staff.id).unit)
    body = "((联系人))，您好。捐赠自愿，请致电((劝募人电话))。"
    wave = make_approved(campaign, version=make_template(body=body))
    staff.mobile = ""
    db.session.commit()
    assert services.start_due_waves() == 0
    assert wave.status is WaveStatus.HELD
    assert wave.paused_because.endswith("…")


def test_nothing_starts_before_its_time(campaign: Campaign, tuesday_morning):
    make_solicitation(campaign)
    later = clock.now() + timedelta(hours=5)
    wave = make_approved(campaign, starts_at=later, not_after=later + timedelta(days=1))
    assert services.start_due_waves() == 0
    with pytest.raises(Refused, match="还没有到"):
        services.start_wave(wave)
    tuesday_morning.shift(timedelta(hours=5, minutes=1))
    assert services.start_due_waves() == 1


def test_a_wave_that_comes_due_late_is_held_for_a_person(campaign: Campaign, tuesday_morning):
    make_solicitation(campaign)
    wave = make_approved(campaign)
    tuesday_morning.shift(timedelta(hours=2, minutes=1))
    assert services.start_due_waves() == 0
    assert wave.status is WaveStatus.HELD
    assert services.start_wave(wave) == 1
    assert wave.status is WaveStatus.RUNNING


def test_a_wave_is_held_in_a_year_the_calendar_does_not_know(campaign: Campaign, tuesday_morning):
    make_solicitation(campaign)
    later = clock.at(date(2029, 3, 1), clock.local(clock.now()).time())
    campaign.ends_on = clock.day_of(later)
    wave = make_approved(campaign, starts_at=later, not_after=later + timedelta(days=1))
    tuesday_morning.move_to(later)
    assert services.start_due_waves() == 0
    assert wave.status is WaveStatus.HELD
    assert "2029" in wave.paused_because


@pytest.mark.parametrize(
    "change",
    [
        lambda _wave: sa.update(WaveMember).values(address_hash="0" * 64),
        lambda _wave: sa.delete(WaveMember).where(
            WaveMember.id == sa.select(sa.func.max(WaveMember.id)).scalar_subquery()
        ),
        lambda _wave: sa.update(TemplateVersion).values(body="别的文字，自愿"),
        lambda wave: sa.update(Wave).values(not_after=wave.not_after + timedelta(days=1)),
        lambda _wave: sa.update(Campaign).values(name="另一个活动"),
        lambda _wave: sa.update(Campaign).values(ends_on=date(2027, 3, 1)),
    ],
)
def test_what_is_not_as_approved_does_not_start(campaign: Campaign, change):
    make_solicitation(campaign)
    make_solicitation(campaign)
    wave = make_approved(campaign)
    db.session.execute(change(wave))
    db.session.commit()
    with pytest.raises(Refused, match="与批准时不一致"):
        services.start_wave(wave)
    assert services.start_due_waves() == 0
    assert wave.status is WaveStatus.HELD
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Message)) == 0


def test_a_contact_with_another_address_since_the_approval_is_left_out(campaign: Campaign):
    make_solicitation(campaign)
    moved = make_solicitation(campaign)
    wave = make_approved(campaign)
    moved.unit.contacts[0].email = "new@unit.example"
    db.session.commit()
    assert services.start_wave(wave) == 1
    left_out = db.session.scalars(sa.select(WaveMember).filter_by(solicitation_id=moved.id)).one()
    assert left_out.withheld_reason is WithheldReason.NOT_IN_AUDIENCE


def test_nothing_starts_in_a_closed_campaign(campaign: Campaign):
    make_solicitation(campaign)
    wave = make_approved(campaign)
    campaign.status = CampaignStatus.CLOSED
    db.session.commit()
    assert services.start_due_waves() == 0
    assert wave.status is WaveStatus.HELD


# Running


def test_a_gift_between_approval_and_start_withholds_the_message(campaign: Campaign):
    gave, outstanding = make_solicitation(campaign), make_solicitation(campaign)
    wave = make_approved(campaign)
    make_gift(gave)
    services.start_due_waves()
    db.session.commit()
    outbox.claim(clock.now())
    by_unit = {
        message.links[0].solicitation_id: message
        for message in db.session.scalars(sa.select(Message).filter_by(wave_id=wave.id))
    }
    assert by_unit[gave.id].status is MessageStatus.WITHHELD
    assert by_unit[gave.id].withheld_reason is WithheldReason.ALREADY_GIVEN
    assert by_unit[outstanding.id].status is MessageStatus.QUEUED


def test_a_paused_wave_gives_out_no_message(campaign: Campaign):
    make_solicitation(campaign)
    wave = make_approved(campaign)
    services.start_wave(wave)
    services.pause_wave(wave, by=make_user())
    db.session.commit()
    assert outbox.claim(clock.now()) is None
    services.resume_wave(wave, by=make_user())
    db.session.commit()
    assert len(outbox.claim(clock.now()).ids) == 1


@pytest.mark.parametrize(
    ("paused_by", "may_staff"),
    [
        (None, True),
        (Role.STAFF, True),
        (Role.SECRETARY_GENERAL, False),
        (Role.ADMINISTRATOR, False),
    ],
)
def test_staff_do_not_set_going_what_the_secretary_general_stopped(
    campaign: Campaign, paused_by: Role | None, may_staff: bool
):
    make_solicitation(campaign)
    wave = make_approved(campaign)
    services.start_wave(wave)
    if paused_by is None:
        waves._pause(wave.id, "连续 3 次因配置问题未能发出")
        db.session.refresh(wave)
    else:
        services.pause_wave(wave, by=make_user(paused_by))
    staff = make_user()
    assert services.may_resume(wave, staff) is may_staff
    assert ("须由秘书长或管理员继续" in wave.paused_because) is not may_staff
    if not may_staff:
        with pytest.raises(Forbidden):
            services.resume_wave(wave, by=staff)
        services.resume_wave(wave, by=make_user(Role.SECRETARY_GENERAL))
        services.pause_wave(wave, by=staff)  # whoever stopped it before is forgotten
    services.resume_wave(wave, by=staff)
    assert (wave.status, wave.paused_by_id) == (WaveStatus.RUNNING, None)


def test_a_message_that_was_put_into_a_wave_is_not_in_the_audience(campaign: Campaign):
    make_solicitation(campaign)
    stranger = make_solicitation(campaign, is_exempt=True)
    wave = make_approved(campaign)
    services.start_wave(wave)
    stranger.is_exempt = False
    message = db.session.scalars(sa.select(Message)).one()
    message.links[0].solicitation_id = stranger.id
    db.session.commit()
    outbox.claim(clock.now())
    db.session.refresh(message)
    assert message.withheld_reason is WithheldReason.NOT_IN_AUDIENCE


def test_cancelling_gives_up_what_was_not_sent(campaign: Campaign):
    make_solicitation(campaign)
    make_solicitation(campaign)
    wave = make_approved(campaign)
    services.start_wave(wave)
    assert services.cancel_wave(wave) == 2
    assert wave.status is WaveStatus.CANCELLED
    assert waves.counts(wave.id)[MessageStatus.CANCELLED] == 2
    with pytest.raises(Refused):
        services.resume_wave(wave, by=make_user())


def test_letters_are_not_signed_by_somebody_who_has_left_the_office(campaign: Campaign):
    """Answers to them would come to nobody."""
    gone = make_user(name="张离职", email="gone@charity.example", is_enabled=False)
    make_solicitation(campaign, solicitor_id=gone.id)
    version = make_template(body="((联系人))，您好。捐赠自愿，请联系((劝募人))。")
    wave = make_wave(campaign, version=version)
    letter = preview_wave(wave).letters[0]
    author = db.session.get_one(User, wave.author_id)
    assert "张离职" not in letter.rendered.text
    assert author.name in letter.rendered.text
    assert letter.reply_to != gone.email
    assert "劝募人" in letter.gaps


def test_letters_are_not_signed_by_an_author_who_has_left_either(app: Flask, campaign: Campaign):
    """After the approval; units without a solicitor are told to ask the federation."""
    make_solicitation(campaign)
    version = make_template(body="((联系人))，您好。捐赠自愿，请联系((劝募人))。")
    wave = make_approved(campaign, version=version)
    author = db.session.get_one(User, wave.author_id)
    author.is_enabled = False
    services.start_wave(wave)
    message = db.session.scalars(sa.select(Message)).one()
    assert author.name not in message.body_text
    assert f"请联系{federation_name()}" in message.body_text
    assert message.reply_to == "", "answers go to the address that it comes from"


def test_a_letter_with_the_number_of_an_author_who_has_left_is_not_sent(campaign: Campaign):
    make_solicitation(campaign)
    version = make_template(body="((联系人))，您好。捐赠自愿，请拨打((劝募人电话))。")
    author = make_user(mobile="+8613900001111")
    wave = make_approved(campaign, version=version, author=author)
    author.is_enabled = False
    with pytest.raises(Refused, match="劝募人电话"):
        services.start_wave(wave)


@pytest.mark.parametrize(
    ("evening", "opens"),
    [
        ("2026-09-30T17:31:00+08:00", "2026-10-08T08:30:00+08:00"),
        ("2026-04-03T17:31:00+08:00", "2026-04-07T08:30:00+08:00"),
    ],
)
def test_a_wave_of_the_eve_of_a_holiday_lives_until_after_it(app: Flask, evening: str, opens: str):
    """Nobody chose its last day; three days of the calendar would be over by then."""
    with time_machine.travel(evening, tick=False) as traveller:
        open_sending()
        keep_office_hours()
        campaign = make_campaign(code="2026", starts_on=date(2026, 3, 1))
        make_solicitation(campaign)
        wave = make_approved(campaign, not_after=services.default_end(clock.now()))
        services.start_wave(wave)
        db.session.commit()
        traveller.move_to(datetime.fromisoformat(opens))
        channel = fake_channel.install(app)
        outbox.reap(clock.now())
        delivery.drain()
        assert sum(channel.taken.values()) == 1


def test_a_wave_that_no_hours_let_out_is_not_submitted(app: Flask):
    with time_machine.travel("2026-09-30T17:31:00+08:00", tick=False):
        open_sending()
        keep_office_hours()
        campaign = make_campaign(code="2026", starts_on=date(2026, 3, 1))
        make_solicitation(campaign)
        wave = make_wave(campaign)  # until three days later
        with pytest.raises(Refused, match="请把最迟发送日改到10月8日或以后"):
            services.submit_wave(wave, by=db.session.get_one(User, wave.author_id))
