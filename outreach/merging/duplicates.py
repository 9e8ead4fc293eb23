"""Which units may be one: proposed with what speaks for it, decided by a person."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final

import sqlalchemy as sa
from flask_babel import LazyString
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import selectinload

from outreach import clock
from outreach.db import db
from outreach.merging.models import UnitsApart
from outreach.units import naming
from outreach.units.models import AliasKind, Unit
from outreach.web import mask

ALIKE: Final = 0.5
"""From this likeness on two names with the same initials may be one, mistyped."""
NUMERALS: Final = "0123456789一二三四五六七八九十"
MOST_SHARED: Final = 5
"""A number, or a name, that more units have speaks for nothing."""
CERTAIN, LIKELY, POSSIBLE = 100, 10, 1
"""How much a reason weighs; several add up."""

Pair = tuple[int, int]


@dataclass
class Proposal:
    """Two units, the older one first, and why they may be one."""

    one: Unit
    other: Unit
    reasons: list[LazyString] = field(default_factory=list)
    weight: int = 0


def propose_duplicates() -> list[Proposal]:
    """The likeliest first; without those of which a person said that they are not the same."""
    units = {unit.id: unit for unit in db.session.scalars(_select_units())}
    apart = set(db.session.execute(sa.select(UnitsApart.one_id, UnitsApart.other_id)).all())
    proposals: dict[Pair, Proposal] = {}
    for pair, weight, reason in _find_reasons(list(units.values())):
        if pair not in apart:
            proposal = proposals.setdefault(pair, Proposal(units[pair[0]], units[pair[1]]))
            proposal.reasons.append(reason)
            proposal.weight += weight
    return sorted(proposals.values(), key=lambda found: (-found.weight, found.one.name))


def _select_units() -> sa.Select[Unit]:
    return (
        sa.select(Unit)
        .where(Unit.merged_into_id.is_(None))
        .options(selectinload(Unit.aliases), selectinload(Unit.contacts))
        .order_by(Unit.id)
    )


def _find_reasons(units: list[Unit]) -> Iterator[tuple[Pair, int, LazyString]]:
    yield from _share_code(units)
    yield from _share_name(units)
    yield from _share_initials(units)
    yield from _share_phone(units)


def _share_code(units: list[Unit]) -> Iterator[tuple[Pair, int, LazyString]]:
    """The code itself, of which a unit may have gone by another, or the nine characters in it that
    stay with an organisation for life (GB 11714)."""
    holders = defaultdict(set)
    for unit in units:
        for code in _codes(unit):
            holders[code[8:17]].add(unit.id)
    for number, ids in holders.items():
        for pair in _pairs(ids):
            yield pair, CERTAIN, _("信用代码里的组织机构代码相同：%(number)s", number=number)


def _share_name(units: list[Unit]) -> Iterator[tuple[Pair, int, LazyString]]:
    holders: dict[str, set[int]] = defaultdict(set)
    names: dict[str, str] = {}
    for unit in units:
        for name in _names(unit):
            key = naming.name_key(name)
            names.setdefault(key, name)
            holders[key].add(unit.id)
    for key, ids in holders.items():
        for pair in _pairs(ids):
            yield pair, CERTAIN, _("名称或曾用名相同：%(name)s", name=names[key])


def _share_initials(units: list[Unit]) -> Iterator[tuple[Pair, int, LazyString]]:
    holders = defaultdict(set)
    by_id = {unit.id: unit for unit in units}
    for unit in units:
        holders[unit.initials].add(unit.id)
    for initials, ids in holders.items():
        for one, other in _pairs(ids) if initials else ():
            names = by_id[one].name, by_id[other].name
            if naming.likeness(*names) >= ALIKE and len({_numerals(name) for name in names}) == 1:
                yield (one, other), LIKELY, _("拼音首字母相同，名称相近")


def _share_phone(units: list[Unit]) -> Iterator[tuple[Pair, int, LazyString]]:
    today = clock.today()
    holders = defaultdict(set)
    for unit in units:
        for contact in unit.contacts:
            if contact.mobile and contact.is_valid_on(today):
                holders[contact.mobile].add(unit.id)
    for mobile, ids in holders.items():
        for pair in _pairs(ids):
            yield pair, POSSIBLE, _("联系人电话相同：%(phone)s", phone=mask(mobile))


def _codes(unit: Unit) -> Iterator[str]:
    if unit.credit_code:
        yield unit.credit_code
    for alias in unit.aliases:
        if alias.kind is AliasKind.CREDIT_CODE:
            yield alias.name


def _names(unit: Unit) -> Iterator[str]:
    """Full names only: many districts have a «财政局»."""
    yield unit.name
    for alias in unit.aliases:
        if alias.kind in {AliasKind.FORMER, AliasKind.STATEMENT}:
            yield alias.name


def _numerals(name: str) -> str:
    """The third and the fourth school are two."""
    return "".join(character for character in name if character in NUMERALS)


def _pairs(ids: set[int]) -> Iterator[Pair]:
    if len(ids) <= MOST_SHARED:
        yield from combinations(sorted(ids), 2)
