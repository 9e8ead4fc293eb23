"""The pages of rules, as people use them."""

import re

import pytest
import sqlalchemy as sa
from flask import Flask

from outreach import audit
from outreach.access import Role
from outreach.campaigns.models import Campaign
from outreach.db import db
from outreach.messages.models import Purpose, Template, Wave
from outreach.reminders import rule_services
from outreach.reminders.models import ReminderRule, RuleKind
from tests.factories import (
    make_campaign,
    make_gift,
    make_solicitation,
    make_template,
    make_unit,
    make_user,
    open_sending,
)
from tests.test_rules import make_all, make_rule, promise, run, units_of

ALL = "/c/2026/rules"


@pytest.fixture
def campaign(app: Flask) -> Campaign:
    open_sending()
    before = make_campaign()
    return make_campaign(code="2026", previous_id=before.id)


def only_rule() -> ReminderRule:
    return db.session.scalars(sa.select(ReminderRule)).one()


def version() -> int:
    return db.session.scalar(sa.select(ReminderRule.version)) or 0


def try_out(client, kind: str, **fields):
    data = {f"{kind}-{name}": value for name, value in fields.items()}
    return client.post(f"{ALL}/{kind}/try", data={"version": version()} | data)


def switch(client, kind: str, is_on: str, **data):
    return client.post(f"{ALL}/{kind}/switch", data={"version": version(), "is_on": is_on} | data)


def read_tables() -> dict[str, list]:
    db.session.rollback()
    return {
        name: [tuple(row) for row in db.session.execute(sa.select(table))]
        for name, table in db.metadata.tables.items()
    }


def test_the_page_shows_every_rule_off_and_writes_nothing(campaign: Campaign, sign_in):
    client = sign_in(Role.SECRETARY_GENERAL)
    before = read_tables()
    page = client.get(ALL).text
    assert page.count("未启用") == len(RuleKind)
    for kind in RuleKind:
        assert str(kind.label) in page
    assert "感谢信 · 邮件（系统自带的文字）" in page
    assert "style=" not in page
    assert read_tables() == before


def test_a_rule_is_tried_looked_at_and_switched_on(campaign: Campaign, sign_in):
    unit = make_solicitation(campaign)
    make_gift(unit, 32_000_00)
    staff, boss = sign_in(Role.STAFF), sign_in(user := make_user(Role.SECRETARY_GENERAL))
    answer = try_out(staff, "gift_received", workdays=4, template_id=0)
    assert answer.location == f"{ALL}/gift_received/trial"
    trial = staff.get(answer.location).text
    assert "按今天的数据：起草 1 个批次，写给 1 家单位。" in trial
    assert "自愿捐赠的3.2 万元" in trial
    assert "请秘书长或管理员启用" in trial
    letters = staff.get(re.search(r'href="([^"]*/letters/[^"]*)"', trial)[1])
    assert unit.unit.name in letters.text
    assert unit.unit.contacts[0].email not in letters.text
    assert db.session.scalars(sa.select(Template.name)).one() == "感谢信"

    assert switch(staff, "gift_received", "on").status_code == 403
    assert switch(boss, "gift_received", "on").status_code == 302
    rule = only_rule()
    assert (rule.is_on, rule.author_id, rule.settings) == (True, user.id, {"workdays": 4})
    run()
    page = staff.get(ALL).text
    assert "已启用" in page
    assert "起草 1 个批次" in page
    assert f"由{user.name}启用" in page
    assert "由规则起草" in staff.get("/c/2026/waves").text
    assert "规则起草的批次等待核对" in boss.get("/c/2026/").text
    assert switch(boss, "gift_received", "off").status_code == 302
    assert not only_rule().is_on
    actions = db.session.scalars(
        sa.select(audit.AuditEvent.action).where(audit.AuditEvent.subject.like("reminder_rule:%"))
    ).all()
    assert set(actions) == {"edit.rule", "switch_on.rule", "run.rule", "switch_off.rule"}


@pytest.mark.parametrize("kind", RuleKind, ids=str)
def test_a_try_out_writes_nothing_but_when_it_was(campaign: Campaign, sign_in, kind: RuleKind):
    rule = next(rule for rule in make_all(campaign) if rule.kind is kind)
    client = sign_in(Role.STAFF)
    fields = dict(rule.settings) | ({"template_id": rule.template_id} if rule.template_id else {})
    data = {f"{kind.value}-{name}": value for name, value in fields.items()}
    before = read_tables()
    address = f"/c/{rule.campaign.code}/rules/{kind}/try"
    answer = client.post(address, data={"version": rule.version} | data)
    trial = client.get(answer.location).text
    assert "按今天的数据：" in trial
    after = read_tables()
    rows = before.pop("reminder_rule"), after.pop("reminder_rule")
    assert before == after
    columns = list(ReminderRule.__table__.columns.keys())
    changed = {
        column
        for old, new in zip(*map(sorted, rows), strict=True)
        for column, was, is_ in zip(columns, old, new, strict=True)
        if was != is_
    }
    assert changed <= {"tried_at", "version"}


