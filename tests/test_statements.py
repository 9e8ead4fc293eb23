"""Taking statements in: every payment is kept, once, and the file's own sums are believed."""

import json
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outreach import money
from outreach.campaigns.models import Campaign
from outreach.db import db
from outreach.errors import Conflict, Refused
from outreach.gifts import statements
from outreach.gifts.column_choices import choose_columns, list_headings, take_sheet
from outreach.gifts.ledger import check_ledger
from outreach.gifts.models import LineStatus, Source, Statement, StatementLine
from outreach.gifts.statements import apply_statement, plan_statement
from outreach.spreadsheets import reading
from outreach.spreadsheets.reading import SourceFile
from tests import factories
from tests.office import make_csv, make_xlsx, plain
from tests.statement_files import (
    Paid,
    alipay_csv,
    bank_csv,
    bank_rows,
    bank_xlsx,
    total,
    wechat_csv,
)

OCTOBER = [
    Paid("30000.00", "衡阳市教育局", date(2026, 10, 8), "S1"),
    Paid("-12.50", "工商银行", date(2026, 10, 9), "S2", summary="手续费"),
    Paid("5000.00", "南华大学", date(2026, 10, 12), "S3"),
]


@pytest.fixture
def campaign(app: Flask) -> Campaign:
    return factories.make_campaign(code="2026")


def take_in(campaign: Campaign, file: SourceFile):
    plan = apply_statement(campaign, file)
    db.session.commit()
    return plan


def kept() -> list[StatementLine]:
    return list(db.session.scalars(sa.select(StatementLine).order_by(StatementLine.id)))


def told(plan) -> list[tuple[int | None, str]]:
    return [(problem.row, plain(problem.message)) for problem in plan.problems]


def warned(plan) -> str:
    return plain(" ".join(str(warning.message) for warning in plan.warnings))


