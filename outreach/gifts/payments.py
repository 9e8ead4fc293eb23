"""What the rows of a statement say: money that came in, which is kept, and money that went out,
which is only counted."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

from flask_babel import lazy_gettext as _

from outreach import clock, money
from outreach.gifts.models import Source
from outreach.spreadsheets import cells, tables
from outreach.spreadsheets.cells import BadValue, folded
from outreach.spreadsheets.layouts import Column, Layout, Problem
from outreach.spreadsheets.progress import Stage, follow
from outreach.spreadsheets.reading import Value
from outreach.spreadsheets.tables import Cells, Row, Table

LONGEST_SUMMARY = 200
OLDEST = timedelta(days=366)
"""A day without a year is one of the last so many."""
TIME = re.compile(r"^(\d.*?\d日?)[T\s]*\d{1,2}:\d{2}(?::\d{2})?(?:\.\d+)?$")
MOMENT = re.compile(r"^(\d{8})\d{6}$")
NAMED_ACCOUNT = re.compile(
    r"^([^()（）\d@]+)[(（].*@?.*[)）]$|^[^()（）]*[(（]([^()（）\d@]+)[)）]$"
)
SIGNED = re.compile(r"^(?:([+\-−]|¥-)|\((?=.*\)$))(.*?)\)?$")
WAYS_IN = {"贷", "贷方", "收", "收入", "收款", "来账", "转入", "入账", "入", "存入", "c", "cr", "+"}
WAYS_OUT = {"借", "借方", "支", "支出", "付", "付款", "往账", "转出", "出", "支取", "d", "dr", "-"}
COUNTED = "序号"
"""How the title of a column ends that may only count the rows."""
REFUNDS = ("退款", "REFUND", "REVOKED")
UNDONE = {"FAIL", "CHANGE"}
NEITHER = {"不计收支", "其他", "/"}
FOREIGN = re.compile(r"\(([a-z]{3}|美元|美金|港币|港元|欧元|日元|英镑|外币)\)")
CURRENCIES = "币种 交易币种 货币 货币种类 币别 交易货币 货币类型 币种名称"

FIELDS = (
    Column(
        "received_on",
        "交易日期 记账日期 入账日期 到账日期 发生日期 收款日期 交易日 交易时间 记账时间 入账时间"
        " 到账时间 发生时间 完成时间 付款时间 日期 时间",
    ),
    Column(
        "payer",
        "对方户名 对方名称 对方账户名称 对方账户名 对方单位名称 对方单位 对方姓名 付款人名称"
        " 付款人户名 付款人 付款方名称 付款方户名 付款方 付款单位名称 付款单位 交易对方 汇款人"
        " 对手户名 对手名称 对方 户名",
    ),
    Column(
        "account",
        "对方账号 对方帐号 对方账户 对方卡号 付款人账号 付款账号 付款方账号 付款人帐号 对手账号",
    ),
    Column(
        "credit",
        "收入金额 贷方发生额 贷方金额 贷方发生额/元 贷方发生金额 贷方交易金额 收入发生额 存入金额"
        " 转入金额 收款金额 收方金额 入账金额 收方发生额 贷方 收入 存入 转入",
        is_amount=True,
    ),
    Column(
        "debit",
        "支出金额 借方发生额 借方金额 借方发生额/元 借方发生金额 借方交易金额 支出发生额 支取金额"
        " 转出金额 付款金额 付方金额 付方发生额 借方 支出 支取 转出",
        is_amount=True,
    ),
    Column("amount", "交易金额 发生额 发生金额 收支金额 交易额 金额", is_amount=True),
    Column(
        "direction",
        "借贷标志 借贷标识 借贷方向 借贷 借/贷 收支标志 收支类型 收支方向 收/支 收支 交易方向"
        " 来往账标志 往来标志 收付标志 收付类型 资金方向",
    ),
    Column("currency", CURRENCIES),
    Column("balance", "余额 账户余额 交易后余额 本次余额 账户结余", is_amount=True),
    Column(
        "serial",
        "交易流水号 流水号 银行流水号 核心流水号 主机流水号 业务流水号 资金流水号 交易编号"
        " 交易序号 交易参考号 账户明细编号-交易流水号 回单编号 日志号",
    ),
    Column("reference", "凭证号 凭证号码 凭证编号 商户订单号 企业流水号 客户业务编号 票据号"),
    Column("summary", "摘要 交易摘要 摘要说明 商品名称"),
    Column("purpose", "用途 交易用途 资金用途"),
    Column("remark", "附言 交易附言 客户附言 留言"),
    Column("note", "备注 交易备注 说明"),
)
WECHAT_FIELDS = (
    Column("received_on", "交易时间 记账时间"),
    Column("account", "用户标识"),
    Column("credit", "应结订单金额 总金额", is_amount=True),
    Column("refund", "退款金额", is_amount=True),
    Column("refund_state", "退款状态"),
    Column("refund_number", "微信退款单号 商户退款单号"),
    Column("amount", "收支金额", is_amount=True),
    Column("direction", "收支类型"),
    Column("currency", CURRENCIES),
    Column("balance", "账户结余", is_amount=True),
    Column("kind", "交易状态 业务类型"),
    Column("serial", "微信订单号 微信支付业务单号"),
    Column("reference", "商户订单号 业务凭证号"),
    Column("summary", "商品名称 业务名称"),
    Column("remark", "商户数据包 备注"),
)
ALIPAY_FIELDS = (
    Column("received_on", "完成时间 发生时间 入账时间"),
    Column("payer", "对方名称"),
    Column("account", "对方账户 对方账号"),
    Column("credit", "商家实收 收入金额", is_amount=True),
    Column("debit", "支出金额", is_amount=True),
    Column("currency", CURRENCIES),
    Column("balance", "账户余额", is_amount=True),
    Column("kind", "业务类型"),
    Column("serial", "支付宝交易号 业务流水号 支付宝流水号 账务流水号"),
    Column("reference", "商户订单号"),
    Column("refund_number", "退款批次号/请求号"),
    Column("summary", "商品名称"),
    Column("note", "备注"),
)
SAMPLE_HEADER = (
    "交易日期 对方户名 对方账号 收入金额（元） 支出金额（元） 摘要 附言 交易流水号".split()
)
SAMPLE_ROWS = [
    ["2026-10-12", "衡阳市示例局", "6222000000001234", 30000, "", "转账", "慈善一日捐", "S0001"],
    ["2026-10-13", "示例公司", "6222000000005678", 5000, "", "转账", "捐款", "S0002"],
    ["2026-10-14", "示例银行", "", "", 10, "手续费", "", "S0003"],
]
AMOUNTS = ("credit", "debit", "amount", "refund")
SAID = ("summary", "purpose", "remark", "note")
"""Columns that together say what a payment is for."""


def make_layout(columns: Sequence[Column]) -> Layout:
    amounts = frozenset({"credit", "amount"})
    return Layout(tuple(columns), anchors=amounts, subject="payer", group="")


@dataclass(frozen=True)
class ChosenLayout(Layout):
    """One of which a person has said what its columns are."""

    fields: Mapping[str, str] = field(default_factory=dict)
    """By the title as it is compared."""

    def find(self, title: str) -> Column | None:
        name = self.fields.get(title) or self._currency(title)
        return next((column for column in self.columns if column.field == name), None)

    def _currency(self, title: str) -> str:
        """Also where nobody said so: dollars are never to be taken for yuan."""
        column = super().find(title)
        is_chosen = "currency" in self.fields.values()
        return "currency" if column and column.field == "currency" and not is_chosen else ""


LAYOUT = make_layout(FIELDS)
LAYOUTS = {
    Source.BANK: LAYOUT,
    Source.WECHAT: make_layout(WECHAT_FIELDS),
    Source.ALIPAY: make_layout(ALIPAY_FIELDS),
}


@dataclass
class Payment:
    """Money that came in."""

    cells: Cells
    sheet: str
    row: int
    received_on: date
    payer: str
    account_tail: str
    amount_fen: int
    serial: str
    reference: str
    summary: str
    is_counted: bool = False
    """The bank only counts the rows, of the file or of the account: as a number that is weak."""
    refunds: dict[str, int] = field(default_factory=dict)
    """What went back, as far as the file says: fen by the key of the refund."""

    @property
    def refunded_fen(self) -> int:
        return min(sum(self.refunds.values()), self.amount_fen)


@dataclass(frozen=True)
class Refund:
    """Money that went back to the payer of a payment."""

    cells: Cells
    serial: str
    """Of the payment."""
    number: str
    """Its own, as far as the file has one."""
    day: date
    amount_fen: int


@dataclass
class Content:
    """What the tables of a file add up to."""

    source: Source
    account_tail: str = ""
    payments: list[Payment] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    days: list[date] = field(default_factory=list)
    row_count: int = 0
    debit_count: int = 0
    debit_fen: int = 0

    def add(self, other: "Content") -> None:
        """Takes over what another sheet holds."""
        self.payments += other.payments
        self.refunds += other.refunds
        self.days += other.days
        self.row_count += other.row_count
        self.debit_count += other.debit_count
        self.debit_fen += other.debit_fen

    @property
    def credit_fen(self) -> int:
        return sum(payment.amount_fen for payment in self.payments)

    @property
    def refund_fen(self) -> int:
        return sum(refund.amount_fen for refund in self.refunds)


@dataclass
class Told:
    """What a reader of the file is told."""

    problems: list[Problem]
    warnings: list[Problem]


class RowReader:
    """Reads the rows of one table into the content of the file."""

    def __init__(self, table: Table, layout: Layout, content: Content, told: Told) -> None:
        self.table = table
        self.layout = layout
        self.content = content
        self.told = told
        self.today = clock.today()
        self.is_signed = "direction" in table.places or self._has_sign()
        self.is_counted = folded(table.title("serial")).endswith(COUNTED)
        self.has_serial = not (self.is_counted and self._only_counts_rows())
        self.credits: list[int] = []
        self.balances: list[tuple[int, int, int]] = []
        """Row, what it changed, and the balance after it."""

    def read(self) -> None:
        if not self._can_tell_ways() or not self._is_in_yuan():
            return
        without_money: list[int] = []
        count = len(self.told.problems)
        for row in follow(self.table.rows, Stage.CHECKING):
            in_fen, out_fen = self._read(row)
            self.credits.append(in_fen)
            if not in_fen and not out_fen and len(self.told.problems) == count:
                without_money.append(row.number)
        if without_money:
            self.told.warnings.append(self._without_money(without_money))
        if len(self.told.problems) == count:
            self._check_totals()
            self._check_balances()

    def _can_tell_ways(self) -> bool:
        """An amount alone does not say whether it came or went."""
        if "amount" not in self.table.places or self.is_signed or "credit" in self.table.places:
            return True
        self.told.problems.append(
            Problem(
                self.table.sheet,
                None,
                self.table.title("amount"),
                _("分不清哪些是收入、哪些是支出"),
                _("请保留“借贷标志”一列；如全部是收入，请在“对应各列”里把这一列选为“收入金额”。"),
            )
        )
        return False

    def _is_in_yuan(self) -> bool:
        """What stands in brackets behind the title of an amount counts, too."""
        for name in AMOUNTS:
            title = self.table.title(name)
            if match := FOREIGN.search(folded(title).casefold()):
                try:
                    cells.check_currency(match[1])
                except BadValue as error:
                    self.told.problems.append(
                        Problem(
                            self.table.sheet,
                            self.table.header_row,
                            title,
                            error.message,
                            error.remedy,
                        )
                    )
                    return False
        return True

    def _has_sign(self) -> bool:
        place = self.table.places.get("amount")
        return place is not None and any(
            SIGNED.match(folded(str(row.cells["amount"] or ""))) for row in self.table.rows
        )

    def _only_counts_rows(self) -> bool:
        """The column runs 1, 2, 3 through the table, or back: it begins anew in the next file."""
        texts = [str(row.cells["serial"] or "") for row in self.table.rows]
        counted = [str(number) for number in range(1, len(texts) + 1)]
        return [folded(text) for text in texts] in (counted, counted[::-1])

    def _read(self, row: Row) -> tuple[int, int]:
        """Fen that came in and that went out; nothing when the row is refused or moves none."""
        row_cells = Cells(self.table, row, self.layout, self.told.problems)
        count = len(self.told.problems)
        in_fen, out_fen = self._take_amounts(row_cells)
        if not in_fen and not out_fen:
            return 0, 0
        row_cells.take("currency", cells.check_currency)
        received_on = row_cells.take("received_on", self._parse_day)
        if len(self.told.problems) > count or received_on is None:
            return 0, 0
        self.content.days.append(received_on)
        self.content.row_count += 1
        self._note_balance(row_cells, row, in_fen - out_fen)
        serial = _short(row_cells, "serial", 80).replace(" ", "") if self.has_serial else ""
        if out_fen:
            self.content.debit_count += 1
            self.content.debit_fen += out_fen
            if serial and self._is_refund(row_cells):
                number = _short(row_cells, "refund_number", 80)
                self.content.refunds.append(Refund(row_cells, serial, number, received_on, out_fen))
            return 0, out_fen
        self.content.payments.append(
            Payment(
                cells=row_cells,
                sheet=self.table.sheet,
                row=row.number,
                received_on=received_on,
                payer=_payer(row_cells),
                account_tail=tail(_short(row_cells, "account", 80)),
                amount_fen=in_fen,
                serial=serial,
                reference=_short(row_cells, "reference", 80).replace(" ", ""),
                summary=_said(row_cells),
                is_counted=self.is_counted,
            )
        )
        return in_fen, 0

    def _is_refund(self, row_cells: Cells) -> bool:
        """Banks do not say which payment it is that goes back; platforms do."""
        kind = row_cells.text("kind", 80).upper()
        is_done = row_cells.text("refund_state", 40).upper() not in UNDONE
        return is_done and any(word in kind for word in REFUNDS)

    def _take_amounts(self, row_cells: Cells) -> tuple[int, int]:
        found = [row_cells.take(name, self._amount_parser(name)) for name in AMOUNTS]
        in_fen, debit, amount, refund = (fen or 0 for fen in found)
        out_fen = debit + refund
        if in_fen and out_fen:
            row_cells.refuse(
                "credit",
                _("同一行既有收入，又有支出"),
                _("请核对这一行，一行只能是一笔收入或一笔支出。"),
            )
            return 0, 0
        if not in_fen and not out_fen:
            in_fen, out_fen = self._take_way(row_cells, amount)
        return (0, out_fen - in_fen) if in_fen < 0 else (in_fen, out_fen)

    def _take_way(self, row_cells: Cells, amount: int) -> tuple[int, int]:
        """What came and what went, by the sign of the amount or by the word beside it."""
        if "direction" not in self.table.places:
            return (amount, 0) if amount > 0 else (0, -amount)
        is_in = row_cells.take("direction", _parse_way) if amount else None
        if is_in is None:
            return 0, 0
        if amount < 0 and is_in:  # written off in red
            return 0, -amount
        return (amount, 0) if is_in else (0, abs(amount))

    def _amount_parser(self, name: str) -> Callable[[Value], int | None]:
        place = self.table.places.get(name)
        unit = (place.unit if place else "") or "元"
        return lambda value: parse_signed(value, unit)

    def _parse_day(self, value: Value) -> date:
        day = parse_moment(value, self.today)
        if day > self.today:
            raise BadValue(
                _("日期 %(day)s 在今天之后", day=day.isoformat()), _("请核对年份和月日。")
            )
        return day

    def _note_balance(self, row_cells: Cells, row: Row, change: int) -> None:
        if "balance" not in self.table.places:
            return
        balance = row_cells.take("balance", self._amount_parser("balance"))
        if balance is not None:
            self.balances.append((row.number, change, balance))

    def _check_totals(self) -> None:
        parse = self._amount_parser("credit")
        try:
            wrong = list(tables.check_totals(self.table, "credit", self.credits, parse))
        except BadValue:
            return  # a line of words that only looks like a total
        for total, written, counted in wrong:
            self.told.problems.append(
                wrong_sum(self.table.sheet, total.number, total.label, written, counted)
            )

    def _check_balances(self) -> None:
        """Each balance is the one before and what came or went; newest first or oldest first."""
        if len(self.balances) != len(self.table.rows):
            return
        broken = min(_breaks(self.balances), _breaks(self.balances[::-1]), key=len)
        if broken:
            self.told.warnings.append(
                Problem(
                    self.table.sheet,
                    broken[0],
                    self.table.title("balance"),
                    _("余额有 %(count)s 处与前后不衔接", count=len(broken)),
                    _("文件可能缺了行，或没有按时间排列。请与银行页面核对笔数和合计。"),
                )
            )

    def _without_money(self, numbers: list[int]) -> Problem:
        return Problem(
            self.table.sheet,
            numbers[0],
            self.table.title("credit") or self.table.title("amount"),
            _(
                "%(count)s 行没有金额，没有读取（第 %(rows)s 行）",
                count=len(numbers),
                rows="、".join(map(str, numbers[:10])) + ("…" if len(numbers) > 10 else ""),
            ),
            _("如已到账，请补上金额。"),
        )


def wrong_sum(sheet: str, row: int | None, label: str, written: int, counted: int) -> Problem:
    """A total of the file that its rows do not add up to; both in fen."""
    return Problem(
        sheet,
        row,
        "",
        _(
            "“%(label)s”写的是 %(written)s 元，各行相加是 %(counted)s 元",
            label=label,
            written=money.format_yuan(written),
            counted=money.format_yuan(counted),
        ),
        _("文件可能不完整。请重新下载后再导入。"),
    )


def parse_signed(value: Value, unit: str) -> int | None:
    """Fen, negative where the cell says so: «-12.00», «(12.00)»."""
    if isinstance(value, Decimal):
        fen = cells.parse_amount(abs(value), unit)
        return -fen if fen and value < 0 else fen
    if not isinstance(value, str):
        return cells.parse_amount(value, unit)
    match = SIGNED.match(folded(value))
    if match is None or folded(value) in cells.NOTHING:
        return cells.parse_amount(value, unit)
    fen = cells.parse_amount(match[2], unit)
    return fen if match[1] == "+" else -(fen or 0)


def parse_moment(value: Value, today: date) -> date:
    """The day of a cell that may hold the time too."""
    text = value.strip() if isinstance(value, str) else value
    if isinstance(text, str):
        text = text.strip("[]")
        if match := TIME.match(text) or MOMENT.match(text):
            text = match[1]
    day = cells.parse_day(text, today - OLDEST, today)
    if day is None:
        raise BadValue(_("没有日期"), _("请填写交易日期，如 2026-09-12。"))
    return day


def tail(account: str) -> str:
    """The last four characters of an account, without blanks and asterisks."""
    return re.sub(r"[^0-9A-Za-z]", "", account)[-4:]


def _parse_way(value: Value) -> bool | None:
    """Whether the money came in; None where it did neither."""
    text = folded(cells.text_of(value)).casefold()
    if text in WAYS_IN:
        return True
    if text in WAYS_OUT:
        return False
    if text in NEITHER:
        return None
    raise BadValue(
        _("分不清“%(text)s”是收入还是支出", text=text), _("请填“收入”或“支出”（贷或借）。")
    )


def _short(row_cells: Cells, name: str, longest: int) -> str:
    """The cell's text, cut off where it is too long to be kept."""
    text = " ".join((row_cells.take(name, cells.text_of) or "").split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _payer(row_cells: Cells) -> str:
    """The payer's name; Alipay writes it before the account, as in «张三(zhang@example.com)»."""
    text = _short(row_cells, "payer", 120)
    if folded(text) in cells.NOTHING:
        match = NAMED_ACCOUNT.match(_short(row_cells, "account", 120))
        return match[1] or match[2] if match else ""
    return text


def _said(row_cells: Cells) -> str:
    texts = [_short(row_cells, name, LONGEST_SUMMARY) for name in SAID]
    known = dict.fromkeys(text for text in texts if folded(text) not in cells.NOTHING)
    text = " ".join(known)
    return text if len(text) <= LONGEST_SUMMARY else f"{text[: LONGEST_SUMMARY - 1]}…"


def _breaks(balances: Iterable[tuple[int, int, int]]) -> list[int]:
    """Rows whose balance does not follow from the one before."""
    rows = list(balances)
    return [
        number
        for (_before, _change, balance), (number, change, after) in pairwise(rows)
        if balance + change != after
    ]
