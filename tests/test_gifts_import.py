"""Taking a list of gifts in: whose they are, what is new, and sums that agree."""

import json
from datetime import date

import pytest
import sqlalchemy as sa

from outreach.campaigns.importing import apply_register
from outreach.campaigns.models import Solicitation
from outreach.db import db
from outreach.errors import Conflict
from outreach.gifts import services
from outreach.gifts.importing import apply_gifts, plan_gifts
from outreach.gifts.models import Gift, GiftBasis, GiftChannel, GiftKind
from outreach.units.models import ImportBatch, Unit, UnitAlias
from tests import factories
from tests.office import make_csv, make_xlsx, plain

HEADER = ["单位名称", "到账金额(元)", "到账日期", "流水号", "性质"]
OFFICE_FILE = [
    ["2026年慈善一日捐到账明细表"],
    ["", "", "", "", "单位:万元"],
    ["序号", "板块", "单位名称", "捐款金额", "到账日期", "性质"],
    [1, "公安系统", "衡阳市公安局", 3.5, date(2026, 9, 12), "单位"],
    [2, "", "交警支队", "2万", "9月15日", "单位"],
    ["", "小计", "", 5.5, "", ""],
    [3, "个人板块", "个人", "5,000元", "2026.9.20", "个人"],
    [4, "", "未分配", 10.3435, 46300, ""],
    ["总计", "", "", 16.3435, "", ""],
    ["制表:赵六", "", "审核:钱七"],
]
MERGED = ["A1:F1", "B4:B5"]


@pytest.fixture
def campaign(app):
    campaign = factories.make_campaign(code="2026")
    police = factories.make_sector(campaign, name="公安系统")
    factories.make_sector(campaign, name="个人板块")
    for name in ("衡阳市公安局", "衡阳市交警支队", "衡阳市公安局刑侦支队"):
        factories.make_solicitation(campaign, police, unit=factories.make_unit(name=name))
    traffic = db.session.scalars(sa.select(Unit).filter_by(name="衡阳市交警支队")).one()
    factories.save(UnitAlias(unit_id=traffic.id, name="交警支队", name_key="交警支队"))
    return campaign


def take_in(campaign, file):
    plan = apply_gifts(campaign, file)
    db.session.commit()
    return plan


def rows(*lines, header=HEADER):
    return make_csv([header, *lines])


def told(plan):
    return [(problem.row, problem.column, plain(problem.message)) for problem in plan.problems]


def warned(plan):
    return [plain(warning.message) for warning in plan.warnings]


def ledger():
    query = sa.select(Gift.amount_fen).order_by(Gift.id)
    return list(db.session.scalars(query))


def only_gift():
    return db.session.scalars(sa.select(Gift)).one()


