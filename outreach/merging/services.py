"""Merges two units that are one, and takes a merge back. No fen appears or vanishes by it."""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.exc import IntegrityError

from outreach import audit, clock
from outreach.accounts.models import User
from outreach.campaigns.models import Solicitation, StageCause, StageChange
from outreach.db import db, insert_new, table_of
from outreach.errors import Conflict, NotFound, Refused
from outreach.gifts.models import Gift, Pledge
from outreach.gifts.services import Credit, credit_gift
from outreach.merging import aspects, journal, plans
from outreach.merging.journal import Journal, Row, rows_of
from outreach.merging.models import UnitMerge, UnitsApart
from outreach.messages.models import Wave
from outreach.todos.models import Todo, TodoKind, TodoStatus
from outreach.units import naming, services
from outreach.units.models import AliasKind, Contact, Unit, UnitAlias
from outreach.visits.models import OPEN, Visit, VisitStatus

UNIT, CONTACT, ALIAS, SOLICITATION, GIFT, PLEDGE, VISIT, TODO, STAGE_CHANGE, WAVE = map(
    table_of,
    (Unit, Contact, UnitAlias, Solicitation, Gift, Pledge, Visit, Todo, StageChange, Wave),
)


def merge_units(survivor: Unit, loser: Unit, *, fingerprint: str, by: User | None) -> UnitMerge:
    """Hands everything that hangs on `loser` to `survivor`, and leaves the row of `loser` empty.
    Conflict when it would not do what was previewed under this `fingerprint`."""
    _lock(survivor, loser)
    plans.plan_merge(survivor, loser).check_previewed(fingerprint)
    before = plans.sum_by_campaign(survivor.id, loser.id)
    steps = _Merging(survivor, loser, by).run()
    db.session.expire_all()
    _check_sums(before, survivor)
    merge = UnitMerge(
        survivor_id=survivor.id,
        loser_id=loser.id,
        steps=steps,
        merged_at=clock.now(),
        merged_by_id=by.id if by else None,
    )
    db.session.add(merge)
    db.session.flush()
    audit.record("merge.unit", f"unit:{survivor.id}", loser=loser.id, merge=merge.id)
    return merge


def undo_merge(merge: UnitMerge, *, by: User | None) -> None:
    """Sets every row back to what it was before; what came since stays with the survivor."""
    _lock(merge.survivor, merge.loser)
    db.session.refresh(merge, with_for_update=True)
    if merge.undone_at is not None:
        raise Conflict(_("这次合并已经撤销过了。"))
    _check_is_last(merge)
    plans.check_in_no_wave(merge.survivor)
    before = plans.sum_by_campaign(merge.survivor_id, merge.loser_id)
    name = merge.loser.name
    try:
        journal.undo(merge.steps)
    except IntegrityError as error:
        raise Refused(
            _("合并之后，“%(unit)s”的名称或信用代码已被别的单位使用，无法撤销。", unit=name)
        ) from error
    _take_reversals_along(merge)
    db.session.expire_all()
    if plans.sum_by_campaign(merge.survivor_id, merge.loser_id) != before:
        raise Conflict(_("撤销前后的到账合计不一致，没有撤销。请联系管理员。"))
    merge.undone_at = clock.now()
    merge.undone_by_id = by.id if by else None
    db.session.flush()
    audit.record("undo.merge", f"unit:{merge.survivor_id}", loser=merge.loser_id, merge=merge.id)


def keep_apart(one: Unit, other: Unit, *, by: User | None) -> None:
    """Notes that the two are not the same, so that they are not proposed again."""
    first, second = sorted((one.id, other.id))
    row = {
        "one_id": first,
        "other_id": second,
        "noted_at": clock.now(),
        "noted_by_id": by.id if by else None,
    }
    if insert_new(UnitsApart, [row], ["one_id", "other_id"]):
        audit.record("keep_apart.units", f"unit:{first}", other=second)


def get_merge(merge_id: int) -> UnitMerge:
    merge = db.session.get(UnitMerge, merge_id)
    if merge is None:
        raise NotFound(_("没有这次合并。"))
    return merge


