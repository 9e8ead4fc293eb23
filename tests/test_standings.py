from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from outreach import clock
from outreach.access import Role
from outreach.campaigns.models import (
    Campaign,
    DeclineReason,
    Sector,
    SectorLineage,
    Solicitation,
    Stage,
)
from outreach.campaigns.pace import PaceBasis
from outreach.db import db
from outreach.gifts.models import Gift, GiftKind
from outreach.gifts.services import record_gift, reverse_gift
from outreach.gifts.standings import (
    Status,
    cumulative,
    find_standing,
    list_standings,
    read_figures,
    sector_figures,
)
from outreach.units.models import UnitAlias
from tests import factories
from tests.conftest import noting_statements

DECLINED = {"stage": Stage.DECLINED, "decline_reason": DeclineReason.NOT_WILLING}


@pytest.fixture
def campaign(app: Flask) -> Campaign:
    """A campaign with one before it, which ran from 2025-09-01 to 2025-12-31."""
    previous = factories.make_campaign(starts_on=date(2025, 9, 1), ends_on=date(2025, 12, 31))
    return factories.make_campaign(previous_id=previous.id)


def continue_sector(campaign: Campaign, *predecessors: Sector) -> Sector:
    sector = factories.make_sector(campaign)
    for predecessor in predecessors:
        factories.save(SectorLineage(sector_id=sector.id, predecessor_id=predecessor.id))
    return sector


def credit(sector: Sector, amount_fen: int, **values: object) -> Gift:
    """A gift to the sector only, as 个人板块 have them."""
    return record_gift(
        **{
            "campaign": sector.campaign,
            "sector": sector,
            "amount_fen": amount_fen,
            "kind": GiftKind.INDIVIDUAL,
            "received_on": clock.today(),
        }
        | values
    )


@pytest.mark.parametrize(
    ("pledged", "gifts", "values", "expected"),
    [
        (0, [], {}, (Status.NOT_CONTACTED, True)),
        (0, [], {"stage": Stage.VISITED}, (Status.VISITED, True)),
        (0, [1], {}, (Status.GIVEN, False)),
        (500, [], {"stage": Stage.PLEDGED}, (Status.PLEDGED, True)),
        (500, [499], {"stage": Stage.PLEDGED}, (Status.PARTIAL, True)),
        (500, [200, 300], {"stage": Stage.PLEDGED}, (Status.GIVEN, False)),
        (500, [501], {}, (Status.GIVEN, False)),
        (0, [], DECLINED, (Status.DECLINED, False)),
        (0, [1], DECLINED, (Status.GIVEN, False)),
        (500, [1], DECLINED, (Status.PARTIAL, False)),
        (0, [], {"is_exempt": True}, (Status.EXEMPT, False)),
        (0, [1], {"is_exempt": True}, (Status.GIVEN, False)),
    ],
)
def test_money_decides_and_then_the_stage(app: Flask, pledged, gifts, values, expected):
    status, is_outstanding = expected
    solicitation = factories.make_solicitation(**values)
    if pledged:
        factories.make_pledge(solicitation, pledged)
    for amount in gifts:
        factories.make_gift(solicitation, amount)
    standing = find_standing(solicitation)
    assert (standing.status, standing.is_outstanding) == expected
    assert (standing.pledged_fen, standing.given_fen) == (pledged, sum(gifts))
    found = list_standings(solicitation.campaign, outstanding_only=True)
    assert bool(found) is is_outstanding, "the SQL and the rule of one row agree"
    figures = read_figures(solicitation.campaign).campaign
    assert figures.outstanding_count == is_outstanding
    assert figures.given_count == (status is Status.GIVEN)


def test_a_reversal_makes_the_unit_outstanding_again(app: Flask):
    solicitation = factories.make_solicitation()
    gift = factories.make_gift(solicitation, 300)
    reverse_gift(gift, reason="重复登记", by=None)
    standing = find_standing(solicitation)
    assert (standing.given_fen, standing.status) == (0, Status.NOT_CONTACTED)
    assert standing.is_outstanding


def test_a_withdrawn_pledge_does_not_count(app: Flask):
    solicitation = factories.make_solicitation()
    factories.make_pledge(solicitation, 900, withdrawn_at=clock.now())
    factories.make_gift(solicitation, 100)
    assert find_standing(solicitation).status is Status.GIVEN


