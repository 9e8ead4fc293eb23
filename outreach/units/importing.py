"""What taking in a file would do. It is always shown before it is done, and done exactly so."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask_babel import LazyString
from flask_babel import lazy_gettext as _

from outreach import audit, clock
from outreach.accounts.models import User
from outreach.db import db
from outreach.errors import Conflict
from outreach.spreadsheets.layouts import Layout, Problem
from outreach.spreadsheets.reading import SourceFile
from outreach.spreadsheets.tables import Reading, Table
from outreach.units.models import ImportBatch, ImportKind
from outreach.units.queries import find_batch
from outreach.web import mask


@dataclass(frozen=True)
class FieldChange:
    label: LazyString | str
    old: str
    new: str

    def as_dict(self) -> dict[str, str]:
        return {"field": str(self.label), "old": self.old, "new": self.new}


@dataclass(frozen=True)
class RowChange:
    """What one row of the file brings: a new thing, or other values for one that is there."""

    sheet: str
    row: int
    subject: str
    fields: tuple[FieldChange, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return {
            "sheet": self.sheet,
            "row": self.row,
            "subject": self.subject,
            "fields": [change.as_dict() for change in self.fields],
        }


@dataclass
class Plan:
    kind: ImportKind
    file: SourceFile
    campaign_id: int
    campaign_code: str
    previous: ImportBatch | None = None
    """The batch of the very same file: nothing is done a second time."""
    new: list[RowChange] = field(default_factory=list)
    changed: list[RowChange] = field(default_factory=list)
    unchanged: int = 0
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)

    @property
    def taken_in_at(self) -> datetime | None:
        """When the very same file was taken in."""
        return self.previous.created_at if self.previous else None

    def why(self, table: Table) -> LazyString:
        """What the meaning of the table's columns follows from."""
        return _("列名是已知的写法")

    @property
    def is_refused(self) -> bool:
        return bool(self.problems)

    @property
    def is_empty(self) -> bool:
        """Nothing to do: every row is there already, or the file was taken in before."""
        return not (self.new or self.changed or self.problems)

    @property
    def counts(self) -> dict[str, int]:
        return {
            "new": len(self.new),
            "changed": len(self.changed),
            "unchanged": self.unchanged,
            "refused": len({(problem.sheet, problem.row) for problem in self.problems}),
        }

    @property
    def fingerprint(self) -> str:
        """Two plans with the same one do the same to the same rows."""
        text = json.dumps(Plan.as_dict(self), ensure_ascii=False, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def check_previewed(self, fingerprint: str) -> None:
        """Conflict when what was previewed under this fingerprint is not what would be done."""
        if fingerprint and fingerprint != self.fingerprint:
            raise Conflict(_("预览之后数据有变化，没有导入。请核对下面的新预览后再确认。"))

    def as_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind.value,
            "campaign": self.campaign_code,
            "file": self.file.name,
            "sha256": self.file.sha256,
            "status": "refused" if self.is_refused else "unchanged" if self.is_empty else "ready",
            "counts": self.counts,
            "problems": [problem.as_dict() for problem in self.problems],
            "warnings": [problem.as_dict() for problem in self.warnings],
            "new": [change.as_dict() for change in self.new],
            "changed": [change.as_dict() for change in self.changed],
        }

    def sort(self) -> None:
        """Problems and warnings in the order in which the file has their rows."""
        sheets = {table.sheet: number for number, table in enumerate(self.tables)}
        for problems in (self.problems, self.warnings):
            problems.sort(key=lambda told: (sheets.get(told.sheet, -1), told.row or 0))

    def take_reading(self, reading: Reading) -> None:
        self.tables = reading.tables
        self.problems += reading.problems
        self.warnings += reading.warnings

    def require_columns(self, layout: Layout, *wanted: tuple[str, ...]) -> None:
        """Each table must have one of each group of fields; without, it is not looked into."""
        for table in list(self.tables):
            for names in wanted:
                if not any(name in table.places for name in names):
                    self.problems.append(_missing_column(table, layout, names))
                    if table in self.tables:
                        self.tables.remove(table)


def start_plan(plan: Plan) -> bool:
    """Whether there is something to look into: not when this very file was taken in before."""
    plan.previous = find_batch(plan.kind, plan.campaign_id, plan.file.sha256)
    return plan.previous is None


def record_batch(plan: Plan, by: User | None, **facts: Any) -> ImportBatch:
    """Notes that the file was taken in; `facts` are figures for the batch and the audit trail."""
    counts = plan.counts | facts
    batch = ImportBatch(
        kind=plan.kind,
        campaign_id=plan.campaign_id,
        file_name=plan.file.name[:200],
        sha256=plan.file.sha256,
        counts=counts,
        created_at=clock.now(),
        created_by_id=by.id if by else None,
    )
    db.session.add(batch)
    db.session.flush()
    audit.record(f"import.{plan.kind.value}", f"import_batch:{batch.id}", **counts)
    return batch


def hide(address: str) -> str:
    """A phone number or address as a preview may show it."""
    return mask(address) if address else ""


def _missing_column(table: Table, layout: Layout, names: tuple[str, ...]) -> Problem:
    columns = [column for column in layout.columns if column.field in names]
    return Problem(
        table.sheet,
        None,
        columns[0].label,
        _("缺少“%(column)s”这一列", column="/".join(column.label for column in columns)),
        _(
            "请补上这一列，列名可写作：%(titles)s。如这个工作表不是明细，请删除或隐藏它。",
            titles="、".join(title for column in columns for title in column.titles[:4]),
        ),
    )