class _Merging:
    """Goes through what hangs on the losing unit and writes down each step."""

    def __init__(self, survivor: Unit, loser: Unit, by: User | None) -> None:
        self.survivor = rows_of(UNIT.c.id, survivor.id)[0]
        self.loser = rows_of(UNIT.c.id, loser.id)[0]
        self.by = by
        self.journal = Journal()

    def run(self) -> list[journal.Step]:
        places = {
            row["campaign_id"]: row for row in rows_of(SOLICITATION.c.unit_id, self.survivor["id"])
        }
        for theirs in rows_of(SOLICITATION.c.unit_id, self.loser["id"]):
            ours = places.get(theirs["campaign_id"])
            places[theirs["campaign_id"]] = self._move_place(ours, theirs)
        for gift in rows_of(GIFT.c.unit_id, self.loser["id"]):
            place = places.get(gift["campaign_id"], gift)
            credit = {"unit_id": self.survivor["id"], "sector_id": place["sector_id"]}
            self.journal.change(GIFT, gift, credit)
        self._end_doubles()
        for name in plans.ON_UNIT:
            self._move(plans.column_of(name), self.loser["id"], self.survivor["id"])
        self._join_units()
        self._join_trees()
        return self.journal.steps

    def _move_place(self, ours: Row | None, theirs: Row) -> Row:
        """Everything that hangs on the loser's solicitation goes to the survivor's in the same
        campaign, which is made when there is none."""
        if ours is None:
            left_out = {"id", "unit_id", "version"}
            copied = {name: value for name, value in theirs.items() if name not in left_out}
            copied |= {"unit_id": self.survivor["id"], "version": 1}
            ours = self.journal.add(SOLICITATION, copied)
        else:
            self._choose(SOLICITATION, aspects.OF_SOLICITATION, ours, theirs)
            self._note_stage(ours, theirs)
            self._settle_doubles(ours, theirs)
        for name in plans.ON_SOLICITATION:
            self._move(plans.column_of(name), theirs["id"], ours["id"])
        self._rename_in_waves(theirs, ours)
        self.journal.remove(SOLICITATION, theirs)
        return ours

    def _rename_in_waves(self, theirs: Row, ours: Row) -> None:
        """In audiences that name units one by one: drafts, and what a rule has asked about."""
        for wave in rows_of(WAVE.c.campaign_id, ours["campaign_id"]):
            named = wave["audience"].get("solicitation_ids", [])
            if theirs["id"] in named:
                ids = (ours["id"] if id_ == theirs["id"] else id_ for id_ in named)
                audience = wave["audience"] | {"solicitation_ids": list(dict.fromkeys(ids))}
                self.journal.change(WAVE, wave, {"audience": audience})

    def _choose(
        self, table: sa.Table, of: tuple[aspects.Aspect, ...], ours: Row, theirs: Row
    ) -> None:
        for aspect in of:
            if aspect.prefers_theirs(ours, theirs):
                values = {column: theirs[column] for column in aspect.columns}
                self.journal.change(table, ours, values)

    def _note_stage(self, ours: Row, theirs: Row) -> None:
        stage = aspects.OF_SOLICITATION[0]
        if not stage.prefers_theirs(ours, theirs):
            return
        self.journal.add(
            STAGE_CHANGE,
            {
                "solicitation_id": ours["id"],
                "at": clock.now(),
                "by_id": self.by.id if self.by else None,
                "from_stage": ours["stage"],
                "to_stage": theirs["stage"],
                "cause": StageCause.PERSON,
                "note": self._reason(),
            },
        )

    def _settle_doubles(self, ours: Row, theirs: Row) -> None:
        """Of two open visits, two open to-dos of a kind and two open pledges one stays."""
        now = clock.now()
        if _open_visits(ours):
            for visit in _open_visits(theirs):
                values: dict[str, Any] = {"status": VisitStatus.DROPPED, "note": self._reason()}
                self.journal.change(VISIT, visit, values)
        # Two replies have two people's words.
        waiting = {todo["kind"] for todo in _open_todos(ours)} - {TodoKind.REPLY}
        for todo in _open_todos(theirs):
            if todo["kind"] in waiting:
                settled = {"settled_at": now, "settled_by_id": self.by.id if self.by else None}
                values = {"status": TodoStatus.DROPPED, "note": self._reason()}
                self.journal.change(TODO, todo, values | settled)
        mine, others = _open_pledges(ours), _open_pledges(theirs)
        if mine and others:
            # As when a promise is recorded: the newer one takes the place of the other.
            is_newer = mine[-1]["recorded_at"] >= others[-1]["recorded_at"]
            for pledge in others if is_newer else mine:
                self.journal.change(PLEDGE, pledge, {"withdrawn_at": now})

    def _end_doubles(self) -> None:
        """A person whom both units have answers for the survivor once."""
        today = clock.today()
        mine = [row for row in self._contacts(self.survivor) if _is_current(row)]
        for row in self._contacts(self.loser):
            if _is_current(row) and any(_is_same_person(row, other) for other in mine):
                yesterday = today - timedelta(days=1)
                values = {"valid_to": yesterday, "valid_from": min(row["valid_from"], yesterday)}
                self.journal.change(CONTACT, row, values)

    def _contacts(self, unit: Row) -> list[Row]:
        return rows_of(CONTACT.c.unit_id, unit["id"])

    def _move(self, column: sa.Column[Any], old: int, new: int) -> None:
        """Points rows from `old` to `new`. A row of which `new` has its like already goes: an
        alias that both have, a message that named both."""
        table = column.table
        taken = [
            {tuple(row[name] for name in names) for row in rows_of(column, new)}
            for names in _unique_with(column)
        ]
        for row in rows_of(column, old):
            likes = [
                tuple(row[name] for name in names) in keys
                for names, keys in zip(_unique_with(column), taken, strict=True)
            ]
            if any(likes):
                self.journal.remove(table, row)
            else:
                values = {column.name: new} | _rename_proposal(table, row, old, new)
                self.journal.change(table, row, values)

    def _join_units(self) -> None:
        survivor, loser = self.survivor, self.loser
        key = f"{loser['name_key'][:100]}#{loser['id']}"
        values = {"name_key": key, "credit_code": None, "merged_into_id": survivor["id"]}
        self.journal.change(UNIT, loser, values)
        self._choose(UNIT, aspects.OF_UNIT, survivor, loser)
        self._add_alias(loser["name"], AliasKind.FORMER)
        self._add_alias(loser["short_name"], AliasKind.ABBREVIATION)
        if survivor["credit_code"]:
            self._add_alias(loser["credit_code"] or "", AliasKind.CREDIT_CODE)

    def _join_trees(self) -> None:
        """The loser's branches grow on the survivor; what would close a circle grows where the
        loser did."""
        above = {self.survivor["id"], *services.list_above(self.survivor["parent_id"])}
        for child in rows_of(UNIT.c.parent_id, self.loser["id"]):
            is_above = child["id"] in above
            to = self.loser["parent_id"] if is_above else self.survivor["id"]
            self.journal.change(UNIT, child, {"parent_id": to})
        survivor = rows_of(UNIT.c.id, self.survivor["id"])[0]
        parent_id = self.loser["parent_id"]
        is_free = survivor["parent_id"] is None
        if is_free and survivor["id"] not in services.list_above(parent_id):
            self.journal.change(UNIT, survivor, {"parent_id": parent_id})
        loser = rows_of(UNIT.c.id, self.loser["id"])[0]
        self.journal.change(UNIT, loser, {"parent_id": None})

    def _add_alias(self, name: str, kind: AliasKind) -> None:
        key = naming.name_key(name)
        known = {row["name_key"] for row in rows_of(ALIAS.c.unit_id, self.survivor["id"])}
        if key and key not in known | {self.survivor["name_key"]}:
            values = {"unit_id": self.survivor["id"], "name": name, "name_key": key, "kind": kind}
            self.journal.add(ALIAS, values)

    def _reason(self) -> str:
        return str(_("“%(unit)s”并入本单位", unit=self.loser["name"]))


