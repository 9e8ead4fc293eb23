"""Year on year: each fen in one place, on both bases, and taken apart without a rest."""

from datetime import date

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outreach.campaigns.models import Campaign, ChangeReason, DeclineReason, SectorLineage, Stage
from outreach.db import db
from outreach.gifts.comparison import Movement, compare_years
from outreach.gifts.ledger import check_ledger
from outreach.gifts.models import GiftKind
from outreach.gifts.services import record_gift, reverse_gift
from outreach.units.models import Unit
from tests import factories
from tests.conftest import SignIn

LAST_YEAR = date(2025, 10, 9)


@pytest.fixture
def campaign(app: Flask) -> Campaign:
    before = factories.make_campaign(
        code="2025", starts_on=date(2025, 9, 1), ends_on=date(2025, 12, 31)
    )
    return factories.make_campaign(code="2026", previous_id=before.id)


def make_pair(campaign: Campaign, then_fen: int, now_fen: int, **values: object):
    """A unit that gave this last year and gives that this year, in `then` and `now`."""
    then, now = values.pop("then"), values.pop("now")
    unit = values.pop("unit", None) or factories.make_unit()
    if then is not None:
        before = factories.make_solicitation(campaign.previous, then, unit=unit)
        if then_fen:
            factories.make_gift(before, then_fen, received_on=LAST_YEAR)
    if now is not None:
        row = factories.make_solicitation(campaign, now, unit=unit, **values)
        if now_fen:
            factories.make_gift(row, now_fen)
    return unit


def continue_sector(campaign: Campaign, *predecessors, **values: object):
    sector = factories.make_sector(campaign, **values)
    for predecessor in predecessors:
        factories.save(SectorLineage(sector_id=sector.id, predecessor_id=predecessor.id))
    return sector


def test_a_sector_is_taken_apart_by_what_its_units_do(campaign: Campaign):
    then = factories.make_sector(campaign.previous)
    now = continue_sector(campaign, then)
    for then_fen, now_fen in ((0, 5), (10, 30), (7, 7), (50, 20), (100, 0), (0, 0)):
        make_pair(campaign, then_fen, now_fen, then=then, now=now)
    [row] = compare_years(campaign).sectors
    assert (row.now_fen, row.as_was_fen, row.as_is_fen, row.change_fen) == (62, 167, 167, -105)
    assert {movement: fen for movement, fen in row.parts.items() if fen} == {
        Movement.NEW: 5,
        Movement.UP: 20,
        Movement.DOWN: -30,
        Movement.LAPSED: -100,
    }
    assert row.units == dict.fromkeys(Movement, 1)


def test_what_a_unit_took_along_is_shown_as_moved_and_adds_up_to_nothing(campaign: Campaign):
    then = [factories.make_sector(campaign.previous) for _ in range(2)]
    now = [continue_sector(campaign, sector) for sector in then]
    make_pair(campaign, 100, 130, then=then[0], now=now[1])
    first, second = compare_years(campaign).sectors
    assert (first.as_was_fen, first.as_is_fen, first.moved_fen, first.change_fen) == (
        100,
        0,
        -100,
        -100,
    )
    assert (second.as_was_fen, second.as_is_fen, second.moved_fen) == (0, 100, 100)
    assert (second.change_fen, second.parts[Movement.UP]) == (130, 30)
    [unit] = compare_years(campaign).units
    assert unit.has_moved


def test_who_left_the_register_counts_where_last_years_sector_is_continued(campaign: Campaign):
    then, closed = (factories.make_sector(campaign.previous) for _ in range(2))
    now = continue_sector(campaign, then)
    make_pair(campaign, 80, 0, then=then, now=None)
    make_pair(campaign, 3, 0, then=closed, now=None)
    comparison = compare_years(campaign)
    assert [str(unit.reason) for unit in comparison.units] == ["不在本年名册"] * 2
    assert comparison.sectors[0].parts[Movement.LAPSED] == -80
    assert comparison.elsewhere.as_was_fen == 3, "of a sector that nobody continues"
    assert comparison.sectors[0].sector == now


