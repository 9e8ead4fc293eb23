"""From the bytes of a .xlsx or .csv file to sheets of plain values, without trusting the file.

What a .xlsx claims about itself is checked against what it unpacks to, and the reader is given a
fresh archive that holds only the parts that were checked: a cell at XFD1048576 makes calamine ask
for 512 GB and abort the process, and a small archive can unpack to gigabytes.
"""

import codecs
import csv
import hashlib
import io
import math
import posixpath
import re
import zipfile
import zlib
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
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
from outreach.spreadsheets import progress
from outreach.spreadsheets.progress import Stage

MOST_ROWS = 20_000
MOST_COLUMNS = 60
MOST_ENTRIES = 200
MOST_UNPACKED = 50 * 1024 * 1024
MOST_RATIO = 100
MOST_MERGED = 20_000
MOST_CHARACTERS = 20_000_000
"""In all cells together: an archive keeps a text once, in however many cells it stands."""
SHARED_TEXTS = "xl/sharedstrings.xml"
LONGEST_CELL = 32_767
"""Characters; no spreadsheet program keeps more in one cell."""
TITLE_ROWS = 50
"""Rows that titles, notes and totals may take besides the rows of data."""
ERRORS = {"#REF!", "#N/A", "#DIV/0!", "#VALUE!", "#NAME?", "#NULL!", "#NUM!"}
BLANKS = " \t\r\n\v\f\u00a0\u3000\u200b\ufeff"
LITERALS = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]')
"""What a number format shows as it stands, and its colours and conditions."""
UNSEEN = re.compile("[\x00-\x08\x0e-\x1f\x7f\xad\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
"""Control characters and marks of direction, which make two names differ that look the same."""

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
SAVE_AGAIN = _("请用 WPS 或 Excel 打开，另存为 .xlsx 后再上传。")


@dataclass(frozen=True)
class BadCell:
    """A cell whose value the file does not hold; `text` says what stands there instead."""

    text: str
    is_merged: bool = False
    """It belongs to the merged cell above it."""
    is_shared: bool = False
    """It is an amount in a cell that is merged over several rows."""


class From1904(Decimal):
    """A number of a workbook that counts its days from 1904, as old ones from a Macintosh do."""


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
    hidden_rows: list[int] = field(default_factory=list)
    """From 1, as the program numbers them; they are read like the others."""
    hidden_columns: list[str] = field(default_factory=list)

    @cached_property
    def wide(self) -> set[tuple[int, int]]:
        """Row and column of the merged cells that span columns."""
        return {(first, left) for first, left, _last, right in self.merged if right > left}


@dataclass
class Book:
    sheets: list[Sheet]
    hidden: list[str] = field(default_factory=list)
    """Names of hidden sheets, which are not read."""
    is_text: bool = False
    """A .csv, where merged cells are blank ones."""
    counts_from_1904: bool = False
    """Its numbers are `From1904`."""


def read(file: SourceFile) -> Book:
    """The sheets of the file; Refused with the way out when it is not one that can be read."""
    if not file.content:
        raise Refused(_("文件是空的。请重新选择文件。"))
    progress.begin(Stage.READING)
    if file.extension == ".xlsx":
        return _read_xlsx(file.content)
    if file.extension == ".csv":
        return _read_csv(file)
    raise Refused(
        _("只能读取 .xlsx 和 .csv 文件，这个文件是“%(name)s”。", name=file.name) + SAVE_AGAIN
    )


def _read_xlsx(content: bytes) -> Book:
    if content.startswith(OLD_OFFICE):
        raise Refused(_("文件加了密码，或者是旧版 .xls 格式。请去掉密码，") + SAVE_AGAIN)
    if not content.startswith(b"PK\x03\x04"):
        raise Refused(_("文件内容不是 .xlsx 表格，可能只是改了扩展名。") + SAVE_AGAIN)
    try:
        parts = _unpack(content)
        percents = _percent_styles(parts.get("xl/styles.xml", b""))
        scans = {name: _Scan(content, percents) for name, content in parts.items()}
        _check_extent(scans.values())
        _check_shared_texts(parts, scans)
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(_pack(parts)))
        sheet_parts = _sheet_parts(parts)
        book = _collect(workbook, {name: scans[part] for name, part in sheet_parts.items()})
        book.counts_from_1904 = _counts_from_1904(parts["xl/workbook.xml"])
        if book.counts_from_1904:
            _mark_numbers(book)
        return book
    except UNREADABLE as error:
        raise Refused(_("文件已损坏，无法读取。") + SAVE_AGAIN) from error


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
                _("文件解开后过大或结构异常，未读取。请只保留需要导入的工作表，") + SAVE_AGAIN
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

    def __init__(self, content: bytes, percent_styles: Container[str] = ()) -> None:
        self.row = self.column = -1
        self.last_row = self.last_column = -1
        self.bad_cells: dict[tuple[int, int], BadCell] = {}
        self.percents: set[tuple[int, int]] = set()
        self.merged_count = 0
        self.shared_count = 0
        """Cells that name a text which the archive keeps apart."""
        self.hidden_rows: set[int] = set()
        self.hidden_columns: set[int] = set()
        self._attributes: dict[str, str] = {}
        self._has_formula = False
        self._percent_styles = percent_styles
        self._text: list[str] = []
        self._parser = _make_parser(self._start, self._end)
        self._parser.Parse(content, True)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "c":
            self.column += 1
            if "r" in attributes:
                self.row, self.column = _place(attributes["r"])
            self._attributes, self._has_formula = attributes, False
            self.shared_count += attributes.get("t") == "s"
        elif tag in {"v", "is", "f"}:
            self.last_row = max(self.last_row, self.row)
            self.last_column = max(self.last_column, self.column)
            is_number = tag == "v" and self._attributes.get("t", "n") == "n"
            if is_number and self._attributes.get("s", "0") in self._percent_styles:
                self.percents.add((self.row, self.column))
            if tag == "f":
                self._has_formula = True
            elif self._has_formula or self._attributes.get("t") == "e":
                self._parser.CharacterDataHandler = self._text.append
        elif tag == "row":
            self.row = int(attributes["r"]) - 1 if "r" in attributes else self.row + 1
            self.column = -1
            if _is_true(attributes.get("hidden")):
                self.hidden_rows.add(self.row)
        elif tag == "mergeCell":
            self.merged_count += 1
        elif tag == "col" and _is_true(attributes.get("hidden")):
            last = min(int(attributes["max"]), MOST_COLUMNS)
            self.hidden_columns.update(range(int(attributes["min"]) - 1, last))
        elif ":" in tag:
            self._start(_local(tag), attributes)

    def _end(self, tag: str) -> None:
        if tag == "c":
            kind = self._attributes.get("t")
            if self._has_formula or kind == "e":
                text = "".join(self._text)
                if kind == "e" or not (text or kind == "str"):
                    self.bad_cells[self.row, self.column] = BadCell(text)
                self._has_formula, self._text = False, []
        elif tag in {"v", "is"}:
            if self._parser.CharacterDataHandler:
                self._parser.CharacterDataHandler = None
        elif ":" in tag:
            self._end(_local(tag))


