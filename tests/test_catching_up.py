"""Who was missed because of something that has gone since may be written to after all."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date, timedelta

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from outreach import clock
from outreach.access import Role
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, Solicitation, Stage
from outreach.db import db
from outreach.errors import Refused
from outreach.gifts.lines import set_line_aside
from outreach.gifts.models import StatementLine
from outreach.gifts.standings import Status
from outreach.messages import delivery, gate, opt_outs, waves
from outreach.messages.addresses import hash_address
from outreach.messages.channels import rejected
from outreach.messages.models import Channel, FailureKind, Message, MessageStatus, Wave, WaveStatus
from outreach.reminders import services
from outreach.reminders.audience import AudienceFilter
from outreach.reminders.catching_up import WITHIN, find_missed
from outreach.reminders.fallbacks import queue_fallbacks
from outreach.reminders.queries import list_left_out
from outreach.todos import services as todos
from outreach.todos.models import TodoKind, TodoOutcome
from outreach.units.models import Contact
from tests import fake_channel
from tests.factories import (
    make_campaign,
    make_contact,
    make_gift,
    make_line,
    make_pledge,
    make_solicitation,
    make_template,
    make_todo,
    make_unit,
    make_user,
    open_sending,
)
from tests.test_waves import make_approved, make_plan, make_wave
from tests.test_waves_pages import post

S = MessageStatus


@pytest.fixture
def campaign(app: Flask) -> Campaign:
    open_sending()
    return make_campaign(code="2026")


def send(wave: Wave) -> None:
    services.start_wave(wave)
    db.session.commit()
    delivery.drain()
    waves.finish_waves()
    db.session.commit()


def missed(campaign: Campaign) -> dict[int, list[str]]:
    db.session.expire_all()
    found = find_missed(campaign, clock.now())
    return {id_: [one.solicitation.unit.name for one in members] for id_, members in found.items()}


def hold_back(app: Flask, campaign: Campaign) -> tuple[Wave, Solicitation, StatementLine]:
    """A wave that has ended, the unit that it missed, and the payment because of which it did."""
    fake_channel.install(app)
    make_solicitation(campaign)
    kept = make_solicitation(campaign)
    wave = make_approved(campaign)
    services.start_wave(wave)
    line = make_line(campaign, payer=kept.unit.name)
    delivery.drain()
    waves.finish_waves()
    db.session.commit()
    assert missed(campaign) == {}
    return wave, kept, line


def settle(line: StatementLine) -> None:
    """It was another's."""
    set_line_aside(line, reason="误入账", by=make_user())
    db.session.commit()


def test_whom_a_line_held_back_is_offered_when_it_proves_to_be_anothers(
    app: Flask, campaign: Campaign
):
    wave, kept, line = hold_back(app, campaign)
    settle(line)
    assert missed(campaign) == {wave.id: [kept.unit.name]}
    draft = services.catch_up(wave, author=db.session.get(User, wave.author_id))
    db.session.commit()
    assert (draft.status, draft.name) == (WaveStatus.DRAFT, "补发：十月提醒")
    assert draft.template_version_id == wave.template_version_id
    assert missed(campaign) == {}, "it is being prepared"
    with pytest.raises(Refused, match="没有可以补发"):
        services.catch_up(wave, author=make_user())
    services.submit_wave(draft, by=db.session.get(User, draft.author_id))
    services.approve_wave(draft, by=make_user(Role.SECRETARY_GENERAL))
    send(draft)
    message = db.session.scalars(sa.select(Message).filter_by(wave_id=draft.id)).one()
    assert (message.status, message.contact_id) == (S.SENT, kept.unit.contacts[0].id)
    assert missed(campaign) == {}, "it was reached"


def test_a_unit_that_replied_is_not_asked_again_before_somebody_has_read_it(
    app: Flask, campaign: Campaign
):
    fake_channel.install(app)
    told, silent = make_solicitation(campaign), make_solicitation(campaign)
    reply = make_todo(told, kind=TodoKind.REPLY, reason="“我们已经捐了”")
    wave = make_approved(campaign)
    send(wave)
    (message,) = db.session.scalars(sa.select(Message))
    assert message.contact_id == silent.unit.contacts[0].id
    (kept,) = list_left_out(wave)
    assert kept.solicitation is told
    assert "有回复，在待办里等人看" in gate.describe(kept.withheld_reason, kept.facts)
    assert missed(campaign) == {}
    todos.settle(reply, outcome=TodoOutcome.SETTLED, by=make_user())
    db.session.commit()
    assert missed(campaign) == {wave.id: [told.unit.name]}


