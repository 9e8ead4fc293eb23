"""One trial: a wave, workers, a fault, and the account at the end."""

import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from outreach import clock
from outreach.campaigns.models import Solicitation, Stage
from outreach.db import db
from outreach.messages.models import (
    FailureKind,
    Message,
    MessageStatus,
    Wave,
    WaveStatus,
    WithheldReason,
)
from tests.chaos.nursery import OFFSET
from tests.chaos.scene import Crew, Sink, count_statuses

S = MessageStatus
LONGEST_LEASE = timedelta(seconds=10)


@dataclass(frozen=True)
class Result:
    fault: str
    engine: str
    rows: int
    duplicates: int
    """Mails beyond the first to one address."""
    lost: int
    """Rows that are gone, that never came to an end, or that say «sent» and were not."""
    unknown: int
    seconds: float
    note: str = ""

    @property
    def is_good(self) -> bool:
        return not self.duplicates and not self.lost


@dataclass
class Trial:
    sink: Sink
    crew: Crew
    size: int
    wake: Callable[[], None] = lambda: None
    """What the clock does twice a minute, for workers that do not wake themselves."""
    offset: Path | None = None
    """The file that sets the clocks of the workers."""
    patience: float = 300.0
    """Seconds without a mail or a change of any row after which the trial is given up."""
    _ahead: float = 0.0
    _looked_at: float = 0.0
    _counts: dict[MessageStatus, int] = field(default_factory=dict)

    def run(self, disturb: Callable[[], None], times: int) -> None:
        """Disturbs at `times` random moments of the first nine tenths, then lets it end."""
        self.crew.hire()
        for moment in sorted(random.sample(range(self.size * 9 // 10), times)):
            self.wait(lambda moment=moment: self.has_come(moment))
            disturb()
        self.crew.hire()
        self.wait(self.is_over)

    def wait(self, condition: Callable[[], bool]) -> None:
        last_change, seen = time.monotonic(), None
        while not condition():
            now = (self.sink.count(), tuple(self._counts.items()))
            if now != seen:
                last_change, seen = time.monotonic(), now
            if time.monotonic() - last_change > self.patience:
                raise AssertionError(f"nothing happens any more: {now[0]} mails, {self._counts}")
            self.look_after()
            time.sleep(0.02)

    def has_come(self, count: int) -> bool:
        """So many mails have arrived, or so many messages have an outcome."""
        return self.sink.count() >= count or self._ended() >= count

    def is_over(self) -> bool:
        return self._ended() == self.size

    def _ended(self) -> int:
        running = {S.QUEUED, S.SENDING}
        return sum(count for status, count in self._counts.items() if status not in running)

    def look_after(self) -> None:
        """What the clock and a person do: wake, and have a wave that paused go on."""
        if time.monotonic() - self._looked_at < 0.4:
            return
        # The database may be the fault of this trial.
        with suppress(SQLAlchemyError):
            self._resume()
            self._counts = count_statuses()
            self._pass_time()
        db.session.remove()
        self._looked_at = time.monotonic()
        self.wake()

    def _resume(self) -> None:
        db.session.execute(
            sa.update(Wave).filter_by(status=WaveStatus.PAUSED).values(status=WaveStatus.RUNNING)
        )
        db.session.commit()

    def _pass_time(self) -> None:
        """When all that is left waits for its next attempt, or for a lease that a clock which was
        ahead has given, the clocks of the workers go on."""
        if self.offset is None:
            return
        waits_until = sa.case((Message.token.is_(None), Message.next_at), else_=Message.lease_until)
        earliest = db.session.scalar(
            sa.select(sa.func.min(waits_until)).where(Message.status.in_((S.QUEUED, S.SENDING)))
        )
        if earliest is not None:
            ahead = earliest - clock.now() - timedelta(seconds=self._ahead)
            if ahead > LONGEST_LEASE:
                self.set_clock(self._ahead + ahead.total_seconds())

    def set_clock(self, seconds: float) -> None:
        self._ahead = seconds
        part = self.offset.with_suffix(".part")
        part.write_text(str(seconds))
        part.replace(self.offset)

    def account(self, fault: str, engine: str, seconds: float, note: str = "") -> Result:
        self.sink.count()
        arrived = self.sink.recipients
        rows = db.session.execute(
            sa.select(Message.status, Message.address, Message.failure).where(
                Message.wave_id.is_not(None)
            )
        ).all()
        lost = sum(not is_accounted_for(row, arrived[row.address]) for row in rows)
        twice = sum(count - 1 for count in arrived.values())
        twice = max(twice, sum(count - 1 for count in self.sink.ids.values()))
        unknown = sum(row.status is S.UNKNOWN for row in rows)
        check_effects(sum(row.status is S.SENT for row in rows))
        lost += self.size - len(rows)
        return Result(fault, engine, len(rows), twice, lost, unknown, round(seconds, 1), note)


def is_accounted_for(row: sa.Row, arrived: int) -> bool:
    """Whether what a row says is true, as far as it says something."""
    if row.status in (S.SENT, S.UNKNOWN):
        return row.status is S.UNKNOWN or arrived > 0
    is_refused = row.failure in (FailureKind.REJECTED, FailureKind.EXHAUSTED)
    return (is_refused or row.status is S.WITHHELD) and not arrived


def check_effects(sent: int) -> None:
    """The unit that gave was not asked, and every unit that was asked counts as contacted."""
    withheld = db.session.scalars(
        sa.select(Message.withheld_reason).where(Message.status == S.WITHHELD)
    ).all()
    assert set(withheld) <= {WithheldReason.ALREADY_GIVEN}, withheld
    contacted = db.session.scalar(
        sa.select(sa.func.count()).select_from(Solicitation).filter_by(stage=Stage.CONTACTED)
    )
    db.session.rollback()
    assert contacted == sent, f"{contacted} contacted, {sent} sent"


def offset_of(settings: dict[str, object]) -> Path:
    return Path(str(settings["data_dir"])) / OFFSET
