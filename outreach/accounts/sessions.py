"""Signing in: a session lives on the server, so that it can be ended there at any time."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from flask import Flask, g, request, session
from flask_login import LoginManager
from sqlalchemy.orm import contains_eager

from outreach import clock
from outreach.access import ASKED_BY_PAGES
from outreach.accounts.models import LoginSession, User
from outreach.accounts.tokens import hash_token, make_token
from outreach.db import db, writing

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
    end_session()
    token = make_token()
    session["login"] = token
    now = clock.now()
    db.session.execute(sa.delete(LoginSession).where(~_is_alive(now)))
    db.session.add(
        LoginSession(
            token_hash=hash_token(token),
            user_id=user.id,
            created_at=now,
            last_seen_at=now,
            expires_at=now + LONGEST,
            address=request.remote_addr or "",
            user_agent=request.user_agent.string[:200],
        )
    )
    _forget_current_user()


def end_session() -> None:
    """Signs this browser out; only the language it reads stays."""
    db.session.execute(
        sa.delete(LoginSession).where(
            LoginSession.token_hash == hash_token(session.get("login", ""))
        )
    )
    language = session.get("language")
    session.clear()
    if language:
        session["language"] = language


def end_all_sessions(user: User) -> None:
    """After a change of password or role, and when the account is disabled."""
    db.session.execute(sa.delete(LoginSession).where(LoginSession.user_id == user.id))


def _load_user() -> User | None:
    token = session.get("login", "")
    login = _find_login(token) if token else None
    is_person = request.endpoint not in ASKED_BY_PAGES
    if login is not None and is_person and login.last_seen_at < clock.now() - SEEN_EVERY:
        _mark_seen(login.id)
        login = _find_login(token)
    return login.user if login else None


def _forget_current_user() -> None:
    """From here on in this request `current_user` is whom the new session belongs to."""
    g.pop("_login_user", None)


def _find_login(token: str) -> LoginSession | None:
    return db.session.scalar(
        sa.select(LoginSession)
        .join(LoginSession.user)
        .where(
            LoginSession.token_hash == hash_token(token), _is_alive(clock.now()), User.is_enabled
        )
        .options(contains_eager(LoginSession.user))
    )


def _is_alive(now: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(LoginSession.expires_at > now, LoginSession.last_seen_at > now - IDLE)


def _mark_seen(login_id: int) -> None:
    with writing():
        db.session.execute(
            sa.update(LoginSession)
            .where(LoginSession.id == login_id)
            .values(last_seen_at=clock.now())
            .execution_options(synchronize_session=False)
        )
