"""Finds the table in a sheet: titles and notes above it, one or two header rows, groups, totals,
footers. What a row means to a capability is not known here."""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import accumulate
from typing import TypeVar

from flask_babel import LazyString
from flask_babel import lazy_gettext as _

from outreach.errors import Refused
from outreach.spreadsheets.cells import BadValue, folded, parse_amount, text_of
from outreach.spreadsheets.headers import (
    SEARCHED_ROWS,
    Header,
    find_header,
    place_columns,
    texts_of,
)
from outreach.spreadsheets.layouts import Layout, Place, Problem
from outreach.spreadsheets.reading import MOST_COLUMNS, BadCell, Book, Sheet, Value
from outreach.terms import Term

T = TypeVar("T")
MARKS = ("问题", "怎么改")
"""Titles of the columns in which a refused file tells what is wrong; see `marking`."""
MARKS_SHEET = "问题清单"
TOTAL = re.compile(
    r"(.{0,40}?)(小计|合计|总计|共计|累计)(?:数|数额|金额)?(?:\(.*\))?:?([\d,.]+(?:[亿万千]元?|元)?)?"
)
FOOTER = re.compile(
    r"(制表|审核|复核|填表|填报|经办|主管|负责|统计|报送|说明|备注|附注|注|盖章|联系).{0,8}:"
    r"|第\d+页|共\d+页|\(?盖章\)?|(?:以上|本系统|本板块|全市)?共\d+[家个户]"
)
MONEY_TITLE = re.compile(r"捐|款|金额")
COUNT_TITLE = re.compile(r"号|码|账户|人数|户数|笔数|人次|日期|时间")
"""收款账号 and 捐款户数 are no money."""
NUMBERING = re.compile(r"^(?:[一二三四五六七八九十]+、|\([一二三四五六七八九十]+\))")


class LeftOut(Term):
    """Why a row brings nothing."""

    ABOVE = "above", _("表头上方的标题和说明")
    TOTAL = "total", _("小计、合计（只用来核对）")
    HEADING = "heading", _("分组标题或说明")
    HEADER = "header", _("重复的表头")
    FOOTER = "footer", _("制表、审核、日期等落款")
    BLANK = "blank", _("空行")
    NOTHING = "nothing", _("只有序号或板块")


@dataclass
class Row:
    number: int
    cells: dict[str, Value]
    heading: str = ""
    """The row of its own above this one that names a group, such as «一、公安系统»."""


@dataclass(frozen=True)
class Total:
    number: int
    label: str
    is_part: bool
    """小计: of the rows since the total before."""
    cells: dict[str, Value]
    rows_before: int


