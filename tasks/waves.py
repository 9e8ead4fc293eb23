"""Starts the approved waves whose time has come."""

from outreach import jobs
from outreach.db import db
from outreach.reminders.services import start_due_waves
from tasks.queue import celery


@celery.task(name="outreach.start_waves")
def start_waves() -> str:
    started = start_due_waves()
    db.session.commit()
    if started:
        jobs.wake("deliver")
    return f"启动 {started} 个提醒批次"
