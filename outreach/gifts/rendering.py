"""The report on sectors, for machines and for terminals."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from flask_babel import lazy_gettext as _
from rich.console import Console
from rich.table import Table

from outreach import money
from outreach.campaigns.models import Campaign
from outreach.gifts.ledger import Identity
from outreach.gifts.reconciliation import StatedCheck
from outreach.gifts.standings import Figures, read_figures

DIRECTIONS = {"risen": _("上升"), "fallen": _("下降"), "unchanged": _("持平")}


def sectors_json(campaign: Campaign) -> str:
    """Amounts in fen; `total` = `allocated` + `unallocated`, `allocated` = sum of the sectors."""
    figures = read_figures(campaign)
    report: dict[str, Any] = {
        "total": figures.campaign.total_fen,
        "allocated": figures.campaign.allocated_fen,
        "unallocated": figures.campaign.unallocated_fen,
        "sectors": [
            {
                "name": row.sector.name,
                "amount": row.amount_fen,
                "previous": row.previous_fen,
                "direction": row.direction,
            }
            for row in figures.sectors
        ],
    }
    return json.dumps(report, ensure_ascii=False, indent=2)


def print_sectors(campaign: Campaign) -> None:
    """A table for people: drawn on a terminal, separated by tabs in a pipe."""
    figures = read_figures(campaign)
    rows = [
        *(
            (
                row.sector.name,
                money.format_wan_yuan(row.amount_fen, 4),
                money.format_wan_yuan(row.previous_fen, 4),
                str(DIRECTIONS[row.direction]),
            )
            for row in figures.sectors
        ),
        *_summary(figures),
    ]
    header = [str(text) for text in (_("板块"), _("本年（万元）"), _("上年（万元）"), _("升降"))]
    if sys.stdout.isatty():
        table = Table(title=campaign.name, show_edge=False)
        for number, text in enumerate(header):
            table.add_column(text, justify="right" if number in {1, 2} else "left")
        for row in rows:
            table.add_row(*row)
        Console().print(table)
    else:
        for line in ["\t".join(header), *map("\t".join, rows)]:
            sys.stdout.write(line + "\n")


def ledger_json(identities: Sequence[Identity], stated: Sequence[StatedCheck]) -> str:
    """Amounts in fen."""
    report = {
        "identities": [
            {
                "name": str(row.name),
                "left": row.left,
                "right": row.right,
                "difference": row.difference,
                "holds": row.holds,
            }
            for row in identities
        ],
        "stated": [
            {
                "name": str(row.name),
                "source": row.source,
                "stated": row.stated,
                "against": str(row.against),
                "found": row.found,
                "difference": row.difference,
            }
            for row in stated
        ],
    }
    return json.dumps(report, ensure_ascii=False, indent=2)


def print_ledger(identities: Sequence[Identity], stated: Sequence[StatedCheck]) -> None:
    """Lines with tabs: whether it holds, both sides and the difference, amounts in yuan; then the
    published figures that do not agree."""
    for row in identities:
        sides = (row.left, row.right, row.difference)
        shown = [money.format_yuan(side) if row.is_money else str(side) for side in sides]
        sys.stdout.write("\t".join(["✓" if row.holds else "✗", str(row.name), *shown]) + "\n")
    for contradiction in stated:
        if not contradiction.agrees:
            sys.stdout.write(f"!\t{contradiction.sentence}\n")


def _summary(figures: Figures) -> list[tuple[str, str, str, str]]:
    whole = figures.campaign
    parts = (
        (_("板块合计"), whole.allocated_fen, sum(row.previous_fen for row in figures.sectors)),
        (_("未分配"), whole.unallocated_fen, None),
        (_("总计"), whole.total_fen, whole.previous_total_fen),
    )
    return [
        (
            str(name),
            money.format_wan_yuan(amount, 4),
            "" if previous is None else money.format_wan_yuan(previous, 4),
            "",
        )
        for name, amount, previous in parts
    ]
