"""Taking a register in: units, the people there, and their place in one campaign."""

import json

import pytest
import sqlalchemy as sa

from outreach import audit, clock
from outreach.access import Role
from outreach.campaigns.importing import apply_register, plan_register
from outreach.campaigns.models import (
    CampaignStatus,
    Sector,
    SectorLineage,
    SectorMove,
    Solicitation,
)
from outreach.db import db
from outreach.units.models import Contact, ContactRole, ImportBatch, Unit, UnitAlias, UnitKind
from outreach.units.queries import find_head_count
from tests import factories
from tests.office import make_csv, make_xlsx, plain

HEADER = ["序号", "板块", "单位名称", "联系人", "联系电话", "邮箱", "劝募人", "人数"]
OFFICE_FILE = [
    ["2026年慈善一日捐单位名册"],
    HEADER,
    [1, "公安系统", "衡阳市公安局", "张三", 13800001234.0, "Zhang@Example.org", "王劝", 120],
    [2, "", "衡阳市交警支队", "李 四", "139 0000 1234", "", "", "80人"],
    ["", "小计", "", "", "", "", "", 200],
    [3, "教育系统", "衡阳市第一中学", "", "", "", "", 90],
    ["合计", "", "", "", "", "", "", 290],
    ["制表:赵六", "", "审核:钱七"],
]
MERGED = ["A1:H1", "B3:B4"]


@pytest.fixture
def campaign(app):
    campaign = factories.make_campaign(code="2026")
    factories.make_sector(campaign, name="公安系统")
    factories.make_user(name="王劝")
    return campaign


def take_in(campaign, file):
    plan = apply_register(campaign, file)
    db.session.commit()
    return plan


def rows(*lines, header=("板块", "单位名称", "联系人", "联系电话", "邮箱", "劝募人")):
    return make_csv([header, *lines])


def told(plan):
    return [(problem.row, problem.column, plain(problem.message)) for problem in plan.problems]


def snapshot():
    """Every row of every table: what «nothing changed» means."""
    return {
        table.name: [tuple(map(str, row)) for row in db.session.execute(sa.select(table))]
        for table in db.metadata.sorted_tables
    }


def find_unit(name):
    db.session.expire_all()
    return db.session.scalars(sa.select(Unit).filter_by(name=name)).one()


def solicitation_of(unit, campaign):
    query = sa.select(Solicitation).filter_by(unit_id=unit.id, campaign_id=campaign.id)
    return db.session.scalars(query).one()


def heads(unit, campaign):
    return find_head_count(unit.id, campaign.id).count


def valid_contacts(unit):
    return {c.name for c in unit.contacts if c.is_valid_on(clock.today())}


class TestOfficeFile:
    def test_the_units_with_people_sector_and_solicitor_are_there(self, campaign):
        plan = take_in(campaign, make_xlsx(OFFICE_FILE, merged=MERGED))
        assert plan.counts == {"new": 3, "changed": 0, "unchanged": 0, "refused": 0}
        unit = find_unit("衡阳市公安局")
        assert (unit.initials, unit.kind, heads(unit, campaign)) == ("hysgaj", UnitKind.ORGAN, 120)
        [contact] = unit.contacts
        assert (contact.name, contact.mobile) == ("张三", "+8613800001234")
        assert (contact.email, contact.role) == ("zhang@example.org", ContactRole.COORDINATOR)
        solicitation = solicitation_of(unit, campaign)
        assert (solicitation.sector.name, solicitation.solicitor.name) == ("公安系统", "王劝")
        other = find_unit("衡阳市交警支队")
        assert solicitation_of(other, campaign).sector.name == "公安系统"
        assert [contact.name for contact in other.contacts] == ["李四"]

    def test_a_new_sector_is_created_and_said_so(self, campaign):
        plan = take_in(campaign, make_xlsx(OFFICE_FILE, merged=MERGED))
        assert [plain(warning.message) for warning in plan.warnings] == [
            "本次活动还没有板块“教育系统”,将新建"
        ]
        assert db.session.scalar(sa.select(sa.func.count(Sector.id))) == 2

    def test_a_new_sector_continues_last_years_of_the_same_name(self, app):
        last_year = factories.make_campaign(code="2025")
        former = factories.make_sector(last_year, name="教育系统")
        campaign = factories.make_campaign(code="2026", previous_id=last_year.id)
        take_in(campaign, rows(["教育系统", "衡阳市第一中学"], header=["板块", "单位"]))
        [lineage] = db.session.scalars(sa.select(SectorLineage))
        assert lineage.predecessor_id == former.id

    def test_a_wrong_total_is_refused_with_both_figures(self, campaign):
        wrong = [[*row] for row in OFFICE_FILE]
        wrong[6][7] = 300
        plan = take_in(campaign, make_xlsx(wrong, merged=MERGED))
        assert told(plan) == [(7, "人数", "“合计”写的是 300 人,各行相加是 290 人")]

    def test_a_dry_run_changes_nothing(self, campaign):
        before = snapshot()
        plan = plan_register(campaign, make_xlsx(OFFICE_FILE, merged=MERGED))
        assert plan.counts["new"] == 3
        db.session.commit()
        assert snapshot() == before

    def test_one_refused_row_keeps_everything_out(self, campaign):
        before = snapshot()
        file = rows(["公安系统", "甲局", "", "", "", ""], ["公安系统", "乙局", "张", "123", "", ""])
        plan = take_in(campaign, file)
        assert (told(plan)[0][:2], plan.counts["refused"]) == ((3, "联系人"), 1)
        assert snapshot() == before

    def test_what_was_taken_in_is_audited_without_personal_data(self, campaign):
        take_in(campaign, make_xlsx(OFFICE_FILE, merged=MERGED))
        [event] = db.session.scalars(sa.select(audit.AuditEvent))
        assert (event.action, event.facts["new"]) == ("import.units", 3)
        assert "13800001234" not in json.dumps(event.facts)


