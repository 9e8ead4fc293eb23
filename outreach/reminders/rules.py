"""What each rule finds on the day's data. These are reads only: nothing is written, so that a rule
can be tried before it is switched on, and so that running it twice finds nothing the second time.

Every proposal has a key that begins with its rule («rule:3:sector:7:2026-W43»); the key is unique.
Every reader may raise CalendarUnknown: a rule that cannot count working days waits.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import aliased, joinedload

from outreach import clock, workdays
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, Sector, Solicitation, Stage
from outreach.db import db
from outreach.gifts.models import Pledge
from outreach.gifts.standings import Standing, lags_on, list_standings
from outreach.messages.gate import describe
from outreach.messages.models import (
    Channel,
    FailureKind,
    Message,
    MessageSolicitation,
    MessageStatus,
    Purpose,
    TemplateVersion,
    Wave,
    WaveStatus,
    WithheldReason,
)
from outreach.relay import queries as relay
from outreach.relay.models import RelayState
from outreach.relay.queries import RelayUnit
from outreach.reminders.audience import (
    AudienceFilter,
    Member,
    SectorChoice,
    ask_gate,
    find_members,
    look_up,
    way_to,
)
from outreach.reminders.models import ReminderRule, RuleKind
from outreach.reminders.rendering import describe_day
from outreach.reminders.thanks import list_unthanked
from outreach.todos.models import Todo, TodoKind, TodoStatus
from outreach.units.models import Contact, ContactRole
from outreach.visits.history import History, read_history
from outreach.visits.silence import find_silent
from outreach.web import format_day

DEFAULTS: Final[dict[RuleKind, dict[str, int]]] = {
    RuleKind.LAGGING_SECTOR: {"points": 10, "workdays": 5},
    RuleKind.SILENT: {"workdays": 3},
    RuleKind.PLEDGE_OVERDUE: {"workdays": 5},
    RuleKind.GIFT_RECEIVED: {"workdays": 3},
    RuleKind.BOUNCED: {},
    RuleKind.RELAY: {"days": 14, "workdays": 5},
}
"""The numbers in the sentence of each rule, until somebody sets others."""
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

NOT_TO_BE_ASKED = frozenset(
    {
        WithheldReason.ALREADY_GIVEN,
        WithheldReason.PARTLY_GIVEN,
        WithheldReason.UNMATCHED_LINE,
        WithheldReason.PLEDGE_NOT_DUE,
        WithheldReason.DECLINED,
        WithheldReason.EXEMPT,
        WithheldReason.SNOOZED,
        WithheldReason.CAMPAIGN_CLOSED,
    }
)
"""What keeps the machine from a reminder keeps a person from a call; caps and addresses do not."""


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


def find_proposals(rule: ReminderRule) -> Findings:
    """What the rule would propose today and was not proposed before."""
    today = clock.today()
    if not workdays.is_known(today.year):
        raise workdays.CalendarUnknown(today.year)
    findings = _FINDERS[rule.kind](rule)
    drafted = set(db.session.scalars(sa.select(Wave.proposal_key).where(_is_of(Wave, rule))))
    for proposal in findings.waves:
        if proposal.key in drafted:
            findings.pass_over(proposal.name, _("本期已经起草过"))
    findings.waves = [proposal for proposal in findings.waves if proposal.key not in drafted]
    return findings


def number(rule: ReminderRule, name: str) -> int:
    """A number of the rule's sentence («points», «workdays»)."""
    return int((DEFAULTS[rule.kind] | rule.settings)[name])


def drafts_waves(kind: RuleKind) -> bool:
    """Whether the rule writes drafts, for which it needs a template; the others write to-dos."""
    return kind in DEFAULT_TEMPLATES


def current_version(rule: ReminderRule) -> TemplateVersion | None:
    """The newest wording of the rule's template; None without one in use."""
    if rule.template is None or rule.template.is_archived:
        return None
    return rule.template.versions[-1]


def _key(rule: ReminderRule, *parts: object) -> str:
    return ":".join(str(part) for part in ("rule", rule.id, *parts))


def _is_of(table: type[Wave] | type[Todo], rule: ReminderRule) -> sa.ColumnElement[bool]:
    """Condition: this rule proposed it."""
    return table.proposal_key.startswith(_key(rule, ""), autoescape=True)


# Drafts of waves


def _find_lagging(rule: ReminderRule) -> Findings:
    """Sectors that were behind at the end of each of the last working days, and still are."""
    findings = Findings()
    campaign, today = rule.campaign, clock.today()
    if not campaign.starts_on <= today <= campaign.ends_on:
        return findings
    points = number(rule, "points")
    finished = workdays.load_calendar().last_workdays(today, number(rule, "workdays"))
    lags = lags_on(campaign, [*finished, today])
    for sector in campaign.sectors:
        if all(by_sector[sector.id] > points for by_sector in lags.values()):
            _consider_sector(findings, rule, sector, lags[today][sector.id])
    return findings


