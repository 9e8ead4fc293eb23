"""What the ledger cannot explain by itself, and whether what was published agrees with it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from flask_babel import LazyString
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import aliased, joinedload

from outreach import audit, clock, money
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, Sector
from outreach.campaigns.queries import hold_campaign
from outreach.db import db
from outreach.errors import NotFound, Refused
from outreach.gifts.models import (
    Gift,
    GiftBasis,
    GiftGroup,
    GroupKind,
    LineGift,
    LineStatus,
    Residual,
    ResidualNote,
    StatedFigure,
    StatementLine,
    Subject,
)
from outreach.gifts.queries import or_zero, sum_fen
from outreach.gifts.standings import Figures, read_figures


@dataclass(frozen=True)
class OpenResidual:
    residual: Residual
    amount_fen: int
    count: int
    note: ResidualNote | None

    @property
    def is_explained(self) -> bool:
        """Somebody looks after it, and it has not changed since they said what it is."""
        return self.note is not None and self.note.amount_fen == self.amount_fen


def list_residuals(campaign: Campaign) -> list[OpenResidual]:
    """Those that are not nothing."""
    notes = {
        note.residual: note
        for note in db.session.scalars(
            sa.select(ResidualNote)
            .filter_by(campaign_id=campaign.id)
            .options(joinedload(ResidualNote.owner))
        )
    }
    found = (
        (residual, *db.session.execute(query).one())
        for residual, query in _residuals(campaign).items()
    )
    return [
        OpenResidual(residual, amount, count, notes.get(residual))
        for residual, amount, count in found
        if amount or count
    ]


def select_without_line(campaign: Campaign) -> sa.Select[Gift]:
    """Gifts into the account that no line of a statement shows; not those taken back."""
    reversal = aliased(Gift)
    has_line = sa.exists().where(LineGift.gift_id == Gift.id)
    return sa.select(Gift).where(
        Gift.campaign_id == campaign.id,
        Gift.basis == GiftBasis.INTO_ACCOUNT,
        Gift.reversal_of_id.is_(None),
        ~sa.exists().where(reversal.reversal_of_id == Gift.id),
        ~has_line,
    )


def select_counted(campaign: Campaign) -> sa.Select[int, int, int]:
    """Groups of counted money, the newest first: id, and the number and fen that were counted and
    not entered. What was taken back since was entered all the same."""
    return (
        sa.select(
            GiftGroup.id,
            (GiftGroup.stated_count - sa.func.count(Gift.id)).label("missing_count"),
            (GiftGroup.stated_fen - sum_fen()).label("missing_fen"),
        )
        .join(Gift, sa.and_(Gift.group_id == GiftGroup.id, Gift.reversal_of_id.is_(None)))
        .where(GiftGroup.campaign_id == campaign.id, GiftGroup.kind == GroupKind.COUNT)
        .group_by(GiftGroup.id)
        .order_by(GiftGroup.id.desc())
    )


def note_residual(
    campaign: Campaign, residual: Residual, *, owner: User, note: str, by: User
) -> None:
    """Says who looks after a residual and what it is; Refused when there is nothing to explain."""
    hold_campaign(campaign.id)
    amount, count = db.session.execute(_residuals(campaign)[residual]).one()
    if not (amount or count):
        raise Refused(_("这一项已经没有差额，不需要说明。请刷新页面。"))
    db.session.merge(
        ResidualNote(
            campaign_id=campaign.id,
            residual=residual,
            owner_id=owner.id,
            note=note,
            amount_fen=amount,
            noted_at=clock.now(),
            noted_by_id=by.id,
        )
    )
    audit.record(
        "note.residual",
        f"residual:{campaign.code}.{residual.value}",
        amount_fen=amount,
        owner_id=owner.id,
        note=note,
    )


def _residuals(campaign: Campaign) -> dict[Residual, sa.Select[int, int]]:
    """Amount and number of each."""
    without_line = select_without_line(campaign).subquery()
    counted = select_counted(campaign).subquery()
    differs = sa.or_(counted.c.missing_fen != 0, counted.c.missing_count != 0)
    return {
        Residual.UNALLOCATED: sa.select(sum_fen(), sa.func.count()).where(
            Gift.campaign_id == campaign.id, Gift.sector_id.is_(None)
        ),
        Residual.OPEN_LINES: sa.select(
            or_zero(sa.func.sum(StatementLine.amount_fen - StatementLine.refunded_fen)),
            sa.func.count(),
        ).where(StatementLine.campaign_id == campaign.id, StatementLine.status == LineStatus.OPEN),
        Residual.WITHOUT_LINE: sa.select(
            or_zero(sa.func.sum(without_line.c.amount_fen)), sa.func.count()
        ).select_from(without_line),
        Residual.COUNTED: sa.select(or_zero(sa.func.sum(counted.c.missing_fen)), sa.func.count())
        .select_from(counted)
        .where(differs),
    }


# What was published


@dataclass(frozen=True)
class StatedCheck:
    """A published figure beside what it is held against; fen, or a number of things."""

    name: LazyString | str
    stated: int
    found: int
    is_money: bool
    source: str
    against: LazyString | str
    figure_id: int | None = None
    """None: it follows from several figures."""

    @property
    def difference(self) -> int:
        return self.stated - self.found

    @property
    def agrees(self) -> bool:
        return self.difference == 0

    @property
    def sentence(self) -> str:
        """What does not agree, in words."""
        return str(
            _(
                "%(source)s：%(name)s为 %(stated)s，%(against)s为 %(found)s，相差 %(difference)s。",
                source=self.source,
                name=self.name,
                stated=self._shown(self.stated),
                against=self.against,
                found=self._shown(self.found),
                difference=self._shown(abs(self.difference)),
            )
        )

    def _shown(self, value: int) -> str:
        if not self.is_money:
            return str(value)
        return str(_("%(amount)s 万元", amount=money.format_wan_exact(value)))


def compare_stated(campaign: Campaign) -> list[StatedCheck]:
    """Each published figure against the ledger, and the published sectors against their total."""
    stated = db.session.scalars(
        sa.select(StatedFigure)
        .filter_by(campaign_id=campaign.id)
        .outerjoin(StatedFigure.sector)
        .options(joinedload(StatedFigure.sector))
        .order_by(Sector.position.is_not(None), Sector.position, StatedFigure.id)
    ).all()
    if not stated:
        return []
    found = _Found(campaign, read_figures(campaign))
    compared = [
        StatedCheck(
            figure.sector.name if figure.sector else figure.subject.label,
            figure.value,
            found.value_of(figure),
            figure.subject.is_money,
            figure.source,
            _("账上"),
            figure.id,
        )
        for figure in stated
    ]
    return [*compared, *_add_up(campaign, stated)]


def state_figure(
    campaign: Campaign,
    subject: Subject,
    *,
    value: int,
    source: str,
    sector: Sector | None = None,
) -> StatedFigure:
    """Keeps a figure as it was published; a second one of that subject and source replaces it."""
    hold_campaign(campaign.id)
    if (subject is Subject.SECTOR) != (sector is not None):
        raise Refused(_("公布的是板块金额时，请选择板块；其他数字不要选板块。"))
    key = {
        "campaign_id": campaign.id,
        "subject": subject,
        "sector_id": sector.id if sector else None,
        "source": source,
    }
    figure = db.session.scalar(sa.select(StatedFigure).filter_by(**key)) or StatedFigure(**key)
    figure.value = value
    db.session.add(figure)
    db.session.flush()
    audit.record("state.figure", f"stated_figure:{figure.id}", about=subject.value, value=value)
    return figure


def remove_stated(campaign: Campaign, figure_id: int) -> None:
    figure = db.session.scalar(
        sa.select(StatedFigure).filter_by(id=figure_id, campaign_id=campaign.id)
    )
    if figure is None:
        raise NotFound(_("没有这个数字，可能已被删除。"))
    audit.record("remove.stated_figure", f"stated_figure:{figure.id}", value=figure.value)
    db.session.delete(figure)


@dataclass(frozen=True)
class _Found:
    """The same figures as the ledger has them."""

    campaign: Campaign
    figures: Figures

    def value_of(self, figure: StatedFigure) -> int:
        whole = self.figures.campaign
        return {
            Subject.TOTAL: lambda: whole.total_fen,
            Subject.CHANGE: lambda: whole.total_fen - whole.previous_total_fen,
            Subject.SECTOR: lambda: self._sector(figure.sector_id),
            Subject.SECTOR_COUNT: lambda: len(self.figures.sectors),
            Subject.UNIT_COUNT: lambda: count_givers(self.campaign),
            Subject.DONOR_COUNT: lambda: count_donors(self.campaign),
        }[figure.subject]()

    def _sector(self, sector_id: int | None) -> int:
        return next(row.amount_fen for row in self.figures.sectors if row.sector.id == sector_id)


def _add_up(campaign: Campaign, stated: Sequence[StatedFigure]) -> Iterator[StatedCheck]:
    """The published sectors together against the published total, where one source has both."""
    for total in stated:
        if total.subject is not Subject.TOTAL:
            continue
        sectors = [
            figure.value
            for figure in stated
            if figure.subject is Subject.SECTOR and figure.source == total.source
        ]
        if len(sectors) == len(campaign.sectors):
            yield StatedCheck(
                _("公布的 %(count)s 个板块合计", count=len(sectors)),
                sum(sectors),
                total.value,
                True,
                total.source,
                _("公布的总额"),
            )


def count_givers(campaign: Campaign) -> int:
    """Units that gave, net of reversals."""
    givers = (
        sa.select(Gift.unit_id)
        .where(Gift.campaign_id == campaign.id, Gift.unit_id.is_not(None))
        .group_by(Gift.unit_id)
        .having(sum_fen() > 0)
        .subquery()
    )
    return db.session.scalar(sa.select(sa.func.count()).select_from(givers)) or 0


def count_donors(campaign: Campaign) -> int:
    """People, as far as they were counted, net of reversals."""
    sign = sa.case((Gift.reversal_of_id.is_(None), 1), else_=-1)
    counted = sa.select(sa.func.sum(Gift.donor_count * sign)).filter_by(campaign_id=campaign.id)
    return db.session.scalar(counted) or 0
