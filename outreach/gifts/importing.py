"""Takes a list of gifts in. A list often holds everything so far, so lines that the ledger has
already are recognised; a gift that is there is never changed, only reversed by a person."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.exc import IntegrityError

from outreach import clock, money
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, Sector, Solicitation
from outreach.campaigns.queries import hold_campaign
from outreach.db import db, run, table_of
from outreach.errors import Conflict
from outreach.gifts.models import Gift, GiftKind
from outreach.gifts.statement_file import AMOUNTS, LAYOUT, Line, parse_table
from outreach.spreadsheets import progress, reading, tables
from outreach.spreadsheets.layouts import Problem
from outreach.spreadsheets.progress import Stage, follow
from outreach.spreadsheets.reading import SourceFile
from outreach.units import naming
from outreach.units.importing import FieldChange, Plan, RowChange, record_batch, start_plan
from outreach.units.journal import Journal
from outreach.units.models import ImportBatch, ImportKind, Unit, UnitAlias
from outreach.units.queries import slices

MOST_ADVICE = 50
"""Rows for which the nearest names are looked up."""
NEAR = timedelta(days=3)
"""A gift may be in the ledger with another day than the list has."""


@dataclass(frozen=True)
class Target:
    """Whose gift it is: a unit's, a sector's, or nobody's yet."""

    name: str
    unit_id: int | None = None
    sector_id: int | None = None

    @property
    def key(self) -> str:
        if self.unit_id:
            return f"unit:{self.unit_id}"
        return f"sector:{self.sector_id}" if self.sector_id else "unallocated"


@dataclass
class Entry:
    """A gift: one in the ledger, or one that the file brings."""

    content: tuple[date, str, int, GiftKind]
    """Day, key of the target, fen and kind: what makes two gifts look alike."""
    reference: str
    line_key: str | None = None
    is_reversed: bool = False
    is_undone: bool = False
    """Reversed together with the whole file that brought it: the file may come again."""


@dataclass
class GiftPlan(Plan):
    lines: list[tuple[Line, Target, Entry]] = field(default_factory=list)
    """The gifts that are new."""
    unmatched: list[Line] = field(default_factory=list)
    """Lines that were refused because nobody knows which unit they name: a person may keep them
    open until it is found out (`gifts.lines`)."""
    file_fen: int = 0
    new_fen: int = 0
    ledger_before_fen: int = 0
    ledger_after_fen: int | None = None
    """What the ledger holds when the file has been taken in; None for a preview."""

    @property
    def known_fen(self) -> int:
        return self.file_fen - self.new_fen

    def as_dict(self) -> dict[str, Any]:
        return super().as_dict() | {
            "totals": {
                "file_fen": self.file_fen,
                "known_fen": self.known_fen,
                "new_fen": self.new_fen,
                "ledger_before_fen": self.ledger_before_fen,
                "ledger_after_fen": self.ledger_after_fen,
            }
        }


def plan_gifts(campaign: Campaign, file: SourceFile) -> GiftPlan:
    """What the file would add; Refused when it cannot be read at all."""
    plan = GiftPlan(ImportKind.GIFTS, file, campaign.id, campaign.code)
    plan.ledger_before_fen = _sum_ledger(Gift.campaign_id == campaign.id)
    if not start_plan(plan):
        return plan
    plan.take_reading(tables.find_tables(reading.read(file), LAYOUT))
    plan.require_columns(
        LAYOUT, tuple(AMOUNTS), ("received_on",), ("name", "sector", "credit_code")
    )
    lines = [line for table in plan.tables for line in parse_table(table, campaign, plan)]
    targets = _Targets(campaign, lines)
    rows = follow(lines, Stage.COMPARING)
    found = [(line, target) for line in rows if (target := targets.find(line, plan))]
    _compare(plan, found, _load_ledger(campaign))
    plan.sort()
    plan.file_fen = sum(line.amount_fen for line in lines)
    plan.new_fen = sum(line.amount_fen for line, _target, _entry in plan.lines)
    return plan