def _percent_styles(content: bytes) -> set[str]:
    """Numbers of the styles in which a half is shown as «50%»: it is read as it is shown."""
    codes = dict.fromkeys(("9", "10"), "%")
    formats: list[str] = []
    is_inside = False

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal is_inside
        name = _local(tag)
        is_inside = is_inside or name == "cellXfs"
        if name == "numFmt":
            codes[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
        elif name == "xf" and is_inside:
            formats.append(attributes.get("numFmtId", "0"))

    def end(tag: str) -> None:
        nonlocal is_inside
        is_inside = is_inside and _local(tag) != "cellXfs"

    if content:
        _make_parser(start, end).Parse(content, True)
    return {
        str(number)
        for number, code in enumerate(formats)
        if "%" in LITERALS.sub("", codes.get(code, ""))
    }


def _counts_from_1904(content: bytes) -> bool:
    found: list[bool] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        if _local(tag) == "workbookPr":
            found.append(_is_true(attributes.get("date1904")))

    _make_parser(start).Parse(content, True)
    return any(found)


def _mark_numbers(book: Book) -> None:
    for sheet in book.sheets:
        sheet.rows = [
            [From1904(value) if isinstance(value, Decimal) else value for value in row]
            for row in sheet.rows
        ]


def _local(tag: str) -> str:
    """The name without the prefix of its namespace, which calamine does not look at either."""
    return tag.rpartition(":")[2]


def _is_true(value: str | None) -> bool:
    return value in {"1", "true"}


def _make_parser(
    start: Callable[[str, dict[str, str]], None], end: Callable[[str], None] | None = None
) -> expat.XMLParserType:
    """A parser that calls back with tags and refuses entities, which no honest sheet has."""
    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    if end is not None:
        parser.EndElementHandler = end
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
                "表格有内容写到了第 %(column)s 列，最多读取 %(most)s 列。"
                "请删除右侧多余的列后再上传。",
                column=column_name(widest - 1),
                most=MOST_COLUMNS,
            )
        )
    merged = sum(scan.merged_count for scan in scans)
    if merged > MOST_MERGED:
        raise Refused(
            _(
                "表格有 %(count)s 处合并单元格，最多 %(most)s 处。请取消合并后再上传。",
                count=merged,
                most=MOST_MERGED,
            )
        )
    if rows > MOST_ROWS + TITLE_ROWS:
        raise Refused(
            _(
                "表格共 %(rows)s 行，最多读取 %(most)s 行。"
                "请删除下方多余的内容，或拆成几个文件分别导入。",
                rows=rows,
                most=MOST_ROWS,
            )
        )