@dataclass
class Table:
    sheet: str
    places: dict[str, Place]
    header_row: int = 1
    """The lower one of two, as the program numbers them."""
    header_height: int = 1
    rows: list[Row] = field(default_factory=list)
    totals: list[Total] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    """Titles of the columns that nobody asked for."""
    left_out: dict[LeftOut, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Numbers of the rows that bring nothing."""

    def listed_left_out(self) -> list[tuple[LeftOut, int, str]]:
        """Why, how many and which, in the order of the reasons."""
        return [
            (why, len(self.left_out[why]), listed(self.left_out[why]))
            for why in LeftOut
            if why in self.left_out
        ]

    def title(self, name: str) -> str:
        return self.places[name].title if name in self.places else ""


@dataclass
class Reading:
    """What was found in the file, and what is wrong with it."""

    tables: list[Table] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


class Cells:
    """The cells of one row, parsed; what cannot be is added to the problems and is then None."""

    def __init__(self, table: Table, row: Row, layout: Layout, problems: list[Problem]) -> None:
        self._table = table
        self._row = row
        self._layout = layout
        self._problems = problems

    def take(self, name: str, parse: Callable[[Value], T]) -> T | None:
        try:
            return parse(self._row.cells.get(name))
        except BadValue as error:
            self.refuse(name, error.message, error.remedy)
        except Refused as error:
            self.refuse(name, error.message)
        return None

    def text(self, name: str, longest: int) -> str:
        """One line of text, or empty; a line break inside a cell is there for its width."""
        text = "".join(line.strip() for line in (self.take(name, text_of) or "").splitlines())
        if len(text) > longest:
            self.refuse(name, _("超过 %(longest)s 个字", longest=longest), _("请缩短后再导入。"))
            return ""
        return text

    def refuse(self, name: str, message: str | LazyString, remedy: str | LazyString = "") -> None:
        self._problems.append(self.problem(name, message, remedy))

    def problem(
        self, name: str, message: str | LazyString, remedy: str | LazyString = ""
    ) -> Problem:
        column = self._table.title(name) or (self._layout.label(name) if name else "")
        return Problem(self._table.sheet, self._row.number, column, message, remedy)


def find_tables(book: Book, layout: Layout) -> Reading:
    reading = Reading()
    for name in book.hidden:
        reading.warnings.append(
            Problem(name, None, "", _("工作表是隐藏的，没有读取"), _("如需导入，请取消隐藏。"))
        )
    for sheet in book.sheets:
        if sheet.name == MARKS_SHEET:
            continue
        _drop_marks(sheet)
        if any(value is not None for row in sheet.rows for value in row):
            _read_table(sheet, layout, reading, is_text=book.is_text)
    if not reading.tables and not reading.problems:
        known = "、".join(column.label for column in layout.columns)
        reading.problems.append(
            Problem(
                "",
                None,
                "",
                _("没有找到表头"),
                _("请在数据上方保留一行列名。能识别的列：%(columns)s。", columns=known),
            )
        )
    return reading


def check_totals(
    table: Table, name: str, values: Sequence[int], parse: Callable[[Value], int | None]
) -> Iterator[tuple[Total, int, int]]:
    """Totals of the sheet that are not what they should be: total, written, counted.

    `values` are those of `table.rows`, in order; BadValue when a total is no number. Where the
    first 小计 of a sheet stands above its rows, so do the others: each up to the next one, which
    may be part of it where no row is between them.
    """
    sums = [0, *accumulate(values)]
    parts = [total.rows_before for total in table.totals if total.is_part]
    are_above = bool(parts) and parts[0] == 0
    ends = [*parts, len(values)]
    following = iter(ends[1:])
    before = before_whole = 0
    for total in table.totals:
        written = parse(total.cells.get(name))
        here = total.rows_before
        if total.is_part and are_above:
            shared = min(bisect_right(ends, here), len(parts))
            counted = [sums[end] - sums[here] for end in (next(following), ends[shared])]
        elif here == 0:
            counted = [sums[-1]]
        elif total.is_part:
            counted = [sums[here] - sums[before]]
        else:
            counted = [sums[here], sums[here] - sums[before_whole]]
        if written is not None and written not in counted:
            yield total, written, counted[0]
        before = here
        before_whole = before_whole if total.is_part else here


def _read_table(sheet: Sheet, layout: Layout, reading: Reading, *, is_text: bool) -> None:
    header = find_header(sheet, layout)
    if header is None:
        reading.warnings.append(
            Problem(
                sheet.name,
                None,
                "",
                _("没有识别出表头，这个工作表没有读取"),
                _("如需导入，请在数据上方保留一行列名。"),
            )
        )
        return
    problems, places = place_columns(sheet, header)
    if problems:
        reading.problems += problems
        return
    used = {place.index for place in places.values()}
    ignored = [title for index, title in header.titles.items() if index not in used]
    table = Table(sheet.name, places, header.row + header.height, header.height, ignored=ignored)
    for index, row in enumerate(sheet.rows[: header.row], 1):
        if any(value is not None for value in row):
            table.left_out[LeftOut.ABOVE].append(index)
    if layout.group in places:
        _fill_down(sheet, header, places[layout.group])
    reading.warnings += _hidden_parts(sheet)
    reading.warnings += _take_rows(sheet, header, layout, table, is_text=is_text)
    reading.warnings += _unread_money(sheet, header, table, used)
    reading.tables.append(table)


def _unread_money(sheet: Sheet, header: Header, table: Table, used: set[int]) -> list[Problem]:
    """Columns of amounts whose titles speak of gifts and that nobody asked for."""
    unread = {index: title for index, title in header.titles.items() if index not in used}
    numbers = [row.number - 1 for row in table.rows]
    return [
        Problem(
            sheet.name,
            table.header_row,
            title,
            _("“%(title)s”一列没有读取", title=title),
            _("如是另外的捐款，请写成单独的行；如已含在金额里，可不理会。"),
        )
        for index, title in unread.items()
        if MONEY_TITLE.search(title)
        and not COUNT_TITLE.search(title)
        and any(
            _may_be_money(value)
            for number in numbers
            for value in sheet.rows[number][index : index + 1]
        )
    ]


def _may_be_money(value: Value) -> bool:
    """Whether a cell has an amount; in a .csv, and where people add 元, it is a text."""
    if isinstance(value, Decimal):
        return bool(value)
    if not isinstance(value, str):
        return isinstance(value, BadCell)
    try:
        return bool(parse_amount(value, "元"))
    except BadValue:
        return False


def _drop_marks(sheet: Sheet) -> None:
    """What `marking` has written beside the rows does not count when the file comes back."""
    for row in sheet.rows[:SEARCHED_ROWS]:
        for column in range(len(row) - 1):
            if row[column : column + 2] == list(MARKS):
                sheet.rows = [cells[:column] for cells in sheet.rows]
                return


def _hidden_parts(sheet: Sheet) -> list[Problem]:
    hidden = [
        (
            sheet.hidden_rows,
            _("第 %(places)s 行是隐藏的，照常读取", places=listed(sheet.hidden_rows)),
        ),
        (
            sheet.hidden_columns,
            _("%(places)s 列是隐藏的，照常读取", places=listed(sheet.hidden_columns)),
        ),
    ]
    remedy = _("如不需要，请删除后重新上传。")
    return [Problem(sheet.name, None, "", message, remedy) for places, message in hidden if places]


def listed(places: Sequence[int | str]) -> str:
    """The first ten."""
    return "、".join(map(str, places[:10])) + ("…" if len(places) > 10 else "")


def _fill_down(sheet: Sheet, header: Header, place: Place) -> None:
    """A merged cell of the group column counts for each of its rows."""
    for first, left, last, right in sheet.merged:
        if left == right == place.index and first >= header.row + header.height:
            for row in sheet.rows[first + 1 : last + 1]:
                row[left] = sheet.rows[first][left]


def _take_rows(
    sheet: Sheet, header: Header, layout: Layout, table: Table, *, is_text: bool
) -> list[Problem]:
    """Sorts the rows below the header into data, totals, headings and what is left out; the
    answer is the rows that nobody understands."""
    header_texts = texts_of(sheet.rows[header.row]) | texts_of(
        sheet.rows[header.row + 1] if header.height == 2 else []
    )
    heading = ""
    group: Value = None
    notes = []
    continued = _continued(sheet, table.places.get(layout.subject))
    amounts = [column.field for column in layout.columns if column.is_amount]
    shared = {name: _shared(sheet, table.places.get(name)) for name in amounts}
    for index in range(header.row + header.height, len(sheet.rows)):
        row = sheet.rows[index]
        filled = [(place, value) for place, value in enumerate(row) if value is not None]
        why = _why_left_out(row, filled, header_texts)
        if why:
            table.left_out[why].append(index + 1)
            continue
        cells = {
            name: row[place.index] if place.index < len(row) else None
            for name, place in table.places.items()
        }
        total = _find_total(index + 1, filled, cells, layout, table)
        lone_text = _lone_text(sheet, index, filled, table.places.get(layout.subject))
        if total:
            table.totals.append(total)
            table.left_out[LeftOut.TOTAL].append(index + 1)
        elif lone_text:
            heading = NUMBERING.sub("", lone_text)
            notes.append((index + 1, lone_text, len(table.rows)))
            table.left_out[LeftOut.HEADING].append(index + 1)
        elif any(value is not None for name, value in cells.items() if name != layout.group):
            if is_text and layout.group in cells:  # a .csv has blanks for merged cells
                group = cells[layout.group] = cells[layout.group] or group
            if index in continued:
                cells[layout.subject] = BadCell("", is_merged=True)
            for name, rows in shared.items():
                if index in rows:
                    cells[name] = BadCell("", is_shared=True)
            table.rows.append(Row(index + 1, cells, heading))
        else:
            table.left_out[LeftOut.NOTHING].append(index + 1)
    return [
        Problem(
            sheet.name,
            number,
            "",
            _("“%(text)s”独占一行，没有导入", text=text),
            _("如是说明文字可不理会；如是单位，请放进单位名称一列。"),
        )
        for number, text, rows_before in notes
        if layout.group in table.places or rows_before == len(table.rows)
    ]


def _why_left_out(
    row: list[Value], filled: Sequence[tuple[int, Value]], header_texts: set[str]
) -> LeftOut | None:
    if not filled:
        return LeftOut.BLANK
    if _is_header_again(row, header_texts):
        return LeftOut.HEADER
    return LeftOut.FOOTER if _is_footer(filled) else None


def _continued(sheet: Sheet, subject: Place | None) -> set[int]:
    """Rows whose subject belongs to a merged cell that begins above: whose they are is unclear."""
    return {
        row
        for first, left, last, right in sheet.merged
        if subject and left <= subject.index <= right
        for row in range(first + 1, min(last + 1, len(sheet.rows)))
    }


def _shared(sheet: Sheet, amount: Place | None) -> set[int]:
    """Rows of an amount whose cell is merged over several: how much is each one's is unclear."""
    return {
        row
        for first, left, last, right in sheet.merged
        if amount and left <= amount.index <= right and last > first
        for row in range(first, min(last + 1, len(sheet.rows)))
    }


def _is_header_again(row: list[Value], header_texts: set[str]) -> bool:
    """Lists that were made for paper repeat their header on each page."""
    filled = [value for value in row if value is not None]
    return (
        len(filled) > 1
        and all(isinstance(value, str) for value in filled)
        and (texts_of(filled) <= header_texts)
    )


def _is_footer(filled: Sequence[tuple[int, Value]]) -> bool:
    values = [value for _place, value in filled]
    if all(isinstance(value, date) for value in values):
        return True
    return (
        isinstance(values[0], str)
        and FOOTER.match(folded(values[0])) is not None
        and not any(isinstance(value, Decimal) for value in values)
    )


def _find_total(
    number: int,
    filled: Sequence[tuple[int, Value]],
    cells: dict[str, Value],
    layout: Layout,
    table: Table,
) -> Total | None:
    """The words must stand where names and numbers stand: a remark may speak of totals too."""
    last = max(
        (
            table.places[name].index
            for name in (layout.subject, layout.group)
            if name in table.places
        ),
        default=MOST_COLUMNS,
    )
    for index, value in filled:
        match = TOTAL.fullmatch(folded(value)) if isinstance(value, str) and index <= last else None
        if match:
            amounts = [column.field for column in layout.columns if column.is_amount]
            if match[3]:
                cells = cells | dict.fromkeys(amounts, match[3])
            return Total(number, str(value), match[2] == "小计", cells, len(table.rows))
    return None


def _lone_text(
    sheet: Sheet, index: int, filled: Sequence[tuple[int, Value]], subject: Place | None
) -> str:
    """The text of a row that holds nothing else and is no name: a heading or a remark."""
    if len(filled) > 1:
        return ""
    [(column, value)] = filled
    if not isinstance(value, str):
        return ""
    is_wide = (index, column) in sheet.wide
    if subject and column == subject.index and not is_wide and not NUMBERING.match(value):
        return ""
    return value
