"""What is kept about a person: a copy of it, its erasure, and how long it is kept."""

import io
import json
import os
from datetime import date, timedelta

import openpyxl
import pytest
import sqlalchemy as sa
from flask import Flask
from time_machine import Traveller

from outreach import audit, clock
from outreach.access import Role
from outreach.audit import AuditEvent
from outreach.campaigns.importing import apply_register
from outreach.campaigns.models import Solicitation
from outreach.campaigns.undoing import undo_register
from outreach.db import db
from outreach.errors import NotFound, Refused
from outreach.gifts.standings import find_standing
from outreach.meetings.models import Attendee
from outreach.messages import delivery, opt_outs, outbox
from outreach.messages.addresses import hash_address
from outreach.messages.models import Channel, Message, MessageStatus, OptOut, Purpose
from outreach.messages.states import move
from outreach.privacy.queries import find_person
from outreach.privacy.services import (
    ERASED,
    Erasure,
    erase_person,
    erase_those_who_left,
    sweep_letters,
)
from outreach.spreadsheets import uploads
from outreach.spreadsheets.reading import SourceFile
from outreach.todos.models import Todo, TodoKind
from outreach.units.models import Contact, ContactRole, ImportBatch
from outreach.visits import photos
from tasks.privacy import erase_expired
from tests import factories, fake_channel
from tests.conftest import SignIn

NAME, EMAIL, MOBILE = "欧阳秋白", "qiubai@unit.example", "+8613873412345"
BASIS = "本人来电，已回拨核实"
CONSENT = {"basis": BASIS, "is_kept_out": "y", "is_sure": "y"}


@pytest.fixture
def solicitation(app: Flask) -> Solicitation:
    """A unit whose register came as a file, and whose coordinator was written to and invited."""
    factories.open_sending()
    campaign = factories.make_campaign()
    factories.make_sector(campaign, name="党政机关")
    register = (
        "单位名称,板块,联络员,职务,手机,邮箱\n"
        f"衡阳市财政局,党政机关,{NAME},秋白主任,{MOBILE[3:]},{EMAIL}\n"
    )
    plan = apply_register(campaign, SourceFile("名册.csv", register.encode()))
    assert not plan.problems
    db.session.commit()
    solicitation = db.session.scalars(sa.select(Solicitation)).one()
    [contact] = solicitation.unit.contacts
    fake_channel.install(app)
    factories.make_running_wave(solicitations=[solicitation])
    delivery.drain()
    factories.make_message(
        purpose=Purpose.INVITATION,
        address=EMAIL,
        recipient_name=NAME,
        contact_id=contact.id,
        subject=f"请{NAME}参会",
        body_text=f"{NAME}，您好。",
        body_html=f"<p>{NAME}，您好。</p>",
        calendar=f"ATTENDEE;CN={NAME}:mailto:{EMAIL}",
    )
    meeting = factories.make_meeting(campaign)
    factories.save(Attendee(meeting_id=meeting.id, contact_id=contact.id))
    factories.make_todo(solicitation, contact_id=contact.id)
    factories.make_gift(solicitation, 1_234_56)
    return solicitation


@pytest.fixture
def contact(solicitation: Solicitation) -> Contact:
    return solicitation.unit.contacts[0]


def erase(contact: Contact, *, is_kept_out: bool = True) -> Erasure:
    erasure = erase_person(find_person(contact), basis=BASIS, is_kept_out=is_kept_out)
    db.session.commit()
    return erasure


def texts_in_database() -> str:
    """Every value of every row."""
    return "\n".join(
        str(tuple(row))
        for table in db.metadata.sorted_tables
        for row in db.session.execute(sa.select(table))
    )


def test_after_erasure_no_row_anywhere_knows_the_person(
    contact: Contact, solicitation: Solicitation
):
    said = f"“我是{NAME}，请打{MOBILE[3:]}”"
    factories.make_todo(solicitation, contact_id=contact.id, kind=TodoKind.REPLY, reason=said)
    before = texts_in_database()
    assert all(word in before for word in (NAME, EMAIL, MOBILE, "秋白主任"))

    erasure = erase(contact)

    after = texts_in_database()
    assert [word for word in (NAME, EMAIL, MOBILE, MOBILE[3:], "秋白") if word in after] == []
    assert erasure.letter_count == 2
    assert contact.name == ERASED
    assert not contact.is_valid_on(clock.today())


