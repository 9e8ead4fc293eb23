"""What an import did to each row, written down with it, so that the whole of it can be undone."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import sqlalchemy as sa
from flask_babel import LazyString
from flask_babel import lazy_gettext as _
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.exc import StaleDataError

from outreach import audit, clock
from outreach.accounts.models import User
from outreach.db import Base, db, insert_many, run, table_of
from outreach.errors import Conflict
from outreach.spreadsheets import progress
from outreach.units.models import Contact, ImportBatch, ImportChange, Unit
from outreach.units.queries import slices
from outreach.web import mask

IGNORED = {"version"}
"""Counts changes, and is itself none."""
PRIVATE = {"mobile", "email"}
LABELS: dict[str, LazyString] = {
    "name": _("名称"),
    "name_key": _("名称"),
    "short_name": _("简称"),
    "sms_name": _("短信用名"),
    "public_name": _("公示名称"),
    "credit_code": _("信用代码"),
    "kind": _("单位性质"),
    "count": _("人数"),
    "parent_id": _("主管单位"),
    "merged_into_id": _("合并"),
    "district": _("区县"),
    "visit_days": _("接待来访的日子"),
    "address": _("地址"),
    "title": _("职务"),
    "role": _("角色"),
    "mobile": _("手机"),
    "email": _("邮箱"),
    "preferred_channel": _("首选渠道"),
    "valid_from": _("起始日期"),
    "valid_to": _("截止日期"),
    "erased_at": _("个人信息"),
    "sector_id": _("板块"),
    "solicitor_id": _("劝募人"),
    "stage": _("进展"),
    "decline_reason": _("婉拒原因"),
    "is_exempt": _("免劝"),
    "next_action": _("下一步"),
    "next_action_on": _("下一步日期"),
    "snoozed_until": _("暂缓至"),
    "change_reason": _("增减原因"),
    "last_contact_on": _("最近联系"),
    "position": _("次序"),
}
REFERENCES: dict[str, LazyString] = {
    "gift": _("到账记录"),
    "payer_alias": _("付款人记录"),
    "pledge": _("认捐"),
    "visit": _("走访"),
    "todo": _("待办"),
    "message": _("消息"),
    "attendee": _("会议名单"),
    "contact": _("另外的联系人"),
    "unit_alias": _("另外的别名"),
    "solicitation": _("另外的劝募"),
    "stage_change": _("进展记录"),
    "wave_member": _("提醒批次"),
    "line_candidate": _("待认领款项"),
    "sector_move": _("板块变动"),
    "unit": _("下级单位"),
    "unit_head_count": _("另外年度的人数"),
    "unit_merge": _("合并记录"),
    "units_apart": _("“不是同一单位”的说明"),
}
FOLLOWERS = {"gift"}
"""Tables whose rows are stamped with the sector of their unit, and follow it."""


class Journal:
    """Takes down what an import does while it does it."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []

    def insert(self, model: type[Base], rows: Sequence[Mapping[str, Any]]) -> Sequence[sa.Row[Any]]:
        """Inserts the rows in bulk; Conflict when somebody else has just inserted one of them."""
        table = table_of(model)
        made = insert_many(model, rows, *table.c)
        if len(made) < len(rows):
            raise Conflict(_("数据刚被他人修改，没有导入。请重新预览后再导入。"))
        for row in made:
            self._note(table, None, row._asdict())
        progress.advance(len(made))
        return made

    def note_new(self, row: Base) -> None:
        """A row that was added to the session and flushed."""
        table = table_of(type(row))
        self._note(table, None, {column.name: getattr(row, column.name) for column in table.c})

    def write_changes(self) -> None:
        """Writes what the session has changed, many rows in a statement, and what it has added.
        StaleDataError when somebody else has just changed one of the rows."""
        added = list(db.session.new)
        updates: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
        for row in list(db.session.dirty):
            state, table = sa.inspect(row), table_of(type(row))
            columns = state.mapper.column_attrs
            before = {key: old for key, old in state.committed_state.items() if key in columns}
            old = {key: value for key, value in before.items() if value != getattr(row, key)}
            if old:
                new = {key: getattr(row, key) for key in old}
                self._note(table, old, {_key(table).name: state.identity[0]} | new)
                guard = {"of_row": state.identity[0], "of_version": row.version}
                updates[table.name, *old].append(guard | {f"new_{key}": new[key] for key in new})
                for key, value in (new | {"version": row.version + 1}).items():
                    set_committed_value(row, key, value)
        for (name, *columns), rows in updates.items():
            _update(db.metadata.tables[name], columns, rows)
            progress.advance(len(rows))
        db.session.flush()
        for row in added:
            self.note_new(row)

    def note_change(self, table: sa.Table, row_id: int, old: Any, new: Any) -> None:
        """A row that is changed by a statement; `old` and `new` are its changed columns."""
        self._note(table, old, {_key(table).name: row_id} | new)

    def write(self, batch: ImportBatch) -> None:
        insert_many(
            ImportChange, [{"batch_id": batch.id} | row for row in self._rows], ImportChange.id
        )

    def _note(self, table: sa.Table, old: Any, new: Mapping[str, Any]) -> None:
        values = {name: _plain(value) for name, value in new.items() if name not in IGNORED}
        key = values[_key(table).name]
        if old is not None:
            old = {name: _plain(value) for name, value in old.items()}
            values = {name: values[name] for name in old}
        self._rows.append({"table_name": table.name, "row_id": key, "old": old, "new": values})


