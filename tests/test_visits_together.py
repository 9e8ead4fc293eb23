"""Visits that are made together: joined and separated by hand, moved and dropped."""

from datetime import date

import pytest
from flask import Flask
from flask.testing import FlaskClient

from outreach.db import db
from outreach.errors import Refused
from outreach.visits.models import Visit, VisitStatus
from outreach.visits.services import move_visit
from tests.conftest import SignIn
from tests.factories import (
    make_campaign,
    make_sector,
    make_solicitation,
    make_unit,
    make_user,
    make_visit,
)

WEDNESDAY = date(2026, 10, 21)
THURSDAY = date(2026, 10, 22)
FRIDAY = date(2026, 10, 23)


class Pair:
    """Two visits of different people on different days, and a unit without one."""

    def __init__(self, sign_in: SignIn) -> None:
        campaign = make_campaign(visits_per_day=3)
        sector = make_sector(campaign)
        self.user, self.other = make_user(name="刘芳"), make_user(name="周可人")
        asked = (make_solicitation(campaign, sector, unit=make_unit(name=n)) for n in "甲乙丙")
        first, second, self.without = asked
        self.first = make_visit(first, self.user, planned_on=THURSDAY)
        self.second = make_visit(second, self.other, planned_on=WEDNESDAY)
        self.start = f"/c/{campaign.code}"
        self.client: FlaskClient = sign_in(self.user)

    def post(self, visit: Visit, what: str, **form) -> str:
        url = f"{self.start}/visits/{visit.id}/{what}?next={self.start}/plan"
        page = self.client.post(url, data={"version": visit.version} | form, follow_redirects=True)
        db.session.expire_all()
        return page.text

    def join(self, **form) -> str:
        """The second visit to the first."""
        form = {
            "planned_on": self.second.planned_on,
            "visitor_id": self.second.visitor_id,
            "parent_id": self.first.id,
        } | form
        return self.post(self.second, "move", **form)

    @property
    def place(self) -> tuple[date, int | None, int | None]:
        return self.second.planned_on, self.second.visitor_id, self.second.parent_id


@pytest.fixture
def pair(app: Flask, sign_in: SignIn) -> Pair:
    return Pair(sign_in)


def test_who_chooses_another_visit_goes_where_that_one_goes(pair: Pair):
    page = pair.client.get(f"{pair.start}/visits/{pair.second.id}/move").text
    assert '<optgroup label="刘芳">' in page
    assert "10-22 甲" in page
    assert "10-21 乙" not in page, "not with itself"
    page = pair.join()
    assert "走访改到 10-22" in page
    assert "与甲一起走访，随它改期" in page
    assert pair.place == (THURSDAY, pair.user.id, pair.first.id)
    pair.second.solicitation.unit.visit_days = "3"
    db.session.commit()
    page = pair.post(pair.first, "move", planned_on=FRIDAY, visitor_id=pair.user.id)
    assert "乙 10-23 不接待来访" in page, "what goes along is looked at, too"
    assert pair.place == (FRIDAY, pair.user.id, pair.first.id)


def test_joined_visits_are_separated_again(pair: Pair):
    pair.join()
    pair.join(planned_time="15:00")
    assert pair.second.parent_id == pair.first.id, "another time alone separates nothing"
    assert "已分开" in pair.post(pair.second, "separate")
    assert pair.place == (THURSDAY, pair.user.id, None)
    pair.join()
    pair.join(parent_id=0)
    assert pair.place == (THURSDAY, pair.user.id, None)
    pair.join()
    pair.join(planned_on=FRIDAY)
    assert pair.place == (FRIDAY, pair.user.id, None), "who goes elsewhere goes alone"


def test_a_visit_is_planned_with_another_one(pair: Pair):
    form = {"planned_on": FRIDAY, "visitor_id": pair.other.id, "parent_id": pair.first.id}
    url = f"{pair.start}/units/{pair.without.unit_id}/visits/new"
    page = pair.client.post(url, data=form, follow_redirects=True).text
    assert "已安排 10-22 的走访" in page
    planned = db.session.query(Visit).filter_by(solicitation_id=pair.without.id).one()
    assert (planned.parent_id, planned.visitor_id) == (pair.first.id, pair.user.id)


def test_visits_do_not_go_in_a_circle(pair: Pair):
    pair.join()
    page = pair.post(
        pair.first, "move", planned_on=THURSDAY, visitor_id=pair.user.id, parent_id=pair.second.id
    )
    assert "不能跟随自己" in page
    with pytest.raises(Refused):
        move_visit(pair.first, planned_on=THURSDAY, visitor=pair.user, parent=pair.first)


def test_a_visit_that_was_made_or_dropped_takes_nobody_along(pair: Pair):
    pair.first.status = VisitStatus.DROPPED
    db.session.commit()
    assert "已登记或取消" in pair.join()
    assert pair.place == (WEDNESDAY, pair.other.id, None)


@pytest.mark.parametrize(
    ("form", "status", "message"),
    [
        ({}, VisitStatus.PLANNED, "同行的 2 家仍按原计划走访"),
        ({"drops_companions": "y"}, VisitStatus.DROPPED, "同行的 2 家一并取消"),
    ],
)
def test_who_drops_a_visit_decides_about_those_that_go_along(pair: Pair, form, status, message):
    pair.join()
    third = make_visit(pair.without, pair.user, planned_on=THURSDAY, parent_id=pair.second.id)
    page = pair.client.get(f"{pair.start}/visits/{pair.first.id}/drop").text
    assert "同行的还有 2 家：乙、丙。" in page
    assert message in pair.post(pair.first, "drop", reason="对方要来", **form)
    assert pair.first.status is VisitStatus.DROPPED
    assert {pair.second.status, third.status} == {status}
    assert pair.second.parent_id is None
    assert third.parent_id == pair.second.id
    page = pair.client.get(f"{pair.start}/visits/{third.id}/drop").text
    assert "同行的还有" not in page
