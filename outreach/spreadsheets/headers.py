"""Finds the header of a table: one row or two, what the titles mean, the unit of the amounts."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from flask_babel import lazy_gettext as _

from outreach.spreadsheets.cells import FEN_PER, folded
from outreach.spreadsheets.layouts import Column, Layout, Place, Problem, UnitSource
from outreach.spreadsheets.reading import Sheet, Value

SEARCHED_ROWS = 30
"""Rows from the top among which the header is looked for."""
UNIT = re.compile(r"[(/:]?(?:单位:?)?(?:人民币)?(亿元|百万元|万元|千元|元)\)?$")
UNIT_NOTE = re.compile(
    r"单位:?(?:人民币)?((?:百万|[亿万千])?元)|单位:([\u4e00-\u9fa5]{1,3}元)|\(((?:百万|[亿万千])?元)\)"
)


@dataclass(frozen=True)
class Header:
    row: int
    height: int
    columns: dict[int, tuple[Column, str, str]]
    """Column, title as typed and unit, by index."""
    titles: dict[int, str]

    @property
    def fields(self) -> set[str]:
        return {column.field for column, _title, _unit in self.columns.values()}


def find_header(sheet: Sheet, layout: Layout) -> Header | None:
    """The row, or pair of rows, that names the most columns; of equals a row, and the first."""
    headers = []
    for height in (1, 2):
        for row in range(min(SEARCHED_ROWS, len(sheet.rows))):
            titles = titles_of(sheet, row, height)
            headers.append(Header(row, height, _recognise(titles, layout), titles))
    anchored = [header for header in headers if header.fields & layout.anchors]
    return max(anchored, key=lambda header: len(header.fields), default=None)


def titles_of(sheet: Sheet, row: int, height: int) -> dict[int, str]:
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
            clean, unit = clean_title(text)
            column = layout.find(clean) if clean else None
            if column and (column.is_amount or not unit):  # «单位:万元» is a note
                shown = re.sub(r"\s+", "", title)
                unit = unit or clean_title(top)[1]
                found[index] = (column, shown, unit)
                break
    return found


def clean_title(title: str) -> tuple[str, str]:
    """«捐款金额 (万元)*» is «捐款金额» and «万元»."""
    text = folded(title).casefold().strip("*:★")
    match = UNIT.search(text)
    if match and match.start() > 0:
        return text[: match.start()], match[1]
    return text, ""


def place_columns(sheet: Sheet, header: Header) -> tuple[list[Problem], dict[str, Place]]:
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
                    _("请只保留一列，或把另一列改名。"),
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
    clean = clean_title(title)[0]
    without_brackets = re.sub(r"\([^()]*\)", "", clean)
    return max(
        (known for known in column.titles if clean.endswith(known) or without_brackets == known),
        key=len,
        default=column.titles[-1],
    )


def _unit_note(sheet: Sheet, header_row: int) -> tuple[str, list[Problem]]:
    """«元» or «万元» from a note above the header, such as «单位:万元»."""
    found = {text for row in sheet.rows[:header_row] for text in texts_of(row)}
    units = {match[match.lastindex or 0] for text in found for match in UNIT_NOTE.finditer(text)}
    unknown = units - FEN_PER.keys()
    if unknown:
        problem = Problem(
            sheet.name,
            None,
            "",
            _("认不出表头上方写的金额单位“%(unit)s”", unit="、".join(sorted(unknown))),
            _("请折算成人民币，单位写“元”或“万元”。"),
        )
        return "", [problem]
    if len(units) < 2:
        return "".join(units), []
    problem = Problem(
        sheet.name,
        None,
        "",
        _("表头上方写了几种金额单位：%(units)s", units="、".join(sorted(units))),
        _("请只保留一个单位说明，或写在金额的列名里。"),
    )
    return "", [problem]


def texts_of(row: Iterable[Value]) -> set[str]:
    return {folded(value) for value in row if isinstance(value, str)}
