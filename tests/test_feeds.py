"""A person's calendar in their own program: what it shows, and who may read it."""

from datetime import date, datetime, time, timedelta

import pytest
import sqlalchemy as sa
import vobject
from flask.testing import FlaskClient

from outreach import clock
from outreach.access import Role
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, CampaignStatus, Solicitation
from outreach.db import db
from outreach.feeds import services
from outreach.feeds.models import CalendarFeed
from outreach.meetings.models import ActionItem, Attendee, MeetingStatus
from outreach.todos.models import TodoKind
from outreach.visits.models import Visit, VisitStatus
from tests import factories
from tests.conftest import SignIn


@pytest.fixture
def staff(app) -> User:
    return factories.make_user(role=Role.STAFF, name="刘志强")


@pytest.fixture
def campaign(app) -> Campaign:
    return factories.make_campaign()


@pytest.fixture
def education(campaign: Campaign) -> Solicitation:
    unit = factories.make_unit(name="衡阳市教育局", short_name="教育局", address="船山路 1 号")
    factories.make_contact(unit, mobile="+8613812345678")
    return factories.make_solicitation(campaign, unit=unit)


def read(client: FlaskClient, user: User) -> dict[str, dict[str, str]]:
    """The entries by their UID, with their lines unfolded; a library that did not write them has
    nothing against them."""
    token = services.create_feed(user)
    db.session.commit()
    answer = client.get(f"/calendar/{token}.ics")
    assert (answer.status_code, answer.mimetype) == (200, "text/calendar")
    lines = answer.text.replace("\r\n ", "").split("\r\n")
    assert (lines[0], lines[-2], lines[-1]) == ("BEGIN:VCALENDAR", "END:VCALENDAR", "")
    assert all(len(line.encode()) <= 75 for line in answer.text.split("\r\n"))
    vobject.readOne(answer.text).validate(raiseException=True)
    events: dict[str, dict[str, str]] = {}
    event: dict[str, str] = {}
    for line in lines:
        name, _colon, value = line.partition(":")
        if line == "BEGIN:VEVENT":
            event = {}
        elif line == "END:VEVENT":
            events[event["UID"]] = event
        else:
            event[name] = value
    return events


def make_visit(solicitation: Solicitation, visitor: User, **values) -> Visit:
    return factories.make_visit(solicitation, visitor, **values)


def test_it_shows_visits_meetings_and_what_is_due(client, staff, campaign, education):
    visit = make_visit(
        education, staff, planned_on=date(2026, 10, 22), planned_time=time(15, 0), reason="约好的"
    )
    elsewhere = factories.make_solicitation(campaign)
    whole_day = make_visit(elsewhere, staff, planned_on=date(2026, 10, 23))
    meeting = factories.make_meeting(campaign, title="推进会", organizer=staff)
    item = factories.save(
        ActionItem(meeting_id=meeting.id, owner_id=staff.id, text="送函", due_on=date(2026, 10, 1))
    )
    todo = factories.make_todo(education, kind=TodoKind.CALL, owner_id=staff.id)
    events = read(client, staff)
    uids = {uid.partition("@")[0] for uid in events}
    assert uids == {
        f"visit-{visit.id}",
        f"visit-{whole_day.id}",
        meeting.uid.partition("@")[0],
        f"action-{item.id}",
        f"todo-{todo.id}",
    }
    timed = next(event for uid, event in events.items() if uid.startswith(f"visit-{visit.id}@"))
    assert timed["DTSTART;TZID=Asia/Shanghai"] == "20261022T150000"
    assert timed["DTEND;TZID=Asia/Shanghai"] == "20261022T160000"
    assert (timed["SUMMARY"], timed["LOCATION"]) == ("走访 教育局", "船山路 1 号")
    day = next(event for uid, event in events.items() if uid.startswith(f"visit-{whole_day.id}@"))
    assert (day["DTSTART;VALUE=DATE"], day["DTEND;VALUE=DATE"]) == ("20261023", "20261024")
    due = next(event for uid, event in events.items() if uid.startswith("action-"))
    assert due["DTSTART;VALUE=DATE"] == f"{clock.today():%Y%m%d}", "what is overdue is for today"
    assert "13812345678" not in str(events)


def test_what_is_done_proposed_or_somebody_elses_is_not_there(client, staff, campaign, education):
    other = factories.make_user(role=Role.STAFF)
    make_visit(education, other)
    proposed = factories.make_solicitation(campaign)
    make_visit(proposed, staff, status=VisitStatus.PROPOSED)
    factories.make_meeting(campaign, organizer=other)
    assert read(client, staff) == {}
    campaign.status = CampaignStatus.CLOSED
    assert read(client, other) == {}


def test_a_visit_that_moves_is_the_same_entry_with_a_higher_sequence(client, staff, education):
    visit = make_visit(education, staff)
    [(uid, before)] = read(client, staff).items()
    visit.planned_on += timedelta(days=2)
    db.session.commit()
    [(same, after)] = read(client, staff).items()
    assert (same, int(after["SEQUENCE"])) == (uid, int(before["SEQUENCE"]) + 1)


def test_a_meeting_that_is_called_off_says_so_to_who_was_invited(client, staff, campaign):
    meeting = factories.make_meeting(campaign, status=MeetingStatus.CANCELLED)
    factories.save(Attendee(meeting_id=meeting.id, user_id=staff.id))
    [event] = read(client, staff).values()
    assert event["STATUS"] == "CANCELLED"


class TestAddress:
    def test_it_is_shown_once_and_ends_when_a_new_one_is_made(self, client, sign_in: SignIn):
        person = sign_in(Role.STAFF)
        assert "还没有日历地址" in person.get("/calendar").text
        first, second = (self.make(person) for _time in range(2))
        assert client.get(first).status_code == 404
        assert client.get(second).status_code == 200
        shown = person.get("/calendar").text
        assert "已有一个日历地址" in shown
        assert second not in shown
        person.post("/calendar/revoke")
        assert client.get(second).status_code == 404

    def test_only_its_hash_is_kept(self, app, staff):
        token = services.create_feed(staff)
        db.session.commit()
        kept = db.session.scalars(sa.select(CalendarFeed.token_hash)).one()
        assert token not in kept

    @pytest.mark.parametrize("change", [{"is_enabled": False}, {"role": Role.AUDITOR}])
    def test_it_ends_when_the_person_leaves_the_office(self, client, staff, change):
        token = services.create_feed(staff)
        for name, value in change.items():
            setattr(staff, name, value)
        db.session.commit()
        assert client.get(f"/calendar/{token}.ics").status_code == 404

    @staticmethod
    def make(person: FlaskClient) -> str:
        page = person.post("/calendar").text
        return "/calendar/" + page.partition("/calendar/")[2].partition('"')[0]


def test_an_instant_stands_in_the_time_of_the_place(client, staff, campaign):
    """14:30 in Shanghai is 14:30, whatever the server's clock says."""
    starts = datetime(2026, 10, 22, 14, 30, tzinfo=clock.SHANGHAI)
    meeting = factories.make_meeting(
        campaign, organizer=staff, starts_at=starts, ends_at=starts + timedelta(hours=1)
    )
    event = read(client, staff)[meeting.uid]
    assert event["DTSTART;TZID=Asia/Shanghai"] == "20261022T143000"
