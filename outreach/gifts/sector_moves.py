"""Sectors of a running campaign and the money in them. A gift follows its unit to another sector of
the same campaign, so that a sector is always the sum of its units and of what is credited to the
sector only. What a gift is (amount, donor, day, kind, basis) never changes."""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import contains_eager

from outreach import audit
from outreach.accounts.models import User, UserSector
from outreach.campaigns import sectors
from outreach.campaigns.models import Campaign, Sector, SectorLineage, Solicitation
from outreach.db import db, insert_new
from outreach.errors import Conflict, Refused
from outreach.gifts.models import Gift
from outreach.gifts.queries import or_zero, sum_by_unit
from outreach.messages.models import Wave, WaveStatus, WecomRobot
from outreach.units.models import Unit

STILL_CHOOSING = (WaveStatus.DRAFT, WaveStatus.IN_REVIEW)
"""Waves whose recipients are still looked for by sector; later they are a list of units."""


@dataclass(frozen=True)
class Holding:
    """What is in a sector; each gift is that of a unit, or credited to the sector only."""

    sector: Sector
    unit_count: int
    gift_count: int
    unit_fen: int
    own_fen: int
    """Credited to the sector only (个人板块)."""

    @property
    def amount_fen(self) -> int:
        return self.unit_fen + self.own_fen

    @property
    def is_empty(self) -> bool:
        return not self.unit_count and not self.gift_count


@dataclass(frozen=True)
class Move:
    """Units that go from one sector to another, or to a new one: then the sector is split."""

    source: Sector
    unit_ids: Collection[int]
    to: Sector | None = None
    """None: a new sector called `name`, which continues what the source continues."""
    name: str = ""
    takes_own: bool = False
    """What is credited to the source only goes too; without it, it stays."""


@dataclass(frozen=True)
class Merge:
    """Sectors that go into another with all they hold; afterwards it is called `name`."""

    target: Sector
    others: Sequence[Sector]
    name: str


@dataclass(frozen=True)
class Change:
    """A sector before and after; None where there is none."""

    name: str
    new_name: str
    before: Holding | None
    units_after: int | None
    fen_after: int | None


@dataclass(frozen=True)
class MovingUnit:
    solicitation: Solicitation
    amount_fen: int


@dataclass(frozen=True)
class Plan:
    """What a move or a merge would do. The sums before and after are the same in total."""

    changes: list[Change]
    units: list[MovingUnit]
    own_fen: int
    """Credited to a sector only, and moved."""
    liaisons: list[str]
    """Names of those who will see the units of the sector that remains or is new, too."""
    robots: list[str]
    """Names of groups that will be told of the sector that remains."""

    @property
    def fingerprint(self) -> str:
        """Two plans with the same one do the same to the same rows."""
        facts = (
            [(change.name, change.new_name, change.fen_after) for change in self.changes],
            [(unit.solicitation.id, unit.amount_fen) for unit in self.units],
            self.own_fen,
            self.liaisons,
            self.robots,
        )
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    def check_previewed(self, fingerprint: str) -> None:
        if fingerprint and fingerprint != self.fingerprint:
            raise Conflict(_("预览之后数据有变化，没有改动。请返回重新预览后再确认。"))


def follow_units(campaign_id: int, unit_ids: Sequence[int]) -> None:
    """Stamps the gifts that these units gave in the campaign with the sector they are in now."""
    sector_id = (
        sa.select(Solicitation.sector_id)
        .where(Solicitation.campaign_id == Gift.campaign_id, Solicitation.unit_id == Gift.unit_id)
        .scalar_subquery()
    )
    _stamp(sa.and_(Gift.campaign_id == campaign_id, Gift.unit_id.in_(unit_ids)), sector_id)


