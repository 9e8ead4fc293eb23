"""What the send gate asks about money: nobody who gave, or promised for later, is asked again,
and nobody is thanked for nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from outreach import clock
from outreach.campaigns.models import Solicitation
from outreach.db import db
from outreach.gifts.models import Gift, LineCandidate, LineStatus, Pledge, StatementLine
from outreach.gifts.queries import next_due
from outreach.messages.gate import (
    Candidate,
    Subject,
    Withheld,
    about_units,
    all_solicitations,
    asked_of,
    found,
    screened,
)
from outreach.messages.models import Purpose, WithheldReason
from outreach.units.models import Unit

RECENT = timedelta(days=7)
"""A gift this young has just been made; its giver is left alone even when more was promised."""


@dataclass(frozen=True)
class _Money:
    unit: str
    given_fen: int
    last_received_on: date | None
    pledged_fen: int
    due_on: date | None
    """Of the first instalment that is not covered."""

    @property
    def has_given(self) -> bool:
        return 0 < self.given_fen >= self.pledged_fen


def has_money(subject: Subject) -> sa.ColumnElement[bool]:
    """Anything was given or promised for this campaign, whatever became of it."""
    gift = (
        sa.select(Gift.id)
        .join(
            Solicitation,
            (Solicitation.unit_id == Gift.unit_id) & (Solicitation.campaign_id == Gift.campaign_id),
        )
        .where(Solicitation.id == subject.solicitation_id)
    )
    pledge = sa.select(Pledge.id).where(Pledge.solicitation_id == subject.solicitation_id)
    return sa.or_(found(gift), found(pledge))


def may_have_line(subject: Subject) -> sa.ColumnElement[bool]:
    return found(
        sa.select(LineCandidate.line_id).where(
            LineCandidate.solicitation_id == subject.solicitation_id
        )
    )


@screened(has_money)
@asked_of(Purpose.REMINDER)
def check_already_given(candidates: Sequence[Candidate], _now: datetime) -> dict[int, Withheld]:
    return _withhold(
        candidates, WithheldReason.ALREADY_GIVEN, lambda found: found.has_given, _tell_gift
    )


@screened(has_money)
@asked_of(Purpose.REMINDER)
def check_partly_given(candidates: Sequence[Candidate], now: datetime) -> dict[int, Withheld]:
    since = clock.day_of(now) - RECENT

    def has_just_given(found: _Money) -> bool:
        last = found.last_received_on
        return found.given_fen > 0 and last is not None and last > since

    return _withhold(candidates, WithheldReason.PARTLY_GIVEN, has_just_given, _tell_gift)


@screened(may_have_line)
@asked_of(Purpose.REMINDER)
def check_unmatched_line(candidates: Sequence[Candidate], _now: datetime) -> dict[int, Withheld]:
    """Money has come of which nobody knows yet whether it is this unit's: a person says first."""
    rows = db.session.execute(
        sa.select(
            LineCandidate.solicitation_id,
            Unit.name,
            StatementLine.amount_fen,
            StatementLine.received_on,
        )
        .join(StatementLine, StatementLine.id == LineCandidate.line_id)
        .join(Solicitation, Solicitation.id == LineCandidate.solicitation_id)
        .join(Unit, Unit.id == Solicitation.unit_id)
        .where(
            LineCandidate.solicitation_id.in_(all_solicitations(candidates)),
            StatementLine.status == LineStatus.OPEN,
        )
        .order_by(StatementLine.received_on, StatementLine.id)
    )
    facts = {
        solicitation_id: {
            "unit": unit,
            "amount_fen": amount_fen,
            "received_on": received_on.isoformat(),
        }
        for solicitation_id, unit, amount_fen, received_on in rows
    }
    return about_units(candidates, WithheldReason.UNMATCHED_LINE, facts)