class TestOfficeFile:
    def test_each_gift_finds_its_owner(self, campaign):
        take_in(campaign, make_xlsx(OFFICE_FILE, merged=MERGED))
        gifts = list(db.session.scalars(sa.select(Gift).order_by(Gift.id)))
        assert [
            (gift.credited_to, gift.amount_fen, str(gift.received_on), gift.kind) for gift in gifts
        ] == [
            ("衡阳市公安局", 3_500_000, "2026-09-12", GiftKind.UNIT),
            ("衡阳市交警支队", 2_000_000, "2026-09-15", GiftKind.UNIT),
            ("个人板块", 500_000, "2026-09-20", GiftKind.INDIVIDUAL),
            ("未分配", 10_343_500, "2026-10-05", GiftKind.UNIT),
        ]
        assert [gift.sector.name if gift.sector else None for gift in gifts] == [
            "公安系统",
            "公安系统",
            "个人板块",
            None,
        ]

    def test_file_batch_and_ledger_agree(self, campaign):
        plan = take_in(campaign, make_xlsx(OFFICE_FILE, merged=MERGED))
        assert plan.as_dict()["totals"] == {
            "file_fen": 16_343_500,
            "known_fen": 0,
            "new_fen": 16_343_500,
            "ledger_before_fen": 0,
            "ledger_after_fen": 16_343_500,
        }
        [batch] = db.session.scalars(sa.select(ImportBatch))
        assert batch.counts["amount_fen"] == sum(ledger()) == 16_343_500

    def test_a_unit_that_gave_was_reached_on_that_day(self, campaign):
        take_in(campaign, make_xlsx(OFFICE_FILE, merged=MERGED))
        days = db.session.scalars(sa.select(Solicitation.last_contact_on).order_by(Solicitation.id))
        assert list(days) == [date(2026, 9, 12), date(2026, 9, 15), None]

    def test_a_wrong_total_is_refused_with_both_figures(self, campaign):
        wrong = [[*row] for row in OFFICE_FILE]
        wrong[8][3] = 17
        plan = take_in(campaign, make_xlsx(wrong, merged=MERGED))
        assert told(plan) == [
            (9, "捐款金额", "“总计”写的是 170,000 元,各行相加是 163,435 元"),
        ]
        assert ledger() == []

    def test_a_total_that_is_no_number_is_refused(self, campaign):
        wrong = [[*row] for row in OFFICE_FILE]
        wrong[8][3] = "十六万"
        assert "不是一个金额" in told(plan_gifts(campaign, make_xlsx(wrong, merged=MERGED)))[0][2]

    def test_a_dry_run_changes_nothing(self, campaign):
        plan = plan_gifts(campaign, make_xlsx(OFFICE_FILE, merged=MERGED))
        db.session.commit()
        assert (plan.new_fen, ledger(), plan.ledger_after_fen) == (16_343_500, [], None)

    def test_every_column_is_understood(self, campaign):
        header = [*HEADER, "捐款人数", "是否入账", "捐款方式", "是否公示", "备注"]
        line = [
            "衡阳市公安局",
            "500",
            "2026-09-12",
            "A-1",
            "个人",
            "12人",
            "未入账",
            "现金",
            "是",
            "补",
        ]
        take_in(campaign, rows(line, header=header))
        gift = only_gift()
        assert (gift.kind, gift.donor_count, gift.basis) == (
            GiftKind.INDIVIDUAL,
            12,
            GiftBasis.OUTSIDE_ACCOUNT,
        )
        assert (gift.channel, gift.may_publish, gift.note) == (GiftChannel.CASH, True, "补")
        assert gift.reference == "A-1"

    def test_an_amount_without_a_unit_counts_in_yuan_with_a_warning(self, campaign):
        plan = take_in(
            campaign, rows(["衡阳市公安局", "500", "9月12日"], header=["单位", "金额", "日期"])
        )
        assert (ledger(), warned(plan)) == ([50_000], ["没有写明金额的单位,按“元”计"])