def list_holdings(campaign: Campaign) -> list[Holding]:
    """What each sector holds, in the federation's order."""
    money = (
        sa.select(
            Gift.sector_id,
            sa.func.count().label("gifts"),
            or_zero(sa.func.sum(Gift.amount_fen).filter(Gift.unit_id.is_not(None))).label("units"),
            or_zero(sa.func.sum(Gift.amount_fen).filter(Gift.unit_id.is_(None))).label("own"),
        )
        .where(Gift.campaign_id == campaign.id)
        .group_by(Gift.sector_id)
        .subquery()
    )
    units = (
        sa.select(Solicitation.sector_id, sa.func.count().label("units"))
        .where(Solicitation.campaign_id == campaign.id)
        .group_by(Solicitation.sector_id)
        .subquery()
    )
    rows = db.session.execute(
        sa.select(
            Sector,
            sa.func.coalesce(units.c.units, 0),
            sa.func.coalesce(money.c.gifts, 0),
            or_zero(money.c.units),
            or_zero(money.c.own),
        )
        .outerjoin(units, units.c.sector_id == Sector.id)
        .outerjoin(money, money.c.sector_id == Sector.id)
        .where(Sector.campaign_id == campaign.id)
        .order_by(Sector.position, Sector.id)
    )
    return [Holding(*row) for row in rows]


def list_predecessors(campaign: Campaign) -> dict[int, list[Sector]]:
    """The sectors of the year before that each sector continues, by its id."""
    successor = sa.orm.aliased(Sector)
    rows = db.session.execute(
        sa.select(SectorLineage.sector_id, Sector)
        .join(Sector, Sector.id == SectorLineage.predecessor_id)
        .join(successor, successor.id == SectorLineage.sector_id)
        .where(successor.campaign_id == campaign.id)
        .order_by(Sector.position, Sector.id)
    )
    found: dict[int, list[Sector]] = {}
    for sector_id, predecessor in rows:
        found.setdefault(sector_id, []).append(predecessor)
    return found


def plan_move(campaign: Campaign, move: Move) -> Plan:
    """What the move would change; Conflict when a unit has left the source meanwhile."""
    if move.to is None:
        sectors.check_name(campaign, move.name)
    elif move.to.id == move.source.id or move.to.campaign_id != campaign.id:
        raise Refused(_("请选择本次活动的另一个板块。"))
    units = _list_units(campaign, Solicitation.unit_id.in_(move.unit_ids))
    if len(units) != len(set(move.unit_ids)) or any(
        unit.solicitation.sector_id != move.source.id for unit in units
    ):
        raise Conflict(_("所选单位中有的已不在这个板块。请返回板块页，重新勾选。"))
    holdings = {row.sector.id: row for row in list_holdings(campaign)}
    source, to = holdings[move.source.id], holdings[move.to.id] if move.to else None
    own = source.own_fen if move.takes_own else 0
    moved = own + sum(unit.amount_fen for unit in units)
    name = move.to.name if move.to else move.name
    return Plan(
        changes=[
            Change(
                move.source.name,
                move.source.name,
                source,
                source.unit_count - len(units),
                source.amount_fen - moved,
            ),
            Change(
                name,
                name,
                to,
                (to.unit_count if to else 0) + len(units),
                (to.amount_fen if to else 0) + moved,
            ),
        ],
        units=units,
        own_fen=own,
        liaisons=[] if move.to else _list_liaisons([move.source.id]),
        robots=[],
    )


def move_units(
    campaign: Campaign, move: Move, *, reason: str, by: User | None, fingerprint: str = ""
) -> Sector:
    """Moves the units, with their gifts of this campaign, and splits the source when the sector is
    new. Conflict when the plan is not the one that was previewed under this `fingerprint`."""
    if not (move.unit_ids or move.takes_own):
        raise Refused(_("还没有勾选单位。请勾选要移动的单位。"))
    sectors.lock_sectors(campaign)
    held = _hold_units(campaign, Solicitation.unit_id.in_(move.unit_ids))
    _hold_sectors([move.source])
    plan = plan_move(campaign, move)
    plan.check_previewed(fingerprint)
    to = move.to or _split_off(campaign, move.source, move.name)
    sectors.move_units(held, to, reason=reason, by=by)
    if move.takes_own:
        _stamp(sa.and_(Gift.sector_id == move.source.id, Gift.unit_id.is_(None)), to.id)
    audit.record(
        "move.units" if move.to else "split.sector",
        f"sector:{to.id}",
        from_sector=move.source.name,
        to_sector=to.name,
        units=[row.unit_id for row in held],
        moved_fen=plan.own_fen + sum(unit.amount_fen for unit in plan.units),
        reason=reason,
    )
    return to


