"""Takes the import of a register back: what it made goes, what it changed is as it was."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.exc import IntegrityError

from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, Sector, Solicitation
from outreach.campaigns.queries import hold_campaign
from outreach.campaigns.sectors import lock_sectors, move_units
from outreach.db import db, run, table_of
from outreach.errors import Conflict, Refused
from outreach.units import journal
from outreach.units.importing import FieldChange, RowChange, hide
from outreach.units.journal import Undoing
from outreach.units.models import (
    Contact,
    ImportBatch,
    ImportChange,
    Unit,
    UnitHeadCount,
    UnitKind,
)
from outreach.units.queries import slices

KIND_LABELS = {kind.value: kind.label for kind in UnitKind}


def describe_register(batch: ImportBatch) -> tuple[list[str], list[RowChange]]:
    """The names of the units that the batch made, and what it changed at others."""
    made, changed = [], []
    changes = journal.list_changes(batch)
    names = _Names(batch, changes)
    for change in changes:
        if change.old is not None:
            fields = tuple(names.field_changes(change))
            changed.append(RowChange("", 0, names.subject(change), fields))
        elif change.table_name == Unit.__tablename__:
            made.append(change.new["name"])
    return made, changed


class _Names:
    """Puts names in the place of ids."""

    def __init__(self, batch: ImportBatch, changes: list[ImportChange]) -> None:
        self._sectors = dict(
            run(sa.select(Sector.id, Sector.name).filter_by(campaign_id=batch.campaign_id)).all()
        )
        self._users = dict(run(sa.select(User.id, User.name)).all())
        self._units: dict[str, dict[int, str]] = {Unit.__tablename__: {}}
        for model in (Contact, Solicitation, UnitHeadCount):
            table = table_of(model)
            ids = [change.row_id for change in changes if change.table_name == table.name]
            owners = self._units.setdefault(table.name, {})
            for some in slices(ids):
                query = sa.select(model.id, Unit.name).join(Unit, Unit.id == model.unit_id)
                owners |= dict(run(query.where(model.id.in_(some))).all())
        ids = [change.row_id for change in changes if change.table_name == Unit.__tablename__]
        for some in slices(ids):
            query = sa.select(Unit.id, Unit.name).where(Unit.id.in_(some))
            self._units[Unit.__tablename__] |= dict(run(query).all())

    def subject(self, change: ImportChange) -> str:
        return self._units[change.table_name].get(change.row_id, "")

    def field_changes(self, change: ImportChange) -> Iterator[FieldChange]:
        for name, old in (change.old or {}).items():
            if name in journal.LABELS:
                new = self._shown(name, change.new[name])
                yield FieldChange(journal.LABELS[name], self._shown(name, old), new)

    def _shown(self, column: str, value: Any) -> str:
        if column in journal.PRIVATE:
            return hide(value)
        if column == "kind":
            return str(KIND_LABELS[value])
        names = {"sector_id": self._sectors, "solicitor_id": self._users}.get(column)
        if names is not None:
            value = names.get(value)
        return "" if value is None else str(value)


def undo_register(batch: ImportBatch, by: User | None = None) -> Undoing:
    """Refused when somebody has built on what was imported. Does not commit."""
    campaign = db.session.get_one(Campaign, batch.campaign_id)
    hold_campaign(campaign.id)
    journal.start_undo(batch)
    undoing = journal.plan_undo(batch, is_locking=True)
    if undoing.obstacles:
        raise Refused(
            _(
                "没有撤销：%(count)s 处在导入之后又有人改动过。请先处理下面列出的各项。",
                count=len(undoing.obstacles),
            )
        )
    moves = [change for change in undoing.restored if _is_move(change)]
    try:
        if moves:
            lock_sectors(campaign)
            _move_back(moves, batch, by)
        journal.restore(change for change in undoing.restored if not _is_move(change))
        journal.remove(undoing)
    except IntegrityError as error:
        raise Conflict(_("数据刚被他人修改，没有撤销。请刷新后再试。")) from error
    journal.finish_undo(batch, by, **undoing.counts)
    return undoing


def _is_move(change: ImportChange) -> bool:
    return change.table_name == Solicitation.__tablename__ and "sector_id" in (change.old or {})


def _move_back(moves: Sequence[ImportChange], batch: ImportBatch, by: User | None) -> None:
    """The units' gifts, also those of after the import, go back with them."""
    by_sector: dict[int, list[Solicitation]] = defaultdict(list)
    former = {change.row_id: (change.old or {})["sector_id"] for change in moves}
    for some in slices(list(former)):
        query = sa.select(Solicitation).where(Solicitation.id.in_(some))
        for row in db.session.scalars(query.execution_options(populate_existing=True)):
            by_sector[former[row.id]].append(row)
    reason = str(_("撤销导入 %(number)s：%(file)s", number=batch.id, file=batch.file_name))
    for sector_id, units in by_sector.items():
        move_units(units, db.session.get_one(Sector, sector_id), reason=reason, by=by)
