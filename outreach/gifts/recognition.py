"""Which payments of a statement are kept already: by the key of the line, and by what it says."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from flask_babel import lazy_gettext as _

from outreach.campaigns.models import Campaign
from outreach.db import db
from outreach.gifts.models import Source, Statement, StatementLine
from outreach.gifts.payments import Content, Payment
from outreach.spreadsheets.layouts import Problem
from outreach.spreadsheets.tables import listed
from outreach.units import naming
from outreach.units.queries import slices

SHORT = 6
"""Up to so many digits a number is one of several accounts, files or days."""


@dataclass
class Recognised:
    payment: Payment
    key: str
    """Of its line."""
    spare_key: str
    """Of its line where that of another payer, or of another account, has the key."""
    tail: str
    """Of our account, as far as the file names it."""
    line: Any = None
    """The row of the line that is this payment."""
    holder: Any = None
    """The row of another line that has the key."""


def is_short(number: str) -> bool:
    return number.isdecimal() and len(number) <= SHORT


def recognise(campaign: Campaign, content: Content) -> list[Recognised]:
    """Each payment with the line that it is, if there is one; a line is one payment only."""
    found = list(_keys(content))
    lines = _lines_by_key(campaign, [key for item in found for key in (item.key, item.spare_key)])
    taken: set[int] = set()
    for item in found:
        for line in (lines.get(item.key), lines.get(item.spare_key)):
            if line and line.id not in taken and _is_same(line, item, content.source):
                item.line = line
                taken.add(line.id)
                break
    _look_again(campaign, content, [item for item in found if item.line is None], taken)
    for item in found:
        if item.line is None and item.key in lines:
            item.holder = lines[item.key]
            item.key = item.spare_key
    return found


def _keys(content: Content) -> Iterator[Recognised]:
    """A key for each payment: what every export says of it alike, and its n-th occurrence. So true
    repeats survive, as long as an export holds whole days or the bank numbers its payments."""
    numbers: Counter[str] = Counter()

    def make(*facts: str | int) -> str:
        base = hashlib.sha256(repr(facts).encode()).hexdigest()[:48]
        numbers[base] += 1
        return f"line:{base}:{numbers[base]}"

    source, tail = content.source.value, content.account_tail
    for payment in content.payments:
        facts = (payment.received_on.isoformat(), payment.amount_fen)
        payer = naming.name_key(payment.payer)
        if payment.serial:
            key = make(source, payment.serial, *facts)
        else:
            key = make(source, tail, payer, *facts)
        spare = make(source, tail, payment.serial, payer, *facts)
        yield Recognised(payment, key, spare, tail)


def _select_lines(campaign: Campaign) -> sa.Select[Any]:
    return (
        sa.select(
            StatementLine.line_key,
            StatementLine.id,
            StatementLine.serial,
            StatementLine.amount_fen,
            StatementLine.refunded_fen,
            StatementLine.refunds,
            StatementLine.status,
            StatementLine.payer,
            StatementLine.received_on,
            Statement.account_tail.label("tail"),
        )
        .outerjoin(Statement, Statement.id == StatementLine.statement_id)
        .where(StatementLine.campaign_id == campaign.id)
    )


def _lines_by_key(campaign: Campaign, keys: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for some in slices(keys):
        rows = db.session.execute(_select_lines(campaign).where(StatementLine.line_key.in_(some)))
        found |= {row.line_key: row for row in rows}
    return found


def _is_same(line: Any, item: Recognised, source: Source) -> bool:
    """A platform's number is its own in the whole world; a bank's may be that of another payer,
    and a short one that of another account."""
    if source is not Source.BANK:
        return True
    one, other = naming.name_key(line.payer), naming.name_key(item.payment.payer)
    if one and other and one != other:
        return False
    return not (_is_of_other_account(line, item) and is_short(item.payment.serial))


def _is_of_other_account(line: Any, item: Recognised) -> bool:
    return bool(line.tail and item.tail and line.tail != item.tail)


def _look_again(
    campaign: Campaign, content: Content, missing: Sequence[Recognised], taken: set[int]
) -> None:
    """By day, payer and amount, each line once: the head of one file may name our account and that
    of another not, and a number that only counts rows is another one in the next file."""
    if not missing:
        return
    days = [item.payment.received_on for item in missing]
    alike: defaultdict[tuple[date, str, int], list[Any]] = defaultdict(list)
    rows = _select_lines(campaign).where(
        Statement.source == content.source, StatementLine.received_on.between(min(days), max(days))
    )
    for line in db.session.execute(rows.order_by(StatementLine.id)):
        if line.id not in taken:
            facts = (line.received_on, naming.name_key(line.payer), line.amount_fen)
            alike[facts].append(line)
    for item in missing:
        payment = item.payment
        lines = alike[payment.received_on, naming.name_key(payment.payer), payment.amount_fen]
        item.line = next((line for line in lines if _may_be(line, item)), None)
        if item.line is not None:
            lines.remove(item.line)


def _may_be(line: Any, item: Recognised) -> bool:
    """What says the same of day, payer and amount is the payment, unless account or number speak
    against it."""
    payment = item.payment
    if _is_of_other_account(line, item):
        return False
    if line.serial == payment.serial:
        return True
    if payment.serial:
        return payment.is_counted and not line.serial
    return payment.is_counted and is_short(line.serial)


def warn_of_doubts(recognised: Sequence[Recognised]) -> Iterator[Problem]:
    for item in recognised:
        if item.holder is not None:
            yield item.payment.cells.problem(
                "serial",
                _(
                    "同一天已有流水号 %(serial)s、金额相同的一笔（付款人 %(payer)s），"
                    "付款人或收款账户不同，按另一笔保留",
                    serial=item.payment.serial,
                    payer=item.holder.payer or "—",
                ),
                _("请核对。如是同一笔，请把其中一笔记为与本活动无关。"),
            )
    known = [item for item in recognised if item.line is not None]
    elsewhere = [item for item in known if _is_of_other_account(item.line, item)]
    if elsewhere:
        yield _tell(
            elsewhere,
            _(
                "%(count)s 笔在另一账户的流水里已有，流水号、日期、金额和付款人都相同，"
                "按同一笔计（第 %(rows)s 行）",
                count=len(elsewhere),
                rows=_rows(elsewhere),
            ),
        )
    unnamed = [
        item
        for item in known
        if (item.line.tail or "") != item.tail
        and not _is_of_other_account(item.line, item)
        and not item.payment.serial
    ]
    if unnamed:
        yield _tell(
            unnamed,
            _(
                "%(count)s 笔与已有款项的日期、付款人和金额相同，但有一份流水没有写明账号，"
                "按同一笔计（第 %(rows)s 行）",
                count=len(unnamed),
                rows=_rows(unnamed),
            ),
        )


def _tell(items: Sequence[Recognised], message: Any) -> Problem:
    remedy = _("请核对。如是两笔，请把没有导入的一笔用“登记待认领款项”记下。")
    return Problem(items[0].payment.sheet, items[0].payment.row, "", message, remedy)


def _rows(items: Sequence[Recognised]) -> str:
    return listed([item.payment.row for item in items])
