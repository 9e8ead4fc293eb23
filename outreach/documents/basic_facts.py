"""基本情况, the first section of the yearly report (工作总结): every figure from the ledger.

What leaves the house is Chinese, whatever language the reader's pages are in.
"""

from dataclasses import dataclass

from flask import current_app

from outreach import money
from outreach.campaigns.models import Campaign
from outreach.gifts.reconciliation import StatedCheck, compare_stated, count_donors, count_givers
from outreach.gifts.standings import Figures, read_figures

FIGURES = "〇一二三四五六七八九十"
DAYS_IN_MONTH = 365.25 / 12
NEARLY = 0.95
"""From this share of a round number on, people say 近 (nearly)."""


@dataclass(frozen=True)
class BasicFacts:
    text: str
    contradictions: list[StatedCheck]
    """Published figures that do not agree with the ledger, or with each other."""


def write_basic_facts(campaign: Campaign) -> BasicFacts:
    figures = read_figures(campaign)
    text = current_app.jinja_env.get_template("documents/basic_facts.txt").render(
        campaign=campaign,
        figures=figures,
        change_fen=figures.campaign.total_fen - figures.campaign.previous_total_fen,
        months=count_months(campaign),
        givers=count_givers(campaign),
        donors=describe_many(count_donors(campaign)),
        exact=money.format_wan_exact,
        names=_names_by_direction(figures),
    )
    return BasicFacts(
        text.strip() + "\n", [row for row in compare_stated(campaign) if not row.agrees]
    )


def describe_many(count: int) -> str:
    """«近6万», «5.2万余», or the number itself below 10,000."""
    if count < 10_000:
        return str(count)
    up = -(-count // 10_000)
    if NEARLY * up * 10_000 <= count < up * 10_000:
        return f"近{up}万"
    tenths, rest = divmod(count, 1_000)
    whole = f"{tenths // 10}.{tenths % 10}".removesuffix(".0")
    return f"{whole}万{'余' if rest else ''}"


def count_months(campaign: Campaign) -> str:
    """In Chinese figures, up to ten."""
    months = round(((campaign.ends_on - campaign.starts_on).days + 1) / DAYS_IN_MONTH)
    return FIGURES[months] if months < len(FIGURES) else str(months)


def _names_by_direction(figures: Figures) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {"risen": [], "fallen": [], "unchanged": []}
    for row in figures.sectors:
        names[row.direction].append(row.sector.name)
    return names