class TestAgain:
    def test_the_same_file_changes_nothing(self, campaign):
        file = make_xlsx(OFFICE_FILE, merged=MERGED)
        take_in(campaign, file)
        before = snapshot()
        plan = take_in(campaign, file)
        assert plan.previous is not None
        assert snapshot() == before

    def test_the_same_rows_in_another_file_change_nothing(self, campaign):
        take_in(campaign, make_xlsx(OFFICE_FILE, merged=MERGED))
        before = snapshot()
        plan = take_in(campaign, make_xlsx([["另一个标题"], *OFFICE_FILE[1:]], merged=["B3:B4"]))
        assert (plan.counts["unchanged"], plan.is_empty) == (3, True)
        assert snapshot() == before

    def test_the_same_file_counts_for_each_campaign(self, campaign):
        take_in(campaign, make_xlsx(OFFICE_FILE, merged=MERGED))
        other = factories.make_campaign(code="2027")
        plan = take_in(other, make_xlsx(OFFICE_FILE, merged=MERGED))
        assert plan.counts["new"] == 3
        assert db.session.scalar(sa.select(sa.func.count(Unit.id))) == 3
        assert db.session.scalar(sa.select(sa.func.count(Solicitation.id))) == 6
        assert db.session.scalar(sa.select(sa.func.count(ImportBatch.id))) == 2


