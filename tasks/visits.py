"""Follow-up visits of each running campaign, and its coming week."""

from outreach.campaigns.queries import get_campaign_by_id, list_running_campaigns
from outreach.db import db
from outreach.errors import Refused
from outreach.reminders.models import RuleKind
from outreach.reminders.rule_services import is_active
from outreach.visits.planning import propose_follow_ups
from outreach.visits.week_planning import book_week, coming_week, draft_week, return_unworked
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


@celery.task(name="outreach.plan_week")
def plan_week() -> str:
    """The coming week of each running campaign, after visits that nobody made are given back."""
    return "；".join(_plan_week(campaign.id) for campaign in list_running_campaigns())


def _plan_week(campaign_id: int) -> str:
    campaign = get_campaign_by_id(campaign_id)
    returned = return_unworked(campaign)
    # The solver takes seconds: nothing is held meanwhile.
    db.session.commit()
    try:
        draft = draft_week(campaign, coming_week())
        db.session.commit()
        booked = book_week(campaign, draft, draft.solve())
    except Refused as refusal:
        db.session.rollback()
        return str(refusal.message)
    db.session.commit()
    detail = f"周计划 {booked.visit_count} 次走访、{booked.trip_count} 趟"
    detail += f"、新提出 {booked.todo_count} 件待办" if booked.todo_count else ""
    return detail + (f"；退回 {returned} 次逾期走访" if returned else "")
