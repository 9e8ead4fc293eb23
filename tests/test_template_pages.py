"""Templates: what a text looks like at its worst, what it costs, archive and versions."""

import pytest
import sqlalchemy as sa
from flask import Flask

from outreach import clock, money
from outreach.access import Role
from outreach.accounts.models import User
from outreach.db import db
from outreach.messages import rates, templates
from outreach.messages.models import Channel, SendPolicy, Template, TemplateVersion
from outreach.messages.templates import draft_version
from outreach.reminders.queries import list_current_versions, try_text
from tests.factories import (
    make_campaign,
    make_contact,
    make_solicitation,
    make_template,
    make_unit,
    make_user,
    open_sending,
    save,
)


def add_unit(campaign, **values):
    unit = make_unit(**values)
    make_contact(unit, title="主任")
    return make_solicitation(campaign, unit=unit, solicitor_id=make_user().id)


def test_the_longest_the_shortest_and_the_barest_letter_are_shown(app: Flask):
    campaign = make_campaign()
    add_unit(campaign, name="衡阳市很长很长很长的一个单位", short_name="长单位")
    add_unit(campaign, name="甲局", short_name="甲")
    bare = add_unit(campaign, name="衡阳市乙单位", short_name="")
    version = draft_version(Channel.EMAIL, "题", "致((单位名称))（((单位简称))），自愿")
    trial = try_text(version, make_user())
    assert [str(sample.label) for sample in trial.samples] == ["最长", "最短", "资料最不全"]
    assert "很长很长" in trial.samples[0].letter.rendered.text
    assert "甲局" in trial.samples[1].letter.rendered.text
    assert trial.samples[2].letter.units == bare.unit.name
    assert trial.samples[2].letter.gaps == ("单位简称",)
    assert trial.cost == ""


def test_a_hole_is_worse_than_something_that_stands_in(app: Flask, sign_in):
    campaign = make_campaign()
    add_unit(campaign, name="衡阳市甲单位", short_name="")
    client = sign_in()
    data = {"channel": "email", "subject": "题", "body": "((单位简称))((上年度捐款))，自愿"}
    page = client.post("/templates/preview", data=data).text
    assert "没有登记，用了代替的写法：单位简称" in page
    assert "这家单位没有“上年度捐款”" in page


def test_units_that_are_snoozed_are_good_enough_to_try_a_text_on(app: Flask):
    make_solicitation(make_campaign(), snoozed_until=clock.today())
    assert len(try_text(draft_version(Channel.EMAIL, "题", "自愿"), make_user()).samples) == 1


def test_the_cost_of_text_messages_is_told_before_they_are_written(app: Flask, sign_in):
    open_sending()
    campaign = make_campaign()
    for _unit in range(3):
        make_solicitation(campaign)
    data = {"channel": "sms", "body": "请报送登记表。"}
    client = sign_in()
    page = client.post("/templates/preview", data=data).text
    assert "约 3 条 × 0.05 元 = 0.15 元" in page
    assert "1 条计费" in page
    db.session.get(SendPolicy, 1).sms_price_fen = 4
    db.session.commit()
    long = data | {"body": "请" * 100}
    assert "约 6 条 × 0.04 元 = 0.24 元" in client.post("/templates/preview", data=long).text
    mail = client.post(
        "/templates/preview", data={"channel": "email", "subject": "题", "body": "x"}
    )
    assert "元 =" not in mail.text


@pytest.mark.parametrize(("fen", "text"), [(5, "0.05"), (3000, "30.00"), (0, "0.00")])
def test_prices_have_both_decimals(fen: int, text: str):
    assert money.format_price(fen) == text


def test_without_a_policy_the_usual_price_is_assumed(app: Flask):
    assert rates.describe_sms_cost(600) == "约 600 条 × 0.05 元 = 30.00 元"


def test_the_price_is_set_with_the_caps(app: Flask, sign_in):
    open_sending()
    client = sign_in(Role.ADMINISTRATOR)
    data = {"contact_cap": 2, "contact_cap_days": 7, "unit_cap": 3, "sms_daily_budget": 100}
    data["unit_gap_days"] = 2
    assert "0.05" in client.get("/messages/sending").text
    client.post("/messages/sending", data=data | {"sms_price_fen": "0.045"})
    client.post("/messages/sending", data=data | {"sms_price_fen": "0.06"})
    db.session.expire_all()
    assert db.session.get(SendPolicy, 1).sms_price_fen == 6
    for wrong in ("", "很多", "-1", "11", "0.045"):
        answer = client.post("/messages/sending", data=data | {"sms_price_fen": wrong})
        assert answer.status_code == 422, wrong
    db.session.expire_all()
    assert db.session.get(SendPolicy, 1).sms_price_fen == 6


