"""Units that did not come to a meeting, and the calls that make up for it."""

from datetime import date

import pytest

from outreach import clock
from outreach.db import db
from outreach.errors import Refused
from outreach.meetings import services
from outreach.meetings.absences import Calls, list_absent, propose_calls
from outreach.todos.models import Todo, TodoKind, TodoOutcome
from outreach.todos.services import settle
from tests import factories
from tests.test_meetings import invite, make_meeting, url


@pytest.fixture
def staff(app):
    return factories.make_user()


@pytest.fixture
def rows(app):
    """Three units of one campaign: one comes, one has given, one is to be called."""
    campaign = factories.make_campaign()
    return [factories.make_solicitation(campaign) for _ in range(3)]


@pytest.fixture
def meeting(rows, staff):
    meeting = make_meeting(rows[0].campaign, staff)
    services.invite(meeting, user_ids=[staff.id])
    invite(meeting, *rows)
    services.sign_in(next(row for row in meeting.attendees if row.contact))
    factories.make_gift(rows[1])
    db.session.commit()
    return meeting


def test_absent_are_units_from_which_nobody_came(meeting, rows):
    again = factories.make_contact(rows[0].unit, name="副手")
    meeting.attendees.append(type(meeting.attendees[0])(contact_id=again.id))
    db.session.commit()
    assert [row.contact.unit_id for row in list_absent(meeting)] == [
        rows[1].unit_id,
        rows[2].unit_id,
    ]


def test_each_absent_unit_that_is_still_asked_is_called_once(meeting, rows, staff):
    with pytest.raises(Refused):
        propose_calls(meeting)
    services.hold_meeting(meeting)
    assert propose_calls(meeting) == Calls(proposed=1, left_out=1)
    assert propose_calls(meeting) == Calls(proposed=0, left_out=2)
    todo = db.session.query(Todo).one()
    assert (todo.kind, todo.solicitation_id) == (TodoKind.CALL, rows[2].id)
    assert todo.due_on == date(2026, 10, 21)
    assert todo.due_on > clock.today()
    assert meeting.title in todo.reason
    settle(todo, outcome=TodoOutcome.SETTLED, by=staff)
    assert propose_calls(meeting).proposed == 0


def test_the_page_lists_who_was_absent_and_arranges_the_calls(meeting, rows, staff, sign_in):
    client = sign_in(staff)
    assert "缺席单位" not in client.get(url(meeting)).text
    services.hold_meeting(meeting)
    db.session.commit()
    page = client.get(url(meeting)).text
    assert "缺席单位 2 家" in page
    answer = client.post(url(meeting, "/call-absent"), follow_redirects=True)
    assert "补会电话新增 1 件" in answer.text
    assert db.session.query(Todo).count() == 1
