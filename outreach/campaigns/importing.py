"""Takes a register in: units, the people there, and their place in one campaign."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload
from sqlalchemy.orm.exc import StaleDataError

from outreach import clock
from outreach.access import OFFICE
from outreach.accounts.models import User
from outreach.campaigns.models import (
    Campaign,
    CampaignStatus,
    Sector,
    SectorLineage,
    Solicitation,
)
from outreach.campaigns.queries import hold_campaign
from outreach.campaigns.register import LAYOUT, Entry, check_head_counts, parse_row
from outreach.campaigns.sectors import move_units
from outreach.db import db, table_of
from outreach.errors import Conflict
from outreach.spreadsheets import cells, progress, reading, tables
from outreach.spreadsheets.progress import Stage, follow
from outreach.spreadsheets.reading import SourceFile
from outreach.units import naming, services
from outreach.units.importing import FieldChange, Plan, RowChange, hide, record_batch, start_plan
from outreach.units.journal import Journal
from outreach.units.models import (
    AliasKind,
    Contact,
    ContactRole,
    ImportKind,
    Unit,
    UnitAlias,
    UnitHeadCount,
    UnitKind,
)
from outreach.units.people import Person
from outreach.units.queries import find_units, slices

UNIT_FIELDS = ("short_name", "credit_code", "kind", "district", "address")


@dataclass
class Work:
    """What has to be done for one row."""

    entry: Entry
    unit: Unit | None
    solicitation: Solicitation | None
    values: dict[str, Any] = field(default_factory=dict)
    head_count: UnitHeadCount | None = None
    """That of the campaign's year, as it is known so far."""
    solicitor: User | None = None
    new_people: list[tuple[ContactRole, Person]] = field(default_factory=list)
    people: list[tuple[Contact, dict[str, str]]] = field(default_factory=list)
    ended: list[Contact] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)
    changes: list[FieldChange] = field(default_factory=list)

    @property
    def row_count(self) -> int:
        """How many rows it makes or changes, more or less."""
        counts_heads = self.head_count is None and self.entry.values["head_count"] is not None
        is_changed = self.unit is not None and bool(self.values)
        rows = [*self.new_people, *self.people, *self.ended, *self.aliases]
        singles = (self.unit is None, self.solicitation is None, counts_heads, is_changed)
        return len(rows) + sum(singles)


@dataclass
class RegisterPlan(Plan):
    works: list[Work] = field(default_factory=list)
    new_sectors: dict[str, str] = field(default_factory=dict)
    """Names of the sectors that the campaign does not have yet, by their key."""

    def as_dict(self) -> dict[str, Any]:
        return super().as_dict() | {"new_sectors": list(self.new_sectors.values())}


def plan_register(campaign: Campaign, file: SourceFile) -> RegisterPlan:
    """What the file would change; Refused when it cannot be read at all."""
    plan = RegisterPlan(ImportKind.UNITS, file, campaign.id, campaign.code)
    if not start_plan(plan):
        return plan
    plan.take_reading(tables.find_tables(reading.read(file), LAYOUT))
    plan.require_columns(LAYOUT, ("name",))
    sector_keys = _sector_keys(campaign)
    entries = []
    for table in plan.tables:
        rows = follow(table.rows, Stage.CHECKING)
        parsed = [parse_row(table, row, plan, sector_keys) for row in rows]
        check_head_counts(table, parsed, plan)
        entries += parsed
    _Planner(campaign, plan, entries).run()
    plan.sort()
    return plan


def apply_register(
    campaign: Campaign, file: SourceFile, by: User | None = None, fingerprint: str = ""
) -> RegisterPlan:
    """Takes the file in, wholly or, when the plan is refused, not at all. Does not commit.

    Conflict when the plan is not the one that was previewed under this `fingerprint`.
    """
    hold_campaign(campaign.id)
    plan = plan_register(campaign, file)
    plan.check_previewed(fingerprint)
    if plan.is_refused or plan.is_empty:
        return plan
    try:
        journal = Journal()
        _write(campaign, plan, journal, by)
        journal.write(record_batch(plan, by, sectors=len(plan.new_sectors)))
        db.session.flush()
    except (StaleDataError, IntegrityError) as error:
        raise Conflict(_("数据刚被他人修改，没有导入。请重新预览后再导入。")) from error
    return plan


