"""Changes to the sectors of a campaign while it is planned or running: their names and order, and
which units are in them. Gifts are above this layer; they follow by `outreach.on_move`."""

from collections.abc import Callable, Iterable, Sequence

import sqlalchemy as sa
from flask import current_app
from flask_babel import lazy_gettext as _

from outreach import clock
from outreach.access import Role
from outreach.accounts.models import User, UserSector
from outreach.campaigns.models import (
    Campaign,
    CampaignStatus,
    Sector,
    SectorLineage,
    SectorMove,
    Solicitation,
)
from outreach.campaigns.queries import hold_campaign
from outreach.db import db, insert_new
from outreach.errors import Refused
from outreach.units.naming import name_key

OnMove = Callable[[int, Sequence[int]], object]
"""Takes the id of the campaign and the ids of the units whose stamp has changed."""


def lock_sectors(campaign: Campaign) -> None:
    """Keeps others from changing the sectors until this transaction ends. Refused when the campaign
    is closed: its tables stay as they are."""
    if hold_campaign(campaign.id) is CampaignStatus.CLOSED:
        raise Refused(_("“%(name)s”已经结束，板块和单位归属不再改动。", name=campaign.name))


def create_sector(
    campaign: Campaign,
    name: str,
    *,
    after: Sector | None = None,
    predecessor_ids: Iterable[int] = (),
) -> Sector:
    """A sector behind `after`, or behind all; it continues these sectors of the year before."""
    lock_sectors(campaign)
    check_name(campaign, name)
    order = list_ids(campaign)
    sector = Sector(campaign_id=campaign.id, name=name, position=len(order) + 1)
    db.session.add(sector)
    db.session.flush()
    continue_sectors(sector, predecessor_ids)
    if after is not None:
        order_sectors(campaign, [*_up_to(order, after.id), sector.id])
    return sector


def rename_sector(campaign: Campaign, sector: Sector, name: str) -> None:
    lock_sectors(campaign)
    check_name(campaign, name, besides=[sector.id])
    sector.name = name
    db.session.flush()


def order_sectors(campaign: Campaign, first: Sequence[int]) -> None:
    """Puts the sectors with these ids first, in this order; the others follow as they were."""
    lock_sectors(campaign)
    sectors = {sector.id: sector for sector in _list(campaign)}
    kept = [id_ for id_ in dict.fromkeys(first) if id_ in sectors]
    rest = [id_ for id_ in sectors if id_ not in set(kept)]
    for position, id_ in enumerate([*kept, *rest], 1):
        sectors[id_].position = position
    db.session.flush()
    db.session.expire(campaign, ["sectors"])


def continue_sectors(sector: Sector, predecessor_ids: Iterable[int]) -> None:
    """Notes which sectors of the campaign before the sector continues, besides those noted."""
    rows = [{"sector_id": sector.id, "predecessor_id": id_} for id_ in predecessor_ids]
    insert_new(SectorLineage, rows, ["sector_id", "predecessor_id"])


def share_liaisons(sector_ids: Iterable[int], sector_id: int) -> None:
    """Those who serve one of the sectors serve this one too."""
    serving = sa.select(UserSector.user_id).where(UserSector.sector_id.in_(sector_ids)).distinct()
    rows = [{"user_id": user_id, "sector_id": sector_id} for user_id in db.session.scalars(serving)]
    insert_new(UserSector, rows, ["user_id", "sector_id"])


def list_liaisons(sector_ids: Iterable[int]) -> dict[int, list[str]]:
    """Names of the liaisons with an account in use, by the sector that they serve."""
    rows = db.session.execute(
        sa.select(UserSector.sector_id, User.name)
        .join(User, User.id == UserSector.user_id)
        .where(UserSector.sector_id.in_(sector_ids), User.is_enabled, User.role == Role.LIAISON)
        .order_by(User.name, User.id)
    )
    found: dict[int, list[str]] = {}
    for sector_id, name in rows:
        found.setdefault(sector_id, []).append(name)
    return found


def move_units(
    solicitations: Iterable[Solicitation], to: Sector, *, reason: str, by: User | None
) -> list[Solicitation]:
    """Stamps the units, whose rows the caller holds, with another sector of their campaign, and
    keeps each move; returns those that were not in it already. Their gifts follow at once."""
    moved = [row for row in solicitations if row.sector_id != to.id]
    now = clock.now()
    for row in moved:
        db.session.add(
            SectorMove(
                solicitation_id=row.id,
                at=now,
                by_id=by.id if by else None,
                from_name=row.sector.name,
                to_name=to.name,
                reason=reason[:200],
            )
        )
        row.sector_id, row.sector = to.id, to
    db.session.flush()
    hooks: Sequence[OnMove] = current_app.extensions["outreach.on_move"]
    for follow in hooks if moved else ():
        follow(to.campaign_id, [row.unit_id for row in moved])
    return moved


def list_ids(campaign: Campaign) -> list[int]:
    """Ids of the campaign's sectors in their order."""
    return [sector.id for sector in _list(campaign)]


def check_name(campaign: Campaign, name: str, *, besides: Iterable[int] = ()) -> None:
    """Refused when another sector has the name, in whatever width it is written."""
    others = {
        name_key(sector.name): sector for sector in _list(campaign) if sector.id not in set(besides)
    }
    if name_key(name) in others:
        raise Refused(
            _("本次活动已有板块“%(name)s”。请换一个名称。", name=others[name_key(name)].name)
        )


def _list(campaign: Campaign) -> Sequence[Sector]:
    return db.session.scalars(
        sa.select(Sector).filter_by(campaign_id=campaign.id).order_by(Sector.position, Sector.id)
    ).all()


def _up_to(ids: Sequence[int], last: int) -> Sequence[int]:
    return ids[: ids.index(last) + 1]