class TestAgain:
    def test_the_same_file_adds_nothing(self, campaign):
        file = make_xlsx(OFFICE_FILE, merged=MERGED)
        take_in(campaign, file)
        plan = take_in(campaign, file)
        assert (plan.previous is not None, plan.is_empty, len(ledger())) == (True, True, 4)

    def test_the_same_lines_in_another_file_add_nothing(self, campaign):
        take_in(campaign, make_xlsx(OFFICE_FILE, merged=MERGED))
        plan = take_in(campaign, make_xlsx([["第二版"], *OFFICE_FILE[1:]], merged=["B4:B5"]))
        assert (plan.counts["unchanged"], plan.known_fen, len(ledger())) == (4, 16_343_500, 4)
        assert db.session.scalar(sa.select(sa.func.count(ImportBatch.id))) == 1

    def test_true_repeats_in_a_file_survive_and_a_longer_list_adds_the_rest(self, campaign):
        line = ["衡阳市公安局", "500", "2026-09-12", "", "单位"]
        take_in(campaign, rows(line, line))
        assert ledger() == [50_000, 50_000]
        plan = take_in(campaign, rows(line, line, line))
        assert (plan.counts["unchanged"], plan.counts["new"]) == (2, 1)
        assert ledger() == [50_000, 50_000, 50_000]
        assert take_in(campaign, rows(line, line)).is_empty

    def test_one_reference_for_two_units_survives(self, campaign):
        lines = [[name, "500", "2026-09-12", "R1", ""] for name in ("衡阳市公安局", "交警支队")]
        take_in(campaign, rows(*lines))
        assert take_in(campaign, rows(*reversed(lines))).counts["unchanged"] == 2
        assert ledger() == [50_000, 50_000]

    @pytest.mark.parametrize(
        "line",
        [
            ["衡阳市公安局", "600", "2026-09-12", "R1", "单位"],
            ["衡阳市交警支队", "500", "2026-09-12", "R1", "单位"],
            ["衡阳市公安局", "500", "2026-09-13", "R1", "单位"],
        ],
    )
    def test_a_reference_that_says_something_else_now_is_refused(self, campaign, line):
        take_in(campaign, rows(["衡阳市公安局", "500", "2026-09-12", "R1", "单位"]))
        plan = take_in(campaign, rows(line))
        assert told(plan)[0][:2] == (2, "流水号")
        assert "冲正" in str(plan.problems[0].remedy)
        assert ledger() == [50_000]

    def test_a_gift_that_was_typed_in_is_not_added_again(self, campaign):
        unit = db.session.scalars(sa.select(Unit).filter_by(name="衡阳市公安局")).one()
        services.record_gift(
            campaign=campaign,
            amount_fen=50_000,
            kind=GiftKind.UNIT,
            received_on=date(2026, 9, 12),
            unit=unit,
        )
        db.session.commit()
        plan = take_in(campaign, rows(["衡阳市公安局", "500", "2026-09-12", "R9", "单位"]))
        assert (plan.counts["unchanged"], ledger()) == (1, [50_000])
        assert "视为同一笔" in warned(plan)[0]

    def test_a_reversed_gift_does_not_come_back(self, campaign):
        line = ["衡阳市公安局", "500", "2026-09-12", "R1", "单位"]
        take_in(campaign, rows(line))
        services.reverse_gift(only_gift(), reason="记错", by=None)
        db.session.commit()
        plan = take_in(campaign, rows(line, header=[*HEADER[:4], "类别"]))
        assert (plan.is_empty, "冲正" in warned(plan)[0], sum(ledger())) == (True, True, 0)

    def test_a_corrected_line_comes_in_after_the_reversal(self, campaign):
        take_in(campaign, rows(["衡阳市公安局", "500", "2026-09-12", "R1", "单位"]))
        services.reverse_gift(only_gift(), reason="记错", by=None)
        db.session.commit()
        take_in(campaign, rows(["衡阳市公安局", "600", "2026-09-12", "R1", "单位"]))
        assert sum(ledger()) == 60_000

    def test_what_is_new_is_new_in_each_campaign(self, campaign):
        file = rows(["未分配", "500", "2026-09-12", "", ""])
        take_in(campaign, file)
        take_in(factories.make_campaign(code="2027"), file)
        assert ledger() == [50_000, 50_000]


