from datetime import date

import sqlalchemy as sa
from flask import Flask

from outreach.access import Role
from outreach.audit import AuditEvent
from outreach.campaigns.models import (
    Campaign,
    CampaignStatus,
    DeclineReason,
    Solicitation,
    Stage,
    StageCause,
)
from outreach.db import db
from tests import factories
from tests.conftest import SignIn

HTMX = {"HX-Request": "true"}


def path(solicitation: Solicitation, last: str) -> str:
    return f"/c/{solicitation.campaign.code}/units/{solicitation.unit_id}/{last}"


def reload(solicitation: Solicitation) -> Solicitation:
    db.session.expire_all()
    return db.session.get_one(Solicitation, solicitation.id)


def test_a_stage_is_changed_with_one_click_and_logged(app: Flask, sign_in: SignIn):
    solicitation, person = factories.make_solicitation(), factories.make_user()
    answer = sign_in(person).post(path(solicitation, "stage"), data={"to": "visited"})
    assert answer.status_code == 302
    assert answer.location == path(solicitation, "stage").removesuffix("/stage")
    solicitation = reload(solicitation)
    assert solicitation.stage is Stage.VISITED
    [change] = solicitation.changes
    assert (change.by_id, change.cause) == (person.id, StageCause.PERSON)
    event = db.session.scalars(sa.select(AuditEvent)).one()
    assert (event.action, event.subject) == ("change.stage", f"solicitation:{solicitation.id}")
    assert (event.facts["before"], event.facts["after"]) == ("not_contacted", "visited")


def test_the_units_page_offers_the_moves_that_the_table_has(app: Flask, sign_in: SignIn):
    solicitation = factories.make_solicitation(stage=Stage.VISITED)
    page = sign_in().get(path(solicitation, "stage").removesuffix("/stage")).text
    fragment = page.split('id="stage"')[1].split('id="pledge"')[0]
    offered = [part.split('"')[0] for part in fragment.split('name="to" value="')[1:]]
    assert offered == ["pledged", "contacted", "declined"]
    assert "退回“已联系”" in fragment


def test_htmx_is_sent_to_the_units_page_where_all_is_shown_anew(app: Flask, sign_in: SignIn):
    solicitation = factories.make_solicitation()
    answer = sign_in().post(path(solicitation, "stage"), data={"to": "contacted"}, headers=HTMX)
    assert answer.status_code == 200
    assert answer.headers["HX-Redirect"].endswith(f"/units/{solicitation.unit_id}")


def test_a_move_outside_the_table_is_refused_in_words(app: Flask, sign_in: SignIn):
    solicitation = factories.make_solicitation(stage=Stage.PLEDGED)
    answer = sign_in().post(path(solicitation, "stage"), data={"to": "contacted"}, headers=HTMX)
    assert answer.status_code == 422
    assert "不能从“已认捐”改为“已联系”" in answer.text
    assert reload(solicitation).stage is Stage.PLEDGED


def test_a_stage_that_does_not_exist_is_refused(app: Flask, sign_in: SignIn):
    solicitation = factories.make_solicitation()
    for data in ({"to": "given"}, {}):
        assert sign_in().post(path(solicitation, "stage"), data=data).status_code == 422
    assert reload(solicitation).stage is Stage.NOT_CONTACTED


def test_declining_asks_for_the_reason_and_keeps_what_was_typed(app: Flask, sign_in: SignIn):
    solicitation = factories.make_solicitation()
    client = sign_in()
    data = {"to": "declined", "note": "已捐红十字会"}
    answer = client.post(path(solicitation, "stage"), data=data, headers=HTMX)
    assert answer.status_code == 422
    assert "请选择婉拒原因" in answer.text
    assert "已捐红十字会" in answer.text
    data["decline_reason"] = "gave_elsewhere"
    assert client.post(path(solicitation, "stage"), data=data).status_code == 302
    solicitation = reload(solicitation)
    assert solicitation.decline_reason is DeclineReason.GAVE_ELSEWHERE
    assert solicitation.changes[0].note == "已捐红十字会"


def test_a_page_that_was_read_before_somebody_elses_change_is_refused(app: Flask, sign_in: SignIn):
    solicitation = factories.make_solicitation()
    read = {"version": solicitation.version}
    client = sign_in()
    client.post(path(solicitation, "stage"), data={"to": "contacted"} | read)
    for last, data in (
        ("stage", {"to": "visited"}),
        ("next-action", {"next_action": "致电"}),
    ):
        answer = client.post(path(solicitation, last), data=data | read)
        assert answer.status_code == 409
    assert reload(solicitation).stage is Stage.CONTACTED


