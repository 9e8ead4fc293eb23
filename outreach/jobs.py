"""What the clock did: one row for each time that a job was due, and the call that wakes a worker."""

import socket
from collections.abc import Callable
from datetime import datetime

import sqlalchemy as sa
from flask import current_app
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import Mapped, mapped_column

from outreach import clock
from outreach.db import Base, PrimaryKey, db, insert_new
from outreach.terms import Term

Wake = Callable[[str], None]
"""Asks a worker to run a task soon. Losing the call costs time, never work: the database is the
truth and the clock polls it."""


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


def claim_run(job: str, scheduled_for: datetime) -> JobRun | None:
    """The run of this job for this slot, or None when another process has it. Does not commit."""
    is_first = insert_new(
        JobRun,
        [
            {
                "job": job,
                "scheduled_for": scheduled_for,
                "started_at": clock.now(),
                "result": JobResult.RUNNING,
                "detail": "",
                "host": socket.gethostname(),
            }
        ],
        ["job", "scheduled_for"],
    )
    if not is_first:
        return None
    return db.session.scalars(
        sa.select(JobRun).filter_by(job=job, scheduled_for=scheduled_for)
    ).one()


def last_runs() -> dict[str, JobRun]:
    """The newest run of each job, by job."""
    newest = sa.select(sa.func.max(JobRun.id)).group_by(JobRun.job)
    return {
        run.job: run for run in db.session.scalars(sa.select(JobRun).where(JobRun.id.in_(newest)))
    }


def wake(task: str) -> None:
    """Asks a worker to run the task now; call it after the commit that made the work."""
    current_app.extensions["outreach.wake"](task)
