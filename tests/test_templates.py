import pytest
import sqlalchemy as sa
from flask import Flask

from outreach.access import Role
from outreach.db import db
from outreach.messages.models import Channel, Template, TemplateVersion
from tests.factories import make_campaign, make_solicitation, make_template

POLITE = "((联系人))您好：((单位名称))如有意参加，请联系我们。捐赠完全自愿。"


def post_new(client, **values):
    data = {"name": "联系函", "channel": "email", "subject": "工作联系", "body": POLITE}
    return client.post("/templates/new", data=data | values)


def test_a_template_is_created_with_its_first_version(sign_in):
    assert post_new(sign_in()).status_code == 302
    template = db.session.scalars(sa.select(Template)).one()
    assert [(version.number, version.body) for version in template.versions] == [(1, POLITE)]


@pytest.mark.parametrize(
    "values",
    [
        {"body": "((单位地址))您好，自愿"},
        {"body": "各单位实行摊派，自愿"},
        {"subject": ""},
        {"channel": "sms", "body": "请捐款"},
        {"name": ""},
        {"body": ""},
    ],
)
def test_a_text_that_the_check_refuses_is_not_saved_and_not_lost(sign_in, values):
    answer = post_new(sign_in(), **values)
    assert answer.status_code == 422
    assert values.get("body", POLITE)[:5] in answer.text
    assert db.session.scalars(sa.select(Template)).all() == []


def test_names_are_unique(sign_in):
    post_new(sign_in())
    answer = post_new(sign_in())
    assert answer.status_code == 422
    assert "已有名为" in answer.text


def test_an_edit_makes_a_new_version_and_keeps_the_old_one(sign_in):
    version = make_template()
    before = version.body
    answer = sign_in().post(
        f"/templates/{version.template_id}/edit",
        data={"name": "新名", "subject": "新主题", "body": POLITE, "version": "1"},
    )
    assert answer.status_code == 302
    versions = db.session.scalars(sa.select(TemplateVersion).order_by(TemplateVersion.number)).all()
    assert [(version.number, version.body) for version in versions] == [(1, before), (2, POLITE)]


def test_the_same_text_makes_no_new_version(sign_in):
    version = make_template()
    data = {"name": "改名", "subject": version.subject, "body": version.body, "version": "1"}
    sign_in().post(f"/templates/{version.template_id}/edit", data=data)
    assert db.session.scalar(sa.select(sa.func.count()).select_from(TemplateVersion)) == 1
    assert db.session.scalars(sa.select(Template.name)).one() == "改名"


def test_an_edit_of_a_text_that_somebody_else_changed_is_refused(sign_in):
    version = make_template()
    url = f"/templates/{version.template_id}/edit"
    data = {"name": "名", "subject": "题", "body": POLITE, "version": "1"}
    assert sign_in().post(url, data=data).status_code == 302
    assert sign_in().post(url, data=data | {"body": POLITE + "另"}).status_code == 409


def test_the_preview_shows_a_real_unit_and_what_was_found(app: Flask, sign_in):
    unit = make_solicitation(make_campaign()).unit
    client = sign_in()
    answer = client.post(
        "/templates/preview", data={"channel": "email", "subject": "题", "body": "致((单位名称))"}
    )
    assert f"致{unit.name}" in answer.text
    assert "自愿" in answer.text


def test_the_preview_of_a_broken_text_names_the_fault(sign_in):
    answer = sign_in().post("/templates/preview", data={"channel": "sms", "body": "((无此项))"})
    assert "((无此项))" in answer.text
    assert "letter-text" not in answer.text


def test_a_preview_keeps_nothing(app: Flask, sign_in):
    make_solicitation(make_campaign())
    sign_in().post("/templates/preview", data={"channel": "email", "subject": "题", "body": POLITE})
    db.session.commit()
    assert db.session.scalars(sa.select(Template)).all() == []


def test_pages_open_for_those_who_may(sign_in):
    version = make_template(Channel.SMS, subject="", body="请报送登记表。")
    assert version.template.name in sign_in(Role.AUDITOR).get("/templates").text
    assert sign_in(Role.AUDITOR).get("/templates/new").status_code == 403
    assert sign_in(Role.LIAISON).get("/templates").status_code == 403
    staff = sign_in()
    assert "请报送登记表" in staff.get(f"/templates/{version.template_id}/edit").text
    assert staff.get("/templates/999/edit").status_code == 404
