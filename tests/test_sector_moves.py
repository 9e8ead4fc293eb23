"""Units and money move between the sectors of one campaign; the years before stay as they were."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from threading import Thread

import hypothesis.strategies as st
import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, given, settings

from outreach import clock
from outreach.access import Role
from outreach.accounts.models import UserSector
from outreach.audit import AuditEvent
from outreach.campaigns import sectors
from outreach.campaigns.models import (
    Campaign,
    CampaignStatus,
    Sector,
    SectorMove,
    Solicitation,
)
from outreach.campaigns.opening import bring_units, open_campaign
from outreach.db import db
from outreach.errors import Conflict, Refused
from outreach.gifts.models import Gift, GiftKind
from outreach.gifts.rendering import sectors_json
from outreach.gifts.sector_moves import (
    Merge,
    Move,
    delete_sector,
    list_predecessors,
    merge_sectors,
    move_units,
    plan_merge,
    plan_move,
)
from outreach.gifts.services import record_gift, reverse_gift
from outreach.messages.models import WaveStatus
from outreach.overview.timeline import unit_timeline
from outreach.units.models import Unit
from tests import factories
from tests.services import PATIENCE


@pytest.fixture
def campaign(app: Flask) -> Campaign:
    return factories.make_campaign()


def find(campaign: Campaign, name: str) -> Sector:
    return db.session.query(Sector).filter_by(campaign_id=campaign.id, name=name).one()


def units_of(sector: Sector) -> list[Solicitation]:
    rows = sa.select(Solicitation).filter_by(sector_id=sector.id).order_by(Solicitation.id)
    return list(db.session.scalars(rows))


def credit(campaign: Campaign, amount_fen: int, **to: object) -> Gift:
    return record_gift(
        campaign=campaign,
        amount_fen=amount_fen,
        kind=GiftKind.UNIT,
        received_on=clock.today(),
        **to,
    )


def move(units: Sequence[Solicitation], to: Sector | None, name: str = "", **options: bool):
    wanted = Move(units[0].sector, [row.unit_id for row in units], to, name, **options)
    return move_units(units[0].campaign, wanted, reason="系统调整", by=None)


def merge(target: Sector, *others: Sector, name: str = "") -> None:
    merge_sectors(
        target.campaign, Merge(target, others, name or target.name), reason="合并", by=None
    )


def report(campaign: Campaign) -> str:
    """Sums of the sectors as `flask sectors report --json` has them, and their units."""
    db.session.expire_all()
    rows = db.session.execute(
        sa.select(Sector.name, Solicitation.unit_id)
        .outerjoin(Solicitation, Solicitation.sector_id == Sector.id)
        .where(Sector.campaign_id == campaign.id)
        .order_by(Sector.position, Solicitation.unit_id)
    )
    return sectors_json(campaign) + json.dumps([list(row) for row in rows], ensure_ascii=False)


def stamps(campaign: Campaign) -> dict[str, int]:
    rows = db.session.execute(
        sa.select(Sector.name, sa.func.sum(Gift.amount_fen))
        .join(Gift, Gift.sector_id == Sector.id)
        .where(Sector.campaign_id == campaign.id)
        .group_by(Sector.name)
    )
    return {name: int(amount) for name, amount in rows}


class TestMove:
    def test_the_units_gifts_of_this_campaign_follow_and_others_stay(self, campaign: Campaign):
        before = factories.make_campaign(code="2025")
        old = factories.make_gift(factories.make_solicitation(before), 500)
        education, health = (factories.make_sector(campaign, name=name) for name in "教卫")
        unit = factories.make_solicitation(campaign, education, unit=old.unit)
        other = factories.make_solicitation(campaign, education)
        gift = credit(campaign, 300, unit=unit.unit)
        reversal = reverse_gift(credit(campaign, 40, unit=unit.unit), reason="重复", by=None)
        stays = [credit(campaign, 20, unit=other.unit), credit(campaign, 7, sector=education)]
        facts = (gift.amount_fen, gift.received_on, gift.kind, gift.basis, gift.recorded_at)
        move([unit], health)
        assert (unit.sector, gift.sector_id, reversal.sector_id) == (health, health.id, health.id)
        assert {row.sector_id for row in stays} == {education.id}
        assert old.sector_id != health.id
        assert facts == (
            gift.amount_fen,
            gift.received_on,
            gift.kind,
            gift.basis,
            gift.recorded_at,
        )
        assert stamps(campaign) == {"教": 27, "卫": 300}

    def test_the_move_is_kept_on_the_units_timeline_and_in_the_audit_trail(
        self, campaign: Campaign
    ):
        education, health = (factories.make_sector(campaign, name=name) for name in "教卫")
        unit = factories.make_solicitation(campaign, education)
        by = factories.make_user(Role.SECRETARY_GENERAL, name="秘书长")
        move_units(campaign, Move(education, [unit.unit_id], health), reason="归口变了", by=by)
        health.name = "卫健系统"
        entry = unit_timeline(unit)[0]
        assert str(entry.title) == "板块由“教”改为“卫”"
        assert (entry.detail, entry.who) == ("归口变了", "秘书长")
        event = db.session.query(AuditEvent).filter_by(action="move.units").one()
        assert event.facts["units"] == [unit.unit_id]
        assert event.facts["reason"] == "归口变了"

    def test_what_is_previewed_is_what_is_done(self, campaign: Campaign):
        education, health = (factories.make_sector(campaign, name=name) for name in "教卫")
        unit = factories.make_solicitation(campaign, education)
        credit(campaign, 300, unit=unit.unit)
        wanted = Move(education, [unit.unit_id], health)
        plan = plan_move(campaign, wanted)
        assert [(row.name, row.units_after, row.fen_after) for row in plan.changes] == [
            ("教", 0, 0),
            ("卫", 1, 300),
        ]
        credit(campaign, 5, unit=unit.unit)
        with pytest.raises(Conflict):
            move_units(campaign, wanted, reason="-", by=None, fingerprint=plan.fingerprint)
        assert unit.sector is education
        plan = plan_move(campaign, wanted)
        move_units(campaign, wanted, reason="-", by=None, fingerprint=plan.fingerprint)
        with pytest.raises(Conflict, match="已不在这个板块"):
            move_units(campaign, wanted, reason="-", by=None)

    def test_a_closed_campaign_stays_as_it_is(self, app: Flask):
        campaign = factories.make_campaign(status=CampaignStatus.CLOSED)
        one, two = (factories.make_sector(campaign) for _ in range(2))
        unit = factories.make_solicitation(campaign, one)
        attempts = (
            lambda: move([unit], two),
            lambda: move([unit], None, "新板块"),
            lambda: merge(one, two),
            lambda: delete_sector(campaign, two),
            lambda: sectors.rename_sector(campaign, one, "改名"),
            lambda: sectors.order_sectors(campaign, [two.id]),
            lambda: sectors.create_sector(campaign, "新板块"),
        )
        before = report(campaign)
        for attempt in attempts:
            with pytest.raises(Refused, match="已经结束"):
                attempt()
        assert report(campaign) == before

    def test_a_sector_of_another_campaign_is_no_target(self, campaign: Campaign):
        unit = factories.make_solicitation(campaign)
        with pytest.raises(Refused):
            move([unit], factories.make_sector(factories.make_campaign()))


class TestSplit:
    def test_the_new_sector_continues_the_same_predecessors_behind_the_old(self, app: Flask):
        before = factories.make_campaign(code="2025", status=CampaignStatus.CLOSED)
        origin = factories.make_sector(before, name="教育")
        campaign = open_next(before, "2026")
        after = open_next(campaign, "2027")
        education, last = find(campaign, "教育"), factories.make_sector(campaign, position=99)
        liaison = factories.make_user(Role.LIAISON, sectors=(education,))
        units = [factories.make_solicitation(campaign, education) for _ in range(3)]
        credit(campaign, 9, sector=education)
        schools = move(units[:2], None, "高校")
        assert list_predecessors(campaign)[schools.id] == [origin]
        assert [row.name for row in list_predecessors(after)[find(after, "教育").id]] == [
            "教育",
            "高校",
        ]
        assert sectors.list_ids(campaign) == [education.id, schools.id, last.id]
        assert units_of(education) == units[2:]
        assert stamps(campaign) == {"教育": 9}
        assert db.session.get(UserSector, (liaison.id, schools.id))

    def test_a_person_may_take_along_what_is_credited_to_the_sector_only(self, campaign: Campaign):
        unit = factories.make_solicitation(campaign, factories.make_sector(campaign, name="教"))
        credit(campaign, 9, sector=unit.sector)
        credit(campaign, 20, unit=unit.unit)
        move([unit], None, "高校", takes_own=True)
        assert stamps(campaign) == {"高校": 29}

    def test_a_name_is_used_once_in_a_campaign(self, campaign: Campaign):
        unit = factories.make_solicitation(campaign)
        factories.make_sector(campaign, name="高校(市)")
        with pytest.raises(Refused, match="已有板块"):
            move([unit], None, "高校（市）")


class TestMerge:
    def test_all_that_the_sectors_hold_goes_along(self, app: Flask):
        before = factories.make_campaign(code="2025", status=CampaignStatus.CLOSED)
        origins = [factories.make_sector(before, name=name) for name in "金保税"]
        campaign = open_next(before, "2026")
        after = open_next(campaign, "2027")
        target, *others = (find(campaign, name) for name in "金保税")
        liaison = factories.make_user(Role.LIAISON, sectors=(others[0],))
        robot = factories.make_robot(campaign_id=campaign.id, sector_id=others[1].id)
        unit = factories.make_solicitation(campaign, others[0])
        credit(campaign, 300, unit=unit.unit)
        credit(campaign, 7, sector=others[1])
        plan = plan_merge(campaign, Merge(target, others, "保"))
        assert plan.changes[0].fen_after == 307
        assert (plan.liaisons, plan.robots) == ([liaison.name], [robot.name])
        merge(target, *others, name="保")
        assert [sector.name for sector in campaign.sectors] == ["保"]
        assert stamps(campaign) == {"保": 307}
        assert list_predecessors(campaign) == {target.id: origins}
        continuing = [row for rows in list_predecessors(after).values() for row in rows]
        assert continuing == [target] * 3
        assert (robot.sector_id, unit.sector_id) == (target.id, target.id)
        assert [link.sector_id for link in db.session.query(UserSector)] == [target.id]
        kept = db.session.query(SectorMove).one()
        assert (kept.from_name, kept.to_name) == ("保", "金")

    def test_a_wave_that_still_chooses_by_the_sector_comes_first(self, campaign: Campaign):
        one, two = (factories.make_sector(campaign) for _ in range(2))
        wave = factories.make_running_wave(
            solicitations=[factories.make_solicitation(campaign, one)]
        )
        wave.status, wave.audience = WaveStatus.DRAFT, {"sector_ids": [two.id]}
        with pytest.raises(Refused, match="第一次提醒"):
            merge(one, two)
        wave.status = WaveStatus.FINISHED
        merge(one, two)

    def test_ids_of_sectors_do_not_come_back(self, campaign: Campaign):
        one, two = (factories.make_sector(campaign) for _ in range(2))
        gone = two.id
        merge(one, two)
        assert sectors.create_sector(campaign, "新板块").id > gone


class TestDelete:
    def test_only_a_sector_without_units_and_gifts_goes(self, campaign: Campaign):
        full = factories.make_solicitation(campaign).sector
        paid, empty = (factories.make_sector(campaign) for _ in range(2))
        reverse_gift(credit(campaign, 5, sector=paid), reason="重复", by=None)
        factories.make_user(Role.LIAISON, sectors=(empty,))
        for sector, words in ((full, "还有单位"), (paid, "有到账记录")):
            with pytest.raises(Refused, match=words):
                delete_sector(campaign, sector)
        delete_sector(campaign, empty)
        assert sectors.list_ids(campaign) == [full.id, paid.id]


def open_next(previous: Campaign, code: str) -> Campaign:
    """The campaign of the year after, open, with the sectors of the one before."""
    campaign = open_campaign(
        code,
        name=code,
        starts_on=date(2026, 1, 1),
        ends_on=date(2026, 12, 31),
        previous=previous,
    )
    db.session.commit()
    return campaign


@dataclass
class Chain:
    """Campaigns year after year; each ended one has a report that must never change."""

    campaign: Campaign
    lineage: dict[str, set[str]] = field(default_factory=dict)
    """What each sector of the newest campaign continues, by name, as a person would note it."""
    ended: dict[int, tuple[Campaign, str]] = field(default_factory=dict)

    def sector(self, name: str) -> Sector:
        return find(self.campaign, name)

    def collect(self) -> None:
        """Each unit gives, each sector gets something of its own, and something is nobody's."""
        for number, sector in enumerate(self.campaign.sectors):
            for unit in units_of(sector):
                credit(self.campaign, 1_000 + unit.unit_id, unit=unit.unit)
            credit(self.campaign, 10 + number, sector=sector)
        credit(self.campaign, 3)

    def next_year(self, code: str) -> None:
        before = self.campaign
        before.status = CampaignStatus.CLOSED
        self.ended[before.id] = (before, report(before))
        self.campaign = open_next(before, code)
        bring_units(self.campaign, include=())
        self.campaign.status = CampaignStatus.RUNNING
        db.session.commit()
        self.lineage = {sector.name: {sector.name} for sector in before.sectors}

    def rename(self, old: str, new: str) -> None:
        sectors.rename_sector(self.campaign, self.sector(old), new)
        self.lineage[new] = self.lineage.pop(old)

    def split(self, name: str, new: str) -> None:
        move(units_of(self.sector(name))[:1], None, new)
        self.lineage[new] = set(self.lineage[name])

    def merge(self, target: str, *others: str, name: str) -> None:
        merge(self.sector(target), *(self.sector(other) for other in others), name=name)
        continued = [self.lineage.pop(old) for old in (target, *others)]
        self.lineage[name] = set().union(*continued)

    def create(self, name: str) -> None:
        sectors.create_sector(self.campaign, name)
        self.lineage[name] = set()

    def move(self, name: str, to: str) -> None:
        move(units_of(self.sector(name))[:1], self.sector(to))

    def check(self) -> None:
        for campaign, kept in self.ended.values():
            assert report(campaign) == kept
        found = list_predecessors(self.campaign)
        assert {
            sector.name: {before.name for before in found.get(sector.id, ())}
            for sector in self.campaign.sectors
        } == self.lineage


