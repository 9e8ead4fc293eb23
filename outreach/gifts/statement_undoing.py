"""Takes a statement back: the lines that it brought go, and those that it changed are as they were.
What somebody has said of a line is taken back first, by whoever said it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import sqlalchemy as sa
from flask_babel import lazy_gettext as _

from outreach import audit
from outreach.campaigns.models import Campaign
from outreach.campaigns.queries import hold_campaign
from outreach.db import db, run
from outreach.errors import Conflict
from outreach.gifts.matching import match_lines
from outreach.gifts.models import LikelyGift, LineCandidate, LineStatus, Statement, StatementLine
from outreach.gifts.statements import read_lines
from outreach.units.journal import Obstacle
from outreach.units.queries import slices


@dataclass
class StatementUndoing:
    """What goes and what comes back: wholly, or with an obstacle not at all."""

    line_ids: list[int]
    fen: int
    obstacles: list[Obstacle] = field(default_factory=list)


def plan_undo(statement: Statement) -> StatementUndoing:
    made = _list_made(statement)
    return StatementUndoing(
        line_ids=[line.id for line in made],
        fen=sum(line.amount_fen for line in made),
        obstacles=[
            *(_tell_settled(line) for line in made if line.status is not LineStatus.OPEN),
            *_find_changes(statement),
            *_find_later(statement, made),
        ],
    )


def undo_statement(statement: Statement) -> StatementUndoing:
    """Does not commit. Conflict when something stands in the way."""
    hold_campaign(statement.campaign_id)
    db.session.refresh(statement)
    undoing = plan_undo(statement)
    if undoing.obstacles:
        raise Conflict(_("不能撤销：导入之后有人处理过其中的款项。请先看清下面各处。"))
    for line_id, changes in statement.changed.items():
        old = {name: values[0] for name, values in changes.items()}
        if "received_on" in old:
            old["received_on"] = date.fromisoformat(old["received_on"])
        if old:
            run(sa.update(StatementLine).where(StatementLine.id == int(line_id)).values(**old))
    for some in slices(undoing.line_ids):
        for lead in (LineCandidate, LikelyGift):
            run(sa.delete(lead).where(lead.line_id.in_(some)))
        run(sa.delete(StatementLine).where(StatementLine.id.in_(some)))
    audit.record(
        "undo.statement",
        f"statement:{statement.id}",
        file=statement.file_name,
        lines=len(undoing.line_ids),
        amount_fen=undoing.fen,
    )
    campaign = db.session.get_one(Campaign, statement.campaign_id)
    db.session.expire_all()
    db.session.delete(statement)
    db.session.flush()
    match_lines(campaign)
    return undoing


def _list_made(statement: Statement) -> list[StatementLine]:
    changed = [int(line_id) for line_id in statement.changed]
    return [
        line
        for line in db.session.scalars(
            sa.select(StatementLine).filter_by(statement_id=statement.id).order_by(StatementLine.id)
        )
        if line.id not in changed
    ]


def _tell_settled(line: StatementLine) -> Obstacle:
    return Obstacle(
        _name(line),
        _("已处理为“%(result)s”，请先撤销", result=line.credited_to or line.status.label),
    )


def _find_changes(statement: Statement) -> Iterator[Obstacle]:
    now = read_lines([int(line_id) for line_id in statement.changed])
    for line_id, changes in statement.changed.items():
        line = db.session.get_one(StatementLine, int(line_id))
        if any(now[line.id][name] != new for name, (_old, new) in changes.items()):
            yield Obstacle(_name(line), _("后来导入的流水又改动了它，请先撤销那一份"))
        elif _is_claimed_after_refund(line, changes):
            yield Obstacle(_name(line), _("已按退款后的金额认领，请先撤销认领"))


def _is_claimed_after_refund(line: StatementLine, changes: dict[str, Any]) -> bool:
    """Its gifts are what stayed after the refund that would be taken back."""
    is_claimed = sum(gift.amount_fen for gift in line.gifts) == line.net_fen > 0
    return is_claimed and "refunded_fen" in changes


def _find_later(statement: Statement, made: list[StatementLine]) -> Iterator[Obstacle]:
    """A later statement has counted payments of this one as known, or noted that some went back."""
    own = {str(line.id) for line in made}
    later = sa.select(Statement).where(
        Statement.campaign_id == statement.campaign_id, Statement.id > statement.id
    )
    for other in db.session.scalars(later.order_by(Statement.id)):
        if own & other.changed.keys() or (other.known_count and _overlap(statement, other)):
            yield Obstacle(other.file_name, _("后来导入的这一份里有同样的款项，请先撤销它"))


def _overlap(one: Statement, other: Statement) -> bool:
    if one.source is not other.source:
        return False
    days = (one.first_on, one.last_on, other.first_on, other.last_on)
    if None in days:  # only refunds
        return False
    return one.first_on <= other.last_on and other.first_on <= one.last_on  # type: ignore[operator]


def _name(line: StatementLine) -> str:
    return str(_("%(payer)s，%(day)s", payer=line.payer or _("没有付款人"), day=line.received_on))