def test_who_shares_a_letter_with_a_unit_that_gave_is_offered(app: Flask, campaign: Campaign):
    fake_channel.install(app)
    mailbox = {"email": "both@unit.example"}
    units = [make_unit(), make_unit()]
    for unit in units:
        make_contact(unit, **mailbox)
    gave, other = (make_solicitation(campaign, unit=unit) for unit in units)
    wave = make_approved(campaign)
    services.start_wave(wave)
    make_gift(gave)
    delivery.drain()
    waves.finish_waves()
    db.session.commit()
    assert db.session.scalars(sa.select(Message.status)).all() == [S.WITHHELD]
    assert missed(campaign) == {wave.id: [other.unit.name]}


def test_who_was_left_out_for_want_of_an_address_is_offered_when_there_is_one(
    app: Flask, campaign: Campaign
):
    fake_channel.install(app)
    make_solicitation(campaign)
    unit = make_unit()
    contact = make_contact(unit, email="", mobile="")
    make_solicitation(campaign, unit=unit)
    wave = make_approved(campaign)
    send(wave)
    assert missed(campaign) == {}
    contact.email = "new@unit.example"
    db.session.commit()
    assert missed(campaign) == {wave.id: [unit.name]}


def refuse(app: Flask, campaign: Campaign, *, has_fallback: bool = False) -> tuple[Wave, Contact]:
    """A wave that was refused at whatever address it went to, and its reader."""
    fake_channel.install(app, lambda _message: rejected("no such address"))
    contact = make_solicitation(campaign).unit.contacts[0]
    sms = make_template(Channel.SMS, subject="", body="请查收工作通知。") if has_fallback else None
    wave = make_approved(campaign, fallback=sms)
    send(wave)
    queue_fallbacks(clock.now())
    db.session.commit()
    delivery.drain()
    assert missed(campaign) == {}
    return wave, contact


@pytest.mark.parametrize("has_fallback", [False, True])
def test_whose_address_was_refused_is_offered_when_it_is_another_one(
    app: Flask, campaign: Campaign, has_fallback: bool
):
    wave, contact = refuse(app, campaign, has_fallback=has_fallback)
    assert len(db.session.scalars(sa.select(Message)).all()) == 1 + has_fallback
    contact.email = "new@unit.example"
    db.session.commit()
    assert missed(campaign) == {wave.id: [contact.unit.name]}


def test_whose_address_was_refused_is_offered_when_somebody_else_answers_for_the_unit(
    app: Flask, campaign: Campaign
):
    wave, contact = refuse(app, campaign)
    contact.valid_to = clock.today() - timedelta(days=1)
    db.session.commit()
    assert missed(campaign) == {}, "nobody does"
    make_contact(contact.unit, email="next@unit.example")
    assert missed(campaign) == {wave.id: [contact.unit.name]}


def _cancel(wave: Wave, _kept: Solicitation) -> None:
    wave.status = WaveStatus.CANCELLED


def _correct(wave: Wave, _kept: Solicitation) -> None:
    services.create_correction(wave, make_plan(), author=make_user())


def _give(_wave: Wave, kept: Solicitation) -> None:
    make_gift(kept)


def _opt_out(_wave: Wave, kept: Solicitation) -> None:
    address_hash = hash_address(Channel.EMAIL, kept.unit.contacts[0].email)
    opt_outs.add(Channel.EMAIL, address_hash, source="link")


def _refuse(_wave: Wave, kept: Solicitation) -> None:
    """It was sent after all, and the server refused it."""
    message = db.session.scalars(
        sa.select(Message).where(Message.contact_id == kept.unit.contacts[0].id)
    ).one()
    message.status, message.withheld_reason = S.FAILED, None
    message.failure = FailureKind.REJECTED