# Archive


def test_an_archived_template_is_not_offered_and_can_be_taken_back(app: Flask, sign_in):
    campaign = make_campaign(code="2026")
    version = make_template()
    name, url = version.template.name, f"/templates/{version.template_id}"
    client = sign_in()
    assert client.post(f"{url}/archive").status_code == 302
    db.session.expire_all()
    assert list_current_versions() == []
    assert name not in client.get("/templates").text.replace("flash", "")
    assert "已归档" in client.get("/templates").text
    assert name in client.get("/templates?archived=1").text
    data = {"name": "批", "sectors": "all", "start": "now", "template_version_id": version.id}
    assert client.post(f"/c/{campaign.code}/waves/new", data=data).status_code == 422
    taken = client.post(
        "/templates/new", data={"name": name, "channel": "email", "subject": "题", "body": "自愿"}
    )
    assert "已归档的模板里有" in taken.text
    assert "恢复使用" in client.get(url).text
    assert client.post(f"{url}/restore").status_code == 302
    db.session.expire_all()
    assert list_current_versions() == [version]


def test_a_draft_keeps_the_template_that_was_archived_under_it(app: Flask, sign_in):
    from tests.test_waves import make_wave

    campaign = make_campaign(code="2026")
    wave = make_wave(campaign)
    db.session.get(Template, wave.template_version.template_id).is_archived = True
    db.session.commit()
    page = sign_in().get(f"/c/2026/waves/{wave.id}/edit").text
    assert wave.template_version.template.name in page


def test_auditors_read_templates_and_archive_none(app: Flask, sign_in):
    version = make_template()
    url = f"/templates/{version.template_id}"
    auditor = sign_in(Role.AUDITOR)
    assert auditor.get(url).status_code == 200
    assert "/archive" not in auditor.get(url).text
    for action in ("archive", "restore"):
        assert auditor.post(f"{url}/{action}").status_code == 403
    assert auditor.post("/templates/test").status_code == 403
    assert sign_in(Role.LIAISON).get(url).status_code == 403
    assert sign_in().post("/templates/999/archive").status_code == 404


# Versions


def add_version(version: TemplateVersion, number: int, body: str) -> TemplateVersion:
    return save(
        TemplateVersion(
            template_id=version.template_id,
            number=number,
            subject=version.subject,
            body=body,
            created_at=clock.now(),
        )
    )


def test_what_changed_between_two_versions_is_marked(app: Flask, sign_in):
    version = make_template(body="您好，活动十月结束。捐赠自愿。")
    add_version(version, 2, "您好，活动十一月结束。捐赠自愿。")
    add_version(version, 3, "您好，活动十二月结束。捐赠自愿。")
    url = f"/templates/{version.template_id}"
    client = sign_in(Role.AUDITOR)
    latest = client.get(url).text
    assert "<del>活动十一月结束。</del><ins>活动十二月结束。</ins>捐赠自愿。" in latest
    chosen = client.get(f"{url}?old=1&new=3").text
    assert "<del>活动十月结束。</del><ins>活动十二月结束。</ins>" in chosen
    first = client.get(f"{url}?new=1").text
    assert "<del>" not in first
    assert "活动十月结束" in first
    assert client.get(f"{url}?old=x&new=99").status_code == 200


@pytest.mark.parametrize(
    ("old", "new"), [("", "新"), ("旧", ""), ("甲，乙。\n丙", "甲，丁。\n丙"), ("同。", "同。")]
)
def test_the_pieces_of_a_comparison_make_up_both_texts(old: str, new: str):
    pieces = templates.compare_texts(old, new)
    assert "".join(piece.text for piece in pieces if piece.kind != "new") == old
    assert "".join(piece.text for piece in pieces if piece.kind != "gone") == new


def test_texts_are_escaped_where_they_are_compared(app: Flask, sign_in):
    version = make_template(body="自愿")
    add_version(version, 2, "自愿<script>alert(1)</script>")
    page = sign_in().get(f"/templates/{version.template_id}").text
    assert "<script>alert" not in page
    assert db.session.scalar(sa.select(sa.func.count()).select_from(User)) == 1
