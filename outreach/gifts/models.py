"""Promises and money. A gift is never edited or deleted: a reversal refers to it. Only the unit
that it is credited to may turn out to be another: see `services.credit_gift`."""

from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy import event
from sqlalchemy.orm import Mapped, mapped_column, relationship

from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, Sector, Solicitation
from outreach.db import Base, Fen, PrimaryKey
from outreach.terms import Term
from outreach.units.models import Unit


class GiftKind(Term):
    UNIT = "unit", _("单位捐款")
    INDIVIDUAL = "individual", _("个人捐款")


class GiftBasis(Term):
    INTO_ACCOUNT = "into_account", _("入账")
    OUTSIDE_ACCOUNT = "outside_account", _("未入账")


class GiftChannel(Term):
    TRANSFER = "transfer", _("转账")
    CASH = "cash", _("现金")
    BOX = "box", _("现场募捐箱")
    PLATFORM = "platform", _("网络平台")


class Pledge(Base):
    """What a unit has promised. A new promise replaces the one before, which is withdrawn."""

    __tablename__ = "pledge"
    __table_args__ = (sa.CheckConstraint("amount_fen > 0", "amount_positive"),)

    id: Mapped[PrimaryKey]
    solicitation_id: Mapped[int] = mapped_column(sa.ForeignKey("solicitation.id"), index=True)
    amount_fen: Mapped[Fen]
    """The sum of its instalments."""
    pledged_on: Mapped[date]
    note: Mapped[str] = mapped_column(sa.String(200), default="")
    recorded_at: Mapped[datetime]
    recorded_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))
    withdrawn_at: Mapped[datetime | None]

    solicitation: Mapped[Solicitation] = relationship()
    recorded_by: Mapped[User | None] = relationship()
    instalments: Mapped[list["Instalment"]] = relationship(
        order_by="Instalment.due_on", lazy="selectin"
    )

    @property
    def due_on(self) -> date:
        """By when all of it is to have arrived."""
        return self.instalments[-1].due_on


class Instalment(Base):
    """A part of a pledge and the day by which it is to arrive; most pledges have one. Gifts count
    against the instalments in order: one is due while less than `owed_fen` was given."""

    __tablename__ = "pledge_instalment"
    __table_args__ = (sa.CheckConstraint("amount_fen > 0", "amount_positive"),)

    pledge_id: Mapped[int] = mapped_column(sa.ForeignKey("pledge.id"), primary_key=True)
    due_on: Mapped[date] = mapped_column(primary_key=True)
    amount_fen: Mapped[Fen]
    owed_fen: Mapped[Fen]
    """With all instalments before it."""


class GroupKind(Term):
    REMITTANCE = "remittance", _("一笔款项分几部分")
    COUNT = "count", _("一批清点")


class GiftGroup(Base):
    """Gifts that were entered together and held against one figure: the parts of one payment,
    which make it up to the fen, or money that was counted, which may differ when a person says so.
    """

    __tablename__ = "gift_group"
    __table_args__ = (
        sa.UniqueConstraint("campaign_id", "key"),
        sa.CheckConstraint("stated_fen > 0 AND stated_count > 0", "stated_positive"),
    )

    id: Mapped[PrimaryKey]
    campaign_id: Mapped[int] = mapped_column(sa.ForeignKey("campaign.id"))
    kind: Mapped[GroupKind]
    key: Mapped[str] = mapped_column(sa.String(40))
    """Made with the form: the same form sent twice is one group."""
    stated_count: Mapped[int]
    stated_fen: Mapped[Fen]
    """What was counted, or what the bank shows, before the gifts were entered."""
    recorded_at: Mapped[datetime]
    recorded_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))

    recorded_by: Mapped[User | None] = relationship()
    gifts: Mapped[list["Gift"]] = relationship(order_by="Gift.id", viewonly=True)
    """With the reversals."""

    @property
    def parts(self) -> list["Gift"]:
        return [gift for gift in self.gifts if gift.reversal_of_id is None]

    @property
    def entered_fen(self) -> int:
        return sum(gift.amount_fen for gift in self.parts)

    @property
    def missing_count(self) -> int:
        return self.stated_count - len(self.parts)

    @property
    def missing_fen(self) -> int:
        """What was stated and not entered; negative when more was entered."""
        return self.stated_fen - self.entered_fen

    @property
    def reversed_ids(self) -> set[int | None]:
        return {gift.reversal_of_id for gift in self.gifts}

    @property
    def standing(self) -> list["Gift"]:
        """The parts that were not taken back."""
        return [gift for gift in self.parts if gift.id not in self.reversed_ids]