def _remind(_wave: Wave, kept: Solicitation) -> None:
    send(make_approved(db.session.get_one(Campaign, kept.campaign_id)))


def _pause(wave: Wave, _kept: Solicitation) -> None:
    wave.status = WaveStatus.PAUSED


def _submit_another(_wave: Wave, kept: Solicitation) -> None:
    """To all sectors: it does not name the unit, and has it in its audience."""
    other = make_wave(db.session.get_one(Campaign, kept.campaign_id))
    services.submit_wave(other, by=db.session.get_one(User, other.author_id))


@pytest.mark.parametrize(
    "happens", [_cancel, _correct, _give, _opt_out, _refuse, _remind, _pause, _submit_another]
)
def test_nobody_is_offered_whom_there_is_reason_not_to_write_to(
    app: Flask, campaign: Campaign, happens: Callable[[Wave, Solicitation], None]
):
    wave, kept, line = hold_back(app, campaign)
    settle(line)
    happens(wave, kept)
    db.session.commit()
    assert wave.id not in missed(campaign)


def test_who_is_missed_is_still_one_whom_the_words_are_for(app: Flask, campaign: Campaign):
    """A letter about a pledge says nothing to a unit that has none any more."""
    fake_channel.install(app)
    places = [make_solicitation(campaign, stage=Stage.PLEDGED) for _ in range(2)]
    pledges = [make_pledge(place, due_on=date(2026, 10, 10)) for place in places]
    wave = make_approved(campaign, audience=AudienceFilter(statuses=(Status.PLEDGED,)))
    services.start_wave(wave)
    line = make_line(campaign, payer=places[1].unit.name)
    delivery.drain()
    waves.finish_waves()
    settle(line)
    assert missed(campaign) == {wave.id: [places[1].unit.name]}
    pledges[1].withdrawn_at = clock.now()
    places[1].stage = Stage.VISITED
    db.session.commit()
    assert missed(campaign) == {}


def write_both_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two who write a wave, neither does before the other is as far, unless one is kept out."""
    both, create = threading.Barrier(2), services.create_wave

    def create_slowly(*arguments, **options) -> Wave:
        with suppress(threading.BrokenBarrierError):
            both.wait(2)
        return create(*arguments, **options)

    monkeypatch.setattr(services, "create_wave", create_slowly)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_two_who_catch_up_at_once_make_one_draft(app: Flask, campaign: Campaign, monkeypatch):
    wave, _kept, line = hold_back(app, campaign)
    settle(line)
    wave_id, author_id = wave.id, make_user().id
    db.session.commit()
    write_both_at_once(monkeypatch)

    def draft(_number: int) -> bool:
        with app.app_context():
            author = db.session.get_one(User, author_id)
            try:
                services.catch_up(db.session.get_one(Wave, wave_id), author=author)
            except Refused:
                return False
            db.session.commit()
            return True

    with ThreadPoolExecutor(2) as people:
        assert sorted(people.map(draft, range(2))) == [False, True]


def test_the_words_of_an_old_wave_are_not_offered(app: Flask, campaign: Campaign):
    _wave, _kept, line = hold_back(app, campaign)
    settle(line)
    with time_machine.travel(clock.now() + WITHIN + timedelta(hours=1)):
        assert missed(campaign) == {}


def test_whoever_reads_the_dashboard_comes_to_the_draft(app: Flask, campaign: Campaign, sign_in):
    wave, kept, line = hold_back(app, campaign)
    settle(line)
    staff = sign_in(Role.STAFF)
    assert "提醒被拦下或过期、现在可以补发的单位" in staff.get("/c/2026/").text
    assert "可补发 1 家" in staff.get("/c/2026/waves").text
    page = staff.get(f"/c/2026/waves/{wave.id}").text
    assert f"是否补发，由您决定：{kept.unit.name}" in page
    draft = staff.get(post(staff, wave, "catch-up").location).text
    assert "将发出 1 封邮件" in draft
    assert "逐一选定的 1 家单位" in draft
    assert "起草补发" not in staff.get(f"/c/2026/waves/{wave.id}").text
    assert "起草补发" not in sign_in(Role.AUDITOR).get(f"/c/2026/waves/{wave.id}").text