def test_what_the_unit_did_stays(contact: Contact, solicitation: Solicitation):
    sent = db.session.scalars(sa.select(Message).filter_by(status=MessageStatus.SENT)).one()
    sent_at = sent.sent_at

    erase(contact)

    assert find_standing(solicitation).given_fen == 1_234_56
    assert (sent.sent_at, sent.status) == (sent_at, MessageStatus.SENT)
    assert audit.find_tampering() is None


def test_what_was_not_sent_yet_is_cancelled(app: Flask, contact: Contact):
    channel = fake_channel.install(app)

    erase(contact)
    delivery.drain()

    assert not channel.taken
    invitation = db.session.scalars(sa.select(Message).filter_by(purpose=Purpose.INVITATION)).one()
    assert invitation.status is MessageStatus.CANCELLED


@pytest.mark.parametrize("status", [MessageStatus.SENDING, MessageStatus.UNKNOWN])
def test_while_a_message_is_in_doubt_nothing_is_erased(contact: Contact, status: MessageStatus):
    queued = Message.status == MessageStatus.QUEUED
    values = {"token": "t", "lease_until": clock.now()} if status is MessageStatus.SENDING else {}
    move({MessageStatus.QUEUED}, status, queued, **values)
    db.session.commit()

    with pytest.raises(Refused, match="结果不明"):
        erase_person(find_person(contact), basis=BASIS, is_kept_out=True)
    db.session.rollback()

    assert contact.name == NAME
    assert db.session.scalars(sa.select(OptOut)).all() == []
    assert EMAIL in {message.address for message in db.session.scalars(sa.select(Message))}


def test_the_next_register_does_not_bring_the_address_back(
    app: Flask, contact: Contact, solicitation: Solicitation
):
    erase(contact)
    register = f"单位名称,板块,联络员,邮箱\n衡阳市财政局,党政机关,{NAME},{EMAIL}\n"
    assert not apply_register(
        solicitation.campaign, SourceFile("新名册.csv", register.encode())
    ).problems
    db.session.commit()
    again = db.session.scalars(sa.select(Contact).filter_by(name=NAME)).one()
    channel = fake_channel.install(app)
    factories.make_wave_to(solicitation.campaign_id, [(again, [solicitation])])

    delivery.drain()

    assert not channel.taken


def test_addresses_may_be_left_to_be_written_to(contact: Contact):
    erase(contact, is_kept_out=False)

    assert db.session.scalars(sa.select(OptOut)).all() == []


def test_an_address_that_others_have_is_not_closed_to_them(contact: Contact):
    factories.make_contact(contact.unit, name="王敏", email=EMAIL)

    erasure = erase(contact)

    assert erasure.kept_out == [Channel.SMS]
    assert opt_outs.find(Channel.EMAIL, hash_address(Channel.EMAIL, EMAIL)) is None
    assert opt_outs.find(Channel.SMS, hash_address(Channel.SMS, MOBILE)) is not None


def test_all_rows_of_the_person_go_and_none_of_a_namesake(contact: Contact):
    other_unit = factories.make_unit()
    elsewhere = factories.make_contact(other_unit, name=NAME, email=EMAIL)
    former = factories.make_contact(
        contact.unit, name=NAME, email="old@unit.example", valid_to=date(2026, 2, 1)
    )
    namesake = factories.make_contact(factories.make_unit(), name=NAME)

    erase(contact)

    assert [elsewhere.name, former.name, namesake.name] == [ERASED, ERASED, NAME]


def test_undoing_an_import_brings_nothing_back(contact: Contact, solicitation: Solicitation):
    register = (
        f"单位名称,板块,联络员,职务,邮箱\n衡阳市财政局,党政机关,{NAME},科长,new@unit.example\n"
    )
    apply_register(solicitation.campaign, SourceFile("更正.csv", register.encode()))
    db.session.commit()
    assert contact.title == "科长"
    erase(contact)

    undo_register(db.session.scalars(sa.select(ImportBatch).filter_by(file_name="更正.csv")).one())
    db.session.commit()

    db.session.refresh(contact)
    assert (contact.name, contact.title, contact.email) == (ERASED, "", "")
    after = texts_in_database()
    assert [word for word in (NAME, EMAIL, "new@unit.example", "科长") if word in after] == []


