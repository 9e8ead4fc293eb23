"""The settings pages: people, the working calendar, the timetable and the audit trail."""

from datetime import date

import pytest
import sqlalchemy as sa
from flask import Flask

from outreach import audit, workdays
from outreach.access import Role
from outreach.accounts.models import LoginSession, User
from outreach.db import db
from outreach.settings import queries
from tests import factories
from tests.conftest import SignIn

NEW_USER = {"username": "Liaison9", "name": "彭晓岚", "role": "staff", "is_enabled": "y"}


@pytest.fixture
def administrator(app: Flask) -> User:
    return factories.make_user(Role.ADMINISTRATOR, name="邓安")


def test_a_new_user_gets_an_invitation_that_is_shown_once_and_chooses_a_password(
    app: Flask, administrator: User, sign_in: SignIn
):
    page = sign_in(administrator).post("/settings/users/new", data=NEW_USER).text
    token = page.partition("/invitation/")[2].partition('"')[0]
    assert 'value="http://127.0.0.1:8000/invitation/' in page
    user = db.session.scalars(sa.select(User).filter_by(username="liaison9")).one()
    assert token
    assert token not in str(vars(user))

    browser = app.test_client()
    words = {"new_password": "麦田 kettle 第七 harbour", "repeated": "麦田 kettle 第七 harbour"}
    assert browser.post(f"/invitation/{token}", data=words).location == "/"
    assert browser.get("/password").status_code == 200
    assert app.test_client().get(f"/invitation/{token}").status_code == 404


def test_an_invitation_ends_after_three_days_and_when_a_new_one_is_made(
    app: Flask, administrator: User, sign_in: SignIn, tuesday_morning
):
    client = sign_in(administrator)
    user = factories.make_user()

    def invite() -> str:
        page = client.post(f"/settings/users/{user.id}/invitation").text
        return "/invitation/" + page.partition("/invitation/")[2].partition('"')[0]

    first, second = invite(), invite()
    assert app.test_client().get(first).status_code == 404
    assert app.test_client().get(second).status_code == 200
    tuesday_morning.shift(72 * 3600 + 1)
    assert app.test_client().get(second).status_code == 404


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"username": "1x"}, "用户名以字母开头"),
        ({"username": "邓安"}, "用户名以字母开头"),
        ({"name": ""}, "请填写姓名"),
        ({"email": "nobody"}, "邮箱格式不正确"),
        ({"role": "liaison"}, "至少选择一个板块"),
        ({"role": "king"}, "invalid-feedback"),
    ],
)
def test_a_user_that_cannot_be_right_is_refused_at_the_field(
    administrator: User, sign_in: SignIn, change: dict, message: str
):
    answer = sign_in(administrator).post("/settings/users/new", data=NEW_USER | change)
    assert message in answer.text
    assert db.session.scalar(sa.select(sa.func.count(User.id))) == 1


def test_two_users_cannot_share_a_name(administrator: User, sign_in: SignIn):
    client = sign_in(administrator)
    client.post("/settings/users/new", data=NEW_USER)
    answer = client.post("/settings/users/new", data=NEW_USER | {"username": "LIAISON9"})
    assert "已被使用" in answer.text


def test_a_liaison_gets_sectors_and_loses_them_with_the_role(administrator: User, sign_in: SignIn):
    sector = factories.make_sector(factories.make_campaign())
    client = sign_in(administrator)
    client.post(
        "/settings/users/new", data=NEW_USER | {"role": "liaison", "sector_ids": [sector.id]}
    )
    user = db.session.scalars(sa.select(User).filter_by(username="liaison9")).one()
    assert [link.sector_id for link in user.sectors] == [sector.id]
    assert "checked" in client.get(f"/settings/users/{user.id}").text
    client.post(
        f"/settings/users/{user.id}",
        data=NEW_USER | {"role": "auditor", "sector_ids": [sector.id], "version": user.version},
    )
    assert user.role is Role.AUDITOR
    assert user.sectors == []


@pytest.mark.parametrize("change", [{"role": "auditor"}, {"is_enabled": ""}])
def test_a_change_of_role_or_access_ends_the_persons_sessions(
    administrator: User, sign_in: SignIn, change: dict
):
    user = factories.make_user(Role.STAFF, name="周可人")
    theirs = sign_in(user)
    assert theirs.get("/password").status_code == 200
    data = {"name": user.name, "role": "staff", "is_enabled": "y", "version": user.version}
    sign_in(administrator).post(f"/settings/users/{user.id}", data=data | change)
    assert theirs.get("/password").status_code == 302
    assert not db.session.scalars(sa.select(LoginSession).filter_by(user_id=user.id)).all()


def test_the_last_administrator_keeps_role_and_access(administrator: User, sign_in: SignIn):
    client = sign_in(administrator)
    data = {"name": "邓安", "role": "staff", "is_enabled": "y", "version": administrator.version}
    answer = client.post(f"/settings/users/{administrator.id}", data=data)
    assert answer.status_code == 422
    assert "至少要保留一名" in answer.text
    factories.make_user(Role.ADMINISTRATOR, is_enabled=False)
    assert client.post(f"/settings/users/{administrator.id}", data=data).status_code == 422
    factories.make_user(Role.ADMINISTRATOR)
    assert client.post(f"/settings/users/{administrator.id}", data=data).status_code == 302