def test_a_standing_knows_last_year_and_the_days_of_silence(campaign: Campaign):
    last_year = factories.make_solicitation(campaign.previous)
    factories.make_gift(last_year, 700, received_on=date(2025, 10, 1))
    solicitation = factories.make_solicitation(
        campaign, unit=last_year.unit, last_contact_on=date(2026, 10, 12)
    )
    pledge = factories.make_pledge(solicitation, 800)
    standing = find_standing(solicitation)
    assert (standing.previous_fen, standing.given_fen, standing.days_silent) == (700, 0, 8)
    assert (standing.pledge_due_on, standing.missing_fen) == (pledge.due_on, 800)


def test_standings_come_in_the_order_of_sectors_and_can_be_filtered(campaign: Campaign):
    second = factories.make_sector(campaign, position=2)
    first = factories.make_sector(campaign, position=1)
    staff = factories.make_user()
    bank = factories.make_solicitation(
        campaign,
        second,
        solicitor_id=staff.id,
        unit=factories.make_unit(name="衡阳市商业银行", initials="hyssyyh"),
    )
    tax = factories.make_solicitation(
        campaign, first, unit=factories.make_unit(name="衡阳市税务局", initials="hysswj")
    )
    factories.save(UnitAlias(unit_id=tax.unit_id, name="地方税务局", name_key="地方税务局"))
    factories.make_solicitation()  # of another campaign

    def find(**filters: object) -> list[Solicitation]:
        return [standing.solicitation for standing in list_standings(campaign, **filters)]

    assert find() == [tax, bank]
    assert find(sector_ids=[second.id]) == [bank]
    assert find(sector_ids=[]) == []
    assert find(solicitor_id=staff.id) == [bank]
    assert find(search=" 税务 ") == [tax]
    assert find(search="地方税") == [tax]
    assert find(search="SYYH") == [bank]
    assert find(search="100%") == []


def test_a_liaison_sees_only_the_own_sectors(campaign: Campaign):
    ours, theirs = factories.make_sector(campaign), factories.make_sector(campaign)
    seen = factories.make_solicitation(campaign, ours)
    factories.make_solicitation(campaign, theirs)
    liaison = factories.make_user(Role.LIAISON, sectors=(ours,))
    assert [row.solicitation for row in list_standings(campaign, viewer=liaison)] == [seen]
    assert [row.sector for row in sector_figures(campaign, viewer=liaison)] == [ours]
    nobody = factories.make_user(Role.LIAISON)
    assert list_standings(campaign, viewer=nobody) == []
    assert sector_figures(campaign, viewer=nobody) == []


def test_sector_figures_hold_gifts_without_unit_and_last_year_through_lineage(campaign: Campaign):
    before = [factories.make_sector(campaign.previous) for _ in range(3)]
    merged = continue_sector(campaign, before[0], before[1])
    renamed = continue_sector(campaign, before[2])
    new = factories.make_sector(campaign)
    for sector, amount in zip(before, (300, 200, 100), strict=True):
        factories.make_gift(
            factories.make_solicitation(campaign.previous, sector),
            amount,
            received_on=date(2025, 9, 5),
        )
    factories.make_gift(factories.make_solicitation(campaign, merged), 400)
    credit(merged, 50)
    credit(renamed, 100)
    figures = sector_figures(campaign)
    assert [row.sector for row in figures] == [merged, renamed, new]
    assert [row.amount_fen for row in figures] == [450, 100, 0]
    assert [row.previous_fen for row in figures] == [500, 100, 0]
    assert [row.direction for row in figures] == ["fallen", "unchanged", "unchanged"]
    assert [row.share for row in figures] == [0.9, 1.0, None]
    assert [row.unit_count for row in figures] == [1, 0, 0]


def test_a_unit_that_moved_leaves_last_years_sector_as_it_was(campaign: Campaign):
    old = [factories.make_sector(campaign.previous) for _ in range(2)]
    new = [continue_sector(campaign, sector) for sector in old]
    last_year = factories.make_solicitation(campaign.previous, old[0])
    factories.make_gift(last_year, 100, received_on=date(2025, 10, 9))
    factories.make_solicitation(campaign, new[1], unit=last_year.unit)
    assert [row.previous_fen for row in sector_figures(campaign)] == [100, 0]
    assert [row.amount_fen for row in sector_figures(campaign.previous)] == [100, 0]


