"""Out of the house: drains take claimed messages from the outbox to the channels, window by window.

Their commits are the mechanism: `sending` is committed before the network is touched. Outcomes are
written when the next window begins, in the same transaction.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime

from outreach import clock, jobs
from outreach.db import db
from outreach.messages import instance, outbox
from outreach.messages.channels import Outcome, Outgoing, Sender, Verdict
from outreach.messages.models import Channel, MessageStatus
from outreach.messages.outbox import Claim

FOLLOW_UP = 100
"""Messages after which what follows from them is written: units that were reached, receipts that
came early."""


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
            if claimed.is_full:
                jobs.wake("deliver")  # there is work for one more
            tried += deliver_batch(claimed, senders, is_stopping)
    return tried


def deliver_batch(
    claimed: Claim,
    senders: Mapping[Channel, Sender],
    is_stopping: Callable[[], bool] = lambda: False,
) -> int:
    """Sends claimed rows window by window; returns how many were tried. Commits."""
    batch = _Batch(claimed.token, senders, is_stopping)
    try:
        for start in range(0, len(claimed.ids), outbox.WINDOW):
            if is_stopping():
                break
            batch.send(claimed.ids[start : start + outbox.WINDOW])
    finally:
        db.session.rollback()
        outbox.release(claimed.token, claimed.ids, of=MessageStatus.QUEUED)
        batch.settle()
    return batch.tried


class _Batch:
    """The messages of a claim on their way, and what of it is not written yet."""

    def __init__(
        self, token: str, senders: Mapping[Channel, Sender], is_stopping: Callable[[], bool]
    ) -> None:
        self.token = token
        self.senders = senders
        self.is_stopping = is_stopping
        self.tried = 0
        self._outcomes: dict[int, Outcome] = {}
        self._untouched: set[int] = set()
        """Rows that are `sending` and that no channel was given."""
        self._sent: list[int] = []
        """Written as sent, without what follows from it."""

    def send(self, ids: Sequence[int]) -> None:
        """Begins these rows and hands them to their channels."""
        now = clock.now()
        sent = self._write_outcomes()
        window = outbox.begin(self.token, ids, now)
        db.session.commit()
        self._sent += sent
        self._outcomes = {}
        self._untouched = {message.id for of in window.messages.values() for message in of}
        if window.epoch:
            # Also when nothing is left to be sent, or a copy that is put back could be ahead of
            # the note. Where this fails, nothing was sent and nothing is.
            instance.note(window.epoch)
        if not self._untouched:
            self.settle()
            return
        for channel, messages in window.messages.items():
            self._deliver(self.senders[channel], messages, now, window.latest)
        is_troubled = any(of.verdict is not Verdict.ACCEPTED for of in self._outcomes.values())
        if self._untouched or is_troubled or len(self._sent) >= FOLLOW_UP:
            self.settle()

    def settle(self) -> None:
        """Writes all that is known and what follows from it. In a transaction of its own: it may
        take locks, as of a wave that has to pause, that nobody may hold who waits to begin."""
        now = clock.now()
        outbox.follow_up(self._sent + self._write_outcomes(), now)
        outbox.release(self.token, self._untouched, of=MessageStatus.SENDING)
        db.session.commit()
        self._outcomes, self._untouched, self._sent = {}, set(), []

    def _write_outcomes(self) -> list[int]:
        return outbox.record_outcomes(self.token, self._outcomes, clock.now())

    def _deliver(
        self, sender: Sender, messages: Sequence[Outgoing], began_at: datetime, latest: datetime
    ) -> None:
        """Hands over what a window has for one channel until `latest`; the rest is given back, as
        it is by a clock that was set back: what it said of hours and lease may be wrong. A message
        that fails here in a way that its channel does not know stays `sending`: whether it arrived
        is not known."""
        answers = sender.deliver(messages)
        for message in messages:
            if self.is_stopping() or not began_at <= clock.now() < latest:
                break
            self._untouched.discard(message.id)
            self._outcomes[message.id] = next(answers)
            self.tried += 1
