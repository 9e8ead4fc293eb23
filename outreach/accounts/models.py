"""People who sign in, their sessions and the sectors that a liaison may see."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from outreach.access import Role
from outreach.db import Base, PrimaryKey


class User(Base):
    __tablename__ = "user_account"

    id: Mapped[PrimaryKey]
    username: Mapped[str] = mapped_column(sa.String(60), unique=True)
    name: Mapped[str] = mapped_column(sa.String(60))
    email: Mapped[str] = mapped_column(sa.String(254), default="")
    mobile: Mapped[str] = mapped_column(sa.String(20), default="")
    role: Mapped[Role]
    password_hash: Mapped[str] = mapped_column(sa.String(200), default="")
    """argon2id; empty until the person has accepted the invitation."""
    invitation_hash: Mapped[str | None] = mapped_column(sa.String(64), unique=True)
    invitation_expires_at: Mapped[datetime | None]
    is_enabled: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]
    version: Mapped[int] = mapped_column()

    sectors: Mapped[list["UserSector"]] = relationship(cascade="all, delete-orphan")

    __mapper_args__ = {"version_id_col": version}

    # What flask-login asks of a user.
    is_authenticated = True
    is_anonymous = False

    @property
    def is_active(self) -> bool:
        return self.is_enabled


class UserSector(Base):
    """A sector that a liaison serves; other roles see every sector."""

    __tablename__ = "user_sector"

    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"), primary_key=True)
    sector_id: Mapped[int] = mapped_column(sa.ForeignKey("sector.id"), primary_key=True)


class LoginSession(Base):
    """A signed-in browser. It lives here and not in the cookie, so that it can be ended."""

    __tablename__ = "login_session"

    id: Mapped[PrimaryKey]
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user_account.id"), index=True)
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    address: Mapped[str] = mapped_column(sa.String(45))
    user_agent: Mapped[str] = mapped_column(sa.String(200))

    user: Mapped[User] = relationship()


class SignInAttempt(Base):
    """A sign-in that failed, or that is being checked now; kept for a quarter of an hour."""

    __tablename__ = "sign_in_attempt"

    id: Mapped[PrimaryKey]
    account_hash: Mapped[str] = mapped_column(sa.String(64), index=True)
    address: Mapped[str] = mapped_column(sa.String(45), index=True)
    at: Mapped[datetime]
