"""Opening a campaign from the one before."""

import re
from datetime import date

import pytest
import sqlalchemy as sa

from outreach import clock
from outreach.access import Role
from outreach.accounts.models import UserSector
from outreach.audit import AuditEvent
from outreach.campaigns.models import (
    Campaign,
    CampaignStatus,
    DeclineReason,
    SectorLineage,
    Solicitation,
    Stage,
)
from outreach.campaigns.opening import (
    ContactGap,
    LeftOut,
    bring_units,
    open_campaign,
    plan_opening,
)
from outreach.db import db
from outreach.errors import Conflict, Refused
from outreach.gifts.models import GiftKind
from outreach.gifts.services import record_gift
from outreach.units.models import ContactRole
from tests.factories import (
    make_campaign,
    make_contact,
    make_gift,
    make_sector,
    make_solicitation,
    make_unit,
    make_user,
    save,
)

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


@pytest.fixture
def last_year(app) -> Campaign:
    return make_campaign(code="2026", status=CampaignStatus.CLOSED)


def open_with_units(last_year: Campaign, include=()) -> Campaign:
    campaign = open_campaign("2027", name="2027年", previous=last_year, **YEAR)
    bring_units(campaign, include=include)
    db.session.commit()
    return campaign


def solicitations(campaign: Campaign) -> list[Solicitation]:
    rows = sa.select(Solicitation).filter_by(campaign_id=campaign.id).order_by(Solicitation.id)
    return list(db.session.scalars(rows))


class TestUnits:
    def test_they_come_along_with_who_asks_and_begin_anew(self, last_year):
        sector, staff = make_sector(last_year, name="教育系统"), make_user()
        former = make_solicitation(
            last_year,
            sector,
            solicitor_id=staff.id,
            stage=Stage.PLEDGED,
            next_action="致电",
            snoozed_until=date(2026, 12, 1),
        )
        (row,) = solicitations(open_with_units(last_year))
        assert (row.unit_id, row.solicitor_id, row.sector.name) == (
            former.unit_id,
            staff.id,
            "教育系统",
        )
        assert (row.stage, row.next_action, row.snoozed_until, row.is_exempt) == (
            Stage.NOT_CONTACTED,
            "",
            None,
            False,
        )

    def test_those_that_are_exempt_or_dissolved_wait_for_a_person(self, last_year):
        exempt = make_solicitation(last_year, is_exempt=True)
        dissolved, unwilling = (
            make_solicitation(last_year, stage=Stage.DECLINED, decline_reason=reason)
            for reason in (DeclineReason.DISSOLVED, DeclineReason.NOT_WILLING)
        )
        plan = plan_opening(last_year)
        assert {unit.before: unit.left_out for unit in plan.units} == {
            exempt: LeftOut.EXEMPT,
            dissolved: LeftOut.DISSOLVED,
            unwilling: None,
        }
        campaign = open_with_units(last_year, include={exempt.unit_id})
        came = {row.unit_id for row in solicitations(campaign)}
        assert came == {exempt.unit_id, unwilling.unit_id}

    @pytest.mark.parametrize("change", [{"is_enabled": False}, {"role": Role.AUDITOR}])
    def test_who_is_not_of_the_office_any_more_asks_nobody(self, last_year, change):
        solicitor = make_user()
        make_solicitation(last_year, solicitor_id=solicitor.id)
        for name, value in change.items():
            setattr(solicitor, name, value)
        db.session.commit()
        assert len(plan_opening(last_year).without_solicitor) == 1
        (row,) = solicitations(open_with_units(last_year))
        assert row.solicitor_id is None

    def test_whose_contacts_have_ended_or_are_missing_is_said(self, last_year):
        fine, ended, missing = (make_solicitation(last_year, unit=make_unit()) for _ in range(3))
        for unit in (fine.unit, ended.unit):
            make_contact(unit, valid_to=date(2026, 12, 31))
        make_contact(fine.unit)
        make_contact(missing.unit, role=ContactRole.LEADER)
        plan = plan_opening(last_year, starts_on=YEAR["starts_on"])
        assert {unit.before: unit.contact_gap for unit in plan.without_contact} == {
            ended: ContactGap.ENDED,
            missing: ContactGap.MISSING,
        }

    def test_a_second_time_adds_only_what_has_come_since(self, last_year):
        last_year.status = CampaignStatus.RUNNING
        first = make_solicitation(last_year)
        campaign = open_with_units(last_year)
        (row,) = solicitations(campaign)
        row.stage = Stage.VISITED
        assert bring_units(campaign, include=()) == 0
        late = make_solicitation(last_year, make_sector(last_year, name="新设板块"))
        plan = plan_opening(last_year, campaign=campaign)
        assert (plan.present_count, [unit.before for unit in plan.units]) == (1, [late])
        assert bring_units(campaign, include=(), fingerprint=plan.fingerprint) == 1
        assert [(row.unit_id, row.stage) for row in solicitations(campaign)] == [
            (first.unit_id, Stage.VISITED),
            (late.unit_id, Stage.NOT_CONTACTED),
        ]
        into = solicitations(campaign)[1].sector
        assert (into.campaign_id, into.name) == (campaign.id, "新设板块")
        lineage = db.session.get(SectorLineage, (into.id, late.sector_id))
        assert lineage is not None

    def test_a_sector_that_was_renamed_or_split_takes_its_units(self, last_year):
        old = make_solicitation(last_year).sector
        campaign = open_with_units(last_year)
        (row,) = solicitations(campaign)
        row.sector.name = "改名以后"
        split = make_sector(campaign, name="拆出来的", position=99)
        save(SectorLineage(sector_id=split.id, predecessor_id=old.id))
        make_solicitation(last_year, old)
        plan = plan_opening(last_year, campaign=campaign)
        assert (plan.sectors[0].into, plan.sectors[0].successors) == (
            row.sector,
            ["改名以后", "拆出来的"],
        )
        bring_units(campaign, include=())
        assert {row.sector.name for row in solicitations(campaign)} == {"改名以后"}

    def test_what_was_not_previewed_is_not_done(self, last_year):
        make_solicitation(last_year)
        plan = plan_opening(last_year)
        make_solicitation(last_year)
        campaign = open_campaign("2027", name="2027年", previous=last_year, **YEAR)
        with pytest.raises(Conflict):
            bring_units(campaign, include=(), fingerprint=plan.fingerprint)

    def test_a_liaison_serves_the_sector_that_continues_theirs(self, last_year):
        sector = make_sector(last_year)
        liaison = make_user(Role.LIAISON, sectors=(sector,))
        assert plan_opening(last_year).sectors[0].liaisons == [liaison.name]
        (successor,) = open_with_units(last_year).sectors
        assert db.session.get(UserSector, (liaison.id, successor.id))

    def test_a_closed_campaign_takes_nothing_in(self, last_year):
        campaign = open_with_units(last_year)
        campaign.status = CampaignStatus.CLOSED
        db.session.commit()
        with pytest.raises(Refused):
            bring_units(campaign, include=())