def _consider_sector(findings: Findings, rule: ReminderRule, sector: Sector, lag: float) -> None:
    open_wave = _find_open_wave(rule.campaign, sector)
    if open_wave is not None:
        reason = _("批次“%(name)s”也写给这个板块，还没有结束", name=open_wave.name)
        findings.pass_over(sector.name, reason)
        return
    audience = AudienceFilter(sectors=SectorChoice.CHOSEN, sector_ids=(sector.id,))
    members = _find_members(rule, audience, Purpose.REMINDER)
    if not _free(members):
        findings.pass_over(sector.name, _("没有可以发送的收件人"))
        return
    year, week, _weekday = clock.today().isocalendar()
    day = describe_day(clock.today())
    reason = _(
        "连续 %(count)s 个工作日落后进度线超过 %(points)s 个百分点，现在落后 %(lag)s 个百分点",
        count=number(rule, "workdays"),
        points=number(rule, "points"),
        lag=f"{lag:.1f}",
    )
    findings.waves.append(
        WaveProposal(
            key=_key(rule, "sector", sector.id, f"{year}-W{week:02}"),
            name=str(_("%(sector)s：%(day)s提醒", sector=sector.name, day=day)),
            purpose=Purpose.REMINDER,
            audience=audience,
            members=members,
            reason=str(reason),
        )
    )


def _find_open_wave(campaign: Campaign, sector: Sector) -> Wave | None:
    """A reminder on its way to a whole sector. One that names its units is about something else."""
    waves = db.session.scalars(
        sa.select(Wave)
        .where(
            Wave.campaign_id == campaign.id,
            Wave.purpose == Purpose.REMINDER,
            Wave.status.not_in((WaveStatus.FINISHED, WaveStatus.CANCELLED)),
        )
        .order_by(Wave.id)
    )
    for wave in waves:
        audience = AudienceFilter.model_validate(wave.audience)
        is_meant = audience.sectors is not SectorChoice.CHOSEN or sector.id in audience.sector_ids
        if is_meant and not audience.solicitation_ids:
            return wave
    return None


def _find_overdue(rule: ReminderRule) -> Findings:
    """Each pledge once: a unit that does not answer is for a person, not for another letter. Whom
    the send gate withholds today is looked at again tomorrow."""
    findings = Findings()
    today = clock.today()
    audience = AudienceFilter(
        solicitation_ids=_list_overdue(findings, rule), role=ContactRole.FINANCE
    )
    if not audience.solicitation_ids:
        return findings
    members = _find_members(rule, audience, Purpose.REMINDER)
    _pass_over_withheld(findings, members)
    free = _free(members)
    if not free:
        return findings
    ids = tuple(member.solicitation.id for member in free)
    findings.waves.append(
        WaveProposal(
            key=_key(rule, "pledges", today.isoformat()),
            name=str(_("%(day)s认捐到账核对", day=describe_day(today))),
            purpose=Purpose.REMINDER,
            audience=audience.model_copy(update={"solicitation_ids": ids}),
            members=free,
            reason=str(
                _(
                    "认捐约定的日期已过 %(count)s 个工作日，还没有到账",
                    count=number(rule, "workdays"),
                )
            ),
        )
    )
    return findings


def _list_overdue(findings: Findings, rule: ReminderRule) -> tuple[int, ...]:
    """Solicitations with a pledge that is overdue and that the rule has not asked about."""
    today = clock.today()
    calendar = workdays.load_calendar()
    asked, pledged = _last_asked(rule), _last_pledged(rule.campaign)
    waiting = []
    for standing in list_standings(rule.campaign, outstanding_only=True):
        solicitation, due_on = standing.solicitation, standing.pledge_due_on
        if due_on is None or due_on >= today:
            continue
        if calendar.add_workdays(due_on, number(rule, "workdays")) >= today:
            continue
        asked_at = asked.get(solicitation.id)
        # Asked about one instalment, it is asked about the next one too.
        since = max(pledged[solicitation.id], clock.start_of(due_on + timedelta(days=1)))
        if asked_at is not None and asked_at >= since:
            findings.pass_over(solicitation.unit.name, _("这笔认捐已经起草过核对信"))
        else:
            waiting.append(solicitation.id)
    return tuple(waiting)


def _last_asked(rule: ReminderRule) -> dict[int, datetime]:
    """When the rule last drafted a letter about each solicitation, whatever became of it."""
    drafts = db.session.execute(
        sa.select(Wave.created_at, Wave.audience)
        .where(_is_of(Wave, rule))
        .order_by(Wave.created_at)
    )
    return {id_: at for at, audience in drafts for id_ in audience.get("solicitation_ids", ())}


def _last_pledged(campaign: Campaign) -> dict[int, datetime]:
    """When the open pledge of each solicitation was recorded."""
    rows = db.session.execute(
        sa.select(Pledge.solicitation_id, Pledge.recorded_at)
        .join(Pledge.solicitation)
        .where(Solicitation.campaign_id == campaign.id, Pledge.withdrawn_at.is_(None))
        .order_by(Pledge.recorded_at)
    )
    return dict(rows.all())