class Gift(Base):
    """Money received. It belongs to a unit, to a sector only, or is unallocated. What it is never
    changes; the sector that it is stamped with follows its unit within the campaign, by
    `sector_moves` only."""

    __tablename__ = "gift"
    __table_args__ = (
        sa.CheckConstraint(
            "(amount_fen > 0 AND reversal_of_id IS NULL)"
            " OR (amount_fen < 0 AND reversal_of_id IS NOT NULL)",
            "only_reversals_are_negative",
        ),
        sa.CheckConstraint("unit_id IS NULL OR sector_id IS NOT NULL", "unit_has_sector"),
        sa.CheckConstraint("donor_count >= 0", "donor_count_not_negative"),
        sa.UniqueConstraint("campaign_id", "line_key"),
        sa.Index("ix_gift_campaign_id_sector_id_unit_id", "campaign_id", "sector_id", "unit_id"),
    )

    id: Mapped[PrimaryKey]
    campaign_id: Mapped[int] = mapped_column(sa.ForeignKey("campaign.id"))
    unit_id: Mapped[int | None] = mapped_column(sa.ForeignKey("unit.id"), index=True)
    sector_id: Mapped[int | None] = mapped_column(sa.ForeignKey("sector.id"), index=True)
    amount_fen: Mapped[Fen]
    kind: Mapped[GiftKind]
    donor_count: Mapped[int] = mapped_column(default=0)
    basis: Mapped[GiftBasis] = mapped_column(default=GiftBasis.INTO_ACCOUNT)
    channel: Mapped[GiftChannel] = mapped_column(default=GiftChannel.TRANSFER)
    received_on: Mapped[date] = mapped_column(index=True)
    reference: Mapped[str] = mapped_column(sa.String(80), default="")
    note: Mapped[str] = mapped_column(sa.String(200), default="")
    designation: Mapped[str] = mapped_column(sa.String(120), default="", server_default="")
    """What the donor wants it to be used for; empty: what the federation decides."""
    may_publish: Mapped[bool] = mapped_column(default=False)
    """The donor agreed to be named on the honour roll."""
    reversal_of_id: Mapped[int | None] = mapped_column(sa.ForeignKey("gift.id"), unique=True)
    line_key: Mapped[str | None] = mapped_column(sa.String(80))
    """Key of the imported line, with its n-th occurrence: a re-import adds nothing."""
    import_batch_id: Mapped[int | None] = mapped_column(sa.ForeignKey("import_batch.id"))
    group_id: Mapped[int | None] = mapped_column(sa.ForeignKey("gift_group.id"), index=True)
    recorded_at: Mapped[datetime]
    recorded_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))

    campaign: Mapped[Campaign] = relationship()
    unit: Mapped[Unit | None] = relationship()
    sector: Mapped[Sector | None] = relationship()
    recorded_by: Mapped[User | None] = relationship()
    group: Mapped[GiftGroup | None] = relationship()

    @property
    def credited_to(self) -> str:
        """The unit's name, or the sector's, or that it is unallocated."""
        target = self.unit or self.sector
        return target.name if target else str(_("未分配"))


class LineStatus(Term):
    OPEN = "open", _("待认领")
    CLAIMED = "claimed", _("已认领")
    SET_ASIDE = "set_aside", _("与本活动无关")


