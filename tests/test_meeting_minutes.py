"""Minutes that are typed live, by two people at once too."""

import re
from datetime import date, timedelta
from io import BytesIO

import pytest
import sqlalchemy as sa
from docx import Document

from outreach import clock
from outreach.audit import AuditEvent
from outreach.db import db
from outreach.errors import Refused
from outreach.meetings import circulation, services
from outreach.meetings.models import MeetingStatus
from outreach.messages import delivery
from outreach.messages.channels import accepted
from outreach.messages.models import Attachment, Message
from tests import factories, fake_channel
from tests.test_meetings import invite, make_meeting, url

JSON = {"Accept": "application/json"}


@pytest.fixture
def meeting(app):
    campaign = factories.make_campaign()
    meeting = make_meeting(campaign, factories.make_user())
    invite(meeting, factories.make_solicitation(campaign))
    return meeting


@pytest.fixture
def page(meeting, sign_in):
    client, address = sign_in(meeting.organizer), url(meeting, "/minutes")
    return lambda data=None, **options: (
        client.get(address) if data is None else client.post(address, data=data, **options)
    )


def mark(answer):
    return (
        answer.json["mark"] if answer.is_json else re.search('"mark" value="(.*?)"', answer.text)[1]
    )


def test_it_is_saved_while_it_is_typed(page, meeting):
    first = mark(page())
    saved = page({"minutes": "会议指出", "decisions": "一\r\n二", "mark": first}, headers=JSON)
    assert saved.json["at"] == "10:00"
    assert (meeting.minutes, meeting.decisions) == ("会议指出", "一\n二")
    again = {"minutes": "会议指出，会议强调", "decisions": "一\n二", "mark": mark(saved)}
    assert page(again, headers=JSON).status_code == 200
    assert meeting.minutes == "会议指出，会议强调"


def test_only_who_saves_says_that_the_meeting_was_held(page, meeting):
    """From then on who signed in counts as reached, and no tick can be taken back."""
    meeting.starts_at = clock.now() - timedelta(minutes=5)
    db.session.commit()
    typed = {"minutes": "会议指出", "mark": mark(page())}
    saved = page(typed, headers=JSON)
    assert (meeting.minutes, meeting.status) == ("会议指出", MeetingStatus.PLANNED)
    page(typed | {"mark": mark(saved)})
    assert meeting.status is MeetingStatus.HELD


def test_the_second_of_two_sees_both_versions_and_loses_nothing(page, meeting):
    read = mark(page())
    page({"minutes": "甲写的", "decisions": "甲定的", "mark": read}, headers=JSON)
    mine = {"minutes": "乙写的", "decisions": "乙定的", "mark": read}
    assert page(mine, headers=JSON).status_code == 409
    answer = page(mine)
    assert answer.status_code == 409
    assert all(text in answer.text for text in ("甲写的", "甲定的", "乙写的", "乙定的"))
    assert "data-autosave" not in answer.text
    assert meeting.minutes == "甲写的"
    both = mine | {"minutes": "甲写的，乙写的", "mark": mark(answer)}
    assert page(both).status_code == 302
    assert meeting.minutes == "甲写的，乙写的"


def test_who_signs_in_meanwhile_disturbs_nobody(page, meeting):
    read = mark(page())
    services.sign_in(meeting.attendees[0])
    services.hold_meeting(meeting)
    db.session.commit()
    assert page({"minutes": "会议指出", "mark": read}, headers=JSON).status_code == 200


def test_the_same_text_again_is_no_change(page, meeting):
    typed = {"minutes": "会议指出", "mark": mark(page())}
    for _ in range(2):
        assert page(typed, headers=JSON).status_code == 200
    assert db.session.query(AuditEvent).filter_by(action="write.minutes").count() == 1


def test_drafts_of_one_person_are_one_entry_of_the_trail(page, meeting, tuesday_morning):
    def count():
        return db.session.query(AuditEvent).filter_by(action="write.minutes").count()

    saved = page()
    for text in ("会", "会议", "会议指出"):
        saved = page({"minutes": text, "mark": mark(saved)}, headers=JSON)
    assert (meeting.minutes, count()) == ("会议指出", 1)
    tuesday_morning.shift(timedelta(minutes=16))
    page({"minutes": "会议指出，", "mark": mark(saved)}, headers=JSON)
    assert count() == 2


