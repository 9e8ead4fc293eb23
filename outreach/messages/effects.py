"""What follows from a message that was sent, outside the outbox: the composition root names it."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from flask import current_app

from outreach.db import db

log = logging.getLogger(__name__)

OnSent = Callable[[Sequence[int], datetime], None]
"""Told of messages soon after it was written that they were sent; may be told twice."""


def tell_sent(ids: Sequence[int], now: datetime) -> None:
    """An effect that fails is lost, loudly; that the message was sent is kept."""
    hooks: Sequence[OnSent] = current_app.extensions["outreach.on_sent"]
    for hook in hooks if ids else ():
        try:
            with db.session.begin_nested():
                hook(ids, now)
        except Exception:  # whatever it is, that the message was sent must be kept
            log.exception("effect of %s messages that were sent is lost", len(ids))
