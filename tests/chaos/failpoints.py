"""A worker that is killed at every step of a delivery, and a healthy one that finishes.

    python -m tests.chaos.failpoints MAILS LATER_PASSES    (settings from the environment)

prints a JSON list of [step, pass, problems, unknown]. A child is forked for each step: it goes
through start of the wave, delivery and sweep, and kills itself with SIGKILL when it comes to the
step for that time.
"""

import json
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import current_app
from sqlalchemy import event
from sqlalchemy.orm import Session

from app import create_app
from outreach import clock
from outreach.access import Role
from outreach.db import db
from outreach.messages import instance, outbox, queueing, waves
from outreach.messages.models import Message, MessageStatus, Wave, WaveStatus
from outreach.reminders import services
from outreach.reminders.audience import AudienceFilter
from tasks.queue import celery
from tests import factories
from tests.copies import Copy

SIZE = 30
S = MessageStatus
Reach = Callable[[str], None]

FUNCTIONS = (
    (queueing, "materialise"),
    (outbox, "claim"),
    (outbox, "begin"),
    (outbox, "release"),
    (outbox, "record_outcomes"),
    (outbox, "follow_up"),
    (outbox, "reap"),
    (waves, "finish_waves"),
    (waves, "watch"),
    (instance, "renew_ids"),
    (instance, "advance"),
    (instance, "beat"),
    (instance, "note"),
    (instance, "_write"),
)
STEPS = frozenset(
    {f"{when} {name}" for _owner, name in FUNCTIONS for when in ("before", "after")}
    - {"before watch", "after watch"}  # nothing goes wrong in a rehearsal
    | {"before commit", "after commit", "after an answer"}
    | {
        f"{when} writing the {what}"
        for when in ("before", "while", "after")
        for what in ("greeting", "envelope", "content")
    }
)
"""What a rehearsal has to pass; a step that none passes would not be tried."""


def arm(reach: Reach) -> None:
    """Has every step of this process reported to `reach`."""
    for owner, name in FUNCTIONS:
        setattr(owner, name, _around(getattr(owner, name), name, reach))
    event.listen(Session, "before_commit", lambda _session: reach("before commit"))
    event.listen(Session, "after_commit", lambda _session: reach("after commit"))
    sendall, recv_into = socket.socket.sendall, socket.socket.recv_into

    def write(line: socket.socket, data: bytes, *flags: int) -> None:
        what = _name(data)
        reach(f"before writing the {what}")
        half = len(data) // 2
        sendall(line, data[:half], *flags)
        reach(f"while writing the {what}")
        sendall(line, data[half:], *flags)
        reach(f"after writing the {what}")

    def write_some(line: socket.socket, data: Any, *flags: int) -> int:
        write(line, bytes(data), *flags)
        return len(data)

    def read(line: socket.socket, *arguments: Any) -> int:
        count = recv_into(line, *arguments)
        reach("after an answer")
        return count

    socket.socket.sendall = write
    socket.socket.send = write_some
    socket.socket.recv_into = read


def _around(function: Callable[..., Any], name: str, reach: Reach) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        reach(f"before {name}")
        result = function(*arguments, **named)
        reach(f"after {name}")
        return result

    return call


def _name(data: bytes) -> str:
    verb = data[:4].upper()
    if verb in (b"MAIL", b"RCPT", b"DATA"):
        return "envelope"
    if verb in (b"EHLO", b"HELO", b"QUIT", b"RSET"):
        return "greeting"
    return "content"


def work() -> None:
    """What a worker does, once: the tasks of production."""
    for name in ("start_waves", "deliver", "reap", "deliver"):
        celery.tasks[f"outreach.{name}"]()


def rehearse() -> Counter[str]:
    """How often a healthy worker comes to each step."""
    source, target = os.pipe()

    def tell(step: str) -> None:
        os.write(target, step.encode() + b"\n")

    with _child(tell):
        os.close(target)
        with os.fdopen(source) as steps:
            return Counter(line.strip() for line in steps)


def die_at(step: str, number: int) -> Reach:
    passes: Counter[str] = Counter()

    def reach(name: str) -> None:
        passes[name] += 1
        if name == step and passes[name] == number:
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)

    return reach


