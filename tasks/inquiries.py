"""Asking the provider of text messages about outcomes that nobody knows."""

from flask import current_app

from outreach import clock
from outreach.db import db
from outreach.messages import inquiries, sms_receipts
from tasks.queue import celery


@celery.task(name="outreach.inquire")
def inquire() -> str:
    sms_receipts.settle_early(clock.now())
    db.session.commit()
    cleared = inquiries.ask_due(current_app.extensions["outreach.stopping"].is_set)
    return f"查明了 {cleared} 条短信的结果" if cleared else ""