def plan_merge(campaign: Campaign, merge: Merge) -> Plan:
    ids = [sector.id for sector in merge.others]
    if not ids or merge.target.id in ids:
        raise Refused(_("请勾选要并入的板块。"))
    sectors.check_name(campaign, merge.name, besides=[merge.target.id, *ids])
    holdings = {row.sector.id: row for row in list_holdings(campaign)}
    if not {merge.target.id, *ids} <= set(holdings):
        raise Conflict(_("所选板块中有的刚被他人并入或删除。请返回重新选择。"))
    target, others = holdings[merge.target.id], [holdings[id_] for id_ in ids]
    return Plan(
        changes=[
            Change(
                merge.target.name,
                merge.name,
                target,
                sum(row.unit_count for row in (target, *others)),
                sum(row.amount_fen for row in (target, *others)),
            ),
            *(Change(row.sector.name, merge.name, row, None, None) for row in others),
        ],
        units=_list_units(campaign, Solicitation.sector_id.in_(ids)),
        own_fen=sum(row.own_fen for row in others),
        liaisons=_list_liaisons([merge.target.id, *ids]),
        robots=_list_robots(ids),
    )


def merge_sectors(
    campaign: Campaign, merge: Merge, *, reason: str, by: User | None, fingerprint: str = ""
) -> None:
    """Merges the others into the target: units, gifts, predecessors, liaisons and groups. Whatever
    continues one of them continues the target."""
    ids = [sector.id for sector in merge.others]
    sectors.lock_sectors(campaign)
    held = _hold_units(campaign, Solicitation.sector_id.in_(ids))
    _hold_sectors(merge.others)
    plan = plan_merge(campaign, merge)
    plan.check_previewed(fingerprint)
    _refuse_waves(campaign, merge.others)
    names = [sector.name for sector in merge.others]
    sectors.move_units(held, merge.target, reason=reason, by=by)
    _stamp(Gift.sector_id.in_(ids), merge.target.id)
    _hand_over(ids, merge.target.id)
    _remove(merge.others)
    if merge.name != merge.target.name:
        sectors.rename_sector(campaign, merge.target, merge.name)
    audit.record(
        "merge.sectors",
        f"sector:{merge.target.id}",
        merged=names,
        into=merge.name,
        units=[row.unit_id for row in held],
        moved_fen=plan.own_fen + sum(unit.amount_fen for unit in plan.units),
        reason=reason,
    )


def delete_sector(campaign: Campaign, sector: Sector) -> None:
    """Removes a sector that holds nothing; Refused when it has units or gifts, also such as were
    reversed."""
    sectors.lock_sectors(campaign)
    _hold_sectors([sector])
    holding = next((row for row in list_holdings(campaign) if row.sector.id == sector.id), None)
    if holding is None:
        raise Conflict(_("这个板块刚被他人并入或删除。"))
    if holding.unit_count:
        raise Refused(_("“%(name)s”还有单位，不能删除。请先把单位移走。", name=sector.name))
    if holding.gift_count:
        raise Refused(
            _("“%(name)s”有到账记录，不能删除。可以把它并入另一个板块。", name=sector.name)
        )
    if _list_robots([sector.id]):
        raise Refused(_("有企业微信群对应“%(name)s”。请先在设置里改掉。", name=sector.name))
    _refuse_waves(campaign, [sector])
    subject, name = f"sector:{sector.id}", sector.name
    db.session.execute(sa.delete(UserSector).filter_by(sector_id=sector.id))
    _remove([sector])
    audit.record("delete.sector", subject, name=name)


def _split_off(campaign: Campaign, source: Sector, name: str) -> Sector:
    """A new sector behind the source that continues, and is continued by, the same sectors; those
    who serve the source serve it too."""
    before = db.session.scalars(
        sa.select(SectorLineage.predecessor_id).filter_by(sector_id=source.id)
    ).all()
    sector = sectors.create_sector(campaign, name, after=source, predecessor_ids=before)
    _share_successors([source.id], sector.id)
    sectors.share_liaisons([source.id], sector.id)
    return sector


