"""Opening a campaign from the one before."""

from datetime import date

import sqlalchemy as sa
from flask_babel import lazy_gettext as _

from outreach.campaigns.models import Campaign, CampaignStatus, Sector, SectorLineage
from outreach.db import db
from outreach.errors import Refused


def open_campaign(
    code: str, *, name: str, starts_on: date, ends_on: date, previous: Campaign | None
) -> Campaign:
    """A campaign in preparation, with the sectors of the one before and their lineage."""
    if db.session.scalar(sa.select(Campaign.id).filter_by(code=code)) is not None:
        raise Refused(_("代号“%(code)s”已经用过。请换一个。", code=code))
    campaign = Campaign(
        code=code,
        name=name,
        starts_on=starts_on,
        ends_on=ends_on,
        goal_fen=0,
        status=CampaignStatus.PLANNED,
        previous=previous,
    )
    db.session.add(campaign)
    for before in previous.sectors if previous else ():
        sector = Sector(name=before.name, position=before.position)
        campaign.sectors.append(sector)
        db.session.flush()
        db.session.add(SectorLineage(sector_id=sector.id, predecessor_id=before.id))
    db.session.flush()
    return campaign
