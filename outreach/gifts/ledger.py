"""Does it add up? Every identity of the ledger with both sides, each found in a different way."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa
from flask_babel import LazyString
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import aliased

from outreach.campaigns.models import Campaign, Solicitation
from outreach.db import db
from outreach.gifts.comparison import Comparison, compare_years
from outreach.gifts.models import (
    Gift,
    GiftGroup,
    GroupKind,
    LineGift,
    LineStatus,
    Statement,
    StatementLine,
)
from outreach.gifts.queries import GiftFilter, or_zero, sum_by_day, sum_fen, sum_gifts
from outreach.gifts.standings import Figures, read_figures
from outreach.units.models import ImportBatch, ImportKind


@dataclass(frozen=True)
class Identity:
    """Two sides that must be equal: fen, or a number of things."""

    name: LazyString | str
    left: int
    right: int
    is_money: bool = True

    @property
    def difference(self) -> int:
        return self.left - self.right

    @property
    def holds(self) -> bool:
        return self.difference == 0


def check_ledger(campaign: Campaign) -> list[Identity]:
    """All identities of one campaign, those that hold too."""
    figures, comparison = read_figures(campaign), compare_years(campaign)
    return [
        *_check_totals(campaign, figures),
        *_check_sectors(campaign, figures),
        *_check_years(campaign, figures, comparison),
        *_check_reversals(campaign),
        *_check_imports(campaign),
        *_check_statements(campaign),
        *_check_remittances(campaign),
    ]


def _check_totals(campaign: Campaign, figures: Figures) -> Iterator[Identity]:
    total = _sum(Gift.campaign_id == campaign.id)
    parts = sum_gifts(campaign, GiftFilter())
    by_sector = sum(row.amount_fen for row in figures.sectors)
    yield Identity(
        _("到账总额 = 各板块 + 未分配"), total, by_sector + figures.campaign.unallocated_fen
    )
    yield Identity(_("到账总额 = 单位捐款 + 个人捐款"), total, parts.unit + parts.individual)
    yield Identity(_("到账总额 = 入账 + 未入账"), total, parts.into_account + parts.outside_account)
    by_day = sum(amount for _day, amount in sum_by_day(campaign.id))
    yield Identity(_("到账总额 = 每日到账之和"), total, by_day)


def _check_sectors(campaign: Campaign, figures: Figures) -> Iterator[Identity]:
    """By the sectors in which the units are, and what has no unit."""
    by_unit = dict(
        db.session.execute(
            sa.select(Solicitation.sector_id, sum_fen())
            .join(Gift, Gift.unit_id == Solicitation.unit_id)
            .where(
                Solicitation.campaign_id == campaign.id,
                Gift.campaign_id == Solicitation.campaign_id,
            )
            .group_by(Solicitation.sector_id)
        ).all()
    )
    loose = dict(
        db.session.execute(
            sa.select(Gift.sector_id, sum_fen())
            .where(Gift.campaign_id == campaign.id, Gift.unit_id.is_(None))
            .group_by(Gift.sector_id)
        ).all()
    )
    for row in figures.sectors:
        id_ = row.sector.id
        name = _("“%(sector)s” = 所属单位之和 + 不记单位的捐款", sector=row.sector.name)
        yield Identity(name, row.amount_fen, by_unit.get(id_, 0) + loose.get(id_, 0))


def _check_years(
    campaign: Campaign, figures: Figures, comparison: Comparison
) -> Iterator[Identity]:
    whole = comparison.whole
    now, then = (
        _sum(Gift.campaign_id == campaign.id),
        _sum(Gift.campaign_id == campaign.previous_id),
    )
    yield Identity(_("比上年增减 = 本年总额 - 上年总额"), whole.change_fen, now - then)
    yield Identity(_("上年总额，按上年口径分到各板块"), then, whole.as_was_fen)
    yield Identity(_("上年总额，按现归属分到各板块"), then, whole.as_is_fen)
    for change in comparison.sectors:
        name = _(
            "“%(sector)s”增减 = 新增 + 上升 + 下降 + 未到账 + 不记单位 + 调整",
            sector=change.sector.name if change.sector else "",
        )
        yield Identity(name, change.change_fen, change.explained_fen)
    directions = Counter(row.direction for row in figures.sectors)
    yield Identity(
        _("上升 + 下降 + 持平的板块 = 全部板块"),
        directions["risen"] + directions["fallen"] + directions["unchanged"],
        len(campaign.sectors),
        is_money=False,
    )


def _check_reversals(campaign: Campaign) -> Iterator[Identity]:
    reversal = aliased(Gift)
    pairs = (
        sa.select(sum_fen(), or_zero(sa.func.sum(-reversal.amount_fen)), sa.func.count(Gift.id))
        .join(reversal, reversal.reversal_of_id == Gift.id)
        .where(Gift.campaign_id == campaign.id)
    )
    reversed_fen, taken_back, count = db.session.execute(pairs).one()
    yield Identity(_("被冲正的金额 = 冲正的金额"), reversed_fen, taken_back)
    alike = pairs.where(
        *(
            getattr(Gift, column).is_not_distinct_from(getattr(reversal, column))
            for column in ("campaign_id", "unit_id", "sector_id", "kind", "basis", "donor_count")
        ),
        Gift.amount_fen == -reversal.amount_fen,
    )
    same = db.session.execute(alike).one()[2]
    yield Identity(_("冲正与原记录的归属一致"), count, same, is_money=False)


def _check_imports(campaign: Campaign) -> Iterator[Identity]:
    """Files that were taken in, and lines of statements that became gifts."""
    by_batch: defaultdict[int | None, int] = defaultdict(int)
    by_batch.update(
        db.session.execute(
            sa.select(Gift.import_batch_id, sum_fen())
            .where(Gift.campaign_id == campaign.id, Gift.reversal_of_id.is_(None))
            .group_by(Gift.import_batch_id)
        ).all()
    )
    batches = sa.select(ImportBatch).filter_by(campaign_id=campaign.id, kind=ImportKind.GIFTS)
    for batch in db.session.scalars(batches.order_by(ImportBatch.id)):
        name = _("导入文件“%(file)s”= 由它记入的到账", file=batch.file_name)
        yield Identity(name, batch.counts.get("amount_fen", 0), by_batch[batch.id])


def _check_statements(campaign: Campaign) -> Iterator[Identity]:
    by_statement = dict(
        db.session.execute(
            sa.select(StatementLine.statement_id, or_zero(sa.func.sum(StatementLine.amount_fen)))
            .where(StatementLine.campaign_id == campaign.id)
            .group_by(StatementLine.statement_id)
        ).all()
    )
    statements = sa.select(Statement).filter_by(campaign_id=campaign.id)
    for statement in db.session.scalars(statements.order_by(Statement.id)):
        name = _("流水文件“%(file)s”的收入 = 先前已有 + 由它记下", file=statement.file_name)
        kept = statement.known_fen + by_statement.get(statement.id, 0)
        yield Identity(name, statement.credit_fen, kept)
    net_fen = StatementLine.amount_fen - StatementLine.refunded_fen
    shown_fen = (
        sa.select(sum_fen())
        .join(LineGift, LineGift.gift_id == Gift.id)
        .where(LineGift.line_id == StatementLine.id)
        .scalar_subquery()
    )
    claimed, given = db.session.execute(
        sa.select(or_zero(sa.func.sum(net_fen)), or_zero(sa.func.sum(shown_fen))).where(
            StatementLine.campaign_id == campaign.id, StatementLine.status == LineStatus.CLAIMED
        )
    ).one()
    yield Identity(_("已认领的流水（减去退款）= 对应的到账"), claimed, given)


def _check_remittances(campaign: Campaign) -> Iterator[Identity]:
    remittances = sa.select(GiftGroup.id).filter_by(
        campaign_id=campaign.id, kind=GroupKind.REMITTANCE
    )
    paid = db.session.scalar(
        sa.select(or_zero(sa.func.sum(GiftGroup.stated_fen))).where(GiftGroup.id.in_(remittances))
    )
    parts = _sum(sa.and_(Gift.group_id.in_(remittances), Gift.reversal_of_id.is_(None)))
    yield Identity(_("分几部分的款项 = 各部分之和"), paid or 0, parts)


def _sum(condition: sa.ColumnElement[bool]) -> int:
    return db.session.scalar(sa.select(sum_fen()).where(condition)) or 0
