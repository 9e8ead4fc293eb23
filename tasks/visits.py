"""Follow-up visits of each running campaign."""

from outreach.campaigns.queries import list_running_campaigns
from outreach.db import db
from outreach.reminders.models import RuleKind
from outreach.reminders.rule_services import is_active
from outreach.visits.planning import propose_follow_ups
from tasks.queue import celery


@celery.task(name="outreach.propose_visits")
def propose_visits() -> str:
    runs = [
        propose_follow_ups(campaign, calls_first=is_active(campaign, RuleKind.SILENT))
        for campaign in list_running_campaigns()
    ]
    db.session.commit()
    detail = f"新提出 {sum(run.count for run in runs)} 次走访"
    if todo_count := sum(run.todo_count for run in runs):
        detail += f"、{todo_count} 件待办"
    unknown = sorted(set().union(*(run.unknown_years for run in runs)))
    if unknown:
        years = "、".join(str(year) for year in unknown)
        detail += f"；{years} 年放假安排未确认，该年的走访暂未安排"
    return detail
