"""Takes a statement in. Every payment that it shows is kept as a line, once: exports overlap, and
a payment that an earlier one brought is known. What went out is counted and never a gift."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from flask_babel import LazyString
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import joinedload

from outreach import audit, clock, money
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign
from outreach.campaigns.queries import hold_campaign
from outreach.db import db, run
from outreach.errors import Conflict, NotFound
from outreach.gifts.column_choices import find_choice, layout_of
from outreach.gifts.lines import KeptLines
from outreach.gifts.matching import match_lines
from outreach.gifts.models import (
    ColumnChoice,
    Gift,
    LineStatus,
    Source,
    Statement,
    StatementLine,
)
from outreach.gifts.payments import LAYOUTS, Content, Payment, Refund, RowReader, Told
from outreach.gifts.recognition import recognise, warn_of_doubts
from outreach.gifts.stated_totals import Compared, take_notes
from outreach.spreadsheets import progress, reading, tables
from outreach.spreadsheets.layouts import Problem
from outreach.spreadsheets.progress import Stage, follow
from outreach.spreadsheets.reading import Book, Sheet, SourceFile
from outreach.spreadsheets.tables import Cells, LeftOut, Table
from outreach.units.importing import FieldChange, Plan, RowChange
from outreach.units.models import ImportKind
from outreach.units.queries import slices

WRITTEN = (
    "line_key",
    "statement_id",
    "payer",
    "account_tail",
    "amount_fen",
    "refunded_fen",
    "refunds",
    "received_on",
    "serial",
    "reference",
    "summary",
)
"""Columns of a line that a statement may change when the line is there already."""


@dataclass
class StatementPlan(Plan):
    earlier: Statement | None = None
    """The very same file, taken in before."""
    content: Content = field(default_factory=lambda: Content(Source.BANK))
    lines: list[tuple[Payment, str]] = field(default_factory=list)
    """Payments that are new, each with the key of its line."""
    noted: dict[int, tuple[str, Payment]] = field(default_factory=dict)
    """Lines that were noted before the statement came, by id, each with its key from now on."""
    refunded: dict[int, dict[str, int]] = field(default_factory=dict)
    """What has gone back in all, by the id of the line that was known: fen by key."""
    known_fen: int = 0
    stated: list[Compared] = field(default_factory=list)
    """What the file says of itself, as far as its rows could be read."""
    choices: dict[str, ColumnChoice] = field(default_factory=dict)
    """Sheets of which a person has said what the columns are."""

    def why(self, table: Table) -> LazyString:
        choice = self.choices.get(table.sheet)
        if choice is None:
            return super().why(table)
        by = choice.chosen_by.name if choice.chosen_by else _("命令行")
        day = clock.day_of(choice.chosen_at).isoformat()
        return _("%(name)s 在 %(day)s 指定", name=by, day=day)

    @property
    def taken_in_at(self) -> datetime | None:
        return self.earlier.imported_at if self.earlier else None

    @property
    def new_fen(self) -> int:
        return self.content.credit_fen - self.known_fen

    def as_dict(self) -> dict[str, Any]:
        return super().as_dict() | {
            "source": self.content.source.value,
            "totals": {
                "credit_count": len(self.content.payments),
                "credit_fen": self.content.credit_fen,
                "known_fen": self.known_fen,
                "new_fen": self.new_fen,
                "debit_count": self.content.debit_count,
                "debit_fen": self.content.debit_fen,
                "refund_fen": self.content.refund_fen,
            },
        }


def plan_statement(campaign: Campaign, file: SourceFile) -> StatementPlan:
    """What the file would add; Refused when it cannot be read at all."""
    plan = StatementPlan(ImportKind.STATEMENT, file, campaign.id, campaign.code)
    plan.earlier = find_statement(campaign, file.sha256)
    if plan.earlier:
        return plan
    read_content(reading.read(file), plan)
    _compare(campaign, plan)
    plan.sort()
    return plan


def apply_statement(
    campaign: Campaign, file: SourceFile, by: User | None = None, fingerprint: str = ""
) -> StatementPlan:
    """Takes the file in, wholly or, when the plan is refused, not at all. Does not commit.

    Conflict when the plan is not the one that was previewed under this `fingerprint`.
    """
    hold_campaign(campaign.id)
    plan = plan_statement(campaign, file)
    plan.check_previewed(fingerprint)
    if plan.is_refused or plan.is_empty:
        return plan
    statement = _record_statement(campaign, plan, by)
    _write(campaign, plan, statement)
    _check_sum(plan, statement)
    match_lines(campaign)
    return plan


def find_statement(campaign: Campaign, sha256: str) -> Statement | None:
    return db.session.scalar(sa.select(Statement).filter_by(campaign_id=campaign.id, sha256=sha256))


def list_statements(campaign: Campaign, most: int) -> Sequence[Statement]:
    """The latest first."""
    return db.session.scalars(
        sa.select(Statement)
        .filter_by(campaign_id=campaign.id)
        .options(joinedload(Statement.imported_by))
        .order_by(Statement.id.desc())
        .limit(most)
    ).all()


def get_statement(campaign: Campaign, statement_id: int) -> Statement:
    statement = db.session.scalar(
        sa.select(Statement).filter_by(id=statement_id, campaign_id=campaign.id)
    )
    if statement is None:
        raise NotFound(_("没有这份流水，可能已被删除。"))
    return statement


def read_content(book: Book, plan: StatementPlan) -> None:
    """The payments of all sheets, which are of one source; what is wrong goes to the plan."""
    hidden = book.hidden
    for sheet in book.sheets:
        if any(value is not None for row in sheet.rows for value in row):
            _read_sheet(Book([sheet], hidden, is_text=book.is_text), plan)
            hidden = []
    if not plan.tables and not plan.problems:
        plan.warnings.clear()  # they say the same of each sheet
        message = _("没有找到表头")
        remedy = _("请在数据上方保留一行列名，或点“对应各列”，指明哪一列是日期、付款人和金额。")
        plan.problems.append(Problem("", None, "", message, remedy))
    if not plan.problems and not plan.content.payments:
        message = _("文件里没有收入，没有可以导入的款项")
        plan.warnings.append(Problem("", None, "", message, _("请核对下载的账户和日期。")))


def _read_sheet(book: Book, plan: StatementPlan) -> None:
    [sheet] = book.sheets
    filled = _filled(sheet)
    notes = take_notes(sheet)
    summing = filled - _filled(sheet)
    content = Content(notes.source, notes.account_tail)
    choice = find_choice(sheet) if notes.source is Source.BANK else None
    layout = layout_of(choice) if choice else LAYOUTS[notes.source]
    found = tables.find_tables(book, layout)
    plan.warnings += found.warnings
    if not found.tables and found.warnings:
        return  # a sheet that is no list
    if not plan.tables:
        plan.content = Content(notes.source, notes.account_tail)
    plan.problems += found.problems
    before = len(plan.tables)
    plan.tables += found.tables
    plan.require_columns(layout, ("credit", "amount"), ("received_on",))
    for table in plan.tables[before:]:
        _tell_sums(table, summing)
        if choice:
            plan.choices[table.sheet] = choice
        RowReader(table, layout, content, Told(plan.problems, plan.warnings)).read()
    if not plan.problems:
        plan.stated += notes.compare(content)
        plan.problems += notes.check(sheet.name, content)
    plan.content.add(content)


def _filled(sheet: Sheet) -> set[int]:
    """Numbers of the rows that hold something."""
    return {
        number
        for number, row in enumerate(sheet.rows, 1)
        if any(value is not None for value in row)
    }


def _tell_sums(table: Table, summing: set[int]) -> None:
    """Rows that were taken off the sheet are not blank: they state sums."""
    blank = table.left_out.pop(LeftOut.BLANK, [])
    for number in blank:
        table.left_out[LeftOut.TOTAL if number in summing else LeftOut.BLANK].append(number)


# Which payments are new


def _compare(campaign: Campaign, plan: StatementPlan) -> None:
    """Sorts the payments into known and new ones, and finds what the refunds belong to."""
    recognised = recognise(campaign, plan.content)
    noted = KeptLines(campaign, StatementLine.statement_id.is_(None))
    by_serial: dict[str, Any] = {}
    for item in follow(recognised, Stage.COMPARING):
        payment = item.payment
        if item.line is not None:
            by_serial[item.line.serial] = item.line
            plan.unchanged += 1
            plan.known_fen += payment.amount_fen
            continue
        numbers = (payment.serial, payment.reference)
        day, amount = payment.received_on, payment.amount_fen
        if line_id := noted.take(numbers, day, payment.payer, amount):
            plan.noted[line_id] = item.key, payment
        plan.lines.append((payment, item.key))
    by_serial.pop("", None)
    _place_refunds(campaign, plan, by_serial)
    plan.new = [_row_change(payment) for payment, _key in plan.lines]
    plan.warnings += warn_of_doubts(recognised)
    _warn_of_repeats(plan)
    _warn_of_other_campaigns(campaign, plan)


def _place_refunds(campaign: Campaign, plan: StatementPlan, known: dict[str, Any]) -> None:
    """A refund belongs to the payment of its number: one of the file, or one that is known. It may
    be in several exports, so that each is known by a key and counts once."""
    here = {payment.serial: payment for payment in plan.content.payments if payment.serial}
    missing = [row.serial for row in plan.content.refunds if row.serial not in here]
    known = known | _lines_by_serial(campaign, missing)
    came_back: defaultdict[str, dict[str, int]] = defaultdict(dict)
    last: dict[str, Refund] = {}
    for key, refund in _refund_keys(plan.content):
        came_back[refund.serial][key] = refund.amount_fen
        last[refund.serial] = refund
    for serial, refunds in came_back.items():
        line, payment, refund = known.get(serial), here.get(serial), last[serial]
        if payment:
            payment.refunds = refunds
        if line is None and payment is None:
            _warn(plan, refund.cells, _("找不到这笔退款原来的收款"), _("原收款可能不在本活动内。"))
        elif line and not refunds.keys() <= line.refunds.keys():
            _note_refund(plan, line, refund, line.refunds | refunds)


def _refund_keys(content: Content) -> Iterator[tuple[str, Refund]]:
    """Its own number, or else day, amount and the n-th occurrence."""
    numbers: Counter[tuple[str, str]] = Counter()
    for refund in content.refunds:
        text = refund.number or f"{refund.day.isoformat()}:{refund.amount_fen}"
        numbers[refund.serial, text] += 1
        yield f"{text}:{numbers[refund.serial, text]}", refund


def _lines_by_serial(campaign: Campaign, serials: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for some in slices(serials):
        query = sa.select(StatementLine).filter_by(campaign_id=campaign.id)
        for line in db.session.scalars(query.where(StatementLine.serial.in_(some))):
            found[line.serial] = line
    return found


def _note_refund(plan: StatementPlan, line: Any, refund: Refund, refunds: dict[str, int]) -> None:
    plan.refunded[line.id] = refunds
    back = min(sum(refunds.values()), line.amount_fen)
    old, new = money.format_yuan(line.refunded_fen), money.format_yuan(back)
    change = FieldChange(_("已退款"), old, new)
    place = refund.cells.problem("serial", "")
    plan.changed.append(RowChange(place.sheet, place.row or 0, line.payer or "", (change,)))
    if line.status is LineStatus.CLAIMED:
        _warn(
            plan,
            refund.cells,
            _("这笔退款原来的收款已经认领为捐款"),
            _("导入后请打开这一笔，撤销认领。"),
        )


def _warn_of_repeats(plan: StatementPlan) -> None:
    numbers: defaultdict[str, list[Payment]] = defaultdict(list)
    for payment in plan.content.payments:
        if payment.serial:
            numbers[payment.serial].append(payment)
    for serial, payments in numbers.items():
        if len(payments) > 1:
            rows = "、".join(str(payment.row) for payment in payments[:10])
            _warn(
                plan,
                payments[0].cells,
                _("流水号 %(serial)s 出现在第 %(rows)s 行", serial=serial, rows=rows),
                _("各行都会保留。如是重复下载拼接的文件，请先删去重复的行。"),
            )


def _warn_of_other_campaigns(campaign: Campaign, plan: StatementPlan) -> None:
    keys = [key for _payment, key in plan.lines]
    count = 0
    for some in slices(keys):
        elsewhere = sa.select(sa.func.count()).where(
            StatementLine.campaign_id != campaign.id, StatementLine.line_key.in_(some)
        )
        count += db.session.scalar(elsewhere) or 0
    if count:
        message = _("%(count)s 笔款项也在别的活动的流水里", count=count)
        remedy = _("同一笔款项只能认领给一个活动，请逐笔核对后再认领。")
        plan.warnings.append(Problem("", None, "", message, remedy))


def _warn(plan: Plan, row_cells: Cells, message: Any, remedy: Any) -> None:
    plan.warnings.append(row_cells.problem("serial", message, remedy))


def _row_change(payment: Payment) -> RowChange:
    fields = [
        FieldChange(_("金额"), "", money.format_yuan(payment.amount_fen)),
        FieldChange(_("到账日期"), "", payment.received_on.isoformat()),
    ]
    if payment.summary:
        fields.append(FieldChange(_("摘要"), "", payment.summary))
    if payment.refunded_fen:
        fields.append(FieldChange(_("已退款"), "", money.format_yuan(payment.refunded_fen)))
    return RowChange(
        payment.sheet, payment.row, payment.payer or str(_("没有付款人")), tuple(fields)
    )


# Taking it in


def _record_statement(campaign: Campaign, plan: StatementPlan, by: User | None) -> Statement:
    content = plan.content
    statement = Statement(
        campaign_id=campaign.id,
        file_name=plan.file.name[:200],
        sha256=plan.file.sha256,
        source=content.source,
        account_tail=content.account_tail,
        first_on=min(content.days, default=None),
        last_on=max(content.days, default=None),
        credit_count=len(content.payments),
        credit_fen=content.credit_fen,
        known_count=plan.unchanged,
        known_fen=plan.known_fen,
        debit_count=content.debit_count,
        debit_fen=content.debit_fen,
        imported_at=clock.now(),
        imported_by_id=by.id if by else None,
    )
    db.session.add(statement)
    db.session.flush()
    audit.record(
        "import.statement",
        f"statement:{statement.id}",
        lines=len(plan.lines),
        new_fen=plan.new_fen,
        known_fen=plan.known_fen,
        refunds=len(plan.refunded),
    )
    return statement


def _write(campaign: Campaign, plan: StatementPlan, statement: Statement) -> None:
    before = read_lines([*plan.noted, *plan.refunded])
    noted = {key: line_id for line_id, (key, _payment) in plan.noted.items()}
    claims = _count_claims(campaign)
    rows = [
        {
            "campaign_id": campaign.id,
            "line_key": key,
            "status": LineStatus.OPEN,
            "note": "",
            "reopened_count": claims[key],
        }
        | _facts(payment, statement)
        for payment, key in plan.lines
        if key not in noted
    ]
    progress.begin(Stage.WRITING, len(rows))
    for some in slices(rows):
        db.session.connection().execute(sa.insert(StatementLine), list(some))
        progress.advance(len(some))
    for line_id, (key, payment) in plan.noted.items():
        facts = _facts(payment, statement)
        said = {name: value for name, value in facts.items() if value != ""}
        reopened = StatementLine.reopened_count + claims[key]
        _update(line_id, {"line_key": key, "reopened_count": reopened} | said)
    for line_id, refunds in plan.refunded.items():
        back = sa.func.min if db.engine.dialect.name == "sqlite" else sa.func.least
        fen = back(sum(refunds.values()), StatementLine.amount_fen)
        _update(line_id, {"refunds": refunds, "refunded_fen": fen})
    db.session.expire_all()
    after = read_lines([*before])
    statement.changed = {
        str(line_id): {
            name: [old[name], after[line_id][name]]
            for name in old
            if old[name] != after[line_id][name]
        }
        for line_id, old in before.items()
    }


def read_lines(line_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """What a statement may change of a line, by its id, as JSON has it."""
    found = {}
    for some in slices(line_ids):
        for line in db.session.scalars(sa.select(StatementLine).where(StatementLine.id.in_(some))):
            values = {name: getattr(line, name) for name in WRITTEN}
            found[line.id] = values | {"received_on": line.received_on.isoformat()}
    return found


def _count_claims(campaign: Campaign) -> Counter[str]:
    """How often each line was claimed, by its key, also under an import that was taken back."""
    keys = sa.select(Gift.line_key).where(
        Gift.campaign_id == campaign.id, Gift.line_key.startswith("line:")
    )
    return Counter(key.partition("~")[0] for key in db.session.scalars(keys) if key)


def _facts(payment: Payment, statement: Statement) -> dict[str, Any]:
    return {
        "statement_id": statement.id,
        "payer": payment.payer,
        "account_tail": payment.account_tail,
        "amount_fen": payment.amount_fen,
        "refunded_fen": payment.refunded_fen,
        "refunds": payment.refunds,
        "received_on": payment.received_on,
        "serial": payment.serial,
        "reference": payment.reference,
        "summary": payment.summary,
    }


def _update(line_id: int, values: dict[str, Any]) -> None:
    run(sa.update(StatementLine).where(StatementLine.id == line_id).values(**values))


def _check_sum(plan: StatementPlan, statement: Statement) -> None:
    """Conflict when the lines that were kept are not what the file says came in."""
    kept = db.session.scalar(
        sa.select(sa.func.sum(StatementLine.amount_fen)).filter_by(statement_id=statement.id)
    )
    if int(kept or 0) != plan.new_fen:
        raise Conflict(
            _(
                "文件中新的收入是 %(file)s 元，记下的流水是 %(kept)s 元，两者不符，没有导入。",
                file=money.format_yuan(plan.new_fen),
                kept=money.format_yuan(int(kept or 0)),
            )
        )
