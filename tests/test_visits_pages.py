"""我的一天, the week of visits and the form in which a visit is logged."""

import html
import re
from datetime import date
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from outreach.access import Role
from outreach.audit import AuditEvent
from outreach.db import db
from outreach.units.models import UnitKind
from outreach.visits.models import Visit, VisitOutcome, VisitStatus
from tests.conftest import SignIn, noting_statements
from tests.factories import (
    make_campaign,
    make_contact,
    make_gift,
    make_pledge,
    make_sector,
    make_solicitation,
    make_unit,
    make_user,
    make_visit,
)

TODAY = date(2026, 10, 20)
TOMORROW = date(2026, 10, 21)
MOBILE = "+8613712345678"


@pytest.fixture
def visit(app: Flask) -> Visit:
    unit = make_unit(name="衡阳市气象局", address="蒸湘区船山大道 8 号")
    make_contact(unit, name="周敏", mobile=MOBILE)
    return make_visit(make_solicitation(unit=unit), make_user())


def url(visit: Visit, path: str = "") -> str:
    return f"/c/{visit.solicitation.campaign.code}/visits{path.format(visit.id)}"


def my_day(visit: Visit) -> str:
    return f"/c/{visit.solicitation.campaign.code}/my-day"


def field_of(page: str, name: str) -> str:
    return re.search(rf'name="{name}"[^>]*value="([^"]*)"', page)[1]


def reveals() -> list[AuditEvent]:
    return db.session.scalars(sa.select(AuditEvent).filter_by(action="reveal.contact")).all()


def test_my_day_tells_what_a_visitor_wants_to_know_before_the_door(visit: Visit, sign_in: SignIn):
    solicitation = visit.solicitation
    before = make_campaign(starts_on=date(2025, 9, 1), ends_on=date(2025, 12, 31))
    solicitation.campaign.previous_id = before.id
    make_gift(make_solicitation(before, unit=solicitation.unit), 3_000_000)
    make_pledge(solicitation, 500_000, due_on=date(2026, 10, 30))
    make_visit(
        solicitation,
        status=VisitStatus.LOGGED,
        planned_on=date(2026, 10, 9),
        outcome=VisitOutcome.WILL_DISCUSS,
        note="需报班子会",
    )
    page = sign_in(visit.visitor).get(my_day(visit)).text
    for words in (
        "衡阳市气象局",
        "蒸湘区船山大道 8 号",
        "周敏",
        f'href="tel:{MOBILE}"',
        "上年捐赠 30,000 元",
        "10-09 需研究后答复：需报班子会",
        "已认捐 5,000 元，约定 10-30 前到账",
        "登记走访",
    ):
        assert words in page


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_address_opens_in_a_map_that_learns_nothing_else(visit: Visit, sign_in: SignIn):
    unit = visit.solicitation.unit
    unit.address = '解放路 1 号 A&B 座 "#2"'
    db.session.commit()
    client = sign_in(visit.visitor)
    unit_page = f"/c/{visit.solicitation.campaign.code}/units/{unit.id}"
    for address in (my_day(visit), unit_page):
        [link] = re.findall(r"<a[^>]*amap[^>]*>", client.get(address).text)
        url = html.unescape(re.search('href="([^"]*)"', link)[1])
        assert parse_qs(urlsplit(url).query) == {"keyword": [unit.address], "callnative": ["1"]}
        assert 'rel="noopener noreferrer"' in link
    for values in ({"kind": UnitKind.ARMY}, {"kind": UnitKind.ORGAN, "address": ""}):
        for name, value in values.items():
            setattr(unit, name, value)
        db.session.commit()
        assert "amap" not in client.get(my_day(visit)).text + client.get(unit_page).text


def test_the_number_is_shown_for_own_visits_of_today_and_noted_once_a_day(
    visit: Visit, sign_in: SignIn, tuesday_morning: time_machine.Traveller
):
    client = sign_in(visit.visitor)
    for _ in range(2):
        assert MOBILE in client.get(my_day(visit)).text
    [noted] = reveals()
    assert (noted.user_id, noted.facts) == (visit.visitor_id, {"page": "my_day"})
    assert MOBILE not in str(noted.facts) + noted.subject
    visit.planned_on = TOMORROW
    db.session.commit()
    assert MOBILE not in client.get(my_day(visit)).text
    tuesday_morning.move_to("2026-10-21T08:00:00+08:00")
    client = sign_in(visit.visitor)
    assert MOBILE in client.get(my_day(visit)).text
    assert len(reveals()) == 2


