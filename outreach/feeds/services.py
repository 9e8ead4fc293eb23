"""Feeds are made, replaced and taken back by the person whose they are."""

import hashlib
import secrets

import sqlalchemy as sa

from outreach import audit, clock
from outreach.accounts.models import User
from outreach.db import db
from outreach.feeds.models import CalendarFeed


def create_feed(user: User) -> str:
    """The token of a new feed; the one before ends."""
    token = secrets.token_urlsafe(32)
    feed = CalendarFeed(user_id=user.id, token_hash=_hash(token), created_at=clock.now())
    db.session.merge(feed)
    audit.record("create.calendar_feed", f"user_account:{user.id}")
    return token


def revoke_feed(user: User) -> None:
    db.session.execute(sa.delete(CalendarFeed).filter_by(user_id=user.id))
    audit.record("revoke.calendar_feed", f"user_account:{user.id}")


def find_feed(user: User) -> CalendarFeed | None:
    return db.session.get(CalendarFeed, user.id)


def find_owner(token: str) -> User | None:
    """Of a feed that was not taken back; nobody who may not sign in any more."""
    feed = CalendarFeed.token_hash == _hash(token)
    return db.session.scalar(sa.select(User).join(CalendarFeed).where(feed, User.is_enabled))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
