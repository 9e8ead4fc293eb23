"""Meetings on the page: planning, sign-in at the door, minutes, action items."""

from datetime import UTC, date, datetime, time, timedelta

import pytest

from outreach import clock
from outreach.access import Role
from outreach.audit import AuditEvent
from outreach.campaigns.models import DeclineReason, SectorLineage, Stage, StageCause
from outreach.db import db
from outreach.errors import NotFound, Refused
from outreach.meetings import queries, services
from outreach.meetings.agenda import draft_agenda
from outreach.meetings.models import ActionItem, Meeting, MeetingStatus, PartStat
from tests import factories

TODAY = date(2026, 10, 20)


@pytest.fixture
def staff(app):
    return factories.make_user()


@pytest.fixture
def campaign(app):
    return factories.make_campaign()


def make_meeting(campaign, organizer, day=TODAY, hour=9, **values):
    meeting = services.create_meeting(
        campaign,
        **{
            "title": "教育系统募捐协调会",
            "starts_at": clock.at(day, time(hour)),
            "ends_at": clock.at(day, time(hour + 2)),
            "place": "三楼会议室",
            "agenda": "一、通报进展",
            "organizer": organizer,
        }
        | values,
    )
    db.session.commit()
    return meeting


def invite(meeting, *solicitations):
    services.invite(meeting, unit_ids=[row.unit_id for row in solicitations])
    db.session.commit()
    return meeting.attendees


def url(meeting, path=""):
    return f"/c/{meeting.campaign.code}/meetings/{meeting.id}{path}"


TYPED = {
    "title": "教育系统募捐协调会",
    "day": "2026-10-22",
    "start": "14:30",
    "end": "16:00",
    "place": "三楼会议室",
    "agenda": "一、通报进展",
}


def test_a_meeting_is_stored_at_the_hour_that_a_wall_clock_in_shanghai_shows(
    campaign, sign_in, staff
):
    answer = sign_in(staff).post(f"/c/{campaign.code}/meetings/new", data=TYPED)
    meeting = db.session.query(Meeting).one()
    assert answer.location.endswith(f"/meetings/{meeting.id}/invite")
    assert meeting.starts_at == datetime(2026, 10, 22, 6, 30, tzinfo=UTC)
    assert meeting.organizer_id == staff.id
    assert meeting.sequence == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"end": "14:30"}, "结束时间要晚于开始时间"),
        ({"title": " "}, "请填写会议名称"),
        ({"title": "协调会\r\nBcc: x@y.example"}, "不能含换行"),
        ({"title": "=?utf-8?q?x?="}, "不能含换行"),
        ({"day": ""}, "请选择日期"),
    ],
)
def test_a_meeting_that_makes_no_sense_is_refused_next_to_the_field(
    campaign, sign_in, change, message
):
    answer = sign_in().post(f"/c/{campaign.code}/meetings/new", data=TYPED | change)
    assert answer.status_code == 422
    assert message in answer.text
    assert db.session.query(Meeting).count() == 0


def test_the_agenda_names_lagging_sectors_and_open_items_but_no_unit_and_no_amount(campaign, staff):
    earlier = make_meeting(campaign, staff)
    unit = factories.make_solicitation(campaign).unit
    facts = {"owner": staff, "due_on": TODAY}
    services.create_action_item(earlier, text="编印宣传册", **facts)
    services.create_action_item(earlier, text="再访该单位", unit_id=unit.id, **facts)
    done = services.create_action_item(earlier, text="核对名册", **facts)
    services.complete_action_item(done)
    last_year = factories.make_campaign()
    this_year = campaign
    this_year.previous_id = last_year.id
    lagging = factories.make_solicitation(this_year)
    old_sector = factories.make_sector(last_year)
    factories.save(SectorLineage(sector_id=lagging.sector_id, predecessor_id=old_sector.id))
    old = factories.make_solicitation(last_year, old_sector, unit=lagging.unit)
    factories.make_gift(old, received_on=date(2026, 9, 2))
    agenda = draft_agenda(this_year)
    assert lagging.sector.name in agenda
    assert "编印宣传册" in agenda
    assert "再访该单位" not in agenda
    assert "核对名册" not in agenda
    assert unit.name not in agenda
    assert "万元" not in agenda


