"""The clock as a process of its own: `python -m tasks.clock`. It keeps no state, so it may be
killed, restarted or doubled at any time."""

import logging
import signal

from apscheduler.schedulers.background import BackgroundScheduler

from app import create_app
from tasks import queue
from tasks.timetable import SCHEDULER_OPTIONS, schedule

log = logging.getLogger(__name__)

ALIVE = "clock-alive"
"""File in the data directory that is touched twice a minute: what a health check looks at."""

ENDING = (signal.SIGTERM, signal.SIGINT)


def main() -> None:
    # Waited for, not handled: a handler runs in the midst of whatever the thread is doing, and
    # one that stops the scheduler waits for ever for a lock that its own thread holds.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    app = create_app()
    scheduler = BackgroundScheduler(**SCHEDULER_OPTIONS)
    schedule(scheduler, queue.wake)
    alive = app.extensions["outreach.settings"].data_dir / ALIVE
    alive.touch()
    scheduler.add_job(alive.touch, "interval", seconds=30)
    scheduler.start()
    log.info("clock started")
    signal.sigwait(ENDING)
    scheduler.shutdown(wait=False)
    log.info("clock stopped")


if __name__ == "__main__":
    main()
