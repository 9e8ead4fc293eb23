"""What a person has to do next about a unit, short of a visit: a call, a new contact, a word from
a superior. Proposed by rules; never done by the machine."""

from datetime import date, datetime
from typing import Final, Literal

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import Mapped, mapped_column, relationship

from outreach.accounts.models import User
from outreach.campaigns.models import Solicitation
from outreach.db import Base, PrimaryKey
from outreach.terms import Term
from outreach.units.models import Contact


class TodoKind(Term):
    FIND_CONTACT = "find_contact", _("找到新的联络员")
    CONFIRM = "confirm", _("电话核对联络信息")
    REPLY = "reply", _("处理短信回复")
    CALL = "call", _("打电话给联络员")
    LEADER = "leader", _("与分管领导沟通")
    PRESIDENT = "president", _("请会长对接")


Step = TodoKind | Literal["visit"]
ABOUT_PEOPLE: Final = (TodoKind.FIND_CONTACT, TodoKind.CONFIRM)
"""They are about who answers for a unit, whatever it gives; they stay open until that is known."""
VISIT: Final = "visit"
"""The step that is no to-do: `visits.planning` proposes it."""
LADDER: Final[tuple[Step, ...]] = (TodoKind.CALL, VISIT, TodoKind.LEADER, TodoKind.PRESIDENT)
"""Each step is for a person to take, after the one before it led nowhere."""


def step_after(step: Step) -> Step | None:
    """What is tried after `step` led nowhere; None after the last one."""
    place = LADDER.index(step) + 1
    return LADDER[place] if place < len(LADDER) else None


class TodoStatus(Term):
    OPEN = "open", _("待办")
    DONE = "done", _("已办")
    DROPPED = "dropped", _("不必办")


class TodoOutcome(Term):
    SETTLED = "settled", _("有了答复")
    NO_ANSWER = "no_answer", _("没有答复")


LONGEST_REASON = 500
_WAITS_ONCE = "status = 'open' AND kind <> 'reply'"


class Todo(Base):
    __tablename__ = "todo"
    __table_args__ = (
        sa.CheckConstraint("(status = 'done') = (outcome IS NOT NULL)", "done_has_outcome"),
        sa.CheckConstraint("(status = 'open') = (settled_at IS NULL)", "settled_has_moment"),
        sa.Index("ix_todo_owner_id_status", "owner_id", "status"),
        sa.Index("uq_todo_client_key", "client_key", unique=True),
        # A unit never waits for the same thing twice; but each reply has words of its own.
        sa.Index(
            "uq_todo_open_solicitation_id_kind",
            "solicitation_id",
            "kind",
            unique=True,
            sqlite_where=sa.text(_WAITS_ONCE),
            postgresql_where=sa.text(_WAITS_ONCE),
        ),
    )

    id: Mapped[PrimaryKey]
    solicitation_id: Mapped[int] = mapped_column(sa.ForeignKey("solicitation.id"), index=True)
    contact_id: Mapped[int | None] = mapped_column(sa.ForeignKey("contact.id"))
    kind: Mapped[TodoKind]
    status: Mapped[TodoStatus] = mapped_column(default=TodoStatus.OPEN)
    owner_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))
    due_on: Mapped[date]
    reason: Mapped[str] = mapped_column(sa.String(LONGEST_REASON), default="")
    """Why it was proposed, in words that its owner reads."""
    proposal_key: Mapped[str | None] = mapped_column(sa.String(80), unique=True)
    """What it was proposed for («message:17:4»): nothing is proposed twice."""
    client_key: Mapped[str | None] = mapped_column(sa.String(36))
    """Made by the browser that settled it: the same log sent twice is one."""
    outcome: Mapped[TodoOutcome | None]
    note: Mapped[str] = mapped_column(sa.String(500), default="")
    created_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]
    settled_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))
    version: Mapped[int] = mapped_column()

    solicitation: Mapped[Solicitation] = relationship()
    contact: Mapped[Contact | None] = relationship()
    owner: Mapped[User | None] = relationship(foreign_keys=[owner_id])
    settled_by: Mapped[User | None] = relationship(foreign_keys=[settled_by_id])
    """Nobody: it settled itself."""

    __mapper_args__ = {"version_id_col": version}

    @property
    def is_open(self) -> bool:
        return self.status is TodoStatus.OPEN

    def is_resting(self, today: date) -> bool:
        """The unit is left in peace today, and so is who would have to do it. What it says itself
        is read all the same."""
        if self.kind is TodoKind.REPLY:
            return False
        until = self.solicitation.snoozed_until
        return self.is_open and until is not None and today <= until

    def is_overdue(self, today: date) -> bool:
        return self.is_open and self.due_on < today and not self.is_resting(today)
