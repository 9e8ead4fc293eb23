"""Starts the approved waves whose time has come, and writes again where a channel failed."""

from outreach import clock, jobs
from outreach.db import db
from outreach.reminders.fallbacks import queue_fallbacks
from outreach.reminders.services import start_due_waves
from tasks.queue import celery


@celery.task(name="outreach.start_waves")
def start_waves() -> str:
    started = start_due_waves()
    db.session.commit()
    if started:
        jobs.wake("deliver")
    return f"启动 {started} 个提醒批次"


@celery.task(name="outreach.fall_back")
def fall_back() -> str:
    queued = queue_fallbacks(clock.now())
    db.session.commit()
    if queued:
        jobs.wake("deliver")
    return f"{queued} 条改用另一渠道" if queued else ""
