"""The address under which a calendar program reads what a person has to do."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from outreach.accounts.models import User
from outreach.db import Base


class CalendarFeed(Base):
    """At most one a person. Whoever knows the address reads the calendar, so only its hash is kept
    and it is shown once."""

    __tablename__ = "calendar_feed"

    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"), primary_key=True)
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    created_at: Mapped[datetime]

    user: Mapped[User] = relationship()
