"""Out of the house: drains take claimed messages from the outbox to the channels, window by window.

Their commits are the mechanism: `sending` is committed before the network is touched.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime

from outreach import clock, jobs
from outreach.db import db
from outreach.messages import instance, outbox
from outreach.messages.channels import Outcome, Outgoing, Sender
from outreach.messages.models import Channel, MessageStatus
from outreach.messages.outbox import Claim


def drain(is_stopping: Callable[[], bool] = lambda: False) -> int:
    """Sends what is due until nothing is, or until asked to stop; returns how many messages were
    tried. Any number of drains may run side by side. Commits."""
    tried = 0
    with ExitStack() as lines:
        senders = {
            channel: lines.enter_context(open_channel())
            for channel, open_channel in outbox.channels().items()
        }
        while not is_stopping():
            claimed = outbox.claim(clock.now())
            db.session.commit()
            if claimed is None:
                break
            if len(claimed.ids) == outbox.CLAIM_SIZE:
                jobs.wake("deliver")  # there is work for one more
            tried += deliver_batch(claimed, senders, is_stopping)
    return tried


def deliver_batch(
    claimed: Claim,
    senders: Mapping[Channel, Sender],
    is_stopping: Callable[[], bool] = lambda: False,
) -> int:
    """Sends claimed rows window by window; returns how many were tried. Commits."""
    tried = 0
    for start in range(0, len(claimed.ids), outbox.WINDOW):
        if is_stopping():
            break
        now = clock.now()
        window = outbox.begin(claimed.token, claimed.ids[start : start + outbox.WINDOW], now)
        epoch = instance.advance() if window else 0
        db.session.commit()
        _note(epoch, claimed, window)
        for channel, messages in window.items():
            tried += _deliver(senders[channel], messages, claimed.token, now, is_stopping)
    outbox.release(claimed.token, claimed.ids, of=MessageStatus.QUEUED)
    db.session.commit()
    return tried


def _note(epoch: int, claimed: Claim, window: Mapping[Channel, Sequence[Outgoing]]) -> None:
    """Notes the window outside the database. Where that fails, nothing was sent and nothing is."""
    if not epoch:
        return
    try:
        instance.note(epoch)
    except OSError:
        ids = [message.id for messages in window.values() for message in messages]
        outbox.release(claimed.token, ids, of=MessageStatus.SENDING)
        db.session.commit()
        raise


def _deliver(
    sender: Sender,
    messages: Sequence[Outgoing],
    token: str,
    began_at: datetime,
    is_stopping: Callable[[], bool],
) -> int:
    """Sends one window over one line and writes its outcomes, whatever happens.

    No message is begun so late that its answer could come after the lease. One that fails here
    in a way that its channel does not know stays `sending`: whether it arrived is not known.
    """
    outcomes: dict[int, Outcome] = {}
    untouched = [message.id for message in messages]
    latest = began_at + outbox.margin()
    try:
        answers = sender.deliver(messages)
        for message in messages:
            if is_stopping() or clock.now() > latest:
                break
            untouched.remove(message.id)
            outcomes[message.id] = next(answers)
    finally:
        outbox.record_outcomes(token, outcomes, clock.now())
        outbox.release(token, untouched, of=MessageStatus.SENDING)
        db.session.commit()
    return len(outcomes)
