"""The weekly digest of each running campaign."""

from outreach import clock, jobs
from outreach.campaigns.queries import list_running_campaigns
from outreach.db import db
from outreach.digests.services import build_digest
from tasks.queue import celery


@celery.task(name="outreach.build_digests")
def build_digests() -> str:
    built = [
        digest
        for campaign in list_running_campaigns()
        if (digest := build_digest(campaign, clock.today()))
    ]
    db.session.commit()
    jobs.wake("deliver")
    return f"新生成 {len(built)} 份周报"
