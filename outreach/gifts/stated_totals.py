"""What a statement says of itself above, below and between its rows: the account, the sums and
the numbers. They are taken off the sheet and held against the rows."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from flask_babel import lazy_gettext as _

from outreach import money
from outreach.gifts.models import Source
from outreach.gifts.payments import Content, tail, wrong_sum
from outreach.spreadsheets import cells
from outreach.spreadsheets.layouts import Problem
from outreach.spreadsheets.reading import Sheet, Value

WAY = r"(收入|贷方|存入|转入|支出|借方|支取|转出)"
NUMBER = r"(-?\d[\d,]*(?:\.\d{1,2})?)"
SUM = re.compile(
    rf"(?:总|合计)?{WAY}(?:发生额|交易额|总额|金额|额)?(?:合计|总计|总金额|总额|金额)?(?:金额)?"
    rf"(?:\([人民币元]+\))?[: ]+(?:人民币|¥)?{NUMBER}(?: ?元|(?=[ ,;]|$))"
)
COUNT = re.compile(rf"(?:总|合计)?{WAY}(?:交易|合计|总)?(?:笔数|次数)(?:合计)?[: ]+(\d+)")
ACCOUNT = re.compile(r"(?:账号|帐号|账户号|账户号码|卡号)[: \[]+([\d*]{4,}(?:[ -][\d*]+)*)")
CURRENCY = re.compile(r"(?:币种|币别|货币) *: *(\S+)")
DAY = re.compile(r"20\d\d([年.\-/]?)(?:0?[1-9]|1[0-2])[月.\-/]?[0-3]?\d日?(?:[ T][\d:.]+)?")
END = re.compile(r"\W*以下(?:无数据|空白|无正文|无记录)")
ALIPAY = re.compile(rf"(交易|退款|收入|支出)合计:(\d+)笔,?(?:商家实收退款|商家实收)?共{NUMBER}元")
IN_WORDS = {"收入", "贷方", "存入", "转入", "交易"}
WECHAT_TITLES = {
    "总交易单数": ("rows", True),
    "资金流水总笔数": ("rows", True),
    "应结订单总金额": ("credit", False),
    "总交易额": ("credit", False),
    "退款总金额": ("debit", False),
    "总退款金额": ("debit", False),
    "收入笔数": ("credit", True),
    "收入金额": ("credit", False),
    "支出笔数": ("debit", True),
    "支出金额": ("debit", False),
}
"""What each column of the last block is about, and whether it is a number of rows."""
WECHAT_FIRST = {"总交易单数", "资金流水总笔数"}


@dataclass(frozen=True)
class Stated:
    """A sum in fen, or a number of rows, that the file states."""

    row: int
    label: str
    of: str
    """«credit», «debit» or «rows», which is both."""
    is_count: bool
    value: int


@dataclass(frozen=True)
class Compared:
    """What the file states beside what its rows come to."""

    stated: Stated
    found: int

    @property
    def agrees(self) -> bool:
        return self.stated.value == self.found


@dataclass
class Notes:
    source: Source
    account_tail: str = ""
    stated: list[Stated] = field(default_factory=list)
    currency: tuple[int, str] | None = None
    """Of the account, and the row that says so."""

    def compare(self, content: Content) -> list[Compared]:
        """Each statement against the rows of the sheet."""
        counted = {
            ("credit", False): content.credit_fen,
            ("credit", True): len(content.payments),
            ("debit", False): content.debit_fen,
            ("debit", True): content.debit_count,
            ("rows", True): content.row_count,
        }
        return [Compared(stated, counted[stated.of, stated.is_count]) for stated in self.stated]

    def check(self, sheet: str, content: Content) -> Iterator[Problem]:
        """Where the rows do not add up to what is stated, the account is not in yuan, or the end of
        a bill is missing."""
        if self.currency:
            row, text = self.currency
            try:
                cells.check_currency(text)
            except cells.BadValue as error:
                yield Problem(sheet, row, "", error.message, error.remedy)
        if self.source is not Source.BANK and not self.stated:
            yield Problem(
                sheet,
                None,
                "",
                _("账单末尾没有汇总，文件不完整"),
                _("请从%(source)s商户平台重新下载，不要删改内容。", source=self.source.label),
            )
        for compared in self.compare(content):
            if not compared.agrees:
                yield _wrong(sheet, compared)


def _wrong(sheet: str, compared: Compared) -> Problem:
    stated = compared.stated
    if not stated.is_count:
        return wrong_sum(sheet, stated.row, stated.label, stated.value, compared.found)
    return Problem(
        sheet,
        stated.row,
        "",
        _(
            "“%(label)s”写的是 %(written)s 笔，实际有 %(counted)s 笔",
            label=stated.label,
            written=stated.value,
            counted=compared.found,
        ),
        _("文件可能不完整。请重新下载后再导入。"),
    )


def take_notes(sheet: Sheet) -> Notes:
    """Finds what the file says of itself and empties those rows, so that the rest is a table."""
    texts = [_text(row) for row in sheet.rows]
    source = _source_of(sheet, texts)
    notes = Notes(source)
    take = {
        Source.BANK: _take_bank,
        Source.WECHAT: _take_wechat,
        Source.ALIPAY: _take_alipay,
    }[source]
    take(sheet, texts, notes)
    return notes


def _text(row: list[Value]) -> str:
    """The row on one line, half-width."""
    shown = [
        f"{value:f}" if isinstance(value, Decimal) else str(value) for value in row[:8] if value
    ]
    return unicodedata.normalize("NFKC", " ".join(shown))


def _source_of(sheet: Sheet, texts: list[str]) -> Source:
    top = texts[:40]
    if any(text.startswith("#") and "支付宝" in text for text in top) or any(
        "支付宝交易号" in text or "账务流水号" in text for text in top
    ):
        return Source.ALIPAY
    titles = {value for row in sheet.rows[:40] for value in row if isinstance(value, str)}
    if titles & {"微信订单号", "微信支付业务单号"}:
        return Source.WECHAT
    return Source.BANK


def _take_bank(sheet: Sheet, texts: list[str], notes: Notes) -> None:
    for index, text in enumerate(texts):
        if not text or text[0].isdigit():
            continue
        if not notes.account_tail and (match := ACCOUNT.search(text)):
            notes.account_tail = tail(match[1])
        if not notes.currency and (match := CURRENCY.search(text)):
            notes.currency = index + 1, match[1]
        found = [*_stated(index, text, SUM, is_count=False)]
        found += _stated(index, text, COUNT, is_count=True)
        is_sum = found and (SUM.match(text) or COUNT.match(text)) and not _is_payment(sheet, index)
        if is_sum or END.match(text):
            notes.stated += found
            sheet.rows[index] = []


def _is_payment(sheet: Sheet, index: int) -> bool:
    """A cell of the row is a day: «收入 | 300 | 2026-09-12» says what came in on it."""
    return any(
        isinstance(value, date) or (value is not None and DAY.fullmatch(str(value)))
        for value in sheet.rows[index]
    )


def _stated(index: int, text: str, pattern: re.Pattern[str], *, is_count: bool) -> Iterator[Stated]:
    for match in pattern.finditer(text):
        value = int(match[2]) if is_count else money.parse_yuan(match[2])
        label = match[0].removesuffix(match[2]).strip(" :")
        of = "credit" if match[1] in IN_WORDS else "debit"
        yield Stated(index + 1, label, of, is_count, value)


def _take_wechat(sheet: Sheet, _texts: list[str], notes: Notes) -> None:
    """Values carry a backquote, so that no program takes them for numbers; the last two rows are
    titles and sums."""
    for row in sheet.rows:
        for index, value in enumerate(row):
            if isinstance(value, str) and value.startswith("`"):
                row[index] = value[1:].strip() or None
    for index, row in enumerate(sheet.rows[:-1]):
        if not row or row[0] not in WECHAT_FIRST:
            continue
        for title, value in zip(row, sheet.rows[index + 1], strict=False):
            label = re.sub(r"\(.*\)", "", cells.folded(str(title or "")))
            number = re.fullmatch(NUMBER, cells.folded(str(value)))
            if label in WECHAT_TITLES and number:
                of, is_count = WECHAT_TITLES[label]
                fen = abs(money.parse_yuan(number[1]))
                amount = fen // money.FEN_PER_YUAN if is_count else fen
                notes.stated.append(Stated(index + 2, label, of, is_count, amount))
        sheet.rows[index] = []
        sheet.rows[index + 1] = []
        return


def _take_alipay(sheet: Sheet, texts: list[str], notes: Notes) -> None:
    """Comments begin with #; a title such as «收入金额(+元)» names the sign that values have."""
    for index, (row, text) in enumerate(zip(sheet.rows, texts, strict=True)):
        if not text.startswith("#"):
            for place, value in enumerate(row):
                if isinstance(value, str):
                    row[place] = re.sub(r"[(（][+\-]元[)）]", "(元)", value)
            continue
        if not notes.account_tail and (match := ACCOUNT.search(text)):
            notes.account_tail = tail(match[1])
        for match in ALIPAY.finditer(text.replace(" ", "")):
            of = "credit" if match[1] in IN_WORDS else "debit"
            label = f"{match[1]}合计"
            notes.stated.append(Stated(index + 1, label, of, True, int(match[2])))
            amount = abs(money.parse_yuan(match[3]))
            notes.stated.append(Stated(index + 1, label, of, False, amount))
        sheet.rows[index] = []