YEARS = {
    "2020": [("rename", "板块01", "党群系统"), ("move", "板块02", "板块03")],
    "2021": [
        ("split", "板块04", "高校系统"),
        ("split", "板块05", "银行系统"),
        ("merge", "板块06", "板块07", {"name": "文旅系统"}),
        ("move", "高校系统", "板块08"),
    ],
    "2022": [
        ("merge", "板块08", "板块09", "板块10", {"name": "板块10"}),
        ("create", "个人捐款"),
        ("split", "文旅系统", "体育系统"),
        ("rename", "文旅系统", "文广系统"),
    ],
    "2023": [
        ("split", "板块10", "国企系统"),
        ("split", "党群系统", "政法系统"),
        ("move", "板块11", "政法系统"),
        ("rename", "板块12", "市直机关"),
        ("merge", "板块13", "板块14", {"name": "板块13"}),
    ],
}
"""What the federation does to its 21 sectors of 2019, until they are 23."""


def test_five_years_of_changes_leave_the_years_before_as_they_were(app: Flask):
    chain = Chain(factories.make_campaign(code="2019"))
    for number in range(1, 22):
        sector = factories.make_sector(chain.campaign, name=f"板块{number:02}", position=number)
        for _ in range(2):
            factories.make_solicitation(chain.campaign, sector)
    chain.collect()
    for code, steps in YEARS.items():
        chain.next_year(code)
        chain.check()
        for verb, *names in steps:
            options = names.pop() if isinstance(names[-1], dict) else {}
            if verb == "move":
                chain.collect()
            getattr(chain, verb)(*names, **options)
            chain.check()
    assert len(chain.campaign.sectors) == 23
    assert len(units_of_campaign(chain.campaign)) == 42
    check_books(chain.campaign)