def test_a_unit_is_invited_by_the_coordinator_who_serves_today(campaign, staff):
    meeting = make_meeting(campaign, staff)
    solicitation = factories.make_solicitation(campaign, unit=factories.make_unit())
    factories.make_contact(solicitation.unit, name="前任", valid_to=date(2026, 9, 30))
    factories.make_contact(solicitation.unit, name="现任", valid_from=date(2026, 10, 1))
    factories.make_contact(solicitation.unit, name="下任", valid_from=date(2026, 11, 1))
    factories.make_contact(solicitation.unit, name="财务", role="finance")
    invite(meeting, solicitation)
    invite(meeting, solicitation)
    assert [row.contact.name for row in meeting.attendees] == ["现任"]


def test_units_of_another_campaign_and_people_outside_the_office_are_not_invited(campaign, staff):
    meeting = make_meeting(campaign, staff)
    elsewhere = factories.make_solicitation()
    auditor = factories.make_user(Role.AUDITOR)
    count = services.invite(meeting, unit_ids=[elsewhere.unit_id], user_ids=[auditor.id, staff.id])
    assert count == 1
    assert [row.user_id for row in meeting.attendees] == [staff.id]


def test_the_picker_shows_who_is_on_the_list_and_who_has_no_coordinator(campaign, staff, sign_in):
    meeting = make_meeting(campaign, staff)
    listed = factories.make_solicitation(campaign)
    factories.make_solicitation(campaign, unit=factories.make_unit())
    client = sign_in(staff)
    answer = client.post(url(meeting, "/invite"), data={"unit_id": listed.unit_id})
    assert answer.status_code == 302
    page = client.get(url(meeting, "/invite")).text
    assert "已在名单" in page
    assert "没有在任联络员" in page


def test_signing_in_at_the_door_and_taking_it_back(campaign, staff, sign_in):
    meeting = make_meeting(campaign, staff, hour=11)
    [attendee] = invite(meeting, factories.make_solicitation(campaign))
    client = sign_in(staff)
    assert "签到" in client.get(url(meeting, "/sign-in")).text
    path = url(meeting, f"/attendees/{attendee.id}/sign-in")
    row = client.post(path, headers={"HX-Request": "true"}).text
    assert "撤销" in row
    assert 'hx-swap-oob="true">1<small> / 1' in row
    first = attendee.signed_in_at
    client.post(path)
    assert attendee.signed_in_at == first
    client.post(url(meeting, f"/attendees/{attendee.id}/undo-sign-in"))
    assert attendee.signed_in_at is None


def test_nobody_signs_in_before_the_day_of_the_meeting(campaign, staff, sign_in):
    meeting = make_meeting(campaign, staff, day=TODAY + timedelta(days=1))
    [attendee] = invite(meeting, factories.make_solicitation(campaign))
    answer = sign_in(staff).post(url(meeting, f"/attendees/{attendee.id}/sign-in"))
    assert answer.status_code == 422
    assert attendee.signed_in_at is None


def test_the_day_of_the_meeting_begins_at_midnight_in_shanghai(campaign, staff, tuesday_morning):
    meeting = make_meeting(campaign, staff, day=TODAY + timedelta(days=1))
    tuesday_morning.move_to("2026-10-20T23:59:00+08:00")
    assert not meeting.is_due
    tuesday_morning.move_to("2026-10-21T00:01:00+08:00")
    assert meeting.is_due


def test_a_held_meeting_counts_as_contact_for_the_units_that_came(campaign, staff, sign_in):
    meeting = make_meeting(campaign, staff)
    came = factories.make_solicitation(campaign)
    absent = factories.make_solicitation(campaign)
    declined = factories.make_solicitation(
        campaign, stage=Stage.DECLINED, decline_reason=DeclineReason.OTHER
    )
    for attendee in invite(meeting, came, absent, declined):
        if attendee.contact.unit_id != absent.unit_id:
            services.sign_in(attendee)
    assert came.stage is Stage.NOT_CONTACTED
    db.session.commit()
    sign_in(staff).post(url(meeting, "/hold"))
    assert meeting.status is MeetingStatus.HELD
    assert (came.stage, came.last_contact_on) == (Stage.CONTACTED, TODAY)
    assert came.changes[-1].cause is StageCause.MEETING
    assert (absent.stage, absent.last_contact_on) == (Stage.NOT_CONTACTED, None)
    assert (declined.stage, declined.last_contact_on) == (Stage.DECLINED, TODAY)


def test_after_the_meeting_latecomers_count_at_once_and_ticks_stay(campaign, staff):
    meeting = make_meeting(campaign, staff)
    late = factories.make_solicitation(campaign)
    [attendee] = invite(meeting, late)
    services.hold_meeting(meeting)
    assert late.stage is Stage.NOT_CONTACTED
    services.sign_in(attendee)
    assert late.stage is Stage.CONTACTED
    with pytest.raises(Refused):
        services.undo_sign_in(attendee)


