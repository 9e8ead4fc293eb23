"""A refused file as it came, with what is wrong written beside each row, to be mended and sent
back."""

import io
import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import xlsxwriter
from xlsxwriter.worksheet import Worksheet

from outreach.spreadsheets.layouts import Problem
from outreach.spreadsheets.reading import MOST_COLUMNS, BadCell, Book, Range, Sheet, Value
from outreach.spreadsheets.tables import MARKS, MARKS_SHEET, Table
from outreach.spreadsheets.writing import FORMULA, sheet_name

LIST_TITLES = ("工作表", "行", "列", *MARKS)
ROW_COLOUR, CELL_COLOUR, TITLE_COLOUR = "#FFF2CC", "#F8B4B4", "#DCE6F1"


def mark(book: Book, tables: Iterable[Table], problems: Sequence[Problem]) -> bytes:
    """A .xlsx with the rows of the book. Texts stay texts, also those that look like formulas;
    numbers, days and merged cells stay what they are, so that it reads as the file did."""
    buffer = io.BytesIO()
    workbook = xlsxwriter.Workbook(buffer, {"in_memory": True, "date_1904": book.counts_from_1904})
    by_sheet = {table.sheet: table for table in tables}
    for sheet in book.sheets:
        own = [problem for problem in problems if problem.sheet == sheet.name]
        _Marked(workbook, sheet, by_sheet.get(sheet.name), own).write()
    rest = [problem for problem in problems if problem.row is None]
    if rest:
        _write_list(workbook, rest)
    workbook.close()
    return buffer.getvalue()


class _Marked:
    def __init__(
        self, workbook: Any, sheet: Sheet, table: Table | None, problems: Sequence[Problem]
    ) -> None:
        self._formats = _Formats(workbook)
        self._sheet = sheet
        self._table = table
        self._out: Worksheet = workbook.add_worksheet(sheet_name(sheet.name))
        self._told: dict[int, list[Problem]] = defaultdict(list)
        for problem in problems:
            if problem.row is not None:
                self._told[problem.row].append(problem)
        # A sheet as wide as can be read has no room beside it: the cells are marked all the same.
        width = max(map(len, sheet.rows), default=0)
        self._column = width if width + len(MARKS) <= MOST_COLUMNS else None
        # In a .csv a blank group repeats the one above; in a .xlsx it must be written out.
        self._cells = {row.number: row.cells for row in table.rows} if table else {}

    def write(self) -> None:
        covered = self._merge(self._sheet.merged)
        for index, row in enumerate(self._sheet.rows):
            colours = self._colours(index + 1, len(row))
            understood = self._understood(index + 1)
            for column, value in enumerate(row):
                if (index, column) not in covered:
                    known = understood.get(column) if value is None else value
                    self._put(index, column, known, colours.get(column, ""))
        if self._column is not None:
            header = self._table.header_row - 1 if self._table else 0
            self._out.write_row(header, self._column, MARKS, self._formats.get(TITLE_COLOUR))
            for number, problems in self._told.items():
                texts = (
                    "；".join(dict.fromkeys(str(problem.message) for problem in problems)),
                    "".join(dict.fromkeys(str(problem.remedy) for problem in problems)),
                )
                for place, text in enumerate(texts):
                    self._put(number - 1, self._column + place, text, ROW_COLOUR)
            self._out.set_column(self._column, self._column + 1, 40)
        self._out.set_column(0, (self._column or MOST_COLUMNS) - 1, 16)

    def _merge(self, ranges: Iterable[Range]) -> set[tuple[int, int]]:
        """Merges what was merged; the cells that are covered by it, which stay empty."""
        covered: set[tuple[int, int]] = set()
        width = self._column or MOST_COLUMNS
        for first, left, last, right in ranges:
            last, right = min(last, len(self._sheet.rows) - 1), min(right, width - 1)  # noqa: PLW2901
            if {(first, left), (first, right), (last, left), (last, right)} & covered:
                continue
            own = set(itertools.product(range(first, last + 1), range(left, right + 1)))
            if len(own) > 1 and not own & covered:
                self._out.merge_range(first, left, last, right, "", self._formats.get(""))
                covered |= own - {(first, left)}
        return covered

    def _understood(self, number: int) -> dict[int, Value]:
        cells = self._cells.get(number, {})
        places = self._table.places if self._table else {}
        return {
            place.index: cells[name]
            for name, place in places.items()
            if name in cells and not isinstance(cells[name], BadCell)
        }

    def _colours(self, number: int, width: int) -> dict[int, str]:
        problems = self._told.get(number)
        if not problems:
            return {}
        titles = {problem.column for problem in problems}
        places = self._table.places.values() if self._table else ()
        return dict.fromkeys(range(width), ROW_COLOUR) | {
            place.index: CELL_COLOUR for place in places if place.title in titles
        }

    def _put(self, row: int, column: int, value: Value, colour: str) -> None:
        if isinstance(value, BadCell):
            value = value.text or "#N/A"
        match value:
            case str():
                self._out.write_string(row, column, value, self._formats.of_text(value, colour))
            case Decimal():
                self._out.write_number(row, column, float(value), self._formats.get(colour))
            case date():
                moment = datetime.combine(value, time())
                self._out.write_datetime(row, column, moment, self._formats.of_day(colour))
            case None if colour:
                self._out.write_blank(row, column, None, self._formats.get(colour))


class _Formats:
    """Each format is made once."""

    def __init__(self, workbook: Any) -> None:
        self._workbook = workbook
        self._made: dict[tuple[tuple[str, Any], ...], Any] = {}

    def get(self, colour: str, **properties: Any) -> Any:
        if colour:
            properties |= {"bg_color": colour, "border": 1, "border_color": "#D0D0D0"}
        key = tuple(sorted(properties.items()))
        if key not in self._made:
            self._made[key] = self._workbook.add_format(properties)
        return self._made[key]

    def of_text(self, text: str, colour: str) -> Any:
        is_risky = FORMULA.match(text) is not None
        return self.get(colour, num_format="@", **({"quote_prefix": True} if is_risky else {}))

    def of_day(self, colour: str) -> Any:
        return self.get(colour, num_format="yyyy-mm-dd")


def _write_list(workbook: Any, problems: Iterable[Problem]) -> None:
    sheet = workbook.add_worksheet(MARKS_SHEET)
    sheet.write_row(0, 0, LIST_TITLES)
    for number, problem in enumerate(problems, 1):
        facts: Mapping[str, Any] = problem.as_dict()
        for column, value in enumerate(facts.values()):
            sheet.write_string(number, column, str(value or ""))
    sheet.set_column(0, len(LIST_TITLES) - 1, 30)
