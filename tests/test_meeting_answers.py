"""What invited people answer: by the link in the notice, and from their calendars by mail."""

from datetime import date, time, timedelta

import hypothesis.strategies as st
import pytest
import vobject
from hypothesis import HealthCheck, example, given, settings
from icalendar import Calendar

from outreach import clock
from outreach.campaigns.models import Campaign
from outreach.db import db
from outreach.errors import Conflict, Refused
from outreach.meetings import answers, links, replies, services
from outreach.meetings.models import Attendee, Meeting, MeetingStatus, PartStat
from outreach.meetings.queries import lock_attendee
from outreach.meetings.rendering import Method, build_calendar
from outreach.meetings.replies import Reply
from outreach.messages.models import Message
from outreach.messages.rendering import render_html
from tests import bounce_corpus as corpus
from tests import factories
from tests.bounce_corpus import Sent

THURSDAY = date(2026, 10, 22)
PLAN = {
    "title": "教育系统募捐协调会",
    "starts_at": clock.at(THURSDAY, time(14, 30)),
    "ends_at": clock.at(THURSDAY, time(16)),
    "place": "三楼会议室",
    "agenda": "一、通报进展",
}
LATER = PLAN | {
    "starts_at": clock.at(THURSDAY, time(15, 30)),
    "ends_at": clock.at(THURSDAY, time(17)),
}
SAID = {"accepted": "参加", "declined": "不参加", "delegated": "委托他人"}


@pytest.fixture
def app(app):
    app.extensions["outreach.settings"].mail_bounce_address = "bounce@charity.example"
    return app


def plan(campaign, *solicitations):
    """A meeting to which the units were invited by mail."""
    meeting = services.create_meeting(campaign, **PLAN, organizer=factories.make_user())
    services.invite(meeting, unit_ids=[row.unit_id for row in solicitations])
    services.send_invitations(meeting)
    db.session.commit()
    return meeting


@pytest.fixture
def meeting(app):
    campaign = factories.make_campaign()
    return plan(campaign, *(factories.make_solicitation(campaign) for _ in range(2)))


@pytest.fixture
def attendee(meeting):
    return meeting.attendees[0]


@pytest.fixture
def path(attendee):
    return links.answer_link(attendee).removeprefix("http://127.0.0.1:8000")


def say(partstat, sequence=0, **values):
    return {"partstat": partstat, "sequence": sequence} | values


def send_reply(attendee, partstat="ACCEPTED", *, sequence=None, at=None, **changes):
    """What the attendee's calendar makes of the invitation, as mail."""
    meeting = attendee.meeting
    to = changes.get("to", links.reply_address(attendee))
    sender = changes.get("sender", attendee.person.email)
    extra = changes.get("extra", "")
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Example//Calendar//EN",
        f"METHOD:{changes.get('method', 'REPLY')}",
        "BEGIN:VEVENT",
        f"UID:{changes.get('uid', meeting.uid)}",
        f"SEQUENCE:{meeting.sequence if sequence is None else sequence}",
        f"DTSTAMP:{(at or clock.now()):%Y%m%dT%H%M%SZ}",
        "DTSTART:20261022T063000Z",
        f"ORGANIZER:mailto:{to}",
        f"ATTENDEE;PARTSTAT={partstat}{extra}:mailto:{sender}",
        *changes.get("more", ()),
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    ]
    head = f"From: {sender}\r\nTo: {to}\r\nSubject: Re\r\nMIME-Version: 1.0\r\n"
    head += "Content-Type: text/calendar; method=REPLY; charset=utf-8\r\n\r\n"
    return (head + "\r\n".join(lines)).encode()


def take(*mails):
    taken, others = replies.take(mails, clock.now())
    db.session.commit()
    return dict(taken), others