def _find_thanks(rule: ReminderRule) -> Findings:
    findings = Findings()
    today = clock.today()
    first = workdays.load_calendar().last_workdays(today, number(rule, "workdays"))[-1]
    gifts = list_unthanked(rule.campaign, recorded_from=clock.start_of(first))
    if not gifts:
        return findings
    audience = AudienceFilter(gift_ids=tuple(gift.id for gift in gifts))
    members = _find_members(rule, audience, Purpose.THANKS)
    if not _free(members):
        _pass_over_withheld(findings, members)
        return findings
    findings.waves.append(
        WaveProposal(
            key=_key(rule, "thanks", today.isoformat()),
            name=str(_("%(day)s感谢信", day=describe_day(today))),
            purpose=Purpose.THANKS,
            audience=audience,
            members=members,
            reason=str(_("%(first)s 以来登记的到账，还没有致谢", first=format_day(first))),
        )
    )
    return findings


def _find_members(rule: ReminderRule, audience: AudienceFilter, purpose: Purpose) -> list[Member]:
    channel = rule.template.channel if rule.template else Channel.EMAIL
    return find_members(rule.campaign, audience, [channel], purpose)


def _free(members: Iterable[Member]) -> list[Member]:
    return [member for member in members if member.withheld is None]


def _pass_over_withheld(findings: Findings, members: Iterable[Member]) -> None:
    for member in members:
        if member.withheld is not None:
            why = describe(member.withheld.reason, member.withheld.facts)
            findings.pass_over(member.solicitation.unit.name, why)


# To-dos


def _find_silent(rule: ReminderRule) -> Findings:
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
                key=_key(rule, silence.key),
                kind=TodoKind.CALL,
                solicitation=solicitation,
                contact_id=silence.reminder.contact_id,
                owner=_enabled(solicitation.solicitor),
                due_on=workdays.next_workday(today),
                reason=str(reason),
            )
        )
    return _less_known(findings, rule)


def _explain_rest(
    campaign: Campaign, standings: Sequence[Standing], history: History
) -> dict[int, str]:
    """Why nobody should call some of the units today, by solicitation."""
    members = look_up(campaign, standings, [Channel.EMAIL])
    rested = {
        solicitation_id: describe(withheld.reason, withheld.facts)
        for solicitation_id, withheld in ask_gate(campaign, members).items()
        if withheld.reason in NOT_TO_BE_ASKED
    }
    return rested | dict.fromkeys(history.waiting, str(_("已有走访建议或安排")))


def _find_dead(rule: ReminderRule) -> Findings:
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
                key=_key(rule, "message", message.id, solicitation.id),
                kind=TodoKind.FIND_CONTACT,
                solicitation=solicitation,
                contact_id=contact.id,
                owner=_enabled(solicitation.solicitor),
                due_on=workdays.next_workday(today),
                reason=str(reason),
            )
        )
    return _less_known(findings, rule)


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


def _find_unconfirmed(rule: ReminderRule) -> Findings:
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
                key=_key(rule, "unit", unit.solicitation.id),
                kind=TodoKind.CONFIRM,
                solicitation=unit.solicitation,
                contact_id=unit.letter.contact_id if unit.letter else None,
                owner=_enabled(unit.solicitation.solicitor),
                due_on=workdays.next_workday(today),
                reason=str(reason),
            )
        )
    return _less_known(findings, rule)


def _add_relay(findings: Findings, rule: ReminderRule, units: Sequence[RelayUnit]) -> None:
    unasked = [unit.solicitation.id for unit in units if unit.state is RelayState.NOT_SENT]
    is_for_all = len(unasked) == len(units)
    audience = AudienceFilter(solicitation_ids=() if is_for_all else tuple(unasked))
    members = _find_members(rule, audience, Purpose.RELAY) if unasked else []
    if not _free(members):
        _pass_over_withheld(findings, members)
        return
    starts_on = format_day(rule.campaign.starts_on)
    findings.waves.append(
        WaveProposal(
            # Who cancels a draft has decided. To have another, the rule is switched off and on.
            key=_key(rule, "letter", rule.version),
            name=str(_("%(campaign)s联络信息核对", campaign=rule.campaign.name)),
            purpose=Purpose.RELAY,
            audience=audience,
            members=members,
            reason=str(_("活动 %(day)s 开始，请各单位先核对由谁联络", day=starts_on)),
        )
    )


def _less_known(findings: Findings, rule: ReminderRule) -> Findings:
    """Without what was proposed before, and what the unit waits for already."""
    known = set(db.session.scalars(sa.select(Todo.proposal_key).where(_is_of(Todo, rule))))
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


def _enabled(user: User | None) -> User | None:
    return user if user is not None and user.is_enabled else None


_FINDERS: Final[dict[RuleKind, Callable[[ReminderRule], Findings]]] = {
    RuleKind.LAGGING_SECTOR: _find_lagging,
    RuleKind.SILENT: _find_silent,
    RuleKind.PLEDGE_OVERDUE: _find_overdue,
    RuleKind.GIFT_RECEIVED: _find_thanks,
    RuleKind.BOUNCED: _find_dead,
    RuleKind.RELAY: _find_unconfirmed,
}