class TestOwner:
    def test_an_unknown_unit_is_refused_with_the_nearest_names(self, campaign):
        plan = take_in(campaign, rows(["衡阳公安局", "500", "2026-09-12", "", ""]))
        assert told(plan) == [(2, "单位名称", "本次活动没有单位“衡阳公安局”")]
        remedy = str(plan.problems[0].remedy)
        assert remedy.index("衡阳市公安局、") < remedy.index("刑侦支队") < remedy.index("交警支队")

    def test_a_unit_of_another_campaign_only_is_unknown(self, campaign):
        factories.make_solicitation(unit=factories.make_unit(name="外局"))
        assert take_in(campaign, rows(["外局", "500", "2026-09-12", "", ""])).is_refused

    def test_by_credit_code(self, campaign):
        code = "11320000MB151840XJ"
        apply_register(
            campaign, make_csv([["板块", "单位名称", "信用代码"], ["公安系统", "甲局", code]])
        )
        db.session.commit()
        header = ["单位名称", "信用代码", "金额(元)", "日期"]
        take_in(campaign, rows(["", code, "500", "2026-09-12"], header=header))
        assert only_gift().unit.name == "甲局"
        plan = take_in(campaign, rows(["衡阳市公安局", code, "5", "2026-09-12"], header=header))
        assert "甲局" in told(plan)[0][2]

    def test_another_sector_than_the_units_own_is_reported(self, campaign):
        header = ["板块", "单位名称", "金额(元)", "日期"]
        plan = take_in(
            campaign, rows(["个人板块", "衡阳市公安局", "5", "2026-09-12"], header=header)
        )
        assert "公安系统" in warned(plan)[0]
        assert only_gift().sector.name == "公安系统"

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            (["", "个人板块", "5", "2026-09-12", "单位"], "没有写单位名称"),
            (["", "外星系统", "5", "2026-09-12", "个人"], "没有板块“外星系统”"),
            (["", "", "5", "2026-09-12", "个人"], "既没有单位名称"),
            (["衡阳市公安局", "", "5", "", ""], "没有到账日期"),
            (["衡阳市公安局", "", "5", "2026-10-21", ""], "今天之后"),
            (["衡阳市公安局", "", "5", "二月", ""], "不是一个日期"),
            (["衡阳市公安局", "", "约5", "2026-09-12", ""], "不是一个金额"),
            (["衡阳市公安局", "", "-5", "2026-09-12", ""], "不是一个金额"),
            (["衡阳市公安局", "", "0.001", "2026-09-12", ""], "不足一分"),
            (["衡阳市公安局", "", "5", "2026-09-12", "神秘"], "不认识的性质"),
        ],
    )
    def test_refused_rows(self, campaign, line, message):
        header = ["单位名称", "板块", "金额(元)", "日期", "性质"]
        plan = take_in(campaign, rows(line, header=header))
        assert message in told(plan)[0][2]
        assert (plan.problems[0].row, ledger()) == (2, [])
        assert str(plan.problems[0].remedy)

    def test_one_refused_row_keeps_the_others_out(self, campaign):
        good = ["衡阳市公安局", "500", "2026-09-12", "", ""]
        plan = take_in(campaign, rows(good, ["无此局", "1", "2026-09-12", "", ""]))
        assert (plan.counts["refused"], ledger()) == (1, [])

    def test_a_number_that_lost_its_digits_is_refused(self, campaign):
        header = ["单位名称", "金额(元)", "日期", "流水号"]
        line = ["衡阳市公安局", 5, date(2026, 9, 12), 6222021234567890123]
        plan = take_in(campaign, make_xlsx([header, line]))
        assert told(plan)[0][:2] == (2, "流水号")

    def test_a_formula_without_a_value_is_refused(self, campaign):
        import io

        import openpyxl

        book = openpyxl.Workbook()
        for line in (HEADER, ["衡阳市公安局", "=1+1", "2026-09-12"]):
            book.active.append(line)
        buffer = io.BytesIO()
        book.save(buffer)
        plan = take_in(campaign, type(rows())("a.xlsx", buffer.getvalue()))
        assert "公式" in told(plan)[0][2]


class TestWarnings:
    def test_rows_without_money_are_left_out_and_counted(self, campaign):
        lines = [["衡阳市公安局", "", "", "", ""], ["交警支队", "—", "", "", ""]]
        plan = take_in(campaign, rows(*lines, ["未分配", "5", "2026-09-12", "", ""]))
        assert (ledger(), "2 行没有金额" in warned(plan)[0]) == ([500], True)

    def test_money_in_a_remark_is_reported_and_not_counted(self, campaign):
        header = ["单位名称", "金额(元)", "日期", "备注"]
        plan = take_in(
            campaign,
            rows(
                ["衡阳市公安局", "500", "2026-09-12", "另有现金3万元"],
                ["交警支队", "500", "2026-09-12", "转账500元"],
                header=header,
            ),
        )
        assert warned(plan) == ["备注里写有金额“3万元”,没有计入"]

    def test_a_day_outside_the_campaign_is_reported(self, campaign):
        plan = take_in(campaign, rows(["衡阳市公安局", "5", "2026-08-01", "", ""]))
        assert "不在活动期间" in warned(plan)[0]

    def test_another_currency_is_no_yuan(self, campaign):
        lines = [["衡阳市公安局", "5", "2026-09-12", currency] for currency in ("人民币", "USD")]
        plan = take_in(campaign, rows(*lines, header=[*HEADER[:3], "币种"]))
        assert told(plan) == [(3, "币种", "币种是“USD”,不是人民币,金额不能按元计")]
        assert ledger() == []

    def test_a_list_without_days_says_how_to_name_them(self, campaign):
        plan = take_in(campaign, make_csv([["板块", "金额"], ["公安系统", "5"]]))
        assert "到账日期" in told(plan)[0][2]