def test_looking_changes_nothing_and_an_answer_can_be_changed(client, path, attendee):
    page = client.get(path)
    assert "三楼会议室" in page.text
    assert "checked" not in page.text
    assert client.head(path).status_code == 200
    assert attendee.partstat is PartStat.NEEDS_ACTION
    for partstat, label in SAID.items():
        page = client.post(path, data=say(partstat, delegate_name="王敏"))
        assert f"已收到您的回复：{label}" in page.text
        assert attendee.partstat.value == partstat
        assert attendee.delegate_name == ("王敏" if partstat == "delegated" else "")
    assert 'value="delegated" checked' in client.get(path).text
    assert "王敏" in client.get(path).text


def test_the_notice_brings_the_link_and_the_calendar_the_address_to_reply_to(meeting):
    for message, attendee in zip(db.session.query(Message), meeting.attendees, strict=True):
        assert links.answer_link(attendee) in message.body_text
        assert f'href="{links.answer_link(attendee)}"' in render_html(message.body_text)
        event = vobject.readOne(message.calendar).vevent
        assert event.organizer.value == f"mailto:{links.reply_address(attendee)}"
        assert len(event.attendee_list) == 1
        assert message.reply_to == meeting.organizer.email


@pytest.mark.parametrize("method", list(Method))
def test_a_second_library_reads_the_same_event(meeting, attendee, method):
    if method is Method.CANCEL:
        services.cancel_meeting(meeting, reason="与全市大会冲突")
    calendar = vobject.readOne(build_calendar(meeting, method, attendee))
    assert calendar.validate(raiseException=True)
    assert calendar.method.value == method.value
    event = calendar.vevent
    assert (event.uid.value, int(event.sequence.value)) == (meeting.uid, meeting.sequence)
    assert event.dtstart.value == meeting.starts_at
    assert event.dtend.value == meeting.ends_at
    assert event.summary.value == meeting.title
    assert event.attendee.params["PARTSTAT"] == ["NEEDS-ACTION"]
    assert event.status.value == ("CANCELLED" if method is Method.CANCEL else "CONFIRMED")


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({}, "请选择是否参加"),
        ({"partstat": "tentative"}, "请选择是否参加"),
        ({"partstat": "delegated"}, "请填写代为参加的同志姓名"),
        ({"partstat": "delegated", "delegate_name": "王" * 61}, "最多 60 个字"),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_lost(client, path, attendee, typed, told):
    answer = client.post(path, data={"sequence": 0} | typed)
    assert answer.status_code == 422
    assert told in answer.text
    assert typed.get("delegate_name", "") in answer.text
    assert attendee.partstat is PartStat.NEEDS_ACTION


def test_nobody_answers_for_another_by_changing_the_link(client, path, meeting):
    first, second = meeting.attendees
    forged = path.replace(f"/{first.id}.", f"/{second.id}.")
    assert forged != path
    for wrong in (forged, "/invitations/1/", "/invitations/x.y/", "/invitations/中.文/"):
        assert client.get(wrong).status_code == 404
        assert client.post(wrong, data=say("accepted")).status_code == 404
    assert {row.partstat for row in meeting.attendees} == {PartStat.NEEDS_ACTION}


def test_who_saw_the_old_time_is_asked_to_look_again(client, path, meeting, attendee):
    services.update_meeting(meeting, **LATER)
    db.session.commit()
    answer = client.post(path, data=say("accepted"))
    assert answer.status_code == 409
    assert "看清新的时间" in answer.text
    assert attendee.partstat is PartStat.NEEDS_ACTION
    services.update_meeting(meeting, **LATER | {"place": "五楼会议室"})
    db.session.commit()
    assert client.post(path, data=say("accepted", 1)).status_code == 200


def test_there_is_no_answering_after_the_beginning_or_the_cancellation(
    client, path, meeting, attendee, tuesday_morning
):
    tuesday_morning.move_to("2026-10-22T14:31:00+08:00")
    assert "不能再回复" in client.get(path).text
    assert client.post(path, data=say("accepted")).status_code == 422
    tuesday_morning.move_to("2026-10-20T10:00:00+08:00")
    services.cancel_meeting(meeting, reason="与全市大会冲突")
    db.session.commit()
    assert "会议已取消：与全市大会冲突" in client.get(path).text
    assert client.post(path, data=say("accepted", 1)).status_code == 422
    assert attendee.partstat is PartStat.NEEDS_ACTION


