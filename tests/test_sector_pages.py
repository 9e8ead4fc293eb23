"""What the secretary-general clicks to rearrange the sectors of a campaign."""

import re

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from outreach.access import Role
from outreach.campaigns.models import (
    Campaign,
    CampaignStatus,
    Sector,
    SectorLineage,
    Solicitation,
)
from outreach.db import db
from outreach.gifts.models import Gift
from tests import factories
from tests.conftest import SignIn


@pytest.fixture
def campaign(app: Flask) -> Campaign:
    previous = factories.make_campaign(code="2025", status=CampaignStatus.CLOSED)
    return factories.make_campaign(code="2026", previous_id=previous.id)


@pytest.fixture
def client(sign_in: SignIn) -> FlaskClient:
    return sign_in(Role.SECRETARY_GENERAL)


@pytest.fixture
def education(campaign: Campaign) -> Sector:
    sector = factories.make_sector(campaign, name="教育系统", position=1)
    origin = factories.make_sector(campaign.previous, name="教育口")
    factories.save(SectorLineage(sector_id=sector.id, predecessor_id=origin.id))
    return sector


@pytest.fixture
def health(campaign: Campaign) -> Sector:
    return factories.make_sector(campaign, name="卫健系统", position=2)


def hidden_fields(page: str) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input type="hidden" name="([\w-]+)" value="([^"]*)"', page):
        fields.setdefault(name, []).append(value)
    return fields


def names(campaign: Campaign) -> list[str]:
    rows = sa.select(Sector.name).filter_by(campaign_id=campaign.id).order_by(Sector.position)
    return list(db.session.scalars(rows))


def test_a_unit_is_moved_from_its_page_after_a_preview(
    campaign: Campaign, client: FlaskClient, education: Sector, health: Sector
):
    row = factories.make_solicitation(campaign, education)
    gift = factories.make_gift(row, 123_400)
    other = factories.make_solicitation(campaign, education)
    address = f"/c/2026/sectors/{education.id}/move"
    assert f"{address}?unit={row.unit_id}" in client.get(f"/c/2026/units/{row.unit_id}").text
    form = client.get(f"{address}?unit={row.unit_id}").text
    assert f'value="{row.unit_id}" checked' in form
    assert f'value="{other.unit_id}" checked' not in form
    data = {"units": [row.unit_id], "to": health.id, "reason": "归口调整"}
    preview = client.post(address, data=data).text
    assert row.sector_id == education.id
    assert "1,234" in preview
    back = client.post(address, data=hidden_fields(preview) | {"edit": "1"}).text
    assert f'value="{row.unit_id}" checked' in back
    done = client.post(address, data=hidden_fields(preview))
    assert done.location == f"/c/2026/sectors/{health.id}"
    assert (row.sector_id, gift.sector_id, other.sector_id) == (health.id, health.id, education.id)
    assert "板块由“教育系统”改为“卫健系统”" in client.get(f"/c/2026/units/{row.unit_id}").text
    assert client.post(address, data=hidden_fields(preview)).status_code == 422


def test_a_sector_is_split_and_continues_the_same(
    campaign: Campaign, client: FlaskClient, education: Sector
):
    rows = [factories.make_solicitation(campaign, education) for _ in range(2)]
    own = factories.make_gift(rows[0], 900, unit_id=None)
    address = f"/c/2026/sectors/{education.id}/move"
    data = {"units": [rows[0].unit_id], "to": 0, "name": "高校系统", "reason": "拆分"}
    for change, words in (
        ({"name": ""}, "请填写新板块的名称"),
        ({"name": "教育系统"}, "已有板块"),
        ({"units": []}, "请勾选要移动的单位"),
        ({"reason": ""}, "请填写原因"),
    ):
        answer = client.post(address, data=data | change)
        assert (answer.status_code, words in answer.text) == (422, True)
    preview = client.post(address, data=data | {"takes_own": "y"}).text
    client.post(address, data=hidden_fields(preview))
    assert names(campaign) == ["教育系统", "高校系统"]
    assert rows[0].sector.name == "高校系统"
    assert own.sector_id == rows[0].sector_id
    assert client.get("/c/2026/sectors/edit").text.count("教育口") == 2


def test_sectors_are_merged_after_a_preview(
    campaign: Campaign, client: FlaskClient, education: Sector, health: Sector
):
    factories.make_gift(factories.make_solicitation(campaign, health), 500)
    factories.make_user(Role.LIAISON, name="林联络", sectors=(health,))
    address = f"/c/2026/sectors/{education.id}/merge"
    assert client.post(address, data={"name": "科教"}).status_code == 422
    data = {"others": [health.id], "name": "卫健系统", "reason": "机构改革"}
    preview = client.post(address, data=data).text
    assert "林联络" in preview
    assert names(campaign) == ["教育系统", "卫健系统"]
    client.post(address, data=hidden_fields(preview))
    assert names(campaign) == ["卫健系统"]
    assert db.session.scalars(sa.select(Gift.sector_id)).all() == [education.id]


def test_sectors_are_named_created_ordered_and_deleted(
    campaign: Campaign, client: FlaskClient, education: Sector, health: Sector
):
    page = "/c/2026/sectors/edit"
    client.post("/c/2026/sectors/new", data={"name": "金融系统"})
    assert "已有板块" in client.post("/c/2026/sectors/new", data={"name": "金融系统"}).text
    finance = db.session.query(Sector).filter_by(name="金融系统").one()
    client.post("/c/2026/sectors/order", data={f"place-{finance.id}": "1"})
    assert names(campaign) == ["金融系统", "教育系统", "卫健系统"]
    client.post("/c/2026/sectors/order", data={f"place-{finance.id}": "3"})
    assert names(campaign) == ["教育系统", "卫健系统", "金融系统"]
    rename = f"/c/2026/sectors/{education.id}/rename"
    assert client.post(rename, data={"name": "卫健系统"}).status_code == 422
    client.post(rename, data={"name": "教体系统"})
    factories.make_solicitation(campaign, health)
    assert "没有后续板块" in client.get(page).text
    assert client.post(f"/c/2026/sectors/{health.id}/delete").status_code == 422
    client.post(f"/c/2026/sectors/{finance.id}/delete")
    assert names(campaign) == ["教体系统", "卫健系统"]


def test_a_closed_campaign_shows_its_sectors_and_offers_no_change(
    campaign: Campaign, client: FlaskClient, education: Sector, health: Sector
):
    row = factories.make_solicitation(campaign, education)
    campaign.status = CampaignStatus.CLOSED
    db.session.commit()
    assert "/move" not in client.get(f"/c/2026/units/{row.unit_id}").text
    assert "保存顺序" not in client.get("/c/2026/sectors/edit").text
    data = {"units": [row.unit_id], "to": health.id, "reason": "-", "is_confirmed": "1"}
    answer = client.post(f"/c/2026/sectors/{education.id}/move", data=data)
    assert (answer.status_code, "已经结束" in answer.text) == (422, True)
    assert db.session.scalars(sa.select(Solicitation.sector_id)).all() == [education.id]