def test_the_first_administrator_comes_from_the_command_line(app: Flask):
    runner = app.test_cli_runner()
    result = runner.invoke(args=["users", "create-admin", "root", "邓安"])
    assert result.exit_code == 0
    link = result.output.strip()
    assert link.startswith("http://127.0.0.1:8000/invitation/")
    assert "邓安" in app.test_client().get(link.removeprefix("http://127.0.0.1:8000")).text
    again = runner.invoke(args=["users", "create-admin", "ROOT", "邓安"])
    assert again.exit_code == 1
    assert "已被使用" in again.output


def test_the_published_holidays_of_a_year_are_listed_with_make_up_days(app: Flask):
    days = queries.list_special_days(2026)
    national = [run for run in days if run.name == "国庆节" and not run.is_workday]
    assert [(run.first, run.last) for run in national] == [(date(2026, 10, 1), date(2026, 10, 7))]
    assert any(run.is_workday and run.first.weekday() >= 5 for run in days)
    assert not any(run.is_entered for run in days)


def test_a_day_that_staff_enter_wins_and_can_be_taken_back(app: Flask, sign_in: SignIn):
    client = sign_in(Role.SECRETARY_GENERAL)
    data = {"first": "2026-10-22", "last": "2026-10-23", "kind": "off", "note": "市里放假"}
    client.post("/settings/calendar/days", data=data)
    assert not workdays.is_workday(date(2026, 10, 22))
    assert "市里放假" in client.get("/settings/calendar").text
    client.post("/settings/calendar/days", data=data | {"kind": "work", "last": ""})
    assert workdays.is_workday(date(2026, 10, 22))
    client.post(
        "/settings/calendar/days/remove", data={"first": "2026-10-22", "last": "2026-10-23"}
    )
    assert workdays.is_workday(date(2026, 10, 23))


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        ("", "", "请填写日期"),
        ("2027-02-10", "2027-02-01", "结束日期不能早于"),
        ("2027-01-01", "2027-12-31", "一次最多"),
    ],
)
def test_a_period_that_makes_no_sense_is_refused(
    app: Flask, sign_in: SignIn, first: str, last: str, message: str
):
    answer = sign_in(Role.ADMINISTRATOR).post(
        "/settings/calendar/days", data={"first": first, "last": last, "kind": "off"}
    )
    assert answer.status_code == 422
    assert message in answer.text


def test_a_year_is_known_once_its_holidays_are_entered_and_confirmed(app: Flask, sign_in: SignIn):
    client = sign_in(Role.SECRETARY_GENERAL)
    refused = client.post("/settings/calendar/years/2027")
    assert refused.status_code == 422
    assert "2027-05-01" in refused.text
    for day in ("2027-01-01", "2027-05-01", "2027-10-01"):
        client.post("/settings/calendar/days", data={"first": day, "kind": "off"})
    assert not workdays.is_known(2027)
    assert client.post("/settings/calendar/years/2027").status_code == 302
    assert workdays.is_known(2027)
    client.post("/settings/calendar/years/2027", data={"withdraw": 1})
    assert not workdays.is_known(2027)


def test_the_warning_about_next_year_begins_in_mid_november(
    app: Flask, sign_in: SignIn, tuesday_morning
):
    client = sign_in(Role.AUDITOR)
    assert "还没有 2027 年" not in client.get("/settings/").text
    tuesday_morning.move_to("2026-11-15T10:00:00+08:00")
    client = sign_in(Role.AUDITOR)
    for page in ("/settings/", "/settings/calendar"):
        assert "还没有 2027 年" in client.get(page).text


def test_the_timetable_shows_what_runs_and_when(app: Flask, sign_in: SignIn):
    page = sign_in(Role.AUDITOR).get("/settings/timetable").text
    assert "生成周报" in page
    assert "还没有" in page


def test_the_audit_trail_is_filtered_by_person_and_action(app: Flask, sign_in: SignIn):
    person = factories.make_user(name="周可人")
    audit.record("invite.user", f"user_account:{person.id}")
    audit.record("confirm.calendar", "calendar_year:2027")
    db.session.commit()
    client = sign_in(Role.AUDITOR)
    everything = client.get("/settings/audit").text
    assert "共 2 条" in everything
    assert f"用户 {person.id}" in everything
    assert "共 1 条" in client.get("/settings/audit", query_string={"user": person.id}).text
    assert "共 1 条" in client.get("/settings/audit?action=confirm.calendar").text
    assert "没有符合条件的记录" in client.get("/settings/audit?action=log.visit").text


def test_the_audit_trail_is_paged(app: Flask, sign_in: SignIn):
    for number in range(60):
        audit.record("confirm.calendar", f"calendar_year:{number}")
    db.session.commit()
    client = sign_in(Role.AUDITOR)
    assert "年度 59" in client.get("/settings/audit").text
    second = client.get("/settings/audit?page=2").text
    assert "年度 9<" in second
    assert "年度 59" not in second
