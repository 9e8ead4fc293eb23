"""When people have time for visits, and that plans keep to it."""

from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from outreach import clock
from outreach.access import Role
from outreach.db import db
from outreach.errors import Refused
from outreach.meetings.models import Attendee, MeetingStatus, PartStat
from outreach.units.models import Unit
from outreach.visits import services, staffing
from outreach.visits.models import AbsenceKind, Visit
from outreach.visits.planning import DayPlan
from outreach.workdays import Half
from tests.conftest import SignIn
from tests.factories import (
    make_campaign,
    make_sector,
    make_solicitation,
    make_unit,
    make_user,
    make_visit,
    save,
)
from tests.test_meetings import make_meeting

WEDNESDAY = date(2026, 10, 21)
THURSDAY = date(2026, 10, 22)


def test_a_persons_room_is_theirs_by_day_less_leave_and_half_with_a_meeting(app: Flask):
    user, other = make_user(), make_user()
    staffing.set_rooms(user, {2: 5, 3: 0})
    staffing.add_absence(user, AbsenceKind.MEETING, WEDNESDAY, THURSDAY)
    staffing.add_absence(other, AbsenceKind.LEAVE, WEDNESDAY, WEDNESDAY)
    rooms = staffing.Rooms(4, [user.id, other.id])
    assert [rooms.of(user.id, day) for day in (WEDNESDAY, THURSDAY)] == [2, 0]
    assert [rooms.of(other.id, day) for day in (WEDNESDAY, THURSDAY)] == [0, 4]
    staffing.set_rooms(user, {2: None, 3: 6})
    rooms = staffing.Rooms(4, [user.id])
    assert [rooms.of(user.id, day) for day in (WEDNESDAY, THURSDAY)] == [2, 3]


def test_proposals_and_plans_keep_to_the_room(app: Flask):
    campaign, user = make_campaign(visits_per_day=1), make_user()
    sector = make_sector(campaign)
    staffing.add_absence(user, AbsenceKind.LEAVE, WEDNESDAY, WEDNESDAY)
    staffing.set_rooms(user, {3: 2})
    make_visit(make_solicitation(campaign, sector), user, planned_on=THURSDAY)
    plan = DayPlan(campaign, [user.id])
    assert plan.find_day(make_unit(), user.id, clock.today()) == THURSDAY
    assert plan.count_room(user.id, THURSDAY) == 1
    solicitation = make_solicitation(campaign, sector)
    with pytest.raises(Refused, match="走访时间"):
        services.plan_visit(solicitation, planned_on=WEDNESDAY, visitor=user)
    services.plan_visit(solicitation, planned_on=THURSDAY, visitor=user)
    with pytest.raises(Refused, match="已排满 2 次"):
        services.plan_visit(make_solicitation(campaign, sector), planned_on=THURSDAY, visitor=user)


def test_rooms_and_leave_are_entered_on_a_page(app: Flask, sign_in: SignIn):
    user = make_user(name="刘芳")
    client = sign_in(Role.STAFF)
    client.post(f"/settings/staffing/{user.id}", data={"day0": "6", "day4": "0"})
    db.session.expire_all()
    assert staffing.read_rooms(user) == {0: 6, 4: 0}
    answer = client.post(f"/settings/staffing/{user.id}", data={"day0": "21"})
    assert "0 到 20" in answer.text
    leave = {"user_id": user.id, "kind": "leave", "first_on": "2026-10-22"}
    page = client.post("/settings/staffing/absences", data=leave, follow_redirects=True).text
    assert "刘芳 10-22" in page
    answer = client.post("/settings/staffing/absences", data=leave | {"last_on": "2026-10-21"})
    assert "不能早于开始日期" in answer.text
    [absence_id] = [row.id for row in staffing.list_absences([user.id])]
    client.post(f"/settings/staffing/absences/{absence_id}/remove")
    assert staffing.list_absences([user.id]) == []
    assert client.post(f"/settings/staffing/absences/{absence_id}/remove").status_code == 404