class TestMatching:
    def test_by_name_whatever_its_width_and_blanks(self, campaign):
        take_in(campaign, rows(["公安系统", "衡阳市公安局(机关)"]))
        plan = take_in(campaign, rows(["公安系统", "衡阳市 公安局\uff08机关\uff09"]))
        assert plan.counts["unchanged"] == 1

    def test_by_alias_keeps_the_official_name(self, campaign):
        take_in(
            campaign,
            rows(["公安系统", "衡阳市公安局", "市公安局"], header=["板块", "单位名称", "别名"]),
        )
        plan = take_in(campaign, rows(["公安系统", "市公安局"], header=["板块", "单位名称"]))
        assert plan.counts["unchanged"] == 1
        assert find_unit("衡阳市公安局")

    def test_by_code_renames_and_keeps_the_old_name_as_alias(self, campaign):
        header = ["板块", "单位名称", "统一社会信用代码"]
        code = "11320000MB151840XJ"
        take_in(campaign, rows(["公安系统", "旧名局", code], header=header))
        plan = take_in(campaign, rows(["公安系统", "新名局", code], header=header))
        assert [f.as_dict() for f in plan.changed[0].fields] == [
            {"field": "单位名称", "old": "旧名局", "new": "新名局"}
        ]
        unit = find_unit("新名局")
        assert (unit.initials, [alias.name for alias in unit.aliases]) == ("xmj", ["旧名局"])

    def test_a_code_and_a_name_of_different_units_are_refused(self, campaign):
        header = ["板块", "单位名称", "信用代码"]
        code = "11320000MB151840XJ"
        take_in(campaign, rows(["公安系统", "甲局", code], ["公安系统", "乙局", ""], header=header))
        plan = take_in(campaign, rows(["公安系统", "乙局", code], header=header))
        assert "甲局" in told(plan)[0][2]

    def test_an_alias_of_two_units_is_refused(self, campaign):
        for name in ("甲局", "乙局"):
            unit = factories.make_unit(name=name)
            factories.save(UnitAlias(unit_id=unit.id, name="老局", name_key="老局"))
        plan = take_in(campaign, rows(["公安系统", "老局"]))
        assert "别名" in told(plan)[0][2]

    def test_a_unit_that_comes_twice_is_refused(self, campaign):
        plan = take_in(campaign, rows(["公安系统", "甲局"], ["公安系统", "甲 局"]))
        assert told(plan) == [(3, "单位名称", "与工作表“名册”第 2 行是同一个单位")]

    def test_a_wrong_code_is_refused(self, campaign):
        header = ["板块", "单位名称", "信用代码"]
        plan = take_in(campaign, rows(["公安系统", "甲局", "11320000MB151840XX"], header=header))
        assert told(plan)[0][:2] == (2, "信用代码")

    def test_changed_fields_are_shown_old_and_new(self, campaign):
        header = ["板块", "单位名称", "人数", "地址", "性质"]
        take_in(campaign, rows(["公安系统", "甲局", "10", "一路", "机关"], header=header))
        plan = take_in(campaign, rows(["公安系统", "甲局", "12", "", "企业"], header=header))
        assert [field.as_dict() for field in plan.changed[0].fields] == [
            {"field": "单位性质", "old": "机关", "new": "企业"},
            {"field": "人数", "old": "10", "new": "12"},
        ]
        unit = find_unit("甲局")
        assert (heads(unit, campaign), unit.address, unit.kind) == (12, "一路", UnitKind.COMPANY)


class TestSectorAndSolicitor:
    def test_a_move_is_made_in_this_campaign_only(self, campaign):
        other = factories.make_campaign(code="2025")
        sector = factories.make_sector(other, name="公安系统")
        take_in(campaign, rows(["公安系统", "甲局"]))
        unit = find_unit("甲局")
        factories.make_solicitation(other, sector, unit=unit)
        plan = take_in(campaign, rows(["国资系统", "甲局"]))
        assert plan.counts["changed"] == 1
        assert solicitation_of(unit, campaign).sector.name == "国资系统"
        assert solicitation_of(unit, other).sector_id == sector.id

    def test_the_units_gifts_follow_and_the_move_is_kept(self, campaign):
        take_in(campaign, rows(["公安系统", "甲局"]))
        row = solicitation_of(find_unit("甲局"), campaign)
        gift = factories.make_gift(row)
        take_in(campaign, rows(["国资系统", "甲局"]))
        db.session.expire_all()
        assert gift.sector_id == row.sector_id
        move = db.session.query(SectorMove).one()
        assert (move.from_name, move.to_name) == ("公安系统", "国资系统")
        assert move.reason == "导入名册“名册.csv”"

    def test_a_closed_campaign_is_not_rearranged(self, campaign):
        take_in(campaign, rows(["公安系统", "甲局"]))
        campaign.status = CampaignStatus.CLOSED
        plan = take_in(campaign, rows(["国资系统", "甲局"]))
        assert told(plan) == [(2, "板块", "活动已经结束,不能由“公安系统”移到“国资系统”")]

    def test_a_new_unit_without_a_sector_is_refused(self, campaign):
        plan = take_in(campaign, make_xlsx([["单位名称", "联系人"], ["甲局", ""]]))
        assert told(plan) == [(2, "板块", "没有写板块")]

    def test_a_known_unit_may_come_without_its_sector(self, campaign):
        take_in(campaign, rows(["公安系统", "甲局"]))
        plan = take_in(campaign, rows(["甲局", "12"], header=["单位名称", "人数"]))
        assert plan.counts["changed"] == 1

    def test_headings_and_names_of_sheets_give_the_sector(self, campaign):
        by_heading = make_xlsx([["序号", "单位名称"], ["一、公安系统"], [1, "甲局"]])
        by_sheet = make_xlsx([["序号", "单位名称"], [1, "乙局"]], names=["公安系统"])
        for file, name in ((by_heading, "甲局"), (by_sheet, "乙局")):
            take_in(campaign, file)
            assert solicitation_of(find_unit(name), campaign).sector.name == "公安系统"

    def test_an_unknown_solicitor_is_refused_with_the_names_there_are(self, campaign):
        plan = take_in(campaign, rows(["公安系统", "甲局", "", "", "", "孙无"]))
        assert told(plan) == [(2, "劝募人", "没有名为“孙无”的工作人员")]
        assert "王劝" in str(plan.problems[0].remedy)

    def test_two_solicitors_of_one_name_are_refused(self, campaign):
        factories.make_user(name="王劝")
        plan = take_in(campaign, rows(["公安系统", "甲局", "", "", "", "王劝"]))
        assert "2 位用户" in told(plan)[0][2]

    def test_an_auditor_is_no_solicitor(self, campaign):
        factories.make_user(Role.AUDITOR, name="周审")
        assert take_in(campaign, rows(["公安系统", "甲局", "", "", "", "周审"])).is_refused


