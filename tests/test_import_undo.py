"""Taking a whole import back: everything is as it was, or nothing happens and it says why."""

import itertools
from datetime import date, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from outreach import clock
from outreach.access import Role
from outreach.campaigns import importing
from outreach.campaigns.importing import apply_register
from outreach.campaigns.models import CampaignStatus, Sector, SectorMove, Solicitation
from outreach.campaigns.undoing import undo_register
from outreach.db import db
from outreach.errors import Conflict, Refused
from outreach.gifts import sector_moves, services
from outreach.gifts.importing import apply_gifts
from outreach.gifts.ledger import check_ledger
from outreach.gifts.models import Gift
from outreach.gifts.undoing import undo_gifts
from outreach.units import journal
from outreach.units.models import (
    Contact,
    ContactRole,
    ImportBatch,
    ImportKind,
    Unit,
    UnitHeadCount,
)
from outreach.units.services import count_heads
from tests import factories
from tests.office import make_csv, plain

HEADER = ["板块", "单位名称", "统一社会信用代码", "人数", "联系人", "手机", "劝募人", "曾用名"]
CODE = "11430400006095206L"
UNDONE = ("audit_event", "import_batch", "import_change", "sector_move")
"""Tables that an import and its undoing leave a trace in."""
NAMES = ["甲局", "乙局", "丙局", "丁局"]


@pytest.fixture
def campaign(app):
    return make_campaign()


def make_campaign(mark=""):
    """With two units, so that an import has something to change; `mark` ends their names."""
    campaign = factories.make_campaign()
    sector = factories.make_sector(campaign, name="公安系统")
    factories.make_user(name=f"王劝{mark}")
    for name in NAMES[:2]:
        unit = factories.make_unit(name=name + mark)
        factories.make_contact(unit, name="张三")
        factories.make_solicitation(campaign, sector, unit=unit)
    return campaign


def take_in(campaign, *rows):
    plan = apply_register(campaign, make_csv([HEADER, *rows]))
    assert plan.problems == []
    db.session.commit()
    query = sa.select(ImportBatch).filter_by(campaign_id=campaign.id)
    return db.session.scalars(query.order_by(ImportBatch.id.desc())).first()


def undo(batch):
    undoing = undo_register(batch)
    db.session.commit()
    return undoing


def snapshot(*, with_ids=True):
    """Every row but versions and traces."""
    found = {}
    for table in db.metadata.sorted_tables:
        left_out = {"version"} | (
            set() if with_ids else {"id", "unit_id", "sector_id", "created_at"}
        )
        columns = [column for column in table.c if column.name not in left_out]
        if table.name not in UNDONE and columns:
            rows = db.session.execute(sa.select(*columns)).all()
            found[table.name] = sorted(tuple(map(str, row)) for row in rows)
    db.session.rollback()
    return found


def obstacles(batch):
    found = [(told.subject, plain(told.message)) for told in journal.plan_undo(batch).obstacles]
    before = snapshot()
    if found:
        with pytest.raises(Refused, match="没有撤销"):
            undo_register(batch)
        db.session.rollback()
    assert snapshot() == before
    return found


def unit_named(name):
    return db.session.scalars(sa.select(Unit).filter_by(name=name)).one()


def solicitation_of(name):
    query = sa.select(Solicitation).join(Solicitation.unit).where(Unit.name == name)
    return db.session.scalars(query).one()


def sector_named(name):
    return db.session.scalars(sa.select(Sector).filter_by(name=name)).one()


examples = itertools.count(1)
rows_of_a_register = st.lists(
    st.tuples(
        st.sampled_from(["公安系统", "教育系统", "卫健系统"]),
        st.sampled_from(NAMES),
        st.just(""),
        st.sampled_from(["", "10", "20"]),
        st.sampled_from(["", "张三", "李四", "李四、王五"]),
        st.just(""),
        st.sampled_from(["", "王劝"]),
        st.sampled_from(["", "老局"]),
    ),
    min_size=1,
    max_size=4,
    unique_by=(lambda row: row[1], lambda row: row[7] or row[1]),
)


@settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=rows_of_a_register)
def test_undone_is_as_it_was_and_imported_again_is_imported_once(app, rows):
    mark = f"甲{next(examples)}"  # examples share a database
    rows = [
        [cell and f"{cell}{mark}" if n in {1, 6, 7} else cell for n, cell in enumerate(row)]
        for row in rows
    ]
    campaign = make_campaign(mark)
    factories.make_gift(solicitation_of(f"甲局{mark}"))
    before = snapshot()
    batch = take_in(campaign, *rows)
    if batch is None:
        assert snapshot() == before
        return
    once = snapshot(with_ids=False)
    undo(batch)
    assert snapshot() == before
    take_in(campaign, *rows)
    assert snapshot(with_ids=False) == once


class TestRegister:
    def test_a_rename_a_move_and_a_change_of_people_are_taken_back(self, campaign):
        unit_named("甲局").credit_code = CODE
        db.session.commit()
        before = snapshot()
        batch = take_in(
            campaign, ["教育系统", "甲委员会", CODE, "90", "李四", "13900001234", "王劝", ""]
        )
        assert unit_named("甲委员会").aliases[0].name == "甲局"
        undo(batch)
        assert snapshot() == before

    def test_versions_go_on_so_that_an_open_form_is_told(self, campaign):
        version = unit_named("甲局").version
        batch = take_in(campaign, ["公安系统", "甲局", CODE, "", "", "", "", ""])
        undo(batch)
        assert unit_named("甲局").version == version + 2

    def test_what_somebody_changed_since_is_named(self, campaign):
        batch = take_in(
            campaign,
            ["公安系统", "甲局", "", "90", "张三", "13900001234", "", ""],
            ["公安系统", "丙局", "", "", "李四", "", "", ""],
        )
        count_heads(unit_named("甲局"), campaign.id, 95)
        [contact] = [c for c in unit_named("甲局").contacts if c.name == "张三"]
        contact.mobile = "+8613700004321"
        unit_named("丙局").district = "雁峰区"
        db.session.commit()
        assert sorted(obstacles(batch)) == [
            ("丙局", "导入后又改过“区县”,现在是“雁峰区”"),
            ("甲局", "导入后又改过“人数”,现在是“95”"),
            ("甲局", "导入后又改过“手机”,现在是“137****4321”"),
        ]

    def test_what_refers_to_a_new_unit_is_named(self, campaign):
        batch = take_in(campaign, ["公安系统", "丙局", "", "", "", "", "", ""])
        unit = unit_named("丙局")
        solicitation = db.session.scalars(sa.select(Solicitation).filter_by(unit_id=unit.id)).one()
        factories.make_gift(solicitation)
        factories.make_visit(solicitation)
        factories.make_contact(unit)
        found = {message for _name, message in obstacles(batch)}
        assert found == {"导入后已有到账记录", "导入后已有走访", "导入后已有另外的联系人"}

    def test_a_row_that_changes_while_it_is_imported_stops_the_import(self, campaign, monkeypatch):
        original = importing.plan_register

        def plan_and_wait(*arguments):
            plan = original(*arguments)
            db.session.execute(sa.text("UPDATE unit SET version = version + 1"))
            return plan

        file = make_csv([HEADER, ["公安系统", "甲局", CODE, "", "", "", "", ""]])
        monkeypatch.setattr(importing, "plan_register", plan_and_wait)
        with pytest.raises(Conflict, match="他人修改"):
            apply_register(campaign, file)

    def test_other_fields_of_a_changed_unit_may_have_changed(self, campaign):
        batch = take_in(campaign, ["公安系统", "甲局", "", "90", "", "", "", ""])
        unit_named("甲局").district = "雁峰区"
        db.session.commit()
        assert obstacles(batch) == []

    def test_a_later_import_is_taken_back_first(self, campaign):
        first = take_in(campaign, ["公安系统", "丙局", "", "10", "", "", "", ""])
        second = take_in(campaign, ["公安系统", "丙局", "", "20", "", "", "", ""])
        assert obstacles(first) == [("丙局", "导入后又改过“人数”,现在是“20”")]
        undo(second)
        undo(first)
        assert db.session.scalar(sa.select(sa.func.count()).where(Unit.name == "丙局")) == 0

    def test_a_row_that_is_gone_is_named(self, campaign):
        batch = take_in(campaign, ["公安系统", "丙局", "", "", "李四", "", "", ""])
        db.session.execute(sa.delete(Contact).where(Contact.name == "李四"))
        db.session.commit()
        assert obstacles(batch) == [("李四", "已被删除或合并")]

    def test_an_import_from_before_the_journal_cannot_be_undone(self, campaign):
        batch = factories.make_import_batch(campaign)
        assert "没有留下修改记录" in obstacles(batch)[0][1]

    def test_two_people_at_once(self, campaign):
        batch = take_in(campaign, ["公安系统", "丙局", "", "", "", "", "", ""])
        undo(batch)
        with pytest.raises(Conflict, match="已经撤销过"):
            undo(batch)

    def test_gifts_go_back_with_their_unit_and_the_way_is_kept(self, campaign):
        before = factories.make_gift(solicitation_of("甲局"))
        batch = take_in(campaign, ["教育系统", "甲局", "", "", "", "", "", ""])
        after = factories.make_gift(solicitation_of("甲局"))
        assert {before.sector.name, after.sector.name} == {"教育系统"}
        undo(batch)
        assert {before.sector.name, after.sector.name} == {"公安系统"}
        moves = db.session.scalars(sa.select(SectorMove).order_by(SectorMove.id)).all()
        assert [(move.to_name, move.reason) for move in moves] == [
            ("教育系统", "导入名册“名册.csv”"),
            ("公安系统", f"撤销导入 {batch.id}：名册.csv"),
        ]
        assert all(identity.holds for identity in check_ledger(campaign))

    def test_money_of_the_new_sector_itself_is_named(self, campaign):
        batch = take_in(campaign, ["教育系统", "甲局", "", "", "", "", "", ""])
        factories.make_gift(solicitation_of("甲局"), unit_id=None)
        assert obstacles(batch) == [("教育系统", "导入后已有到账记录")]

    def test_a_unit_whose_sector_is_gone_stays_where_it_is(self, campaign):
        batch = take_in(
            campaign,
            ["教育系统", "甲局", "", "", "", "", "", ""],
            ["教育系统", "乙局", "", "", "", "", "", ""],
        )
        sector_moves.delete_sector(campaign, sector_named("公安系统"))
        db.session.commit()
        gone = "原来的“板块”已经不在"
        assert obstacles(batch)[:2] == [("甲局", gone), ("乙局", gone)]

    def test_a_closed_campaign_keeps_its_sectors(self, campaign):
        batch = take_in(campaign, ["教育系统", "甲局", "", "", "", "", "", ""])
        campaign.status = CampaignStatus.CLOSED
        db.session.commit()
        with pytest.raises(Refused, match="已经结束"):
            undo(batch)

    def test_a_sector_that_others_joined_stays(self, campaign):
        batch = take_in(campaign, ["教育系统", "丙局", "", "", "", "", "", ""])
        sector = sector_named("教育系统")
        other = factories.make_unit(name="丁局")
        factories.make_solicitation(campaign, sector, unit=other)
        assert obstacles(batch) == [("教育系统", "导入后已有另外的劝募")]


