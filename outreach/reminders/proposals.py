"""What a rule proposes, and what all rules have in common.

Every proposal has a key that begins with its rule («rule:3:sector:7:2026-W43»); the key is unique.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Final

import sqlalchemy as sa
from flask_babel import lazy_gettext as _

from outreach.accounts.models import User
from outreach.campaigns.models import Solicitation
from outreach.db import db
from outreach.messages.gate import describe
from outreach.messages.models import Channel, Purpose, Wave
from outreach.reminders.audience import AudienceFilter, Member, find_members
from outreach.reminders.models import ReminderRule, RuleKind
from outreach.todos.models import Todo, TodoKind, TodoStatus

DEFAULTS: Final[dict[RuleKind, dict[str, int]]] = {
    RuleKind.LAGGING_SECTOR: {"points": 10, "workdays": 5},
    RuleKind.SILENT: {"workdays": 3},
    RuleKind.PLEDGE_OVERDUE: {"workdays": 5},
    RuleKind.GIFT_RECEIVED: {"workdays": 3},
    RuleKind.BOUNCED: {},
    RuleKind.RELAY: {"days": 14, "workdays": 5},
}
"""The numbers in the sentence of each rule, until somebody sets others."""


@dataclass(frozen=True)
class WaveProposal:
    key: str
    name: str
    purpose: Purpose
    audience: AudienceFilter
    members: list[Member]
    """The units, with who would not be written to and why."""
    reason: str


@dataclass(frozen=True)
class TodoProposal:
    key: str
    kind: TodoKind
    solicitation: Solicitation
    contact_id: int | None
    owner: User | None
    due_on: date
    reason: str


@dataclass(frozen=True)
class PassedOver:
    """What the rule looked at and does not propose."""

    subject: str
    reason: str


@dataclass
class Findings:
    waves: list[WaveProposal] = field(default_factory=list)
    todos: list[TodoProposal] = field(default_factory=list)
    passed_over: list[PassedOver] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not self.waves and not self.todos

    def pass_over(self, subject: str, reason: object) -> None:
        self.passed_over.append(PassedOver(subject, str(reason)))


def number(rule: ReminderRule, name: str) -> int:
    """A number of the rule's sentence («points», «workdays»)."""
    return int((DEFAULTS[rule.kind] | rule.settings)[name])


def make_key(rule: ReminderRule, *parts: object) -> str:
    return ":".join(str(part) for part in ("rule", rule.id, *parts))


def is_of(table: type[Wave] | type[Todo], rule: ReminderRule) -> sa.ColumnElement[bool]:
    """Condition: this rule proposed it."""
    return table.proposal_key.startswith(make_key(rule, ""), autoescape=True)


def without_known(findings: Findings, rule: ReminderRule) -> Findings:
    """Without what was proposed before, and what the unit waits for already."""
    known = set(db.session.scalars(sa.select(Todo.proposal_key).where(is_of(Todo, rule))))
    rows = db.session.execute(
        sa.select(Todo.solicitation_id, Todo.kind)
        .join(Todo.solicitation)
        .where(Solicitation.campaign_id == rule.campaign_id, Todo.status == TodoStatus.OPEN)
    )
    waiting = {(solicitation_id, kind) for solicitation_id, kind in rows}
    fresh = []
    for proposal in findings.todos:
        if (proposal.solicitation.id, proposal.kind) in waiting:
            findings.pass_over(proposal.solicitation.unit.name, _("已经在待办里"))
        elif proposal.key in known:
            findings.pass_over(proposal.solicitation.unit.name, _("已经提出过"))
        else:
            fresh.append(proposal)
    findings.todos = fresh
    return findings


def list_members(rule: ReminderRule, audience: AudienceFilter, purpose: Purpose) -> list[Member]:
    channel = rule.template.channel if rule.template else Channel.EMAIL
    return find_members(rule.campaign, audience, [channel], purpose)


def list_free(members: Iterable[Member]) -> list[Member]:
    return [member for member in members if member.withheld is None]


def pass_over_withheld(findings: Findings, members: Iterable[Member]) -> None:
    for member in members:
        if member.withheld is not None:
            why = describe(member.withheld.reason, member.withheld.facts)
            findings.pass_over(member.solicitation.unit.name, why)


def if_enabled(user: User | None) -> User | None:
    return user if user is not None and user.is_enabled else None
