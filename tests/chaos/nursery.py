"""A process that loads the application once and forks workers of it, so that one that was killed
is replaced at once. Each line on its standard input asks for a worker; it answers with the pid.

A worker is the embedded one: two deliveries side by side, woken often, and a sweep a second."""

import os
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app import create_app
from outreach import clock

OFFSET = "clock-offset"
"""File in the data directory: seconds by which the clocks of the workers are wrong."""


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while sys.stdin.readline():
        pid = os.fork()
        if pid == 0:
            work()
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def work() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    nursery = os.getppid()
    app = create_app()
    set_clock(app.extensions["outreach.settings"].data_dir / OFFSET)
    wake = app.extensions["outreach.wake"]
    while os.getppid() == nursery:
        wake("reap")
        for _ in range(5):
            wake("deliver")
            time.sleep(0.2)
    os._exit(0)


def set_clock(offset: Path) -> None:
    def now() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=float(offset.read_text()))

    if offset.exists():
        clock.now = now


if __name__ == "__main__":
    main()
