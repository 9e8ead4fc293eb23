"""Lines of a statement of which nobody knows yet whose gift they are: kept open, with the units
that may have given, until a person says. While a line is open those units are not reminded."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import selectinload

from outreach import audit, clock
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, Solicitation
from outreach.db import db, insert_new
from outreach.errors import Conflict, NotFound, Refused
from outreach.gifts.models import (
    Gift,
    GiftKind,
    LineCandidate,
    LineStatus,
    Pledge,
    StatementLine,
)
from outreach.gifts.services import record_gift
from outreach.gifts.statement_file import Line
from outreach.units import naming
from outreach.units.models import Unit, UnitAlias

MOST_CANDIDATES = 5
ALIKE = 0.5
"""From this likeness on (Dice's coefficient of pairs of characters) a name may be a unit's."""


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
        "campaign_id": campaign.id,
        "line_key": line_key,
        "payer": payer,
        "amount_fen": amount_fen,
        "received_on": received_on,
        "reference": reference,
        "note": note,
    }
    is_new = insert_new(
        StatementLine, [line | {"status": LineStatus.OPEN}], ["campaign_id", "line_key"]
    )
    if not is_new:
        return False
    line_id = db.session.scalars(
        sa.select(StatementLine.id).filter_by(campaign_id=campaign.id, line_key=line_key)
    ).one()
    db.session.add_all(
        LineCandidate(line_id=line_id, solicitation_id=id_, because=because)
        for id_, because in find_candidates(campaign, payer, amount_fen).items()
    )
    db.session.flush()
    audit.record("open.line", f"line:{line_id}", amount_fen=amount_fen)
    return True


def open_unmatched(campaign: Campaign, unmatched: Iterable[Line]) -> int:
    """Keeps open the lines of a file of which nobody knows whose they are; returns how many are
    new. The n-th of several that look alike has its own key, so that true repeats survive."""
    numbers: Counter[str] = Counter()
    count = 0
    for line in unmatched:
        text = line.reference or repr((line.received_on, line.name, line.amount_fen))
        base = hashlib.sha256(text.encode()).hexdigest()[:48]
        numbers[base] += 1
        count += open_line(
            campaign,
            payer=(line.name or line.credit_code or "")[:120],
            amount_fen=line.amount_fen,
            received_on=line.received_on,
            line_key=f"open:{base}:{numbers[base]}",
            reference=line.reference,
            note=line.note,
        )
    return count


def find_candidates(campaign: Campaign, payer: str, amount_fen: int) -> dict[int, str]:
    """Solicitations that the payment may belong to, the likeliest first, each with what speaks
    for it: its name or a former one, one much like it, or a promise of just this amount."""
    key = naming.name_key(payer)
    names = list(_names(campaign))
    alike = set(naming.Names({name for _id, name in names}).nearest(payer, least=ALIKE))
    found: dict[int, str] = {}
    for id_, name in names:
        if naming.name_key(name) == key:
            found[id_] = str(_("付款人就是“%(name)s”", name=name))
    for id_, name in names:
        if name in alike:
            found.setdefault(id_, str(_("付款人与“%(name)s”相近", name=name)))
    for id_ in _promised(campaign, amount_fen):
        found.setdefault(id_, str(_("认捐金额与这一笔相同")))
    return {id_: found[id_][:120] for id_ in list(found)[:MOST_CANDIDATES]}


def claim_line(
    line: StatementLine, solicitation: Solicitation, *, kind: GiftKind, by: User
) -> Gift:
    """Records the line as the unit's gift; Conflict when somebody settled it first."""
    _settle(line, LineStatus.CLAIMED, by)
    campaign = db.session.get_one(Campaign, line.campaign_id)
    gift = record_gift(
        campaign=campaign,
        unit=solicitation.unit,
        amount_fen=line.amount_fen,
        received_on=line.received_on,
        kind=kind,
        reference=line.reference,
        note=line.note,
        line_key=line.line_key,
        by=by,
    )
    line.gift_id = gift.id
    audit.record("claim.line", f"line:{line.id}", gift_id=gift.id, unit_id=solicitation.unit_id)
    return gift


def set_line_aside(line: StatementLine, *, reason: str, by: User) -> None:
    """Notes that the payment has nothing to do with the campaign."""
    _settle(line, LineStatus.SET_ASIDE, by)
    audit.record("set_aside.line", f"line:{line.id}", reason=reason)


def get_line(campaign: Campaign, line_id: int) -> StatementLine:
    line = db.session.scalar(
        sa.select(StatementLine).filter_by(id=line_id, campaign_id=campaign.id)
    )
    if line is None:
        raise NotFound(_("没有这笔待认领款项。"))
    return line


def list_open_lines(campaign: Campaign) -> Sequence[StatementLine]:
    return db.session.scalars(
        sa.select(StatementLine)
        .filter_by(campaign_id=campaign.id, status=LineStatus.OPEN)
        .options(
            selectinload(StatementLine.candidates)
            .joinedload(LineCandidate.solicitation)
            .joinedload(Solicitation.unit)
        )
        .order_by(StatementLine.received_on, StatementLine.id)
    ).all()


def _settle(line: StatementLine, status: LineStatus, by: User) -> None:
    settled = db.session.scalar(
        sa.update(StatementLine)
        .where(StatementLine.id == line.id, StatementLine.status == LineStatus.OPEN)
        .values(status=status, settled_at=clock.now(), settled_by_id=by.id)
        .returning(StatementLine.id)
        .execution_options(synchronize_session=False)
    )
    if settled is None:
        raise Conflict(_("这一笔刚被他人处理过了，请核对到账列表。"))
    db.session.refresh(line)


def _names(campaign: Campaign) -> Sequence[sa.Row[int, str]]:
    """Every name that a unit of the campaign goes by, with its solicitation."""
    of_campaign = Solicitation.campaign_id == campaign.id
    own, other, short = (
        sa.select(Solicitation.id, name).join(Unit, Unit.id == Solicitation.unit_id)
        for name in (Unit.name, UnitAlias.name, Unit.short_name)
    )
    return db.session.execute(
        sa.union_all(
            own.where(of_campaign),
            other.join(UnitAlias, UnitAlias.unit_id == Unit.id).where(of_campaign),
            short.where(of_campaign, Unit.short_name != ""),
        )
    ).all()


def _promised(campaign: Campaign, amount_fen: int) -> Sequence[int]:
    return db.session.scalars(
        sa.select(Pledge.solicitation_id)
        .join(Solicitation, Solicitation.id == Pledge.solicitation_id)
        .where(
            Solicitation.campaign_id == campaign.id,
            Pledge.withdrawn_at.is_(None),
            Pledge.amount_fen == amount_fen,
        )
        .order_by(Pledge.id)
        .limit(MOST_CANDIDATES)
    ).all()
