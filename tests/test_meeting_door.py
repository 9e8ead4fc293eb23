"""The code at the door of a meeting, and signing in by it."""

import re

import pytest

from outreach.db import db
from outreach.meetings import links, services
from tests import factories
from tests.test_meetings import invite, make_meeting, url


@pytest.fixture
def meeting(app):
    campaign = factories.make_campaign()
    meeting = make_meeting(campaign, factories.make_user())
    invite(meeting, *(factories.make_solicitation(campaign) for _ in range(2)))
    return meeting


@pytest.fixture
def path(meeting):
    return links.door_link(meeting).removeprefix("http://127.0.0.1:8000")


def test_one_tap_on_the_own_name_signs_in_and_the_second_changes_nothing(client, path, meeting):
    first, second = meeting.attendees
    page = client.get(path).text
    assert all(row.person.name in page and row.contact.unit.name in page for row in (first, second))
    assert not re.search("@|1[3-9][0-9]{9}", page.split('<main class="door"')[1])
    for _ in range(2):
        answer = client.post(path, data={"attendee_id": first.id}, follow_redirects=True)
        assert f"{first.person.name}已签到" in answer.text
    assert (first.signed_in_at is not None, second.signed_in_at) == (True, None)


def test_the_code_is_worth_nothing_after_ten_minutes(client, path, meeting, tuesday_morning):
    tuesday_morning.shift(links.DOOR_SECONDS + 1)
    answer = client.post(path, data={"attendee_id": meeting.attendees[0].id})
    assert answer.status_code == client.get(path).status_code == 404
    assert "请重新扫描" in answer.text
    assert meeting.attendees[0].signed_in_at is None


def test_a_code_opens_one_meeting_and_no_invitation(client, path, meeting):
    other = make_meeting(meeting.campaign, meeting.organizer)
    invite(other, factories.make_solicitation(meeting.campaign))
    assert client.post(path, data={"attendee_id": other.attendees[0].id}).status_code == 404
    assert client.post(path, data={"attendee_id": "x"}).status_code == 404
    answer = links.answer_link(meeting.attendees[0]).rsplit("/", 2)[1]
    assert client.get(f"/door/{answer}/").status_code == 404
    assert client.get(path.replace("/door/", "/invitations/")).status_code == 404


def test_the_code_is_shown_on_the_day_and_to_staff(meeting, sign_in, tuesday_morning):
    client = sign_in(meeting.organizer)
    page = client.get(url(meeting, "/door")).text
    assert "<svg" in page
    assert "请用手机扫码签到" in page
    tuesday_morning.move_to("2026-10-19T10:00:00+08:00")
    assert sign_in(meeting.organizer).get(url(meeting, "/door")).status_code == 422


def test_nobody_signs_in_to_a_meeting_that_was_cancelled(client, path, meeting):
    services.cancel_meeting(meeting, reason="改期")
    db.session.commit()
    assert client.post(path, data={"attendee_id": meeting.attendees[0].id}).status_code == 422
    assert meeting.attendees[0].signed_in_at is None
