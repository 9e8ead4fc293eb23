"""The groups that a robot of WeCom may write to, in words."""

from dataclasses import dataclass

from flask_babel import LazyString
from flask_babel import lazy_gettext as _

from outreach.campaigns.models import Campaign, CampaignStatus
from outreach.campaigns.queries import list_campaigns
from outreach.messages.robots import Group


@dataclass(frozen=True)
class GroupChoice:
    group: Group
    label: str | LazyString
    campaign: Campaign | None = None

    @property
    def value(self) -> str:
        """How a form names it: «2:14» for a sector of a campaign."""
        return f"{self.group.campaign_id or ''}:{self.group.sector_id or ''}"


def list_groups() -> list[GroupChoice]:
    """The secretariat's in all campaigns, then for each campaign the secretariat's and those of
    its sectors, newest campaign first."""
    groups = [GroupChoice(Group(), _("总会工作群（所有活动）"))]
    for campaign in list_campaigns():
        own = GroupChoice(Group(campaign.id), _("总会工作群（仅本活动）"), campaign)
        groups += [own] + [
            GroupChoice(Group(campaign.id, sector.id), sector.name, campaign)
            for sector in campaign.sectors
        ]
    return groups


def list_choices(current: Group) -> list[GroupChoice]:
    """Those that can be chosen: of campaigns that go on, and what is chosen already."""
    return [
        choice
        for choice in list_groups()
        if choice.campaign is None
        or choice.campaign.status is not CampaignStatus.CLOSED
        or choice.group == current
    ]
