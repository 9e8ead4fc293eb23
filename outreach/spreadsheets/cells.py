"""What people mean by a cell: amounts, days, counts. Nothing is guessed: BadValue tells."""

import re
import unicodedata
from datetime import date, timedelta
from decimal import Decimal

from flask_babel import LazyString
from flask_babel import lazy_gettext as _

from outreach import money
from outreach.spreadsheets.reading import BadCell, From1904, Value

FEN_PER = {
    "亿元": 10_000 * money.FEN_PER_WAN_YUAN,
    "百万元": 100 * money.FEN_PER_WAN_YUAN,
    "万元": money.FEN_PER_WAN_YUAN,
    "千元": 1_000 * money.FEN_PER_YUAN,
    "元": money.FEN_PER_YUAN,
}
MOST_FEN = 10_000_000_000 * money.FEN_PER_YUAN
EXCEL_EPOCH = date(1899, 12, 30)
DAYS_TO_1904 = 1462
EXACT_DIGITS = 15
"""Excel silently turns further digits of a number into zeros."""
LONGEST_QUOTE = 40
NOTHING = {"", "-", "--", "—", "——", "/", "\\", "无", "暂无"}
YUAN = {"人民币", "人民币元", "元", "本币", "本位币", "cny", "rmb", "1", "01", "001", "156", "¥"}
"""What a column of currencies calls ours, in words, letters and numbers of banks and of ISO."""
AMOUNT = re.compile(
    r"(?:人民币|¥|RMB)?(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(亿元?|百万元?|万元?|千元?|元)?(?:整|正)?"
)
FULL_DATE = re.compile(r"(\d{4})[年.\-/](\d{1,2})[月.\-/](\d{1,2})日?")
COMPACT_DATE = re.compile(r"(\d{4})(\d{2})(\d{2})")
MONTH_AND_DAY = re.compile(r"(\d{1,2})[月.\-/](\d{1,2})日?")
HIDDEN_MONEY = re.compile(
    r"(?<![\d,.])[\d,.]{1,20}\s{0,3}(?:[亿万千]元?|元)|¥\s{0,3}[\d,.]{1,20}"
    r"|(?:现金|其中|另[收有加付]|补[交缴]|个人|捐款?|转账?)[^\d\n]{0,6}(?P<bare>\d[\d,.]{1,12})"
    r"(?![\d,.]*\s{0,3}[年月日人名号个家户位次%\-/:])"
)
"""An amount with its unit, or a number behind a word that speaks of money and before none that
counts or dates. Bounded everywhere: a remark may be thousands of digits."""


class BadValue(ValueError):
    """What is wrong with a cell, and how to mend it; both for the person who made the file."""

    def __init__(self, message: LazyString, remedy: LazyString) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


def text_of(value: Value) -> str:
    """The cell as text; whole numbers without decimals, so that phones survive as numbers."""
    match value:
        case None:
            return ""
        case BadCell():
            raise bad_cell(value)
        case Decimal():
            if abs(value) >= 10**EXACT_DIGITS:
                raise BadValue(
                    _("数字超过 15 位，表格软件已把末尾几位改成了 0"),
                    _("请把这一格设为文本格式，重新填写完整号码。"),
                )
            return f"{value.normalize():f}"
        case date():
            return value.isoformat()
    return value


def folded(text: str) -> str:
    """Full-width forms as half-width ones, without any blanks."""
    return re.sub(r"[\s\u200b\ufeff]+", "", unicodedata.normalize("NFKC", text))


def shown(value: Value) -> str:
    """The cell as a message quotes it."""
    if isinstance(value, BadCell):
        return value.text
    text = f"{value:g}" if isinstance(value, Decimal) else text_of(value)
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}…"


def bad_cell(cell: BadCell) -> BadValue:
    if cell.is_merged:
        return BadValue(
            _("这一格与上面的格合并，分不清这一行是谁"), _("请取消合并，在每一行都写上。")
        )
    if cell.is_shared:
        return BadValue(
            _("金额的格合并了几行，分不清每一行是多少"),
            _("请取消合并，在每一行写上各自的金额。"),
        )
    if cell.text:
        return BadValue(_("公式出错：%(text)s", text=cell.text), _("请改正公式，或直接填写数值。"))
    return BadValue(_("公式没有计算结果"), _("请用 WPS 或 Excel 打开文件，保存一次后再上传。"))


