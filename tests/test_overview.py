"""总览, 板块, 劝募台, 单位 and the search, through the client."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from outreach import clock
from outreach.access import Role
from outreach.campaigns.models import Solicitation, Stage
from outreach.db import db
from outreach.digests.decisions import DecisionKind, count_decisions
from outreach.gifts.comparison import Movement
from outreach.gifts.standings import list_standings
from outreach.messages.models import (
    FailureKind,
    Message,
    MessageStatus,
    SendPolicy,
    WaveStatus,
    WithheldReason,
)
from outreach.overview.queries import compare
from outreach.overview.timeline import unit_timeline
from outreach.reminders.models import WaveMember
from outreach.units.models import UnitAlias
from outreach.visits.models import Visit, VisitStatus
from tests import factories
from tests.conftest import noting_statements


@pytest.fixture
def campaign(app: Flask):
    return factories.make_campaign(code="2026")


@pytest.fixture
def solicitation(campaign):
    return factories.make_solicitation(campaign)


def page(client, path: str) -> str:
    answer = client.get(f"/c/2026/{path}")
    assert answer.status_code == 200, answer.text
    return answer.text


def test_home_leads_to_the_running_campaign(campaign, sign_in):
    assert sign_in().get("/").location == "/c/2026/"


def test_home_leads_a_liaison_to_the_sectors(campaign, sign_in):
    liaison = factories.make_user(Role.LIAISON, (factories.make_sector(campaign),))
    assert sign_in(liaison).get("/").location == "/c/2026/sectors"


def test_home_says_what_to_do_when_there_is_no_campaign(app, sign_in):
    assert "还没有任何活动" in sign_in().get("/").text


def test_the_dashboard_shows_the_total_with_its_parts_and_the_residual(
    campaign, solicitation, sign_in
):
    factories.make_gift(solicitation, 1_800_360_000)
    factories.make_gift(solicitation, 10_343_500, unit_id=None, sector_id=None)
    text = page(sign_in(), "")
    assert "1,810.7035" in text
    assert "1,800.3600" in text
    assert "10.3435" in text


def test_every_sector_is_listed_with_a_link(campaign, sign_in):
    sectors = [factories.make_sector(campaign) for _ in range(3)]
    text = page(sign_in(), "sectors")
    assert all(f"/c/2026/sectors/{sector.id}" in text for sector in sectors)


def test_a_units_comparison_falls_into_exactly_one_group(campaign):
    previous = factories.make_campaign(code="2025")
    campaign.previous_id = previous.id
    sector = factories.make_sector(campaign)
    for now, before in [(0, 0), (0, 5), (5, 0), (5, 5), (6, 5), (4, 5)]:
        row = factories.make_solicitation(campaign, sector)
        if now:
            factories.make_gift(row, now * 100)
        if before:
            factories.make_gift(
                row,
                before * 100,
                campaign_id=previous.id,
                sector_id=factories.make_sector(previous).id,
            )
    groups = compare(list_standings(campaign))
    assert [len(groups[movement]) for movement in Movement] == [1, 1, 1, 1, 1, 1]


class TestWorklist:
    def test_it_shows_outstanding_units_only_unless_asked(self, campaign, solicitation, sign_in):
        given = factories.make_solicitation(campaign)
        factories.make_gift(given)
        text = page(sign_in(), "worklist")
        assert solicitation.unit.name in text
        assert given.unit.name not in text
        assert given.unit.name in page(sign_in(), "worklist?all=1")

    @pytest.mark.parametrize("query", ["sector=%(sector)s", "q=%(name)s", "status=contacted"])
    def test_it_filters(self, campaign, solicitation, sign_in, query):
        other = factories.make_solicitation(campaign, stage=Stage.VISITED)
        solicitation.stage = Stage.CONTACTED
        db.session.commit()
        values = {"sector": solicitation.sector_id, "name": solicitation.unit.name}
        text = page(sign_in(), f"worklist?{query % values}")
        assert f"/units/{solicitation.unit_id}" in text
        assert f"/units/{other.unit_id}" not in text

    def test_only_what_is_due_today(self, campaign, solicitation, sign_in):
        later = factories.make_solicitation(
            campaign, next_action="致电", next_action_on=clock.today() + timedelta(days=1)
        )
        solicitation.next_action, solicitation.next_action_on = "走访", clock.today()
        db.session.commit()
        text = page(sign_in(), "worklist?due=1")
        assert solicitation.unit.name in text
        assert later.unit.name not in text

    def test_nonsense_in_the_address_is_ignored(self, solicitation, sign_in):
        text = page(sign_in(), "worklist?sector=x&status=x&order=x&page=-3")
        assert solicitation.unit.name in text

    def test_a_liaison_sees_the_own_sector_only(self, campaign, solicitation, sign_in):
        other = factories.make_solicitation(campaign)
        liaison = factories.make_user(Role.LIAISON, (solicitation.sector,))
        text = page(sign_in(liaison), "worklist")
        assert solicitation.unit.name in text
        assert other.unit.name not in text


class TestBulk:
    def chosen(self, *rows: Solicitation) -> list[str]:
        return [f"{row.id}:{row.version}" for row in rows]

    def test_a_preview_changes_nothing(self, solicitation, sign_in):
        staff = factories.make_user()
        answer = sign_in().post(
            "/c/2026/worklist/preview",
            data={
                "kind": "assign",
                "solicitor": staff.id,
                "solicitation": self.chosen(solicitation),
            },
        )
        assert staff.name in answer.text
        assert solicitation.unit.name in answer.text
        db.session.refresh(solicitation)
        assert solicitation.solicitor_id is None

    def test_many_units_get_a_solicitor_at_once(self, campaign, sign_in):
        staff = factories.make_user()
        rows = [factories.make_solicitation(campaign) for _ in range(3)]
        answer = sign_in().post(
            "/c/2026/worklist/apply",
            data={"kind": "assign", "solicitor": staff.id, "solicitation": self.chosen(*rows)},
        )
        assert answer.status_code == 302
        db.session.expire_all()
        assert {row.solicitor_id for row in rows} == {staff.id}

    def test_a_next_action_keeps_the_rest(self, solicitation, sign_in):
        until = clock.today() + timedelta(days=3)
        solicitation.snoozed_until = until
        db.session.commit()
        staff = factories.make_user()
        sign_in().post(
            "/c/2026/worklist/apply",
            data={
                "kind": "plan",
                "solicitor": staff.id,
                "action": "电话确认",
                "on": "2026-10-22",
                "solicitation": self.chosen(solicitation),
            },
        )
        db.session.refresh(solicitation)
        assert (solicitation.next_action, solicitation.snoozed_until) == ("电话确认", until)

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            ({"kind": "plan", "action": ""}, "请填写下一步做什么"),
            ({"kind": "snooze", "snoozed_until": "2026-10-01"}, "请选择今天以后的日期"),
        ],
    )
    def test_what_is_missing_is_asked_for(self, solicitation, sign_in, data, message):
        staff = factories.make_user()
        answer = sign_in().post(
            "/c/2026/worklist/preview",
            data=data | {"solicitor": staff.id, "solicitation": self.chosen(solicitation)},
        )
        assert answer.status_code == 422
        assert message in answer.text

    def test_somebody_elses_change_is_not_overwritten(self, solicitation, sign_in):
        chosen = self.chosen(solicitation)
        solicitation.next_action = "他人刚改的"
        db.session.commit()
        staff = factories.make_user()
        answer = sign_in().post(
            "/c/2026/worklist/apply",
            data={"kind": "assign", "solicitor": staff.id, "solicitation": chosen},
        )
        assert answer.status_code == 409

    def test_rows_of_another_campaign_are_not_found(self, campaign, sign_in):
        foreign = factories.make_solicitation()
        staff = factories.make_user()
        answer = sign_in().post(
            "/c/2026/worklist/apply",
            data={"kind": "assign", "solicitor": staff.id, "solicitation": self.chosen(foreign)},
        )
        assert answer.status_code == 404


class TestUnit:
    def test_one_line_of_time_shows_everything(self, solicitation):
        factories.make_gift(solicitation, 500_000)
        factories.make_pledge(solicitation, 800_000)
        factories.save(
            Visit(
                solicitation_id=solicitation.id,
                status=VisitStatus.PLANNED,
                planned_on=clock.today() + timedelta(days=2),
                created_at=clock.now(),
            )
        )
        entries = unit_timeline(solicitation)
        assert [entry.icon for entry in entries] == ["walk", "coin", "note"]
        assert entries[0].is_ahead

    def test_why_a_message_waits_is_told(self, solicitation):
        wave = factories.make_running_wave(solicitations=[solicitation])
        factories.open_sending()
        assert unit_timeline(solicitation)[0].detail == "关于慈善一日捐的工作联系"
        wave.status, wave.paused_because = WaveStatus.PAUSED, "由王秘书长暂停"
        db.session.commit()
        told = unit_timeline(solicitation)[0].detail
        assert told == "批次已暂停，继续后才会发出。由王秘书长暂停"
        wave.status = WaveStatus.RUNNING
        db.session.get_one(SendPolicy, 1).is_on = False
        db.session.commit()
        assert "总开关已关闭" in unit_timeline(solicitation)[0].detail

    def test_why_a_message_did_not_arrive_is_told(self, solicitation):
        factories.make_running_wave(solicitations=[solicitation])
        message = db.session.scalars(sa.select(Message)).one()
        message.status, message.failure = MessageStatus.FAILED, FailureKind.REJECTED
        message.facts = {"answer": "550 no such user"}
        db.session.commit()
        assert unit_timeline(solicitation)[0].detail == "对方拒收：550 no such user"

    def test_a_wave_that_left_the_unit_out_is_told_once_it_goes_out(self, solicitation, sign_in):
        reached = factories.make_solicitation(solicitation.campaign, sector=solicitation.sector)
        wave = factories.make_running_wave(solicitations=[reached])
        wave.started_at = None
        factories.save(
            WaveMember(
                wave_id=wave.id,
                solicitation_id=solicitation.id,
                withheld_reason=WithheldReason.NO_ADDRESS,
                facts={},
            )
        )
        assert unit_timeline(solicitation) == []
        wave.started_at = clock.now()
        db.session.commit()
        entry = unit_timeline(solicitation)[0]
        assert (entry.title, entry.detail) == ("提醒 · 第一次提醒", "没有可用的联系方式")
        text = page(sign_in(), f"units/{solicitation.unit_id}")
        assert f'href="/c/2026/waves/{wave.id}"' in text

    def test_the_page_shows_status_money_and_contacts_masked(self, solicitation, sign_in):
        factories.make_gift(solicitation, 500_000)
        text = page(sign_in(), f"units/{solicitation.unit_id}")
        assert "已到账" in text
        assert "5,000" in text
        assert solicitation.unit.contacts[0].mobile not in text

    def test_a_unit_outside_the_campaign_is_not_found(self, campaign, sign_in):
        unit = factories.make_unit()
        assert sign_in().get(f"/c/2026/units/{unit.id}").status_code == 404


class TestSearch:
    def test_name_initials_former_name_and_the_end_of_a_phone_find_a_unit(
        self, solicitation, sign_in
    ):
        unit = solicitation.unit
        factories.save(UnitAlias(unit_id=unit.id, name="老名字单位", name_key="老名字单位"))
        client = sign_in()
        for text in (unit.name[3:], unit.initials[:5], "老名字", unit.contacts[0].mobile[-4:]):
            assert unit.name in page(client, f"search?q={text}"), text

    def test_a_credit_code_and_a_name_typed_otherwise_find_a_unit(self, solicitation, sign_in):
        unit = solicitation.unit
        unit.credit_code = "11430400006123456A"
        db.session.commit()
        client = sign_in()
        for text in ("11430400006123456a", "1143040000612", f" {unit.name[:3]} {unit.name[3:]}。"):
            assert unit.name in page(client, f"search?q={text}"), text
        assert unit.name not in page(client, "search?q=11430499")

    @pytest.mark.parametrize("role", [Role.LIAISON, Role.AUDITOR])
    def test_who_may_not_see_phones_finds_nobody_by_one(self, solicitation, sign_in, role):
        unit = solicitation.unit
        digits = unit.contacts[0].mobile[-4:]
        sectors = (solicitation.sector,) if role is Role.LIAISON else ()
        client = sign_in(factories.make_user(role, sectors))
        assert unit.name in page(client, f"search?q={unit.name}")
        assert unit.name not in page(client, f"search?q={digits}")

    def test_nothing_found_says_what_to_try(self, campaign, sign_in):
        assert "没有找到" in page(sign_in(), "search?q=不存在")

    def test_wildcards_are_plain_characters(self, solicitation, sign_in):
        assert solicitation.unit.name not in page(sign_in(), "search?q=%25")


def decisions(campaign) -> dict[DecisionKind, int]:
    return count_decisions(campaign, clock.now() - timedelta(days=7), clock.now())


def test_decisions_count_what_waits_for_a_person(campaign, solicitation):
    factories.save(
        Visit(
            solicitation_id=solicitation.id,
            status=VisitStatus.PROPOSED,
            planned_on=clock.today(),
            created_at=clock.now(),
        )
    )
    assert decisions(campaign) == {DecisionKind.CONFIRM_VISIT: 1}


def test_from_mid_november_an_unknown_next_year_is_a_decision(campaign, tuesday_morning):
    tuesday_morning.move_to("2026-11-16T10:00:00+08:00")
    assert decisions(campaign) == {DecisionKind.CALENDAR: 1}


@pytest.mark.parametrize("path", ["", "sectors", "worklist"])
def test_pages_ask_the_database_a_bounded_number_of_times(campaign, sign_in, path):
    sector = factories.make_sector(campaign)
    factories.make_solicitation(campaign, sector)
    client = sign_in()
    few = _count_queries(client, path)
    for _ in range(12):
        factories.make_gift(factories.make_solicitation(campaign, sector), 100)
        factories.make_solicitation(campaign, factories.make_sector(campaign))
    assert _count_queries(client, path) == few


def _count_queries(client, path: str) -> int:
    db.session.expire_all()
    with noting_statements() as statements:
        page(client, path)
    return len([text for text in statements if text.lstrip().startswith("SELECT")])