class TestBank:
    @pytest.mark.parametrize(
        "file",
        [bank_csv(OCTOBER), bank_csv(OCTOBER, "utf-8-sig"), bank_xlsx(OCTOBER)],
        ids=["gbk", "utf-8", "xlsx"],
    )
    def test_what_came_in_is_kept_and_what_went_out_is_counted(self, campaign, file: SourceFile):
        plan = take_in(campaign, file)
        assert (told(plan), warned(plan)) == ([], "")
        assert [
            (line.payer, line.amount_fen, line.serial, line.account_tail, line.summary)
            for line in kept()
        ] == [
            ("衡阳市教育局", 3_000_000, "S1", "4567", "转账 慈善一日捐"),
            ("南华大学", 500_000, "S3", "4567", "转账 慈善一日捐"),
        ]
        statement = db.session.scalars(sa.select(Statement)).one()
        assert (statement.source, statement.account_tail) == (Source.BANK, "5678")
        assert (statement.first_on, statement.last_on) == (date(2026, 10, 8), date(2026, 10, 12))
        assert (statement.credit_count, statement.credit_fen) == (2, 3_500_000)
        assert (statement.debit_count, statement.debit_fen) == (1, 1_250)

    def test_a_sum_below_that_the_rows_do_not_give_is_refused(self, campaign):
        plan = take_in(campaign, bank_csv(OCTOBER, credit=Decimal("35000.01")))
        assert told(plan) == [
            (8, "“贷方总金额”写的是 35,000.01 元,各行相加是 35,000 元"),
        ]
        assert kept() == []

    def test_a_row_that_is_missing_shows_in_the_balance_and_in_the_sums(self, campaign):
        rows = bank_rows(OCTOBER)
        del rows[5]
        plan = plan_statement(campaign, make_csv(rows))
        assert "余额有 1 处与前后不衔接" in warned(plan)
        assert [row for row, _message in told(plan)] == [8]

    @pytest.mark.parametrize(
        ("header", "row"),
        [
            (["日期", "对方", "金额", "借贷标志"], ["2026-10-12", "甲局", "1,200.50", "贷"]),
            (
                ["交易时间", "付款人", "收支方向", "发生额"],
                ["20261012101501", "甲局", "收入", "1200.5"],
            ),
            (["交易时间", "付款方", "交易金额"], ["2026/10/12 10:15", "甲局", "+1,200.50"]),
            (
                ["记账日期", "户名", "收入", "支出"],
                ["２０２６．１０．１２", "甲局", "￥１，２００．５０", "0.00"],
            ),
            (["交易日期", "对方户名", "贷方金额（万元）"], ["10月12日", "甲局", "0.12005"]),
        ],
    )  # fmt: skip
    def test_banks_write_it_in_many_ways(self, campaign, header: list[str], row: list[str]):
        plan = take_in(campaign, make_csv([header, row]))
        assert told(plan) == []
        [line] = kept()
        assert (line.payer, line.amount_fen, line.received_on) == (
            "甲局",
            120_050,
            date(2026, 10, 12),
        )

    @pytest.mark.parametrize(
        ("change", "row", "message"),
        [
            ({3: "abc"}, 5, "“abc”不是一个金额"),
            ({2: "5.00"}, 5, "同一行既有收入,又有支出"),
            ({1: "2026-13-01"}, 5, "“2026-13-01”不是一个日期"),
            ({1: ""}, 5, "没有日期"),
            ({1: "2026-10-21"}, 5, "日期 2026-10-21 在今天之后"),
            ({3: "10.005"}, 5, "不足一分"),
        ],
    )
    def test_a_bad_cell_is_named_and_nothing_is_taken_in(
        self, campaign, change: dict[int, str], row: int, message: str
    ):
        rows = bank_rows(OCTOBER, footer=False)
        for column, text in change.items():
            rows[4][column] = text
        plan = take_in(campaign, make_csv(rows))
        assert [(number, message in text) for number, text in told(plan)] == [(row, True)]
        assert kept() == []

    def test_an_amount_without_sign_or_word_is_not_guessed(self, campaign):
        plan = take_in(campaign, make_csv([["日期", "对方", "金额"], ["2026-10-12", "甲局", "5"]]))
        assert told(plan) == [(None, "分不清哪些是收入、哪些是支出")]

    def test_two_rows_of_one_serial_number_are_kept_and_told(self, campaign):
        twice = [Paid("5.00", serial="S9"), Paid("6.00", serial="S9"), Paid("6.00", serial="S9")]
        plan = take_in(campaign, bank_csv(twice))
        assert [line.amount_fen for line in kept()] == [500, 600, 600]
        assert "流水号 S9 出现在第 5、6、7 行" in warned(plan)

    @pytest.mark.parametrize(
        "content",
        [b"", b"\xff\xfe\x00\x01\x02", b"PK\x03\x04broken", "日期,对方\n".encode(), b"\x81\xff"],
    )
    @pytest.mark.parametrize("name", ["流水.csv", "流水.xlsx"])
    def test_what_is_no_statement_is_refused(self, campaign, name: str, content: bytes):
        try:
            plan = take_in(campaign, SourceFile(name, content))
        except Refused:
            return
        assert plan.is_refused

    def test_nothing_but_a_header_brings_nothing(self, campaign):
        plan = take_in(campaign, bank_csv([]))
        assert plan.is_empty
        assert "没有收入" in warned(plan)
        assert db.session.scalar(sa.select(sa.func.count(Statement.id))) == 0