def test_a_unit_that_was_not_on_the_list_is_found_and_signed_in(campaign, staff, sign_in):
    meeting = make_meeting(campaign, staff)
    guest = factories.make_solicitation(campaign)
    client = sign_in(staff)
    found = client.get(
        url(meeting, f"/walk-in?q={guest.unit.initials.upper()}"), headers={"HX-Request": "true"}
    )
    assert guest.unit.name in found.text
    client.post(url(meeting, "/walk-in"), data={"unit_id": guest.unit_id})
    [attendee] = meeting.attendees
    assert attendee.signed_in_at is not None
    assert attendee.invited_sequence is None


def test_a_walk_in_needs_somebody_who_is_registered_at_the_unit(campaign, staff, sign_in):
    meeting = make_meeting(campaign, staff)
    guest = factories.make_solicitation(campaign, unit=factories.make_unit())
    answer = sign_in(staff).post(url(meeting, "/walk-in"), data={"unit_id": guest.unit_id})
    assert answer.status_code == 422
    assert "还没有登记联系人" in answer.text
    with pytest.raises(NotFound):
        services.add_walk_in(meeting)


def test_staff_note_what_somebody_answered_on_the_telephone(campaign, staff, sign_in):
    meeting = make_meeting(campaign, staff, day=TODAY + timedelta(days=2))
    [attendee] = invite(meeting, factories.make_solicitation(campaign))
    client = sign_in(staff)
    path = url(meeting, f"/attendees/{attendee.id}/answer")
    row = client.post(path, data={"partstat": "accepted"}, headers={"HX-Request": "true"})
    assert row.text.lstrip().startswith("<tr")
    assert attendee.partstat is PartStat.ACCEPTED
    assert client.post(path, data={"partstat": "perhaps"}).status_code == 422
    assert attendee.partstat is PartStat.ACCEPTED


def test_minutes_say_that_the_meeting_was_held(campaign, staff, sign_in):
    meeting = make_meeting(campaign, staff)
    typed = {"minutes": "会议听取了汇报", "decisions": "下周再访"}
    typed |= {"mark": services.mark_minutes(meeting)}
    sign_in(staff).post(url(meeting, "/minutes"), data=typed)
    assert (meeting.minutes, meeting.decisions) == ("会议听取了汇报", "下周再访")
    assert meeting.status is MeetingStatus.HELD


@pytest.mark.parametrize(("page", "data"), [("/edit", TYPED), ("/cancel", {"reason": "改期"})])
def test_of_two_people_who_change_a_meeting_the_second_is_told(
    campaign, staff, sign_in, page, data
):
    meeting = make_meeting(campaign, staff)
    client = sign_in(staff)
    read = meeting.version
    mark = services.mark_minutes(meeting)
    client.post(url(meeting, "/minutes"), data={"mark": mark, "minutes": "第一人"})
    answer = client.post(url(meeting, page), data=data | {"version": read})
    assert answer.status_code == 409
    assert "刚被他人修改" in answer.text
    assert (meeting.minutes, meeting.place) == ("第一人", "三楼会议室")
    assert meeting.status is MeetingStatus.HELD


def test_action_items_are_carried_over_until_they_are_done(campaign, staff, sign_in):
    earlier = make_meeting(campaign, staff)
    later = make_meeting(campaign, staff, day=TODAY + timedelta(days=7))
    client = sign_in(staff)
    data = {"text": "送达告知书", "owner_id": staff.id, "unit_id": 0, "due_on": "2026-10-20"}
    client.post(url(earlier, "/action-items"), data=data)
    item = db.session.query(ActionItem).one()
    assert "今天到期" in client.get(url(later)).text
    client.post(f"/c/{campaign.code}/action-items/{item.id}/complete")
    assert "送达告知书" not in client.get(url(later)).text
    client.post(f"/c/{campaign.code}/action-items/{item.id}/reopen", data={"next": "list"})
    assert queries.list_open_action_items(campaign) == [item]
    assert "送达告知书" in client.get(f"/c/{campaign.code}/meetings").text


def test_overdue_items_come_first_and_say_for_how_long(campaign, staff, sign_in):
    meeting = make_meeting(campaign, staff)
    services.create_action_item(meeting, text="后办", owner=staff, due_on=TODAY)
    services.create_action_item(meeting, text="先办", owner=staff, due_on=TODAY - timedelta(days=3))
    db.session.commit()
    assert [item.text for item in queries.list_open_action_items(campaign)] == ["先办", "后办"]
    assert "已逾期 3 天" in sign_in(staff).get(f"/c/{campaign.code}/meetings").text