def gifts_file(*rows):
    return make_csv([["单位名称", "板块", "金额(元)", "日期", "流水号"], *rows])


FILE = gifts_file(
    ["甲局", "", 500, "2026-09-12", "A1"],
    ["甲局", "", 300, "2026-09-12", ""],
    ["甲局", "", 300, "2026-09-12", ""],
    ["个人", "公安系统", 20, "2026-09-13", ""],
    ["未分配", "", 7, "2026-09-14", ""],
)


def take_gifts_in(campaign, file=FILE):
    plan = apply_gifts(campaign, file)
    assert plan.problems == []
    db.session.commit()
    query = sa.select(ImportBatch).filter_by(kind=ImportKind.GIFTS).order_by(ImportBatch.id.desc())
    return plan, db.session.scalars(query).first()


def total(campaign):
    return db.session.scalar(
        sa.select(sa.func.sum(Gift.amount_fen)).filter_by(campaign_id=campaign.id)
    )


def undo_the_gifts(batch):
    undoing = undo_gifts(batch)
    db.session.commit()
    return undoing


class TestGifts:
    def test_each_gift_is_reversed_and_the_file_may_come_again(self, campaign):
        _plan, batch = take_gifts_in(campaign)
        undo_the_gifts(batch)
        assert total(campaign) == 0
        gifts = list(db.session.scalars(sa.select(Gift)))
        assert len(gifts) == 10
        assert {g.note for g in gifts if g.reversal_of_id} == {f"撤销导入 {batch.id}：名册.csv"}
        plan, _batch = take_gifts_in(campaign)
        assert (plan.counts["new"], total(campaign)) == (5, 112_700)
        assert all(identity.holds for identity in check_ledger(campaign))

    def test_a_list_with_more_lines_takes_the_place_of_an_undone_one(self, campaign):
        _plan, batch = take_gifts_in(campaign)
        undo_the_gifts(batch)
        mended = gifts_file(
            ["甲局", "", 600, "2026-09-12", "A1"], ["甲局", "", 300, "2026-09-12", ""]
        )
        take_gifts_in(campaign, mended)
        assert total(campaign) == 90_000

    def test_a_gift_that_a_person_reversed_stays_reversed(self, campaign):
        _plan, batch = take_gifts_in(campaign)
        gift = db.session.scalars(sa.select(Gift).filter_by(reference="A1")).one()
        services.reverse_gift(gift, reason="退款", by=None)
        db.session.commit()
        undoing = undo_the_gifts(batch)
        assert (undoing.reversed_count, undoing.gone_count, total(campaign)) == (4, 1, 0)
        plan, _batch = take_gifts_in(campaign)
        assert (plan.counts["new"], total(campaign)) == (4, 62_700)

    def test_the_day_of_the_last_contact_is_as_it_was_unless_there_was_a_later_one(self, campaign):
        unit = unit_named("甲局")
        query = sa.select(Solicitation).filter_by(unit_id=unit.id)
        _plan, batch = take_gifts_in(campaign)
        assert db.session.scalars(query).one().last_contact_on == date(2026, 9, 12)
        undo_the_gifts(batch)
        assert db.session.scalars(query).one().last_contact_on is None
        _plan, batch = take_gifts_in(campaign)
        later = clock.today() - timedelta(days=1)
        db.session.scalars(query).one().last_contact_on = later
        db.session.commit()
        undo_the_gifts(batch)
        assert db.session.scalars(query).one().last_contact_on == later

    def test_two_people_at_once(self, campaign):
        _plan, batch = take_gifts_in(campaign)
        undo_the_gifts(batch)
        with pytest.raises(Conflict, match="已经撤销过"):
            undo_gifts(batch)


@settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    lines=st.lists(
        st.tuples(
            st.sampled_from(["未分配", "个人"]),
            st.just("公安系统"),
            st.integers(1, 3),
            st.sampled_from(["2026-09-12", "2026-09-13"]),
            st.sampled_from(["", ""]),
        ),
        min_size=1,
        max_size=6,
    ),
    times=st.integers(1, 3),
)
def test_the_ledger_does_not_care_how_often_a_file_was_taken_back(app, lines, times):
    campaign = factories.make_campaign()
    factories.make_sector(campaign, name="公安系统")
    expected = sum(line[2] for line in lines) * 100
    for _time in range(times):
        _plan, batch = take_gifts_in(campaign, gifts_file(*lines))
        assert total(campaign) == expected
        undo_the_gifts(batch)
        assert total(campaign) == 0
    take_gifts_in(campaign, gifts_file(*lines))
    assert total(campaign) == expected
    assert all(identity.holds for identity in check_ledger(campaign))


class TestPages:
    @pytest.fixture
    def office(self, sign_in):
        return sign_in(Role.STAFF)

    def test_a_register_is_undone_by_a_click(self, office, campaign):
        batch = take_in(
            campaign,
            ["公安系统", "丙局", "", "10", "", "", "", ""],
            ["公安系统", "甲局", "", "90", "张三", "13900001234", "", ""],
        )
        path = f"/c/{campaign.code}/imports"
        assert "名册.csv" in office.get(path).text
        page = office.get(f"{path}/{batch.id}").text
        assert "单位 1 个" in page
        assert "139****1234" in page
        assert "13900001234" not in page
        done = office.post(f"{path}/{batch.id}/undo", follow_redirects=True)
        assert "已撤销导入" in done.text
        assert "撤销这次导入" not in done.text
        again = office.post(f"{path}/{batch.id}/undo", follow_redirects=True)
        assert "已经撤销过" in again.text
        assert "已撤销" in office.get(path).text

    def test_what_stands_in_the_way_is_listed(self, office, campaign):
        batch = take_in(campaign, ["公安系统", "甲局", "", "90", "", "", "", ""])
        count_heads(unit_named("甲局"), campaign.id, 95)
        db.session.commit()
        path = f"/c/{campaign.code}/imports/{batch.id}"
        page = office.get(path).text
        assert "现在是“95”" in page
        assert "undo" not in page
        assert "没有撤销" in office.post(f"{path}/undo", follow_redirects=True).text

    def test_gifts_are_undone_by_a_click(self, office, campaign):
        _plan, batch = take_gifts_in(campaign)
        path = f"/c/{campaign.code}/imports/{batch.id}"
        assert "将冲正 5 笔、合计 1,127 元" in office.get(path).text
        office.post(f"{path}/undo")
        assert total(campaign) == 0

    def test_a_batch_of_another_campaign_is_not_found(self, office, campaign):
        _plan, batch = take_gifts_in(campaign)
        other = factories.make_campaign()
        assert office.get(f"/c/{other.code}/imports/{batch.id}").status_code == 404

    def test_an_auditor_reads_and_may_not_undo(self, sign_in, campaign):
        batch = take_in(campaign, ["公安系统", "丙局", "", "", "", "", "", ""])
        path = f"/c/{campaign.code}/imports/{batch.id}"
        client = sign_in(Role.AUDITOR)
        assert "undo" not in client.get(path).text
        assert client.post(f"{path}/undo").status_code == 403


def test_every_column_that_can_stand_in_the_way_has_a_name():
    plain_ones = {"id", "unit_id", "campaign_id", "name_key", "initials", "is_demo", "created_at"}
    columns = {
        column.name
        for model in (Unit, Contact, Solicitation, UnitHeadCount)
        for column in model.__table__.c
        if column.name not in plain_ones | journal.IGNORED
    }
    assert columns <= set(journal.LABELS)


def test_contacts_that_ended_begin_again(campaign):
    batch = take_in(campaign, ["公安系统", "甲局", "", "", "李四", "", "", ""])
    undo(batch)
    [contact] = unit_named("甲局").contacts
    assert (contact.name, contact.valid_to) == ("张三", None)
    assert contact.role is ContactRole.COORDINATOR
