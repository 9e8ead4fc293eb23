"""Gifts that are entered together and held against one figure: the parts of one payment, and the
money of a day that was counted first."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import joinedload, selectinload

from outreach import audit, clock, money
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, Sector, Solicitation
from outreach.campaigns.queries import hold_campaign
from outreach.db import db, insert_new
from outreach.errors import NotFound, Refused
from outreach.gifts.lines import check_stayed, claim_as, release_gifts
from outreach.gifts.matching import match_lines
from outreach.gifts.models import (
    Gift,
    GiftBasis,
    GiftChannel,
    GiftGroup,
    GiftKind,
    GroupKind,
    LineGift,
    StatementLine,
)
from outreach.gifts.services import record_gift, reverse_gift
from outreach.units.models import Unit


@dataclass(frozen=True)
class Part:
    """One gift of the group: a unit's, or credited to a sector only."""

    amount_fen: int
    kind: GiftKind
    unit: Unit | None = None
    sector: Sector | None = None
    donor_count: int = 0
    designation: str = ""


@dataclass(frozen=True)
class Payment:
    """What the parts have in common."""

    received_on: date
    channel: GiftChannel
    basis: GiftBasis = GiftBasis.INTO_ACCOUNT
    reference: str = ""
    note: str = ""
    may_publish: bool = False


@dataclass(frozen=True)
class Tally:
    """A number of gifts and what they come to, or by how much two such figures differ."""

    count: int
    fen: int

    @classmethod
    def of(cls, parts: Collection[Part]) -> "Tally":
        return cls(len(parts), sum(part.amount_fen for part in parts))

    def __sub__(self, other: "Tally") -> "Tally":
        return Tally(self.count - other.count, self.fen - other.fen)

    def __bool__(self) -> bool:
        return bool(self.count or self.fen)

    def __str__(self) -> str:
        return f"{self.count}:{self.fen}"


def record_remittance(
    campaign: Campaign,
    parts: Sequence[Part],
    payment: Payment,
    *,
    key: str,
    total_fen: int,
    by: User | None,
) -> GiftGroup | None:
    """Records one payment by its parts; None when the form with this key was sent before. Refused
    unless the parts make up the total to the fen."""
    if len(parts) < 2:
        raise Refused(_("请至少填写两个部分。只有一部分的，请用“登记到账”。"))
    check_total(total_fen, parts)
    stated = Tally(len(parts), total_fen)
    return _record(campaign, parts, payment, group_of=(GroupKind.REMITTANCE, key, stated), by=by)


def claim_line(
    line: StatementLine, parts: Sequence[Part], *, key: str, may_publish: bool = False, by: User
) -> GiftGroup | None:
    """Records an open line as the gifts that it is made up of; None when the form with this key was
    sent before. Refused unless they make up what stayed of it; Conflict when somebody settled it
    first."""
    check_stayed(line)
    hold_campaign(line.campaign_id)
    campaign = db.session.get_one(Campaign, line.campaign_id)
    payment = Payment(
        received_on=line.received_on,
        channel=line.channel,
        reference=line.serial or line.reference,
        note=(line.note or line.summary)[:200],
        may_publish=may_publish,
    )
    group = record_remittance(campaign, parts, payment, key=key, total_fen=line.net_fen, by=by)
    if group:
        claim_as(line, group.parts, by=by)
    return group


def find_line(group: GiftGroup) -> StatementLine | None:
    """The line of a statement that the group was made of."""
    return db.session.scalar(
        sa.select(StatementLine)
        .join(LineGift, LineGift.line_id == StatementLine.id)
        .join(Gift, Gift.id == LineGift.gift_id)
        .where(Gift.group_id == group.id, LineGift.is_made_here)
        .limit(1)
    )


def record_count(  # noqa: PLR0913
    campaign: Campaign,
    parts: Sequence[Part],
    payment: Payment,
    *,
    key: str,
    stated: Tally,
    accepted: Tally | None = None,
    by: User | None,
) -> GiftGroup | None:
    """Records money that was counted beforehand; None when the form with this key was sent before.
    Refused when what was stated differs from the parts by anything but what was `accepted`."""
    if not parts:
        raise Refused(_("还没有填写任何一笔。"))
    if stated.count <= 0 or stated.fen <= 0:
        raise Refused(_("清点的笔数和金额必须大于 0。"))
    difference = stated - Tally.of(parts)
    if difference and difference != accepted:
        raise Refused(_("登记的与清点的不一致。请核对，或确认差额。"))
    return _record(campaign, parts, payment, group_of=(GroupKind.COUNT, key, stated), by=by)


