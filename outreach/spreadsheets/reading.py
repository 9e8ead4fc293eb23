"""From the bytes of a .xlsx or .csv file to sheets of plain values, without trusting the file.

What a .xlsx claims about itself is checked against what it unpacks to, and the reader is given a
fresh archive that holds only the parts that were checked: a cell at XFD1048576 makes calamine ask
for 512 GB and abort the process, and a small archive can unpack to gigabytes.
"""

import csv
import hashlib
import io
import posixpath
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import PurePath
from xml.parsers import expat

from flask_babel import lazy_gettext as _
from python_calamine import (
    CalamineError,
    CalamineSheet,
    CalamineWorkbook,
    SheetTypeEnum,
    SheetVisibleEnum,
)

from outreach.errors import Refused

MOST_ROWS = 20_000
MOST_COLUMNS = 60
MOST_ENTRIES = 200
MOST_UNPACKED = 50 * 1024 * 1024
MOST_RATIO = 100
TITLE_ROWS = 50
"""Rows that titles, notes and totals may take besides the rows of data."""
BLANKS = " \t\r\n\v\f\u00a0\u3000\u200b\ufeff"

OLD_OFFICE = b"\xd0\xcf\x11\xe0"
OTHER_MAGIC = (
    b"PK",
    b"MZ",
    OLD_OFFICE,
    b"\x7fELF",
    b"%PDF",
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"{\\rtf",
)
UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    EOFError,
    KeyError,
    IndexError,
    ValueError,
    expat.ExpatError,
    CalamineError,
)
SAVE_AGAIN = _("请用 WPS 或 Excel 打开,另存为 .xlsx 后再上传。")


@dataclass(frozen=True)
class BadCell:
    """A cell whose value the file does not hold; `text` says what stands there instead."""

    text: str


Value = str | Decimal | date | BadCell | None
"""Text without blanks around it, a number, a day, or None for an empty cell."""

Range = tuple[int, int, int, int]
"""First row, first column, last row, last column; all from 0."""


@dataclass(frozen=True)
class SourceFile:
    name: str
    content: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def extension(self) -> str:
        return PurePath(self.name).suffix.lower()


@dataclass
class Sheet:
    name: str
    rows: list[list[Value]]
    merged: list[Range] = field(default_factory=list)


@dataclass
class Book:
    sheets: list[Sheet]
    hidden: list[str] = field(default_factory=list)
    """Names of hidden sheets, which are not read."""
    is_text: bool = False
    """A .csv, where merged cells are blank ones."""


def read(file: SourceFile) -> Book:
    """The sheets of the file; Refused with the way out when it is not one that can be read."""
    if not file.content:
        raise Refused(_("文件是空的。请重新选择文件。"))
    if file.extension == ".xlsx":
        return _read_xlsx(file.content)
    if file.extension == ".csv":
        return _read_csv(file)
    raise Refused(
        _("只能读取 .xlsx 和 .csv 文件,这个文件是“%(name)s”。", name=file.name) + SAVE_AGAIN
    )


def _read_xlsx(content: bytes) -> Book:
    if content.startswith(OLD_OFFICE):
        raise Refused(_("文件加了密码,或者是旧版 .xls 格式。请去掉密码,") + SAVE_AGAIN)
    if not content.startswith(b"PK\x03\x04"):
        raise Refused(_("文件内容不是 .xlsx 表格,可能只是改了扩展名。") + SAVE_AGAIN)
    try:
        parts = _unpack(content)
        scans = {name: _Scan(content) for name, content in parts.items()}
        _check_extent(scans.values())
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(_pack(parts)))
        sheet_parts = _sheet_parts(parts)
        bad_cells = {name: scans[part].bad_cells for name, part in sheet_parts.items()}
        return _collect(workbook, bad_cells)
    except UNREADABLE as error:
        raise Refused(_("文件已损坏,无法读取。") + SAVE_AGAIN) from error