def test_a_sector_that_was_split_hands_on_each_fen_once(campaign: Campaign):
    old = factories.make_sector(campaign.previous)
    first, second = continue_sector(campaign, old), continue_sector(campaign, old)
    elsewhere = factories.make_sector(campaign)
    for amount, sector in ((100, first), (30, second), (7, elsewhere), (1, None)):
        before = factories.make_solicitation(campaign.previous, old)
        factories.make_gift(before, amount, received_on=date(2025, 10, 9))
        if sector is not None:
            factories.make_solicitation(campaign, sector, unit=before.unit)
    credit(old, 2000, received_on=date(2025, 10, 9))
    # With its units; what has none, has left or is elsewhere now stays with the first of both.
    assert [row.previous_fen for row in sector_figures(campaign)] == [2108, 30, 0]
    assert read_figures(campaign).campaign.previous_total_fen == 2138


def test_what_has_no_sector_is_shown_as_unallocated(campaign: Campaign):
    sector = factories.make_sector(campaign)
    credit(sector, 70)
    record_gift(campaign=campaign, amount_fen=30, kind=GiftKind.UNIT, received_on=date(2026, 10, 1))
    figures = read_figures(campaign).campaign
    assert (figures.total_fen, figures.allocated_fen, figures.unallocated_fen) == (100, 70, 30)
    assert figures.individual_fen == 70
    assert figures.share == 100 / campaign.goal_fen


def test_a_sector_lags_when_last_year_was_further_by_the_same_working_day(campaign: Campaign):
    before = factories.make_sector(campaign.previous)
    sector = continue_sector(campaign, before)
    credit(before, 600, received_on=date(2025, 9, 5))
    credit(before, 400, received_on=date(2025, 12, 5))
    credit(sector, 550)
    [figures] = sector_figures(campaign)
    assert (figures.pace_share, figures.lag, figures.is_lagging) == (0.6, 5.0, False)
    reverse_gift(credit(sector, 10), reason="误记", by=None)
    campaign.lag_margin_percent = 4
    assert sector_figures(campaign)[0].is_lagging
    whole = read_figures(campaign).campaign
    assert (whole.pace_basis, whole.pace_share) == (PaceBasis.LAST_YEAR, 0.6)
    assert (whole.previous_total_fen, whole.previous_by_now_fen) == (1000, 600)


def test_without_history_the_pace_line_is_straight(app: Flask):
    campaign = factories.make_campaign(starts_on=date(2026, 10, 19), ends_on=date(2026, 10, 25))
    factories.make_sector(campaign)
    figures = read_figures(campaign)
    assert figures.campaign.pace_basis is PaceBasis.STRAIGHT_LINE
    assert figures.campaign.pace_share == 0.4, "Tuesday is the second of five working days"
    assert figures.sectors[0].pace_share == 0.4
    assert not figures.sectors[0].is_lagging


def test_a_year_without_known_holidays_is_paced_by_calendar_days_and_says_so(app: Flask):
    campaign = factories.make_campaign(starts_on=date(2031, 10, 1), ends_on=date(2031, 10, 10))
    figures = read_figures(campaign, today=date(2031, 10, 4)).campaign
    assert (figures.pace_basis, figures.pace_share) == (PaceBasis.CALENDAR_DAYS, 0.4)


def test_the_running_total_has_one_entry_for_each_day_with_money(campaign: Campaign):
    solicitation = factories.make_solicitation(campaign)
    for day, amount in ((3, 50), (3, 50), (9, 20)):
        factories.make_gift(solicitation, amount, received_on=date(2026, 9, day))
    assert cumulative(campaign) == [(date(2026, 9, 3), 100), (date(2026, 9, 9), 120)]


def test_the_list_of_a_whole_campaign_takes_few_queries(campaign: Campaign):
    sectors = [factories.make_sector(campaign) for _ in range(4)]
    staff = [factories.make_user() for _ in range(2)]
    for number in range(24):
        solicitation = factories.make_solicitation(
            campaign, sectors[number % 4], solicitor_id=staff[number % 2].id
        )
        factories.make_gift(solicitation, 100)
        factories.make_pledge(solicitation, 200)
    campaign_id = campaign.id
    db.session.remove()
    campaign = db.session.get_one(Campaign, campaign_id)
    with noting_statements() as statements:
        for standing in list_standings(campaign):
            solicitation = standing.solicitation
            assert solicitation.unit.name
            assert solicitation.sector.name
            assert solicitation.solicitor.name
            assert standing.status is Status.PARTIAL
            assert solicitation.days_silent(clock.today() + timedelta(days=1)) > 0
    assert len(statements) <= 4
    with noting_statements() as statements:
        read_figures(campaign)
    assert len(statements) <= 7
    assert db.session.scalar(sa.select(sa.func.count(Gift.id))) == 24