def _sector_keys(campaign: Campaign) -> set[str]:
    names = db.session.scalars(sa.select(Sector.name).filter_by(campaign_id=campaign.id))
    return {naming.name_key(name) for name in names}


class _Planner:
    """Compares the rows with what is there, and notes what is to be done for each."""

    def __init__(self, campaign: Campaign, plan: RegisterPlan, entries: list[Entry]) -> None:
        self.campaign = campaign
        self.plan = plan
        self.entries = [entry for entry in entries if entry.name]
        self.today = clock.today()
        self.sectors = {
            naming.name_key(sector.name): sector
            for sector in db.session.scalars(sa.select(Sector).filter_by(campaign_id=campaign.id))
        }
        self.sectors_by_id = {sector.id: sector for sector in self.sectors.values()}
        self.users: dict[str, list[User]] = {}
        self.by_code: dict[str, Unit] = {}
        self.by_name: dict[str, Unit] = {}
        self.by_alias: dict[str, list[Unit]] = {}
        self.solicitations: dict[int, Solicitation] = {}
        self.head_counts: dict[int, UnitHeadCount] = {}
        self.seen: dict[Any, Entry] = {}

    def run(self) -> None:
        self._load()
        for entry in follow(self.entries, Stage.COMPARING):
            self._plan_entry(entry)

    def _load(self) -> None:
        users = sa.select(User).where(User.is_enabled, User.role.in_(OFFICE))
        for user in db.session.scalars(users):
            self.users.setdefault(user.name.replace(" ", ""), []).append(user)
        codes = [entry.credit_code for entry in self.entries if entry.credit_code]
        units = find_units(keys=[entry.key for entry in self.entries], credit_codes=codes)
        for unit in units:
            self.by_name[unit.name_key] = unit
            if unit.credit_code:
                self.by_code[unit.credit_code] = unit
            for alias in unit.aliases:
                self.by_alias.setdefault(alias.name_key, []).append(unit)
                if alias.kind is AliasKind.CREDIT_CODE:
                    self.by_code.setdefault(alias.name, unit)
        for some in slices([unit.id for unit in units]):
            query = sa.select(Solicitation).where(
                Solicitation.campaign_id == self.campaign.id, Solicitation.unit_id.in_(some)
            )
            for row in db.session.scalars(query.options(joinedload(Solicitation.solicitor))):
                self.solicitations[row.unit_id] = row
            counts = sa.select(UnitHeadCount).where(
                UnitHeadCount.campaign_id == self.campaign.id, UnitHeadCount.unit_id.in_(some)
            )
            self.head_counts |= {row.unit_id: row for row in db.session.scalars(counts)}

    def _plan_entry(self, entry: Entry) -> None:
        count = len(self.plan.problems)
        unit = self._match(entry)
        if len(self.plan.problems) > count or self._is_repeated(entry, unit):
            return
        work = Work(entry, unit, self.solicitations.get(unit.id) if unit else None)
        self._compare_unit(work)
        self._compare_heads(work)
        self._compare_people(work)
        self._compare_solicitation(work)
        change = RowChange(entry.sheet, entry.row, entry.name, tuple(work.changes))
        if unit is None or work.solicitation is None:
            self.plan.new.append(change)
        elif work.changes:
            self.plan.changed.append(change)
        else:
            self.plan.unchanged += 1
            return
        self.plan.works.append(work)

    def _match(self, entry: Entry) -> Unit | None:
        by_code = self.by_code.get(entry.credit_code or "")
        by_name = self.by_name.get(entry.key)
        if by_name is None:
            others = self.by_alias.get(entry.key, [])
            if len(others) > 1 and by_code is None:
                entry.cells.refuse(
                    "name",
                    _(
                        "“%(name)s”同时是 %(units)s 的别名",
                        name=entry.name,
                        units="、".join(unit.name for unit in others),
                    ),
                    _("请改用单位全称，或填写统一社会信用代码。"),
                )
                return None
            by_name = others[0] if len(others) == 1 else None
        if by_code and by_name and by_code is not by_name:
            entry.cells.refuse(
                "credit_code",
                _("信用代码属于“%(unit)s”，名称却是另一个单位", unit=by_code.name),
                _("请核对这一行的名称和统一社会信用代码。"),
            )
        return by_code or by_name

    def _is_repeated(self, entry: Entry, unit: Unit | None) -> bool:
        """Whether the file has had this unit before; the second row is refused."""
        marks = [("name", entry.key), ("code", entry.credit_code)]
        if unit is not None:
            marks.append(("unit", str(unit.id)))
        first = next((self.seen[mark] for mark in marks if mark[1] and mark in self.seen), None)
        self.seen.update(dict.fromkeys(marks, entry))
        if first is None:
            return False
        entry.cells.refuse(
            "name",
            _("与工作表“%(sheet)s”第 %(row)s 行是同一个单位", sheet=first.sheet, row=first.row),
            _("请合并为一行；几位联系人可写在同一格，用顿号隔开。"),
        )
        return True

    def _compare_unit(self, work: Work) -> None:
        entry, unit = work.entry, work.unit
        for name in UNIT_FIELDS:
            new = entry.values[name]
            old = getattr(unit, name) if unit else None
            if new in (None, "") or new == old or (name == "credit_code" and _is_former(unit, new)):
                continue
            work.values[name] = new
            label = LAYOUT.label(name)
            work.changes.append(FieldChange(label, _shown(old), _shown(new)))
            if name == "credit_code" and old:
                self.plan.warnings.append(
                    entry.cells.problem(
                        name,
                        _("信用代码将由 %(old)s 改为 %(new)s", old=old, new=new),
                        _("请与证书核对，确认是同一个单位。"),
                    )
                )
        known = {alias.name_key for alias in unit.aliases} if unit else set()
        if unit is None:
            work.changes.insert(0, FieldChange(LAYOUT.label("name"), "", entry.name))
        elif entry.key != unit.name_key and entry.key not in known:
            work.values["name"] = entry.name
            work.changes.insert(0, FieldChange(LAYOUT.label("name"), unit.name, entry.name))
        for alias in entry.aliases:
            key = naming.name_key(alias)
            if key not in known | {entry.key, unit.name_key if unit else ""}:
                known.add(key)
                work.aliases.append(alias)
                work.changes.append(FieldChange(LAYOUT.label("alias"), "", alias))

    def _compare_heads(self, work: Work) -> None:
        """The head-count is that of the campaign's year."""
        work.head_count = self.head_counts.get(work.unit.id) if work.unit else None
        new = work.entry.values["head_count"]
        old = work.head_count.count if work.head_count else None
        if new not in (None, old):
            work.changes.append(FieldChange(LAYOUT.label("head_count"), _shown(old), _shown(new)))

    def _compare_people(self, work: Work) -> None:
        for role, people in work.entry.people.items():
            current = [
                contact
                for contact in (work.unit.contacts if work.unit else [])
                if contact.role is role and contact.is_valid_on(self.today)
            ]
            named = {contact.name: contact for contact in current}
            are_new = [person for person in people if person.name not in named]
            for person in people:
                if person.name in named:
                    self._compare_person(work, role, named[person.name], person)
            for person in are_new:
                work.new_people.append((role, person))
                text = " ".join(
                    filter(None, (person.name, hide(person.mobile), hide(person.email)))
                )
                work.changes.append(FieldChange(role.label, "", text))
            if are_new:
                kept = {person.name for person in people}
                for contact in current:
                    if contact.name not in kept:
                        work.ended.append(contact)
                        label = _("%(role)s离任", role=role.label)
                        work.changes.append(FieldChange(label, contact.name, ""))

    def _compare_person(
        self, work: Work, role: ContactRole, contact: Contact, person: Person
    ) -> None:
        values = {}
        for name in ("title", "mobile", "email"):
            old, new = getattr(contact, name), getattr(person, name)
            if not new or new == old:
                continue
            values[name] = new
            shown = (old, new) if name == "title" else (hide(old), hide(new))
            label = f"{role.label}{contact.name} {LAYOUT.label(name)}"
            work.changes.append(FieldChange(label, *shown))
        if values:
            work.people.append((contact, values))

    def _compare_solicitation(self, work: Work) -> None:
        entry, row = work.entry, work.solicitation
        old = self.sectors_by_id[row.sector_id] if row else None
        if entry.sector:
            self._note_sector(entry)
            if old is None or naming.name_key(old.name) != naming.name_key(entry.sector):
                label = LAYOUT.label("sector")
                work.changes.append(FieldChange(label, old.name if old else "", entry.sector))
        elif old is None:
            entry.cells.refuse(
                "sector", _("没有写板块"), _("请填写“%(name)s”所属的板块。", name=entry.name)
            )
        if old and entry.sector and naming.name_key(old.name) != naming.name_key(entry.sector):
            if self.campaign.status is CampaignStatus.CLOSED:
                entry.cells.refuse(
                    "sector",
                    _("活动已经结束，不能由“%(old)s”移到“%(new)s”", old=old.name, new=entry.sector),
                    _("请把板块改回“%(old)s”，或留空。", old=old.name),
                )
            self.plan.warnings.append(
                entry.cells.problem(
                    "sector",
                    _("将由“%(old)s”移到“%(new)s”", old=old.name, new=entry.sector),
                    _("只影响本次活动；单位已登记的到账随单位一起移。"),
                )
            )
        work.solicitor = self._find_solicitor(entry)
        former = row.solicitor if row else None
        if work.solicitor and work.solicitor is not former:
            label = LAYOUT.label("solicitor")
            old_name = former.name if former else ""
            work.changes.append(FieldChange(label, old_name, work.solicitor.name))

    def _note_sector(self, entry: Entry) -> None:
        key = naming.name_key(entry.sector)
        if key in self.sectors or key in self.plan.new_sectors:
            return
        self.plan.new_sectors[key] = entry.sector
        names = naming.Names(sector.name for sector in self.sectors.values())
        alike = names.nearest(entry.sector, count=1, least=0.5)
        self.plan.warnings.append(
            entry.cells.problem(
                "sector",
                _("本次活动还没有板块“%(name)s”，将新建", name=entry.sector),
                _("如其实是“%(other)s”，请在文件中改名后重新上传。", other=alike[0])
                if alike
                else _("如是笔误，请在文件中改正后重新上传。"),
            )
        )

    def _find_solicitor(self, entry: Entry) -> User | None:
        if not entry.solicitor or entry.solicitor in cells.NOTHING:
            return None
        users = self.users.get(entry.solicitor, [])
        if len(users) == 1:
            return users[0]
        if users:
            entry.cells.refuse(
                "solicitor",
                _("有 %(count)s 位用户叫“%(name)s”", count=len(users), name=entry.solicitor),
                _("请管理员先给用户改成能区分的姓名。"),
            )
        else:
            entry.cells.refuse(
                "solicitor",
                _("没有名为“%(name)s”的工作人员", name=entry.solicitor),
                _(
                    "请管理员先添加这位用户，或改为：%(names)s。",
                    names="、".join(list(self.users)[:8]),
                ),
            )
        return None


