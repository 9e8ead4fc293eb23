"""Rules that draft waves: to sectors that lag, about pledges that are overdue, to thank."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from flask_babel import lazy_gettext as _

from outreach import clock, workdays
from outreach.campaigns.models import Campaign, Sector, Solicitation
from outreach.db import db
from outreach.gifts.models import Pledge
from outreach.gifts.standings import lags_on, list_standings
from outreach.messages.models import Purpose, Wave, WaveStatus
from outreach.reminders.audience import AudienceFilter, SectorChoice
from outreach.reminders.models import ReminderRule
from outreach.reminders.proposals import (
    Findings,
    WaveProposal,
    is_of,
    list_free,
    list_members,
    make_key,
    number,
    pass_over_withheld,
)
from outreach.reminders.rendering import describe_day
from outreach.reminders.thanks import list_unthanked
from outreach.units.models import ContactRole
from outreach.web import format_day


def find_lagging(rule: ReminderRule) -> Findings:
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
    members = list_members(rule, audience, Purpose.REMINDER)
    if not list_free(members):
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
            key=make_key(rule, "sector", sector.id, f"{year}-W{week:02}"),
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


def find_overdue(rule: ReminderRule) -> Findings:
    """Each pledge once: a unit that does not answer is for a person, not for another letter. Whom
    the send gate withholds today is looked at again tomorrow."""
    findings = Findings()
    today = clock.today()
    audience = AudienceFilter(
        solicitation_ids=_list_overdue(findings, rule), role=ContactRole.FINANCE
    )
    if not audience.solicitation_ids:
        return findings
    members = list_members(rule, audience, Purpose.REMINDER)
    pass_over_withheld(findings, members)
    free = list_free(members)
    if not free:
        return findings
    ids = tuple(member.solicitation.id for member in free)
    findings.waves.append(
        WaveProposal(
            key=make_key(rule, "pledges", today.isoformat()),
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
        sa.select(Wave.created_at, Wave.audience).where(is_of(Wave, rule)).order_by(Wave.created_at)
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


def find_thanks(rule: ReminderRule) -> Findings:
    findings = Findings()
    today = clock.today()
    first = workdays.load_calendar().last_workdays(today, number(rule, "workdays"))[-1]
    gifts = list_unthanked(rule.campaign, recorded_from=clock.start_of(first))
    if not gifts:
        return findings
    audience = AudienceFilter(gift_ids=tuple(gift.id for gift in gifts))
    members = list_members(rule, audience, Purpose.THANKS)
    if not list_free(members):
        pass_over_withheld(findings, members)
        return findings
    findings.waves.append(
        WaveProposal(
            key=make_key(rule, "thanks", today.isoformat()),
            name=str(_("%(day)s感谢信", day=describe_day(today))),
            purpose=Purpose.THANKS,
            audience=audience,
            members=members,
            reason=str(_("%(first)s 以来登记的到账，还没有致谢", first=format_day(first))),
        )
    )
    return findings