class StatementLine(Base):
    """A line of a statement of which nobody knows yet whose gift it is. While it is open, the
    units whose gift it may be are not reminded."""

    __tablename__ = "statement_line"
    __table_args__ = (
        sa.UniqueConstraint("campaign_id", "line_key"),
        sa.CheckConstraint("amount_fen > 0", "amount_positive"),
        sa.CheckConstraint("(status = 'open') = (settled_at IS NULL)", "settled_has_moment"),
    )

    id: Mapped[PrimaryKey]
    campaign_id: Mapped[int] = mapped_column(sa.ForeignKey("campaign.id"))
    line_key: Mapped[str] = mapped_column(sa.String(80))
    """As that of `Gift`: a re-import adds nothing."""
    payer: Mapped[str] = mapped_column(sa.String(120))
    """As the bank printed it."""
    amount_fen: Mapped[Fen]
    received_on: Mapped[date]
    reference: Mapped[str] = mapped_column(sa.String(80), default="")
    note: Mapped[str] = mapped_column(sa.String(200), default="")
    status: Mapped[LineStatus] = mapped_column(default=LineStatus.OPEN)
    gift_id: Mapped[int | None] = mapped_column(sa.ForeignKey("gift.id"), unique=True)
    settled_at: Mapped[datetime | None]
    settled_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))

    candidates: Mapped[list["LineCandidate"]] = relationship(cascade="all, delete-orphan")


class LineCandidate(Base):
    """A unit whose gift an open line may be, and what speaks for it."""

    __tablename__ = "line_candidate"

    line_id: Mapped[int] = mapped_column(sa.ForeignKey("statement_line.id"), primary_key=True)
    solicitation_id: Mapped[int] = mapped_column(
        sa.ForeignKey("solicitation.id"), primary_key=True, index=True
    )
    because: Mapped[str] = mapped_column(sa.String(120))

    solicitation: Mapped[Solicitation] = relationship()


class Subject(Term):
    """What a published figure is about."""

    TOTAL = "total", _("募集总额")
    CHANGE = "change", _("比上年增减")
    SECTOR = "sector", _("板块金额")
    SECTOR_COUNT = "sector_count", _("板块数")
    UNIT_COUNT = "unit_count", _("捐款单位数")
    DONOR_COUNT = "donor_count", _("捐款人数")

    @property
    def is_money(self) -> bool:
        return self in {Subject.TOTAL, Subject.CHANGE, Subject.SECTOR}


class StatedFigure(Base):
    """A figure as it was published somewhere, to be held against the ledger."""

    __tablename__ = "stated_figure"
    __table_args__ = (
        sa.CheckConstraint("(subject = 'sector') = (sector_id IS NOT NULL)", "sector_is_named"),
    )

    id: Mapped[PrimaryKey]
    campaign_id: Mapped[int] = mapped_column(sa.ForeignKey("campaign.id"), index=True)
    subject: Mapped[Subject]
    sector_id: Mapped[int | None] = mapped_column(sa.ForeignKey("sector.id"))
    value: Mapped[int] = mapped_column(sa.BigInteger)
    """Fen, or a number of sectors, units or people."""
    source: Mapped[str] = mapped_column(sa.String(120))
    """Where it was published."""

    sector: Mapped[Sector | None] = relationship()


class Residual(Term):
    """What the ledger cannot explain by itself."""

    UNALLOCATED = "unallocated", _("未分配到板块的到账")
    OPEN_LINES = "open_lines", _("待认领的流水")
    WITHOUT_LINE = "without_line", _("没有流水可对的入账")
    COUNTED = "counted", _("清点与登记的差额")


class ResidualNote(Base):
    """Who looks after a residual, and what is known of it."""

    __tablename__ = "residual_note"

    campaign_id: Mapped[int] = mapped_column(sa.ForeignKey("campaign.id"), primary_key=True)
    residual: Mapped[Residual] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"))
    note: Mapped[str] = mapped_column(sa.String(200))
    amount_fen: Mapped[Fen]
    """What it came to when this was noted."""
    noted_at: Mapped[datetime]
    noted_by_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"))

    owner: Mapped[User] = relationship(foreign_keys=owner_id)


@event.listens_for(Gift, "before_update")
@event.listens_for(Gift, "before_delete")
def _refuse_change(_mapper: Any, _connection: sa.Connection, gift: Gift) -> None:
    raise RuntimeError(f"gift {gift.id} is immutable: record a reversal")
