"""The Celery application. A task message is only a wake-up call: losing all of them costs time,
never work, because every task reads what there is to do from the database."""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from celery import Celery, Task
from flask import Flask, has_app_context
from flask.ctx import AppContext
from kombu.exceptions import OperationalError

from outreach import clock, jobs, logs
from outreach.db import db
from outreach.errors import OutreachError
from outreach.jobs import Job, JobResult

log = logging.getLogger(__name__)

PREFIX = "outreach."
PATIENCE = {"socket_connect_timeout": 0.5, "socket_timeout": 0.5, "max_retries": 0}
"""How long a page may wait for the broker, in seconds."""
TASK_MODULES = (
    "tasks.bounces",
    "tasks.delivery",
    "tasks.inquiries",
    "tasks.waves",
    "tasks.visits",
    "tasks.rules",
    "tasks.digests",
    "tasks.privacy",
)


class ContextTask(Task):
    """Runs inside the Flask application that `bind` was given. A task of the timetable leaves a
    row that says how it went; what it returns, a short text, is kept as the detail."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with nullcontext() if has_app_context() else self._context():
            job = jobs.find_job(self.name.removeprefix(PREFIX))
            if job is None:
                return self.run(*args, **kwargs)
            return self._sweep(job) if job.is_sweep else self._run_once(job)

    def _context(self) -> AppContext:
        logs.begin_task(self.name, (self.request.headers or {}).get(logs.REQUEST_ID))
        return self.app.flask_app.app_context()

    def _sweep(self, job: Job) -> None:
        started_at = clock.now()
        scheduled_for = job.last_due(started_at) or started_at

        def note(result: JobResult, detail: str) -> None:
            jobs.record_sweep(
                job.name,
                scheduled_for=scheduled_for,
                started_at=started_at,
                result=result,
                detail=detail,
            )

        self._run_and_note(note)

    def _run_once(self, job: Job) -> None:
        scheduled_for = job.last_due(clock.now())
        if scheduled_for is None:
            return
        run = jobs.claim_run(job.name, scheduled_for)
        if run is None:
            db.session.rollback()
            return
        run_id = run.id
        db.session.commit()
        self._run_and_note(lambda result, detail: jobs.finish_run(run_id, result, detail))

    def _run_and_note(self, note: Callable[[JobResult, str], None]) -> None:
        """Notes how the task went, also when it fails; what it left uncommitted is undone."""
        result, detail = JobResult.FAILED, ""
        try:
            detail = self.run() or ""
            result = JobResult.DONE
        except Exception as error:
            # A refusal says what to do about it; the name of any other error says more.
            detail = type(error).__name__
            if isinstance(error, OutreachError):
                detail = str(error.message)
            raise
        finally:
            db.session.rollback()
            note(result, detail)
            db.session.commit()


celery = Celery("outreach", task_cls=ContextTask)
celery.conf.update(
    imports=TASK_MODULES,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    worker_soft_shutdown_timeout=10,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        "visibility_timeout": 300,
        "unacked_restore_interval": 10,
        "socket_keepalive": True,
        "health_check_interval": 30,
    },
    enable_utc=True,
)


def bind(app: Flask, broker_url: str) -> None:
    celery.flask_app = app
    celery.conf.broker_url = broker_url


def wake(task: str) -> None:
    """Sends the wake-up call. With the broker down it is lost, which the clock makes up for."""
    headers = {logs.REQUEST_ID: logs.current_request_id()}
    try:
        with celery.connection_for_write(transport_options=PATIENCE) as connection:
            celery.send_task(f"{PREFIX}{task}", connection=connection, headers=headers, retry=False)
    except OperationalError as error:
        log.warning("wake-up call %s lost: %s", task, error)
