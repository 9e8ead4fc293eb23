"""Promises and money. A gift is never edited or deleted: a reversal refers to it. Only the unit
that it is credited to may turn out to be another: see `services.credit_gift`."""

from collections.abc import Iterable, Sequence
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
    changes, which the database sees to (migration 0024); the sector that it is stamped with follows
    its unit within the campaign, by `sector_moves` only."""

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


def name_credited(gifts: Iterable[Gift]) -> str:
    """Whose they are, each once."""
    return "、".join(dict.fromkeys(gift.credited_to for gift in gifts))


class LineStatus(Term):
    OPEN = "open", _("待认领")
    CLAIMED = "claimed", _("已认领")
    SET_ASIDE = "set_aside", _("与本活动无关")


class Source(Term):
    """Where a statement comes from."""

    BANK = "bank", _("银行")
    WECHAT = "wechat", _("微信支付")
    ALIPAY = "alipay", _("支付宝")

    @property
    def channel(self) -> GiftChannel:
        return GiftChannel.TRANSFER if self is Source.BANK else GiftChannel.PLATFORM


class Statement(Base):
    """A statement that was taken in. Each payment it shows has a line: one of its own, or one
    that an earlier statement brought."""

    __tablename__ = "statement"
    __table_args__ = (
        sa.UniqueConstraint("campaign_id", "sha256"),
        sa.CheckConstraint("first_on <= last_on", "period_in_order"),
    )

    id: Mapped[PrimaryKey]
    campaign_id: Mapped[int] = mapped_column(sa.ForeignKey("campaign.id"))
    file_name: Mapped[str] = mapped_column(sa.String(200))
    sha256: Mapped[str] = mapped_column(sa.String(64))
    source: Mapped[Source]
    account_tail: Mapped[str] = mapped_column(sa.String(4), default="")
    """Of our own account, as far as the file says."""
    first_on: Mapped[date | None]
    last_on: Mapped[date | None]
    """Days of the first and the last row; None when the file only brings refunds."""
    credit_count: Mapped[int]
    credit_fen: Mapped[Fen]
    """All that came in, known or new."""
    known_count: Mapped[int]
    known_fen: Mapped[Fen]
    """Of that, what earlier statements had shown."""
    debit_count: Mapped[int]
    debit_fen: Mapped[Fen]
    """What went out, refunds too: never a gift."""
    changed: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    """Of each line that was there before, by its id: the columns that it changed, each with the old
    and the new value."""
    imported_at: Mapped[datetime]
    imported_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))

    imported_by: Mapped[User | None] = relationship()


class StatementLine(Base):
    """A payment that came in. While it is open, nobody knows whose gift it is, and the units whose
    it may be are not reminded."""

    __tablename__ = "statement_line"
    __table_args__ = (
        sa.UniqueConstraint("campaign_id", "line_key"),
        sa.CheckConstraint("amount_fen > 0", "amount_positive"),
        sa.CheckConstraint("(status = 'open') = (settled_at IS NULL)", "settled_has_moment"),
        sa.CheckConstraint("refunded_fen BETWEEN 0 AND amount_fen", "refund_within_amount"),
        sa.Index("ix_statement_line_campaign_id_status", "campaign_id", "status"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[PrimaryKey]
    campaign_id: Mapped[int] = mapped_column(sa.ForeignKey("campaign.id"))
    line_key: Mapped[str] = mapped_column(sa.String(80))
    """As that of `Gift`: a re-import adds nothing."""
    statement_id: Mapped[int | None] = mapped_column(sa.ForeignKey("statement.id"), index=True)
    """The first one that shows it; None when it was noted by hand or comes from a list of gifts."""
    payer: Mapped[str] = mapped_column(sa.String(120))
    """As the bank printed it."""
    account_tail: Mapped[str] = mapped_column(sa.String(4), default="")
    """The last characters of the payer's account; the rest is not kept."""
    amount_fen: Mapped[Fen]
    refunded_fen: Mapped[Fen] = mapped_column(default=0)
    """What other rows of statements say went back to the payer."""
    refunds: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """The same, each refund by its key: a re-import adds nothing."""
    received_on: Mapped[date]
    serial: Mapped[str] = mapped_column(sa.String(80), default="")
    """The bank's own number of the payment."""
    reference: Mapped[str] = mapped_column(sa.String(80), default="")
    """Another number: of the voucher, or our own of the order."""
    summary: Mapped[str] = mapped_column(sa.String(200), default="")
    """What the statement says of its purpose."""
    note: Mapped[str] = mapped_column(sa.String(200), default="")
    status: Mapped[LineStatus] = mapped_column(default=LineStatus.OPEN)
    set_aside_because: Mapped[str] = mapped_column(sa.String(200), default="")
    settled_at: Mapped[datetime | None]
    settled_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))
    reopened_count: Mapped[int] = mapped_column(default=0)
    is_clear: Mapped[bool] = mapped_column(default=False)
    """One proposal is far ahead of the others: the likely gifts, or else the first candidate."""

    statement: Mapped[Statement | None] = relationship()
    gifts: Mapped[list[Gift]] = relationship(secondary="line_gift", order_by=Gift.id, viewonly=True)
    """What it was claimed as: one gift, or the parts of the payment."""
    likely_gifts: Mapped[list[Gift]] = relationship(
        secondary="likely_gift", order_by=Gift.id, viewonly=True
    )
    """Gifts in the ledger that the open line may be, so that no second ones are made of it."""
    settled_by: Mapped[User | None] = relationship()
    candidates: Mapped[list["LineCandidate"]] = relationship(
        cascade="all, delete-orphan", order_by="LineCandidate.score.desc()"
    )

    @property
    def net_fen(self) -> int:
        """What stayed with us: what its gifts amount to."""
        return self.amount_fen - self.refunded_fen

    @property
    def credited_to(self) -> str:
        return name_credited(self.gifts)

    @property
    def likely_for(self) -> str:
        return name_credited(self.likely_gifts)

    @property
    def channel(self) -> GiftChannel:
        return self.statement.source.channel if self.statement else GiftChannel.TRANSFER

    @property
    def gift_key(self) -> str:
        """The key of the gift that is made of it, another one each time that it is claimed."""
        return f"{self.line_key}~{self.reopened_count}" if self.reopened_count else self.line_key


