"""Takes the import of a list of gifts back: each gift is reversed, none is deleted."""

from dataclasses import dataclass

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload

from outreach import clock
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign
from outreach.campaigns.queries import hold_campaign
from outreach.db import db, run, table_of
from outreach.errors import Conflict
from outreach.gifts.lines import release_gifts
from outreach.gifts.matching import match_lines
from outreach.gifts.models import Gift
from outreach.units import journal
from outreach.units.journal import Undoing
from outreach.units.models import ImportBatch

STAYS = {"id", "reversal_of_id", "line_key", "may_publish"}
"""Columns that a reversal does not take over from its gift."""


@dataclass
class GiftUndoing(Undoing):
    reversed_count: int = 0
    reversed_fen: int = 0
    gone_count: int = 0
    """Gifts of the batch that a person had reversed before."""


def list_gifts_of(batch: ImportBatch, most: int) -> list[Gift]:
    """The first gifts that the batch brought."""
    query = sa.select(Gift).where(Gift.import_batch_id == batch.id, Gift.reversal_of_id.is_(None))
    owners = (joinedload(Gift.unit), joinedload(Gift.sector))
    return list(db.session.scalars(query.options(*owners).order_by(Gift.id).limit(most)))


def plan_undo(batch: ImportBatch, *, is_locking: bool = False) -> GiftUndoing:
    undoing = GiftUndoing(batch)
    # A unit that was reached again since keeps the later day.
    undoing.restored = journal.plan_undo(batch, is_locking=is_locking).restored
    if is_locking:
        # Who reverses one of them holds it, too.
        run(sa.select(Gift.id).where(*_standing(batch)).with_for_update())
    count, fen = run(
        sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(Gift.amount_fen), 0)).where(
            *_standing(batch)
        )
    ).one()
    undoing.reversed_count, undoing.reversed_fen = count, int(fen)
    own = sa.select(sa.func.count()).where(
        Gift.import_batch_id == batch.id, Gift.reversal_of_id.is_(None)
    )
    undoing.gone_count = (db.session.scalar(own) or 0) - count
    return undoing


def undo_gifts(batch: ImportBatch, by: User | None = None) -> GiftUndoing:
    """Reverses each gift of the batch that stands, with the batch as the reason. Does not commit.

    The reversals belong to the batch, so that its lines are known to be free for another import.
    """
    hold_campaign(batch.campaign_id)
    journal.start_undo(batch)
    undoing = plan_undo(batch, is_locking=True)
    gifts = table_of(Gift)
    reason = str(_("撤销导入 %(number)s：%(file)s", number=batch.id, file=batch.file_name))[:200]
    today = clock.today()
    changed = {
        "amount_fen": -gifts.c.amount_fen,
        "received_on": sa.case((gifts.c.received_on > today, gifts.c.received_on), else_=today),
        "note": sa.literal(reason),
        "reversal_of_id": gifts.c.id,
        "recorded_at": sa.literal(clock.now(), gifts.c.recorded_at.type),
        "recorded_by_id": sa.literal(by.id if by else None, sa.Integer()),
    }
    kept = {column.name: column for column in gifts.c if column.name not in STAYS | {*changed}}
    columns = kept | changed | {"may_publish": sa.false()}
    source = sa.select(*columns.values()).where(*_standing(batch)).order_by(gifts.c.id)
    try:
        run(sa.insert(gifts).from_select(list(columns), source))
    except IntegrityError as error:
        raise Conflict(_("数据刚被他人修改，没有撤销。请刷新后再试。")) from error
    campaign = db.session.get_one(Campaign, batch.campaign_id)
    if release_gifts(campaign, Gift.import_batch_id == batch.id):
        match_lines(campaign)
    journal.restore(undoing.restored)
    journal.finish_undo(batch, by, reversed=undoing.reversed_count, amount_fen=undoing.reversed_fen)
    return undoing


def _standing(batch: ImportBatch) -> tuple[sa.ColumnElement[bool], ...]:
    reversed_ids = sa.select(Gift.reversal_of_id).where(Gift.reversal_of_id.is_not(None))
    return (
        Gift.import_batch_id == batch.id,
        Gift.reversal_of_id.is_(None),
        Gift.id.not_in(reversed_ids),
    )