def _is_former(unit: Unit | None, code: str) -> bool:
    """Whether the unit went by the code before two rows of it were merged."""
    return unit is not None and any(alias.name == code for alias in unit.aliases)


def _shown(value: Any) -> str:
    if isinstance(value, UnitKind):
        return str(value.label)
    return "" if value is None else str(value)


def _write(campaign: Campaign, plan: RegisterPlan, journal: Journal, by: User | None) -> None:
    progress.begin(Stage.WRITING, sum(work.row_count for work in plan.works))
    sector_ids = _write_sectors(campaign, plan, journal)
    unit_ids = _write_units([work for work in plan.works if work.unit is None], journal)
    contacts, aliases, solicitations, heads = [], [], [], []
    moves: dict[int, list[Solicitation]] = {}
    for work in plan.works:
        unit_id = work.unit.id if work.unit else unit_ids[work.entry.key]
        sector_id = sector_ids.get(naming.name_key(work.entry.sector))
        contacts += [_contact_row(unit_id, role, person) for role, person in work.new_people]
        aliases += [
            {"unit_id": unit_id, "name": name, "name_key": naming.name_key(name)}
            for name in work.aliases
        ]
        count = work.entry.values["head_count"]
        if count is not None and work.head_count is not None:
            work.head_count.count = count
        elif count is not None:
            row = {"unit_id": unit_id, "campaign_id": campaign.id, "count": count, "version": 1}
            heads.append(row)
        if work.solicitation is None:
            solicitations.append(_solicitation_row(campaign, unit_id, sector_id, work.solicitor))
        else:
            if work.solicitor:
                work.solicitation.solicitor_id = work.solicitor.id
            if sector_id:
                moves.setdefault(sector_id, []).append(work.solicitation)
        _change_unit(work)
    journal.write_changes()
    reason = str(_("导入名册“%(file)s”", file=plan.file.name))
    for sector_id, units in moves.items():
        _move(units, db.session.get_one(Sector, sector_id), journal, reason=reason, by=by)
    journal.insert(Contact, contacts)
    journal.insert(UnitAlias, aliases)
    journal.insert(UnitHeadCount, heads)
    journal.insert(Solicitation, solicitations)