def _check_shared_texts(parts: dict[str, bytes], scans: dict[str, _Scan]) -> None:
    """The reader copies a shared text into each cell that names it. As a rule it is enough to know
    the longest; only where that could be too much are the cells added up."""
    lengths = _lengths_of_texts(parts)
    longest = max(lengths, default=0)
    if sum(scan.shared_count for scan in scans.values()) * longest <= MOST_CHARACTERS:
        return
    count = sum(
        _count_characters(parts[name], lengths) for name, scan in scans.items() if scan.shared_count
    )
    if count > MOST_CHARACTERS:
        raise Refused(
            _(
                "表格里的文字合计约 %(count)s 万字，最多 %(most)s 万字。"
                "请删除重复的长文字，或拆成几个文件分别导入。",
                count=count // 10_000,
                most=MOST_CHARACTERS // 10_000,
            )
        )


def _lengths_of_texts(parts: dict[str, bytes]) -> list[int]:
    """Characters of each shared text, at least."""
    lengths: list[int] = []

    def start(tag: str, _attributes: dict[str, str]) -> None:
        if _local(tag) == "si":
            lengths.append(0)

    def take(text: str) -> None:
        if lengths:
            lengths[-1] += len(text)

    for name, content in parts.items():
        if name.lower() == SHARED_TEXTS:
            parser = _make_parser(start)
            parser.CharacterDataHandler = take
            parser.Parse(content, True)
    return lengths


def _count_characters(content: bytes, lengths: list[int]) -> int:
    """Of the shared texts that the cells of this part name."""
    named: list[str] = []
    is_shared = False
    count = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal is_shared
        if _local(tag) == "c":
            is_shared = attributes.get("t") == "s"
            named.clear()

    def end(tag: str) -> None:
        nonlocal count
        if is_shared and _local(tag) == "v":
            number = int("".join(named))
            count += lengths[number] if number < len(lengths) else 0

    parser = _make_parser(start, end)
    parser.CharacterDataHandler = named.append
    parser.Parse(content, True)
    return count


def _sheet_parts(parts: dict[str, bytes]) -> dict[str, str]:
    """The part of each worksheet by the sheet's name."""
    targets: dict[str, str] = {}
    relations: dict[str, str] = {}

    def take_target(tag: str, attributes: dict[str, str]) -> None:
        if _local(tag) == "Relationship":
            target = posixpath.join("/xl", attributes["Target"])
            targets[attributes["Id"]] = posixpath.normpath(target).lstrip("/")

    def take_sheet(tag: str, attributes: dict[str, str]) -> None:
        if _local(tag) == "sheet":
            ids = [value for key, value in attributes.items() if key.endswith(":id")]
            relations[attributes["name"]] = ids[0]

    _make_parser(take_target).Parse(parts["xl/_rels/workbook.xml.rels"], True)
    _make_parser(take_sheet).Parse(parts["xl/workbook.xml"], True)
    return {name: targets[relation] for name, relation in relations.items()}