def units_of_campaign(campaign: Campaign) -> list[Solicitation]:
    return list(db.session.scalars(sa.select(Solicitation).filter_by(campaign_id=campaign.id)))


def check_books(campaign: Campaign) -> None:
    """Sectors and the unallocated part are the total; a sector is its units and its own gifts."""
    db.session.expire_all()
    figures = json.loads(sectors_json(campaign))
    gifts = db.session.query(Gift).filter_by(campaign_id=campaign.id).all()
    rows = units_of_campaign(campaign)
    sector_of = {row.unit_id: row.sector_id for row in rows}
    assert figures["total"] == sum(gift.amount_fen for gift in gifts)
    amounts = [sector["amount"] for sector in figures["sectors"]]
    assert sum(amounts) + figures["unallocated"] == figures["total"]
    assert len(sector_of) == len(rows)
    assert set(sector_of.values()) <= set(sectors.list_ids(campaign))
    assert all(gift.sector_id == sector_of[gift.unit_id] for gift in gifts if gift.unit_id)


STEP = st.tuples(
    st.sampled_from("rename split merge move own_too gift credit loose reverse delete".split()),
    st.integers(0, 99),
    st.integers(0, 99),
)


@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEP, max_size=10))
def test_whatever_is_done_to_the_sectors_nothing_is_lost_or_counted_twice(
    app: Flask, steps: list[tuple[str, int, int]]
):
    before = factories.make_campaign()
    for _ in range(3):
        credit(before, 700, unit=factories.make_solicitation(before).unit)
    before.status = CampaignStatus.CLOSED
    kept = report(before)
    campaign = open_next(before, f"next{before.id}")
    bring_units(campaign, include=())
    db.session.commit()
    for number, step in enumerate(steps):
        try:
            act(campaign, *step, name=f"新板块{number}")
        except Refused:
            db.session.rollback()
        db.session.commit()
        check_books(campaign)
        assert report(before) == kept
        assert len(units_of_campaign(campaign)) == 3
    continued = {row.id for rows in list_predecessors(campaign).values() for row in rows}
    if not any(verb == "delete" for verb, *_rest in steps):
        assert continued == set(sectors.list_ids(before))