def _move(
    units: Sequence[Solicitation], to: Sector, journal: Journal, *, reason: str, by: User | None
) -> None:
    before = {row.id: row.sector_id for row in units}
    for row in move_units(units, to, reason=reason, by=by):
        old, new = {"sector_id": before[row.id]}, {"sector_id": to.id}
        journal.note_change(table_of(Solicitation), row.id, old, new)


def _write_sectors(campaign: Campaign, plan: RegisterPlan, journal: Journal) -> dict[str, int]:
    """Creates what is missing, continuing last year's sector of the same name; ids by key."""
    rows = db.session.execute(
        sa.select(Sector.id, Sector.name, Sector.campaign_id, Sector.position).where(
            Sector.campaign_id.in_([campaign.id, campaign.previous_id])
        )
    ).all()
    ids = {naming.name_key(row.name): row.id for row in rows if row.campaign_id == campaign.id}
    former = {naming.name_key(row.name): row.id for row in rows if row.campaign_id != campaign.id}
    last = max((row.position for row in rows if row.campaign_id == campaign.id), default=0)
    for position, (key, name) in enumerate(plan.new_sectors.items(), last + 1):
        sector = Sector(campaign_id=campaign.id, name=name, position=position)
        db.session.add(sector)
        db.session.flush()
        journal.note_new(sector)
        ids[key] = sector.id
        if key in former:
            lineage = {"sector_id": sector.id, "predecessor_id": former[key]}
            journal.insert(SectorLineage, [lineage])
    return ids