def test_the_number_of_somebody_elses_visit_or_an_overdue_one_stays_masked(
    visit: Visit, sign_in: SignIn
):
    client = sign_in(make_user())
    assert MOBILE not in client.get(my_day(visit)).text
    assert MOBILE not in client.get(url(visit, "/{}/log")).text
    visit.planned_on = date(2026, 10, 19)
    db.session.commit()
    page = sign_in(visit.visitor).get(my_day(visit)).text
    assert MOBILE not in page
    assert "137****5678" in page
    assert "逾期 10-19" in page
    assert reveals() == []


def test_my_day_without_visits_says_what_to_do(app: Flask, sign_in: SignIn):
    page = sign_in().get(f"/c/{make_campaign().code}/my-day").text
    assert "今天没有走访安排" in page
    assert "去劝募台" in page


def test_the_number_of_queries_does_not_depend_on_the_number_of_visits(app: Flask, sign_in: SignIn):
    campaign, user = make_campaign(), make_user()
    sector, client = make_sector(campaign), sign_in(user)
    counts = []
    for _ in range(2):
        make_visit(make_solicitation(campaign, sector), user)
        client.get(f"/c/{campaign.code}/my-day")
        with noting_statements() as statements:
            client.get(f"/c/{campaign.code}/my-day")
        counts.append(len(statements))
    assert counts[0] == counts[1]
    assert counts[0] <= 18


def test_a_visit_is_logged_from_the_form_with_nothing_but_a_choice(visit: Visit, sign_in: SignIn):
    client = sign_in(visit.visitor)
    page = client.get(url(visit, "/{}/log")).text
    names = ("client_key", "version", "visited_on", "next_on")
    answer = client.post(
        url(visit, "/{}/log"),
        data={name: field_of(page, name) for name in names} | {"outcome": "will_discuss"},
        follow_redirects=True,
    )
    assert "走访已登记。系统建议 10-27 再次走访，待确认。" in answer.text
    db.session.refresh(visit)
    assert (visit.status, visit.outcome) == (VisitStatus.LOGGED, VisitOutcome.WILL_DISCUSS)
    assert visit.client_key == field_of(page, "client_key")


def log_data(visit: Visit, **values: str) -> dict[str, str]:
    return {
        "outcome": "not_in",
        "visited_on": "2026-10-20",
        "client_key": "k1",
        "version": str(visit.version),
    } | values


