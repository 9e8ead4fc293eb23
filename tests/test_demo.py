"""The demonstration says what the report of 2023 says, to the fen, and invents the rest."""

import re
import sqlite3
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from app import create_app
from outreach import clock
from outreach.campaigns.models import Campaign, CampaignStatus
from outreach.campaigns.queries import get_campaign
from outreach.db import db
from outreach.demo import figures
from outreach.demo.services import load_demo
from outreach.documents.basic_facts import write_basic_facts
from outreach.errors import Refused
from outreach.gifts.ledger import check_ledger
from outreach.gifts.models import Gift, GiftKind
from outreach.gifts.standings import list_standings, read_figures, sector_figures
from outreach.units.models import Contact, Unit
from tests import factories
from tests.conftest import TUESDAY_MORNING, make_settings


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path):
    """A database with the demonstration; the tests of this module only read it."""
    directory = tmp_path_factory.mktemp("demo")
    source, target = sqlite3.connect(sqlite_template), sqlite3.connect(directory / "demo.db")
    source.backup(target)
    source.close()
    target.close()
    app = create_app(make_settings(f"sqlite:///{directory / 'demo.db'}", directory))
    with app.app_context():
        with time_machine.travel(TUESDAY_MORNING):
            assert load_demo()
            db.session.commit()
        app.extensions["fingerprint"] = fingerprint()
        yield app
        db.session.remove()
        db.engine.dispose()


def test_2023_adds_up_as_the_report_says_and_shows_what_it_cannot_explain(demo: Flask):
    found = read_figures(get_campaign("2023")).campaign
    assert (found.total_fen, found.allocated_fen) == (1_810_703_500, 1_800_360_000)
    assert found.unallocated_fen == 10_343_500
    assert found.unit_count == found.given_count == 593


def test_the_basic_facts_of_2023_are_those_of_the_report_and_its_contradictions_show(demo: Flask):
    facts = write_basic_facts(get_campaign("2023"))
    for figure in ("2023年8月28日", "12月31日", "四个月", "593家", "近6万名", "增长174.22万元"):
        assert figure in facts.text
    assert "募集资金1810.7035万元" in facts.text
    reported = figures.read_sectors()
    amounts = re.findall(r"([^，：]+)捐款([\d.]+)万元", facts.text)
    assert [(name, Decimal(amount) * 1_000_000) for name, amount in amounts] == [
        (sector.name, sector.amount_fen) for sector in reported
    ]
    for words, has_risen in (("提升", True), ("降低", False)):
        names = "、".join(sector.name for sector in reported if sector.has_risen is has_risen)
        assert f"捐赠金额有{words}的为：{names}。" in facts.text
    assert [(row.stated, row.found) for row in facts.contradictions] == [
        (21, 23),
        (1_800_360_000, 1_810_703_500),
    ]
    for code in ("2022", "2023", "2026"):
        assert all(identity.holds for identity in check_ledger(get_campaign(code)))


def test_2023_has_the_reported_sectors_amounts_and_directions(demo: Flask):
    reported = figures.read_sectors()
    found = sector_figures(get_campaign("2023"))
    assert [(sector.sector.name, sector.amount_fen) for sector in found] == [
        (sector.name, sector.amount_fen) for sector in reported
    ]
    assert [sector.direction == "risen" for sector in found] == [
        sector.has_risen for sector in reported
    ]
    assert Counter(sector.direction for sector in found) == {"risen": 10, "fallen": 13}


def test_2022_has_the_reported_total(demo: Flask):
    assert read_figures(get_campaign("2022")).campaign.total_fen == 1_636_483_500


def test_the_window_of_2023_is_the_reported_one_and_holds_every_gift(demo: Flask):
    campaign = get_campaign("2023")
    assert (campaign.starts_on, campaign.ends_on) == (date(2023, 8, 28), date(2023, 12, 31))
    first, last = db.session.execute(
        sa.select(sa.func.min(Gift.received_on), sa.func.max(Gift.received_on)).filter_by(
            campaign_id=campaign.id
        )
    ).one()
    assert campaign.starts_on <= first <= last <= campaign.ends_on


def test_about_sixty_thousand_people_took_part_in_2023(demo: Flask):
    donors = db.session.scalar(
        sa.select(sa.func.sum(Gift.donor_count)).filter_by(campaign_id=get_campaign("2023").id)
    )
    assert donors == 59_600


def test_amounts_of_units_are_heavy_tailed(demo: Flask):
    amounts = sorted(standing.given_fen for standing in list_standings(get_campaign("2023")))
    top_tenth = sum(amounts[-len(amounts) // 10 :])
    assert top_tenth > sum(amounts) * 0.3
    assert min(amounts) >= 300_00


def test_a_campaign_is_running_two_thirds_of_the_way_with_units_outstanding(demo: Flask):
    campaign = db.session.scalars(
        sa.select(Campaign).filter_by(status=CampaignStatus.RUNNING)
    ).one()
    elapsed = (clock.today() - campaign.starts_on) / (campaign.ends_on - campaign.starts_on)
    assert 0.6 < elapsed < 0.72
    found = read_figures(campaign).campaign
    assert found.unit_count == 593
    assert 150 < found.outstanding_count < 350
    assert any(sector.is_lagging for sector in sector_figures(campaign))


def test_every_invented_address_is_one_that_cannot_exist(demo: Flask):
    emails = db.session.scalars(sa.select(Contact.email).where(Contact.email != "")).all()
    assert emails
    assert all(email.endswith(".example") for email in emails)
    names = db.session.scalars(sa.select(Unit.name)).all()
    assert len(set(names)) == 593
    assert all("雁城市" in name for name in names)
    assert not any(re.search(r"\d{4,}", name) for name in names), "no army unit's number"


def test_every_campaign_says_that_it_is_a_demonstration(demo: Flask):
    assert db.session.scalars(sa.select(Campaign.is_demo)).all() == [True] * 3


def test_persons_have_no_unit(demo: Flask):
    gifts = db.session.scalars(sa.select(Gift).where(Gift.unit_id.is_(None))).all()
    assert gifts
    assert {gift.kind for gift in gifts} == {GiftKind.INDIVIDUAL}


def fingerprint() -> list[tuple[object, ...]]:
    rows = db.session.execute(
        sa.select(Unit.name, sa.func.sum(Gift.amount_fen))
        .join(Gift, Gift.unit_id == Unit.id)
        .group_by(Unit.name)
    )
    return [tuple(row) for row in rows]


def test_it_is_the_same_every_time_and_loading_twice_changes_nothing(demo: Flask, app: Flask):
    for is_new in (True, False):
        assert load_demo() == is_new
        assert sorted(fingerprint()) == sorted(demo.extensions["fingerprint"])


def test_it_never_mixes_with_real_data(app: Flask):
    factories.make_campaign()
    with pytest.raises(Refused):
        load_demo()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_it_also_loads_in_a_year_whose_holidays_nobody_knows(app: Flask, tuesday_morning):
    tuesday_morning.move_to("2031-03-04T10:00:00+08:00")
    assert load_demo()
