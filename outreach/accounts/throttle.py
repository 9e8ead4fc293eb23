"""Slows down guessing: so many failures per account and per address in a quarter of an hour.

An attempt is written down and committed before the password is looked at, and taken back when
the password was right; guesses that arrive all at once cannot slip past the count.
"""

import hashlib
from datetime import timedelta
from http import HTTPStatus

import sqlalchemy as sa
from flask import current_app
from flask_babel import lazy_gettext as _

from outreach import clock
from outreach.accounts.models import SignInAttempt
from outreach.db import db
from outreach.errors import OutreachError

WINDOW = timedelta(minutes=15)
_LOCK = 7_205_002
"""Key of the PostgreSQL advisory lock under which attempts are counted."""


class TooManyAttempts(OutreachError):
    status = HTTPStatus.TOO_MANY_REQUESTS


def claim_attempt(username: str, address: str) -> SignInAttempt:
    """Counts this attempt as failed until `forgive`; TooManyAttempts when there were too many.

    The account counts whether or not it exists, so the answer does not tell.
    """
    if db.session.get_bind().dialect.name == "postgresql":
        db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    since = clock.now() - WINDOW
    db.session.execute(sa.delete(SignInAttempt).where(SignInAttempt.at <= since))
    account = _hash(username)
    limit = current_app.extensions["outreach.settings"].login_failures
    for condition in (SignInAttempt.account_hash == account, SignInAttempt.address == address):
        if db.session.scalar(sa.select(sa.func.count()).where(condition)) >= limit:
            raise TooManyAttempts(_("尝试次数过多。请在 15 分钟后再试。"))
    attempt = SignInAttempt(account_hash=account, address=address, at=clock.now())
    db.session.add(attempt)
    return attempt


def forgive(attempt: SignInAttempt) -> None:
    """The password was right: earlier failures on this account are forgotten with it."""
    db.session.execute(
        sa.delete(SignInAttempt).where(SignInAttempt.account_hash == attempt.account_hash)
    )


def _hash(username: str) -> str:
    """People type their password into the wrong field: what they typed is not kept."""
    return hashlib.sha256(username.encode()).hexdigest()
