"""Lists that people take away, described once: .xlsx for people, .csv for programs."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from functools import cached_property
from typing import Any, Final, TypeAlias
from unicodedata import east_asian_width

import xlsxwriter
from flask_babel import LazyString
from flask_babel import lazy_gettext as _
from xlsxwriter.utility import xl_col_to_name
from xlsxwriter.worksheet import Worksheet

from outreach import money
from outreach.spreadsheets.writing import FORMULA, sheet_name

Cell: TypeAlias = "str | LazyString | int | Decimal | date | None"
"""An int in a column of money is fen; a Decimal is written as it is, in any column."""

TEXT_ALIGNMENT: Final = {"align": "left", "indent": 1}
"""Away from the numbers before it."""
FONT = "宋体"
"""On every office machine; the program's own default has no Chinese characters."""
PADDING = 3
ROW_HEIGHT, TITLE_HEIGHT, HEADER_HEIGHT = 18, 24, 34
"""In points; a header has up to two lines."""
TITLE_ROW, NOTE_ROW, HEADER_ROW = range(3)
SUM_OF_SHOWN = 109
"""The function of SUBTOTAL that adds up what a filter leaves."""


class Style(Enum):
    """What a column holds, with the number format that shows it."""

    TEXT = "@"
    DAY = "yyyy-mm-dd"
    COUNT = "#,##0"
    YUAN = "#,##0.00"
    WAN = '#,##0.00##;-#,##0.00##;"–"'

    @property
    def is_number(self) -> bool:
        return self in {Style.COUNT, Style.YUAN, Style.WAN}


FEN_PER = {Style.YUAN: money.FEN_PER_YUAN, Style.WAN: money.FEN_PER_WAN_YUAN}


@dataclass(frozen=True)
class Field:
    title: LazyString | str
    style: Style = Style.TEXT
    width: int = 14
    """At most, in half-width characters; text that is shorter everywhere gets less."""
    is_summed: bool = False

    def number(self, value: int | Decimal) -> Decimal:
        return Decimal(value) / (FEN_PER.get(self.style, 1) if isinstance(value, int) else 1)


@dataclass(frozen=True)
class Listing:
    name: LazyString | str
    """Of the sheet."""
    fields: Sequence[Field]
    rows: Sequence[Sequence[Cell]]

    @cached_property
    def sums(self) -> dict[int, Decimal]:
        """By column, of those that are summed."""
        return {
            column: sum((field.number(value) for value in self._numbers(column)), Decimal())
            for column, field in enumerate(self.fields)
            if field.is_summed
        }

    def width(self, column: int) -> int:
        """So that an empty column does not make the print small."""
        field = self.fields[column]
        if field.style is not Style.TEXT:
            return field.width
        texts = (str(row[column]) for row in self.rows if row[column] is not None)
        longest = max(map(_width, [str(field.title), *texts]))
        return min(field.width, longest + PADDING)

    def _numbers(self, column: int) -> Iterator[int | Decimal]:
        for row in self.rows:
            if isinstance(value := row[column], int | Decimal):
                yield value


def write_csv(listing: Listing) -> bytes:
    """UTF-8 with a byte order mark, which spreadsheet programs need; a header and the rows only.
    Text that a program would take for a formula gets an apostrophe."""
    buffer = io.StringIO()
    out = csv.writer(buffer)
    out.writerow(str(field.title) for field in listing.fields)
    for row in listing.rows:
        out.writerow(map(_plain, listing.fields, row))
    return buffer.getvalue().encode("utf-8-sig")


def write_xlsx(title: str, note: str, listings: Iterable[Listing]) -> bytes:
    """A sheet for each list: title and note, a header that stays in sight and filters, the rows,
    and sums that follow the filter."""
    buffer = io.BytesIO()
    options = {
        "in_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "default_format_properties": {"font_name": FONT, "valign": "vcenter"},
    }
    book = xlsxwriter.Workbook(buffer, options)
    formats = _Formats(book)
    for listing in listings:
        sheet = book.add_worksheet(sheet_name(str(listing.name)))
        _write_head(sheet, f"{title} · {listing.name}", note, listing, formats)
        for number, row in enumerate(listing.rows, HEADER_ROW + 1):
            for column, (field, value) in enumerate(zip(listing.fields, row, strict=True)):
                _write(sheet, (number, column), field, value, formats)
        _write_sums(sheet, listing, formats)
        _set_page(sheet)
    book.close()
    return buffer.getvalue()