class TestPeople:
    def test_another_number_of_the_same_person_is_a_change(self, campaign):
        take_in(campaign, rows(["公安系统", "甲局", "张三", "13800001234", "a@b.cn"]))
        plan = take_in(campaign, rows(["公安系统", "甲局", "张三", "13900005678", ""]))
        assert [field.as_dict() for field in plan.changed[0].fields] == [
            {"field": "联络员张三 手机", "old": "138****1234", "new": "139****5678"}
        ]
        [contact] = find_unit("甲局").contacts
        assert (contact.mobile, contact.email) == ("+8613900005678", "a@b.cn")

    def test_another_person_takes_over_today(self, campaign, tuesday_morning):
        take_in(campaign, rows(["公安系统", "甲局", "张三", "13800001234"]))
        tuesday_morning.shift(10 * 86_400)
        plan = take_in(campaign, rows(["公安系统", "甲局", "李四", "13900005678"]))
        assert [str(field.label) for field in plan.changed[0].fields] == ["联络员", "联络员离任"]
        old, new = find_unit("甲局").contacts
        assert (old.name, str(old.valid_to)) == ("张三", "2026-10-29")
        assert (new.name, str(new.valid_from), new.valid_to) == ("李四", "2026-10-30", None)

    def test_a_person_who_came_today_can_be_put_right_today(self, campaign):
        take_in(campaign, rows(["公安系统", "甲局", "张三", "13800001234"]))
        take_in(campaign, rows(["公安系统", "甲局", "李四", "13900005678"]))
        assert valid_contacts(find_unit("甲局")) == {"李四"}

    def test_several_persons_in_a_cell(self, campaign):
        file = rows(["公安系统", "甲局", "张三、李四", "13800001234、13900005678"])
        take_in(campaign, file)
        assert valid_contacts(find_unit("甲局")) == {"张三", "李四"}

    def test_one_of_two_coordinators_is_replaced(self, campaign):
        take_in(campaign, rows(["公安系统", "甲局", "张三、李四", ""]))
        take_in(campaign, rows(["公安系统", "甲局", "张三、王五", ""]))
        assert valid_contacts(find_unit("甲局")) == {"张三", "王五"}

    def test_persons_that_cannot_be_told_apart_are_refused(self, campaign):
        plan = take_in(campaign, rows(["公安系统", "甲局", "张三、李四", "13800001234"]))
        assert "分不清" in told(plan)[0][2]
        assert "顿号" in str(plan.problems[0].remedy)

    def test_a_blank_cell_takes_nobody_away(self, campaign):
        take_in(campaign, rows(["公安系统", "甲局", "张三", "13800001234"]))
        assert take_in(campaign, rows(["公安系统", "甲局", "", ""])).counts["unchanged"] == 1

    def test_leaders_in_a_header_of_two_rows(self, campaign):
        file = make_xlsx(
            [
                ["板块", "单位名称", "分管领导", "", "联络员", ""],
                ["", "", "姓名", "电话", "姓名", "电话"],
                ["公安系统", "甲局", "陈局", 13700001234, "张三", 13800001234],
            ],
            merged=["A1:A2", "B1:B2", "C1:D1", "E1:F1"],
        )
        take_in(campaign, file)
        people = {contact.role: contact for contact in find_unit("甲局").contacts}
        assert people[ContactRole.LEADER].mobile == "+8613700001234"
        assert people[ContactRole.COORDINATOR].mobile == "+8613800001234"

    def test_a_landline_is_kept_with_a_warning(self, campaign):
        plan = take_in(campaign, rows(["公安系统", "甲局", "张三", "0734-8866123"]))
        assert "固定电话" in str(plan.warnings[0].message)
        assert find_unit("甲局").contacts[0].mobile == "+867348866123"

    def test_a_number_without_a_name_is_reported(self, campaign):
        plan = take_in(campaign, rows(["公安系统", "甲局", "", "13800001234"]))
        assert "没有姓名" in str(plan.warnings[0].message)
        assert db.session.scalar(sa.select(sa.func.count(Contact.id))) == 0

    def test_money_in_a_remark_is_reported_and_not_taken(self, campaign):
        plan = plan_register(
            campaign,
            rows(["公安系统", "甲局", "去年捐3万元"], header=["板块", "单位", "备注"]),
        )
        assert [plain(warning.message) for warning in plan.warnings] == [
            "备注里写有金额“3万元”,没有导入"
        ]