def test_a_reason_is_what_a_person_noted_or_what_the_stage_says(campaign: Campaign):
    then = factories.make_sector(campaign.previous)
    now = continue_sector(campaign, then)
    declined = {"stage": Stage.DECLINED, "decline_reason": DeclineReason.HARD_TIMES}
    cases = [
        (make_pair(campaign, 9, 0, then=then, now=now, **declined), "经营困难"),
        (make_pair(campaign, 9, 0, then=then, now=now, is_exempt=True), "本年不劝募"),
        (
            make_pair(campaign, 9, 4, then=then, now=now, change_reason=ChangeReason.BUDGET_CUT),
            "财政预算缩减",
        ),
        (make_pair(campaign, 9, 4, then=then, now=now), ""),
    ]
    reasons = {row.unit: str(row.reason) for row in compare_years(campaign).units}
    assert reasons == dict(cases)


@settings(max_examples=15, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_nothing_is_left_over_however_sectors_and_units_changed(app: Flask, data: st.DataObject):
    """Renames, splits, merges, new and closed sectors, units that move, come and go."""
    draw = data.draw
    before = factories.make_campaign(starts_on=date(2025, 9, 1), ends_on=date(2025, 12, 31))
    campaign = factories.make_campaign(previous_id=before.id)
    then = [factories.make_sector(before) for _ in range(3)]
    now = [
        continue_sector(campaign, *draw(st.sets(st.sampled_from(then), max_size=3)))
        for _ in range(3)
    ]
    fen = st.integers(0, 10**9)
    for _ in range(draw(st.integers(0, 6))):
        make_pair(
            campaign,
            draw(fen),
            draw(fen),
            then=draw(st.sampled_from([*then, None])),
            now=draw(st.sampled_from([*now, None])),
        )
    for year, sectors in ((before, then), (campaign, now)):
        gift = record_gift(
            campaign=year,
            sector=draw(st.sampled_from([*sectors, None])),
            amount_fen=draw(st.integers(1, 10**9)),
            kind=GiftKind.INDIVIDUAL,
            received_on=year.starts_on,
        )
        if draw(st.booleans()):
            reverse_gift(gift, reason="重复登记", by=None)
    db.session.commit()
    assert [row for row in check_ledger(campaign) if not row.holds] == []
    comparison = compare_years(campaign)
    assert sum(row.moved_fen for row in comparison.sectors) + comparison.elsewhere.moved_fen == 0
    assert len({row.unit.id for row in comparison.units}) == len(comparison.units)


def test_the_page_shows_both_bases_and_keeps_a_reason(campaign: Campaign, sign_in: SignIn):
    then = factories.make_sector(campaign.previous)
    unit: Unit = make_pair(
        campaign, 30_000_00, 20_000_00, then=then, now=continue_sector(campaign, then, name="卫健")
    )
    client = sign_in(factories.make_user())
    page = client.get("/c/2026/gifts/comparison?movement=down").text
    assert "卫健" in page
    assert unit.name in page
    assert "-10,000" in page
    assert unit.name not in client.get("/c/2026/gifts/comparison?movement=up").text
    path = f"/c/2026/gifts/comparison/{unit.id}/reason"
    answer = client.post(f"{path}?movement=down&_anchor=x", data={"reason": "budget_cut"})
    assert answer.location == f"/c/2026/gifts/comparison?movement=down#unit-{unit.id}"
    assert str(compare_years(campaign).units[0].reason) == "财政预算缩减"
    refused = client.post(path, data={"reason": "whatever"})
    assert "请从列表中选择原因" in refused.text
    assert str(compare_years(campaign).units[0].reason) == "财政预算缩减"


def test_without_a_year_before_the_page_says_so(app: Flask, sign_in: SignIn):
    campaign = factories.make_campaign()
    page = sign_in(factories.make_user()).get(f"/c/{campaign.code}/gifts/comparison").text
    assert "没有上年度活动可以比较" in page
