"""Opening a campaign from the one before: its sectors with their lineage, and its units with those
who ask them. Contacts hang on the unit and need no copy."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import contains_eager, joinedload, selectinload

from outreach import clock
from outreach.access import OFFICE
from outreach.campaigns import sectors
from outreach.campaigns.models import (
    Campaign,
    CampaignStatus,
    DeclineReason,
    Sector,
    SectorLineage,
    Solicitation,
)
from outreach.db import db, insert_new
from outreach.errors import Conflict, Refused
from outreach.terms import Term
from outreach.units.models import ContactRole, Unit
from outreach.units.naming import name_key


class LeftOut(Term):
    """Why a unit does not come along unless a person says so."""

    EXEMPT = "exempt", _("上年度不劝募")
    DISSOLVED = "dissolved", _("单位撤并或注销")


class ContactGap(Term):
    MISSING = "missing", _("没有联络员")
    ENDED = "ended", _("联络员已离任")


@dataclass(frozen=True)
class UnitPlan:
    before: Solicitation
    """Of the campaign before, with unit, sector and solicitor loaded."""
    left_out: LeftOut | None
    contact_gap: ContactGap | None

    @property
    def has_lost_solicitor(self) -> bool:
        """Whoever asked has no account in use, or is not of the office any more."""
        solicitor = self.before.solicitor
        return solicitor is not None and not (solicitor.is_enabled and solicitor.role in OFFICE)

    @property
    def solicitor_id(self) -> int | None:
        return None if self.has_lost_solicitor else self.before.solicitor_id


@dataclass(frozen=True)
class SectorPlan:
    before: Sector
    into: Sector | None
    """The sector that its units come into; None: one of the same name is created."""
    successors: list[str]
    """Names of the sectors that continue it already, when there are several."""
    liaisons: list[str]
    """Names of those who will serve the sector that is created, as they serve this one."""
    units: list[UnitPlan]

    @property
    def name(self) -> str:
        """What the sector is called in the new campaign."""
        return self.into.name if self.into else self.before.name

    @property
    def coming(self) -> list[UnitPlan]:
        return [unit for unit in self.units if unit.left_out is None]


@dataclass(frozen=True)
class OpeningPlan:
    previous: Campaign
    sectors: list[SectorPlan]
    present_count: int
    """Units of the campaign before that the new one has already."""

    @property
    def units(self) -> list[UnitPlan]:
        return [unit for sector in self.sectors for unit in sector.units]

    @property
    def coming(self) -> list[UnitPlan]:
        return [unit for unit in self.units if unit.left_out is None]

    @property
    def left_out(self) -> list[UnitPlan]:
        return [unit for unit in self.units if unit.left_out is not None]

    @property
    def without_contact(self) -> list[UnitPlan]:
        return [unit for unit in self.coming if unit.contact_gap is not None]

    @property
    def without_solicitor(self) -> list[UnitPlan]:
        """Units whose solicitor does not come along; those that had none are not among them."""
        return [unit for unit in self.coming if unit.has_lost_solicitor]

    @property
    def fingerprint(self) -> str:
        """Two plans with the same one do the same to the same units."""
        facts = [
            (
                sector.name,
                [(unit.before.unit_id, unit.left_out, unit.solicitor_id) for unit in sector.units],
            )
            for sector in self.sectors
        ]
        return hashlib.sha256(repr(facts).encode()).hexdigest()


def open_campaign(
    code: str, *, name: str, starts_on: date, ends_on: date, previous: Campaign | None
) -> Campaign:
    """A campaign in preparation, with the sectors of the one before, their lineage and those who
    serve them; `bring_units` brings the units."""
    check_code(code)
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
    try:
        db.session.flush()
    except IntegrityError as error:
        raise Conflict(_("代号“%(code)s”刚被他人用过。请换一个。", code=code)) from error
    for before in previous.sectors if previous else ():
        _continue(campaign, before)
    db.session.expire(campaign, ["sectors"])
    return campaign


def check_code(code: str) -> None:
    if db.session.scalar(sa.select(Campaign.id).filter_by(code=code)) is not None:
        raise Refused(_("代号“%(code)s”已经用过。请换一个。", code=code))


def plan_opening(
    previous: Campaign, *, campaign: Campaign | None = None, starts_on: date | None = None
) -> OpeningPlan:
    """What would come along into the campaign, or into one that is yet to be opened and begins on
    `starts_on`. Units that are there already are only counted."""
    day = max(clock.today(), campaign.starts_on if campaign else starts_on or clock.today())
    present = _present_units(campaign)
    rows = _list_solicitations(previous)
    targets = _Targets(campaign)
    serving = sectors.list_liaisons([sector.id for sector in previous.sectors])
    plans = []
    for before in previous.sectors:
        into, successors = targets.find(before)
        plans.append(
            SectorPlan(
                before=before,
                into=into,
                successors=successors if len(successors) > 1 else [],
                liaisons=[] if into else serving.get(before.id, []),
                units=[
                    UnitPlan(row, _left_out(row), _contact_gap(row.unit, day))
                    for row in rows
                    if row.sector_id == before.id and row.unit_id not in present
                ],
            )
        )
    return OpeningPlan(previous, plans, sum(row.unit_id in present for row in rows))


def bring_units(campaign: Campaign, *, include: Collection[int], fingerprint: str = "") -> int:
    """Brings the units of the campaign before along, besides those left out that are not in
    `include` (unit ids); returns how many are new. Units that are there already stay as they are,
    so that a second time adds nothing. Conflict when the plan is not the one that was previewed."""
    sectors.lock_sectors(campaign)
    if campaign.previous is None:
        raise Refused(_("“%(name)s”没有上年度活动，没有可带入的单位。", name=campaign.name))
    plan = plan_opening(campaign.previous, campaign=campaign)
    if fingerprint and fingerprint != plan.fingerprint:
        raise Conflict(_("预览之后数据有变化，没有带入。请返回重新预览后再确认。"))
    rows = []
    for sector in plan.sectors:
        units = [
            unit for unit in sector.units if not unit.left_out or unit.before.unit_id in include
        ]
        if units:
            into = sector.into or _continue(campaign, sector.before)
            sectors.continue_sectors(into, [sector.before.id])
            rows += [
                {
                    "campaign_id": campaign.id,
                    "unit_id": unit.before.unit_id,
                    "sector_id": into.id,
                    "solicitor_id": unit.solicitor_id,
                    "version": 1,
                }
                for unit in units
            ]
    return insert_new(Solicitation, rows, ["campaign_id", "unit_id"])


def _continue(campaign: Campaign, before: Sector) -> Sector:
    sector = sectors.create_sector(campaign, before.name, predecessor_ids=[before.id])
    sectors.share_liaisons([before.id], sector.id)
    return sector


class _Targets:
    """Which sector of the campaign takes the units of a sector of the one before."""

    def __init__(self, campaign: Campaign | None) -> None:
        own = campaign.sectors if campaign else []
        self.by_name = {name_key(sector.name): sector for sector in own}
        self.by_predecessor: dict[int, list[Sector]] = {}
        order = {sector.id: (number, sector) for number, sector in enumerate(own)}
        lineage = db.session.scalars(
            sa.select(SectorLineage).where(SectorLineage.sector_id.in_(order))
        )
        for link in sorted(lineage, key=lambda link: order[link.sector_id][0]):
            found = self.by_predecessor.setdefault(link.predecessor_id, [])
            found.append(order[link.sector_id][1])

    def find(self, before: Sector) -> tuple[Sector | None, list[str]]:
        """The first that continues it, else the one of its name; and the names of all that do."""
        found = self.by_predecessor.get(before.id, [])
        into = found[0] if found else self.by_name.get(name_key(before.name))
        return into, [sector.name for sector in found]


def _present_units(campaign: Campaign | None) -> set[int]:
    if campaign is None:
        return set()
    return set(
        db.session.scalars(sa.select(Solicitation.unit_id).filter_by(campaign_id=campaign.id))
    )


def _list_solicitations(campaign: Campaign) -> list[Solicitation]:
    return list(
        db.session.scalars(
            sa.select(Solicitation)
            .join(Solicitation.unit)
            .where(Solicitation.campaign_id == campaign.id)
            .options(
                contains_eager(Solicitation.unit).selectinload(Unit.contacts),
                joinedload(Solicitation.solicitor),
                selectinload(Solicitation.sector),
            )
            .order_by(Unit.name, Solicitation.id)
        )
    )


def _left_out(row: Solicitation) -> LeftOut | None:
    if row.decline_reason is DeclineReason.DISSOLVED:
        return LeftOut.DISSOLVED
    return LeftOut.EXEMPT if row.is_exempt else None


def _contact_gap(unit: Unit, day: date) -> ContactGap | None:
    """Whether nobody answers for the unit as coordinator on that day."""
    coordinators = [row for row in unit.contacts if row.role is ContactRole.COORDINATOR]
    if not coordinators:
        return ContactGap.MISSING
    is_over = all(row.valid_to is not None and row.valid_to < day for row in coordinators)
    return ContactGap.ENDED if is_over else None
