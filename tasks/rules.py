"""What the rules of the running campaigns propose, on working days."""

from outreach.db import db
from outreach.reminders import rule_services
from tasks.queue import celery


@celery.task(name="outreach.run_rules")
def run_rules() -> str:
    if rule_services.is_day_off():
        return "今天不是工作日"
    runs = rule_services.run_rules()
    db.session.commit()
    return "；".join(f"{run.rule.kind.label}：{run.result}" for run in runs) or "没有启用的规则"
