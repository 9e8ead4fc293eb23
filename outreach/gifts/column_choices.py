"""Which column of a statement is which, where a person has said so. It is kept under the titles of
the columns, and holds when they come again."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import sqlalchemy as sa
from flask_babel import lazy_gettext as _

from outreach import audit, clock
from outreach.accounts.models import User
from outreach.db import db, insert_new
from outreach.errors import Refused
from outreach.gifts.models import ColumnChoice, Source
from outreach.gifts.payments import FIELDS, LAYOUT, ChosenLayout
from outreach.gifts.stated_totals import take_notes
from outreach.spreadsheets.headers import SEARCHED_ROWS, clean_title, find_header, titles_of
from outreach.spreadsheets.reading import Book, Sheet, Value, column_name

LABELS = {column.field: column.label for column in FIELDS}
FEWEST = 2
"""Titles of a row that may be a header."""
SAMPLE_ROWS = 3


@dataclass(frozen=True)
class Heading:
    """A row, or a pair of rows, that may be the header of a sheet."""

    row: int
    height: int
    titles: Mapping[int, str]
    """By the index of the column; of a pair both lines, with a line break between."""

    @cached_property
    def keys(self) -> dict[int, str]:
        """The titles as they are compared."""
        return {index: _key(title) for index, title in self.titles.items() if _key(title)}

    @cached_property
    def fingerprint(self) -> str:
        """The same for the same titles, in whatever order."""
        return hashlib.sha256("\n".join(sorted(self.keys.values())).encode()).hexdigest()

    @property
    def name(self) -> str:
        """What an address calls it."""
        return f"{self.row}-{self.height}"

    @property
    def shown(self) -> str:
        return "、".join(" ".join(title.split()) for title in self.titles.values())

    def letter(self, index: int) -> str:
        return column_name(index)

    def samples(self, sheet: Sheet, index: int) -> list[Value]:
        """What the column holds in the first rows below."""
        first = self.row + self.height
        rows = sheet.rows[first : first + SEARCHED_ROWS]
        values = (row[index] for row in rows if index < len(row) and row[index] is not None)
        return [value for value, _number in zip(values, range(SAMPLE_ROWS), strict=False)]


def take_sheet(book: Book) -> Sheet:
    """The first one that holds something, without what the file says of itself. Refused when it
    is of a platform, whose columns are known."""
    for sheet in book.sheets:
        if any(value is not None for row in sheet.rows for value in row):
            source = take_notes(sheet).source
            if source is not Source.BANK:
                raise Refused(
                    _("这是%(source)s账单，各列已能识别，不用对应。", source=source.label)
                )
            return sheet
    raise Refused(_("文件里没有内容。请换一个文件。"))


def list_headings(sheet: Sheet) -> list[Heading]:
    """All rows, and then all pairs of rows, that may be the header."""
    return [heading for height in (1, 2) for heading in _headings(sheet, height)]


def guess_heading(sheet: Sheet) -> Heading:
    """The header that is known by itself, or else the row with the most titles; Refused when no
    row has any."""
    headings = list_headings(sheet)
    known = find_header(sheet, LAYOUT)
    for heading in headings:
        if known and (heading.row, heading.height) == (known.row, known.height):
            return heading
    if not headings:
        raise Refused(_("文件里没有列名。请在数据上方加一行列名，再上传。"))
    return max(headings, key=lambda heading: (heading.height == 1, len(heading.keys)))


def find_choice(sheet: Sheet) -> ColumnChoice | None:
    """What was said of one of the rows that may be the header."""
    fingerprints = {heading.fingerprint for heading in list_headings(sheet)}
    said = sa.select(ColumnChoice).where(ColumnChoice.fingerprint.in_(fingerprints))
    return db.session.scalars(said.order_by(ColumnChoice.id.desc())).first()


def propose_fields(heading: Heading) -> dict[int, str]:
    """By the index of the column: what was said of these titles, or else what they mean by
    themselves, each field once."""
    said = db.session.scalar(sa.select(ColumnChoice).filter_by(fingerprint=heading.fingerprint))
    proposed: dict[int, str] = {}
    for index, key in heading.keys.items():
        column = None if said else LAYOUT.find(key)
        name = said.fields.get(key) if said else column.field if column else None
        if name and name not in proposed.values():
            proposed[index] = name
    return proposed


def layout_of(choice: ColumnChoice) -> ChosenLayout:
    return ChosenLayout(LAYOUT.columns, LAYOUT.anchors, LAYOUT.subject, LAYOUT.group, choice.fields)


def choose_columns(
    heading: Heading, fields: Mapping[int, str], *, file_name: str, by: User | None
) -> None:
    """Keeps what each column is, by its index. Refused when nothing can be read that way, and when
    two columns could not be told apart in the next file."""
    _check(heading, fields)
    values = {
        "fields": {heading.keys[index]: name for index, name in fields.items()},
        "file_name": file_name[:200],
        "chosen_at": clock.now(),
        "chosen_by_id": by.id if by else None,
    }
    row = {"fingerprint": heading.fingerprint} | values
    if not insert_new(ColumnChoice, [row], ["fingerprint"]):
        kept = sa.update(ColumnChoice).filter_by(fingerprint=heading.fingerprint)
        db.session.execute(kept.values(**values))
    audit.record("choose.columns", f"header:{heading.fingerprint[:12]}", fields=values["fields"])


def forget_choice(heading: Heading) -> None:
    """The columns are again what their titles mean by themselves."""
    db.session.execute(sa.delete(ColumnChoice).filter_by(fingerprint=heading.fingerprint))
    audit.record("forget.columns", f"header:{heading.fingerprint[:12]}")


def _check(heading: Heading, fields: Mapping[int, str]) -> None:
    counts = Counter(fields.values())
    twice = next((name for name, count in counts.items() if count > 1), None)
    if twice:
        raise Refused(_("有两列都选了“%(field)s”。请只留一列，其余选“不用”。", field=LABELS[twice]))
    if "received_on" not in counts:
        raise Refused(_("请指明哪一列是交易日期。"))
    if not counts.keys() & {"credit", "amount"}:
        raise Refused(_("请指明哪一列是收入金额；收入、支出在同一列的，选“交易金额”。"))
    titles = Counter(heading.keys.values())
    for index in fields:
        if titles[heading.keys[index]] > 1:
            raise Refused(
                _("有两列都叫“%(title)s”。请先在文件里改名，再上传。", title=heading.titles[index])
            )


def _headings(sheet: Sheet, height: int) -> Iterator[Heading]:
    for row in range(min(SEARCHED_ROWS, len(sheet.rows))):
        heading = Heading(row, height, titles_of(sheet, row, height))
        if len(heading.keys) >= FEWEST:
            yield heading


def _key(title: str) -> str:
    return clean_title(title)[0]
