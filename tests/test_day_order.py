"""The order of a person's day: what it is by itself, and what a person makes of it."""

import threading
import time as time_
from datetime import date, time

import pytest
from flask import Flask

from outreach.access import Role
from outreach.accounts.models import User
from outreach.db import db
from outreach.errors import Conflict, Refused
from outreach.visits import planning
from outreach.visits.day_order import arrange, place_visit
from outreach.visits.models import Visit, VisitOutcome, VisitStatus
from outreach.visits.services import log_visit, move_visit
from tests.conftest import SignIn
from tests.factories import make_campaign, make_solicitation, make_unit, make_user, make_visit
from tests.services import PATIENCE
from tests.test_visits import in_threads

TODAY = date(2026, 10, 20)
THURSDAY = date(2026, 10, 22)


class Day:
    """Visits of one person on one day, by the names of their units."""

    def __init__(self, *names: str) -> None:
        self.user = make_user()
        self.campaign = make_campaign(visits_per_day=9)
        self.visits = {name: self.add(name) for name in names}

    def add(self, name: str, day: date = TODAY, **values) -> Visit:
        solicitation = make_solicitation(self.campaign, unit=make_unit(name=name))
        return make_visit(solicitation, self.user, planned_on=day, **values)

    def place(self, name: str, before: str | None = None, shown: str | None = None) -> None:
        ids = [self.visits[each].id for each in shown or self.names]
        place_visit(self.visits[name], before=self.visits[before].id if before else None, shown=ids)
        db.session.commit()

    @property
    def names(self) -> str:
        db.session.expire_all()
        todays = (v for v in self.visits.values() if v.is_open and v.planned_on == TODAY)
        return "".join(visit.solicitation.unit.name for visit in arrange(todays))


def test_a_day_keeps_the_order_that_was_laid_down(app: Flask):
    day = Day("甲", "乙", "丙")
    assert day.names == "丙乙甲", "by name, as long as nobody says otherwise"
    version = day.visits["甲"].version
    day.place("甲", before="乙")
    assert day.names == "丙甲乙"
    day.place("丙")
    assert day.names == "甲乙丙"
    assert day.visits["甲"].version == version, "a phone that logs it later is not refused"
    day.visits["丁"] = day.add("丁")
    assert day.names == "甲乙丙丁", "what nobody placed comes last"
    move_visit(day.visits["甲"], planned_on=THURSDAY, visitor=day.user)
    move_visit(day.visits["甲"], planned_on=TODAY, visitor=day.user)
    assert day.visits["甲"].position is None


def test_visits_that_are_not_on_the_page_keep_their_place(app: Flask):
    day = Day("甲", "乙", "丙", "丁")
    day.place("丁", shown="丁丙乙甲")
    assert day.names == "丙乙甲丁"
    day.place("丙", shown="丙甲")
    assert day.names == "乙甲丙丁"


def test_times_keep_their_order_and_a_drag_against_it_says_so(app: Flask):
    day = Day("乙", "丙")
    day.visits["早"] = day.add("早", planned_time=time(9, 0))
    day.visits["晚"] = day.add("晚", planned_time=time(15, 30))
    day.place("乙")
    assert day.names == "早晚丙乙"
    with pytest.raises(Refused, match=r"晚约在 15:30，不能排在早（09:00）之前"):
        day.place("晚", before="早")
    db.session.rollback()
    day.place("丙", before="晚")
    assert day.names == "早丙晚乙"
    day.visits["早"].planned_time = time(16, 0)
    db.session.commit()
    assert day.names == "晚丙早乙"


@pytest.mark.parametrize(
    "change",
    [
        lambda day: day.place("甲", before="丙"),
        lambda day: move_visit(day.visits["乙"], planned_on=THURSDAY, visitor=day.user),
        lambda day: setattr(day.visits["丙"], "status", VisitStatus.DROPPED),
    ],
)
def test_of_two_who_order_a_day_the_second_sees_it_first(app: Flask, change):
    day = Day("甲", "乙", "丙")
    shown = day.names
    change(day)
    db.session.commit()
    with pytest.raises(Conflict):
        day.place("甲", shown=shown)


