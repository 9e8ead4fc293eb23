"""Reads of campaigns, sectors and solicitations. A liaison's reads are scoped here."""

from typing import Any

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import joinedload

from outreach.access import Role
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, CampaignStatus, Sector, Solicitation
from outreach.db import db
from outreach.errors import NotFound


def get_campaign(code: str) -> Campaign:
    campaign = db.session.scalar(sa.select(Campaign).filter_by(code=code))
    if campaign is None:
        raise NotFound(_("没有名为“%(code)s”的活动。", code=code))
    return campaign


def get_campaign_by_id(campaign_id: int) -> Campaign:
    campaign = db.session.get(Campaign, campaign_id)
    if campaign is None:
        raise NotFound(_("没有这个活动。"))
    return campaign


def hold_campaign(campaign_id: int) -> CampaignStatus:
    """Has imports of this campaign and changes of its sectors wait for each other until the
    transaction ends, while gifts go on being recorded: their rows refer to the campaign's.
    Returns the status as it is now."""
    status = sa.select(Campaign.status).filter_by(id=campaign_id).with_for_update(key_share=True)
    return db.session.scalars(status).one()


def list_campaigns() -> list[Campaign]:
    """All campaigns, newest first."""
    return list(db.session.scalars(sa.select(Campaign).order_by(Campaign.starts_on.desc())))


def list_running_campaigns() -> list[Campaign]:
    return list(
        db.session.scalars(
            sa.select(Campaign)
            .filter_by(status=CampaignStatus.RUNNING)
            .order_by(Campaign.starts_on)
        )
    )


def visible_sectors(viewer: User) -> sa.ColumnElement[bool]:
    """Condition on `Sector.id`-like columns: see `in_scope`."""
    return in_scope(viewer, Sector.id)


def in_scope(viewer: User, sector_id: sa.SQLColumnExpression[Any]) -> sa.ColumnElement[bool]:
    """Condition that keeps only the sectors that this person may see: a liaison's own, or all."""
    if viewer.role is not Role.LIAISON:
        return sa.true()
    return sector_id.in_([link.sector_id for link in viewer.sectors])


def list_sectors(campaign: Campaign, viewer: User) -> list[Sector]:
    return list(
        db.session.scalars(
            sa.select(Sector)
            .where(Sector.campaign_id == campaign.id, visible_sectors(viewer))
            .order_by(Sector.position)
        )
    )


def get_sector(campaign: Campaign, sector_id: int, viewer: User) -> Sector:
    sector = db.session.scalar(
        sa.select(Sector).where(
            Sector.id == sector_id, Sector.campaign_id == campaign.id, visible_sectors(viewer)
        )
    )
    if sector is None:
        raise NotFound(_("没有这个板块，或不在您负责的范围内。"))
    return sector


def get_solicitation(campaign: Campaign, unit_id: int, viewer: User) -> Solicitation:
    """The unit's solicitation in this campaign; NotFound outside the viewer's sectors."""
    solicitation = db.session.scalar(
        sa.select(Solicitation)
        .where(
            Solicitation.campaign_id == campaign.id,
            Solicitation.unit_id == unit_id,
            in_scope(viewer, Solicitation.sector_id),
        )
        .options(
            joinedload(Solicitation.unit),
            joinedload(Solicitation.sector),
            joinedload(Solicitation.solicitor),
        )
    )
    if solicitation is None:
        raise NotFound(_("没有这个单位，或不在您负责的范围内。"))
    return solicitation
