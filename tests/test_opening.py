"""Opening a campaign from the one before."""

from datetime import date

import pytest
import sqlalchemy as sa

from outreach.access import Role
from outreach.campaigns.models import Campaign, CampaignStatus, SectorLineage
from outreach.campaigns.opening import open_campaign
from outreach.db import db
from outreach.errors import Refused
from tests.factories import make_campaign, make_sector

YEAR = {"starts_on": date(2027, 9, 1), "ends_on": date(2027, 12, 31)}


def test_a_campaign_takes_over_the_sectors_with_their_lineage(app):
    before = make_campaign(code="2026")
    sectors = [make_sector(before, name=name) for name in ("教育系统", "卫健系统")]
    campaign = open_campaign("2027", name="2027年", previous=before, **YEAR)
    assert campaign.status is CampaignStatus.PLANNED
    assert [sector.name for sector in campaign.sectors] == ["教育系统", "卫健系统"]
    lineage = dict(
        db.session.execute(sa.select(SectorLineage.predecessor_id, SectorLineage.sector_id)).all()
    )
    assert lineage == {old.id: new.id for old, new in zip(sectors, campaign.sectors, strict=True)}


def test_the_first_campaign_begins_without_sectors(app):
    assert open_campaign("2027", name="2027年", previous=None, **YEAR).sectors == []


def test_a_code_is_used_once(app):
    make_campaign(code="2027")
    with pytest.raises(Refused):
        open_campaign("2027", name="2027年", previous=None, **YEAR)


def test_it_is_opened_in_the_browser(app, sign_in):
    answer = sign_in(Role.SECRETARY_GENERAL).post(
        "/settings/campaigns/new",
        data={
            "code": "2027",
            "name": "2027年慈善一日捐",
            "starts_on": "2027-09-01",
            "ends_on": "2027-12-31",
            "previous_id": "0",
        },
    )
    assert answer.location == "/c/2027/edit"
    assert db.session.scalars(sa.select(Campaign.name)).all() == ["2027年慈善一日捐"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"code": "二〇二七"}, "请用 2 到 20 个字母"),
        ({"ends_on": "2027-08-31"}, "不能早于开始日期"),
    ],
)
def test_what_is_wrong_is_said_at_the_field(app, sign_in, change, words):
    data = {
        "code": "2027",
        "name": "2027年",
        "starts_on": "2027-09-01",
        "ends_on": "2027-12-31",
        "previous_id": "0",
    }
    answer = sign_in(Role.SECRETARY_GENERAL).post("/settings/campaigns/new", data=data | change)
    assert words in answer.text
    assert db.session.scalar(sa.select(sa.func.count(Campaign.id))) == 0
