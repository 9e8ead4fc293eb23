"""What people do with rules: set their numbers, try them, switch them on and off; and the daily run
of those that are on. A rule only ever proposes: a person decides about each draft and to-do."""

from dataclasses import dataclass

import sqlalchemy as sa
from flask_babel import lazy_gettext as _

from outreach import audit, clock, workdays
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, CampaignStatus
from outreach.db import db, insert_new
from outreach.errors import Refused
from outreach.messages import templates
from outreach.messages.models import Template
from outreach.messages.wordings import DEFAULT_TEMPLATES as WORDINGS
from outreach.messages.wordings import DefaultTemplate
from outreach.reminders import proposals, rules, services
from outreach.reminders.models import ReminderRule, RuleKind
from outreach.reminders.proposals import Findings
from outreach.reminders.services import WavePlan
from outreach.todos.services import propose
from outreach.workdays import CalendarUnknown

WORKDAYS_TO_DECIDE = 5
"""Working days after which a draft that nobody has approved can no longer go out as it is."""


@dataclass(frozen=True)
class RuleRun:
    """What the day's run of a rule did."""

    rule: ReminderRule
    wave_count: int = 0
    todo_count: int = 0
    held_because: str = ""

    @property
    def result(self) -> str:
        if self.held_because:
            return self.held_because
        parts = []
        if self.wave_count:
            parts.append(str(_("起草 %(count)s 个批次", count=self.wave_count)))
        if self.todo_count:
            parts.append(str(_("提出 %(count)s 项待办", count=self.todo_count)))
        return "，".join(parts) or str(_("没有新的建议"))


# Settings


def list_rules(campaign: Campaign) -> list[ReminderRule]:
    """One of each kind; those that nobody has touched are not in the database yet."""
    kept = {rule.kind: rule for rule in db.session.scalars(_select_rules(campaign))}
    return [kept.get(kind) or _default_rule(campaign, kind) for kind in RuleKind]


def find_rule(campaign: Campaign, kind: RuleKind) -> ReminderRule | None:
    return db.session.scalar(_select_rules(campaign).filter_by(kind=kind))


def is_active(campaign: Campaign, kind: RuleKind) -> bool:
    """Whether the rule is on and its author can still answer for it."""
    rule = find_rule(campaign, kind)
    return rule is not None and rule.is_on and _has_author(rule)


def save_rule(
    campaign: Campaign,
    kind: RuleKind,
    settings: dict[str, int],
    template: Template | None,
) -> ReminderRule:
    """Any change switches the rule off, and it has to be tried again."""
    rule = _ensure_rule(campaign, kind)
    is_same = rule.settings == settings and rule.template is template
    if is_same:
        return rule
    rule.settings, rule.template = settings, template
    rule.is_on, rule.tried_at = False, None
    db.session.flush()
    audit.record("edit.rule", f"reminder_rule:{rule.id}", kind=kind.value, **settings)
    return rule


def try_rule(rule: ReminderRule) -> None:
    """Notes that somebody looked at what these settings would propose; Refused as in `look`."""
    look(rule)
    rule.tried_at = clock.now()


def look(rule: ReminderRule) -> Findings:
    """What the rule would propose today; Refused without a template, or when it cannot count
    working days."""
    _check_template(rule)
    try:
        return rules.find_proposals(rule)
    except CalendarUnknown as unknown:
        raise Refused(_explain_unknown(unknown)) from None


def switch_on(rule: ReminderRule, *, by: User) -> None:
    """Whoever switches a rule on is the author of its drafts: another person approves them."""
    _check_template(rule)
    if rule.tried_at is None:
        raise Refused(_("规则改动后还没有试运行。请先试运行，看过结果再启用。"))
    rule.is_on, rule.author = True, by
    audit.record("switch_on.rule", f"reminder_rule:{rule.id}", kind=rule.kind.value)


def switch_off(rule: ReminderRule) -> None:
    rule.is_on = False
    audit.record("switch_off.rule", f"reminder_rule:{rule.id}", kind=rule.kind.value)


def find_wording(kind: RuleKind) -> DefaultTemplate | None:
    """The wording that comes with the rule."""
    name = rules.DEFAULT_TEMPLATES.get(kind)
    return next((wording for wording in WORDINGS if wording.name == name), None)


def take_wording(kind: RuleKind, *, by: User) -> Template:
    """Makes the wording that comes with the rule one of the office's templates."""
    wording = find_wording(kind)
    assert wording is not None
    existing = db.session.scalar(sa.select(Template).filter_by(name=wording.name))
    return existing or templates.create_template(
        name=wording.name,
        channel=wording.channel,
        wording=templates.Wording(wording.subject, wording.body),
        by=by,
    )


def _select_rules(campaign: Campaign) -> sa.Select[ReminderRule]:
    return sa.select(ReminderRule).filter_by(campaign_id=campaign.id)