def test_the_form_sent_twice_is_one_log_and_no_conflict(visit: Visit, sign_in: SignIn):
    client, data = sign_in(visit.visitor), log_data(visit)
    answers = [client.post(url(visit, "/{}/log"), data=data) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [302, 302]
    logged = sa.select(sa.func.count(Visit.id)).filter_by(status=VisitStatus.LOGGED)
    assert db.session.scalar(logged) == 1


def test_what_is_missing_is_said_above_the_form_which_keeps_what_was_typed(
    visit: Visit, sign_in: SignIn
):
    data = log_data(visit, outcome="pledged", note="局长同意", pledge_due_on="2026-11-01")
    answer = sign_in(visit.visitor).post(url(visit, "/{}/log"), data=data)
    assert answer.status_code == 422
    assert "请填写认捐金额。" in answer.text
    assert "局长同意" in answer.text
    assert 'value="pledged" required checked' in answer.text
    no_choice = sign_in(visit.visitor).post(url(visit, "/{}/log"), data={"client_key": "k"})
    assert no_choice.status_code == 422
    assert "请选择走访结果。" in no_choice.text


def test_of_two_people_on_one_visit_the_second_sees_both_versions_and_loses_nothing(
    visit: Visit, sign_in: SignIn
):
    mine, theirs = sign_in(visit.visitor), sign_in(make_user())
    data = log_data(visit)
    theirs.post(url(visit, "/{}/log"), data=data | {"note": "门卫说开会去了", "client_key": "k2"})
    answer = mine.post(url(visit, "/{}/log"), data=data | {"note": "见到了办公室主任"})
    assert answer.status_code == 409
    assert "门卫说开会去了" in answer.text
    assert "见到了办公室主任" in answer.text
    again = re.search(r'action="([^"]+/visits/log)"', answer.text)[1]
    assert mine.post(again, data=data | {"note": "见到了办公室主任"}).status_code == 302
    notes = db.session.scalars(sa.select(Visit.note).filter_by(status=VisitStatus.LOGGED))
    assert set(notes) == {"门卫说开会去了", "见到了办公室主任"}


def test_a_visit_that_was_moved_meanwhile_is_logged_after_a_look(visit: Visit, sign_in: SignIn):
    client, data = sign_in(visit.visitor), log_data(visit)
    visit.planned_on = TOMORROW
    db.session.commit()
    answer = client.post(url(visit, "/{}/log"), data=data)
    assert answer.status_code == 409
    data["version"] = field_of(answer.text, "version")
    assert client.post(url(visit, "/{}/log"), data=data).status_code == 302


def test_a_logged_visit_shows_its_record_instead_of_the_form(visit: Visit, sign_in: SignIn):
    client = sign_in(visit.visitor)
    client.post(url(visit, "/{}/log"), data=log_data(visit, note="材料留给值班同志"))
    page = client.get(url(visit, "/{}/log")).text
    assert "这次走访已登记" in page
    assert "材料留给值班同志" in page


def test_a_visit_that_was_never_planned_is_logged_from_the_unit(app: Flask, sign_in: SignIn):
    solicitation = make_solicitation()
    address = f"/c/{solicitation.campaign.code}/units/{solicitation.unit_id}/visits/log"
    client = sign_in()
    page = client.get(address).text
    assert "临时走访" in page
    data = {"outcome": "not_in", "visited_on": "2026-10-20", "client_key": "k1"}
    for _ in range(2):
        assert client.post(address, data=data).status_code == 302
    logged = db.session.scalars(sa.select(Visit).filter_by(status=VisitStatus.LOGGED)).one()
    assert (logged.reason, logged.planned_on) == ("临时走访", TODAY)


def test_a_visit_is_planned_from_the_unit_page(app: Flask, sign_in: SignIn):
    user = make_user()
    solicitation = make_solicitation(solicitor_id=user.id)
    address = f"/c/{solicitation.campaign.code}/units/{solicitation.unit_id}/visits/new"
    client = sign_in(user)
    page = client.get(address).text
    assert field_of(page, "planned_on") == "2026-10-21"
    data = {"planned_on": "2026-10-22", "planned_time": "09:30", "visitor_id": user.id}
    assert client.post(address, data=data).status_code == 302
    visit = db.session.scalars(sa.select(Visit)).one()
    assert (visit.status, f"{visit.planned_time:%H:%M}") == (VisitStatus.PLANNED, "09:30")
    assert "已有一次待走访的安排" in client.get(address).text
    refused = client.post(address, data=data)
    assert refused.status_code == 422


def test_proposals_are_confirmed_one_by_one_and_together(app: Flask, sign_in: SignIn):
    campaign, user = make_campaign(), make_user()
    sector, client = make_sector(campaign), sign_in(user)
    proposals = [
        make_visit(
            make_solicitation(campaign, sector),
            owner,
            status=VisitStatus.PROPOSED,
            planned_on=TOMORROW,
            reason="10-12 发出提醒后 5 个工作日未回应",
        )
        for owner in (user, user, None)
    ]
    page = client.get(f"/c/{campaign.code}/my-day").text
    assert "10-12 发出提醒后 5 个工作日未回应" in page
    assert "1 次走访待分派" in page
    one, *rest = proposals
    address = f"/c/{campaign.code}/visits"
    data = {"version": one.version}
    assert client.post(f"{address}/{one.id}/confirm", data=data).status_code == 302
    client.post(f"{address}/confirm", data={"visit_id": [visit.id for visit in rest]})
    db.session.expire_all()
    assert {visit.status for visit in proposals} == {VisitStatus.PLANNED}
    assert {visit.visitor_id for visit in proposals} == {user.id}
    assert client.post(f"{address}/confirm").status_code == 422


def test_a_visit_is_moved_and_dropped_unless_it_changed_meanwhile(visit: Visit, sign_in: SignIn):
    client, user = sign_in(visit.visitor), make_user()
    old = {"version": visit.version}
    move = {"planned_on": "2026-10-22", "visitor_id": user.id}
    assert "走访改期" in client.get(url(visit, "/{}/move")).text
    assert client.post(url(visit, "/{}/move"), data=move | old).status_code == 302
    db.session.refresh(visit)
    assert (visit.planned_on, visit.visitor_id) == (date(2026, 10, 22), user.id)
    assert client.post(url(visit, "/{}/move"), data=move | old).status_code == 409
    assert client.post(url(visit, "/{}/drop"), data={"reason": "x"} | old).status_code == 409
    new = {"version": visit.version}
    assert client.post(url(visit, "/{}/drop"), data=new).status_code == 422
    assert (
        client.post(url(visit, "/{}/drop"), data={"reason": "已电话说定"} | new).status_code == 302
    )
    db.session.refresh(visit)
    assert (visit.status, visit.note) == (VisitStatus.DROPPED, "已电话说定")


def test_a_move_into_a_full_day_says_so_and_keeps_the_form(app: Flask, sign_in: SignIn):
    campaign, user = make_campaign(visits_per_day=1), make_user()
    sector = make_sector(campaign)
    make_visit(make_solicitation(campaign, sector), user, planned_on=TOMORROW)
    visit = make_visit(make_solicitation(campaign, sector), user)
    data = {"planned_on": "2026-10-21", "visitor_id": user.id, "version": visit.version}
    answer = sign_in(user).post(url(visit, "/{}/move"), data=data)
    assert answer.status_code == 422
    assert "已排满 1 次走访" in answer.text


def test_the_week_shows_who_goes_where_and_can_be_filtered(visit: Visit, sign_in: SignIn):
    campaign = visit.solicitation.campaign
    make_visit(
        make_solicitation(campaign, unit=make_unit(name="衡阳市档案馆", short_name="市档案馆")),
        planned_on=date(2026, 10, 29),
        status=VisitStatus.PROPOSED,
    )
    visit.solicitation.unit.short_name = "市气象局"
    db.session.commit()
    client = sign_in(Role.AUDITOR)
    table = client.get(url(visit)).text.partition('class="table card-table cards visit-week"')[2]
    assert "市气象局" in table
    assert "市档案馆" not in table
    next_week = client.get(url(visit) + "?week=2026-10-28").text
    assert "待分派" in next_week
    assert "市档案馆" in next_week.partition("visit-week")[2]
    assert "这一周没有走访" in client.get(url(visit) + "?visitor=0&week=2026-10-20").text
    assert "这一周没有走访" in client.get(url(visit) + "?status=logged").text
    assert client.get(url(visit) + "?week=nonsense&status=nonsense&visitor=x").status_code == 200


def test_the_make_up_saturday_is_a_day_of_its_week(visit: Visit, sign_in: SignIn):
    page = sign_in(visit.visitor).get(url(visit) + "?week=2026-10-05").text
    assert "周六 10-10" not in page, "an empty week has no table"
    visit.planned_on = date(2026, 10, 9)
    db.session.commit()
    page = sign_in(visit.visitor).get(url(visit) + "?week=2026-10-05").text
    assert "周六 10-10" in page
    assert "周日 10-11" not in page


@pytest.mark.parametrize("role", [Role.LIAISON, Role.AUDITOR])
def test_others_than_the_office_log_nothing(visit: Visit, sign_in: SignIn, role: Role):
    client = sign_in(role)
    assert client.get(url(visit, "/{}/log")).status_code == 403
    assert client.post(url(visit, "/{}/log"), data=log_data(visit)).status_code == 403
    assert client.get(my_day(visit)).status_code == 403


def test_a_visit_of_another_campaign_is_not_found(visit: Visit, sign_in: SignIn):
    other = make_campaign()
    for path in ("log", "move", "drop"):
        answer = sign_in().get(f"/c/{other.code}/visits/{visit.id}/{path}")
        assert answer.status_code == 404
    assert sign_in().post(f"/c/{other.code}/visits/{visit.id}/confirm").status_code == 404
