"""The page of the week: what it shows, and what people click on it."""

from datetime import date

from flask import Flask

from outreach.access import Role
from outreach.db import db
from outreach.visits.models import AbsenceKind, VisitStatus
from outreach.visits.staffing import add_absence
from tests.conftest import SignIn
from tests.factories import make_solicitation, make_todo, make_user, make_visit
from tests.test_week_planning import FRIDAY, MONDAY, Office, proposals, visit_of

THURSDAY = date(2026, 10, 22)


def test_a_week_is_planned_shown_moved_confirmed_and_dropped(app: Flask, sign_in: SignIn):
    office = Office(visits_per_day=2)
    unit = office.unit(30_000, district="蒸湘区", address="解放大道1号")
    client = sign_in(office.users[0])
    start = f"/c/{office.campaign.code}"
    assert "这一周还没有计划" in client.get(f"{start}/plan").text
    page = client.post(f"{start}/plan", follow_redirects=True).text
    assert "建议走访 1 家、1 趟" in page
    for words in (
        "蒸湘区 · 1 家",
        "解放大道1号",
        "uri.amap.com",
        "上年 3.00 万元",
        "也可以：与分管领导沟通",
    ):
        assert words in page
    [visit] = proposals()
    assert visit.planned_on == date(2026, 10, 21)
    assert "移到周四 10-22" in page
    assert "移到周二" not in page.replace("移到周二 10-20", ""), "only days of this week"
    shift = {"day": "2026-10-22", "version": visit.version}
    url = f"{start}/visits/{visit.id}/shift?next={start}/plan"
    assert "走访改到 10-22" in client.post(url, data=shift, follow_redirects=True).text
    assert client.post(url, data=shift).status_code == 409, "somebody has moved it since"
    db.session.expire_all()
    assert (visit.planned_on, visit.status) == (THURSDAY, VisitStatus.PLANNED)
    answer = client.post(url, data={"day": "someday"})
    assert "日期不对" in answer.text
    client.post(f"{start}/plan")
    db.session.expire_all()
    assert visit_of(unit).planned_on == THURSDAY, "what was moved is confirmed"
    for _each in range(2):
        make_visit(office.unit(called=False), office.users[0], planned_on=FRIDAY)
    page = client.post(url, data={"day": "2026-10-23"}, follow_redirects=True).text
    assert "10-23 已排满 2 次走访" in page
    assert "周计划" in page, "where the button was"


def test_leave_calls_and_other_peoples_days_are_shown(app: Flask, sign_in: SignIn):
    office = Office(staff=2)
    mine, other = office.users
    add_absence(mine, AbsenceKind.MEETING, THURSDAY, THURSDAY, "培训")
    make_visit(office.unit(called=False), mine, planned_on=FRIDAY, reason="约好的")
    make_visit(office.unit(called=False), other, planned_on=FRIDAY, reason="别人的")
    call = make_todo(make_solicitation(office.campaign, office.sector), mine, due_on=THURSDAY)
    call.reason = "请打电话"
    db.session.commit()
    client = sign_in(mine)
    page = client.get(f"/c/{office.campaign.code}/plan").text
    assert "培训" in page
    assert "请打电话" in page
    assert "约好的" in page
    assert "别人的" not in page
    everybody = client.get(f"/c/{office.campaign.code}/plan?visitor=0").text
    assert "别人的" in everybody
    assert "约好的" in everybody


def test_an_auditor_reads_the_week_and_changes_nothing(app: Flask, sign_in: SignIn):
    office = Office()
    office.unit()
    office.plan()
    page = sign_in(Role.AUDITOR).get(f"/c/{office.campaign.code}/plan?week={MONDAY}")
    assert page.status_code == 200
    assert "上年 1.00 万元" in page.text
    for button in ("重新编排</button>", "移到", "/confirm", "/drop"):
        assert button not in page.text


def test_a_plan_that_cannot_be_made_says_why(app: Flask, sign_in: SignIn):
    office = Office(ends_on=date(2027, 1, 31))
    answer = sign_in(make_user()).post(f"/c/{office.campaign.code}/plan?week=2027-01-04")
    assert answer.status_code == 422
    assert "2027 年的放假安排" in answer.text