def check_total(total_fen: int, parts: Sequence[Part]) -> None:
    """Refused unless the parts add up to the total, with both figures and the difference."""
    entered = Tally.of(parts).fen
    if entered != total_fen:
        raise Refused(
            _(
                "各部分合计 %(parts)s 元，款项总额 %(total)s 元，相差 %(difference)s 元。"
                "请改到一致。",
                parts=money.format_yuan(entered),
                total=money.format_yuan(total_fen),
                difference=money.format_yuan(abs(entered - total_fen)),
            )
        )


def reverse_group(group: GiftGroup, *, reason: str, by: User | None) -> list[Gift]:
    """Reverses every part that stands, and opens their lines again; Refused when none is left."""
    hold_campaign(group.campaign_id)
    _hold_units(group.campaign_id, {gift.unit_id for gift in group.gifts if gift.unit_id})
    db.session.refresh(group)
    standing = group.standing
    if not standing:
        raise Refused(_("这些到账都已经冲正过了。"))
    campaign = db.session.get_one(Campaign, group.campaign_id)
    has_lines = release_gifts(campaign, Gift.group_id == group.id)
    reversals = [reverse_gift(gift, reason=reason, by=by) for gift in standing]
    if has_lines:
        match_lines(campaign)
    audit.record(
        "reverse.gift_group",
        f"gift_group:{group.id}",
        count=len(reversals),
        amount_fen=sum(reversal.amount_fen for reversal in reversals),
        reason=reason,
    )
    db.session.refresh(group)
    return reversals


def get_group(campaign: Campaign, group_id: int) -> GiftGroup:
    """With its gifts, and whose they are."""
    group = db.session.scalar(
        sa.select(GiftGroup)
        .filter_by(campaign_id=campaign.id, id=group_id)
        .options(
            selectinload(GiftGroup.gifts).selectinload(Gift.unit),
            selectinload(GiftGroup.gifts).selectinload(Gift.sector),
        )
    )
    if group is None:
        raise NotFound(_("没有这一组到账。"))
    return group


def select_counts(campaign: Campaign) -> sa.Select[GiftGroup]:
    """Counted money with its gifts, the newest first."""
    return (
        sa.select(GiftGroup)
        .filter_by(campaign_id=campaign.id, kind=GroupKind.COUNT)
        .options(selectinload(GiftGroup.gifts), joinedload(GiftGroup.recorded_by))
        .order_by(GiftGroup.id.desc())
    )


def find_group(campaign: Campaign, key: str) -> GiftGroup | None:
    return db.session.scalar(sa.select(GiftGroup).filter_by(campaign_id=campaign.id, key=key))


def _record(
    campaign: Campaign,
    parts: Sequence[Part],
    payment: Payment,
    *,
    group_of: tuple[GroupKind, str, Tally],
    by: User | None,
) -> GiftGroup | None:
    kind, key, stated = group_of
    row = {
        "campaign_id": campaign.id,
        "kind": kind,
        "key": key,
        "stated_count": stated.count,
        "stated_fen": stated.fen,
        "recorded_at": clock.now(),
        "recorded_by_id": by.id if by else None,
    }
    if not insert_new(GiftGroup, [row], ["campaign_id", "key"]):
        return None
    group = db.session.scalars(
        sa.select(GiftGroup).filter_by(campaign_id=campaign.id, key=key)
    ).one()
    _hold_units(campaign.id, {part.unit.id for part in parts if part.unit})
    for part in parts:
        record_gift(campaign=campaign, group=group, by=by, **vars(payment) | vars(part))
    audit.record(
        "record.gift_group",
        f"gift_group:{group.id}",
        group=kind.value,
        stated_count=stated.count,
        stated_fen=stated.fen,
        **vars(Tally.of(parts)),
    )
    return group


def _hold_units(campaign_id: int, unit_ids: Collection[int]) -> None:
    """In one order, so that two people with the same units wait and do not block each other."""
    db.session.execute(
        sa.select(Solicitation.id)
        .where(Solicitation.campaign_id == campaign_id, Solicitation.unit_id.in_(unit_ids))
        .order_by(Solicitation.id)
        .with_for_update()
    )
