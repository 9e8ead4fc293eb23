"""What the agenda of a new meeting is prefilled with."""

from outreach.campaigns.models import Campaign
from outreach.gifts.standings import sector_figures
from outreach.meetings.queries import list_open_action_items

NUMERALS = "一二三四五六七八九十"


def draft_agenda(campaign: Campaign) -> str:
    """Lagging sectors and open action items, as numbered points.

    The agenda goes to every unit that is invited: it names no amounts and no unit, and so
    leaves out the action items that are about one unit.
    """
    sectors = [figures.sector.name for figures in sector_figures(campaign) if figures.is_lagging]
    items = [item.text for item in list_open_action_items(campaign) if item.unit_id is None]
    points = ["通报活动进展情况"]
    if sectors:
        points.append("相关板块交流工作情况：" + "、".join(sectors))
    if items:
        points.append("上次会议议定事项落实情况：" + ";".join(items))
    points.append("研究下一步工作安排")
    return "\n".join(f"{NUMERALS[index]}、{point}" for index, point in enumerate(points))