def apply_gifts(
    campaign: Campaign, file: SourceFile, by: User | None = None, fingerprint: str = ""
) -> GiftPlan:
    """Takes the file in, wholly or, when the plan is refused, not at all. Does not commit.

    Conflict when the plan is not the one that was previewed under this `fingerprint`, and when
    batch, file and ledger do not agree on the sum.
    """
    hold_campaign(campaign.id)
    plan = plan_gifts(campaign, file)
    plan.check_previewed(fingerprint)
    if plan.is_refused or plan.is_empty:
        return plan
    batch = record_batch(plan, by, amount_fen=plan.new_fen)
    try:
        _write(campaign, plan, batch, by)
    except IntegrityError as error:
        raise Conflict(_("数据刚被他人修改，没有导入。请重新预览后再导入。")) from error
    plan.ledger_after_fen = _sum_ledger(Gift.campaign_id == campaign.id)
    gained = plan.ledger_after_fen - plan.ledger_before_fen
    if not gained == plan.new_fen == _sum_ledger(Gift.import_batch_id == batch.id):
        raise Conflict(
            _(
                "文件合计 %(file)s 元，账上增加 %(gained)s 元，两者不符，没有导入。请重新预览。",
                file=money.format_yuan(plan.new_fen),
                gained=money.format_yuan(gained),
            )
        )
    return plan


def _sum_ledger(condition: sa.ColumnElement[bool]) -> int:
    return int(db.session.scalar(sa.select(sa.func.sum(Gift.amount_fen)).where(condition)) or 0)