class TestPlatforms:
    def test_wechat_writes_a_backquote_and_sums_at_the_end(self, campaign):
        paid = [Paid("88.00", serial="4200001", summary="一日捐", remark="教育局 张三")]
        plan = take_in(campaign, wechat_csv(paid))
        assert told(plan) == []
        [line] = kept()
        assert (line.amount_fen, line.serial, line.reference) == (8_800, "4200001", "D4200001")
        assert (line.payer, line.summary) == ("", "一日捐 教育局 张三")
        assert db.session.scalars(sa.select(Statement.source)).one() is Source.WECHAT

    def test_alipay_pads_with_tabs_and_comments(self, campaign):
        paid = [Paid("66.60", "李四", serial="2026101222", account="li***@qq.com", summary="捐")]
        plan = take_in(campaign, alipay_csv(paid))
        assert told(plan) == []
        [line] = kept()
        assert (line.amount_fen, line.payer, line.serial) == (6_660, "李四", "2026101222")
        statement = db.session.scalars(sa.select(Statement)).one()
        assert (statement.source, statement.account_tail) == (Source.ALIPAY, "1560")

    @pytest.mark.parametrize("make", [wechat_csv, alipay_csv])
    def test_a_bill_that_was_cut_or_changed_is_refused(self, campaign, make):
        paid = [Paid("1.00", serial="1"), Paid("2.00", serial="2")]
        assert told(take_in(campaign, make(paid, is_cut=True))) == [
            (None, "账单末尾没有汇总,文件不完整")
        ]
        [(_row, message)] = told(take_in(campaign, make(paid, credit=Decimal("4.00"))))
        assert "写的是 4 元,各行相加是 3 元" in message
        assert kept() == []

    @pytest.mark.parametrize("make", [wechat_csv, alipay_csv])
    def test_a_refund_is_noted_at_its_payment_and_is_no_line(self, campaign, make):
        paid = [Paid("50.00", serial="1"), Paid("-20.00", serial="1"), Paid("9.00", serial="2")]
        take_in(campaign, make(paid))
        assert [(line.amount_fen, line.refunded_fen) for line in kept()] == [
            (5_000, 2_000),
            (900, 0),
        ]
        statement = db.session.scalars(sa.select(Statement)).one()
        assert (statement.credit_fen, statement.debit_fen) == (5_900, 2_000)

    def test_a_refund_of_a_later_month_finds_its_payment_once(self, campaign):
        take_in(campaign, wechat_csv([Paid("50.00", serial="1", day=date(2026, 9, 30))]))
        back = Paid("-50.00", serial="1")
        for file in (wechat_csv([back]), wechat_csv([back, Paid("1.00", serial="3")])):
            take_in(campaign, file)
        assert [(line.net_fen, line.refunded_fen) for line in kept()] == [(0, 5_000), (100, 0)]
        plan = plan_statement(campaign, wechat_csv([Paid("-7.00", serial="8")]))
        assert "找不到这笔退款原来的收款" in warned(plan)

    @pytest.mark.parametrize("make", [wechat_csv, alipay_csv])
    def test_parts_that_go_back_in_several_exports_add_up_once(self, campaign, make):
        paid = Paid("50.00", serial="1", day=date(2026, 9, 30))
        one = Paid("-20.00", serial="1")
        other = Paid("-10.00", serial="1", day=date(2026, 10, 13))
        for rows in ([paid], [one], [other], [paid, one], [other, one], [paid, one, other]):
            take_in(campaign, make(rows))
        assert [line.refunded_fen for line in kept()] == [3_000]