FORM = {
    "code": "2027",
    "name": "2027年慈善一日捐",
    "starts_on": "2027-09-01",
    "ends_on": "2027-12-31",
}


class TestPages:
    def test_nothing_is_done_before_it_was_seen(self, last_year, sign_in):
        given = make_gift(make_solicitation(last_year), 1_234_500_00)
        exempt = make_solicitation(last_year, is_exempt=True)
        record_gift(
            campaign=last_year, amount_fen=500_00, kind=GiftKind.UNIT, received_on=clock.today()
        )
        db.session.commit()
        client = sign_in(Role.SECRETARY_GENERAL)
        form = FORM | {"previous_id": last_year.id}
        page = client.post("/settings/campaigns/new", data=form)
        assert db.session.scalar(sa.select(sa.func.count(Campaign.id))) == 1
        for words in (exempt.unit.name, "上年度不劝募", "123.4500", "总额 123.5000 万元"):
            assert words in page.text
        back = client.post("/settings/campaigns/new", data=fields_of(page) | {"edit": "1"})
        assert 'value="2027年慈善一日捐"' in back.text
        done = client.post("/settings/campaigns/new", data=fields_of(page))
        assert done.location == "/c/2027/edit"
        campaign = db.session.query(Campaign).filter_by(code="2027").one()
        assert [row.unit_id for row in solicitations(campaign)] == [given.unit_id]
        assert db.session.query(AuditEvent).filter_by(action="bring.units").one().facts == {
            "units": 1,
            "included": [],
        }

    def test_late_units_are_brought_along_again(self, last_year, sign_in):
        campaign = open_with_units(last_year)
        late = make_solicitation(last_year, is_exempt=True)
        client = sign_in(Role.SECRETARY_GENERAL)
        address = f"/settings/campaigns/{campaign.id}/units"
        page = client.get(address)
        assert late.unit.name in page.text
        data = fields_of(page) | {"include": late.unit_id}
        assert client.post(address, data=data).location == "/c/2027/sectors"
        assert [row.unit_id for row in solicitations(campaign)] == [late.unit_id]
        assert client.post(address, data=data).status_code == 409

    def test_a_code_that_is_taken_is_said_at_the_field(self, last_year, sign_in):
        form = FORM | {"previous_id": last_year.id, "code": "2026"}
        answer = sign_in(Role.SECRETARY_GENERAL).post("/settings/campaigns/new", data=form)
        assert answer.status_code == 422
        assert "已经用过" in answer.text


def fields_of(page) -> dict[str, str]:
    """What the browser sends when the page's form is sent: its hidden fields."""
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.text))


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