def _default_rule(campaign: Campaign, kind: RuleKind) -> ReminderRule:
    """As it begins; not added to the session."""
    name = rules.DEFAULT_TEMPLATES.get(kind)
    template = db.session.scalar(sa.select(Template).filter_by(name=name, is_archived=False))
    return ReminderRule(
        campaign=campaign,
        kind=kind,
        is_on=False,
        settings=dict(proposals.DEFAULTS[kind]),
        template=template,
        last_result="",
        version=0,
    )


def _ensure_rule(campaign: Campaign, kind: RuleKind) -> ReminderRule:
    row = {
        "campaign_id": campaign.id,
        "kind": kind,
        "is_on": False,
        "settings": {},
        "last_result": "",
        "version": 1,
    }
    insert_new(ReminderRule, [row], ["campaign_id", "kind"])
    return db.session.scalars(_select_rules(campaign).filter_by(kind=kind)).one()


def _check_template(rule: ReminderRule) -> None:
    if rules.drafts_waves(rule.kind) and rules.current_version(rule) is None:
        raise Refused(_("这条规则要起草信件，请先选择一个在用的模板。"))


# The daily run


def is_day_off() -> bool:
    """Whether today is known to be no working day."""
    try:
        return not workdays.is_workday(clock.today())
    except CalendarUnknown:
        return False


def run_rules() -> list[RuleRun]:
    """Writes what the rules that are on propose today. Any number of processes may call it at
    once and again: what was proposed has its key. Held, with the reason, is a rule that cannot
    count working days or whose author or template is gone."""
    # All are locked before the first is audited: a person who changes a rule audits, too.
    switched_on = db.session.scalars(
        sa.select(ReminderRule)
        .join(ReminderRule.campaign)
        .where(
            ReminderRule.is_on,
            sa.or_(
                Campaign.status == CampaignStatus.RUNNING,
                sa.and_(
                    Campaign.status == CampaignStatus.PLANNED, ReminderRule.kind == RuleKind.RELAY
                ),
            ),
        )
        .order_by(ReminderRule.id)
        .with_for_update(of=ReminderRule)
        .execution_options(populate_existing=True)
    ).all()
    return [_run(rule) for rule in switched_on]


def _run(rule: ReminderRule) -> RuleRun:
    try:
        run = _propose(rule)
    except CalendarUnknown as unknown:
        run = RuleRun(rule, held_because=_explain_unknown(unknown))
    # Not a change by a person: the version stays, so that nobody's open page is out of date.
    db.session.execute(
        sa.update(ReminderRule)
        .where(ReminderRule.id == rule.id)
        .values(last_run_at=clock.now(), last_result=run.result)
        .execution_options(synchronize_session=False)
    )
    db.session.refresh(rule)
    return run


def _propose(rule: ReminderRule) -> RuleRun:
    if not _has_author(rule):
        return RuleRun(rule, held_because=str(_("启用人的账号已停用。请由他人重新启用。")))
    if rules.drafts_waves(rule.kind) and rules.current_version(rule) is None:
        return RuleRun(rule, held_because=str(_("模板已停用。请另选模板后重新启用。")))
    findings = rules.find_proposals(rule)
    wave_count = _draft_waves(rule, findings)
    todo_count = sum(
        propose(
            proposal.solicitation.id,
            proposal.kind,
            reason=proposal.reason,
            due_on=proposal.due_on,
            key=proposal.key,
            contact_id=proposal.contact_id,
            owner_id=proposal.owner.id if proposal.owner else None,
        )
        for proposal in findings.todos
    )
    if wave_count or todo_count:
        subject = f"reminder_rule:{rule.id}"
        audit.record("run.rule", subject, waves=wave_count, todos=todo_count)
    return RuleRun(rule, wave_count, todo_count)


def _draft_waves(rule: ReminderRule, findings: Findings) -> int:
    version = rules.current_version(rule)
    if not findings.waves or version is None or rule.author_id is None:
        return 0
    last_day = workdays.add_workdays(clock.today(), WORKDAYS_TO_DECIDE)
    return sum(
        services.propose_wave(
            rule.campaign,
            WavePlan(
                name=proposal.name,
                version=version,
                audience=proposal.audience,
                starts_at=clock.now(),
                not_after=clock.end_of(last_day),
            ),
            author_id=rule.author_id,
            purpose=proposal.purpose,
            key=proposal.key,
        )
        for proposal in findings.waves
    )


def _has_author(rule: ReminderRule) -> bool:
    return rule.author is not None and rule.author.is_enabled


def _explain_unknown(unknown: CalendarUnknown) -> str:
    return str(_("%(year)s 年放假安排未确认，规则暂停。请在设置中确认。", year=unknown.year))