def test_a_next_action_is_planned_and_cleared(app: Flask, sign_in: SignIn):
    solicitation = factories.make_solicitation()
    client = sign_in()
    data = {
        "next_action": " 致电财务科 ",
        "next_action_on": "2026-10-22",
        "snoozed_until": "2026-10-21",
    }
    assert client.post(path(solicitation, "next-action"), data=data).status_code == 302
    solicitation = reload(solicitation)
    assert solicitation.next_action == "致电财务科"
    assert solicitation.next_action_on == date(2026, 10, 22)
    assert solicitation.snoozed_until == date(2026, 10, 21)
    client.post(path(solicitation, "next-action"), data={})
    assert reload(solicitation).next_action_on is None


def test_a_day_without_an_action_comes_back_with_the_reason(app: Flask, sign_in: SignIn):
    solicitation = factories.make_solicitation()
    answer = sign_in().post(
        path(solicitation, "next-action"), data={"next_action_on": "2026-10-22"}, headers=HTMX
    )
    assert answer.status_code == 422
    assert "请填写下一步要做什么" in answer.text


def test_a_unit_of_another_campaign_is_not_found(app: Flask, sign_in: SignIn):
    elsewhere, campaign = factories.make_solicitation(), factories.make_campaign()
    address = f"/c/{campaign.code}/units/{elsewhere.unit_id}/stage"
    assert sign_in().post(address, data={"to": "visited"}).status_code == 404


def test_liaisons_and_auditors_change_nothing(app: Flask, sign_in: SignIn):
    solicitation = factories.make_solicitation()
    liaison = factories.make_user(Role.LIAISON, sectors=(solicitation.sector,))
    for who in (liaison, Role.AUDITOR):
        answer = sign_in(who).post(path(solicitation, "stage"), data={"to": "visited"})
        assert answer.status_code == 403


SETTINGS = {
    "name": "2026年慈善一日捐",
    "status": "running",
    "starts_on": "2026-09-01",
    "ends_on": "2026-12-31",
    "goal_fen": "18,000,000",
    "lag_margin_percent": "8",
    "follow_up_workdays": "3",
    "visits_per_day": "6",
    "return_workdays": "4",
}


def test_the_secretary_general_changes_the_campaign(app: Flask, sign_in: SignIn):
    campaign = factories.make_campaign()
    client = sign_in(Role.SECRETARY_GENERAL)
    page = client.get(f"/c/{campaign.code}/edit")
    assert page.status_code == 200
    assert "10000000" in page.text, "the goal is filled in, in yuan"
    answer = client.post(f"/c/{campaign.code}/edit", data=SETTINGS)
    assert answer.status_code == 302
    db.session.expire_all()
    campaign = db.session.get_one(Campaign, campaign.id)
    assert (campaign.goal_fen, campaign.lag_margin_percent) == (1_800_000_000, 8)
    assert (campaign.follow_up_workdays, campaign.visits_per_day) == (3, 6)
    assert campaign.return_workdays == 4
    assert campaign.status is CampaignStatus.RUNNING
    event = db.session.scalars(sa.select(AuditEvent)).one()
    assert event.facts["lag_margin_percent"] == "8"
    assert "name" not in event.facts, "only what changed is logged"


def test_settings_that_make_no_sense_come_back_with_reasons(app: Flask, sign_in: SignIn):
    campaign = factories.make_campaign()
    client = sign_in(Role.ADMINISTRATOR)
    for wrong, reason in (
        ({"ends_on": "2026-08-31"}, "结束日期不能早于开始日期"),
        ({"lag_margin_percent": "101"}, "0 到 100"),
        ({"follow_up_workdays": "0"}, "1 到 60"),
        ({"visits_per_day": "many"}, "1 到 20"),
        ({"goal_fen": "一千万"}, "不是金额"),
        ({"goal_fen": "-1"}, "不能小于 0"),
        ({"name": ""}, "请填写名称"),
    ):
        answer = client.post(f"/c/{campaign.code}/edit", data=SETTINGS | wrong)
        assert answer.status_code == 422, wrong
        assert reason in answer.text


def test_two_people_do_not_overwrite_each_others_settings(app: Flask, sign_in: SignIn):
    campaign = factories.make_campaign()
    client = sign_in(Role.ADMINISTRATOR)
    read = {"version": campaign.version}
    assert client.post(f"/c/{campaign.code}/edit", data=SETTINGS | read).status_code == 302
    again = SETTINGS | read | {"visits_per_day": "9"}
    assert client.post(f"/c/{campaign.code}/edit", data=again).status_code == 409
