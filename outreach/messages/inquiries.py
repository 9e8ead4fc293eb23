"""Text messages of unknown outcome: their provider is asked what became of them, before a person
has to find out.

Only a definite answer counts. That the provider knows nothing of a message proves nothing: it may
know of it later. Its commits are the mechanism: no transaction is open while the network is used.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import sqlalchemy as sa
from flask import current_app

from outreach import clock
from outreach.db import db, one_of
from outreach.messages import receipts, sms_receipts
from outreach.messages.channels import Fate, NoAnswer, Question
from outreach.messages.channels.sms import SmsChannel
from outreach.messages.models import Channel, Message, MessageStatus

log = logging.getLogger(__name__)

WAITS = (timedelta(minutes=2), timedelta(minutes=10), timedelta(minutes=30))
"""After the outcome got lost."""
EARLIER = timedelta(minutes=30)
"""A request may have been written so long before its outcome was known to be lost."""


def ask_due(is_stopping: Callable[[], bool] = lambda: False) -> int:
    """Asks about every message that is due, each in turn, until the provider does not answer or one
    is asked to stop; returns how many were cleared up. Commits."""
    channel: SmsChannel | None = current_app.extensions["outreach.sms_channel"]
    cleared = 0
    while channel is not None and not is_stopping():
        question = claim(clock.now())
        db.session.commit()
        if question is None:
            break
        try:
            fate = channel.ask(question)
        except NoAnswer as error:
            # Whatever is wrong, the next message would meet it too; its turn comes again.
            log.warning("SMS provider gives no answer about messages: %s", error)
            break
        if fate is not None:
            cleared += settle(question, fate)
            db.session.commit()
    return cleared


def claim(now: datetime) -> Question | None:
    """The next message to ask about. The inquiry is counted before it is made, so that two workers
    do not ask the same."""
    due = (
        sa.select(Message.id)
        .where(
            Message.channel == Channel.SMS,
            one_of(Message.status, MessageStatus.UNKNOWN),
            sa.or_(
                *(
                    (Message.inquiries == number) & (Message.status_at <= now - wait)
                    for number, wait in enumerate(WAITS)
                )
            ),
        )
        .order_by(Message.inquiries, Message.status_at, Message.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    row = db.session.execute(
        sa.update(Message)
        .where(Message.id.in_(sa.select(due.c.id)), Message.status == MessageStatus.UNKNOWN)
        .values(inquiries=Message.inquiries + 1)
        .returning(Message.id, Message.resend_no, Message.address, Message.status_at)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if row is None:
        return None
    return Question(row.id, row.resend_no, row.address, row.status_at - EARLIER, now)


def settle(question: Question, fate: Fate) -> int:
    """Takes a definite answer as the receipt that it is."""
    report = sms_receipts.make_report(
        question.message_id, question.resend_no, fate.kind, fate.detail
    )
    return receipts.take([report], clock.now())