def _collect(workbook: CalamineWorkbook, scans: dict[str, _Scan]) -> Book:
    book = Book([])
    for sheet in workbook.sheets_metadata:
        if sheet.typ != SheetTypeEnum.WorkSheet:
            continue
        if sheet.visible != SheetVisibleEnum.Visible:
            book.hidden.append(sheet.name)
            continue
        book.sheets.append(_read_sheet(workbook.get_sheet_by_name(sheet.name), scans[sheet.name]))
    return book


def _read_sheet(sheet: CalamineSheet, scan: _Scan) -> Sheet:
    rows: list[list[Value]] = [
        [_value(cell) for cell in row] for row in sheet.to_python(skip_empty_area=False)
    ]
    for row, column in scan.percents:
        if isinstance(number := rows[row][column], Decimal):
            rows[row][column] = f"{(number * 100).normalize():f}%"
    for (row, column), bad_cell in scan.bad_cells.items():
        # calamine's range ends before cells without a value
        rows += [[] for _row in range(row - len(rows) + 1)]
        rows[row] += [None] * (column - len(rows[row]) + 1)
        rows[row][column] = bad_cell
    merged = [(*first, *last) for first, last in sheet.merged_cell_ranges or []]
    _check_lengths(rows, sheet.name)
    return Sheet(
        sheet.name,
        rows,
        merged,
        [row + 1 for row in sorted(scan.hidden_rows) if row < len(rows) and any(rows[row])],
        [column_name(column) for column in sorted(scan.hidden_columns)],
    )


def _check_lengths(rows: list[list[Value]], sheet: str) -> None:
    for number, row in enumerate(rows):
        for column, value in enumerate(row):
            if isinstance(value, str) and len(value) > LONGEST_CELL:
                raise Refused(
                    _(
                        "工作表“%(sheet)s”的 %(cell)s 格有 %(count)s 个字，最多 %(most)s 个。"
                        "请删短后再上传。",
                        sheet=sheet,
                        cell=cell_name(number, column),
                        count=len(value),
                        most=LONGEST_CELL,
                    )
                )


def _value(cell: object) -> Value:
    if isinstance(cell, str):
        return _clean(cell)
    if isinstance(cell, bool):
        return "是" if cell else "否"
    if isinstance(cell, int | float):
        # A cell holds 15 digits; what a formula leaves behind them is noise.
        return Decimal(f"{cell:.15g}") if math.isfinite(cell) else BadCell("#NUM!")
    if isinstance(cell, datetime):
        return cell.date()
    if isinstance(cell, date):
        return cell
    return _clean(str(cell))


def _clean(text: str) -> str | BadCell | None:
    clean = UNSEEN.sub("", text).strip(BLANKS)
    return BadCell(clean) if clean in ERRORS else clean or None


def _read_csv(file: SourceFile) -> Book:
    text = "" if file.content.startswith(OTHER_MAGIC) else _decode(file.content)
    if not text or any(letter < " " and letter not in "\t\r\n" for letter in set(text)):
        raise Refused(_("文件内容不是 CSV 文本，可能只是改了扩展名。") + SAVE_AGAIN)
    try:
        rows = list(_split(text))
    except csv.Error as error:
        raise Refused(_("CSV 文件的引号或分隔符有误，无法读取。") + SAVE_AGAIN) from error
    sheet = Sheet(PurePath(file.name).stem, rows)
    _check_lengths(rows, sheet.name)
    return Book([sheet], is_text=True)


def _decode(content: bytes) -> str:
    has_utf_16_mark = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if has_utf_16_mark else ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Refused(_("认不出文件的文字编码。") + SAVE_AGAIN)


def _split(text: str) -> Iterator[list[Value]]:
    beginning = text[:4000]
    delimiter = max(",;\t", key=beginning.count)
    # Before they become lists of cells, which take ten times the room.
    if any(line.count(delimiter) > LONGEST_CELL for line in text.splitlines()):
        raise Refused(_("有一行超过 %(most)s 列。请删除右侧多余的列后再上传。", most=MOST_COLUMNS))
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
        yield [_clean(cell) for cell in row[:MOST_COLUMNS]]
