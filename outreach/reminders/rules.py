"""What each rule finds on the day's data. These are reads only: nothing is written, so that a rule
can be tried before it is switched on, and so that running it twice finds nothing the second time.

Every reader may raise CalendarUnknown: a rule that cannot count working days waits.
"""

from collections.abc import Callable
from typing import Final

import sqlalchemy as sa
from flask_babel import lazy_gettext as _

from outreach import clock, workdays
from outreach.db import db
from outreach.messages.models import Purpose, TemplateVersion, Wave
from outreach.reminders import relay_rule, todo_rules, wave_rules
from outreach.reminders.models import ReminderRule, RuleKind
from outreach.reminders.proposals import Findings, is_of

DEFAULT_TEMPLATES: Final[dict[RuleKind, str]] = {
    RuleKind.LAGGING_SECTOR: "活动联系函",
    RuleKind.PLEDGE_OVERDUE: "认捐到账核对",
    RuleKind.GIFT_RECEIVED: "感谢信",
    RuleKind.RELAY: "联络信息核对函",
}
"""Names of the wordings that rules which draft waves begin with."""

PURPOSES: Final[dict[RuleKind, Purpose]] = {
    RuleKind.LAGGING_SECTOR: Purpose.REMINDER,
    RuleKind.PLEDGE_OVERDUE: Purpose.REMINDER,
    RuleKind.GIFT_RECEIVED: Purpose.THANKS,
    RuleKind.RELAY: Purpose.RELAY,
}
"""What the drafts of these rules are for."""


def find_proposals(rule: ReminderRule) -> Findings:
    """What the rule would propose today and was not proposed before."""
    today = clock.today()
    if not workdays.is_known(today.year):
        raise workdays.CalendarUnknown(today.year)
    findings = _FINDERS[rule.kind](rule)
    drafted = set(db.session.scalars(sa.select(Wave.proposal_key).where(is_of(Wave, rule))))
    for proposal in findings.waves:
        if proposal.key in drafted:
            findings.pass_over(proposal.name, _("本期已经起草过"))
    findings.waves = [proposal for proposal in findings.waves if proposal.key not in drafted]
    return findings


def drafts_waves(kind: RuleKind) -> bool:
    """Whether the rule writes drafts, for which it needs a template; the others write to-dos."""
    return kind in DEFAULT_TEMPLATES


def current_version(rule: ReminderRule) -> TemplateVersion | None:
    """The newest wording of the rule's template; None without one in use."""
    if rule.template is None or rule.template.is_archived:
        return None
    return rule.template.versions[-1]


_FINDERS: Final[dict[RuleKind, Callable[[ReminderRule], Findings]]] = {
    RuleKind.LAGGING_SECTOR: wave_rules.find_lagging,
    RuleKind.SILENT: todo_rules.find_unanswered,
    RuleKind.PLEDGE_OVERDUE: wave_rules.find_overdue,
    RuleKind.GIFT_RECEIVED: wave_rules.find_thanks,
    RuleKind.BOUNCED: todo_rules.find_dead,
    RuleKind.RELAY: relay_rule.find_unconfirmed,
}