def test_the_file_is_a_document_in_form_and_names_nobody_who_was_absent(
    meeting, sign_in, tuesday_morning
):
    absent = factories.make_solicitation(meeting.campaign)
    invite(meeting, absent)
    services.sign_in(meeting.attendees[0])
    services.write_minutes(meeting, minutes="会议指出\n\n会议强调", decisions="一是\n二是")
    item = {"text": "送达倡议书", "owner": meeting.organizer, "due_on": date(2026, 10, 30)}
    services.create_action_item(meeting, **item)
    db.session.commit()
    answer = sign_in(meeting.organizer).get(url(meeting, "/minutes.docx"))
    assert "attachment" in answer.headers["Content-Disposition"]
    document = Document(BytesIO(answer.data))
    lines = [paragraph.text for paragraph in document.paragraphs]
    assert lines[0] == "教育系统募捐协调会纪要"
    assert "时间：2026年10月20日(星期二)09:00—11:00" in lines
    assert {"会议指出", "会议强调", "一是", "二是"} <= set(lines)
    assert any(line.startswith("1. 送达倡议书。责任人：") for line in lines)
    assert meeting.attendees[0].contact.unit.name in "".join(lines)
    assert absent.unit.name not in "".join(lines)
    section = document.sections[0]
    assert (round(section.page_width.mm), round(section.top_margin.mm)) == (210, 37)
    assert document.paragraphs[0].runs[0].font.name == "方正小标宋简体"


# 印发


@pytest.fixture
def held(meeting):
    """With minutes; of three units one signed in, and the other two share a mailbox."""
    here = meeting.attendees[0]
    others = [factories.make_solicitation(meeting.campaign) for _ in range(2)]
    others[1].unit.contacts[0].email = others[0].unit.contacts[0].email
    invite(meeting, *others)
    meeting.starts_at = clock.now() - timedelta(hours=1)
    meeting.ends_at = clock.now() - timedelta(minutes=5)
    services.sign_in(here)
    services.write_minutes(meeting, minutes="会议指出", decisions="一、按时上报")
    db.session.commit()
    return meeting


def list_letters():
    return db.session.scalars(sa.select(Message).order_by(Message.id)).all()


def test_who_was_there_gets_the_minutes_as_a_file(app, held, sign_in):
    factories.open_sending()
    client = sign_in(held.organizer)
    assert "纪要还没有印发" in client.get(url(held)).text
    answer = client.post(url(held, "/minutes/circulate"), follow_redirects=True)
    assert "会议纪要 1 份待发" in answer.text
    held.minutes = "改过的纪要"  # what was queued stays as it was
    db.session.commit()
    taken = []
    fake_channel.install(app, lambda message: taken.append(message) or accepted("ok"))
    delivery.drain()
    [sent] = taken
    assert (sent.address, "现将会议纪要印发给你们" in sent.body_text) == (
        held.attendees[0].person.email,
        True,
    )
    assert sent.enclosed.name == "教育系统募捐协调会纪要.docx"
    text = "".join(line.text for line in Document(BytesIO(sent.enclosed.content)).paragraphs)
    assert ("会议指出" in text, "改过" in text) == (True, False)
    letter = list_letters()[0]
    assert "附件：教育系统募捐协调会纪要.docx" in client.get(f"/messages/{letter.id}").text
    assert "之后内容又改过" in client.get(url(held)).text


def test_the_same_minutes_reach_nobody_twice(held):
    assert circulation.circulate(held, with_absent=False) == 1
    assert circulation.circulate(held, with_absent=True) == 1  # the shared mailbox, once
    assert circulation.circulate(held, with_absent=True) == 0
    held.decisions = "一、按时上报。二、逐户走访。"
    assert circulation.circulate(held, with_absent=True) == 2
    shared = list_letters()[1]
    assert all(row.contact.unit.name in shared.body_text for row in held.attendees[1:])
    assert "未能到会" in shared.body_text


def test_minutes_that_press_people_are_not_sent(held):
    services.write_minutes(held, minutes="会议指出", decisions="每人捐款不少于200元")
    with pytest.raises(Refused, match="捐款标准"):
        circulation.circulate(held, with_absent=True)
    db.session.rollback()
    services.write_minutes(held, minutes="会议指出", decisions="坚持自愿，不下募捐指标")
    assert circulation.circulate(held, with_absent=True)


def test_there_is_nothing_to_send_before_the_meeting_or_without_minutes(held):
    held.minutes = held.decisions = ""
    with pytest.raises(Refused):
        circulation.circulate(held, with_absent=True)
    held.minutes, held.status = "会议指出", MeetingStatus.PLANNED
    with pytest.raises(Refused):
        circulation.circulate(held, with_absent=True)
    assert list_letters() == []


def test_who_came_for_the_second_of_two_units_gets_them_once(held):
    services.sign_in(held.attendees[2])  # the first row of this mailbox was absent
    assert circulation.circulate(held, with_absent=False) == 2
    at = held.circulated_at
    assert circulation.circulate(held, with_absent=True) == 0
    assert held.circulated_at == at
    assert db.session.query(Attachment).count() == 1