def test_of_two_who_order_a_day_at_once_one_is_asked_to_look_again(app: Flask):
    day = Day("甲", "乙", "丙")
    shown = [day.visits[name].id for name in "丙乙甲"]

    def work(number: int) -> None:
        visit = db.session.get_one(Visit, shown[1 + number])
        place_visit(visit, before=shown[0], shown=shown)

    results = in_threads(app, work)
    assert [type(result) for result in results if result] == [Conflict]
    assert day.names in {"乙丙甲", "甲丙乙"}


def test_a_visit_is_dragged_to_its_place_on_the_page(app: Flask, sign_in: SignIn):
    day = Day("甲", "乙", "丙")
    later = day.add("丁", THURSDAY)
    client = sign_in(day.user)
    start = f"/c/{day.campaign.code}"
    for page in (client.get(f"{start}/my-day").text, client.get(f"{start}/plan").text):
        assert page.index("上移：丙") < page.index("上移：乙") < page.index("上移：甲")
    ids = {name: visit.id for name, visit in day.visits.items()}
    shown = f"{ids['丙']},{ids['乙']},{ids['甲']}"
    form = {"day": TODAY, "shown": shown, "before": ids["丙"]}
    url = f"{start}/visits/{{}}/place?next={start}/plan"
    answer = client.post(url.format(ids["甲"]), data=form, headers={"Accept": "application/json"})
    assert answer.json == {"next": f"{start}/plan"}
    assert day.names == "甲丙乙"
    assert client.post(url.format(ids["甲"]), data=form).status_code == 409
    form |= {"shown": f"{ids['甲']},{ids['丙']},{ids['乙']}", "version": later.version}
    page = client.post(url.format(later.id), data=form, follow_redirects=True).text
    assert "走访改到 10-20" in page
    day.visits["丁"] = later
    assert day.names == "甲丁丙乙"
    assert client.post(url.format(later.id), data=form | {"day": "x"}).status_code == 422
    day.visits["丁"].planned_time, day.visits["丙"].planned_time = time(9, 0), time(10, 0)
    db.session.commit()
    form |= {"day": TODAY, "shown": f"{ids['甲']},{later.id},{ids['丙']},{ids['乙']}", "before": ""}
    answer = client.post(url.format(later.id), data=form, headers={"Accept": "application/json"})
    assert "丙约在 10:00" in answer.json["error"]["message"]
    page = client.post(url.format(later.id), data=form, follow_redirects=True).text
    assert "丙约在 10:00" in page


def test_who_only_reads_drags_nothing(app: Flask, sign_in: SignIn):
    day = Day("甲", "乙")
    page = sign_in(Role.AUDITOR).get(f"/c/{day.campaign.code}/plan?visitor={day.user.id}").text
    assert "甲" in page
    assert "data-grip" not in page


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("change", ["move", "log"])
def test_who_drags_and_who_changes_another_visit_of_the_day_never_wait_in_a_circle(
    app: Flask, monkeypatch: pytest.MonkeyPatch, change: str
):
    day = Day("甲", "乙", "丙")
    ids = [visit.id for visit in arrange(day.visits.values())]
    user_id = day.user.id
    holds_row = threading.Event()
    plan = planning.hold_plans

    def hold_plans(visitors: set[int]) -> None:
        """Who changes a visit has its row by now, and waits until the other one drags."""
        if threading.current_thread() in changing and not holds_row.is_set():
            holds_row.set()
            time_.sleep(0.3)
        plan(visitors)

    changing: list[threading.Thread] = []
    monkeypatch.setattr(planning, "hold_plans", hold_plans)

    def work(number: int) -> None:
        if number == 0:
            assert holds_row.wait(PATIENCE)
            place_visit(db.session.get_one(Visit, ids[2]), before=ids[1], shown=ids)
            return
        changing.append(threading.current_thread())
        user, first = db.session.get_one(User, user_id), db.session.get_one(Visit, ids[0])
        if change == "move":
            move_visit(first, planned_on=THURSDAY, visitor=user)
        else:
            log_visit(first, outcome=VisitOutcome.NOT_IN, by=user)

    dragged, changed = in_threads(app, work)
    assert changed is None or not isinstance(changed, Exception)
    assert dragged is None or isinstance(dragged, Conflict)
