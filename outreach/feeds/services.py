"""Feeds are made, replaced and taken back by the person whose they are."""

import sqlalchemy as sa

from outreach import audit, clock
from outreach.access import OFFICE
from outreach.accounts.models import User
from outreach.accounts.tokens import hash_token, make_token
from outreach.db import db
from outreach.feeds.models import CalendarFeed


def create_feed(user: User) -> str:
    """The token of a new feed; the one before ends."""
    token = make_token()
    feed = CalendarFeed(user_id=user.id, token_hash=hash_token(token), created_at=clock.now())
    db.session.merge(feed)
    audit.record("create.calendar_feed", f"user_account:{user.id}")
    return token


def revoke_feed(user: User) -> None:
    db.session.execute(sa.delete(CalendarFeed).filter_by(user_id=user.id))
    audit.record("revoke.calendar_feed", f"user_account:{user.id}")


def find_feed(user: User) -> CalendarFeed | None:
    return db.session.get(CalendarFeed, user.id)


def find_owner(token: str) -> User | None:
    """Of a feed that was not taken back; nobody who has left the office."""
    return db.session.scalar(
        sa.select(User)
        .join(CalendarFeed)
        .where(
            CalendarFeed.token_hash == hash_token(token),
            User.is_enabled,
            User.role.in_(OFFICE),
        )
    )
