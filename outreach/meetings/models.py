"""Coordination meetings, in the terms of RFC 5545: organizer, attendee, partstat, uid, sequence."""

from datetime import date, datetime

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import Mapped, mapped_column, relationship

from outreach import clock
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign
from outreach.db import Base, PrimaryKey
from outreach.terms import Term
from outreach.units.models import Contact, Unit


class MeetingStatus(Term):
    PLANNED = "planned", _("待召开")
    HELD = "held", _("已召开")
    CANCELLED = "cancelled", _("已取消")


class PartStat(Term):
    NEEDS_ACTION = "needs-action", _("未回复")
    ACCEPTED = "accepted", _("参加")
    DECLINED = "declined", _("不参加")
    TENTATIVE = "tentative", _("待定")
    DELEGATED = "delegated", _("委托他人")


COMING = (PartStat.ACCEPTED, PartStat.DELEGATED)
"""Somebody will be there."""


class Meeting(Base):
    __tablename__ = "meeting"
    __table_args__ = (sa.CheckConstraint("ends_at > starts_at", "period"),)

    id: Mapped[PrimaryKey]
    campaign_id: Mapped[int] = mapped_column(sa.ForeignKey("campaign.id"), index=True)
    uid: Mapped[str] = mapped_column(sa.String(80), unique=True)
    sequence: Mapped[int] = mapped_column(default=0)
    """Raised by every change that attendees must learn of (RFC 5545, 3.8.7.4)."""
    moved_sequence: Mapped[int] = mapped_column(default=0)
    """SEQUENCE of the last change of time: an answer to an earlier one is about another hour."""
    title: Mapped[str] = mapped_column(sa.String(120))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    place: Mapped[str] = mapped_column(sa.String(120), default="")
    agenda: Mapped[str] = mapped_column(sa.Text, default="")
    minutes: Mapped[str] = mapped_column(sa.Text, default="")
    decisions: Mapped[str] = mapped_column(sa.Text, default="")
    circulated_at: Mapped[datetime | None]
    """When its minutes were last sent to those on the list."""
    circulated_version: Mapped[str] = mapped_column(sa.String(16), default="")
    """What they said then: see `circulation.version`."""
    cancel_reason: Mapped[str] = mapped_column(sa.String(200), default="")
    status: Mapped[MeetingStatus] = mapped_column(default=MeetingStatus.PLANNED)
    organizer_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"))
    created_at: Mapped[datetime]
    version: Mapped[int] = mapped_column()

    campaign: Mapped[Campaign] = relationship()
    organizer: Mapped[User] = relationship()
    attendees: Mapped[list["Attendee"]] = relationship(
        back_populates="meeting", cascade="all, delete-orphan", order_by="Attendee.id"
    )
    action_items: Mapped[list["ActionItem"]] = relationship(
        back_populates="meeting", order_by="ActionItem.id"
    )

    __mapper_args__ = {"version_id_col": version}

    @property
    def spokesperson(self) -> User | None:
        """Whom those who were invited may ask: the organizer. None when they have left the office:
        what is sent then names the federation alone, and answers go where it comes from."""
        return self.organizer if self.organizer.is_enabled else None

    @property
    def is_open(self) -> bool:
        """Invitations, changes and cancellation still make sense."""
        return self.status is MeetingStatus.PLANNED and self.starts_at > clock.now()

    @property
    def is_due(self) -> bool:
        """Its day has come: people may sign in, and minutes may be written."""
        has_come = clock.day_of(self.starts_at) <= clock.today()
        return self.status is not MeetingStatus.CANCELLED and has_come


class Attendee(Base):
    """A contact of a unit or a member of staff, invited to a meeting."""

    __tablename__ = "attendee"
    __table_args__ = (
        sa.UniqueConstraint("meeting_id", "contact_id"),
        sa.UniqueConstraint("meeting_id", "user_id"),
        sa.CheckConstraint("(contact_id IS NULL) <> (user_id IS NULL)", "contact_or_user"),
    )

    id: Mapped[PrimaryKey]
    meeting_id: Mapped[int] = mapped_column(sa.ForeignKey("meeting.id"), index=True)
    contact_id: Mapped[int | None] = mapped_column(sa.ForeignKey("contact.id"))
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))
    partstat: Mapped[PartStat] = mapped_column(default=PartStat.NEEDS_ACTION)
    delegate_name: Mapped[str] = mapped_column(sa.String(60), default="")
    """Who comes instead, as far as it was said."""
    answered_at: Mapped[datetime | None]
    """When the answer was given (DTSTAMP of a reply by mail): one from before it is late."""
    invited_sequence: Mapped[int | None]
    """SEQUENCE of the last invitation that was queued to this attendee; None: not invited yet."""
    signed_in_at: Mapped[datetime | None]

    meeting: Mapped[Meeting] = relationship(back_populates="attendees")
    contact: Mapped[Contact | None] = relationship()
    user: Mapped[User | None] = relationship()

    @property
    def person(self) -> Contact | User:
        person = self.contact or self.user
        assert person is not None
        return person

    @property
    def has_left(self) -> bool:
        """A member of staff whose account is closed. Of contacts the send gate knows it."""
        return self.user is not None and not self.user.is_active

    @property
    def mailbox(self) -> str:
        """The address that is written to; empty when there is none."""
        return "" if self.has_left else self.person.email


class ActionItem(Base):
    __tablename__ = "action_item"

    id: Mapped[PrimaryKey]
    meeting_id: Mapped[int] = mapped_column(sa.ForeignKey("meeting.id"), index=True)
    unit_id: Mapped[int | None] = mapped_column(sa.ForeignKey("unit.id"))
    owner_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"), index=True)
    text: Mapped[str] = mapped_column(sa.String(200))
    due_on: Mapped[date]
    completed_at: Mapped[datetime | None]

    meeting: Mapped[Meeting] = relationship(back_populates="action_items")
    unit: Mapped[Unit | None] = relationship()
    owner: Mapped[User] = relationship()

    @property
    def is_overdue(self) -> bool:
        return self.completed_at is None and self.due_on < clock.today()
