"""What is looked for in a sheet: columns by their titles, and what is said of it to people."""

import re
from dataclasses import dataclass
from functools import cached_property

from flask_babel import LazyString
from flask_babel import lazy_gettext as _

from outreach.spreadsheets.reading import column_name
from outreach.terms import Term


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
