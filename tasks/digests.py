"""The weekly digest of each running campaign."""

from outreach import clock, jobs
from outreach.campaigns.queries import list_running_campaigns
from outreach.db import db
from outreach.digests.services import build_digest, may_be_out
from tasks.queue import celery


@celery.task(name="outreach.build_digests")
def build_digests() -> str:
    today = clock.today()
    campaigns = list_running_campaigns()
    left = [campaign for campaign in campaigns if may_be_out(campaign, today)]
    built = [
        digest
        for campaign in campaigns
        if campaign not in left and (digest := build_digest(campaign, today))
    ]
    db.session.commit()
    jobs.wake("deliver")
    told = f"，{len(left)} 份待人工确认" if left else ""
    return f"新生成 {len(built)} 份周报{told}"