class _Targets:
    """Finds whose gift a line is, among the units and sectors of one campaign."""

    def __init__(self, campaign: Campaign, lines: list[Line]) -> None:
        self.campaign = campaign
        sectors = sa.select(Sector).filter_by(campaign_id=campaign.id)
        self.sectors = {naming.name_key(row.name): row for row in db.session.scalars(sectors)}
        self.sector_keys = {row.id: key for key, row in self.sectors.items()}
        self.by_name: dict[str, set[Target]] = defaultdict(set)
        self.by_code: dict[str, Target] = {}
        self.names: naming.Names | None = None
        self.advised = 0
        self._load(lines)

    def find(self, line: Line, plan: GiftPlan) -> Target | None:
        """None when the line was refused."""
        if line.is_unallocated:
            return Target("未分配")
        if line.names_a_unit:
            return self._find_unit(line, plan)
        sector = self.sectors.get(naming.name_key(line.sector))
        if line.kind is GiftKind.UNIT:
            line.cells.refuse(
                "name",
                _("单位捐款没有写单位名称"),
                _("请补上单位名称；暂时分不清的，单位名称一栏写“未分配”。"),
            )
        elif sector:
            return Target(sector.name, sector_id=sector.id)
        elif line.sector:
            self._refuse_sector(line)
        else:
            line.cells.refuse(
                "name",
                _("既没有单位名称，也没有板块"),
                _("请补上其中一项；暂时分不清的，单位名称一栏写“未分配”。"),
            )
        return None

    def _load(self, lines: list[Line]) -> None:
        units = (
            sa.select(Unit.id, Unit.name, Unit.credit_code, Solicitation.sector_id)
            .join(Solicitation, Solicitation.unit_id == Unit.id)
            .where(Solicitation.campaign_id == self.campaign.id)
        )
        keys = sorted({naming.name_key(line.name) for line in lines if line.name})
        codes = sorted({line.credit_code for line in lines if line.credit_code})
        own = units.add_columns(Unit.name_key)
        other = units.join(UnitAlias, UnitAlias.unit_id == Unit.id).add_columns(UnitAlias.name_key)
        for some in slices(keys):
            self._take(db.session.execute(own.where(Unit.name_key.in_(some))))
        is_own = set(self.by_name)
        for some in slices([key for key in keys if key not in is_own]):
            self._take(db.session.execute(other.where(UnitAlias.name_key.in_(some))))
        for some in slices(codes):
            self._take(db.session.execute(own.where(Unit.credit_code.in_(some))))

    def _take(self, rows: Iterable[Any]) -> None:
        for unit_id, name, code, sector_id, key in rows:
            target = Target(name, unit_id, sector_id)
            self.by_name[key].add(target)
            if code:
                self.by_code[code] = target

    def _find_unit(self, line: Line, plan: GiftPlan) -> Target | None:
        by_code = self.by_code.get(line.credit_code or "")
        by_name = self.by_name.get(naming.name_key(line.name), set())
        if len(by_name) > 1 and not by_code:
            plan.unmatched.append(line)
            line.cells.refuse(
                "name",
                _("“%(name)s”可能是几个单位", name=line.name),
                _("请改用全称：%(names)s。", names="、".join(sorted(t.name for t in by_name))),
            )
            return None
        target = by_code or next(iter(by_name), None)
        if target is None:
            plan.unmatched.append(line)
            self._refuse_unit(line)
        elif by_code and by_name and by_code not in by_name:
            line.cells.refuse(
                "credit_code",
                _("信用代码属于“%(unit)s”，名称却是另一个单位", unit=by_code.name),
                _("请核对这一行的名称和统一社会信用代码。"),
            )
            return None
        else:
            self._check_sector(line, target, plan)
        return target

    def _check_sector(self, line: Line, target: Target, plan: Plan) -> None:
        own = self.sector_keys.get(target.sector_id or 0, "")
        if line.sector and naming.name_key(line.sector) != own:
            plan.warnings.append(
                line.cells.problem(
                    "sector",
                    _(
                        "文件写的板块是“%(written)s”，“%(unit)s”在本次活动中属于“%(own)s”",
                        written=line.sector,
                        unit=target.name,
                        own=self.sectors[own].name,
                    ),
                    _("将记在“%(own)s”。", own=self.sectors[own].name),
                )
            )

    def _refuse_sector(self, line: Line) -> None:
        names = [sector.name for sector in self.sectors.values()]
        alike = naming.Names(names).nearest(line.sector) or names[:3]
        line.cells.refuse(
            "sector",
            _("本次活动没有板块“%(name)s”", name=line.sector),
            _("可选：%(names)s。", names="、".join(alike)),
        )

    def _refuse_unit(self, line: Line) -> None:
        self.advised += 1
        alike = self._nearest(line.name) if self.advised <= MOST_ADVICE else []
        line.cells.refuse(
            "name" if line.name else "credit_code",
            _("本次活动没有单位“%(name)s”", name=line.name or line.credit_code),
            _("是不是：%(names)s？如是新单位，请先导入名册。", names="、".join(alike))
            if alike
            else _("请先在名册中导入这个单位；个人捐款请在名称一栏写“个人”并填写板块。"),
        )

    def _nearest(self, name: str) -> list[str]:
        if self.names is None:
            query = sa.select(Unit.name).join(Solicitation, Solicitation.unit_id == Unit.id)
            condition = Solicitation.campaign_id == self.campaign.id
            self.names = naming.Names(db.session.scalars(query.where(condition)))
        return self.names.nearest(name)


def _load_ledger(campaign: Campaign) -> list[Entry]:
    reversals = dict(
        db.session.execute(
            sa.select(Gift.reversal_of_id, Gift.import_batch_id).where(
                Gift.campaign_id == campaign.id, Gift.reversal_of_id.is_not(None)
            )
        ).all()
    )
    rows = db.session.execute(
        sa.select(
            Gift.id,
            Gift.received_on,
            Gift.unit_id,
            Gift.sector_id,
            Gift.amount_fen,
            Gift.kind,
            Gift.reference,
            Gift.line_key,
        )
        .where(Gift.campaign_id == campaign.id, Gift.reversal_of_id.is_(None))
        .order_by(Gift.id)
    )
    return [
        Entry(
            (row.received_on, Target("", row.unit_id, row.sector_id).key, row.amount_fen, row.kind),
            row.reference,
            row.line_key,
            row.id in reversals,
            reversals.get(row.id) is not None,
        )
        for row in rows
    ]


