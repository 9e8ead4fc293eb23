"""Mail that came back, and answers to invitations, from the mailbox that the settings name."""

from collections import Counter
from contextlib import closing

from flask import current_app

from outreach import clock
from outreach.db import db
from outreach.meetings import replies
from outreach.meetings.replies import Reply
from outreach.messages import bounces
from outreach.messages.mailbox import Mailbox, find_account
from outreach.messages.notices import Finding
from tasks.queue import celery


@celery.task(name="outreach.read_bounces")
def read_bounces() -> str:
    account = find_account()
    if account is None:
        return "没有设置退信邮箱"
    mailbox = Mailbox(account)
    tally: Counter[Finding] = Counter()
    answers: Counter[Reply] = Counter()
    with closing(mailbox.unread()) as batches:
        for mails in batches:
            if current_app.extensions["outreach.stopping"].is_set():
                break
            taken, others = replies.take(mails, clock.now())
            answers += taken
            tally += bounces.take(others, clock.now())
            db.session.commit()
    told = (bounces.summarise(tally, mailbox.failed), replies.summarise(answers))
    return "；".join(filter(None, told))
