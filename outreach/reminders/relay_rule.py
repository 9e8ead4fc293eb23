"""The rule of the contact relay: a letter before the campaign begins, then calls."""

from collections.abc import Sequence

from flask_babel import lazy_gettext as _

from outreach import clock, workdays
from outreach.messages.models import Purpose
from outreach.relay import queries as relay
from outreach.relay.models import RelayState
from outreach.relay.queries import RelayUnit
from outreach.reminders.audience import AudienceFilter
from outreach.reminders.models import ReminderRule
from outreach.reminders.proposals import (
    Findings,
    TodoProposal,
    WaveProposal,
    if_enabled,
    list_free,
    list_members,
    make_key,
    number,
    pass_over_withheld,
    without_known,
)
from outreach.todos.models import TodoKind
from outreach.web import format_day


def find_unconfirmed(rule: ReminderRule) -> Findings:
    """Before the campaign begins a letter to every unit; after it, calls to those who did not
    answer, and to those it did not get to."""
    findings = Findings()
    campaign, today = rule.campaign, clock.today()
    if today > campaign.ends_on:
        return findings
    units, days_left = relay.list_units(campaign), (campaign.starts_on - today).days
    if not relay.list_waves(campaign) and 0 < days_left <= number(rule, "days"):
        _add_relay(findings, rule, units)
    first = workdays.load_calendar().last_workdays(today, number(rule, "workdays"))[-1]
    for unit in units:
        if unit.state is RelayState.UNREACHED:
            reason = _("核对函没有送到：%(why)s", why=unit.why_unreached)
        elif unit.written_at is None or clock.day_of(unit.written_at) >= first:
            continue
        elif unit.state is RelayState.WAITING:
            reason = _("%(day)s 发出核对函后没有答复", day=format_day(unit.written_at))
        else:
            continue
        findings.todos.append(
            TodoProposal(
                key=make_key(rule, "unit", unit.solicitation.id),
                kind=TodoKind.CONFIRM,
                solicitation=unit.solicitation,
                contact_id=unit.letter.contact_id if unit.letter else None,
                owner=if_enabled(unit.solicitation.solicitor),
                due_on=workdays.next_workday(today),
                reason=str(reason),
            )
        )
    return without_known(findings, rule)


def _add_relay(findings: Findings, rule: ReminderRule, units: Sequence[RelayUnit]) -> None:
    unasked = [unit.solicitation.id for unit in units if unit.state is RelayState.NOT_SENT]
    is_for_all = len(unasked) == len(units)
    audience = AudienceFilter(solicitation_ids=() if is_for_all else tuple(unasked))
    members = list_members(rule, audience, Purpose.RELAY) if unasked else []
    if not list_free(members):
        pass_over_withheld(findings, members)
        return
    starts_on = format_day(rule.campaign.starts_on)
    findings.waves.append(
        WaveProposal(
            # Who cancels a draft has decided. To have another, the rule is switched off and on.
            key=make_key(rule, "letter", rule.version),
            name=str(_("%(campaign)s联络信息核对", campaign=rule.campaign.name)),
            purpose=Purpose.RELAY,
            audience=audience,
            members=members,
            reason=str(_("活动 %(day)s 开始，请各单位先核对由谁联络", day=starts_on)),
        )
    )