def _compare(plan: GiftPlan, lines: list[tuple[Line, Target]], ledger: list[Entry]) -> None:
    """Sorts the lines into those that the ledger has, those that contradict it, and new ones.

    Each entry of the ledger answers for one line only, so that true repeats in a file survive.
    """
    open_entries = _Ledger([entry for entry in ledger if not entry.is_undone])
    everything: list[tuple[Line, Entry]] = []
    rest: list[tuple[Line, Target, Entry]] = []
    for line, target in lines:
        kind = line.kind or (GiftKind.UNIT if not _is_personal(target) else GiftKind.INDIVIDUAL)
        content = (line.received_on, target.key, line.amount_fen, kind)
        entry = Entry(content, line.reference)
        everything.append((line, entry))
        known = open_entries.take(content, line.reference)
        if known:
            plan.unchanged += 1
            _warn_of_known(plan, line, known)
        else:
            rest.append((line, target, entry))
    unlike: list[tuple[Line, Target, Entry]] = []
    for line, target, entry in rest:
        known = open_entries.take_alike(entry)
        if known:
            plan.unchanged += 1
            _warn_of_known(plan, line, known)
        else:
            unlike.append((line, target, entry))
    keys = _Keys(ledger)
    for line, target, entry in unlike:
        if entry.reference and open_entries.contradicts(entry.reference):
            _refuse_contradiction(line)
            continue
        entry.line_key = keys.make(entry)
        plan.lines.append((line, target, entry))
        plan.new.append(_row_change(line, target, entry))
        _warn_of_near(plan, line, entry, open_entries)
    _look_across_sheets(plan, everything)


def _look_across_sheets(plan: GiftPlan, everything: list[tuple[Line, Entry]]) -> None:
    """A workbook may have a sheet of everything beside one for each sector: each gift twice.

    The ledger may have one of the two already, so lines that it knows count, too; where it has
    both, somebody has decided that they are two.
    """
    sheets: dict[Any, set[str]] = defaultdict(set)
    for line, entry in everything:
        sheets[entry.content].add(line.sheet)
    shared = [(line, entry) for line, entry in everything if len(sheets[entry.content]) > 1]
    order = {
        sheet: number for number, sheet in enumerate(dict.fromkeys(x.sheet for x, _ in shared))
    }
    twins = [found for sheet in order for found in _find_twins(sheet, shared)]
    new = {entry.content for _line, _target, entry in plan.lines}
    twins_of_new = [(line, twin) for line, entry, twin in twins if entry.content in new]
    count = Counter(line.sheet for line, _entry in everything)
    alike = Counter(line.sheet for line, _entry, _twin in twins)
    changed = {line.sheet for line, _twin in twins_of_new}
    repeated = [sheet for sheet in order if alike[sheet] == count[sheet] > 1 and sheet in changed]
    if repeated:
        sheet = max(repeated, key=count.__getitem__)
        plan.problems.append(
            Problem(
                sheet,
                None,
                "",
                _("这个工作表的每一行在其他工作表里都有，会记两遍"),
                _("请只保留汇总表或各分表。如确是不同的捐款，请放进同一个工作表。"),
            )
        )
        return
    for line, twin in twins_of_new:
        if order[twin.sheet] < order[line.sheet]:
            message = _(
                "与工作表“%(sheet)s”第 %(row)s 行的单位、日期和金额相同",
                sheet=twin.sheet,
                row=twin.row,
            )
            remedy = _("如是同一笔，请删去一处；如确是两笔，可不理会。")
            plan.warnings.append(line.cells.problem(line.amount_field, message, remedy))