@pytest.mark.parametrize(
    "change",
    [{"due_on": "2026-10-19"}, {"text": ""}, {"owner_id": "999999"}, {"unit_id": "999999"}],
)
def test_an_action_item_needs_a_task_an_owner_and_a_day_to_come(campaign, staff, sign_in, change):
    meeting = make_meeting(campaign, staff)
    data = {"text": "送达", "owner_id": staff.id, "unit_id": 0, "due_on": "2026-10-20"}
    answer = sign_in(staff).post(url(meeting, "/action-items"), data=data | change)
    assert answer.status_code == 422
    assert db.session.query(ActionItem).count() == 0


def test_a_meeting_of_another_campaign_is_not_found(campaign, staff, sign_in):
    meeting = make_meeting(factories.make_campaign(), staff)
    item = services.create_action_item(meeting, text="送达", owner=staff, due_on=TODAY)
    db.session.commit()
    client = sign_in(staff)
    for path in ("", "/edit", "/invite", "/sign-in", "/minutes", "/calendar.ics"):
        assert client.get(f"/c/{campaign.code}/meetings/{meeting.id}{path}").status_code == 404
    answer = client.post(f"/c/{campaign.code}/action-items/{item.id}/complete")
    assert answer.status_code == 404
    assert item.completed_at is None


def test_meetings_are_listed_by_the_day_in_shanghai(campaign, staff):
    meeting = make_meeting(campaign, staff, hour=1)
    assert queries.list_meetings(campaign, first=TODAY, last=TODAY) == [meeting]
    assert queries.list_meetings(campaign, last=TODAY - timedelta(days=1)) == []
    assert queries.list_meetings(campaign, first=TODAY + timedelta(days=1)) == []


def test_cancelled_meetings_are_listed_only_where_they_are_asked_for(campaign, staff):
    meeting = make_meeting(campaign, staff)
    services.cancel_meeting(meeting, reason="改期")
    assert queries.list_meetings(campaign) == []
    assert queries.list_meetings(campaign, with_cancelled=True) == [meeting]


def test_who_was_told_or_has_signed_in_stays_on_the_list(campaign, staff, sign_in):
    meeting = make_meeting(campaign, staff)
    first, second = invite(
        meeting, factories.make_solicitation(campaign), factories.make_solicitation(campaign)
    )
    client = sign_in(staff)
    client.post(url(meeting, f"/attendees/{first.id}/remove"))
    assert meeting.attendees == [second]
    services.sign_in(second)
    db.session.commit()
    assert client.post(url(meeting, f"/attendees/{second.id}/remove")).status_code == 422
    assert meeting.attendees == [second]


def test_the_auditor_reads_every_page_and_changes_nothing(campaign, staff, sign_in):
    meeting = make_meeting(campaign, staff)
    [attendee] = invite(meeting, factories.make_solicitation(campaign))
    client = sign_in(Role.AUDITOR)
    for path in ("", "/sign-in", "/calendar.ics"):
        assert client.get(url(meeting, path)).status_code == 200
    assert client.get(f"/c/{campaign.code}/meetings").status_code == 200
    for path in (f"/attendees/{attendee.id}/sign-in", "/hold", "/notify", "/cancel"):
        assert client.post(url(meeting, path)).status_code == 403
    assert attendee.signed_in_at is None


def test_changes_are_in_the_audit_trail_without_addresses(campaign, staff):
    meeting = make_meeting(campaign, staff)
    [attendee] = invite(meeting, factories.make_solicitation(campaign))
    services.record_answer(attendee, PartStat.TENTATIVE)
    services.sign_in(attendee)
    services.hold_meeting(meeting)
    services.write_minutes(meeting, minutes="略", decisions="")
    events = db.session.query(AuditEvent).order_by(AuditEvent.id).all()
    assert [event.action for event in events] == [
        "create.meeting",
        "invite.meeting",
        "answer.attendee",
        "sign_in.attendee",
        "hold.meeting",
        "write.minutes",
    ]
    assert not any(attendee.contact.email in str(event.facts) for event in events)


def test_pages_have_something_to_say_before_there_is_a_meeting(campaign, sign_in):
    client = sign_in()
    assert "近期没有会议" in client.get(f"/c/{campaign.code}/meetings").text
    assert "通报活动进展情况" in client.get(f"/c/{campaign.code}/meetings/new").text
