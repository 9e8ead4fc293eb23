"""What people are mailed about a meeting: the notice and its iCalendar object."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from icalendar import Calendar

from outreach import clock
from outreach.campaigns.models import Stage
from outreach.db import db
from outreach.errors import Refused
from outreach.meetings import links, services
from outreach.meetings.circulation import circulate
from outreach.meetings.models import MeetingStatus, PartStat
from outreach.meetings.rendering import Method, build_calendar
from outreach.messages.models import Message, MessageStatus, OptOut
from tests import factories

SHANGHAI = ZoneInfo("Asia/Shanghai")
THURSDAY = date(2026, 10, 22)
PLAN = {
    "title": "教育系统募捐协调会",
    "starts_at": clock.at(THURSDAY, time(14, 30)),
    "ends_at": clock.at(THURSDAY, time(16)),
    "place": "三楼会议室",
    "agenda": "一、通报进展；二、讨论，安排\n三、其他",
}


@pytest.fixture
def staff(app):
    return factories.make_user(name="召集人")


@pytest.fixture
def units(app):
    """Two units of one campaign, each with a coordinator."""
    campaign = factories.make_campaign()
    return [factories.make_solicitation(campaign) for _ in range(2)]


@pytest.fixture
def meeting(units, staff):
    """A meeting on Thursday with both units on the list; nobody was told yet."""
    meeting = services.create_meeting(units[0].campaign, **PLAN, organizer=staff)
    services.invite(meeting, unit_ids=[row.unit_id for row in units])
    db.session.commit()
    return meeting


def url(meeting, path=""):
    return f"/c/{meeting.campaign.code}/meetings/{meeting.id}{path}"


def send(meeting):
    queued = services.send_invitations(meeting)
    db.session.commit()
    return queued


def mail(sequence=None):
    """Messages in the order they were queued, or only those of one SEQUENCE."""
    messages = db.session.query(Message).order_by(Message.id).all()
    return [row for row in messages if sequence is None or row.occurrence.endswith(f":{sequence}")]


def read(text):
    """The calendar and its only event."""
    calendar = Calendar.from_ical(text)
    [event] = calendar.walk("VEVENT")
    return calendar, event


def test_the_invitation_is_a_request_that_names_only_its_reader(meeting, staff):
    assert send(meeting) == 2
    for message, attendee, other in zip(
        mail(), meeting.attendees, reversed(meeting.attendees), strict=True
    ):
        calendar, event = read(message.calendar)
        assert calendar["METHOD"] == "REQUEST"
        assert event["UID"] == meeting.uid
        assert event["SEQUENCE"] == 0
        assert event["ATTENDEE"] == f"mailto:{attendee.contact.email}"
        assert event["ATTENDEE"].params["PARTSTAT"] == "NEEDS-ACTION"
        assert event["ATTENDEE"].params["RSVP"] == "TRUE"
        assert event["ORGANIZER"] == f"mailto:{staff.email}"
        assert message.address == attendee.contact.email
        assert message.reply_to == staff.email
        whole = message.calendar + message.body_text
        assert other.contact.email not in whole
        assert other.contact.name not in whole
        assert other.contact.unit.name not in whole


def test_nobody_is_told_to_ask_an_organizer_who_has_left(app, meeting, staff):
    staff.is_enabled = False
    send(meeting)
    link = links.answer_link(meeting.attendees[0]).partition("//")[2].partition("/")[2]
    settings = app.extensions["outreach.settings"]
    for message in mail():
        assert message.reply_to == "", "answers go to the address that it comes from"
        organizer = read(message.calendar)[1]["ORGANIZER"]
        assert organizer == f"mailto:{settings.mail_sender}"
        assert organizer.params["CN"] == settings.mail_sender_name
        for text in (message.calendar, message.body_text, app.test_client().get(f"/{link}").text):
            assert staff.name not in text
            assert staff.email not in text
    meeting.status, meeting.minutes = MeetingStatus.HELD, "会议指出"
    assert circulate(meeting, with_absent=True) == 2
    assert not any(message.reply_to or staff.name in message.body_text for message in mail()[2:])


def test_the_event_lies_at_the_hour_of_shanghai_and_brings_its_zone(meeting):
    calendar, event = read(build_calendar(meeting, Method.PUBLISH))
    assert event.start == datetime(2026, 10, 22, 14, 30, tzinfo=SHANGHAI)
    assert event.end == datetime(2026, 10, 22, 16, 0, tzinfo=SHANGHAI)
    assert event["DTSTART"].params["TZID"] == "Asia/Shanghai"
    [zone] = calendar.walk("VTIMEZONE")
    assert zone["TZID"] == "Asia/Shanghai"
    assert event["SUMMARY"] == PLAN["title"]
    assert event["DESCRIPTION"] == PLAN["agenda"]
    assert event["LOCATION"] == PLAN["place"]


def test_the_notice_reads_like_one(meeting):
    send(meeting)
    message, attendee = mail()[0], meeting.attendees[0]
    assert message.subject == "关于召开“教育系统募捐协调会”的通知"
    assert f"{attendee.contact.unit.name}:" in message.body_text
    assert "2026年10月22日(星期四)14:30—16:00" in message.body_text
    assert f"请{attendee.contact.name}同志参加" in message.body_text
    assert "三楼会议室" in message.body_text
    assert "召集人" in message.body_text
    assert message.body_text.rstrip().endswith("2026年10月20日")
    assert "三楼会议室" in message.body_text
    assert "必须" not in message.body_text


@pytest.mark.parametrize("field", ["title", "agenda"])
def test_a_notice_that_presses_people_is_not_sent(meeting, field):
    setattr(meeting, field, "通报未捐款单位名单")
    db.session.commit()
    with pytest.raises(Refused, match="相威胁"):
        send(meeting)
    db.session.rollback()
    assert mail() == []


def test_a_title_of_former_days_keeps_no_change_from_those_who_were_invited(meeting):
    """The words were not looked at when it was sent; whoever was invited must hear of the rest."""
    send(meeting)
    meeting.title = "劝募任务分解会"
    db.session.commit()
    told = len(mail())
    values = {"ends_at": meeting.ends_at + timedelta(hours=1), "agenda": meeting.agenda}
    values |= {"title": meeting.title, "starts_at": meeting.starts_at, "place": meeting.place}
    assert services.update_meeting(meeting, **values) > 0
    with pytest.raises(Refused, match="强迫"):
        services.update_meeting(meeting, **values | {"place": "摊派办公室"})
    db.session.commit()
    assert services.cancel_meeting(meeting, reason="停电") > 0
    db.session.commit()
    assert len(mail()) > told


def test_the_notice_is_chinese_for_the_reader_when_the_sender_reads_english(
    meeting, staff, sign_in
):
    client = sign_in(staff)
    client.post("/language", data={"language": "en"})
    client.post(url(meeting, "/notify"))
    assert mail()[0].subject.startswith("关于召开")


def test_each_message_is_tied_to_its_unit_and_ends_with_the_meeting(meeting, units):
    send(meeting)
    for message, solicitation in zip(mail(), units, strict=True):
        assert [link.solicitation_id for link in message.links] == [solicitation.id]
        assert message.campaign_id == solicitation.campaign_id
        assert message.not_after == meeting.starts_at


def test_inviting_again_without_a_change_queues_nothing_twice(meeting, app, sign_in, staff):
    client = sign_in(staff)
    client.post(url(meeting, "/notify"))
    assert app.extensions["woken"] == ["deliver"]
    client.post(url(meeting, "/notify"))
    assert len(mail()) == 2
    assert app.extensions["woken"] == ["deliver"]
    for attendee in meeting.attendees:
        attendee.invited_sequence = None
    assert send(meeting) == 0
    assert len(mail()) == 2


def test_who_is_added_later_is_told_and_the_others_are_not_told_again(meeting):
    send(meeting)
    late = factories.make_solicitation(meeting.campaign)
    services.invite(meeting, unit_ids=[late.unit_id])
    assert send(meeting) == 1
    assert mail()[-1].links[0].solicitation_id == late.id
    assert mail()[-1].subject.startswith("关于召开")


@pytest.mark.parametrize(
    "change",
    [
        {"starts_at": clock.at(THURSDAY, time(15))},
        {"ends_at": clock.at(THURSDAY, time(17))},
        {"place": "五楼会议室"},
        {"title": "教育、卫健系统募捐协调会"},
    ],
)
def test_a_change_raises_sequence_and_tells_everybody_who_was_invited(meeting, change):
    send(meeting)
    assert services.update_meeting(meeting, **PLAN | change) == 2
    assert meeting.sequence == 1
    for message in mail(sequence=1):
        calendar, event = read(message.calendar)
        assert calendar["METHOD"] == "REQUEST"
        assert (event["UID"], event["SEQUENCE"]) == (meeting.uid, 1)
        assert event.start == clock.local(meeting.starts_at)
        assert message.subject.startswith("关于调整")
    assert len(mail(sequence=1)) == 2


def test_another_agenda_alone_is_no_news(meeting):
    send(meeting)
    assert services.update_meeting(meeting, **PLAN | {"agenda": "一、改过的议程"}) == 0
    assert meeting.sequence == 0
    assert len(mail()) == 2


def test_a_change_before_anybody_was_told_stays_at_home(meeting):
    services.update_meeting(meeting, **PLAN | {"place": "五楼会议室"})
    assert meeting.sequence == 0
    assert mail() == []
    send(meeting)
    assert read(mail()[0].calendar)[1]["LOCATION"] == "五楼会议室"


def test_who_accepted_for_another_time_is_asked_again_but_not_for_another_place(meeting):
    send(meeting)
    attendee = meeting.attendees[0]
    services.record_answer(attendee, PartStat.ACCEPTED)
    services.update_meeting(meeting, **PLAN | {"place": "五楼会议室"})
    assert attendee.partstat is PartStat.ACCEPTED
    assert read(mail(sequence=1)[0].calendar)[1]["ATTENDEE"].params["PARTSTAT"] == "ACCEPTED"
    moved = {"starts_at": clock.at(THURSDAY, time(9)), "place": "五楼会议室"}
    services.update_meeting(meeting, **PLAN | moved)
    assert attendee.partstat is PartStat.NEEDS_ACTION


def test_a_meeting_that_people_know_of_is_not_moved_into_the_past(meeting):
    send(meeting)
    past = clock.now() - timedelta(hours=3)
    with pytest.raises(Refused):
        services.update_meeting(
            meeting, **PLAN | {"starts_at": past, "ends_at": past + timedelta(hours=1)}
        )


def test_the_edit_page_queues_the_update_and_wakes_a_worker(meeting, app, sign_in, staff):
    send(meeting)
    typed = {
        "title": PLAN["title"],
        "day": "2026-10-23",
        "start": "09:00",
        "end": "10:30",
        "place": PLAN["place"],
        "agenda": PLAN["agenda"].replace("\n", "\r\n"),
        "version": meeting.version,
    }
    client = sign_in(staff)
    answer = client.post(url(meeting, "/edit"), data=typed, follow_redirects=True)
    assert "更新通知 2 份待发" in answer.text
    assert app.extensions["woken"] == ["deliver"]
    assert meeting.agenda == PLAN["agenda"]
    client.post(url(meeting, "/edit"), data=typed | {"version": meeting.version})
    assert meeting.sequence == 1
    assert len(mail()) == 4


def test_a_cancelled_meeting_is_taken_out_of_the_calendars_of_those_who_were_told(
    meeting, app, sign_in, staff
):
    late = factories.make_solicitation(meeting.campaign)
    send(meeting)
    services.invite(meeting, unit_ids=[late.unit_id])
    db.session.commit()
    client = sign_in(staff)
    answer = client.post(
        url(meeting, "/cancel"), data={"version": meeting.version, "reason": "与全市大会冲突"}
    )
    assert answer.status_code == 302
    assert meeting.status is MeetingStatus.CANCELLED
    assert app.extensions["woken"] == ["deliver"]
    assert len(mail(sequence=1)) == 2
    for message in mail(sequence=1):
        calendar, event = read(message.calendar)
        assert calendar["METHOD"] == "CANCEL"
        assert event["STATUS"] == "CANCELLED"
        assert (event["UID"], event["SEQUENCE"]) == (meeting.uid, 1)
        assert message.subject == "关于取消“教育系统募捐协调会”的通知"
        assert "与全市大会冲突" in message.body_text
        assert "请" + meeting.attendees[0].contact.name not in message.body_text


def test_after_the_cancellation_nothing_can_be_done_with_the_meeting(meeting, sign_in, staff):
    services.cancel_meeting(meeting, reason="改期")
    db.session.commit()
    client = sign_in(staff)
    for path, data in (
        ("/notify", {}),
        ("/hold", {}),
        ("/cancel", {"reason": "再取消"}),
        (f"/attendees/{meeting.attendees[0].id}/sign-in", {}),
        ("/minutes", {"minutes": "略"}),
    ):
        assert client.post(url(meeting, path), data=data).status_code == 422
    assert (meeting.sequence, meeting.cancel_reason) == (1, "改期")
    assert mail() == []
    assert "会议已取消：改期" in client.get(url(meeting)).text


def test_a_cancellation_needs_a_reason(meeting, sign_in, staff):
    answer = sign_in(staff).post(url(meeting, "/cancel"), data={"reason": " "})
    assert answer.status_code == 422
    assert meeting.status is MeetingStatus.PLANNED


def test_nobody_is_invited_to_a_meeting_that_has_begun(meeting, tuesday_morning):
    tuesday_morning.move_to("2026-10-22T14:31:00+08:00")
    with pytest.raises(Refused):
        services.send_invitations(meeting)
    assert mail() == []


def test_who_has_no_e_mail_address_is_shown_for_a_telephone_call(meeting, sign_in, staff):
    meeting.attendees[0].contact.email = ""
    db.session.commit()
    assert send(meeting) == 1
    page = sign_in(staff).get(url(meeting)).text
    assert page.count("没有邮箱，请电话通知") == 1
    assert meeting.attendees[0].invited_sequence is None


def test_staff_whose_account_is_closed_are_written_to_no_more(meeting, sign_in, staff):
    gone = factories.make_user(name="已离职")
    services.invite(meeting, user_ids=[gone.id])
    gone.is_enabled = False
    assert send(meeting) == 2
    page = sign_in(staff).get(url(meeting)).text
    assert page.count("账号已停用，不再通知") == 1
    meeting.status, meeting.minutes = MeetingStatus.HELD, "会议指出"
    assert circulate(meeting, with_absent=True) == 2
    assert gone.email not in {message.address for message in mail()}


def test_one_person_who_answers_for_two_units_gets_one_mail_that_names_both(meeting, units):
    first, second = (row.contact for row in meeting.attendees)
    second.email, second.name = first.email, first.name
    db.session.commit()
    assert send(meeting) == 1
    [message] = mail()
    assert {link.solicitation_id for link in message.links} == {row.id for row in units}
    assert f"{first.unit.name}、{second.unit.name}:" in message.body_text
    assert services.list_to_notify(meeting) == []


def test_a_person_who_opted_out_is_left_to_the_send_gate(meeting):
    send(meeting)
    db.session.add(
        OptOut(
            channel=mail()[0].channel,
            address_hash=mail()[0].address_hash,
            source="test",
            at=clock.now(),
        )
    )
    assert services.update_meeting(meeting, **PLAN | {"place": "五楼会议室"}) == 2
    assert mail(sequence=1)[0].status is MessageStatus.QUEUED


def test_staff_are_invited_like_units_and_tied_to_none(meeting, staff):
    colleague = factories.make_user(name="同事")
    services.invite(meeting, user_ids=[colleague.id])
    assert send(meeting) == 3
    message = mail()[-1]
    assert message.address == colleague.email
    assert message.links == []
    assert message.contact_id is None
    assert message.body_text.splitlines()[2] == "同事:"


def test_a_name_with_line_breaks_and_quotes_stays_inside_its_property(meeting):
    contact = meeting.attendees[0].contact
    contact.name = '张"三\r\nATTENDEE:mailto:x@y.example'
    _calendar, event = read(build_calendar(meeting, Method.REQUEST, meeting.attendees[0]))
    assert event["ATTENDEE"] == f"mailto:{contact.email}"


def test_the_file_to_download_names_nobody_who_is_invited(meeting, sign_in, staff):
    answer = sign_in(staff).get(url(meeting, "/calendar.ics"))
    assert answer.mimetype == "text/calendar"
    assert f'filename="meeting-{meeting.id}.ics"' in answer.headers["Content-Disposition"]
    calendar, event = read(answer.data)
    assert calendar["METHOD"] == "PUBLISH"
    assert "ATTENDEE" not in event
    for attendee in meeting.attendees:
        assert attendee.contact.email not in answer.text


def test_an_invitation_does_not_move_a_unit_by_itself(meeting, units):
    send(meeting)
    assert {row.stage for row in units} == {Stage.NOT_CONTACTED}


def test_the_page_offers_what_comes_next(meeting, sign_in, staff, tuesday_morning):
    client = sign_in(staff)
    assert "发出通知（2 人）" in client.get(url(meeting)).text
    send(meeting)
    page = client.get(url(meeting)).text
    assert "发出通知" not in page
    assert "待发" in page
    tuesday_morning.move_to("2026-10-22T14:00:00+08:00")
    page = sign_in(staff).get(url(meeting)).text
    assert 'btn btn-primary" href="' + url(meeting, "/sign-in") in page
    tuesday_morning.move_to("2026-10-22T17:00:00+08:00")
    page = sign_in(staff).get(url(meeting)).text
    assert 'btn btn-primary" href="' + url(meeting, "/minutes") in page