def _find_twins(sheet: str, shared: list[tuple[Line, Entry]]) -> Iterator[tuple[Line, Entry, Line]]:
    """Lines of the sheet with the line of another that says the same; each answers for one only.
    As with the ledger, one of the two may have no reference."""
    own = [(line, entry) for line, entry in shared if line.sheet == sheet]
    contents = {entry.content for _line, entry in own}
    lines = {
        id(entry): line
        for line, entry in shared
        if line.sheet != sheet and entry.content in contents
    }
    others = _Ledger([entry for _line, entry in shared if id(entry) in lines])
    rest = []
    for line, entry in own:
        twin = others.take(entry.content, entry.reference)
        if twin:
            yield line, entry, lines[id(twin)]
        else:
            rest.append((line, entry))
    for line, entry in rest:
        twin = others.take_alike(entry)
        if twin:
            yield line, entry, lines[id(twin)]


def _is_personal(target: Target) -> bool:
    return target.unit_id is None and target.sector_id is not None


class _Ledger:
    """Entries that no line of the file has answered to yet."""

    def __init__(self, entries: list[Entry]) -> None:
        # Reversed ones come last: a line answers to money that is there before money that was.
        ordered = sorted(entries, key=lambda entry: entry.is_reversed)
        self.by_content: dict[Any, list[Entry]] = defaultdict(list)
        for entry in ordered:
            self.by_content[entry.content].append(entry)
        self.by_amount: dict[tuple[str, int], list[Entry]] = defaultdict(list)
        for entry in ordered:
            if not entry.is_reversed:
                self.by_amount[entry.content[1:3]].append(entry)
        self.references = Counter(
            entry.reference for entry in entries if entry.reference and not entry.is_reversed
        )

    def take(self, content: Any, reference: str) -> Entry | None:
        return self._take(content, {reference})

    def take_alike(self, entry: Entry) -> Entry | None:
        """A gift of the same content of which one of the two has no reference."""
        return self._take(entry.content, {""} if entry.reference else None)

    def contradicts(self, reference: str) -> bool:
        """Whether the ledger has other gifts under this reference than the file."""
        return self.references[reference] > 0

    def find_near(self, entry: Entry) -> Entry | None:
        """A gift of the same unit and amount about that day that nothing in the file answers to,
        and that has no number of its own."""
        day = entry.content[0]
        for other in self.by_amount.get(entry.content[1:3], ()):
            is_other = entry.reference and other.reference
            if abs(other.content[0] - day) <= NEAR and not is_other:
                return other
        return None

    def _take(self, content: Any, references: set[str] | None) -> Entry | None:
        entries = self.by_content.get(content, [])
        for entry in entries:
            if references is None or entry.reference in references:
                entries.remove(entry)
                if not entry.is_reversed:
                    self.references[entry.reference] -= 1
                    self.by_amount[entry.content[1:3]].remove(entry)
                return entry
        return None


class _Keys:
    """Keys of imported lines: the reference, or what the line says, and its n-th occurrence."""

    def __init__(self, ledger: list[Entry]) -> None:
        self.used = {entry.line_key for entry in ledger}
        self.numbers: Counter[str] = Counter()

    def make(self, entry: Entry) -> str:
        text = f"reference:{entry.reference}" if entry.reference else repr(entry.content)
        base = hashlib.sha256(text.encode()).hexdigest()[:48]
        return next(key for key in self._count(base) if key not in self.used)

    def _count(self, base: str) -> Iterator[str]:
        while True:
            self.numbers[base] += 1
            yield f"{base}:{self.numbers[base]}"