def test_a_unit_without_anybody_else_gets_a_search(contact: Contact, solicitation: Solicitation):
    erase(contact)

    [search] = db.session.scalars(sa.select(Todo).filter_by(kind=TodoKind.FIND_CONTACT))
    assert search.solicitation_id == solicitation.id
    assert "按本人要求删除" in search.reason


def test_a_unit_with_another_coordinator_gets_none(contact: Contact):
    factories.make_contact(contact.unit)

    erase(contact)

    assert db.session.scalars(sa.select(Todo).filter_by(kind=TodoKind.FIND_CONTACT)).all() == []


def test_the_copy_holds_everything_in_full(contact: Contact, sign_in: SignIn):
    contact_id = contact.id
    secretary = sign_in(Role.SECRETARY_GENERAL)
    page = f"/contacts/{contact_id}/personal-data"

    answer = secretary.post(f"{page}/copy", data={"basis": BASIS, "json": "1"})
    book = openpyxl.load_workbook(
        io.BytesIO(secretary.post(f"{page}/copy", data={"basis": BASIS}).data)
    )

    copy = json.loads(answer.text)
    assert copy["登记信息"][0] | {"任职开始日": ""} == {
        "单位": "衡阳市财政局",
        "姓名": NAME,
        "职务": "秋白主任",
        "分工": "联络员",
        "手机号码": MOBILE[3:],
        "电子邮箱": EMAIL,
        "首选渠道": "",
        "任职开始日": "",
        "任职截止日": "",
    }
    assert len(copy["消息"]) == 2
    assert f"{NAME}，您好。" in {letter["正文"] for letter in copy["消息"]}
    assert [len(copy[name]) for name in ("提醒批次", "会议", "待办")] == [1, 1, 1]
    assert book.sheetnames == list(copy)
    assert MOBILE[3:] in {cell.value for row in book["登记信息"] for cell in row}
    events = db.session.scalars(sa.select(AuditEvent).filter_by(action="copy.contact")).all()
    assert [event.facts["format"] for event in events] == ["json", "xlsx"]


def test_copy_and_erasure_need_a_reason_and_the_page_masks(contact: Contact, sign_in: SignIn):
    secretary = sign_in(Role.SECRETARY_GENERAL)
    page = f"/contacts/{contact.id}/personal-data"

    shown = secretary.get(page).text
    answers = [
        secretary.post(f"{page}/copy", data={}),
        secretary.post(f"{page}/erase", data={"is_sure": "y"}),
        secretary.post(f"{page}/erase", data={"basis": BASIS}),
    ]

    assert "138****2345" in shown
    assert MOBILE[3:] not in shown
    assert EMAIL not in shown
    assert [answer.status_code for answer in answers] == [422, 422, 422]
    db.session.refresh(contact)
    assert contact.name == NAME


def test_the_page_erases_and_says_so(contact: Contact, sign_in: SignIn):
    secretary = sign_in(Role.SECRETARY_GENERAL)
    page = f"/contacts/{contact.id}/personal-data"
    back = {"next": f"/c/2026/units/{contact.unit_id}"}

    answer = secretary.post(f"{page}/erase", data=CONSENT, query_string=back)

    assert answer.location == back["next"]
    shown = secretary.get(answer.location).text
    assert "个人信息已删除，2 条消息的内容也已清空" in shown
    assert ERASED in shown
    assert secretary.get(page).status_code == 404
    assert secretary.get(f"/units/contacts/{contact.id}").status_code == 404
    event = db.session.scalars(sa.select(AuditEvent).filter_by(action="erase.contact")).one()
    assert event.facts == {"basis": BASIS, "letters": 2, "opted_out": ["email", "sms"]}


