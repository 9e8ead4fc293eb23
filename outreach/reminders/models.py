"""The audience of a wave, as it was when the wave was submitted for approval, and the rules that
propose waves and to-dos."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import Mapped, mapped_column, relationship

from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, Solicitation
from outreach.db import Base, PrimaryKey
from outreach.messages.models import Channel, Template, WithheldReason
from outreach.terms import Term
from outreach.units.models import Contact


class WaveMember(Base):
    """A unit that the filter chose: it will be written to, or was left out for a reason."""

    __tablename__ = "wave_member"
    # A unit has one reader, but for one that was made of two since: each had its own.
    __table_args__ = (sa.UniqueConstraint("wave_id", "solicitation_id", "contact_id"),)

    id: Mapped[PrimaryKey]
    wave_id: Mapped[int] = mapped_column(sa.ForeignKey("wave.id"))
    solicitation_id: Mapped[int] = mapped_column(sa.ForeignKey("solicitation.id"))
    contact_id: Mapped[int | None] = mapped_column(sa.ForeignKey("contact.id"))
    channel: Mapped[Channel | None]
    address_hash: Mapped[str] = mapped_column(sa.String(64), default="")
    fallback_hash: Mapped[str] = mapped_column(sa.String(64), default="")
    """Hash of the address over the wave's other channel that was approved for the case that the
    first one fails for good."""
    withheld_reason: Mapped[WithheldReason | None]
    facts: Mapped[dict[str, Any]]

    solicitation: Mapped[Solicitation] = relationship()
    contact: Mapped[Contact | None] = relationship()


class RuleKind(Term):
    LAGGING_SECTOR = "lagging_sector", _("板块进度落后")
    SILENT = "silent", _("提醒后没有回音")
    PLEDGE_OVERDUE = "pledge_overdue", _("认捐逾期未到账")
    GIFT_RECEIVED = "gift_received", _("款项到账")
    BOUNCED = "bounced", _("联络员失联")
    RELAY = "relay", _("开始前核对联络信息")


class ReminderRule(Base):
    """When what is to be proposed. A rule begins switched off and can be tried on today's data."""

    __tablename__ = "reminder_rule"
    __table_args__ = (sa.UniqueConstraint("campaign_id", "kind"),)

    id: Mapped[PrimaryKey]
    campaign_id: Mapped[int] = mapped_column(sa.ForeignKey("campaign.id"))
    kind: Mapped[RuleKind]
    is_on: Mapped[bool] = mapped_column(default=False)
    settings: Mapped[dict[str, Any]]
    """The numbers in its sentence («points», «days», «workdays»): see `reminders.proposals`."""
    template_id: Mapped[int | None] = mapped_column(sa.ForeignKey("template.id"))
    author_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))
    """Who switched it on, and who is the author of the waves that it proposes."""
    tried_at: Mapped[datetime | None]
    """When its settings, as they are, were last tried on the day's data."""
    last_run_at: Mapped[datetime | None]
    last_result: Mapped[str] = mapped_column(sa.String(200), default="")
    """What the last run proposed, or why it held back, in words."""
    version: Mapped[int] = mapped_column()

    campaign: Mapped[Campaign] = relationship()
    template: Mapped[Template | None] = relationship()
    author: Mapped[User | None] = relationship()

    __mapper_args__ = {"version_id_col": version}