def _lock(*units: Unit) -> None:
    """Both units and their places stay as they are until the transaction ends."""
    ids = [unit.id for unit in units]
    db.session.execute(
        sa.select(Unit.id).where(Unit.id.in_(ids)).order_by(Unit.id).with_for_update()
    )
    db.session.execute(
        sa.select(Solicitation.id)
        .where(Solicitation.unit_id.in_(ids))
        .order_by(Solicitation.id)
        .with_for_update()
    )
    db.session.expire_all()


def _check_sums(before: dict[int, int], survivor: Unit) -> None:
    if plans.sum_by_campaign(survivor.id) != before:
        raise Conflict(_("合并前后的到账合计不一致，没有合并。请刷新页面后重试。"))


def _check_is_last(merge: UnitMerge) -> None:
    units = (merge.survivor_id, merge.loser_id)
    later = db.session.scalar(
        sa.select(UnitMerge)
        .where(
            UnitMerge.id > merge.id,
            UnitMerge.undone_at.is_(None),
            sa.or_(UnitMerge.survivor_id.in_(units), UnitMerge.loser_id.in_(units)),
        )
        .order_by(UnitMerge.id.desc())
        .limit(1)
    )
    if later is not None:
        raise Refused(
            _(
                "之后“%(loser)s”又并入了“%(survivor)s”。请先撤销那一次合并。",
                loser=later.loser.name,
                survivor=later.survivor.name,
            )
        )