class TestOnce:
    def test_the_same_file_again_changes_nothing(self, campaign):
        take_in(campaign, bank_csv(OCTOBER))
        again = take_in(campaign, bank_csv(OCTOBER))
        assert (again.taken_in_at is not None, len(kept())) == (True, 2)
        as_xlsx = take_in(campaign, bank_xlsx(OCTOBER))
        assert (as_xlsx.is_empty, as_xlsx.unchanged, len(kept())) == (True, 2, 2)

    def test_exports_may_overlap(self, campaign):
        """January to March, then February to April; March has two payments that are alike."""
        months = {
            month: [Paid("100.00", day=date(2026, month, 15))] * (2 if month == 3 else 1)
            for month in (1, 2, 3, 4)
        }
        first = take_in(campaign, bank_csv([*months[1], *months[2], *months[3]]))
        second = take_in(campaign, bank_csv([*months[2], *months[3], *months[4]]))
        assert (len(first.lines), len(second.lines), second.unchanged) == (4, 1, 3)
        assert [line.received_on.month for line in kept()] == [1, 2, 3, 3, 4]
        statement = db.session.scalars(sa.select(Statement).order_by(Statement.id.desc())).first()
        assert (statement.credit_fen, statement.known_fen) == (40_000, 30_000)

    def test_what_was_noted_by_hand_is_the_same_line(self, campaign):
        factories.make_line(
            campaign, payer="衡阳市教育局", amount_fen=3_000_000, received_on=date(2026, 10, 8)
        )
        factories.make_line(campaign, payer="南大", amount_fen=500_000, reference="S3", note="询问")
        take_in(campaign, bank_csv(OCTOBER))
        assert [(line.payer, line.serial, line.note) for line in kept()] == [
            ("衡阳市教育局", "S1", ""),
            ("南华大学", "S3", "询问"),
        ]

    def test_the_preview_is_what_is_done(self, campaign):
        plan = plan_statement(campaign, bank_csv(OCTOBER))
        take_in(campaign, bank_xlsx(OCTOBER[:1]))
        with pytest.raises(Conflict):
            apply_statement(campaign, bank_csv(OCTOBER), fingerprint=plan.fingerprint)

    def test_another_campaign_that_has_the_payments_is_told(self, campaign):
        take_in(campaign, bank_csv(OCTOBER))
        other = factories.make_campaign(code="2025")
        plan = take_in(other, bank_csv(OCTOBER))
        assert "2 笔款项也在别的活动的流水里" in warned(plan)


DAY = date(2026, 10, 1)
ROWS = st.lists(
    st.builds(
        Paid,
        yuan=st.sampled_from(["1.00", "2.50", "-3.00"]),
        payer=st.sampled_from(["甲局", "乙局", ""]),
        day=st.integers(0, 5).map(lambda days: DAY + timedelta(days)),
        serial=st.sampled_from(["", "", "1", "2"]),
    ),
    max_size=8,
)
WINDOWS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 5)).map(sorted), min_size=1, max_size=3
)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=ROWS, windows=WINDOWS)
def test_pieces_that_overlap_and_repeat_give_the_lines_of_the_whole(
    campaign: Campaign, rows: list[Paid], windows: list[list[int]]
):
    """Exports of whole days, in any order, each twice, and then one of everything."""
    db.session.execute(sa.delete(StatementLine))
    db.session.execute(sa.delete(Statement))
    db.session.commit()
    whole = (0, 5)
    for first, last in [*windows, whole, *windows]:
        piece = [row for row in rows if first <= (row.day - DAY).days <= last]
        plan = take_in(campaign, bank_csv(piece))
        assert not plan.is_refused
        if not plan.taken_in_at:
            assert plan.known_fen + plan.new_fen == money.from_yuan(total(piece))
    came = [row for row in rows if row.amount > 0]
    assert Counter(
        (line.amount_fen, line.payer, line.received_on, line.serial) for line in kept()
    ) == Counter((money.from_yuan(row.amount), row.payer, row.day, row.serial) for row in came)


class TestCommand:
    def run(self, app: Flask, path: Path, *options: str):
        return app.test_cli_runner().invoke(
            args=["statements", "import", str(path), "--campaign", "2026", *options]
        )

    def test_it_says_what_it_would_do_and_does_it(self, app: Flask, campaign, tmp_path: Path):
        path = tmp_path / "流水.csv"
        path.write_bytes(bank_csv(OCTOBER).content)
        tried = self.run(app, path, "--dry-run", "--json")
        answer = json.loads(tried.stdout)
        assert (tried.exit_code, answer["status"], answer["counts"]["new"]) == (0, "ready", 2)
        assert answer["totals"]["credit_fen"] == 3_500_000
        assert kept() == []
        db.session.rollback()
        assert "已导入:新增 2" in plain(self.run(app, path).stdout)
        assert [line.status for line in kept()] == [LineStatus.OPEN] * 2
        db.session.rollback()
        assert "已经导入过" in self.run(app, path).stdout

    def test_a_refusal_is_an_exit_code(self, app: Flask, campaign, tmp_path: Path):
        path = tmp_path / "流水.csv"
        path.write_bytes(bank_csv([replace(OCTOBER[0], yuan="1.00")], credit=Decimal(2)).content)
        result = self.run(app, path)
        assert result.exit_code == 1
        assert "贷方总金额" in result.stdout


