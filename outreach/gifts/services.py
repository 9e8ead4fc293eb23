"""Promises and money are recorded here; nothing is ever edited, only reversed or withdrawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate

import sqlalchemy as sa
from flask_babel import lazy_gettext as _

from outreach import clock, money
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, Sector, Solicitation, Stage, StageCause
from outreach.campaigns.queries import hold_campaign
from outreach.campaigns.services import advance_stage, change_stage, record_contact
from outreach.db import db, run, table_of
from outreach.errors import Conflict, Refused
from outreach.gifts.models import (
    Gift,
    GiftBasis,
    GiftChannel,
    GiftGroup,
    GiftKind,
    Instalment,
    LineGift,
    Pledge,
)
from outreach.gifts.queries import list_open_pledges
from outreach.units.models import ImportBatch, Unit


def record_gift(  # noqa: PLR0913
    *,
    campaign: Campaign,
    amount_fen: int,
    kind: GiftKind,
    received_on: date,
    unit: Unit | None = None,
    sector: Sector | None = None,
    donor_count: int = 0,
    basis: GiftBasis = GiftBasis.INTO_ACCOUNT,
    channel: GiftChannel = GiftChannel.TRANSFER,
    reference: str = "",
    note: str = "",
    designation: str = "",
    may_publish: bool = False,
    line_key: str | None = None,
    batch: ImportBatch | None = None,
    group: GiftGroup | None = None,
    by: User | None = None,
) -> Gift:
    """Records money received. A unit's gift is stamped with the unit's sector in this campaign, as
    it is until the transaction ends; without unit and sector it is unallocated. `batch` and
    `group` must have been flushed."""
    if amount_fen <= 0:
        raise Refused(_("金额必须大于 0。"))
    if received_on > clock.today():
        raise Refused(_("到账日期不能晚于今天。"))
    if unit is not None:
        solicitation = _hold_solicitation(campaign, unit)
        if sector is not None and sector.id != solicitation.sector_id:
            raise Refused(
                _(
                    "“%(unit)s”在本次活动中属于“%(sector)s”，与所选板块不一致。",
                    unit=unit.name,
                    sector=solicitation.sector.name,
                )
            )
        sector = solicitation.sector
        record_contact(solicitation, received_on)
    elif sector is not None:
        _hold_sector(campaign, sector)
    gift = Gift(
        campaign_id=campaign.id,
        unit_id=unit.id if unit else None,
        sector_id=sector.id if sector else None,
        amount_fen=amount_fen,
        kind=kind,
        donor_count=donor_count,
        basis=basis,
        channel=channel,
        received_on=received_on,
        reference=reference,
        note=note,
        designation=designation,
        may_publish=may_publish,
        line_key=line_key,
        import_batch_id=batch.id if batch else None,
        group_id=group.id if group else None,
        recorded_at=clock.now(),
        recorded_by_id=by.id if by else None,
    )
    db.session.add(gift)
    db.session.flush()
    return gift


def reverse_gift(gift: Gift, *, reason: str, by: User | None) -> Gift:
    """Takes a gift back by a second one of the opposite amount, dated today, so that the figures
    of past weeks stay as they were. Its `donor_count` is to be subtracted like its amount."""
    if not reason:
        raise Refused(_("请填写冲正原因。"))
    if gift.reversal_of_id is not None:
        raise Refused(_("这一笔本身就是冲正记录，不能再冲正。如冲正有误，请重新登记到账。"))
    hold_campaign(gift.campaign_id)  # before gifts and lines, as `lines` does
    _hold_stamp(gift)
    if db.session.scalar(sa.select(Gift.id).where(Gift.reversal_of_id == gift.id)) is not None:
        raise Refused(_("这一笔已经冲正过了。"))
    if _is_part(gift):
        raise Refused(
            _(
                "这一笔是一笔流水的一部分，不能单独冲正。"
                "请打开那笔流水，撤销认领，再重新登记各部分。"
            )
        )
    reversal = Gift(
        campaign_id=gift.campaign_id,
        unit_id=gift.unit_id,
        sector_id=gift.sector_id,
        amount_fen=-gift.amount_fen,
        kind=gift.kind,
        donor_count=gift.donor_count,
        basis=gift.basis,
        channel=gift.channel,
        received_on=max(clock.today(), gift.received_on),
        reference=gift.reference,
        note=reason,
        designation=gift.designation,
        reversal_of_id=gift.id,
        group_id=gift.group_id,
        recorded_at=clock.now(),
        recorded_by_id=by.id if by else None,
    )
    db.session.add(reversal)
    db.session.flush()
    return reversal


@dataclass(frozen=True)
class Credit:
    """Whom a gift is credited to."""

    unit_id: int
    sector_id: int


def credit_gift(gift_id: int, *, before: Credit, after: Credit) -> None:
    """Credits a gift to the unit that its unit turned out to be, or back to it: the only place in
    which a gift's row changes. Conflict when it is not credited as `before` says. The caller keeps
    a journal. What the session has loaded is not brought up to date."""
    gift = table_of(Gift)
    update = sa.update(gift).where(
        gift.c.id == gift_id,
        gift.c.unit_id == before.unit_id,
        gift.c.sector_id == before.sector_id,
    )
    if run(update.values(unit_id=after.unit_id, sector_id=after.sector_id)).rowcount != 1:
        raise Conflict(_("有一笔到账的归属刚被他人改动，没有保存。请刷新页面后重试。"))


def record_pledge(
    solicitation: Solicitation,
    *,
    amount_fen: int,
    due_on: date,
    instalments: Mapping[date, int] | None = None,
    note: str = "",
    by: User | None = None,
) -> Pledge:
    """Records what a unit promises, by `due_on` or in `instalments`: fen by the day on which each
    is due. The promise before it is withdrawn. A unit that had declined is taken up again."""
    if amount_fen <= 0:
        raise Refused(_("金额必须大于 0。"))
    parts = sorted((instalments or {due_on: amount_fen}).items())
    check_instalments(amount_fen, [amount for _day, amount in parts])
    # The row is locked so that two people who record at once leave one open pledge, not two.
    db.session.execute(
        sa.select(Solicitation.id).where(Solicitation.id == solicitation.id).with_for_update()
    )
    now = clock.now()
    for pledge in list_open_pledges(solicitation):
        pledge.withdrawn_at = now
    pledge = Pledge(
        solicitation_id=solicitation.id,
        amount_fen=amount_fen,
        pledged_on=clock.today(),
        note=note,
        recorded_at=now,
        recorded_by_id=by.id if by else None,
    )
    owed = accumulate(amount for _day, amount in parts)
    pledge.instalments = [
        Instalment(due_on=day, amount_fen=amount, owed_fen=owed_fen)
        for (day, amount), owed_fen in zip(parts, owed, strict=True)
    ]
    db.session.add(pledge)
    if solicitation.stage is Stage.DECLINED:
        change_stage(solicitation, Stage.PLEDGED, cause=StageCause.PLEDGE, by=by)
    advance_stage(solicitation, Stage.PLEDGED, cause=StageCause.PLEDGE, by=by)
    record_contact(solicitation, pledge.pledged_on)
    db.session.flush()
    return pledge


def check_instalments(amount_fen: int, parts: Sequence[int]) -> None:
    """Refused unless they add up to the pledge."""
    if any(part <= 0 for part in parts):
        raise Refused(_("每一期的金额必须大于 0。"))
    if sum(parts) != amount_fen:
        raise Refused(
            _(
                "各期合计 %(parts)s 元，认捐金额 %(amount)s 元，"
                "相差 %(difference)s 元。请改到一致。",
                parts=money.format_yuan(sum(parts)),
                amount=money.format_yuan(amount_fen),
                difference=money.format_yuan(abs(sum(parts) - amount_fen)),
            )
        )


def _is_part(gift: Gift) -> bool:
    """One of several gifts that a line was claimed as: the line would not add up without it."""
    line_id = sa.select(LineGift.line_id).filter_by(gift_id=gift.id, is_made_here=True)
    others = sa.select(sa.func.count()).where(LineGift.line_id == line_id.scalar_subquery())
    return (db.session.scalar(others) or 0) > 1


def _hold_stamp(gift: Gift) -> None:
    """Keeps the gift with the sector that it has now, until the transaction ends."""
    db.session.execute(
        sa.select(Solicitation.id)
        .filter_by(campaign_id=gift.campaign_id, unit_id=gift.unit_id)
        .with_for_update()
    )
    db.session.refresh(gift, with_for_update=True)


def _hold_solicitation(campaign: Campaign, unit: Unit) -> Solicitation:
    """The unit's place in the campaign, which nobody changes until the transaction ends."""
    solicitation = db.session.scalar(
        sa.select(Solicitation)
        .filter_by(campaign_id=campaign.id, unit_id=unit.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if solicitation is None:
        raise Refused(_("“%(unit)s”不在本次活动的单位名册中。请先把它加入名册。", unit=unit.name))
    return solicitation


def _hold_sector(campaign: Campaign, sector: Sector) -> None:
    """Keeps the sector from being merged into another until the transaction ends."""
    if sector.campaign_id != campaign.id:
        raise Refused(_("“%(sector)s”不是本次活动的板块。", sector=sector.name))
    held = sa.select(Sector.id).filter_by(id=sector.id).with_for_update(read=True, key_share=True)
    if db.session.scalar(held) is None:
        raise Conflict(_("这个板块刚被并入其他板块，没有登记。请刷新后重新选择板块。"))