class TestTwice:
    """Gifts that a file has in two places, or that the ledger has with another day."""

    TITLES = ("单位名称", "捐款金额", "到账日期")
    POLICE, SCHOOL = ("衡阳市公安局", 300, "2026-09-12"), ("衡阳市公安局", 500, "2026-09-13")

    def plan(self, campaign, **sheets):
        return plan_gifts(campaign, self.book(**sheets))

    def book(self, **sheets):
        return make_xlsx(*([self.TITLES, *rows] for rows in sheets.values()), names=list(sheets))

    def test_a_sheet_whose_rows_are_all_on_others_is_refused(self, campaign):
        plan = self.plan(
            campaign, 总表=[self.POLICE, self.SCHOOL], 公安=[self.POLICE], 教育=[self.SCHOOL]
        )
        assert [(problem.sheet, problem.row) for problem in plan.problems] == [("总表", None)]

    @pytest.mark.parametrize("is_first", [True, False])
    def test_a_sheet_of_everything_is_refused_when_the_others_are_in_the_ledger(
        self, campaign, is_first
    ):
        sheets = {"公安": [self.POLICE], "教育": [self.SCHOOL]}
        whole = {"总表": [self.POLICE, self.SCHOOL]}
        take_in(campaign, self.book(**sheets))
        plan = self.plan(campaign, **(whole | sheets if is_first else sheets | whole))
        assert [problem.sheet for problem in plan.problems] == ["总表"]

    def test_what_the_ledger_has_twice_is_not_told_again(self, campaign):
        book = {"一": [self.POLICE, self.SCHOOL], "二": [self.POLICE]}
        take_in(campaign, self.book(**book))
        plan = self.plan(campaign, **book, 三=[("衡阳市公安局", 700, "2026-09-14")])
        assert (len(plan.new), plan.unchanged, plan.problems) == (1, 3, [])
        assert [text for text in warned(plan) if "相同" in text] == []

    def test_a_sheet_of_everything_may_have_repeats_of_its_own(self, campaign):
        plan = self.plan(
            campaign,
            总表=[self.POLICE, self.POLICE, self.SCHOOL],
            公安=[self.POLICE, self.POLICE],
            教育=[self.SCHOOL],
        )
        assert [problem.sheet for problem in plan.problems] == ["总表"]

    def test_each_of_two_rows_on_two_sheets_is_told(self, campaign):
        plan = self.plan(
            campaign,
            一=[self.POLICE, self.POLICE, self.SCHOOL],
            二=[self.POLICE, self.POLICE, ("衡阳市公安局", 700, "2026-09-14")],
        )
        assert [text for text in warned(plan) if "相同" in text] == [
            f"与工作表“一”第 {row} 行的单位、日期和金额相同" for row in (2, 3)
        ]

    def test_one_of_the_sheets_may_have_no_numbers(self, campaign):
        titles, rows = [*self.TITLES, "流水号"], [(*self.POLICE, "A1"), (*self.SCHOOL, "A2")]
        whole = [self.TITLES, self.POLICE, self.SCHOOL]
        sheets = [whole, [titles, rows[0]], [titles, rows[1]]]
        plan = plan_gifts(campaign, make_xlsx(*sheets, names=["总表", "公安", "教育"]))
        assert [problem.sheet for problem in plan.problems] == ["总表"]
        other = [titles, *((*row[:3], f"B{row[3]}") for row in rows)]
        plan = plan_gifts(campaign, make_xlsx([titles, *rows], other, names=["一", "二"]))
        assert (plan.problems, [text for text in warned(plan) if "相同" in text]) == ([], [])

    def test_one_row_on_two_sheets_is_told(self, campaign):
        plan = self.plan(campaign, 一=[self.POLICE, self.SCHOOL], 二=[self.POLICE])
        assert not plan.is_refused
        assert [text for text in warned(plan) if "相同" in text] == [
            "与工作表“一”第 2 行的单位、日期和金额相同"
        ]

    def test_repeats_on_one_sheet_are_two_gifts(self, campaign):
        plan = self.plan(campaign, 一=[self.POLICE, self.POLICE])
        assert (len(plan.new), [text for text in warned(plan) if "相同" in text]) == (2, [])

    @pytest.mark.parametrize(("day", "is_near"), [("2026-09-15", True), ("2026-09-16", False)])
    def test_a_gift_of_another_day_that_nothing_in_the_list_is(self, campaign, day, is_near):
        take_in(campaign, self.book(一=[self.POLICE]))
        plan = self.plan(campaign, 一=[("衡阳市公安局", 300, day)])
        assert any("已有同单位、同额" in text for text in warned(plan)) == is_near
        both = self.plan(campaign, 一=[self.POLICE, ("衡阳市公安局", 300, day)])
        assert not any("已有同单位、同额" in text for text in warned(both))


