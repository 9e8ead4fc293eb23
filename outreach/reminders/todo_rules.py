"""Rules that give people something to do: units that do not answer, addresses that are dead."""

from collections.abc import Sequence

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import aliased, joinedload

from outreach import clock, workdays
from outreach.campaigns.models import Campaign, Solicitation, Stage
from outreach.db import db
from outreach.gifts.standings import Standing, list_standings
from outreach.messages.gate import describe
from outreach.messages.models import (
    Channel,
    FailureKind,
    Message,
    MessageSolicitation,
    MessageStatus,
    WithheldReason,
)
from outreach.reminders.audience import ask_gate, look_up, way_to
from outreach.reminders.models import ReminderRule
from outreach.reminders.proposals import (
    Findings,
    TodoProposal,
    if_enabled,
    make_key,
    number,
    without_known,
)
from outreach.todos.models import TodoKind
from outreach.units.models import Contact
from outreach.visits.history import History, read_history
from outreach.visits.silence import find_silent
from outreach.web import format_day

NOT_TO_BE_ASKED = frozenset(
    {
        WithheldReason.ALREADY_GIVEN,
        WithheldReason.PARTLY_GIVEN,
        WithheldReason.UNMATCHED_LINE,
        WithheldReason.UNREAD_REPLY,
        WithheldReason.PLEDGE_NOT_DUE,
        WithheldReason.DECLINED,
        WithheldReason.EXEMPT,
        WithheldReason.SNOOZED,
        WithheldReason.CAMPAIGN_CLOSED,
    }
)
"""What keeps the machine from a reminder keeps a person from a call; caps and addresses do not."""


def find_unanswered(rule: ReminderRule) -> Findings:
    findings = Findings()
    campaign, today = rule.campaign, clock.today()
    if not campaign.starts_on <= today <= campaign.ends_on:
        return findings
    count = number(rule, "workdays")
    history = read_history(campaign)
    standings = list_standings(campaign, outstanding_only=True)
    silent = list(find_silent(standings, history, workdays_since=count))
    rested = _explain_rest(campaign, [silence.standing for silence in silent], history)
    for silence in silent:
        solicitation = silence.standing.solicitation
        if solicitation.id in rested:
            findings.pass_over(solicitation.unit.name, rested[solicitation.id])
            continue
        reason = _(
            "%(day)s 发出提醒后 %(count)s 个工作日未回应",
            day=format_day(silence.sent_on),
            count=count,
        )
        findings.todos.append(
            TodoProposal(
                key=make_key(rule, silence.key),
                kind=TodoKind.CALL,
                solicitation=solicitation,
                contact_id=silence.reminder.contact_id,
                owner=if_enabled(solicitation.solicitor),
                due_on=workdays.next_workday(today),
                reason=str(reason),
            )
        )
    return without_known(findings, rule)


def _explain_rest(
    campaign: Campaign, standings: Sequence[Standing], history: History
) -> dict[int, str]:
    """Why nobody should call some of the units today, by solicitation."""
    members = look_up(campaign, standings, [Channel.EMAIL])
    rested = {
        member.solicitation.id: describe(answer.reason, answer.facts)
        for member, answer in zip(members, ask_gate(campaign, members), strict=True)
        if answer is not None and answer.reason in NOT_TO_BE_ASKED
    }
    return rested | dict.fromkeys(history.waiting, str(_("已有走访建议或安排")))


def find_dead(rule: ReminderRule) -> Findings:
    """Addresses that messages came back from, as long as they are those of a contact in office."""
    findings = Findings()
    today = clock.today()
    seen: set[int] = set()
    for message, contact, solicitation in _list_failures(rule.campaign):
        way = way_to(contact, message.channel)
        is_current = contact.is_valid_on(today) and way.address_hash == message.address_hash
        if not is_current or solicitation.id in seen:
            continue
        seen.add(solicitation.id)
        reason = _(
            "%(day)s 的%(channel)s没有送到（%(failure)s），请核实联络员和联系方式",
            day=format_day(message.status_at),
            channel=message.channel.label,
            failure=message.failure.label if message.failure else "",
        )
        findings.todos.append(
            TodoProposal(
                key=make_key(rule, "message", message.id, solicitation.id),
                kind=TodoKind.FIND_CONTACT,
                solicitation=solicitation,
                contact_id=contact.id,
                owner=if_enabled(solicitation.solicitor),
                due_on=workdays.next_workday(today),
                reason=str(reason),
            )
        )
    return without_known(findings, rule)


def _list_failures(campaign: Campaign) -> list[tuple[Message, Contact, Solicitation]]:
    """Messages that failed for good, the newest first, unless a later one to the same address
    arrived; without units that are not asked this year."""
    later = aliased(Message)
    has_arrived = sa.exists().where(
        later.channel == Message.channel,
        later.address_hash == Message.address_hash,
        later.status == MessageStatus.DELIVERED,
        later.status_at > Message.status_at,
    )
    rows = db.session.execute(
        sa.select(Message, Contact, Solicitation)
        .join(MessageSolicitation, MessageSolicitation.message_id == Message.id)
        .join(Solicitation, Solicitation.id == MessageSolicitation.solicitation_id)
        .join(Contact, Contact.id == Message.contact_id)
        .where(
            Solicitation.campaign_id == campaign.id,
            Solicitation.is_exempt.is_(False),
            Solicitation.stage != Stage.DECLINED,
            Message.status == MessageStatus.FAILED,
            Message.failure.in_((FailureKind.BOUNCED, FailureKind.REJECTED)),
            ~has_arrived,
        )
        .options(joinedload(Solicitation.unit), joinedload(Solicitation.solicitor))
        .order_by(Message.status_at.desc(), Message.id.desc())
    )
    return [(message, contact, solicitation) for message, contact, solicitation in rows]
