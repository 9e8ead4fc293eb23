"""Money as lists to take away: the ledger, the comparison with last year, the reconciliation."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

import sqlalchemy as sa
from flask_babel import lazy_gettext as _

from outreach import clock
from outreach.accounts.models import User
from outreach.campaigns.export_pages import name_in_file
from outreach.campaigns.models import Campaign
from outreach.db import db
from outreach.gifts.comparison import Comparison, Movement, SectorChange, UnitChange
from outreach.gifts.ledger import Identity
from outreach.gifts.models import Gift, GiftGroup, GroupKind
from outreach.gifts.queries import GiftFilter, Totals, select_gifts, sum_gifts
from outreach.gifts.reconciliation import OpenResidual, StatedCheck
from outreach.spreadsheets.listings import Cell, Field, Listing, Style

UNALLOCATED = _("未分配")


def list_ledger(campaign: Campaign, wanted: GiftFilter, viewer: User) -> list[Listing]:
    """The gifts that the filter asks for with their reversals, and their total with its parts."""
    reversed_ids = set(
        db.session.scalars(
            sa.select(Gift.reversal_of_id).where(
                Gift.campaign_id == campaign.id, Gift.reversal_of_id.is_not(None)
            )
        )
    )
    gifts = db.session.scalars(select_gifts(campaign, wanted))
    fields = (
        Field(_("捐赠方"), width=34),
        Field(_("到账日期"), Style.DAY, 12),
        Field(_("板块"), width=20),
        Field(_("金额（元）"), Style.YUAN, 16, is_summed=True),
        Field(_("类型"), width=10),
        Field(_("人数"), Style.COUNT, 8),
        Field(_("方式"), width=12),
        Field(_("入账情况"), width=10),
        Field(_("流水号或凭证号"), width=22),
        Field(_("指定用途"), width=18),
        Field(_("备注"), width=30),
        Field(_("冲正"), width=14),
        Field(_("一起登记的"), width=18),
        Field(_("登记人"), width=10),
        Field(_("登记日期"), Style.DAY, 12),
        Field(_("编号"), Style.COUNT, 8),
    )
    rows = [_gift_row(gift, gift.id in reversed_ids, viewer) for gift in gifts]
    return [Listing(_("到账明细"), fields, rows), _list_totals(sum_gifts(campaign, wanted))]


def _gift_row(gift: Gift, is_reversed: bool, viewer: User) -> Sequence[Cell]:
    reversal = _("冲正 %(number)s 号", number=gift.reversal_of_id) if gift.reversal_of_id else ""
    return (
        name_in_file(gift.unit, viewer) if gift.unit else gift.credited_to,
        gift.received_on,
        gift.sector.name if gift.sector else UNALLOCATED,
        gift.amount_fen,
        gift.kind.label,
        gift.donor_count or None,
        gift.channel.label,
        gift.basis.label,
        gift.reference,
        gift.designation,
        gift.note,
        _("已冲正") if is_reversed else reversal,
        _group_name(gift.group) if gift.group else "",
        gift.recorded_by.name if gift.recorded_by else "",
        clock.day_of(gift.recorded_at),
        gift.id,
    )


def _group_name(group: GiftGroup) -> Cell:
    if group.kind is GroupKind.COUNT:
        return _("清点第 %(number)s 批", number=group.id)
    return _("第 %(number)s 笔款项", number=group.id)


def _list_totals(totals: Totals) -> Listing:
    rows = (
        (_("合计"), _("全部"), totals.total, totals.total),
        (_("按板块"), _("已计入板块"), totals.allocated, totals.allocated),
        (_("按板块"), UNALLOCATED, totals.unallocated, totals.unallocated),
        (_("按类型"), _("单位捐款"), totals.unit, totals.unit),
        (_("按类型"), _("个人捐款"), totals.individual, totals.individual),
        (_("按入账"), _("入账"), totals.into_account, totals.into_account),
        (_("按入账"), _("未入账"), totals.outside_account, totals.outside_account),
    )
    fields = (
        Field(_("分法"), width=12),
        Field(_("部分"), width=16),
        Field(_("金额（元）"), Style.YUAN, 18),
        Field(_("金额（万元）"), Style.WAN, 18),
    )
    return Listing(_("合计"), fields, rows)


def list_comparison(
    comparison: Comparison, units: Sequence[UnitChange], viewer: User
) -> list[Listing]:
    """Every sector, which add up to the whole, and the units that are asked for."""
    names = {change.sector.id: change.sector.name for change in comparison.sectors if change.sector}
    amounts = (
        _("本年（万元）"),
        _("上年口径（万元）"),
        _("增减（万元）"),
        *(_("%(movement)s（万元）", movement=movement.label) for movement in PARTS),
        _("不记单位（万元）"),
        _("单位调整（万元）"),
        _("现归属口径（万元）"),
        _("按现归属增减（万元）"),
    )
    sectors = Listing(
        _("各板块"),
        (Field(_("板块"), width=24), *(Field(name, Style.WAN, 16, True) for name in amounts)),
        [_sector_row(change) for change in (*comparison.sectors, comparison.elsewhere)],
    )
    return [
        sectors,
        Listing(
            _("各单位"),
            (
                Field(_("单位"), width=34),
                Field(_("板块"), width=20),
                Field(_("变化"), width=18),
                Field(_("上年（元）"), Style.YUAN, 16, is_summed=True),
                Field(_("本年（元）"), Style.YUAN, 16, is_summed=True),
                Field(_("增减（元）"), Style.YUAN, 16, is_summed=True),
                Field(_("原因"), width=20),
            ),
            [
                _unit_row(unit, names.get(unit.sector_id or 0, UNALLOCATED), viewer)
                for unit in units
            ],
        ),
    ]


PARTS = (Movement.NEW, Movement.UP, Movement.DOWN, Movement.LAPSED)


def _sector_row(change: SectorChange) -> Sequence[Cell]:
    return (
        change.sector.name if change.sector else UNALLOCATED,
        change.now_fen,
        change.as_was_fen,
        change.change_fen,
        *(change.parts[movement] for movement in PARTS),
        change.loose_fen,
        change.moved_fen,
        change.as_is_fen,
        change.now_fen - change.as_is_fen,
    )


def _unit_row(change: UnitChange, sector: Cell, viewer: User) -> Sequence[Cell]:
    return (
        name_in_file(change.unit, viewer),
        sector,
        change.movement.label,
        change.then_fen,
        change.now_fen,
        change.change_fen,
        change.reason,
    )


def list_reconciliation(
    identities: Sequence[Identity],
    residuals: Sequence[OpenResidual],
    stated: Sequence[StatedCheck],
) -> list[Listing]:
    return [
        Listing(
            _("账是否平"),
            (
                Field(_("等式"), width=60),
                Field(_("左边"), Style.YUAN, 18),
                Field(_("右边"), Style.YUAN, 18),
                Field(_("相差"), Style.YUAN, 14),
                Field(_("单位"), width=8),
                Field(_("成立"), width=8),
            ),
            [_identity_row(row) for row in identities],
        ),
        Listing(
            _("还说不清的差额"),
            (
                Field(_("差额"), width=28),
                Field(_("金额（元）"), Style.YUAN, 18),
                Field(_("笔数"), Style.COUNT, 10),
                Field(_("责任人"), width=12),
                Field(_("说明"), width=50),
                Field(_("说明时的金额（元）"), Style.YUAN, 18),
            ),
            [_residual_row(row) for row in residuals],
        ),
        Listing(
            _("与公布的数字对照"),
            (
                Field(_("数字"), width=28),
                Field(_("公布（万元或个数）"), Style.WAN, 20),
                Field(_("对照"), width=16),
                Field(_("对照的数（万元或个数）"), Style.WAN, 20),
                Field(_("相差"), Style.WAN, 16),
                Field(_("出处"), width=40),
            ),
            [_stated_row(row) for row in stated],
        ),
    ]


def _identity_row(row: Identity) -> Sequence[Cell]:
    sides = _figures(row.is_money, row.left, row.right, row.difference)
    unit = _("元") if row.is_money else _("个")
    return (row.name, *sides, unit, _("是") if row.holds else _("否"))


def _residual_row(row: OpenResidual) -> Sequence[Cell]:
    note = row.note
    said = (note.owner.name, note.note, note.amount_fen) if note else ("", "", None)
    return (row.residual.label, row.amount_fen, row.count, *said)


def _stated_row(row: StatedCheck) -> Sequence[Cell]:
    stated, found, difference = _figures(row.is_money, row.stated, row.found, row.difference)
    return (row.name, stated, row.against, found, difference, row.source)


def _figures(is_money: bool, *values: int) -> Iterator[Cell]:
    """Fen, or numbers of things that are written as they are."""
    return (value if is_money else Decimal(value) for value in values)