def test_a_rule_that_was_not_tried_cannot_be_switched_on(campaign: Campaign, sign_in):
    boss = sign_in(Role.SECRETARY_GENERAL)
    assert switch(boss, "silent", "on").status_code == 404
    rule_services.save_rule(campaign, RuleKind.SILENT, {"workdays": 4}, None)
    db.session.commit()
    answer = switch(boss, "silent", "on")
    assert answer.status_code == 422
    assert "先试运行" in answer.text
    assert not only_rule().is_on


def test_any_edit_switches_the_rule_off_until_it_is_switched_on_again(campaign: Campaign, sign_in):
    make_rule(campaign, RuleKind.SILENT)
    client = sign_in(Role.STAFF)
    try_out(client, "silent", workdays=3)
    assert only_rule().is_on
    answer = client.post(
        f"{ALL}/silent/try",
        data={"version": version(), "silent-workdays": 5},
        follow_redirects=True,
    )
    assert "规则改动后已停用" in answer.text
    rule = only_rule()
    assert (rule.is_on, rule.settings) == (False, {"workdays": 5})
    rule_services.save_rule(campaign, RuleKind.SILENT, {"workdays": 6}, None)
    assert rule.tried_at is None


@pytest.mark.parametrize("wrong", ["", "0", "61", "viele"])
def test_numbers_that_make_no_sense_are_not_kept_and_not_lost(
    campaign: Campaign, sign_in, wrong: str
):
    answer = try_out(sign_in(Role.STAFF), "silent", workdays=wrong)
    assert answer.status_code == 422
    assert "invalid-feedback" in answer.text
    assert db.session.scalars(sa.select(ReminderRule)).all() == []
    if wrong:
        assert f'value="{wrong}"' in answer.text


def test_of_two_people_who_change_a_rule_the_second_is_told(campaign: Campaign, sign_in):
    client = sign_in(Role.STAFF)
    try_out(client, "silent", workdays=4)
    data = {"silent-workdays": 5}
    assert client.post(f"{ALL}/silent/try", data=data | {"version": 0}).status_code == 409
    assert only_rule().settings == {"workdays": 4}
    boss = sign_in(Role.SECRETARY_GENERAL)
    assert switch(boss, "silent", "on", version=0).status_code == 409


def test_what_does_not_exist_is_not_found(campaign: Campaign, sign_in):
    client = sign_in(Role.STAFF)
    assert client.post(f"{ALL}/nothing/try").status_code == 404
    assert client.get(f"{ALL}/silent/trial").status_code == 404
    make_rule(campaign, RuleKind.GIFT_RECEIVED)
    assert client.get(f"{ALL}/gift_received/letters/rule:1:thanks").status_code == 404


def test_a_template_that_was_archived_asks_for_another(campaign: Campaign, sign_in):
    rule = make_rule(campaign, RuleKind.GIFT_RECEIVED)
    rule.template.is_archived = True
    db.session.commit()
    client = sign_in(Role.STAFF)
    assert client.get(f"{ALL}/gift_received/trial").status_code == 422
    other = make_template().template_id
    assert try_out(client, "gift_received", workdays=3, template_id=other).status_code == 302


def test_an_auditor_reads_the_rules_and_changes_nothing(campaign: Campaign, sign_in):
    page = sign_in(Role.AUDITOR).get(ALL).text
    assert "试运行</button>" not in page
    assert page.count("disabled") >= 4


def test_an_edit_of_a_draft_keeps_whom_the_rule_chose(campaign: Campaign, sign_in):
    chosen = promise(campaign)
    make_solicitation(campaign)
    make_rule(campaign, RuleKind.PLEDGE_OVERDUE)
    run()
    wave = db.session.scalars(sa.select(Wave)).one()
    before = wave.audience
    client = sign_in(Role.STAFF)
    page = client.get(f"/c/2026/waves/{wave.id}/edit").text
    assert "规则已逐家选定单位" in page
    data = {
        "name": "核对",
        "sectors": "all",
        "template_version_id": wave.template_version_id,
        "start": "now",
    }
    counted = client.get("/c/2026/waves/audience", query_string=data | {"wave_id": wave.id}).text
    assert "写给 1 家单位" in counted
    answer = client.post(f"/c/2026/waves/{wave.id}/edit", data=data | {"version": wave.version})
    assert answer.status_code == 302
    db.session.refresh(wave)
    assert (wave.name, wave.audience) == ("核对", before)
    assert units_of(wave) == [chosen.unit.name]


def test_an_edit_of_a_letter_of_thanks_still_thanks(campaign: Campaign, sign_in):
    unit = make_solicitation(campaign)
    make_gift(unit)
    make_gift(make_solicitation(campaign, unit=make_unit()))
    make_rule(campaign, RuleKind.GIFT_RECEIVED)
    run()
    wave = db.session.scalars(sa.select(Wave)).one()
    data = {
        "version": wave.version,
        "name": "感谢",
        "sectors": "all",
        "template_version_id": wave.template_version_id,
        "start": "now",
    }
    client = sign_in(Role.STAFF)
    client.post(f"/c/2026/waves/{wave.id}/edit", data=data)
    db.session.refresh(wave)
    assert (wave.name, wave.purpose) == ("感谢", Purpose.THANKS)
    assert units_of(wave) == [unit.unit.name]
    page = client.get(f"/c/2026/waves/{wave.id}").text
    assert "致谢 2 笔到账" in page
    assert "由规则起草" in page