@dataclass(frozen=True)
class Obstacle:
    """Something that somebody did since the import, which undoing it would destroy."""

    subject: str
    message: LazyString | str


@dataclass
class Undoing:
    """What undoing a batch takes away and sets back: wholly, or with an obstacle not at all."""

    batch: ImportBatch
    is_locking: bool = False
    """Whether the rows stay as they are until the transaction ends."""
    removed: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Ids of the rows that the import made, by table."""
    restored: list[ImportChange] = field(default_factory=list)
    obstacles: list[Obstacle] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        removed = {name: len(ids) for name, ids in self.removed.items()}
        return removed | {"restored": len(self.restored)}


def list_changes(batch: ImportBatch) -> list[ImportChange]:
    return list(db.session.scalars(sa.select(ImportChange).filter_by(batch_id=batch.id)))


def rewrite_contact(contact: Contact) -> None:
    """Lets imports that made or changed the contact say of it only what its row says now, after a
    person was erased: whoever undoes them brings nothing back."""
    of_row = sa.select(ImportChange).filter_by(table_name=Contact.__tablename__, row_id=contact.id)
    for change in db.session.scalars(of_row):
        now = {name: _plain(getattr(contact, name)) for name in change.new}
        change.new = now
        if change.old is not None:
            change.old = now


def plan_undo(batch: ImportBatch, *, is_locking: bool = False) -> Undoing:
    """Looks at every row that the batch made or changed."""
    undoing = Undoing(batch, is_locking)
    by_table: dict[str, list[ImportChange]] = defaultdict(list)
    for change in list_changes(batch):
        by_table[change.table_name].append(change)
    if not by_table:
        message = _("这次导入没有留下修改记录，不能整批撤销。请逐个改正。")
        undoing.obstacles.append(Obstacle(batch.file_name, message))
    for name, changes in by_table.items():
        _check_rows(undoing, db.metadata.tables[name], changes)
    for name, ids in undoing.removed.items():
        _check_references(undoing, name, ids)
    return undoing


def start_undo(batch: ImportBatch) -> None:
    """Conflict when somebody else has undone it already."""
    undone = sa.select(ImportBatch.undone_at).where(ImportBatch.id == batch.id)
    if db.session.scalar(undone.with_for_update()):
        raise Conflict(_("这次导入已经撤销过了。"))


def finish_undo(batch: ImportBatch, by: User | None, **facts: Any) -> None:
    batch.undone_at = clock.now()
    batch.undone_by_id = by.id if by else None
    db.session.flush()
    db.session.expire_all()
    audit.record("undo.import", f"import_batch:{batch.id}", **facts)


def restore(changes: Iterable[ImportChange]) -> None:
    """Gives the changed columns the values back that they had before the import."""
    statements: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for change in changes:
        table = db.metadata.tables[change.table_name]
        old = change.old or {}
        values = {f"old_{name}": _typed(table.c[name], value) for name, value in old.items()}
        statements[change.table_name, *old].append(values | {"row": change.row_id})
    for (name, *columns), rows in statements.items():
        table = db.metadata.tables[name]
        update = sa.update(table).where(_key(table) == sa.bindparam("row"))
        new: dict[str, Any] = {column: sa.bindparam(f"old_{column}") for column in columns}
        run(update.values(new | {"version": table.c.version + 1}), rows)


def remove(undoing: Undoing) -> None:
    """Takes away the rows that the import made, the dependent ones first."""
    for table in reversed(db.metadata.sorted_tables):
        for some in slices(undoing.removed.get(table.name, [])):
            run(sa.delete(table).where(_key(table).in_(some)))


def _update(table: sa.Table, columns: Sequence[str], rows: list[dict[str, Any]]) -> None:
    statement = sa.update(table).where(
        _key(table) == sa.bindparam("of_row"), table.c.version == sa.bindparam("of_version")
    )
    new: dict[str, Any] = {column: sa.bindparam(f"new_{column}") for column in columns}
    done = db.session.connection().execute(
        statement.values(new | {"version": table.c.version + 1}), rows
    )
    if done.rowcount != len(rows):
        raise StaleDataError(f"{len(rows) - done.rowcount} rows of {table.name} were changed")


def _check_rows(undoing: Undoing, table: sa.Table, changes: Sequence[ImportChange]) -> None:
    rows = _rows_by_key(undoing, table, [change.row_id for change in changes])
    names = _names_of_units(rows.values())
    gone = _list_gone(table, changes)
    for change in changes:
        row = rows.get(change.row_id)
        if row is None:
            name = change.new.get("name", f"{table.name}:{change.row_id}")
            undoing.obstacles.append(Obstacle(name, _("已被删除或合并")))
            continue
        subject = names.get(row.get("unit_id"), row.get("name", ""))
        later = [
            Obstacle(subject, _changed(table, column, now))
            for column, value in change.new.items()
            if (now := _plain(row[column])) != value
        ] + [
            Obstacle(subject, _("原来的“%(label)s”已经不在", label=LABELS.get(column, column)))
            for column, value in (change.old or {}).items()
            if (column, value) in gone
        ]
        undoing.obstacles += later
        if change.old is None:
            undoing.removed[table.name].append(change.row_id)
        elif not later:
            undoing.restored.append(change)


def _list_gone(table: sa.Table, changes: Sequence[ImportChange]) -> set[tuple[str, Any]]:
    """Columns and values to which they cannot be set back: what they refer to is gone."""
    gone: set[tuple[str, Any]] = set()
    for key in table.foreign_keys:
        name = key.parent.name
        ids = {change.old[name] for change in changes if change.old and change.old.get(name)}
        for some in slices(sorted(ids)):
            there = run(sa.select(key.column).where(key.column.in_(some))).scalars()
            gone |= {(name, row_id) for row_id in set(some) - set(there)}
    return gone


def _changed(table: sa.Table, column: str, now: Any) -> LazyString:
    label = LABELS.get(column, column)
    now = mask(now) if column in PRIVATE else now
    if now in (None, "") or isinstance(table.c[column].type, sa.Enum) or column.endswith("_id"):
        return _("导入后又改过“%(label)s”", label=label)
    return _("导入后又改过“%(label)s”，现在是“%(now)s”", label=label, now=now)


def _check_references(undoing: Undoing, name: str, ids: Sequence[int]) -> None:
    """Whether rows that the batch did not make refer to those that would go."""
    table = db.metadata.tables[name]
    found: dict[int, set[str]] = defaultdict(set)
    for column in _columns_that_refer_to(table):
        other = column.table
        own = set(undoing.removed.get(other.name, [])) | {
            change.row_id for change in _restored(undoing, other.name, column.name)
        }
        is_following = other.name in FOLLOWERS and column.name == "sector_id"
        moved = _units_moved_back(undoing) if is_following else set()
        unit_id = other.c.unit_id if is_following else sa.null()
        for some in slices(ids):
            query = sa.select(column, _key(other), unit_id).where(column.in_(some)).distinct()
            for row_id, key, unit in run(query):
                if key not in own and unit not in moved:
                    found[row_id].add(other.name)
    rows = _rows_by_key(undoing, table, list(found))
    names = _names_of_units(rows.values())
    for row_id, tables in found.items():
        row = rows[row_id]
        for other_name in sorted(tables):
            what = REFERENCES.get(other_name, _("其他记录"))
            subject = names.get(row.get("unit_id"), row.get("name", ""))
            undoing.obstacles.append(Obstacle(subject, _("导入后已有%(what)s", what=what)))


def _restored(undoing: Undoing, table_name: str, column_name: str) -> Iterator[ImportChange]:
    for change in undoing.restored:
        if change.table_name == table_name and column_name in (change.old or {}):
            yield change


def _units_moved_back(undoing: Undoing) -> set[int]:
    table = db.metadata.tables["solicitation"]
    ids = [change.row_id for change in _restored(undoing, table.name, "sector_id")]
    found: set[int] = set()
    for some in slices(ids):
        found |= set(run(sa.select(table.c.unit_id).where(table.c.id.in_(some))).scalars())
    return found


def _columns_that_refer_to(table: sa.Table) -> Iterator[sa.Column[Any]]:
    for other in db.metadata.sorted_tables:
        for key in other.foreign_keys:
            if key.column.table is table and other.name != ImportChange.__tablename__:
                yield key.parent


def _rows_by_key(
    undoing: Undoing, table: sa.Table, ids: Sequence[int]
) -> dict[int, Mapping[str, Any]]:
    found: dict[int, Mapping[str, Any]] = {}
    for some in slices(ids):
        query = sa.select(table).where(_key(table).in_(some))
        query = query.with_for_update() if undoing.is_locking else query
        found |= {row[_key(table).name]: row for row in run(query).mappings()}
    return found


def _names_of_units(rows: Iterable[Mapping[str, Any]]) -> dict[int | None, str]:
    ids = sorted({row["unit_id"] for row in rows if "unit_id" in row})
    names: dict[int | None, str] = {}
    for some in slices(ids):
        names |= dict(run(sa.select(Unit.id, Unit.name).where(Unit.id.in_(some))).all())
    return names


def _key(table: sa.Table) -> sa.Column[Any]:
    return next(iter(table.primary_key))


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def _typed(column: sa.Column[Any], value: Any) -> Any:
    return date.fromisoformat(value) if value and isinstance(column.type, sa.Date) else value