def _unpack(content: bytes) -> dict[str, bytes]:
    """The XML parts of the archive; what it says of their sizes is looked at first and then held
    to, because `zipfile` never reads more of a part than the directory announced."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        size = sum(entry.file_size for entry in entries)
        if any(entry.flag_bits & 1 for entry in entries):
            raise Refused(_("文件加了密码。请去掉密码后再上传。"))
        if (
            len(entries) > MOST_ENTRIES
            or size > MOST_UNPACKED
            or size > MOST_RATIO * len(content)
            or len({entry.filename for entry in entries}) < len(entries)
        ):
            raise Refused(
                _("文件解开后过大或结构异常,未读取。请只保留需要导入的工作表,") + SAVE_AGAIN
            )
        return {
            entry.filename: archive.read(entry)
            for entry in entries
            if entry.filename.endswith((".xml", ".rels"))
        }


def _pack(parts: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return buffer.getvalue()


class _Scan:
    """One pass over a part: how far its filled cells reach, and which hold no usable value.

    Positions are counted as calamine counts them, with or without the `r` attribute.
    """

    def __init__(self, content: bytes) -> None:
        self.row = self.column = -1
        self.last_row = self.last_column = -1
        self.bad_cells: dict[tuple[int, int], BadCell] = {}
        self._attributes: dict[str, str] = {}
        self._has_formula = False
        self._text: list[str] = []
        self._parser = _make_parser(self._start, self._end)
        self._parser.Parse(content, True)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "row":
            self.row = int(attributes["r"]) - 1 if "r" in attributes else self.row + 1
            self.column = -1
        elif tag == "c":
            self.column += 1
            if "r" in attributes:
                self.row, self.column = _place(attributes["r"])
            self._attributes, self._has_formula, self._text = attributes, False, []
        elif tag in {"v", "is", "f"}:
            self.last_row = max(self.last_row, self.row)
            self.last_column = max(self.last_column, self.column)
            if tag == "f":
                self._has_formula = True
            elif self._has_formula or self._attributes.get("t") == "e":
                self._parser.CharacterDataHandler = self._text.append

    def _end(self, tag: str) -> None:
        if tag in {"v", "is"}:
            self._parser.CharacterDataHandler = None
        elif tag == "c":
            text = "".join(self._text)
            is_text = self._attributes.get("t") == "str"
            if self._attributes.get("t") == "e" or (self._has_formula and not text and not is_text):
                self.bad_cells[self.row, self.column] = BadCell(text)
            self._has_formula = False


def _make_parser(
    start: Callable[[str, dict[str, str]], None], end: Callable[[str], None] | None = None
) -> expat.XMLParserType:
    """A parser that calls back with local names and refuses entities, which no honest sheet has."""
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda tag, attributes: start(tag.rpartition(":")[2], attributes)
    if end is not None:
        parser.EndElementHandler = lambda tag: end(tag.rpartition(":")[2])
    parser.EntityDeclHandler = _refuse_entity
    return parser


def _refuse_entity(*_declaration: object) -> None:
    raise expat.ExpatError("entities are not read")


def _place(reference: str) -> tuple[int, int]:
    """Row and column, from 0, of a reference such as «AB12»."""
    letters = reference.rstrip("0123456789")
    column = 0
    for letter in letters.upper():
        column = column * 26 + ord(letter) - ord("A") + 1
    return int(reference[len(letters) :]) - 1, column - 1


def cell_name(row: int, column: int) -> str:
    """«AB12» for row and column counted from 0."""
    return f"{column_name(column)}{row + 1}"


def column_name(column: int) -> str:
    """«AB» for a column counted from 0."""
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def _check_extent(scans: Iterable[_Scan]) -> None:
    scans = list(scans)
    widest = max(scan.last_column for scan in scans) + 1
    rows = sum(scan.last_row + 1 for scan in scans)
    if widest > MOST_COLUMNS:
        raise Refused(
            _(
                "表格有内容写到了第 %(column)s 列,最多读取 %(most)s 列。"
                "请删除右侧多余的列后再上传。",
                column=column_name(widest - 1),
                most=MOST_COLUMNS,
            )
        )
    if rows > MOST_ROWS + TITLE_ROWS:
        raise Refused(
            _(
                "表格共 %(rows)s 行,最多读取 %(most)s 行。"
                "请删除下方多余的内容,或拆成几个文件分别导入。",
                rows=rows,
                most=MOST_ROWS,
            )
        )


def _sheet_parts(parts: dict[str, bytes]) -> dict[str, str]:
    """The part of each worksheet by the sheet's name."""
    targets: dict[str, str] = {}
    relations: dict[str, str] = {}

    def take_target(tag: str, attributes: dict[str, str]) -> None:
        if tag == "Relationship":
            target = posixpath.join("/xl", attributes["Target"])
            targets[attributes["Id"]] = posixpath.normpath(target).lstrip("/")

    def take_sheet(tag: str, attributes: dict[str, str]) -> None:
        if tag == "sheet":
            ids = [value for key, value in attributes.items() if key.endswith(":id")]
            relations[attributes["name"]] = ids[0]

    _make_parser(take_target).Parse(parts["xl/_rels/workbook.xml.rels"], True)
    _make_parser(take_sheet).Parse(parts["xl/workbook.xml"], True)
    return {name: targets[relation] for name, relation in relations.items()}


