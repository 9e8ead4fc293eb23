"""The clock as a process of its own: `python -m tasks.clock`. It keeps no state, so it may be
killed, restarted or doubled at any time."""

import logging
import signal

from apscheduler.schedulers.blocking import BlockingScheduler

from app import create_app
from tasks import queue
from tasks.timetable import SCHEDULER_OPTIONS, schedule

log = logging.getLogger(__name__)

ALIVE = "clock-alive"
"""File in the data directory that is touched twice a minute: what a health check looks at."""


def main() -> None:
    app = create_app()
    scheduler = BlockingScheduler(**SCHEDULER_OPTIONS)
    schedule(scheduler, queue.wake)
    alive = app.extensions["outreach.settings"].data_dir / ALIVE
    alive.touch()
    scheduler.add_job(alive.touch, "interval", seconds=30)

    def stop(_number: int, _frame: object) -> None:
        scheduler.shutdown(wait=False)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    log.info("clock started")
    scheduler.start()
    log.info("clock stopped")


if __name__ == "__main__":
    main()