def parse_amount(value: Value, unit: str) -> int | None:
    """Fen, or None for an empty cell. `unit` («元», «万元») counts where the cell names none."""
    if isinstance(value, date):
        raise BadValue(_("这一格是日期，不是金额"), _("请把单元格格式改为数值并填写金额。"))
    text = folded(f"{value:f}" if isinstance(value, Decimal) else text_of(value))
    if text in NOTHING:
        return None
    match = AMOUNT.fullmatch(text)
    if text.endswith("%"):
        raise BadValue(
            _("“%(text)s”是百分比，不是一个金额", text=shown(value)),
            _("请把单元格格式改为数值，填写金额。"),
        )
    if match is None:
        raise BadValue(
            _("“%(text)s”不是一个金额", text=shown(value)),
            _("请只填一个数字，如 30000、3万 或 5,000元；退款和更正请在系统里冲正。"),
        )
    whole, fraction, own_unit = match.groups()
    name = f"{own_unit.removesuffix('元')}元" if own_unit else unit
    fen = Decimal(whole.replace(",", "") + (fraction or "")) * FEN_PER[name]
    if fen != fen.to_integral_value():
        raise BadValue(
            _("“%(text)s”%(unit)s不足一分", text=text, unit="" if own_unit else unit),
            _("请核对金额和单位(元、万元),最多精确到分。"),
        )
    if fen > MOST_FEN:
        raise BadValue(
            _("“%(text)s”%(unit)s超过 100 亿元", text=text, unit="" if own_unit else unit),
            _("请核对金额和单位(元、万元)。"),
        )
    return int(fen)


def check_currency(value: Value) -> None:
    """BadValue for an amount in anything but yuan; «156-人民币» and «CNY(人民币)» are that."""
    text = folded(text_of(value)).casefold()
    if text not in NOTHING and not set(re.split(r"[-/|_:.()]+", text)) <= YUAN | {""}:
        raise BadValue(
            _("币种是“%(text)s”，不是人民币，金额不能按元计", text=shown(text_of(value))),
            _("请把外币的行移出文件，结汇后按人民币金额另行登记。"),
        )


def parse_day(value: Value, first: date, last: date) -> date | None:
    """A day, or None for an empty cell. A day without a year gets the one that puts it between
    `first` and `last`."""
    if isinstance(value, Decimal):
        return _day_of_number(value)
    if isinstance(value, date):
        return value
    text = folded(text_of(value))
    if text in NOTHING:
        return None
    if text.isdecimal():  # in a .csv every number is text
        return _day_of_number(Decimal(text))
    if full := FULL_DATE.fullmatch(text):
        day = _make_day(*map(int, full.groups()))
        if day:
            return day
    elif short := MONTH_AND_DAY.fullmatch(text):
        month, number = map(int, short.groups())
        days = [_make_day(year, month, number) for year in range(first.year, last.year + 1)]
        fitting = [day for day in days if day and first <= day <= last]
        if len(fitting) == 1:
            return fitting[0]
        raise BadValue(
            _("“%(text)s”没有写年份，也不在活动期间", text=shown(value)),
            _("请写完整日期，如 %(day)s。", day=first.isoformat()),
        )
    raise _not_a_day(text_of(value))


def _day_of_number(number: Decimal) -> date:
    """Excel's count of days, or 20230912; anything else is no day."""
    if number == number.to_integral_value():
        days = number + (DAYS_TO_1904 if isinstance(number, From1904) else 0)
        if 36_526 <= days < 73_051:
            return EXCEL_EPOCH + timedelta(days=int(days))
        compact = COMPACT_DATE.fullmatch(str(int(number)))
        day = _make_day(*map(int, compact.groups())) if compact else None
        if day:
            return day
    raise _not_a_day(f"{number:f}")


def _make_day(year: int, month: int, number: int) -> date | None:
    try:
        return date(year, month, number) if 2000 <= year < 2100 else None
    except ValueError:
        return None


def _not_a_day(text: str) -> BadValue:
    return BadValue(
        _("“%(text)s”不是一个日期", text=shown(text)),
        _("请写成 2023-09-12、2023.9.12 或 9月12日。"),
    )


def parse_count(value: Value) -> int | None:
    """How many people, or None for an empty cell."""
    text = folded(text_of(value))
    if text in NOTHING:
        return None
    match = re.fullmatch(r"(\d{1,3}(?:,\d{3})+|\d+)(?:\.0+)?[人名位个]?", text)
    if match is None or len(match[1]) > 7:
        raise BadValue(_("“%(text)s”不是人数", text=shown(value)), _("请只填整数，如 120。"))
    return int(match[1].replace(",", ""))


def find_money(text: str) -> str:
    """The first amount written in a remark, such as «另有现金3万元», or nothing."""
    match = HIDDEN_MONEY.search(unicodedata.normalize("NFKC", text))
    return (match["bare"] or match[0]) if match else ""
