"""What units confirm about themselves before a campaign begins."""

from datetime import datetime

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import Mapped, mapped_column, relationship

from outreach.accounts.models import User
from outreach.campaigns.models import Solicitation
from outreach.db import Base
from outreach.terms import Term


class RelayState(Term):
    """How far the relay has come with a unit."""

    ANSWERED = "answered", _("已核对")
    WAITING = "waiting", _("已发信，未答复")
    UNREACHED = "unreached", _("没有送到")
    NOT_SENT = "not_sent", _("尚未发信")


class RelayAnswer(Base):
    """That a unit has said who answers for it this year; of several answers the last one. People
    are kept as contacts and numbers as head-counts: here is what belongs to the campaign alone."""

    __tablename__ = "relay_answer"
    __table_args__ = (sa.CheckConstraint("payroll_month BETWEEN 1 AND 12", "payroll_month"),)

    solicitation_id: Mapped[int] = mapped_column(sa.ForeignKey("solicitation.id"), primary_key=True)
    answered_at: Mapped[datetime]
    by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))
    """Who asked on the telephone; None: the unit answered through its link."""
    has_successor: Mapped[bool] = mapped_column(default=False)
    """Somebody else has taken over as coordinator."""
    payroll_month: Mapped[int | None]
    """In which its people give through their pay; None: otherwise, or not yet known."""
    note: Mapped[str] = mapped_column(sa.String(500), default="")

    solicitation: Mapped[Solicitation] = relationship()
    by: Mapped[User | None] = relationship()
