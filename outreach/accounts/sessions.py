"""Signing in: a session lives on the server, so that it can be ended there at any time."""

import hashlib
import secrets
from datetime import timedelta

import sqlalchemy as sa
from flask import Flask, g, request, session
from flask_login import LoginManager

from outreach import clock
from outreach.accounts.models import LoginSession, User
from outreach.db import db

LONGEST = timedelta(hours=12)
IDLE = timedelta(minutes=30)
SEEN_EVERY = timedelta(minutes=1)
"""How often «last seen» is written, so that not every page writes."""

login_manager = LoginManager()


def install(app: Flask) -> None:
    login_manager.init_app(app)
    login_manager.request_loader(lambda _request: _load_user())


def start_session(user: User) -> None:
    """Signs the person in on this browser; whatever the browser's session held before is gone."""
    token = secrets.token_urlsafe(32)
    language = session.get("language")
    session.clear()
    session["login"] = token
    if language:
        session["language"] = language
    now = clock.now()
    db.session.add(
        LoginSession(
            token_hash=_hash(token),
            user_id=user.id,
            created_at=now,
            last_seen_at=now,
            expires_at=now + LONGEST,
            address=request.remote_addr or "",
            user_agent=request.user_agent.string[:200],
        )
    )


def end_session() -> None:
    db.session.execute(
        sa.delete(LoginSession).where(LoginSession.token_hash == _hash(session.get("login", "")))
    )
    session.clear()


def end_all_sessions(user: User) -> None:
    """After a change of password or role, and when the account is disabled."""
    db.session.execute(sa.delete(LoginSession).where(LoginSession.user_id == user.id))


def _load_user() -> User | None:
    token = session.get("login")
    if not token:
        return None
    now = clock.now()
    row = db.session.execute(
        sa.select(LoginSession, User)
        .join(User, User.id == LoginSession.user_id)
        .where(
            LoginSession.token_hash == _hash(token),
            LoginSession.expires_at > now,
            LoginSession.last_seen_at > now - IDLE,
            User.is_enabled,
        )
    ).one_or_none()
    if row is None:
        return None
    login, user = row
    if login.last_seen_at < now - SEEN_EVERY:
        _mark_seen(login.id)
    g.login_session_id = login.id
    return user


def _mark_seen(login_id: int) -> None:
    """In a transaction of its own: the page that is being read may be a read-only one."""
    with db.engine.begin() as connection:
        connection.execute(
            sa.update(LoginSession)
            .where(LoginSession.id == login_id)
            .values(last_seen_at=clock.now())
        )


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
