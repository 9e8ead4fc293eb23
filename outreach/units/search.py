"""Finds units by whatever people remember: a part of the name, a former name, pinyin initials, the
credit code, the end of a telephone number.

On PostgreSQL «holds the text» goes through an index of pairs of characters (`name_pairs`, see
docs/decisions/0016): most words that people look for have two characters, too few for trigrams.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import sqlalchemy as sa

from outreach import clock
from outreach.db import db
from outreach.units.models import Contact, Unit, UnitAlias
from outreach.units.naming import name_key

LAST_DIGITS: Final = 4
"""So many digits of a telephone number, or more, are looked for at its end."""
SHORTEST_PART: Final = 2
"""One character is looked for at the beginning only: too much holds it."""
HIGHEST: Final = "\U0010ffff"

Found = sa.Select[int, str]
"""Ids of units, each with what the best of them are shown first by."""


def tiers(text: str, *, with_phones: bool) -> Iterator[Sequence[Found]]:
    """Ways to look for the text, better matches first: what begins with it, of which the shortest
    is it, names that hold it, and what else holds it. Within one tier a unit may be found in
    several ways."""
    key, initials = name_key(text), text.casefold()
    if not key:
        return
    sources = (
        (Unit.name_key, key),
        (UnitAlias.name_key, key),
        (Unit.initials, initials),
        (Unit.short_name, text),
    )
    yield [
        *(_begins(column, value) for column, value in sources),
        _begins(Unit.credit_code, text.upper()),
        *(_ends_of_phones(text) if with_phones else ()),
    ]
    if len(key) >= SHORTEST_PART:
        yield [_holds(column, value) for column, value in sources[:2]]
        yield [_holds(column, value) for column, value in sources[2:]]


def _select(column: Any, condition: sa.ColumnElement[bool]) -> Found:
    unit_id = UnitAlias.unit_id if column is UnitAlias.name_key else Unit.id
    return sa.select(unit_id, _binary(column).label("shown_by")).where(condition)


def _binary(column: Any) -> sa.ColumnElement[str]:
    """In the order of the bytes, as the indexes are that `_begins` needs."""
    return sa.collate(column, "C") if _is_postgresql() else column


def _begins(column: Any, text: str) -> Found:
    """A range, which an index answers whatever characters the text has; in its order, so that the
    text itself comes first."""
    binary = _binary(column)
    return _select(column, sa.and_(binary >= text, binary < text + HIGHEST)).order_by(binary)


def _holds(column: Any, text: str) -> Found:
    holds = column.contains(text, autoescape=True)
    if not _is_postgresql():
        return _select(column, holds)
    pairs = sa.func.name_pairs(column).op("@>", is_comparison=True)
    return _select(column, sa.and_(pairs(sa.func.name_pairs(text)), holds))


def _ends_of_phones(text: str) -> Iterator[Found]:
    """Of people who are in office."""
    if not text.isdecimal() or len(text) < LAST_DIGITS:
        return
    today = clock.today()
    last = sa.func.substr(Contact.mobile, -LAST_DIGITS)
    if _is_postgresql():
        last = sa.func.right(Contact.mobile, LAST_DIGITS)
    yield sa.select(Contact.unit_id, Contact.mobile.label("shown_by")).where(
        last == text[-LAST_DIGITS:],
        Contact.mobile.endswith(text),
        sa.or_(Contact.valid_to.is_(None), Contact.valid_to >= today),
    )


def _is_postgresql() -> bool:
    return db.engine.dialect.name == "postgresql"