def test_what_a_gift_is_for_is_taken_in(campaign):
    titles = ["单位名称", "捐款金额(元)", "到账日期", "指定用途"]
    take_in(campaign, make_xlsx([titles, ["衡阳市公安局", 300, "2026-09-12", "助学"]]))
    assert db.session.scalar(sa.select(Gift.designation)) == "助学"


def test_an_amount_of_several_rows_is_nobody_s(campaign):
    table = [["单位名称", "捐款金额", "到账日期"], ["衡阳市公安局", 300, "2026-09-12"]]
    file = make_xlsx([*table, ["衡阳市财政局", None, "2026-09-12"]], merged=["B2:B3"])
    plan = plan_gifts(campaign, file)
    assert [(row, "合并了几行" in message) for row, _column, message in told(plan)] == [
        (2, True),
        (3, True),
    ]


class TestTwoColumns:
    TITLES = ("单位名称", "单位捐款(元)", "个人捐款(元)", "捐款人数", "到账日期", "流水号")
    ROWS = (
        ("衡阳市公安局", 300, 50, 5, "2026-09-12", "S1"),
        ("衡阳市公安局", None, 70, 7, "2026-09-13", "S2"),
    )

    def test_each_makes_a_gift_of_its_kind(self, campaign):
        take_in(campaign, make_xlsx([self.TITLES, *self.ROWS, ("合计", 300, 120)]))
        found = db.session.scalars(sa.select(Gift))
        gifts = [(gift.amount_fen, gift.kind, gift.donor_count) for gift in found]
        assert sorted(gifts) == [
            (5_000, GiftKind.INDIVIDUAL, 5),
            (7_000, GiftKind.INDIVIDUAL, 7),
            (30_000, GiftKind.UNIT, 0),
        ]
        longer = [*self.ROWS, ("衡阳市公安局", 10, None, None, "2026-09-14", "S3")]
        again = plan_gifts(campaign, make_xlsx([self.TITLES, *longer]))
        assert (len(again.new), again.unchanged) == (1, 3)

    def test_below_one_title(self, campaign):
        upper = ["单位名称", "捐款金额(元)", None, "到账日期"]
        lower = [None, "单位捐款", "个人捐款", None]
        row = ["衡阳市公安局", 300, 50, "2026-09-12"]
        plan = plan_gifts(campaign, make_xlsx([upper, lower, row], merged=["B1:C1"]))
        assert [line.amount_fen for line, _target, _entry in plan.lines] == [30_000, 5_000]

    def test_each_has_its_own_total(self, campaign):
        file = make_xlsx([self.TITLES, *self.ROWS, ("合计", 300, 121)])
        [(_row, column, message)] = told(plan_gifts(campaign, file))
        assert (column, "121 元" in message) == ("个人捐款(元)", True)

    def test_what_is_wrong_with_a_row_is_said_once(self, campaign):
        rows = [("衡阳市公安局", 300, 50, 5, "九月", "S1")]
        assert len(told(plan_gifts(campaign, make_xlsx([self.TITLES, *rows])))) == 1

    def test_beside_a_whole_amount_nobody_can_say_what_they_mean(self, campaign):
        titles = ["单位名称", "捐款金额(元)", "个人捐款(元)", "到账日期"]
        file = make_xlsx([titles, ["衡阳市公安局", 300, 50, "2026-09-12"]])
        [(_row, _column, message)] = told(plan_gifts(campaign, file))
        assert "分不清" in message


