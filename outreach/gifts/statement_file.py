"""What the rows of a list of gifts say, before it is known whose they are."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from typing import TypeVar

from flask_babel import LazyString
from flask_babel import lazy_gettext as _

from outreach import clock, money
from outreach.campaigns.models import Campaign
from outreach.campaigns.register import KIND_BY_WORD, parse_credit_code
from outreach.gifts.models import GiftBasis, GiftChannel, GiftKind
from outreach.spreadsheets import cells, tables
from outreach.spreadsheets.cells import BadValue
from outreach.spreadsheets.layouts import Column, Layout, Problem
from outreach.spreadsheets.progress import Stage, follow
from outreach.spreadsheets.reading import Value
from outreach.spreadsheets.tables import Cells, Row, Table
from outreach.units.importing import Plan

T = TypeVar("T")

LAYOUT = Layout(
    columns=(
        Column(
            "name",
            "单位名称 捐款单位 捐款单位名称 捐赠单位 捐赠单位名称 单位全称 付款单位 单位 名称",
        ),
        Column("sector", "板块 所属板块 板块名称 系统 所属系统 系统名称 归口系统 慈善分会 分会"),
        Column("credit_code", "统一社会信用代码 社会信用代码 统一信用代码 信用代码 税号"),
        Column(
            "amount",
            "到账金额 捐款金额 捐赠金额 实收金额 到账捐款 捐款数额 捐款额 到账 金额",
            is_amount=True,
        ),
        Column(
            "unit_amount",
            "单位捐款 单位捐款金额 单位捐赠 单位捐赠金额 集体捐款 单位金额",
            is_amount=True,
        ),
        Column(
            "people_amount",
            "个人捐款 个人捐款金额 个人捐赠 个人捐赠金额 职工捐款 职工个人捐款 个人金额",
            is_amount=True,
        ),
        Column(
            "received_on",
            "到账日期 到账时间 入账日期 收款日期 捐款日期 捐款时间 交易日期 交易时间 日期 时间",
        ),
        Column(
            "reference",
            "流水号 交易流水号 银行流水号 凭证号 凭证号码 回单号 票据号 收据号 交易号",
        ),
        Column("kind", "性质 捐款性质 捐款类型 捐赠类型 类别 类型"),
        Column("donor_count", "捐款人数 参捐人数 捐赠人数 人数"),
        Column("basis", "是否入账 入账情况"),
        Column("channel", "捐款方式 到账方式 支付方式 收款方式 方式 渠道"),
        Column("may_publish", "是否公示 同意公示 可公示"),
        Column("currency", "币种 货币 交易币种 货币种类 币别"),
        Column("designation", "指定用途 捐款用途 捐赠用途 定向用途 定向项目 用途"),
        Column("note", "备注 说明 摘要"),
    ),
    anchors=frozenset({"amount", "unit_amount", "people_amount"}),
    subject="name",
    group="sector",
)
INDIVIDUAL_NAMES = {"个人", "个人捐款", "爱心人士", "社会爱心人士", "匿名", "无名氏"}
UNALLOCATED = "未分配"
AMOUNTS: dict[str, GiftKind | None] = {
    "amount": None,
    "unit_amount": GiftKind.UNIT,
    "people_amount": GiftKind.INDIVIDUAL,
}
"""Columns of money, with the kind of gift that they say."""
BOOKED_LATE = timedelta(days=60)
"""After its end, money that was given in a campaign still comes in."""
KINDS = {
    GiftKind.UNIT: "单位 单位捐款 集体 集体捐款 对公",
    GiftKind.INDIVIDUAL: "个人 个人捐款 干部职工 职工 职工个人 对私",
}
BASES = {
    GiftBasis.INTO_ACCOUNT: "入账 已入账 是",
    GiftBasis.OUTSIDE_ACCOUNT: "未入账 否",
}
CHANNELS = {
    GiftChannel.TRANSFER: "转账 银行转账 汇款 银行 对公转账 电汇",
    GiftChannel.CASH: "现金",
    GiftChannel.BOX: "现场募捐箱 募捐箱 现场 现场捐款",
    GiftChannel.PLATFORM: "网络平台 网络 平台 线上 扫码 微信 支付宝",
}
CONSENTS = {True: "是 同意 可以 可 √ ✓", False: "否 不同意 不可以 不可 ×"}

SAMPLE_HEADER = "板块 单位名称 到账金额（元） 到账日期 流水号 性质 捐款人数 捐款方式 备注".split()
SAMPLE_ROWS = [
    ["公安系统", "衡阳市示例局", 35000, "2026-09-12", "SL20260912001", "单位", "", "转账", ""],
    ["个人板块", "个人", 500, "2026-09-13", "SL20260913001", "个人", 1, "网络平台", ""],
    ["", "未分配", 1200, "2026-09-14", "SL20260914001", "", "", "转账", "付款人待核实"],
]


@dataclass
class Line:
    cells: Cells
    sheet: str
    row: int
    name: str
    sector: str
    credit_code: str | None
    amount_fen: int
    received_on: date
    kind: GiftKind | None
    """None when the file does not say."""
    donor_count: int
    basis: GiftBasis
    channel: GiftChannel
    may_publish: bool
    reference: str
    designation: str
    note: str
    amount_field: str = "amount"
    """The column that the amount stands in."""

    @property
    def is_unallocated(self) -> bool:
        return UNALLOCATED in (cells.folded(self.name), cells.folded(self.sector))

    @property
    def names_a_unit(self) -> bool:
        return bool(self.credit_code) or (
            bool(self.name) and cells.folded(self.name) not in INDIVIDUAL_NAMES
        )


def parse_table(table: Table, campaign: Campaign, plan: Plan) -> list[Line]:
    """The gifts of one sheet; rows without money are left out with a warning, and 小计 and 合计
    must be the sums of their rows. Columns for units and for people make a gift each."""
    parsers = {
        field: partial(cells.parse_amount, unit=_unit_of(table, field, plan))
        for field in AMOUNTS
        if field in table.places
    }
    if len(parsers) > 1 and "amount" in parsers:
        plan.problems.append(
            _two_meanings(table, [field for field in parsers if field != "amount"])
        )
        return []
    count = len(plan.problems)
    lines: list[Line] = []
    amounts: dict[str, list[int]] = {field: [] for field in parsers}
    without_money: list[int] = []
    for row in follow(table.rows, Stage.CHECKING):
        row_cells = Cells(table, row, LAYOUT, plan.problems)
        problem_count = len(plan.problems)
        found = {field: row_cells.take(field, parse) for field, parse in parsers.items()}
        for field, amount in found.items():
            amounts[field].append(amount or 0)
        if any(found.values()):
            line = _parse_line(row_cells, table, row, campaign)
            lines += _split(line, found) if line else []
            _warn(row_cells, found.values(), line, campaign, plan)
        elif len(plan.problems) == problem_count:
            without_money.append(row.number)
    if without_money:
        plan.warnings.append(_left_out(table, without_money))
    if len(plan.problems) == count:
        for field, parse in parsers.items():
            _check_totals(table, field, amounts[field], parse, plan)
    return lines


def _unit_of(table: Table, field: str, plan: Plan) -> str:
    unit = table.places[field].unit
    if not unit:
        message = _("没有写明金额的单位，按“元”计")
        remedy = _("请在列名里写明，如“金额（万元）”，并核对预览中的合计。")
        plan.warnings.append(Problem(table.sheet, None, table.title(field), message, remedy))
    return unit or "元"


def _two_meanings(table: Table, fields: Sequence[str]) -> Problem:
    """Nobody can say whether one column is part of the other."""
    return Problem(
        table.sheet,
        table.header_row,
        table.title("amount"),
        _(
            "既有“%(amount)s”，又有“%(parts)s”，分不清后者是否已含在前者里",
            amount=table.title("amount"),
            parts="、".join(table.title(field) for field in fields),
        ),
        _("请只留总金额一列，或只留单位捐款、个人捐款两列。"),
    )


def _split(line: Line, amounts: Mapping[str, int | None]) -> list[Line]:
    """The gifts of a row, one for each column that has an amount; people are behind theirs only."""
    return [
        replace(
            line,
            amount_fen=amount,
            amount_field=field,
            kind=AMOUNTS[field] or line.kind,
            donor_count=0 if field == "unit_amount" else line.donor_count,
        )
        for field, amount in amounts.items()
        if amount
    ]


def _parse_line(row_cells: Cells, table: Table, row: Row, campaign: Campaign) -> Line | None:
    """All that the row says but its amounts."""
    today = clock.today()
    received_on = row_cells.take(
        "received_on", lambda value: _parse_received_on(value, campaign, today)
    )
    row_cells.take("currency", cells.check_currency)
    donor_count = row_cells.take("donor_count", cells.parse_count)
    line = Line(
        cells=row_cells,
        sheet=table.sheet,
        row=row.number,
        name=row_cells.text("name", 120),
        sector=row_cells.text("sector", 60) or row.heading,
        credit_code=row_cells.take("credit_code", parse_credit_code),
        amount_fen=0,
        received_on=received_on or today,
        kind=row_cells.take("kind", _parse_kind),
        donor_count=donor_count or 0,
        basis=_take_word(row_cells, "basis", BASES) or GiftBasis.INTO_ACCOUNT,
        channel=_take_word(row_cells, "channel", CHANNELS) or GiftChannel.TRANSFER,
        may_publish=_take_word(row_cells, "may_publish", CONSENTS) or False,
        reference=row_cells.text("reference", 80).replace(" ", ""),
        designation=row_cells.text("designation", 120),
        note=row_cells.text("note", 200),
    )
    return line if received_on else None


def _parse_received_on(value: Value, campaign: Campaign, today: date) -> date:
    day = cells.parse_day(value, campaign.starts_on, campaign.ends_on + BOOKED_LATE)
    if day is None:
        raise BadValue(_("没有到账日期"), _("请填写到账日期，如 2023-09-12。"))
    if day > today:
        raise BadValue(
            _("到账日期 %(day)s 在今天之后", day=day.isoformat()), _("请核对年份和月日。")
        )
    return day


def _parse_kind(value: Value) -> GiftKind | None:
    text = cells.folded(cells.text_of(value))
    if text in cells.NOTHING:
        return None
    found = _find_word(text, KINDS)
    if found is None and text in KIND_BY_WORD:  # the column holds the kind of the unit
        return GiftKind.UNIT
    if found is None:
        raise BadValue(_("不认识的性质“%(text)s”", text=text), _("请填“单位”或“个人”。"))
    return found


def _take_word(row_cells: Cells, name: str, words: Mapping[T, str]) -> T | None:
    def parse(value: Value) -> T | None:
        text = cells.folded(cells.text_of(value))
        if text in cells.NOTHING:
            return None
        found = _find_word(text, words)
        if found is None:
            known = "、".join(text.split()[0] for text in words.values())
            raise BadValue(_("看不懂“%(text)s”", text=text), _("可填：%(known)s。", known=known))
        return found

    return row_cells.take(name, parse)


def _find_word(text: str, words: Mapping[T, str]) -> T | None:
    return next((term for term, known in words.items() if text in known.split()), None)


def _warn(
    row_cells: Cells,
    amounts: Collection[int | None],
    line: Line | None,
    campaign: Campaign,
    plan: Plan,
) -> None:
    def warn(name: str, message: LazyString, remedy: LazyString) -> None:
        plan.warnings.append(row_cells.problem(name, message, remedy))

    if line is None:
        return
    hidden = cells.find_money(line.note)
    if hidden and _read_amount(hidden) not in amounts:
        warn(
            "note",
            _("备注里写有金额“%(amount)s”，没有计入", amount=hidden),
            _("如是另一笔到账，请单独写成一行。"),
        )
    if not campaign.starts_on <= line.received_on <= campaign.ends_on:
        warn(
            "received_on",
            _("到账日期 %(day)s 不在活动期间", day=line.received_on.isoformat()),
            _("如日期无误，可不理会。"),
        )


def _read_amount(text: str) -> int:
    """0 when it is none after all."""
    try:
        return cells.parse_amount(text, "元") or 0
    except BadValue:
        return 0


def _left_out(table: Table, numbers: list[int]) -> Problem:
    shown = "、".join(map(str, numbers[:10])) + ("…" if len(numbers) > 10 else "")
    return Problem(
        table.sheet,
        numbers[0],
        next(table.title(field) for field in AMOUNTS if field in table.places),
        _("%(count)s 行没有金额，没有导入（第 %(rows)s 行）", count=len(numbers), rows=shown),
        _("如已到账，请补上金额。"),
    )


def _check_totals(
    table: Table,
    field: str,
    amounts: list[int],
    parse_amount: Callable[[Value], int | None],
    plan: Plan,
) -> None:
    total_row = table.totals[0].number if table.totals else None
    try:
        for total, written, counted in tables.check_totals(table, field, amounts, parse_amount):
            message = _(
                "“%(label)s”写的是 %(written)s 元，各行相加是 %(counted)s 元",
                label=total.label,
                written=money.format_yuan(written),
                counted=money.format_yuan(counted),
            )
            remedy = _("请核对各行金额，或改正这一行的合计。")
            plan.problems.append(
                Problem(table.sheet, total.number, table.title(field), message, remedy)
            )
    except BadValue as error:
        plan.problems.append(
            Problem(table.sheet, total_row, table.title(field), error.message, error.remedy)
        )
