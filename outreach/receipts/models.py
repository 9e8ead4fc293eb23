"""Donation receipts (公益事业捐赠票据): what a giver was certified to have given."""

from datetime import date, datetime

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import Mapped, mapped_column, relationship

from outreach.accounts.models import User
from outreach.db import Base, Fen, PrimaryKey
from outreach.gifts.models import Gift
from outreach.terms import Term


class ReceiptStatus(Term):
    REQUESTED = "requested", _("待开具")
    ISSUED = "issued", _("已开具")
    REVERSED = "reversed", _("已冲红")
    WITHDRAWN = "withdrawn", _("已撤回")


STANDING = (ReceiptStatus.REQUESTED, ReceiptStatus.ISSUED)
"""What counts against the gift."""


class DonationReceipt(Base):
    """A part of a gift, or all of it, certified to whoever gave it. The receipt itself is made in
    the system of the finance bureau; its code and number are kept here. One that was issued is
    never changed: it is reversed, and a new one is requested."""

    __tablename__ = "donation_receipt"
    __table_args__ = (
        sa.CheckConstraint("amount_fen > 0", "amount_positive"),
        sa.CheckConstraint(
            "(status IN ('issued', 'reversed')) = (number IS NOT NULL)", "issued_has_number"
        ),
        sa.CheckConstraint(
            "(number IS NULL) = (code IS NULL) AND (number IS NULL) = (issued_on IS NULL)",
            "number_has_code_and_day",
        ),
        sa.UniqueConstraint("code", "number"),
    )

    id: Mapped[PrimaryKey]
    gift_id: Mapped[int] = mapped_column(sa.ForeignKey("gift.id"), index=True)
    payer: Mapped[str] = mapped_column(sa.String(120))
    payer_code: Mapped[str] = mapped_column(sa.String(18), default="")
    """A unit's credit code; of a person nothing is kept but the name."""
    amount_fen: Mapped[Fen]
    remark: Mapped[str] = mapped_column(sa.String(200), default="")
    status: Mapped[ReceiptStatus] = mapped_column(default=ReceiptStatus.REQUESTED)
    requested_at: Mapped[datetime]
    requested_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))
    code: Mapped[str | None] = mapped_column(sa.String(20))
    number: Mapped[str | None] = mapped_column(sa.String(20))
    check_code: Mapped[str] = mapped_column(sa.String(20), default="")
    issued_on: Mapped[date | None]
    issued_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))
    ended_at: Mapped[datetime | None]
    """When it was reversed, or the request withdrawn."""
    ended_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))
    reason: Mapped[str] = mapped_column(sa.String(200), default="")
    reversal_number: Mapped[str] = mapped_column(sa.String(20), default="")
    """Of the red receipt that takes it back."""

    gift: Mapped[Gift] = relationship()
    requested_by: Mapped[User | None] = relationship(foreign_keys=requested_by_id)
    issued_by: Mapped[User | None] = relationship(foreign_keys=issued_by_id)
    ended_by: Mapped[User | None] = relationship(foreign_keys=ended_by_id)