def test_a_script_that_answers_without_end_is_stopped(client, path, monkeypatch):
    monkeypatch.setattr(answers, "MOST_ANSWERS", 2)
    codes = [client.post(path, data=say("accepted")).status_code for _ in range(3)]
    assert codes == [200, 200, 429]


def test_one_person_answers_once_for_the_units_they_answer_for(app, client):
    campaign = factories.make_campaign()
    rows = [factories.make_solicitation(campaign) for _ in range(3)]
    shared = [row.unit.contacts[0] for row in rows[:2]]
    shared[1].email = shared[0].email
    meeting = plan(campaign, *rows)
    path = links.answer_link(meeting.attendees[0]).removeprefix("http://127.0.0.1:8000")
    page = client.post(path, data=say("declined"))
    assert all(row.unit.name in page.text for row in rows[:2])
    assert rows[2].unit.name not in page.text
    stats = [row.partstat.value for row in meeting.attendees]
    assert stats == ["declined", "declined", "needs-action"]


def test_staff_see_who_comes_instead(client, path, meeting, sign_in):
    client.post(path, data=say("delegated", delegate_name="王敏"))
    page = sign_in(meeting.organizer).get(f"/c/{meeting.campaign.code}/meetings/{meeting.id}").text
    assert "由王敏代为参加" in page
    assert "参加 1" in page


def test_a_reply_from_a_calendar_is_the_answer(attendee):
    assert take(send_reply(attendee)) == ({Reply.TAKEN: 1}, [])
    assert attendee.partstat is PartStat.ACCEPTED
    assert take(send_reply(attendee)) == ({Reply.LATE: 1}, [])


def test_a_reply_that_names_who_comes_instead(attendee):
    extra = ';DELEGATED-TO="mailto:wang@unit.example"'
    more = ["ATTENDEE;CN=王敏;PARTSTAT=NEEDS-ACTION:mailto:wang@unit.example"]
    assert take(send_reply(attendee, "DELEGATED", extra=extra, more=more))[0] == {Reply.TAKEN: 1}
    assert (attendee.partstat, attendee.delegate_name) == (PartStat.DELEGATED, "王敏")


@pytest.mark.parametrize(
    "changes",
    [
        {"to": "bounce@charity.example"},
        {"to": "bounce+m1.0123456789abcdef@charity.example"},
        {"uid": "another"},
        {"sender": "forwarded.to@unit.example"},
        {"partstat": "PERHAPS"},
        {"partstat": "NEEDS-ACTION"},
    ],
)
def test_a_reply_that_proves_nothing_changes_nothing(attendee, changes):
    assert take(send_reply(attendee, **changes)) == ({Reply.STRANGE: 1}, [])
    assert attendee.partstat is PartStat.NEEDS_ACTION


def test_other_mail_is_left_to_those_who_read_bounces(attendee):
    sent = Sent(b"Subject: x\r\n\r\n", "bounce+1.0.0123456789abcdef@charity.example", "a@b.example")
    mails = [
        corpus.postfix_no_such_user(sent),
        send_reply(attendee, method="REQUEST"),
        b"Content-Type: text/calendar\r\n\r\n\xff\x00",
        b"",
    ]
    assert take(*mails) == ({}, mails)


def test_an_answer_on_the_page_outweighs_an_older_reply_and_not_a_newer_one(
    client, path, attendee, tuesday_morning
):
    early = send_reply(attendee, "DECLINED")
    tuesday_morning.shift(60)
    client.post(path, data=say("accepted"))
    assert take(early)[0] == {Reply.LATE: 1}
    assert attendee.partstat is PartStat.ACCEPTED
    tuesday_morning.shift(60)
    assert take(send_reply(attendee, "DECLINED"))[0] == {Reply.TAKEN: 1}
    assert attendee.partstat is PartStat.DECLINED