@contextmanager
def _child(reach: Reach) -> Iterator[None]:
    """Forks a worker that goes once through its work; waits for its end."""
    db.session.remove()
    db.engine.dispose()
    pid = os.fork()
    if pid == 0:
        arm(reach)
        work()
        os._exit(0)
    try:
        yield
    finally:
        os.waitpid(pid, 0)


class Trials:
    def __init__(self, mails: Path) -> None:
        self.mails = mails
        self.ahead = timedelta()
        clock.now = lambda: datetime.now(UTC) + self.ahead
        make_approved_wave()
        self.copy = Copy()
        self.mark = instance.read_mark()

    def run(self, step: str, number: int) -> tuple[str, int, list[str], int]:
        self.ahead = timedelta()
        self.copy.put_back()
        (current_app.extensions["outreach.settings"].data_dir / instance.FILE).write_text(
            json.dumps({"id": self.mark.id, "epoch": self.mark.epoch})
        )
        read = self.mails.stat().st_size
        with _child(die_at(step, number)):
            pass
        self._finish()
        return (step, number, *self._account(read))

    def _finish(self) -> None:
        """A healthy worker, when the leases have run out, and a person who resumes."""
        for _ in range(6):
            self.ahead += timedelta(minutes=10)
            db.session.execute(
                sa.update(Wave)
                .filter_by(status=WaveStatus.PAUSED)
                .values(status=WaveStatus.RUNNING)
            )
            db.session.commit()
            work()
            if db.session.scalar(sa.select(Wave.status)) is WaveStatus.FINISHED:
                return

    def _account(self, read: int) -> tuple[list[str], int]:
        with self.mails.open() as log:
            log.seek(read)
            arrived = Counter(line.split()[0] for line in log)
        rows = db.session.execute(sa.select(Message.status, Message.address)).all()
        db.session.rollback()
        problems = [f"{count} × {address}" for address, count in arrived.items() if count > 1]
        problems += [f"{len(rows)} rows"] * (len(rows) != SIZE)
        problems += [
            f"{row.address} is {row.status}, arrived {arrived[row.address]}"
            for row in rows
            if row.status is not S.UNKNOWN and not (row.status is S.SENT and arrived[row.address])
        ]
        unknown = sum(row.status is S.UNKNOWN for row in rows)
        problems += [f"{unknown} unknown"] * (unknown > outbox.WINDOW)
        return problems, unknown


def make_approved_wave() -> None:
    factories.open_sending()
    campaign = factories.make_campaign()
    sector = factories.make_sector(campaign)
    for _ in range(SIZE):
        factories.make_solicitation(campaign, sector)
    author, approver = (factories.make_user(Role.SECRETARY_GENERAL) for _ in range(2))
    plan = services.WavePlan(
        name="提醒",
        version=factories.make_template(),
        audience=AudienceFilter(),
        starts_at=clock.now(),
        not_after=clock.now() + timedelta(days=3),
    )
    wave = services.create_wave(campaign, plan, author=author)
    services.submit_wave(wave, by=author)
    services.approve_wave(wave, by=approver)
    db.session.commit()


def choose(passed: Counter[str], later_passes: int) -> list[tuple[str, int]]:
    """Each step at its first pass, at its last, and at some between."""
    chosen = []
    for step, count in sorted(passed.items()):
        numbers = {1, count} if later_passes else {1 + len(step) % count}
        numbers |= {1 + count * number // (later_passes + 1) for number in range(later_passes)}
        chosen += [(step, number) for number in sorted(numbers)]
    return chosen


def main(mails: Path, later_passes: int) -> None:
    app = create_app()
    app.extensions["outreach.wake"] = lambda _task: None
    with app.app_context():
        celery.loader.import_default_modules()
        trials = Trials(mails)
        passed = rehearse()
        missing = STEPS - passed.keys()
        results: list[Any] = [["rehearsal", 0, sorted(missing), 0]] if missing else []
        results += [trials.run(*step) for step in choose(passed, later_passes)]
        sys.stdout.write(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