def test_a_unit_says_on_which_days_it_receives_visitors(app: Flask, sign_in: SignIn):
    unit = make_solicitation().unit
    assert unit.receives_on(WEDNESDAY)
    data = {"name": unit.name, "kind": "organ", "visit_days": ["3", "0"]}
    assert sign_in(Role.STAFF).post(f"/units/{unit.id}/edit", data=data).status_code == 302
    db.session.expire_all()
    unit = db.session.get_one(Unit, unit.id)
    assert (unit.visit_days, unit.receives_on(THURSDAY)) == ("03", True)
    assert not unit.receives_on(WEDNESDAY)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_unit_may_receive_visitors_in_half_of_a_day(app: Flask, sign_in: SignIn):
    solicitation = make_solicitation()
    url = f"/units/{solicitation.unit_id}/edit"
    data = {"name": "甲局", "kind": "organ", "visit_days": ["3p", "", "0a", "4"]}
    client = sign_in(Role.STAFF)
    client.post(url, data=data)
    db.session.expire_all()
    unit = solicitation.unit
    assert (unit.visit_days, unit.visit_hours) == ("0a3p4", "周一上午、周四下午、周五")
    halves = [unit.half_on(WEDNESDAY + timedelta(days=days)) for days in range(3)]
    assert halves == [None, Half.AFTERNOON, None]
    page = client.get(url).text
    assert '<option value="3p" selected>' in page
    assert '<option value="3" selected>' not in page
    page = client.get(f"/c/{solicitation.campaign.code}/units/{unit.id}").text
    assert "周一上午、周四下午、周五" in page
    assert client.post(url, data=data | {"visit_days": ["9x"]}).status_code == 422


@pytest.mark.parametrize(
    ("visit_days", "time", "absence", "warning"),
    [
        ("", "09:00", None, None),
        ("4", "", None, "10-22 不接待来访（接待：周五）"),
        ("3p", "", None, None),
        ("3p", "15:00", None, None),
        ("3p", "09:00", None, "走访排在上午"),
        ("3p", "", AbsenceKind.AFTERNOON, "走访排在上午"),
        ("3p", "", AbsenceKind.MEETING, None),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_who_plans_a_visit_when_the_unit_receives_nobody_is_told(
    app: Flask, sign_in: SignIn, visit_days, time, absence, warning
):
    user = make_user()
    unit = make_unit(visit_days=visit_days)
    solicitation = make_solicitation(unit=unit)
    if absence:
        staffing.add_absence(user, absence, THURSDAY, THURSDAY)
    client = sign_in(user)
    start = f"/c/{solicitation.campaign.code}"
    form = {"planned_on": THURSDAY, "planned_time": time, "visitor_id": user.id}
    url = f"{start}/units/{unit.id}/visits/new"
    planned = client.post(url, data=form, follow_redirects=True).text
    [visit] = db.session.scalars(sa.select(Visit))
    url = f"{start}/visits/{visit.id}/move"
    moved = client.post(url, data=form, follow_redirects=True).text
    for page in (planned, moved):
        assert (warning in page) if warning else ("如未说好" not in page)


def test_who_is_away_in_both_halves_has_no_time(app: Flask):
    user = make_user()
    staffing.add_absence(user, AbsenceKind.MORNING, WEDNESDAY, THURSDAY)
    staffing.add_absence(user, AbsenceKind.AFTERNOON, THURSDAY, THURSDAY)
    rooms = staffing.Rooms(4, [user.id])
    assert [rooms.of(user.id, day) for day in (WEDNESDAY, THURSDAY)] == [2, 0]
    assert rooms.half_of(user.id, WEDNESDAY) is Half.AFTERNOON


def test_a_coordination_meeting_takes_half_a_day_from_those_who_go(app: Flask):
    organizer, guest, other = make_user(), make_user(), make_user()
    meeting = make_meeting(make_campaign(), organizer, day=THURSDAY)
    for user, partstat in ((guest, PartStat.ACCEPTED), (other, PartStat.DECLINED)):
        save(Attendee(meeting_id=meeting.id, user_id=user.id, partstat=partstat))
    people = [organizer.id, guest.id, other.id]
    rooms = staffing.Rooms(4, people)
    assert [rooms.of(user_id, THURSDAY) for user_id in people] == [2, 2, 4]
    assert rooms.of(guest.id, WEDNESDAY) == 4
    begins = Half.of(clock.local(meeting.starts_at).time())
    assert {begins, rooms.half_of(guest.id, THURSDAY)} == set(Half)
    meeting.status = MeetingStatus.CANCELLED
    db.session.commit()
    assert staffing.Rooms(4, people).of(guest.id, THURSDAY) == 4