def test_a_clock_that_is_ahead_keeps_no_later_answer_out(client, path, attendee, tuesday_morning):
    take(send_reply(attendee, "DECLINED", at=clock.now() + timedelta(days=3)))
    tuesday_morning.shift(1)
    client.post(path, data=say("accepted"))
    assert attendee.partstat is PartStat.ACCEPTED


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["move", "place", "agenda", "page", "reply", "staff", "cancel"]),
        st.sampled_from([PartStat.ACCEPTED, PartStat.DECLINED, PartStat.DELEGATED]),
        st.integers(-1, 2),
    ),
    min_size=4,
    max_size=12,
)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(moves=MOVES)
@example(moves=[("move", PartStat.ACCEPTED, 0), ("page", PartStat.ACCEPTED, 1)])
@example(moves=[("move", PartStat.ACCEPTED, 0), ("reply", PartStat.ACCEPTED, 1)])
def test_whatever_happens_the_answer_is_the_last_one_about_this_time(app, tuesday_morning, moves):
    """Against a model of four numbers; SEQUENCE rises with each change that people learn of, and
    is that of the last message."""
    campaign = db.session.query(Campaign).first() or factories.make_campaign()
    meeting = plan(campaign, factories.make_solicitation(campaign))
    attendee_id, meeting_id = meeting.attendees[0].id, meeting.id
    sequence = moved = 0
    expected, is_open, facts = PartStat.NEEDS_ACTION, True, dict(PLAN)
    for number, (move, partstat, ago) in enumerate(moves):
        tuesday_morning.shift(1)
        seen = max(sequence - ago, 0)
        attendee = lock_attendee(attendee_id)
        meeting = attendee.meeting
        if move in ("move", "place", "agenda"):
            shift = timedelta(minutes=number + 1) if move == "move" else timedelta()
            facts |= {"starts_at": facts["starts_at"] + shift, "ends_at": facts["ends_at"] + shift}
            facts |= {move: f"{move} {number}"} if move != "move" else {}
            if is_open:
                services.update_meeting(meeting, **facts)
                sequence += move != "agenda"
                if move == "move":
                    moved, expected = sequence, PartStat.NEEDS_ACTION
            else:
                with pytest.raises(Refused):
                    services.update_meeting(meeting, **facts)
        elif move == "cancel" and is_open:
            services.cancel_meeting(meeting, reason="改期")
            sequence, is_open = sequence + 1, False
        elif move == "staff" and is_open:
            services.record_answer(attendee, partstat)
            expected = partstat
        elif move == "page":
            if is_open and moved <= seen <= sequence:
                answers.answer(attendee, partstat, sequence=seen, delegate_name="王敏")
                expected = partstat
            else:
                with pytest.raises((Refused, Conflict)):
                    answers.answer(attendee, partstat, sequence=seen)
        elif move == "reply":
            is_taken = take(send_reply(attendee, partstat.value.upper(), sequence=seen))[0]
            counts = is_open and moved <= seen <= sequence
            assert is_taken == {Reply.TAKEN if counts else Reply.LATE: 1}
            expected = partstat if counts else expected
        db.session.commit()
        attendee = db.session.get(Attendee, attendee_id, populate_existing=True)
        assert attendee.partstat is expected
        assert not attendee.delegate_name or expected is PartStat.DELEGATED
        meeting = db.session.get(Meeting, meeting_id, populate_existing=True)
        assert (meeting.sequence, meeting.moved_sequence) == (sequence, moved)
        assert (meeting.status is MeetingStatus.PLANNED) is is_open
        newest = (
            db.session.query(Message)
            .filter(Message.occurrence.startswith(f"invitation:{meeting_id}:"))
            .order_by(Message.id.desc())
            .first()
        )
        [event] = Calendar.from_ical(newest.calendar).walk("VEVENT")
        assert (event["UID"], event["SEQUENCE"]) == (meeting.uid, sequence)
