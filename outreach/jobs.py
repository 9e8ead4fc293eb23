"""What the clock runs: the shape of a job, one row for each run, and the call that wakes a worker.

A job is one of two kinds. A *sweep* (deliver, reap, start waves) looks for work every minute or
oftener and may run any number of times; of its runs only the newest is kept. Any other job runs
once for each time that it is due: `claim_run` lets one process have it.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask import current_app
from flask_babel import LazyString
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import Mapped, mapped_column

from outreach import clock
from outreach.db import Base, PrimaryKey, db, insert_new
from outreach.terms import Term

Wake = Callable[[str], None]
"""Asks a worker to run a task soon. Losing the call costs time, never work: the database is the
truth and the clock polls it."""

RETRY_AFTER = timedelta(minutes=30)
"""A run that failed, or whose process died, may be taken over when it began that long ago."""

_MOMENT = timedelta(microseconds=1)


class JobResult(Term):
    RUNNING = "running", _("运行中")
    DONE = "done", _("完成")
    FAILED = "failed", _("失败")


class JobRun(Base):
    __tablename__ = "job_run"
    __table_args__ = (sa.UniqueConstraint("job", "scheduled_for"),)

    id: Mapped[PrimaryKey]
    job: Mapped[str] = mapped_column(sa.String(60))
    scheduled_for: Mapped[datetime]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    result: Mapped[JobResult]
    detail: Mapped[str] = mapped_column(sa.Text, default="")
    host: Mapped[str] = mapped_column(sa.String(120))


@dataclass(frozen=True)
class Job:
    """A line of the timetable. The task that it wakes has the same name."""

    name: str
    label: LazyString
    rhythm: LazyString
    """When it runs, in words."""
    trigger: Any
    """An APScheduler trigger whose times are those of a wall clock, the same on every machine."""
    grace: timedelta
    """How late a run that was missed is still worth making up for; shorter than the time from one
    run to the next."""
    is_sweep: bool = False

    def next_due(self, now: datetime) -> datetime:
        return self.trigger.get_next_fire_time(None, now + _MOMENT)

    def last_due(self, now: datetime) -> datetime | None:
        """The latest time at which it was due, up to and including `now`; None when that was
        longer ago than the grace."""
        due = self.trigger.get_next_fire_time(None, now - self.grace)
        return due if due <= now else None


def timetable() -> tuple[Job, ...]:
    return current_app.extensions["outreach.timetable"]


def find_job(name: str) -> Job | None:
    return next((job for job in timetable() if job.name == name), None)


def claim_run(job: str, scheduled_for: datetime) -> JobRun | None:
    """The run of this job for this slot, or None when another process has it. Does not commit."""
    beginning = {
        "started_at": clock.now(),
        "finished_at": None,
        "result": JobResult.RUNNING,
        "detail": "",
        "host": socket.gethostname(),
    }
    slot = {"job": job, "scheduled_for": scheduled_for}
    if not insert_new(JobRun, [slot | beginning], ["job", "scheduled_for"]):
        taken_over = db.session.scalar(
            sa.update(JobRun)
            .filter_by(**slot)
            .where(JobRun.result != JobResult.DONE, JobRun.started_at <= clock.now() - RETRY_AFTER)
            .values(**beginning)
            .returning(JobRun.id)
            .execution_options(synchronize_session=False)
        )
        if taken_over is None:
            return None
    return db.session.scalars(
        sa.select(JobRun).filter_by(**slot).execution_options(populate_existing=True)
    ).one()


def finish_run(run_id: int, result: JobResult, detail: str = "") -> None:
    db.session.execute(
        sa.update(JobRun)
        .where(JobRun.id == run_id)
        .values(finished_at=clock.now(), result=result, detail=detail)
    )


def record_sweep(
    job: str, *, scheduled_for: datetime, started_at: datetime, result: JobResult, detail: str = ""
) -> None:
    """Notes a sweep that has ended, in the place of those before it."""
    db.session.execute(
        sa.delete(JobRun).where(JobRun.job == job, JobRun.scheduled_for <= scheduled_for)
    )
    insert_new(
        JobRun,
        [
            {
                "job": job,
                "scheduled_for": scheduled_for,
                "started_at": started_at,
                "finished_at": clock.now(),
                "result": result,
                "detail": detail,
                "host": socket.gethostname(),
            }
        ],
        ["job", "scheduled_for"],
    )


def last_runs() -> dict[str, JobRun]:
    """The newest run of each job, by job."""
    newest = sa.select(sa.func.max(JobRun.id)).group_by(JobRun.job)
    return {
        run.job: run for run in db.session.scalars(sa.select(JobRun).where(JobRun.id.in_(newest)))
    }


def wake(task: str) -> None:
    """Asks a worker to run the task now; call it after the commit that made the work."""
    current_app.extensions["outreach.wake"](task)