class TestRefusedRows:
    @pytest.mark.parametrize(
        ("header", "line", "column"),
        [
            (["板块", "单位名称", "人数"], ["公安系统", "甲局", "许多"], "人数"),
            (["板块", "单位名称", "性质"], ["公安系统", "甲局", "神秘"], "性质"),
            (["板块", "单位名称", "邮箱", "联系人"], ["公安系统", "甲局", "甲@", "张三"], "联系人"),
            (["板块", "单位名称"], ["公安系统", "甲" * 121], "单位名称"),
            (["板块", "单位名称", "人数"], ["公安系统", "", "5"], "单位名称"),
        ],
    )
    def test_sheet_row_and_column_are_named(self, campaign, header, line, column):
        plan = plan_register(campaign, rows(line, header=header))
        assert [(p.sheet, p.row, p.column) for p in plan.problems][:1] == [("名册", 2, column)]

    def test_a_file_without_names_is_refused(self, campaign):
        plan = plan_register(campaign, make_xlsx([["联系人", "电话"], ["张三", "1"]]))
        assert "单位名称" in str(plan.problems[0].remedy)


class TestCommand:
    def run(self, app, tmp_path, file, *options):
        path = tmp_path / file.name
        path.write_bytes(file.content)
        arguments = ["units", "import", str(path), "--campaign", "2026", *options]
        return app.test_cli_runner().invoke(args=arguments)

    def test_dry_run_import_and_again(self, app, campaign, tmp_path):
        file = make_xlsx(OFFICE_FILE, merged=MERGED)
        dry = self.run(app, tmp_path, file, "--dry-run", "--json")
        assert (dry.exit_code, json.loads(dry.output)["counts"]["new"]) == (0, 3)
        assert db.session.scalar(sa.select(sa.func.count(Unit.id))) == 0
        done = self.run(app, tmp_path, file)
        assert (done.exit_code, "新增 3" in plain(done.output)) == (0, True)
        again = self.run(app, tmp_path, file)
        assert (again.exit_code, "没有变化" in again.output) == (0, True)

    def test_a_refused_file_exits_with_one_and_the_list(self, app, campaign, tmp_path):
        file = rows(["公安系统", "甲局", "", "", "", "孙无"])
        result = self.run(app, tmp_path, file)
        assert result.exit_code == 1
        assert "名册\t2\t劝募人\t没有名为“孙无”的工作人员" in plain(result.output)
        as_json = self.run(app, tmp_path, file, "--json")
        assert (as_json.exit_code, json.loads(as_json.output)["status"]) == (1, "refused")

    def test_an_unreadable_file_or_campaign_exits_with_one(self, app, campaign, tmp_path):
        broken = type(rows())("a.xlsx", b"MZ")
        assert "扩展名" in self.run(app, tmp_path, broken).output
        as_json = self.run(app, tmp_path, broken, "--json")
        assert (as_json.exit_code, json.loads(as_json.output)["status"]) == (1, "refused")
        result = self.run(app, tmp_path, rows(), "--campaign", "1999")
        assert (result.exit_code, "1999" in plain(result.output)) == (1, True)


@pytest.mark.parametrize("last", ["合计数", "共2家", "以上共2家单位", "合计金额"])
def test_a_row_that_counts_the_others_is_no_unit(campaign, last):
    rows = [["板块", "单位名称", "人数"], ["公安系统", "甲局", 3], ["", "乙局", 4], ["", last, ""]]
    plan = plan_register(campaign, make_csv(rows))
    assert [change.subject for change in plan.new if change.subject in {"甲局", "乙局", last}] == [
        "甲局",
        "乙局",
    ]
