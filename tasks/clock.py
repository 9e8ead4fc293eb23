"""The clock as a process of its own: `python -m tasks.clock`. It needs the broker only; it keeps
no state, so it may be killed, restarted or doubled at any time."""

import logging
import signal

from apscheduler.schedulers.blocking import BlockingScheduler

from app import create_app
from tasks import queue
from tasks.timetable import SCHEDULER_OPTIONS, schedule

log = logging.getLogger(__name__)


def main() -> None:
    create_app()
    scheduler = BlockingScheduler(**SCHEDULER_OPTIONS)
    schedule(scheduler, queue.wake)

    def stop(_number: int, _frame: object) -> None:
        raise SystemExit

    signal.signal(signal.SIGTERM, stop)
    log.info("clock started")
    try:
        scheduler.start()
    except (KeyboardInterrupt, SystemExit):
        scheduler.shutdown(wait=False)
        log.info("clock stopped")


if __name__ == "__main__":
    main()
