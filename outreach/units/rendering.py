"""A plan for taking a file in, as operators read it."""

import json
import sys
from collections.abc import Iterable, Sequence

from flask_babel import LazyString
from flask_babel import lazy_gettext as _
from rich.console import Console
from rich.table import Table

from outreach.spreadsheets.layouts import Problem
from outreach.units.importing import Plan, RowChange

MOST_ROWS = 50
"""Rows of a list that are printed; --json has them all."""


def plan_json(plan: Plan, *, is_dry_run: bool) -> str:
    """`status` is «ready», «imported», «unchanged» or «refused»; amounts are in fen."""
    answer = plan.as_dict() | {"dry_run": is_dry_run}
    if answer["status"] == "ready" and not is_dry_run:
        answer["status"] = "imported"
    return json.dumps(answer, ensure_ascii=False, indent=2)


def print_plan(plan: Plan, *, is_dry_run: bool) -> None:
    """Problems, warnings and changes as tables, then one line that says what came of it."""
    place = (_("工作表"), _("行"))
    _print_table(_("有问题的行"), (*place, _("列"), _("问题"), _("办法")), _told(plan.problems))
    _print_table(_("请留意"), (*place, _("列"), _("情况"), _("说明")), _told(plan.warnings))
    if not plan.is_refused:
        _print_table(_("将修改"), (*place, _("名称"), _("内容")), _changes(plan.changed))
        if is_dry_run:
            _print_table(_("将新增"), (*place, _("名称"), _("内容")), _changes(plan.new))
    sys.stdout.write(f"{summarise(plan, is_dry_run=is_dry_run)}\n")


def summarise(plan: Plan, *, is_dry_run: bool) -> LazyString:
    if plan.taken_in_at:
        return _("这个文件已经导入过，没有变化。")
    if plan.is_refused:
        return _("%(refused)s 行有问题，什么都没有导入。请改正后重新导入。", **plan.counts)
    if plan.is_empty:
        return _("没有变化：%(unchanged)s 行都与系统一致。", **plan.counts)
    if is_dry_run:
        return _(
            "预览：新增 %(new)s，修改 %(changed)s，不变 %(unchanged)s。没有写入。", **plan.counts
        )
    return _("已导入：新增 %(new)s，修改 %(changed)s，不变 %(unchanged)s。", **plan.counts)


def _told(problems: Sequence[Problem]) -> list[tuple[str, ...]]:
    return [tuple(str(value or "") for value in problem.as_dict().values()) for problem in problems]


def _changes(changes: Sequence[RowChange]) -> list[tuple[str, ...]]:
    return [
        (change.sheet, str(change.row), change.subject, ";".join(_describe(change)))
        for change in changes
    ]


def _describe(change: RowChange) -> Iterable[str]:
    for field in change.fields:
        yield (
            f"{field.label} {field.old} → {field.new}"
            if field.old
            else (f"{field.label} {field.new}")
        )


def _print_table(
    title: LazyString, header: Iterable[LazyString], rows: Sequence[tuple[str, ...]]
) -> None:
    if not rows:
        return
    left_out = len(rows) - MOST_ROWS
    caption = str(_("另有 %(count)s 行未列出", count=left_out)) if left_out > 0 else None
    if sys.stdout.isatty():
        table = Table(*map(str, header), title=str(title), caption=caption, show_edge=False)
        for row in rows[:MOST_ROWS]:
            table.add_row(*row)
        Console().print(table)
        return
    lines = ["\t".join(row) for row in rows[:MOST_ROWS]]
    for line in [str(title), "\t".join(map(str, header)), *lines, caption or ""]:
        sys.stdout.write(f"{line}\n")