def test_the_ledger_holds_each_statement_against_its_lines(campaign):
    march = [Paid("100.00", day=date(2026, 3, 15))]
    take_in(campaign, bank_csv(march))
    take_in(campaign, bank_csv([*march, *OCTOBER]))
    assert [row.name for row in check_ledger(campaign) if not row.holds] == []
    db.session.execute(sa.update(StatementLine).values(amount_fen=1))
    broken = [str(row.name) for row in check_ledger(campaign) if not row.holds]
    assert len(broken) == 2
    assert all("工行明细.csv" in name for name in broken)


def test_a_statement_of_another_campaign_is_not_there(campaign):
    take_in(campaign, bank_csv(OCTOBER))
    other = factories.make_campaign()
    id_ = db.session.scalars(sa.select(Statement.id)).one()
    assert statements.get_statement(campaign, id_).credit_fen == 3_500_000
    with pytest.raises(Exception, match="没有这份流水"):
        statements.get_statement(other, id_)


def test_a_sheet_that_is_no_list_and_sums_of_several_sheets_do_no_harm(campaign):
    """Each sheet is held against the sums that it states itself; a cover is told, not refused."""
    november = bank_rows([Paid("5.00", serial="2", day=date(2026, 10, 13))])
    sheets = [[["请核对"]], bank_rows([Paid(serial="1")]), november]
    plan = plan_statement(campaign, make_xlsx(*sheets, names=["说明", "十月", "其余"]))
    assert plan.problems == []
    assert [row.found for row in plan.stated if not row.stated.is_count] == [300_00, 0, 5_00, 0]
    assert [str(warning.sheet) for warning in plan.warnings] == ["说明"]
    assert (len(plan.lines), plan.content.credit_fen) == (2, 305_00)


HEADER = ["交易日期", "收入金额", "支出金额", "对方户名", "交易流水号"]


def simple(
    rows: list[list[str]], account: str = "", *, header: list[str] = HEADER, name: str = "a.csv"
) -> SourceFile:
    """A file whose head names our account, or does not."""
    head = [[f"账号：{account}"]] if account else []
    return SourceFile(name, make_csv([*head, header, *rows]).content)