def test_a_column_of_money_that_is_not_read_is_told(campaign):
    titles = ["单位名称", "捐款金额", "其中个人捐款", "个人人数", "到账日期"]
    plan = plan_gifts(campaign, make_xlsx([titles, ["衡阳市公安局", 300, 120, 6, "2026-09-12"]]))
    assert [text for text in warned(plan) if "没有读取" in text] == ["“其中个人捐款”一列没有读取"]
    assert not plan.is_refused


@pytest.mark.parametrize(
    ("title", "amount"), [("其他捐款(元)", "50"), ("微信转款(元)", "1,050.00"), ("上缴款", "3万")]
)
@pytest.mark.parametrize("make", [make_csv, make_xlsx])
def test_money_that_is_not_read_may_be_a_text(campaign, make, title, amount):
    rows = [["单位名称", "捐款金额", title, "到账日期"]]
    plan = plan_gifts(campaign, make([*rows, ["衡阳市公安局", "300", amount, "2026-09-12"]]))
    assert [text for text in warned(plan) if "没有读取" in text] == [f"“{title}”一列没有读取"]


@pytest.mark.parametrize(
    ("title", "value"),
    [
        ("收款账号", "6222020000001234"),
        ("捐款票号", "1234"),
        ("捐款户数", 12),
        ("上缴款", "0"),
        ("捐款方式", "微信"),
    ],
)
def test_what_is_no_money_is_left_out_quietly(campaign, title, value):
    titles = ["单位名称", "捐款金额", title, "到账日期"]
    plan = plan_gifts(campaign, make_xlsx([titles, ["衡阳市公安局", 300, value, "2026-09-12"]]))
    assert [text for text in warned(plan) if "没有读取" in text] == []


def test_a_ledger_that_gains_something_else_stops_the_import(campaign, monkeypatch):
    from outreach.gifts import importing

    def write_one_fen_too_few(*arguments):
        write(*arguments)
        with factories.without_seals():
            db.session.execute(sa.update(Gift).values(amount_fen=Gift.amount_fen - 1))

    write = importing._write
    monkeypatch.setattr(importing, "_write", write_one_fen_too_few)
    with pytest.raises(Conflict, match="两者不符"):
        take_in(campaign, rows(["衡阳市公安局", "5", "2026-09-12", "", ""]))
    db.session.rollback()
    assert ledger() == []


class TestCommand:
    def run(self, app, tmp_path, file, *options):
        path = tmp_path / file.name
        path.write_bytes(file.content)
        arguments = ["gifts", "import", str(path), "--campaign", "2026", *options]
        return app.test_cli_runner().invoke(args=arguments)

    def test_dry_run_import_and_again(self, app, campaign, tmp_path):
        file = make_xlsx(OFFICE_FILE, merged=MERGED)
        dry = self.run(app, tmp_path, file, "--dry-run", "--json")
        answer = json.loads(dry.output)
        assert (dry.exit_code, answer["totals"]["new_fen"]) == (0, 16_343_500)
        assert (answer["status"], answer["dry_run"], ledger()) == ("ready", True, [])
        done = json.loads(self.run(app, tmp_path, file, "--json").output)
        assert (done["status"], len(ledger())) == ("imported", 4)
        again = self.run(app, tmp_path, file)
        assert (again.exit_code, "没有变化" in again.output) == (0, True)

    def test_a_refused_file_exits_with_one(self, app, campaign, tmp_path):
        file = rows(["无此局", "1", "2026-09-12", "", ""])
        assert self.run(app, tmp_path, file).exit_code == 1
        assert self.run(app, tmp_path, file, "--dry-run").exit_code == 1
