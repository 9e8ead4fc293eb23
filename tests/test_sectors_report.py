import json
from datetime import date

import pytest
from flask import Flask

from outreach.campaigns.models import Campaign, SectorLineage
from outreach.gifts.models import GiftKind
from outreach.gifts.services import record_gift
from tests import factories


@pytest.fixture
def campaign(app: Flask) -> Campaign:
    previous = factories.make_campaign(code="2025")
    campaign = factories.make_campaign(code="2026", previous_id=previous.id)
    for name, amount, before in (("教育", 500, 300), ("卫健", 200, 300), ("金融", 70, 70)):
        old = factories.make_sector(previous, name=name)
        new = factories.make_sector(campaign, name=name)
        factories.save(SectorLineage(sector_id=new.id, predecessor_id=old.id))
        factories.make_gift(factories.make_solicitation(campaign, new), amount)
        factories.make_gift(factories.make_solicitation(previous, old), before)
    record_gift(campaign=campaign, amount_fen=9, kind=GiftKind.UNIT, received_on=date(2026, 10, 1))
    factories.db.session.commit()
    return campaign


def run(app: Flask, *arguments: str):
    return app.test_cli_runner().invoke(args=["sectors", "report", *arguments])


def test_the_json_report_has_these_keys_and_amounts_in_fen(app: Flask, campaign: Campaign):
    result = run(app, "--campaign", "2026", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "total": 779,
        "allocated": 770,
        "unallocated": 9,
        "sectors": [
            {"name": "教育", "amount": 500, "previous": 300, "direction": "risen"},
            {"name": "卫健", "amount": 200, "previous": 300, "direction": "fallen"},
            {"name": "金融", "amount": 70, "previous": 70, "direction": "unchanged"},
        ],
    }
    assert "教育" in result.stdout, "names are not escaped"


def test_in_a_pipe_the_table_is_plain_lines_with_tabs(app: Flask, campaign: Campaign):
    lines = [line.split("\t") for line in run(app, "--campaign", "2026").stdout.splitlines()]
    assert lines[0] == ["板块", "本年（万元）", "上年（万元）", "升降"]
    assert lines[1] == ["教育", "0.0005", "0.0003", "上升"]
    assert [line[0] for line in lines[-3:]] == ["板块合计", "未分配", "总计"]


def test_an_unknown_campaign_is_refused_in_one_line_on_stderr(app: Flask, campaign: Campaign):
    result = run(app, "--campaign", "1999", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "1999" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_campaign_must_be_named(app: Flask):
    assert run(app).exit_code == 2
