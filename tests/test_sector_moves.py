"""Units and money move between the sectors of one campaign; the years before stay as they were."""

import json
from collections.abc import Sequence
from datetime import date

import pytest
import sqlalchemy as sa
from flask import Flask

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
from outreach.campaigns.opening import open_campaign
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
from tests import factories


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
