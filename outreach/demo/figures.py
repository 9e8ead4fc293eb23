"""The public figures of the 2023 report, and what was made from them.

Public: the 23 sector amounts of 2023, the total, the growth on 2022, the number of units and each
sector's direction. Not public, therefore generated: the sector amounts of 2022 and everything about
single units.
"""

import csv
import random
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

from outreach import money
from outreach.units.models import UnitKind

FIRST_DAY_2023, LAST_DAY_2023 = date(2023, 8, 28), date(2023, 12, 31)
FIRST_DAY_2022, LAST_DAY_2022 = date(2022, 8, 29), date(2022, 12, 31)
TOTAL_2023 = money.from_wan_yuan(Decimal("1810.7035"))
TOTAL_2022 = TOTAL_2023 - money.from_wan_yuan(Decimal("174.22"))
DONORS_2023 = 59_600
"""«近6万名爱心人士»"""
UNITS_2023 = 593
SECTORS_2023 = 21
"""«21个版块», although the report lists 23."""
REPORT = "2023 年工作总结"
STEP_FEN = 100_00
"""Generated amounts are multiples of 100 yuan: the public ones are, and people give like that."""


@dataclass(frozen=True)
class SectorFigure:
    name: str
    amount_fen: int
    has_risen: bool
    unit_count: int
    kind: UnitKind | None
    """Kind of its units; None for 个人板块, which has none."""


def read_sectors() -> list[SectorFigure]:
    """The sectors of 2023 in the order of the report."""
    with Path(__file__).with_name("report-2023.csv").open(encoding="utf-8", newline="") as file:
        return [
            SectorFigure(
                name=row["sector"],
                amount_fen=money.from_wan_yuan(Decimal(row["amount_wan_yuan"])),
                has_risen=row["direction"] == "risen",
                unit_count=int(row["unit_count"]),
                kind=next((kind for kind in UnitKind if kind.value == row["kind"]), None),
            )
            for row in csv.DictReader(file)
        ]


def make_amounts_2022(sectors: list[SectorFigure], chance: random.Random) -> dict[str, int]:
    """Fen by sector in 2022: each on its reported side of 2023, together exactly TOTAL_2022."""
    fallen = {
        sector.name: _to_step(sector.amount_fen * chance.uniform(1.01, 1.05))
        for sector in sectors
        if not sector.has_risen
    }
    risen = [sector for sector in sectors if sector.has_risen]
    rest = TOTAL_2022 - sum(fallen.values())
    shares = split(
        rest // STEP_FEN, [sector.amount_fen * chance.uniform(0.9, 1.1) for sector in risen]
    )
    amounts = fallen | {
        sector.name: share * STEP_FEN for sector, share in zip(risen, shares, strict=True)
    }
    amounts[risen[0].name] += TOTAL_2022 - sum(amounts.values())
    return amounts


def split(total: int, weights: list[float], least: int = 0) -> list[int]:
    """Whole parts in proportion to the weights, each at least `least`, that add up to `total`."""
    free = total - least * len(weights)
    if free < 0:
        raise ValueError(f"{total} is too little for {len(weights)} parts of at least {least}")
    scale = free / sum(weights)
    parts = [int(weight * scale) for weight in weights]
    by_remainder = sorted(
        range(len(weights)), key=lambda i: weights[i] * scale - parts[i], reverse=True
    )
    for i in by_remainder[: free - sum(parts)]:
        parts[i] += 1
    return [part + least for part in parts]


def _to_step(fen: float) -> int:
    return round(fen / STEP_FEN) * STEP_FEN