@screened(has_money)
@asked_of(Purpose.REMINDER)
def check_pledge(candidates: Sequence[Candidate], now: datetime) -> dict[int, Withheld]:
    today = clock.day_of(now)

    def is_not_due(found: _Money) -> bool:
        return found.due_on is not None and found.due_on >= today

    return _withhold(candidates, WithheldReason.PLEDGE_NOT_DUE, is_not_due, _tell_pledge)


def has_no_gift_left(subject: Subject) -> sa.ColumnElement[bool]:
    total = (
        sa.select(sa.func.coalesce(sa.func.sum(Gift.amount_fen), 0))
        .join(
            Solicitation,
            (Solicitation.unit_id == Gift.unit_id) & (Solicitation.campaign_id == Gift.campaign_id),
        )
        .where(Solicitation.id == subject.solicitation_id)
        .scalar_subquery()
    )
    return total <= 0


@screened(has_no_gift_left)
@asked_of(Purpose.THANKS)
def check_nothing_given(candidates: Sequence[Candidate], _now: datetime) -> dict[int, Withheld]:
    """The gift that the letter is about was reversed in the meantime."""
    return _withhold(
        candidates,
        WithheldReason.NOTHING_GIVEN,
        lambda found: found.given_fen <= 0,
        lambda found: {"unit": found.unit},
    )


def _withhold(
    candidates: Sequence[Candidate],
    reason: WithheldReason,
    is_withheld: Callable[[_Money], bool],
    tell: Callable[[_Money], dict[str, Any]],
) -> dict[int, Withheld]:
    facts = {
        solicitation_id: tell(found)
        for solicitation_id, found in _read(all_solicitations(candidates)).items()
        if is_withheld(found)
    }
    return about_units(candidates, reason, facts)


def _tell_gift(found: _Money) -> dict[str, Any]:
    last = found.last_received_on
    return {
        "unit": found.unit,
        "amount_fen": found.given_fen,
        "received_on": last.isoformat() if last else None,
    }


def _tell_pledge(found: _Money) -> dict[str, Any]:
    return {
        "unit": found.unit,
        "amount_fen": found.pledged_fen,
        "due_on": found.due_on.isoformat() if found.due_on else None,
    }


def _read(solicitation_ids: set[int]) -> dict[int, _Money]:
    reversed_ids = sa.select(Gift.reversal_of_id).where(Gift.reversal_of_id.is_not(None))
    given = (
        sa.select(
            Gift.campaign_id,
            Gift.unit_id,
            sa.cast(sa.func.sum(Gift.amount_fen), sa.BigInteger).label("fen"),
            sa.func.max(
                sa.case(
                    (
                        Gift.reversal_of_id.is_(None) & Gift.id.not_in(reversed_ids),
                        Gift.received_on,
                    )
                )
            ).label("last_on"),
        )
        .join(
            Solicitation,
            (Solicitation.unit_id == Gift.unit_id) & (Solicitation.campaign_id == Gift.campaign_id),
        )
        .where(Solicitation.id.in_(solicitation_ids))
        .group_by(Gift.campaign_id, Gift.unit_id)
        .subquery()
    )
    rows = db.session.execute(
        sa.select(
            Solicitation.id,
            Unit.name,
            sa.func.coalesce(given.c.fen, 0),
            given.c.last_on,
            sa.func.coalesce(Pledge.amount_fen, 0),
            next_due(Solicitation.id, sa.func.coalesce(given.c.fen, 0)),
        )
        .join(Unit, Unit.id == Solicitation.unit_id)
        .outerjoin(
            given,
            (given.c.unit_id == Solicitation.unit_id)
            & (given.c.campaign_id == Solicitation.campaign_id),
        )
        .outerjoin(
            Pledge,
            (Pledge.solicitation_id == Solicitation.id) & Pledge.withdrawn_at.is_(None),
        )
        .where(Solicitation.id.in_(solicitation_ids))
    )
    return {solicitation_id: _Money(*rest) for solicitation_id, *rest in rows}