class LineGift(Base):
    """A gift that a claimed line shows; each gift answers for one line only."""

    __tablename__ = "line_gift"

    gift_id: Mapped[int] = mapped_column(sa.ForeignKey("gift.id"), primary_key=True)
    line_id: Mapped[int] = mapped_column(sa.ForeignKey("statement_line.id"), index=True)
    is_made_here: Mapped[bool]
    """It was made of the line, and is reversed when the claim is taken back."""


class LikelyGift(Base):
    """A gift that an open line may be; with the others of the line, when they are parts of it. It
    goes when the line is settled."""

    __tablename__ = "likely_gift"

    line_id: Mapped[int] = mapped_column(sa.ForeignKey("statement_line.id"), primary_key=True)
    gift_id: Mapped[int] = mapped_column(sa.ForeignKey("gift.id"), primary_key=True, index=True)


class ColumnChoice(Base):
    """What a person has said of the columns of a statement. It holds for every file, of any
    campaign, that has the same titles."""

    __tablename__ = "column_choice"

    id: Mapped[PrimaryKey]
    fingerprint: Mapped[str] = mapped_column(sa.String(64), unique=True)
    """Of the titles: see `column_choices.Heading`."""
    fields: Mapped[dict[str, Any]]
    """By the title as it is compared; what has none is left out."""
    file_name: Mapped[str] = mapped_column(sa.String(200))
    """The file with which it was said."""
    chosen_at: Mapped[datetime]
    chosen_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))

    chosen_by: Mapped[User | None] = relationship()


class Evidence(Term):
    """What speaks for a unit; the sentence names what was found."""

    NUMBER = "number", _("流水号与账上的一笔相同")
    RECORDED = "recorded", _("账上已有同日前后、同额的一笔")
    OTHER_AMOUNT = "other_amount", _("流水号与账上的一笔相同，但金额不同")
    UNANSWERED = "unanswered", _("账上有它同日前后的到账，没有流水对得上，可能就是这一笔")
    CODE = "code", _("附言里有它的信用代码")
    NAME = "name", _("付款人就是“%(name)s”")
    SHARED_NAME = "shared_name", _("付款人“%(name)s”可能是几个单位")
    LEARNED = "learned", _("“%(name)s”曾替它付款")
    SHARED_PAYER = "shared_payer", _("“%(name)s”替几个单位付过款")
    IN_TEXT = "in_text", _("附言里写着“%(name)s”")
    IN_PAYER = "in_payer", _("付款人名称里有“%(name)s”")
    ALIKE = "alike", _("付款人与“%(name)s”相近")
    PLEDGE = "pledge", _("认捐金额与这一笔相同")
    LAST_YEAR = "last_year", _("上年捐款金额与这一笔相同")
    NOTED = "noted", "%(name)s"


class LineCandidate(Base):
    """A unit whose gift an open line may be, and what speaks for it. It goes when the line is
    settled: the send gate asks for it with each reminder."""

    __tablename__ = "line_candidate"

    line_id: Mapped[int] = mapped_column(sa.ForeignKey("statement_line.id"), primary_key=True)
    solicitation_id: Mapped[int] = mapped_column(
        sa.ForeignKey("solicitation.id"), primary_key=True, index=True
    )
    score: Mapped[int] = mapped_column(default=0)
    """From 0 to 100."""
    reasons: Mapped[list[Any]]
    """Pairs of an `Evidence` and what was found, the strongest first."""

    solicitation: Mapped[Solicitation] = relationship()

    @property
    def because(self) -> str:
        """The reasons in the reader's language."""
        return describe_reasons(self.reasons)


def describe_reasons(reasons: Iterable[Sequence[str]]) -> str:
    told = (str(_evidence(code).label) % {"name": name} for code, name in reasons)
    return str(_("；")).join(told)


def _evidence(code: str) -> Evidence:
    return next(member for member in Evidence if member.value == code)


class PayerAlias(Base):
    """Somebody who pays for a unit, as a person has once confirmed. Who pays for several units is
    ambiguous, and only proposed."""

    __tablename__ = "payer_alias"
    __table_args__ = (sa.UniqueConstraint("payer_key", "unit_id"),)

    id: Mapped[PrimaryKey]
    payer_key: Mapped[str] = mapped_column(sa.String(120))
    """The name as it is compared: see `naming.name_key`."""
    payer: Mapped[str] = mapped_column(sa.String(120))
    unit_id: Mapped[int] = mapped_column(sa.ForeignKey("unit.id"), index=True)
    line_id: Mapped[int | None] = mapped_column(sa.ForeignKey("statement_line.id"), index=True)
    """The line from which it was learned; when that claim is undone it is forgotten."""
    learned_at: Mapped[datetime]
    learned_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))

    unit: Mapped[Unit] = relationship()
    learned_by: Mapped[User | None] = relationship()


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