def _warn_of_known(plan: GiftPlan, line: Line, known: Entry) -> None:
    if known.is_reversed:
        message = _("这一笔已经冲正，不再导入")
        remedy = _("如确已重新到账，请在系统里登记一笔。")
    elif known.line_key is None or known.reference != line.reference:
        message = _("系统里已有同日、同额的一笔，视为同一笔，没有重复导入")
        remedy = _("如确是另一笔，请在系统里登记。")
    else:
        return
    plan.warnings.append(line.cells.problem(line.amount_field, message, remedy))


def _warn_of_near(plan: GiftPlan, line: Line, entry: Entry, ledger: _Ledger) -> None:
    near = ledger.find_near(entry)
    if near is not None and line.names_a_unit:
        message = _("账上 %(day)s 已有同单位、同额的一笔", day=near.content[0].isoformat())
        remedy = _("如是同一笔，请删去这一行；如确是另一笔，可不理会。")
        plan.warnings.append(line.cells.problem(line.amount_field, message, remedy))


def _refuse_contradiction(line: Line) -> None:
    line.cells.refuse(
        "reference",
        _(
            "流水号 %(reference)s 已经入账，但单位、金额或日期与文件不一致",
            reference=line.reference,
        ),
        _("请核对文件；如账上记错，请先在系统里冲正那一笔。"),
    )


def _row_change(line: Line, target: Target, entry: Entry) -> RowChange:
    kind = entry.content[3]
    fields = (
        FieldChange(LAYOUT.label(line.amount_field), "", money.format_yuan(line.amount_fen)),
        FieldChange(LAYOUT.label("received_on"), "", line.received_on.isoformat()),
        FieldChange(LAYOUT.label("kind"), "", str(kind.label)),
    )
    return RowChange(line.sheet, line.row, target.name, fields)


def _write(campaign: Campaign, plan: GiftPlan, batch: ImportBatch, by: User | None) -> None:
    now = clock.now()
    rows = [
        {
            "campaign_id": campaign.id,
            "unit_id": target.unit_id,
            "sector_id": target.sector_id,
            "amount_fen": line.amount_fen,
            "kind": entry.content[3],
            "donor_count": line.donor_count,
            "basis": line.basis,
            "channel": line.channel,
            "received_on": line.received_on,
            "reference": line.reference,
            "note": line.note,
            "designation": line.designation,
            "may_publish": line.may_publish,
            "line_key": entry.line_key,
            "import_batch_id": batch.id,
            "recorded_at": now,
            "recorded_by_id": by.id if by else None,
        }
        for line, target, entry in plan.lines
    ]
    progress.begin(Stage.WRITING, len(rows))
    for some in slices(rows):
        db.session.connection().execute(sa.insert(Gift), list(some))
        progress.advance(len(some))
    _record_contacts(campaign, plan, batch)


def _record_contacts(campaign: Campaign, plan: GiftPlan, batch: ImportBatch) -> None:
    """A unit that gave was reached on that day: see `campaigns.services.record_contact`."""
    last: dict[int, date] = {}
    for line, target, _entry in plan.lines:
        if target.unit_id:
            last[target.unit_id] = max(last.get(target.unit_id, date.min), line.received_on)
    journal = Journal()
    table = table_of(Solicitation)
    changes = []
    for some in slices(sorted(last)):
        rows = sa.select(table.c.id, table.c.unit_id, table.c.last_contact_on).where(
            table.c.campaign_id == campaign.id, table.c.unit_id.in_(some)
        )
        for row_id, unit_id, before in run(rows.with_for_update()):
            day = last[unit_id]
            if before is None or before < day:
                changes.append({"row": row_id, "day": day})
                old, new = {"last_contact_on": before}, {"last_contact_on": day}
                journal.note_change(table, row_id, old, new)
    if changes:
        statement = sa.update(table).where(table.c.id == sa.bindparam("row"))
        run(
            statement.values(last_contact_on=sa.bindparam("day"), version=table.c.version + 1),
            changes,
        )
        db.session.expire_all()
    journal.write(batch)