class TestNumbersThatAreNotUnique:
    """A bank's number is one of its account, and a number of rows one of its file."""

    ONE, OTHER = "111122223333", "444455556666"
    COUNTED = [*HEADER[:-1], "交易序号"]

    def payers(self) -> list[tuple[str, int]]:
        return [(line.payer, line.amount_fen // 100) for line in kept()]

    @pytest.mark.parametrize("accounts", [(ONE, OTHER), ("", "")])
    def test_a_number_that_another_payer_has_is_another_payment_and_told(self, campaign, accounts):
        one, other = accounts
        take_in(campaign, simple([["2026-10-08", "500", "", "张三", "S00000001"]], one))
        theirs = [["2026-10-08", "500", "", "李四", "S00000001"]]
        plan = take_in(campaign, simple(theirs, other))
        assert "流水号 S00000001、金额相同的一笔(付款人 张三)" in warned(plan)
        assert self.payers() == [("张三", 500), ("李四", 500)]
        for more in ("李四", "张三"):
            account = other if more == "李四" else one
            rows = [
                ["2026-10-08", "500", "", more, "S00000001"],
                ["2026-10-09", "1", "", more, more],
            ]
            again = take_in(campaign, simple(rows, account))
            assert (again.unchanged, warned(again)) == (1, "")
        assert len(kept()) == 4

    def test_a_short_number_of_another_account_is_another_payment(self, campaign):
        row = ["2026-10-08", "500", "", "张三", "17"]
        take_in(campaign, simple([row], self.ONE))
        plan = take_in(campaign, simple([row], self.OTHER))
        assert "按另一笔保留" in warned(plan)
        for account in (self.ONE, self.OTHER):
            again = take_in(campaign, simple([row], account, header=[*HEADER[:-1], "流水号"]))
            assert (again.unchanged, warned(again)) == (1, "")
        assert self.payers() == [("张三", 500)] * 2

    def test_a_long_number_of_another_account_is_the_same_payment_and_told(self, campaign):
        row = ["2026-10-08", "500", "", "张三", "S00000001"]
        take_in(campaign, simple([row], self.ONE))
        plan = take_in(campaign, simple([row], self.OTHER))
        assert plan.unchanged == 1
        assert "1 笔在另一账户的流水里已有" in warned(plan)

    def test_rows_in_another_order_are_known(self, campaign):
        rows = [["2026-10-08", "500", "", payer, "B1"] for payer in ("张三", "李四", "王五")]
        take_in(campaign, simple(rows))
        assert take_in(campaign, simple(rows[::-1])).unchanged == 3
        assert take_in(campaign, simple(rows[2:])).unchanged == 1

    @pytest.mark.parametrize("is_newest_first", [False, True])
    def test_a_column_that_only_counts_the_rows_is_no_number(self, campaign, is_newest_first):
        one = ["2026-10-05", "100", "", "甲"], ["2026-10-06", "200", "", "衡阳市教育局"]
        other = one[1], ["2026-10-07", "300", "", "乙"]
        for pair in (one, other):
            rows = [[*row, str(number)] for number, row in enumerate(pair, 1)]
            step = -1 if is_newest_first else 1
            take_in(campaign, simple(rows[::step], header=self.COUNTED))
        assert sorted(self.payers()) == sorted([("甲", 100), ("衡阳市教育局", 200), ("乙", 300)])
        assert {line.serial for line in kept()} == {""}

    def test_true_repeats_among_counted_rows_are_kept(self, campaign):
        alike = ["2026-10-05", "100", "", "甲"]
        take_in(campaign, simple([[*alike, "1"], [*alike, "2"]], header=self.COUNTED))
        after = ["2026-10-06", "100", "", "甲", "3"]
        rows = [[*alike, "1"], [*alike, "2"], after]
        assert take_in(campaign, simple(rows, header=self.COUNTED)).unchanged == 2
        assert take_in(campaign, simple(rows[1:], header=self.COUNTED)).is_empty
        assert len(kept()) == 3

    def test_counted_rows_that_were_taken_for_numbered_ones_are_known(self, campaign):
        """As they were kept before: under the number of the row."""
        rows = [["2026-10-05", "100", "", "甲", "1"], ["2026-10-06", "200", "", "乙", "2"]]
        take_in(campaign, simple(rows))
        assert [line.serial for line in kept()] == ["1", "2"]
        plan = take_in(campaign, simple(rows, header=self.COUNTED))
        assert (plan.unchanged, len(plan.lines)) == (2, 0)
        later = [["2026-10-06", "200", "", "乙", "1"], ["2026-10-07", "200", "", "乙", "2"]]
        plan = take_in(campaign, simple(later, header=self.COUNTED))
        assert (plan.unchanged, len(plan.lines)) == (1, 1)

    @pytest.mark.parametrize("is_named_first", [True, False])
    def test_a_file_that_does_not_name_the_account_is_looked_at_twice(
        self, campaign, is_named_first
    ):
        header = HEADER[:-1]
        alike = ["2026-10-09", "50", "", "王五"]
        accounts = [self.ONE, ""] if is_named_first else ["", self.ONE]
        take_in(campaign, simple([alike, alike], accounts[0], header=header))
        rows = [alike, alike, ["2026-10-10", "60", "", "王五"]]
        plan = take_in(campaign, simple(rows, accounts[1], header=header))
        assert (plan.unchanged, len(plan.lines)) == (2, 1)
        assert "2 笔与已有款项的日期、付款人和金额相同" in warned(plan)
        assert self.payers() == [("王五", 50), ("王五", 50), ("王五", 60)]

    def test_a_line_that_was_noted_under_a_short_number_stays_beside_another_payer(self, campaign):
        factories.make_line(campaign, payer="张三", amount_fen=50_000, reference="17")
        take_in(campaign, simple([["2026-10-08", "500", "", "李四", "17"]]))
        assert self.payers() == [("张三", 500), ("李四", 500)]


CURRENCY_HEADER = ["交易日期", "币种", "收入金额", "对方户名"]


class TestCurrencies:
    @pytest.mark.parametrize(
        "written",
        [
            "人民币",
            "CNY",
            "rmb",
            "ＲＭＢ",
            "01",
            "156",
            "1",
            "",
            "/",
            "156-人民币",
            "人民币（CNY）",
        ],
    )
    @pytest.mark.parametrize("title", ["币种", "货币", "交易币种"])
    def test_yuan_has_many_names(self, campaign, title: str, written: str):
        header = [title if name == "币种" else name for name in CURRENCY_HEADER]
        plan = take_in(campaign, make_csv([header, ["2026-10-12", written, "300", "甲局"]]))
        assert (told(plan), [line.amount_fen for line in kept()]) == ([], [300_00])

    @pytest.mark.parametrize("written", ["美元", "USD", "港币", "14", "840", "11", "$", "USD/CNY"])
    def test_another_currency_is_refused_with_row_column_and_remedy(self, campaign, written: str):
        rows = [["2026-10-12", "人民币", "300", "甲局"], ["2026-10-12", written, "300", "乙局"]]
        plan = take_in(campaign, make_csv([CURRENCY_HEADER, *rows]))
        [problem] = plan.problems
        assert (problem.row, problem.column) == (3, "币种")
        assert f"币种是“{written}”" in str(problem.message)
        assert "人民币金额另行登记" in str(problem.remedy)
        assert kept() == []

    def test_it_is_seen_where_a_person_has_said_what_the_other_columns_are(self, campaign):
        file = make_csv([["何日", "币种", "多少", "谁"], ["2026-10-12", "USD", "300", "甲局"]])
        sheet = take_sheet(reading.read(file))
        fields = {0: "received_on", 2: "credit", 3: "payer"}
        choose_columns(list_headings(sheet)[0], fields, file_name="a.csv", by=None)
        assert [row for row, _message in told(take_in(campaign, file))] == [2]

    @pytest.mark.parametrize("head", [["币种：美元"], ["账号：12345678", "币种:", "USD"]])
    def test_the_head_of_the_file_may_name_it(self, campaign, head: list[str]):
        header = [name for name in CURRENCY_HEADER if name != "币种"]
        plan = take_in(campaign, make_csv([head, header, ["2026-10-12", "300", "甲局"]]))
        assert [row for row, _message in told(plan)] == [1]
        assert kept() == []

    @pytest.mark.parametrize(
        ("title", "is_taken"),
        [
            ("收入金额(USD)", False),
            ("收入金额（港币）", False),
            ("收入金额（美元）", False),
            ("收入金额(CNY)", True),
            ("收入金额（人民币）", True),
        ],
    )
    def test_the_title_of_the_amount_may_name_it(self, campaign, title: str, is_taken: bool):
        rows = [["交易日期", title, "对方户名"], ["2026-10-12", "300", "甲局"]]
        plan = take_in(campaign, make_csv(rows))
        assert (bool(plan.problems), len(kept())) == (not is_taken, int(is_taken))


@pytest.mark.parametrize("day", ["2026-09-12", "20260912", "2026/9/12 09:30:11"])
def test_rows_that_begin_with_the_way_and_the_amount_are_no_stated_sums(campaign, day):
    rows = [["收/支", "金额", "交易时间", "对方户名"], ["收入", "300.00", day, "衡阳市教育局"]]
    plan = plan_statement(campaign, make_csv(rows))
    assert not plan.problems
    assert [payment.amount_fen for payment, _key in plan.lines] == [300_00]