def _collect(
    workbook: CalamineWorkbook, bad_cells: dict[str, dict[tuple[int, int], BadCell]]
) -> Book:
    book = Book([])
    for sheet in workbook.sheets_metadata:
        if sheet.typ != SheetTypeEnum.WorkSheet:
            continue
        if sheet.visible != SheetVisibleEnum.Visible:
            book.hidden.append(sheet.name)
            continue
        book.sheets.append(
            _read_sheet(workbook.get_sheet_by_name(sheet.name), bad_cells.get(sheet.name, {}))
        )
    return book


def _read_sheet(sheet: CalamineSheet, bad_cells: dict[tuple[int, int], BadCell]) -> Sheet:
    rows: list[list[Value]] = [
        [_value(cell) for cell in row] for row in sheet.to_python(skip_empty_area=False)
    ]
    for (row, column), bad_cell in bad_cells.items():
        # calamine's range ends before cells without a value
        rows += [[] for _row in range(row - len(rows) + 1)]
        rows[row] += [None] * (column - len(rows[row]) + 1)
        rows[row][column] = bad_cell
    merged = [(*first, *last) for first, last in sheet.merged_cell_ranges or []]
    return Sheet(sheet.name, rows, merged)


def _value(cell: object) -> Value:
    if isinstance(cell, bool):
        return "是" if cell else "否"
    if isinstance(cell, int | float):
        # A cell holds 15 digits; what a formula leaves behind them is noise.
        return Decimal(f"{cell:.15g}")
    if isinstance(cell, datetime):
        return cell.date()
    if isinstance(cell, date):
        return cell
    return str(cell).strip(BLANKS) or None


def _read_csv(file: SourceFile) -> Book:
    text = "" if file.content.startswith(OTHER_MAGIC) else _decode(file.content)
    if not text or any(letter < " " and letter not in "\t\r\n" for letter in set(text)):
        raise Refused(_("文件内容不是 CSV 文本,可能只是改了扩展名。") + SAVE_AGAIN)
    try:
        rows = list(_split(text))
    except csv.Error as error:
        raise Refused(_("CSV 文件的引号或分隔符有误,无法读取。") + SAVE_AGAIN) from error
    return Book([Sheet(PurePath(file.name).stem, rows)], is_text=True)


def _decode(content: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Refused(_("认不出文件的文字编码。") + SAVE_AGAIN)


def _split(text: str) -> Iterator[list[Value]]:
    beginning = text[:4000]
    delimiter = max(",;\t", key=beginning.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    for number, row in enumerate(reader, 1):
        if number > MOST_ROWS + TITLE_ROWS:
            raise Refused(_("表格超过 %(most)s 行。请拆成几个文件分别导入。", most=MOST_ROWS))
        if len(row) > MOST_COLUMNS and any(row[MOST_COLUMNS:]):
            raise Refused(
                _(
                    "第 %(row)s 行超过 %(most)s 列。请删除右侧多余的列后再上传。",
                    row=number,
                    most=MOST_COLUMNS,
                )
            )
        yield [cell.strip(BLANKS) or None for cell in row[:MOST_COLUMNS]]