class _Formats:
    """Each format is made once."""

    def __init__(self, book: Any) -> None:
        self.title = book.add_format({"bold": True, "font_size": 14})
        self.note = book.add_format({"font_color": "#6B7280"})
        header = {"bold": True, "bg_color": "#DCE6F1", "border": 1, "text_wrap": True}
        self.header = book.add_format(header | {"indent": 1})
        self.number_header = book.add_format(header | {"align": "right"})
        self.label = book.add_format({"bold": True, "top": 1})
        self.risky = book.add_format({"num_format": "@", "quote_prefix": True, "indent": 1})
        self.general = book.add_format({})
        self.cells = {
            style: book.add_format(
                {"num_format": style.value} | ({} if style.is_number else TEXT_ALIGNMENT)
            )
            for style in Style
        }
        bold = {"bold": True, "top": 1}
        self.sums = {style: book.add_format(bold | {"num_format": style.value}) for style in Style}


def _write_head(
    sheet: Worksheet, title: str, note: str, listing: Listing, formats: _Formats
) -> None:
    sheet.set_default_row(ROW_HEIGHT)
    sheet.set_row(TITLE_ROW, TITLE_HEIGHT)
    sheet.set_row(HEADER_ROW, HEADER_HEIGHT)
    sheet.write_string(TITLE_ROW, 0, title, formats.title)
    sheet.write_string(NOTE_ROW, 0, note, formats.note)
    for column, field in enumerate(listing.fields):
        header = formats.number_header if field.style.is_number else formats.header
        sheet.write_string(HEADER_ROW, column, str(field.title), header)
        sheet.set_column(column, column, listing.width(column))
    sheet.freeze_panes(HEADER_ROW + 1, 1)
    last = max(HEADER_ROW + len(listing.rows), HEADER_ROW + 1)
    sheet.autofilter(HEADER_ROW, 0, last, len(listing.fields) - 1)


def _write(
    sheet: Worksheet, place: tuple[int, int], field: Field, value: Cell, formats: _Formats
) -> None:
    match value:
        case None | "":
            return
        case int():
            sheet.write_number(*place, float(field.number(value)), formats.cells[field.style])
        case Decimal():
            sheet.write_number(*place, float(value), formats.general)
        case date():
            moment = datetime.combine(value, time())
            sheet.write_datetime(*place, moment, formats.cells[Style.DAY])
        case _:
            text = str(value)
            is_risky = FORMULA.match(text) is not None
            sheet.write_string(
                *place, text, formats.risky if is_risky else formats.cells[Style.TEXT]
            )


def _write_sums(sheet: Worksheet, listing: Listing, formats: _Formats) -> None:
    if not listing.sums or not listing.rows:
        return
    first, last = HEADER_ROW + 2, HEADER_ROW + 1 + len(listing.rows)
    for column, field in enumerate(listing.fields):
        if column in listing.sums:
            name = xl_col_to_name(column)
            formula = f"=SUBTOTAL({SUM_OF_SHOWN},{name}{first}:{name}{last})"
            value = float(listing.sums[column])
            sheet.write_formula(last, column, formula, formats.sums[field.style], value)
        else:
            sheet.write_string(last, column, "" if column else str(_("合计")), formats.label)


def _set_page(sheet: Worksheet) -> None:
    """As it is printed: A4 across, all columns on a page, the header on each."""
    sheet.set_landscape()
    sheet.set_margins(left=0.4, right=0.4, top=0.5, bottom=0.6)
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(HEADER_ROW)
    sheet.set_footer("&C&P / &N")


def _width(text: str) -> int:
    """In half-width characters."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def _plain(field: Field, value: Cell) -> str:
    match value:
        case None:
            return ""
        case int() | Decimal():
            number = field.number(value)
            return (
                f"{number:.2f}"
                if isinstance(value, int) and field.style is Style.YUAN
                else f"{number:f}"
            )
        case date():
            return value.isoformat()
    text = str(value)
    return f"'{text}" if FORMULA.match(text) else text