def _take_reversals_along(merge: UnitMerge) -> None:
    """A gift that was reversed since goes back together with its reversal."""
    moved = {step["key"]["id"]: step for step in merge.steps if step["table"] == Gift.__tablename__}
    reversals = db.session.execute(
        sa.select(Gift.id, Gift.reversal_of_id).where(Gift.reversal_of_id.in_(list(moved)))
    ).all()
    for id_, of_id in reversals:
        if id_ not in moved:
            step = moved[of_id]
            credit_gift(id_, before=Credit(**step["after"]), after=Credit(**step["before"]))


def _open_visits(place: Row) -> list[Row]:
    rows = rows_of(VISIT.c.solicitation_id, place["id"])
    return [row for row in rows if row["status"] in OPEN]


def _open_todos(place: Row) -> list[Row]:
    rows = rows_of(TODO.c.solicitation_id, place["id"])
    return [row for row in rows if row["status"] is TodoStatus.OPEN]


def _open_pledges(place: Row) -> list[Row]:
    rows = rows_of(PLEDGE.c.solicitation_id, place["id"])
    return [row for row in rows if row["withdrawn_at"] is None]


def _is_current(contact: Row) -> bool:
    today = clock.today()
    return contact["valid_from"] <= today and (
        contact["valid_to"] is None or today <= contact["valid_to"]
    )


def _is_same_person(one: Row, other: Row) -> bool:
    return one["name"] == other["name"] and any(
        one[column] and one[column] == other[column] for column in ("mobile", "email")
    )


def _unique_with(column: sa.Column[Any]) -> list[list[str]]:
    """The other columns of each key in which the column is unique."""
    keys = [
        constraint.columns
        for constraint in column.table.constraints
        if isinstance(constraint, sa.UniqueConstraint | sa.PrimaryKeyConstraint)
    ]
    return [
        [other.name for other in key if other is not column] for key in keys if column.name in key
    ]


def _rename_proposal(table: sa.Table, row: Row, old: int, new: int) -> dict[str, str]:
    """What was proposed for a message to the one is not proposed for the other again."""
    key = row.get("proposal_key") or ""
    head, _colon, tail = key.rpartition(":")
    if "message:" not in head or tail != str(old):
        return {}
    renamed = f"{head}:{new}"
    return {} if rows_of(table.c.proposal_key, renamed) else {"proposal_key": renamed}  # type: ignore[arg-type]