def act(campaign: Campaign, verb: str, one: int, two: int, *, name: str) -> None:
    rows, own = units_of_campaign(campaign), campaign.sectors
    unit, first, second = rows[one % 3], own[one % len(own)], own[two % len(own)]
    if verb == "rename":
        sectors.rename_sector(campaign, first, name)
    elif verb in {"split", "own_too"}:
        move([unit], None, name, takes_own=verb == "own_too")
    elif verb == "merge":
        merge(first, second, name=name if one % 2 else second.name)
    elif verb == "move":
        move([unit], second)
    elif verb == "gift":
        credit(campaign, 1 + two, unit=unit.unit)
    elif verb == "credit":
        credit(campaign, 1 + two, sector=first)
    elif verb == "loose":
        credit(campaign, 1 + two)
    elif verb == "delete":
        delete_sector(campaign, first)
    elif gift := db.session.query(Gift).filter_by(campaign_id=campaign.id).first():
        reverse_gift(gift, reason="重复登记", by=None)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("is_gift_first", [True, False])
def test_a_gift_that_is_recorded_meanwhile_has_the_new_stamp(app: Flask, is_gift_first: bool):
    """Both hold the unit's row; SQLite lets one write at a time anyway."""
    campaign = factories.make_campaign()
    unit = factories.make_solicitation(campaign)
    unit_id, to_id = unit.unit_id, factories.make_sector(campaign).id

    def give() -> None:
        credit(db.session.get_one(Campaign, campaign_id), 5, unit=db.session.get_one(Unit, unit_id))

    def go() -> None:
        row = db.session.query(Solicitation).filter_by(unit_id=unit_id).one()
        move([row], db.session.get_one(Sector, to_id))

    def run_second() -> None:
        with app.app_context():
            second()
            db.session.commit()

    campaign_id = campaign.id
    first, second = (give, go) if is_gift_first else (go, give)
    first()
    other = Thread(target=run_second)
    other.start()
    other.join(0.5)
    assert other.is_alive(), "it waits"
    db.session.commit()
    other.join(PATIENCE)
    assert db.session.scalars(sa.select(Gift.sector_id)).all() == [to_id]
