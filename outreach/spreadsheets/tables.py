"""Finds the table in a sheet: titles and notes above it, one or two header rows, groups, totals,
footers. What a row means to a capability is not known here."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import cached_property
from itertools import accumulate
from typing import TypeVar

from flask_babel import LazyString
from flask_babel import lazy_gettext as _

from outreach.errors import Refused
from outreach.spreadsheets.cells import FEN_PER, BadValue, folded, text_of
from outreach.spreadsheets.reading import MOST_COLUMNS, BadCell, Book, Sheet, Value, column_name
from outreach.terms import Term

T = TypeVar("T")
MARKS = ("问题", "怎么改")
"""Titles of the columns in which a refused file tells what is wrong; see `marking`."""
MARKS_SHEET = "问题清单"
SEARCHED_ROWS = 30
"""Rows from the top among which the header is looked for."""
UNIT = re.compile(r"[(/:]?(?:单位:?)?(?:人民币)?(亿元|百万元|万元|千元|元)\)?$")
UNIT_NOTE = re.compile(
    r"单位:?(?:人民币)?((?:百万|[亿万千])?元)|单位:([\u4e00-\u9fa5]{1,3}元)|\(((?:百万|[亿万千])?元)\)"
)
TOTAL = re.compile(
    r"(.{0,40}?)(小计|合计|总计|共计|累计)(?:\(.*\))?:?([\d,.]+(?:[亿万千]元?|元)?)?"
)
FOOTER = re.compile(
    r"(制表|审核|复核|填表|填报|经办|主管|负责|统计|报送|说明|备注|附注|注|盖章|联系).{0,8}:"
    r"|第\d+页|共\d+页|\(?盖章\)?"
)
NUMBERING = re.compile(r"^(?:[一二三四五六七八九十]+、|\([一二三四五六七八九十]+\))")


@dataclass(frozen=True)
class Problem:
    """Something in the file that a person must mend, or (as a warning) should know."""

    sheet: str
    row: int | None
    """As the spreadsheet program numbers it, from 1."""
    column: str
    """The title of the column, or empty."""
    message: LazyString | str
    remedy: LazyString | str = ""

    def as_dict(self) -> dict[str, str | int | None]:
        return {
            "sheet": self.sheet,
            "row": self.row,
            "column": self.column,
            "message": str(self.message),
            "remedy": str(self.remedy),
        }


@dataclass(frozen=True)
class Column:
    """A column that is understood, under any of its titles."""

    field: str
    words: str
    """The titles with blanks between, the most telling one first."""
    is_amount: bool = False

    @cached_property
    def titles(self) -> list[str]:
        return self.words.split()

    @property
    def label(self) -> str:
        return self.titles[0]


@dataclass(frozen=True)
class Layout:
    columns: tuple[Column, ...]
    anchors: frozenset[str]
    """Fields of which a header has at least one."""
    subject: str
    """The field that names what the row is about."""
    group: str
    """The field whose merged cells count for every row beside them."""

    def find(self, title: str) -> Column | None:
        return self._by_title.get(title) or self._by_title.get(re.sub(r"\([^()]*\)", "", title))

    @cached_property
    def _by_title(self) -> dict[str, Column]:
        return {title: column for column in self.columns for title in column.titles}

    def label(self, name: str) -> str:
        return next(column.label for column in self.columns if column.field == name)


class UnitSource(Term):
    """What says in which unit the amounts are."""

    TITLE = "title", _("列名里写明")
    NOTE = "note", _("表头上方写明")
    NOBODY = "nobody", _("没有写明，按元计")


@dataclass(frozen=True)
class Place:
    """Where a field stands in one sheet."""

    index: int
    title: str
    label: str
    """What it was recognised as."""
    unit: str = ""
    """«元» or «万元» of an amount; empty when neither the column nor a note says."""
    unit_source: UnitSource | None = None
    """None for what is no amount."""

    @property
    def letter(self) -> str:
        return column_name(self.index)


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


@dataclass(frozen=True)
class _Header:
    row: int
    height: int
    columns: dict[int, tuple[Column, str, str]]
    """Column, title as typed and unit, by index."""
    titles: dict[int, str]

    @property
    def fields(self) -> set[str]:
        return {column.field for column, _title, _unit in self.columns.values()}


def find_tables(book: Book, layout: Layout) -> Reading:
    reading = Reading()
    for name in book.hidden:
        reading.warnings.append(
            Problem(name, None, "", _("工作表是隐藏的,没有读取"), _("如需导入,请取消隐藏。"))
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
                _("请在数据上方保留一行列名。能识别的列:%(columns)s。", columns=known),
            )
        )
    return reading


def check_totals(
    table: Table, name: str, values: Sequence[int], parse: Callable[[Value], int | None]
) -> Iterator[tuple[Total, int, int]]:
    """Totals of the sheet that are not what they should be: total, written, counted.

    `values` are those of `table.rows`, in order; BadValue when a total is no number.
    """
    sums = [0, *accumulate(values)]
    before = before_whole = 0
    for position, total in enumerate(table.totals):
        written = parse(total.cells.get(name))
        here = total.rows_before
        if here == 0:  # it stands above what it adds up
            is_next = total.is_part and position + 1 < len(table.totals)
            counted = [sums[table.totals[position + 1].rows_before if is_next else -1]]
        elif total.is_part:
            counted = [sums[here] - sums[before]]
        else:
            counted = [sums[here], sums[here] - sums[before_whole]]
        if written is not None and written not in counted:
            yield total, written, counted[0]
        before = here
        before_whole = before_whole if total.is_part else here


def _read_table(sheet: Sheet, layout: Layout, reading: Reading, *, is_text: bool) -> None:
    header = _find_header(sheet, layout)
    if header is None:
        reading.warnings.append(
            Problem(
                sheet.name,
                None,
                "",
                _("没有识别出表头,这个工作表没有读取"),
                _("如需导入,请在数据上方保留一行列名。"),
            )
        )
        return
    problems, places = _place_columns(sheet, header)
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
    reading.tables.append(table)


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
            _("第 %(places)s 行是隐藏的,照常读取", places=listed(sheet.hidden_rows)),
        ),
        (
            sheet.hidden_columns,
            _("%(places)s 列是隐藏的,照常读取", places=listed(sheet.hidden_columns)),
        ),
    ]
    remedy = _("如不需要,请删除后重新上传。")
    return [Problem(sheet.name, None, "", message, remedy) for places, message in hidden if places]


def listed(places: Sequence[int | str]) -> str:
    """The first ten."""
    return "、".join(map(str, places[:10])) + ("…" if len(places) > 10 else "")


def _find_header(sheet: Sheet, layout: Layout) -> _Header | None:
    """The row, or pair of rows, that names the most columns; of equals a row, and the first."""
    headers = []
    for height in (1, 2):
        for row in range(min(SEARCHED_ROWS, len(sheet.rows))):
            titles = _titles(sheet, row, height)
            headers.append(_Header(row, height, _recognise(titles, layout), titles))
    anchored = [header for header in headers if header.fields & layout.anchors]
    return max(anchored, key=lambda header: len(header.fields), default=None)


def _titles(sheet: Sheet, row: int, height: int) -> dict[int, str]:
    """Titles by column; of a two-row header both lines, the upper one spread to the right."""
    upper = sheet.rows[row]
    if height == 1:
        return {index: value for index, value in enumerate(upper) if isinstance(value, str)}
    lower = sheet.rows[row + 1] if row + 1 < len(sheet.rows) else []
    if not any(lower) or any(isinstance(value, Decimal | date) for value in lower):
        return {}
    titles = {}
    group = ""
    for index in range(max(len(upper), len(lower))):
        top = upper[index] if index < len(upper) else None
        bottom = lower[index] if index < len(lower) else None
        if isinstance(top, str):
            group = top
        if isinstance(bottom, str):
            titles[index] = f"{group}\n{bottom}" if group else bottom
        elif isinstance(top, str):
            titles[index] = top
    return titles


def _recognise(titles: dict[int, str], layout: Layout) -> dict[int, tuple[Column, str, str]]:
    found = {}
    for index, title in titles.items():
        top, _line, bottom = title.rpartition("\n") if "\n" in title else ("", "", title)
        for text in (top + bottom, bottom, top):
            clean, unit = _clean_title(text)
            column = layout.find(clean) if clean else None
            if column and (column.is_amount or not unit):  # «单位:万元» is a note
                shown = re.sub(r"\s+", "", title)
                unit = unit or _clean_title(top)[1]
                found[index] = (column, shown, unit)
                break
    return found


def _clean_title(title: str) -> tuple[str, str]:
    """«捐款金额 (万元)*» is «捐款金额» and «万元»."""
    text = folded(title).casefold().strip("*:★")
    match = UNIT.search(text)
    if match and match.start() > 0:
        return text[: match.start()], match[1]
    return text, ""


def _place_columns(sheet: Sheet, header: _Header) -> tuple[list[Problem], dict[str, Place]]:
    has_amount = any(column.is_amount for column, _title, _unit in header.columns.values())
    note, problems = _unit_note(sheet, header.row) if has_amount else ("", [])
    places: dict[str, Place] = {}
    ranks: dict[str, int] = {}
    for index, (column, title, unit) in header.columns.items():
        rank = column.titles.index(_rank_title(column, title))
        if column.field in places and (column.is_amount or ranks[column.field] == rank):
            problems.append(
                Problem(
                    sheet.name,
                    header.row + 1,
                    title,
                    _(
                        "“%(one)s”和“%(other)s”都像是“%(field)s”",
                        one=places[column.field].title,
                        other=title,
                        field=column.label,
                    ),
                    _("请只保留一列,或把另一列改名。"),
                )
            )
        elif column.field not in places or rank < ranks[column.field]:
            places[column.field] = _make_place(index, title, column, unit, note)
            ranks[column.field] = rank
    return problems, places


def _make_place(index: int, title: str, column: Column, unit: str, note: str) -> Place:
    if not column.is_amount:
        return Place(index, title, column.label)
    source = UnitSource.TITLE if unit else UnitSource.NOTE if note else UnitSource.NOBODY
    return Place(index, title, column.label, unit or note, source)


def _rank_title(column: Column, title: str) -> str:
    clean = _clean_title(title)[0]
    without_brackets = re.sub(r"\([^()]*\)", "", clean)
    return max(
        (known for known in column.titles if clean.endswith(known) or without_brackets == known),
        key=len,
        default=column.titles[-1],
    )


def _unit_note(sheet: Sheet, header_row: int) -> tuple[str, list[Problem]]:
    """«元» or «万元» from a note above the header, such as «单位:万元»."""
    texts = {text for row in sheet.rows[:header_row] for text in _texts(row)}
    units = {match[match.lastindex or 0] for text in texts for match in UNIT_NOTE.finditer(text)}
    unknown = units - FEN_PER.keys()
    if unknown:
        problem = Problem(
            sheet.name,
            None,
            "",
            _("认不出表头上方写的金额单位“%(unit)s”", unit="、".join(sorted(unknown))),
            _("请折算成人民币,单位写“元”或“万元”。"),
        )
        return "", [problem]
    if len(units) < 2:
        return "".join(units), []
    problem = Problem(
        sheet.name,
        None,
        "",
        _("表头上方写了几种金额单位:%(units)s", units="、".join(sorted(units))),
        _("请只保留一个单位说明,或写在金额的列名里。"),
    )
    return "", [problem]


def _fill_down(sheet: Sheet, header: _Header, place: Place) -> None:
    """A merged cell of the group column counts for each of its rows."""
    for first, left, last, right in sheet.merged:
        if left == right == place.index and first >= header.row + header.height:
            for row in sheet.rows[first + 1 : last + 1]:
                row[left] = sheet.rows[first][left]


def _take_rows(
    sheet: Sheet, header: _Header, layout: Layout, table: Table, *, is_text: bool
) -> list[Problem]:
    """Sorts the rows below the header into data, totals, headings and what is left out; the
    answer is the rows that nobody understands."""
    header_texts = _texts(sheet.rows[header.row]) | _texts(
        sheet.rows[header.row + 1] if header.height == 2 else []
    )
    heading = ""
    group: Value = None
    notes = []
    continued = _continued(sheet, table.places.get(layout.subject))
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
            table.rows.append(Row(index + 1, cells, heading))
        else:
            table.left_out[LeftOut.NOTHING].append(index + 1)
    return [
        Problem(
            sheet.name,
            number,
            "",
            _("“%(text)s”独占一行,没有导入", text=text),
            _("如是说明文字可不理会;如是单位,请放进单位名称一列。"),
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


def _texts(row: Iterable[Value]) -> set[str]:
    return {folded(value) for value in row if isinstance(value, str)}


def _is_header_again(row: list[Value], header_texts: set[str]) -> bool:
    """Lists that were made for paper repeat their header on each page."""
    filled = [value for value in row if value is not None]
    return (
        len(filled) > 1
        and all(isinstance(value, str) for value in filled)
        and (_texts(filled) <= header_texts)
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
