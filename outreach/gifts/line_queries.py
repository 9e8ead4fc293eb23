"""Lists of lines: open ones by how clear it is whose they are, and settled ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import joinedload, selectinload
from sqlalchemy.orm.interfaces import ORMOption
from werkzeug.datastructures import MultiDict

from outreach import money
from outreach.campaigns.models import Campaign, Solicitation
from outreach.db import db
from outreach.gifts.models import Gift, LineCandidate, LineStatus, StatementLine
from outreach.gifts.queries import or_zero
from outreach.terms import Term

LONGEST_AMOUNT = 15
IS_OPEN = StatementLine.status == LineStatus.OPEN
HAS_LEAD = sa.or_(StatementLine.likely_gifts.any(), StatementLine.candidates.any())


class Show(Term):
    """Which lines a list shows."""

    CLEAR = "clear", _("可直接确认")
    UNCLEAR = "unclear", _("需要核对")
    UNKNOWN = "unknown", _("没有线索")
    SETTLED = "settled", _("已处理")
    ALL = "all", _("全部")

    @property
    def condition(self) -> sa.ColumnElement[bool]:
        return {
            Show.CLEAR: sa.and_(IS_OPEN, StatementLine.is_clear),
            Show.UNCLEAR: sa.and_(IS_OPEN, ~StatementLine.is_clear, HAS_LEAD),
            Show.UNKNOWN: sa.and_(IS_OPEN, ~StatementLine.is_clear, ~HAS_LEAD),
            Show.SETTLED: ~IS_OPEN,
            Show.ALL: sa.true(),
        }[self]


@dataclass(frozen=True)
class LineFilter:
    """What the query string of the list of lines asks for."""

    show: Show | None = None
    search: str = ""
    statement_id: int | None = None

    @classmethod
    def read(cls, arguments: MultiDict[str, str]) -> Self:
        show = arguments.get("show", "")
        return cls(
            show=Show(show) if show in set(Show) else None,  # type: ignore[call-arg]
            search=arguments.get("q", "").strip(),
            statement_id=arguments.get("statement", type=int),
        )

    def conditions(self) -> Iterator[sa.ColumnElement[bool]]:
        if self.statement_id is not None:
            yield StatementLine.statement_id == self.statement_id
        if self.search:
            yield sa.or_(*self._matches())

    def _matches(self) -> Iterator[sa.ColumnElement[bool]]:
        text = self.search
        for column in (StatementLine.payer, StatementLine.summary, StatementLine.note):
            yield column.contains(text, autoescape=True)
        yield StatementLine.serial == text
        yield StatementLine.reference == text
        if len(text) <= LONGEST_AMOUNT:
            try:
                yield StatementLine.amount_fen == money.parse_yuan(text)
            except (ValueError, ArithmeticError):
                return


@dataclass(frozen=True)
class Tab:
    show: Show
    count: int
    amount_fen: int


def list_tabs(campaign: Campaign, wanted: LineFilter) -> list[Tab]:
    """How many lines each list has, and what they come to without what was paid back."""
    net_fen = StatementLine.amount_fen - StatementLine.refunded_fen
    columns = [
        column
        for show in Show
        for column in (
            sa.func.count().filter(show.condition),
            or_zero(sa.func.sum(net_fen).filter(show.condition)),
        )
    ]
    found = db.session.execute(
        sa.select(*columns)
        .select_from(StatementLine)
        .where(StatementLine.campaign_id == campaign.id, *wanted.conditions())
    ).one()
    return [Tab(show, *found[2 * place : 2 * place + 2]) for place, show in enumerate(Show)]


def select_lines(campaign: Campaign, wanted: LineFilter, show: Show) -> sa.Select[StatementLine]:
    return (
        sa.select(StatementLine)
        .where(StatementLine.campaign_id == campaign.id, show.condition, *wanted.conditions())
        .options(*shown())
        .order_by(StatementLine.received_on, StatementLine.id)
    )


def shown() -> tuple[ORMOption, ...]:
    """What a row of a list of lines shows besides its own columns."""
    return (
        *(
            selectinload(gifts).joinedload(owner)
            for gifts in (StatementLine.gifts, StatementLine.likely_gifts)
            for owner in (Gift.unit, Gift.sector)
        ),
        joinedload(StatementLine.statement),
        joinedload(StatementLine.settled_by),
        selectinload(StatementLine.candidates)
        .joinedload(LineCandidate.solicitation)
        .joinedload(Solicitation.unit),
    )
