"""Figures for the charts, in 万元; static/charts.js draws them."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from outreach import clock
from outreach.campaigns.models import Campaign
from outreach.gifts.standings import CampaignFigures, SectorFigures, cumulative
from outreach.money import FEN_PER_WAN_YUAN


def pace_chart(
    campaign: Campaign, running_total: Sequence[tuple[date, int]], figures: CampaignFigures
) -> dict[str, Any]:
    """This campaign and the one before as running totals, by day of the campaign."""
    length = (campaign.ends_on - campaign.starts_on).days + 1
    elapsed = min((clock.today() - campaign.starts_on).days + 1, length)
    previous = campaign.previous
    return {
        "days": [
            f"{campaign.starts_on + timedelta(days=number):%m-%d}" for number in range(length)
        ],
        "now": _by_day(campaign.starts_on, running_total, elapsed),
        "nowName": campaign.code,
        "before": _by_day(previous.starts_on, cumulative(previous), length) if previous else [],
        "beforeName": previous.code if previous else "",
        "goal": _wan(figures.goal_fen),
    }


def sectors_chart(campaign: Campaign, figures: Sequence[SectorFigures]) -> dict[str, Any]:
    """Each sector's amount beside the one of the campaign before, largest first."""
    ordered = sorted(figures, key=lambda sector: sector.amount_fen)
    return {
        "names": [sector.sector.name for sector in ordered],
        "now": [_wan(sector.amount_fen) for sector in ordered],
        "nowName": campaign.code,
        "before": [_wan(sector.previous_fen) for sector in ordered],
        "beforeName": campaign.previous.code if campaign.previous else "",
    }


def _by_day(start: date, running_total: Sequence[tuple[date, int]], length: int) -> list[float]:
    totals = dict(running_total)
    values, total = [], 0
    for number in range(length):
        total = totals.get(start + timedelta(days=number), total)
        values.append(_wan(total))
    return values


def _wan(fen: int) -> float:
    return round(fen / FEN_PER_WAN_YUAN, 4)
