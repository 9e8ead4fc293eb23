"""Visits: proposed by the planner or planned by a person, then logged with an outcome."""

from datetime import date, datetime, time

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import Mapped, mapped_column, relationship

from outreach.accounts.models import User
from outreach.campaigns.models import Solicitation
from outreach.db import Base, PrimaryKey
from outreach.terms import Term
from outreach.workdays import Half


class VisitStatus(Term):
    PROPOSED = "proposed", _("待确认")
    PLANNED = "planned", _("已安排")
    LOGGED = "logged", _("已走访")
    DROPPED = "dropped", _("已取消")


OPEN = (VisitStatus.PROPOSED, VisitStatus.PLANNED)
"""Still to be made; such a visit takes room in its visitor's day."""


class VisitOutcome(Term):
    PLEDGED = "pledged", _("同意认捐")
    WILL_DISCUSS = "will_discuss", _("需研究后答复")
    COME_AGAIN = "come_again", _("请再次走访")
    NOT_IN = "not_in", _("未见到负责人")
    DECLINED = "declined", _("婉拒")


class Means(Term):
    """What may be tried with a unit, the cheapest first."""

    MESSAGE = "message", _("发消息")
    CALL = "call", _("打电话")
    VISIT = "visit", _("上门走访")
    LEADER = "leader", _("与分管领导沟通")


class AbsenceKind(Term):
    LEAVE = "leave", _("请假、出差（全天）")
    MEETING = "meeting", _("会议、培训（半天）")
    MORNING = "morning", _("会议、培训（上午）")
    AFTERNOON = "afternoon", _("会议、培训（下午）")

    @property
    def half(self) -> Half | None:
        """The half of the day that it takes; None where that is not known, or both."""
        halves = {AbsenceKind.MORNING: Half.MORNING, AbsenceKind.AFTERNOON: Half.AFTERNOON}
        return halves.get(self)


class StaffRoom(Base):
    """How many visits a person has room for on a day of the week, where it is not what the
    campaign says of everybody."""

    __tablename__ = "staff_room"
    __table_args__ = (
        sa.CheckConstraint("weekday BETWEEN 0 AND 6", "weekday"),
        sa.CheckConstraint("visits BETWEEN 0 AND 20", "visits"),
    )

    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"), primary_key=True)
    weekday: Mapped[int] = mapped_column(primary_key=True)
    """Monday is 0."""
    visits: Mapped[int]


class Absence(Base):
    """Days on which a person makes no visits, or half as many."""

    __tablename__ = "absence"
    __table_args__ = (sa.CheckConstraint("last_on >= first_on", "period"),)

    id: Mapped[PrimaryKey]
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"), index=True)
    kind: Mapped[AbsenceKind]
    first_on: Mapped[date]
    last_on: Mapped[date]
    note: Mapped[str] = mapped_column(sa.String(60), default="")


class Visit(Base):
    __tablename__ = "visit"
    __table_args__ = (
        sa.CheckConstraint("(status = 'logged') = (outcome IS NOT NULL)", "logged_has_outcome"),
        sa.Index("ix_visit_visitor_id_planned_on", "visitor_id", "planned_on"),
        sa.Index("ix_visit_planned_on", "planned_on"),
        # A unit never waits for two visits at once, whoever plans them.
        sa.Index(
            "uq_visit_open_solicitation_id",
            "solicitation_id",
            unique=True,
            sqlite_where=sa.text("status IN ('proposed', 'planned')"),
            postgresql_where=sa.text("status IN ('proposed', 'planned')"),
        ),
    )

    id: Mapped[PrimaryKey]
    solicitation_id: Mapped[int] = mapped_column(sa.ForeignKey("solicitation.id"), index=True)
    visitor_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))
    status: Mapped[VisitStatus]
    planned_on: Mapped[date]
    """The day of the visit: as planned, and once it is logged as it was."""
    planned_time: Mapped[time | None]
    """Wall clock in Asia/Shanghai; empty: any time of the day."""
    position: Mapped[int | None]
    """Place in the visitor's day, as somebody laid it down; see `day_order`."""
    reason: Mapped[str] = mapped_column(sa.String(200), default="")
    """Why it was proposed, in words that its visitor reads."""
    alternative: Mapped[Means | None]
    """What else may be tried, as the planner of the week says."""
    parent_id: Mapped[int | None] = mapped_column(sa.ForeignKey("visit.id"), index=True)
    """The visit with which this one is made, such as that to the unit in charge: both move. Once
    that one is made or dropped it means nothing."""
    proposal_key: Mapped[str | None] = mapped_column(sa.String(80), unique=True)
    """What it was proposed for («visit:5», or «message:17:4» for the solicitation 4 of a message):
    the planner proposes nothing twice."""
    client_key: Mapped[str | None] = mapped_column(sa.String(36), unique=True)
    """Made by the browser that logged it: the same log sent twice is one visit."""
    outcome: Mapped[VisitOutcome | None]
    note: Mapped[str] = mapped_column(sa.String(1000), default="")
    """What was said; of a visit that was dropped, why."""
    next_on: Mapped[date | None]
    """When the unit asked to be visited again."""
    logged_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    version: Mapped[int] = mapped_column()

    solicitation: Mapped[Solicitation] = relationship()
    visitor: Mapped[User | None] = relationship()
    parent: Mapped["Visit | None"] = relationship(remote_side="Visit.id")
    photos: Mapped[list["VisitPhoto"]] = relationship(order_by="VisitPhoto.id", viewonly=True)

    __mapper_args__ = {"version_id_col": version}

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def goes_with(self) -> "Visit | None":
        """The visit with which this one is still to be made."""
        return self.parent if self.parent is not None and self.parent.is_open else None

    def is_overdue(self, today: date) -> bool:
        return self.is_open and self.planned_on < today


class VisitPhoto(Base):
    """A photo that was brought home; its file is named in `photos.path_of`."""

    __tablename__ = "visit_photo"
    __table_args__ = (sa.UniqueConstraint("visit_id", "sha256"),)

    id: Mapped[PrimaryKey]
    visit_id: Mapped[int] = mapped_column(sa.ForeignKey("visit.id"))
    name: Mapped[str] = mapped_column(sa.String(40), unique=True)
    """Of its file, by chance: it says nothing and cannot be guessed."""
    byte_count: Mapped[int]
    sha256: Mapped[str] = mapped_column(sa.String(64))
    width: Mapped[int]
    height: Mapped[int]
    made_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))
    created_at: Mapped[datetime]

    visit: Mapped[Visit] = relationship(viewonly=True)
