"""Sending what is due, and looking after what workers left behind."""

from flask import current_app

from outreach import clock, jobs
from outreach.db import db
from outreach.messages import delivery, instance, outbox, waves
from tasks.queue import celery


@celery.task(name="outreach.deliver")
def deliver() -> str:
    tried = delivery.drain(current_app.extensions["outreach.stopping"].is_set)
    waves.finish_waves()
    db.session.commit()
    return f"处理了 {tried} 条消息" if tried else ""


@celery.task(name="outreach.reap")
def reap() -> None:
    released = outbox.reap(clock.now())
    waves.finish_waves()
    db.session.commit()
    if released:
        jobs.wake("deliver")
    epoch = instance.beat()
    db.session.commit()
    if epoch:
        instance.note(epoch)
