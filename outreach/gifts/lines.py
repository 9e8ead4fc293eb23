"""Payments that came in: kept open, with the units whose they may be, until a person says. While
a line is open those units are not reminded; what is undone opens it again.

Who says something of a line holds the campaign first, then gifts, then lines, so that nobody waits
for somebody who waits for him."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import chain
from typing import Any, Self

import sqlalchemy as sa
from flask_babel import LazyString
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import joinedload

from outreach import audit, clock, money
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, Solicitation
from outreach.campaigns.queries import hold_campaign
from outreach.db import db, insert_new
from outreach.errors import Conflict, NotFound, Refused
from outreach.gifts.matching import Match, match_lines, match_open, propose_kind
from outreach.gifts.models import (
    Gift,
    GiftKind,
    LikelyGift,
    LineCandidate,
    LineGift,
    LineStatus,
    PayerAlias,
    StatementLine,
)
from outreach.gifts.recognition import is_short
from outreach.gifts.services import record_gift, reverse_gift
from outreach.gifts.statement_file import Line
from outreach.units import naming

MOST_AT_ONCE = 500
"""Lines that are confirmed in one request."""


def open_line(  # noqa: PLR0913
    campaign: Campaign,
    *,
    payer: str,
    amount_fen: int,
    received_on: date,
    line_key: str,
    reference: str = "",
    note: str = "",
) -> bool:
    """Keeps a line open, with the units that it may be from; False when that line is kept
    already. Refused when there is no amount, or when its day has not come."""
    if amount_fen <= 0:
        raise Refused(_("金额必须大于 0。"))
    if received_on > clock.today():
        raise Refused(_("到账日期不能晚于今天。"))
    line = {
        "line_key": line_key,
        "payer": payer,
        "amount_fen": amount_fen,
        "received_on": received_on,
        "reference": reference,
        "note": note,
    }
    if not _insert(campaign, [line]):
        return False
    line_id = db.session.scalars(
        sa.select(StatementLine.id).filter_by(campaign_id=campaign.id, line_key=line_key)
    ).one()
    match_lines(campaign)
    audit.record("open.line", f"line:{line_id}", amount_fen=amount_fen)
    return True


def open_unmatched(campaign: Campaign, unmatched: Iterable[Line]) -> int:
    """Keeps open the lines of a list of gifts of which nobody knows whose they are; returns how
    many are new. The n-th of several that look alike has its own key, so that true repeats
    survive; what a statement shows is known."""
    shown = KeptLines(campaign, StatementLine.statement_id.is_not(None))
    numbers: Counter[str] = Counter()
    rows = []
    for line in unmatched:
        payer = (line.name or line.credit_code or "")[:120]
        text = line.reference or repr((line.received_on, line.name, line.amount_fen))
        base = hashlib.sha256(text.encode()).hexdigest()[:48]
        numbers[base] += 1
        if shown.take((line.reference,), line.received_on, payer, line.amount_fen):
            continue
        rows.append(
            {
                "payer": payer,
                "amount_fen": line.amount_fen,
                "received_on": line.received_on,
                "line_key": f"open:{base}:{numbers[base]}",
                "reference": line.reference,
                "note": line.note,
            }
        )
    count = _insert(campaign, rows)
    match_lines(campaign)
    audit.record("open.lines", f"campaign:{campaign.id}", count=count)
    return count


def _insert(campaign: Campaign, lines: Sequence[dict[str, Any]]) -> int:
    opened = {"campaign_id": campaign.id, "status": LineStatus.OPEN}
    return insert_new(StatementLine, [line | opened for line in lines], ["campaign_id", "line_key"])


class KeptLines:
    """Lines that are kept already, by what another source says of the same payment: a number and
    the amount, or day, payer and amount. Each answers once."""

    def __init__(self, campaign: Campaign, condition: sa.ColumnElement[bool]) -> None:
        self._by_number: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
        self._by_content: defaultdict[tuple[date, str, int], list[int]] = defaultdict(list)
        self._taken: set[int] = set()
        rows = db.session.execute(
            sa.select(
                StatementLine.id,
                StatementLine.serial,
                StatementLine.reference,
                StatementLine.received_on,
                StatementLine.payer,
                StatementLine.amount_fen,
            )
            .where(StatementLine.campaign_id == campaign.id, condition)
            .order_by(StatementLine.id)
        )
        for id_, serial, reference, day, payer, amount in rows:
            for number in {serial, reference} - {""}:
                self._by_number[number, amount].append(id_)
            self._by_content[day, naming.name_key(payer), amount].append(id_)

    def take(
        self, numbers: Iterable[str], received_on: date, payer: str, amount_fen: int
    ) -> int | None:
        """The id of the line of this very payment. A number that is short says nothing: banks,
        and who keeps lists, begin to count anew with each account, file or day."""
        numbered = [
            self._by_number.get((number, amount_fen), [])
            for number in numbers
            if not is_short(number)
        ]
        alike = self._by_content.get((received_on, naming.name_key(payer), amount_fen), [])
        for id_ in chain(*numbered, alike):
            if id_ not in self._taken:
                self._taken.add(id_)
                return id_
        return None


def claim_line(
    line: StatementLine, solicitation: Solicitation, *, kind: GiftKind, by: User
) -> Gift:
    """Records the line as the unit's gift; Conflict when somebody settled it first. Refused when
    all of it went back to the payer."""
    check_stayed(line)
    hold_campaign(line.campaign_id)
    _settle(line, LineStatus.CLAIMED, by)
    campaign = db.session.get_one(Campaign, line.campaign_id)
    gift = record_gift(
        campaign=campaign,
        unit=solicitation.unit,
        amount_fen=line.net_fen,
        received_on=line.received_on,
        kind=kind,
        channel=line.channel,
        reference=line.serial or line.reference,
        note=(line.note or line.summary)[:200],
        line_key=line.gift_key,
        by=by,
    )
    _show(line, [gift], is_made_here=True)
    audit.record("claim.line", f"line:{line.id}", gift_id=gift.id, unit_id=solicitation.unit_id)
    return gift


def check_stayed(line: StatementLine) -> None:
    """Refused when all of it went back to the payer."""
    if line.net_fen == 0:
        raise Refused(_("这笔款项已全额退款，不能认领。请填写原因，记为与本活动无关。"))


def claim_as(line: StatementLine, parts: Sequence[Gift], *, by: User) -> None:
    """Says that the line is these gifts, which were just made of it; Conflict when somebody settled
    it first. The caller holds the campaign."""
    _settle(line, LineStatus.CLAIMED, by)
    _show(line, parts, is_made_here=True)
    ids = [gift.id for gift in parts]
    audit.record("claim.line", f"line:{line.id}", gift_ids=ids)


def link_line(line: StatementLine, gifts: Sequence[Gift], *, by: User) -> None:
    """Says that the line is gifts that the ledger has already; none is made. Conflict when
    somebody settled the line or took a gift first."""
    hold_campaign(line.campaign_id)
    if any(_is_reversed(gift) or gift.reversal_of_id for gift in gifts):
        raise Conflict(_("账上的这一笔已经冲正，不能对上。请核对后重新认领。"))
    found_fen = sum(gift.amount_fen for gift in gifts if gift.campaign_id == line.campaign_id)
    if found_fen != line.net_fen:
        raise Refused(
            _(
                "账上是 %(gifts)s 元，流水是 %(line)s 元，金额不同，不能对上。",
                gifts=money.format_yuan(found_fen),
                line=money.format_yuan(line.net_fen),
            )
        )
    ids = [gift.id for gift in gifts]
    if db.session.scalar(sa.select(LineGift.line_id).where(LineGift.gift_id.in_(ids)).limit(1)):
        raise Conflict(_("账上的这一笔刚刚对上了另一笔流水，请核对。"))
    _settle(line, LineStatus.CLAIMED, by)
    _show(line, gifts, is_made_here=False)
    audit.record("link.line", f"line:{line.id}", gift_ids=ids)


def set_line_aside(line: StatementLine, *, reason: str, by: User) -> None:
    """Notes that the payment has nothing to do with the campaign."""
    hold_campaign(line.campaign_id)
    _settle(line, LineStatus.SET_ASIDE, by)
    line.set_aside_because = reason
    audit.record("set_aside.line", f"line:{line.id}", reason=reason)


def reopen_line(line: StatementLine, *, reason: str, by: User) -> None:
    """Undoes what was said of a line. The gifts that were made of it are reversed; those that it
    was only held against stay; what was learned of its payer is forgotten."""
    if not reason:
        raise Refused(_("请填写撤销原因。"))
    hold_campaign(line.campaign_id)
    for gift in _open_again(line):
        reverse_gift(gift, reason=reason, by=by)
    match_lines(db.session.get_one(Campaign, line.campaign_id))
    audit.record("reopen.line", f"line:{line.id}", reason=reason)


def release_gifts(campaign: Campaign, condition: sa.ColumnElement[bool]) -> int:
    """Opens the lines of gifts that are reversed, so that their money is looked at again; returns
    how many they are. Who calls it matches the lines when it is done."""
    showing = sa.select(LineGift.line_id).join(Gift, Gift.id == LineGift.gift_id).where(condition)
    lines = db.session.scalars(
        sa.select(StatementLine)
        .where(StatementLine.campaign_id == campaign.id, StatementLine.id.in_(showing))
        .order_by(StatementLine.id)
    ).all()
    for line in lines:
        audit.record("reopen.line", f"line:{line.id}")
        _open_again(line)
    return len(lines)


# Several at once


@dataclass(frozen=True)
class Choice:
    """What a person saw proposed for a line, and ticked."""

    line_id: int
    gift_ids: tuple[int, ...] = ()
    solicitation_id: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """From «line:gift+gift:solicitation»; ValueError for anything else."""
        line_id, gift_ids, solicitation_id = text.split(":")
        gifts = tuple(int(part) for part in gift_ids.split("+") if gift_ids)
        return cls(int(line_id), gifts, int(solicitation_id or 0) or None)

    @property
    def value(self) -> str:
        gifts = "+".join(map(str, self.gift_ids))
        return f"{self.line_id}:{gifts}:{self.solicitation_id or ''}"


@dataclass
class Confirmed:
    count: int = 0
    amount_fen: int = 0
    left: list[tuple[StatementLine, LazyString | str]] = field(default_factory=list)
    """Lines that stay open, and why."""


def confirm_lines(campaign: Campaign, choices: Sequence[Choice], *, by: User) -> Confirmed:
    """Does for each line what was proposed, if it still is: the ledger may have changed since."""
    if len(choices) > MOST_AT_ONCE:
        raise Refused(_("一次最多确认 %(count)s 笔，请分几次确认。", count=MOST_AT_ONCE))
    done = Confirmed()
    hold_campaign(campaign.id)
    matches = match_open(campaign)
    lines = _load(campaign, [choice.line_id for choice in choices])
    for choice in choices:
        line = lines.get(choice.line_id)
        if line is None:
            continue
        try:
            with db.session.begin_nested():
                _confirm(line, choice, matches.get(line.id, Match()), by)
        except (Conflict, Refused) as refusal:
            done.left.append((line, refusal.message))
        else:
            done.count += 1
            done.amount_fen += line.net_fen
    if done.left:
        match_lines(campaign)
    return done


def propose(line: StatementLine) -> Choice | None:
    """What is proposed for an open line before all else."""
    first = line.candidates[0].solicitation_id if line.candidates else None
    return _choice(line.id, tuple(gift.id for gift in line.likely_gifts), first)


def _choice(line_id: int, gift_ids: tuple[int, ...], solicitation_id: int | None) -> Choice | None:
    if gift_ids:
        return Choice(line_id, gift_ids=gift_ids)
    return Choice(line_id, solicitation_id=solicitation_id) if solicitation_id else None


def _confirm(line: StatementLine, choice: Choice, match: Match, by: User) -> None:
    if choice != _choice(line.id, match.gift_ids, match.solicitation_id):
        raise Conflict(_("情况有变化，已重新匹配，请再核对"))
    if choice.gift_ids:
        gifts = [db.session.get_one(Gift, id_) for id_ in choice.gift_ids]
        link_line(line, gifts, by=by)
        return
    solicitation = db.session.get_one(Solicitation, choice.solicitation_id)
    source = line.statement.source if line.statement else None
    claim_line(line, solicitation, kind=propose_kind(line.payer, source), by=by)


def _load(campaign: Campaign, line_ids: Sequence[int]) -> dict[int, StatementLine]:
    lines = db.session.scalars(
        sa.select(StatementLine)
        .where(StatementLine.campaign_id == campaign.id, StatementLine.id.in_(line_ids))
        .options(joinedload(StatementLine.statement))
    )
    return {line.id: line for line in lines}


# Single lines


def get_line(campaign: Campaign, line_id: int) -> StatementLine:
    line = db.session.scalar(
        sa.select(StatementLine).filter_by(id=line_id, campaign_id=campaign.id)
    )
    if line is None:
        raise NotFound(_("没有这笔待认领款项。"))
    return line


def _settle(line: StatementLine, status: LineStatus, by: User) -> None:
    settled = db.session.scalar(
        sa.update(StatementLine)
        .where(StatementLine.id == line.id, StatementLine.status == LineStatus.OPEN)
        .values(
            status=status,
            settled_at=clock.now(),
            settled_by_id=by.id,
            is_clear=False,
        )
        .returning(StatementLine.id)
        .execution_options(synchronize_session=False)
    )
    if settled is None:
        raise Conflict(_("这一笔刚被他人处理过了，请核对到账列表。"))
    for lead in (LineCandidate, LikelyGift):
        db.session.execute(sa.delete(lead).filter_by(line_id=line.id))
    db.session.refresh(line)


def _show(line: StatementLine, gifts: Sequence[Gift], *, is_made_here: bool) -> None:
    db.session.add_all(
        LineGift(line_id=line.id, gift_id=gift.id, is_made_here=is_made_here) for gift in gifts
    )
    db.session.flush()
    db.session.refresh(line)


def _open_again(line: StatementLine) -> list[Gift]:
    """Returns the gifts that were made of it and stand."""
    opened = db.session.scalar(
        sa.update(StatementLine)
        .where(
            StatementLine.id == line.id,
            StatementLine.status != LineStatus.OPEN,
            StatementLine.reopened_count == line.reopened_count,
        )
        .values(
            status=LineStatus.OPEN,
            settled_at=None,
            settled_by_id=None,
            set_aside_because="",
            reopened_count=StatementLine.reopened_count + 1,
        )
        .returning(StatementLine.id)
        .execution_options(synchronize_session=False)
    )
    if opened is None:
        raise Conflict(_("这一笔刚被他人处理过了，请刷新页面。"))
    made_here = db.session.scalars(
        sa.select(Gift)
        .join(LineGift, LineGift.gift_id == Gift.id)
        .where(LineGift.line_id == line.id, LineGift.is_made_here)
        .order_by(Gift.id)
    ).all()
    for kept in (LineGift, PayerAlias):
        db.session.execute(sa.delete(kept).filter_by(line_id=line.id))
    db.session.refresh(line)
    return [gift for gift in made_here if not _is_reversed(gift)]


def _is_reversed(gift: Gift) -> bool:
    """Nobody reverses it any more until the transaction ends."""
    db.session.execute(sa.select(Gift.id).where(Gift.id == gift.id).with_for_update())
    reversal = sa.select(Gift.id).where(Gift.reversal_of_id == gift.id)
    return db.session.scalar(reversal) is not None