def _write_units(works: Iterable[Work], journal: Journal) -> dict[str, int]:
    """Inserts the new units in bulk; their ids by name key."""
    now = clock.now()
    rows = [_unit_row(work.entry, now) for work in works]
    return {row.name_key: row.id for row in journal.insert(Unit, rows)}


def _unit_row(entry: Entry, now: Any) -> dict[str, Any]:
    values = {name: entry.values[name] for name in UNIT_FIELDS}
    return values | {
        "name": entry.name,
        "name_key": entry.key,
        "initials": naming.initials(entry.name),
        "sms_name": services.propose_sms_name(entry.name, values["short_name"]),
        "kind": values["kind"] or naming.propose_kind(entry.name, entry.credit_code),
        "created_at": now,
        "version": 1,
    }


def _contact_row(unit_id: int, role: ContactRole, person: Person) -> dict[str, Any]:
    row = {"unit_id": unit_id, "role": role, "valid_from": clock.today(), "version": 1}
    return row | vars(person)


def _solicitation_row(
    campaign: Campaign, unit_id: int, sector_id: int | None, solicitor: User | None
) -> dict[str, Any]:
    return {
        "campaign_id": campaign.id,
        "unit_id": unit_id,
        "sector_id": sector_id,
        "solicitor_id": solicitor.id if solicitor else None,
        "version": 1,
    }


def _change_unit(work: Work) -> None:
    yesterday = clock.today() - timedelta(days=1)
    for contact in work.ended:
        contact.valid_from = min(contact.valid_from, yesterday)
        contact.valid_to = yesterday
    for contact, values in work.people:
        for name, value in values.items():
            setattr(contact, name, value)
    if work.unit is None:
        return
    for name, value in work.values.items():
        if name == "name":
            services.rename_unit(work.unit, value)
        else:
            setattr(work.unit, name, value)