def test_the_page_names_texts_that_people_wrote(
    contact: Contact, solicitation: Solicitation, sign_in: SignIn
):
    factories.make_visit(solicitation, note=f"{NAME}说下周答复")
    factories.make_meeting(solicitation.campaign, title="总结会", minutes=f"{NAME}发言")
    factories.make_meeting(solicitation.campaign, title="别的会", minutes="王敏发言")

    shown = sign_in(Role.SECRETARY_GENERAL).get(f"/contacts/{contact.id}/personal-data").text

    assert f"{NAME}说下周答复" in shown
    assert "总结会" in shown
    assert "别的会" not in shown


def test_who_left_long_ago_is_forgotten_and_nobody_else(app: Flask):
    unit = factories.make_unit()

    def make(name: str, **values: object) -> Contact:
        return factories.make_contact(unit, name=name, valid_from=date(2015, 1, 1), **values)

    gone = make("早已离任", valid_to=date(2023, 10, 19))
    recent = make("离任不久", valid_to=date(2023, 10, 20))
    staying = make("仍在任上")
    moved = make("换了分工", valid_to=date(2020, 1, 1))
    make("换了分工", role=ContactRole.LEADER)

    counts = erase_those_who_left(3, basis="离任满 3 年")

    assert counts == (1, 0)
    assert gone.name == ERASED
    assert gone.valid_to == date(2023, 10, 19)
    assert [one.name for one in (recent, staying, moved)] == ["离任不久", "仍在任上", "换了分工"]
    assert db.session.scalars(sa.select(OptOut)).all() == []


def test_who_left_and_may_have_a_message_waits(app: Flask):
    factories.open_sending()
    period = {"valid_from": date(2020, 1, 1), "valid_to": date(2023, 1, 2)}
    contact = factories.make_contact(factories.make_unit(), **period)
    factories.make_message(contact_id=contact.id)
    move({MessageStatus.QUEUED}, MessageStatus.UNKNOWN)
    db.session.commit()

    assert erase_those_who_left(3, basis="离任满 3 年") == (0, 1)
    assert contact.erased_at is None


def test_a_letter_that_was_queued_meanwhile_is_emptied_too(contact: Contact):
    contact_id = contact.id
    erase(contact)
    factories.make_message(contact_id=contact_id, recipient_name=NAME, address=EMAIL)

    assert sweep_letters() == 1
    assert sweep_letters() == 0
    db.session.commit()

    assert NAME not in texts_in_database()
    assert outbox.claim(clock.now()) is None


def test_the_daily_run_does_what_the_settings_say(app: Flask, contact: Contact):
    settings = app.extensions["outreach.settings"]
    gone = factories.make_contact(
        contact.unit, valid_from=date(2015, 1, 1), valid_to=date(2022, 1, 1)
    )

    assert erase_expired.run() == "没有设置联系人的保存年限"
    assert gone.erased_at is None
    app.extensions["outreach.settings"] = settings.model_copy(update={"keep_contacts_years": 3})
    assert erase_expired.run() == "删除 1 位离任满 3 年的联系人的个人信息"
    assert gone.erased_at is not None


def test_files_that_nobody_needs_go_with_the_daily_run(
    app: Flask, solicitation: Solicitation, tuesday_morning: Traveller
):
    visit = factories.make_visit(solicitation)
    photo = factories.make_photo(visit)
    fresh, old = photos.path_of("1" * 32 + ".jpg"), photos.path_of("2" * 32 + ".jpg")
    fresh.write_bytes(b"being logged")
    old.write_bytes(b"rolled back")
    waiting = uploads.keep(SourceFile("名册.csv", NAME.encode()))
    folder = app.extensions["outreach.settings"].data_dir / "uploads" / waiting
    before = clock.now() - timedelta(days=2)
    for path, at in (
        (old, before),
        (photos.path_of(photo.name), before),
        (fresh, clock.now()),
        (folder, clock.now()),
    ):
        os.utime(path, (at.timestamp(), at.timestamp()))

    told = erase_expired.run()
    assert uploads.take(waiting).content == NAME.encode()
    tuesday_morning.shift(timedelta(days=2))
    erase_expired.run()

    assert "删除 1 张没有走访的照片" in told
    assert photos.path_of(photo.name).exists()
    assert not old.exists()
    with pytest.raises(NotFound):
        uploads.take(waiting)