def _hand_over(ids: Sequence[int], target_id: int) -> None:
    """Gives the target what else refers to the sectors."""
    target = db.session.get_one(Sector, target_id)
    before = sa.select(SectorLineage.predecessor_id).where(SectorLineage.sector_id.in_(ids))
    sectors.continue_sectors(target, db.session.scalars(before).all())
    _share_successors(ids, target_id)
    sectors.share_liaisons(ids, target_id)
    db.session.execute(sa.delete(UserSector).where(UserSector.sector_id.in_(ids)))
    db.session.execute(
        sa.update(WecomRobot).where(WecomRobot.sector_id.in_(ids)).values(sector_id=target_id)
    )


def _share_successors(ids: Sequence[int], sector_id: int) -> None:
    """Next year's campaign may be open already."""
    after = sa.select(SectorLineage.sector_id).where(SectorLineage.predecessor_id.in_(ids))
    rows = [
        {"sector_id": successor_id, "predecessor_id": sector_id}
        for successor_id in set(db.session.scalars(after))
    ]
    insert_new(SectorLineage, rows, ["sector_id", "predecessor_id"])


def _remove(gone: Sequence[Sector]) -> None:
    ids = [sector.id for sector in gone]
    db.session.execute(
        sa.delete(SectorLineage).where(
            sa.or_(SectorLineage.sector_id.in_(ids), SectorLineage.predecessor_id.in_(ids))
        )
    )
    try:
        for sector in gone:
            db.session.delete(sector)
        db.session.flush()
    except IntegrityError as error:
        raise Conflict(_("数据刚被他人修改，没有改动。请重新预览后再确认。")) from error
    db.session.expire_all()


def _stamp(condition: sa.ColumnElement[bool], sector_id: object) -> None:
    """The only place where a gift's row is changed; the rule on `Gift` is about everything else,
    and looks at the session's work, which this statement is not."""
    db.session.execute(
        sa.update(Gift)
        .where(condition)
        .values(sector_id=sector_id)
        .execution_options(synchronize_session="fetch")
    )


def _hold_units(campaign: Campaign, condition: sa.ColumnElement[bool]) -> list[Solicitation]:
    """The units as they are until the transaction ends. Whoever records or reverses a gift of one
    of them holds its row too, so that its stamp is the new one or is seen here."""
    return list(
        db.session.scalars(
            sa.select(Solicitation)
            .where(Solicitation.campaign_id == campaign.id, condition)
            .order_by(Solicitation.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    )


def _hold_sectors(held: Sequence[Sector]) -> None:
    """Waits for gifts that are being credited to the sectors only, and keeps new ones out."""
    ids = [sector.id for sector in held]
    db.session.execute(
        sa.select(Sector.id).where(Sector.id.in_(ids)).order_by(Sector.id).with_for_update()
    )


def _list_units(campaign: Campaign, condition: sa.ColumnElement[bool]) -> list[MovingUnit]:
    given = sum_by_unit(campaign.id).subquery()
    rows = db.session.execute(
        sa.select(Solicitation, or_zero(given.c.amount))
        .join(Solicitation.unit)
        .outerjoin(given, given.c.unit_id == Solicitation.unit_id)
        .where(Solicitation.campaign_id == campaign.id, condition)
        .options(contains_eager(Solicitation.unit))
        .order_by(Unit.name, Solicitation.id)
    )
    return [MovingUnit(solicitation, amount) for solicitation, amount in rows]


def _list_liaisons(sector_ids: Sequence[int]) -> list[str]:
    found = sectors.list_liaisons(sector_ids)
    return sorted({name for names in found.values() for name in names})


def _list_robots(sector_ids: Sequence[int]) -> list[str]:
    return list(
        db.session.scalars(
            sa.select(WecomRobot.name)
            .where(WecomRobot.sector_id.in_(sector_ids))
            .order_by(WecomRobot.name)
        )
    )


def _refuse_waves(campaign: Campaign, gone: Iterable[Sector]) -> None:
    ids = {sector.id for sector in gone}
    waves = db.session.scalars(
        sa.select(Wave).where(Wave.campaign_id == campaign.id, Wave.status.in_(STILL_CHOOSING))
    )
    for wave in waves:
        if ids & set(wave.audience.get("sector_ids", ())):
            raise Refused(
                _(
                    "提醒批次“%(wave)s”还没有批准，它指定了要去掉的板块。请先修改或取消它。",
                    wave=wave.name,
                )
            )
