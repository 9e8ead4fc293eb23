"""This year's campaign, two thirds of the way on the day it is made."""

import random
from datetime import date, datetime, time, timedelta

from outreach import clock, workdays
from outreach.accounts.models import User
from outreach.campaigns.models import (
    Campaign,
    CampaignStatus,
    DeclineReason,
    Sector,
    Solicitation,
    Stage,
    StageCause,
    StageChange,
)
from outreach.db import db
from outreach.demo.figures import STEP_FEN, TOTAL_2023, SectorFigure
from outreach.demo.history import Year, make_gift, open_campaign, pick_day
from outreach.gifts.models import Gift, GiftKind, Instalment, Pledge
from outreach.meetings.models import (
    ActionItem,
    Attendee,
    Meeting,
    MeetingStatus,
    PartStat,
)
from outreach.units.models import Unit
from outreach.visits.models import Visit, VisitOutcome, VisitStatus

DAYS_BEHIND, DAYS_AHEAD = 83, 39
LAGGING = {"国资系统", "金融系统", "卫健系统", "民营企业", "司法系统", "高新区"}
"""Sectors that are made to run behind, so that there is something to do."""
STAGES = (Stage.NOT_CONTACTED, Stage.CONTACTED, Stage.VISITED, Stage.PLEDGED, Stage.DECLINED)
STAGE_WEIGHTS = (18, 42, 22, 14, 4)
NOTES = {
    VisitOutcome.WILL_DISCUSS: "联络员热情接待，表示需报班子会研究后答复。",
    VisitOutcome.COME_AGAIN: "分管领导外出开会，请下周再来。",
    VisitOutcome.PLEDGED: "已同意参加，近期安排转账。",
    VisitOutcome.NOT_IN: "未见到负责人，材料留给值班同志。",
    VisitOutcome.DECLINED: "今年经费紧张，婉拒，感谢理解。",
}


def make_running_campaign(
    sectors: list[SectorFigure],
    register: dict[str, list[Unit]],
    solicitors: dict[str, User],
    secretary: User,
    previous: Campaign,
    chance: random.Random,
) -> Campaign:
    today = clock.today()
    first_day = today - timedelta(days=DAYS_BEHIND)
    year = Year(
        code=str(first_day.year),
        first_day=first_day,
        last_day=today + timedelta(days=DAYS_AHEAD),
        goal_fen=round(TOTAL_2023 * 1.05 / 10_000_000) * 10_000_000,
        amounts={},
        unallocated_fen=0,
        donor_count=0,
        absent_share=0,
    )
    campaign = open_campaign(year, sectors, previous, CampaignStatus.RUNNING)
    last_year = _amounts_by_unit(previous)
    outstanding: list[Solicitation] = []
    for sector in campaign.sectors:
        for unit in register[sector.name]:
            solicitation = Solicitation(
                campaign_id=campaign.id,
                unit_id=unit.id,
                sector_id=sector.id,
                solicitor_id=solicitors[sector.name].id,
            )
            db.session.add(solicitation)
            db.session.flush()
            solicitation.campaign = campaign
            if not _give(solicitation, sector, last_year.get(unit.id, 0), chance):
                outstanding.append(solicitation)
    _make_sector_gifts(campaign, previous, chance)
    for number, solicitation in enumerate(outstanding):
        _bring_to_stage(solicitation, number, last_year.get(solicitation.unit_id, 0), chance)
    db.session.flush()
    _make_visits_ahead(outstanding, today, chance)
    _make_meetings(campaign, outstanding, list(dict.fromkeys(solicitors.values())), secretary)
    db.session.flush()
    return campaign


def _amounts_by_unit(campaign: Campaign) -> dict[int, int]:
    amounts: dict[int, int] = {}
    for gift in db.session.query(Gift).filter_by(campaign_id=campaign.id):
        if gift.unit_id:
            amounts[gift.unit_id] = amounts.get(gift.unit_id, 0) + gift.amount_fen
    return amounts


def _give(
    solicitation: Solicitation, sector: Sector, amount_fen: int, chance: random.Random
) -> bool:
    """Whether the unit has given by now; if so its gift is made."""
    campaign, today = solicitation.campaign, clock.today()
    day = pick_day(campaign.starts_on, campaign.ends_on, chance, late=2.2)
    if sector.name in LAGGING:
        day += timedelta(days=30)
    if day > today:
        return False
    share = chance.uniform(0.85, 1.22)
    gift = make_gift(campaign, max(round(amount_fen * share / STEP_FEN), 3) * STEP_FEN, day, chance)
    gift.unit_id, gift.sector_id = solicitation.unit_id, sector.id
    gift.donor_count = chance.randint(3, 180)
    solicitation.stage = chance.choice((Stage.CONTACTED, Stage.VISITED, Stage.PLEDGED))
    solicitation.last_contact_on = day
    db.session.add(gift)
    if solicitation.stage is Stage.VISITED:
        _log_visit(solicitation, day - timedelta(days=chance.randint(4, 20)), chance)
    return True


def _make_sector_gifts(campaign: Campaign, previous: Campaign, chance: random.Random) -> None:
    """Persons who give to a sector that has no units go on giving as they did last year."""
    shift = campaign.starts_on - previous.starts_on
    names = {sector.id: sector.name for sector in previous.sectors}
    ids = {sector.name: sector.id for sector in campaign.sectors}
    for old in db.session.query(Gift).filter_by(campaign_id=previous.id, unit_id=None):
        day = old.received_on + shift
        if day <= clock.today():
            amount = max(round(old.amount_fen * chance.uniform(0.8, 1.3) / 100), 1) * 100
            gift = make_gift(campaign, amount, day, chance)
            gift.kind, gift.channel = GiftKind.INDIVIDUAL, old.channel
            gift.sector_id = ids[names[old.sector_id]] if old.sector_id else None
            gift.donor_count = chance.randint(1, 90)
            db.session.add(gift)


def _bring_to_stage(
    solicitation: Solicitation, number: int, last_year_fen: int, chance: random.Random
) -> None:
    today = clock.today()
    stage = chance.choices(STAGES, STAGE_WEIGHTS)[0]
    reached_on = today - timedelta(days=chance.randint(2, 45))
    if stage is not Stage.NOT_CONTACTED:
        solicitation.last_contact_on = reached_on
        db.session.add(_change(solicitation, stage, reached_on))
    solicitation.stage = stage
    if stage is Stage.DECLINED:
        solicitation.decline_reason = chance.choice(list(DeclineReason))
    if stage in {Stage.VISITED, Stage.PLEDGED}:
        _log_visit(solicitation, reached_on, chance)
    if stage is Stage.PLEDGED:
        _pledge(solicitation, last_year_fen, reached_on, number, chance)
    elif stage is not Stage.DECLINED:
        _plan(solicitation, number, chance)


def _change(solicitation: Solicitation, stage: Stage, day: date) -> StageChange:
    return StageChange(
        solicitation_id=solicitation.id,
        at=clock.at(day, time(15, 10)),
        from_stage=Stage.NOT_CONTACTED,
        to_stage=stage,
        cause=StageCause.DEMO,
    )


def _pledge(
    solicitation: Solicitation,
    last_year_fen: int,
    day: date,
    number: int,
    chance: random.Random,
) -> None:
    amount = max(round(last_year_fen * chance.uniform(0.9, 1.2) / STEP_FEN), 10) * STEP_FEN
    due_on = clock.today() + timedelta(days=chance.randint(-12, 30))
    db.session.add(
        Pledge(
            solicitation_id=solicitation.id,
            amount_fen=amount,
            pledged_on=day,
            instalments=[Instalment(due_on=due_on, amount_fen=amount, owed_fen=amount)],
            recorded_at=clock.at(day, time(16)),
            recorded_by_id=solicitation.solicitor_id,
        )
    )
    if number % 4 == 0:
        paid_on = clock.today() - timedelta(days=number % 13)
        gift = make_gift(solicitation.campaign, amount // STEP_FEN // 2 * STEP_FEN, paid_on, chance)
        gift.unit_id, gift.sector_id = solicitation.unit_id, solicitation.sector_id
        gift.donor_count = chance.randint(3, 40)
        db.session.add(gift)


def _plan(solicitation: Solicitation, number: int, chance: random.Random) -> None:
    today = clock.today()
    if number % 41 == 0:
        solicitation.is_exempt = True
    elif number % 29 == 0:
        solicitation.snoozed_until = today + timedelta(days=chance.randint(3, 15))
        solicitation.next_action = "年底预算下达后再联系"
    elif number % 2:
        solicitation.next_action = chance.choice(
            ("电话确认联络员", "上门拜访分管领导", "送达倡议书", "了解党组会研究结果", "寄送感谢信")
        )
        solicitation.next_action_on = today + timedelta(days=chance.randint(-6, 12))


def _log_visit(solicitation: Solicitation, day: date, chance: random.Random) -> None:
    outcome = {
        Stage.PLEDGED: VisitOutcome.PLEDGED,
        Stage.DECLINED: VisitOutcome.DECLINED,
    }.get(
        solicitation.stage,
        chance.choice((VisitOutcome.WILL_DISCUSS, VisitOutcome.WILL_DISCUSS, VisitOutcome.NOT_IN)),
    )
    logged_at = clock.at(day, time(chance.randint(9, 16), chance.choice((0, 15, 40))))
    db.session.add(
        Visit(
            solicitation_id=solicitation.id,
            visitor_id=solicitation.solicitor_id,
            status=VisitStatus.LOGGED,
            planned_on=day,
            outcome=outcome,
            note=NOTES[outcome],
            logged_at=logged_at,
            created_at=logged_at,
        )
    )


def _make_visits_ahead(outstanding: list[Solicitation], today: date, chance: random.Random) -> None:
    """Two visits a day for each solicitor, today and the next working days."""
    days = [
        day
        for day in (today + timedelta(days=offset) for offset in range(8))
        if day.weekday() < 5 or day == today
    ][:4]
    asked = {Stage.CONTACTED, Stage.VISITED}
    ready = [one for one in outstanding if one.stage in asked and not one.is_exempt]
    by_solicitor: dict[int | None, list[Solicitation]] = {}
    for solicitation in ready:
        by_solicitor.setdefault(solicitation.solicitor_id, []).append(solicitation)
    for solicitor_id, group in by_solicitor.items():
        for number, solicitation in enumerate(group[: 2 * len(days)]):
            db.session.add(
                Visit(
                    solicitation_id=solicitation.id,
                    visitor_id=solicitor_id,
                    status=VisitStatus.PLANNED,
                    planned_on=days[number // 2],
                    planned_time=time(9, 30) if number % 2 == 0 else time(15, 0),
                    reason="了解研究结果",
                    created_at=clock.now() - timedelta(days=chance.randint(1, 5)),
                )
            )


def _make_meetings(
    campaign: Campaign, outstanding: list[Solicitation], staff: list[User], secretary: User
) -> None:
    held_on = campaign.starts_on + timedelta(days=9)
    held = _make_meeting(campaign, secretary, held_on, "慈善一日捐动员部署会", MeetingStatus.HELD)
    held.minutes = (
        "会议通报了上年度募捐情况，部署本年度工作。\n"
        "会议强调，捐赠坚持自愿原则，不下指标、不搞摊派，各系统按时报送联络员名单。"
    )
    soon = clock.today() + timedelta(days=4)
    while not _may_meet(soon):
        soon += timedelta(days=1)
    ahead = _make_meeting(campaign, secretary, soon, "募捐协调会（第二次）", MeetingStatus.PLANNED)
    ahead.agenda = "一、通报各板块进度\n二、研究进度滞后板块的走访安排\n三、年底前工作分工"
    for number, solicitation in enumerate(outstanding[:40:2]):
        unit = db.session.get_one(Unit, solicitation.unit_id)
        if not unit.contacts:
            continue
        held.attendees.append(
            Attendee(
                contact_id=unit.contacts[0].id,
                partstat=PartStat.DECLINED if number % 7 == 6 else PartStat.ACCEPTED,
                signed_in_at=None if number % 7 == 6 else held.starts_at,
            )
        )
        ahead.attendees.append(
            Attendee(
                contact_id=unit.contacts[0].id,
                partstat=PartStat.ACCEPTED if number % 3 == 0 else PartStat.NEEDS_ACTION,
            )
        )
    for meeting in (held, ahead):
        meeting.attendees += [Attendee(user_id=user.id) for user in staff]
    db.session.add_all(
        ActionItem(
            meeting=held,
            owner_id=staff[number].id,
            unit_id=outstanding[number * 3].unit_id,
            text=text,
            due_on=clock.today() + timedelta(days=days),
            completed_at=clock.now() if days < -20 else None,
        )
        for number, (text, days) in enumerate(
            (
                ("汇总各系统联络员名单", -60),
                ("向国资系统各单位送达倡议书", -5),
                ("与金融系统商定集中走访时间", 6),
            )
        )
    )


def _make_meeting(
    campaign: Campaign, organizer: User, day: date, title: str, status: MeetingStatus
) -> Meeting:
    starts_at: datetime = clock.at(day, time(15))
    meeting = Meeting(
        campaign_id=campaign.id,
        uid=f"demo-{day:%Y%m%d}@outreach.example",
        title=title,
        starts_at=starts_at,
        ends_at=starts_at + timedelta(hours=1, minutes=30),
        place="慈善总会三楼会议室",
        status=status,
        organizer_id=organizer.id,
        created_at=clock.at(day - timedelta(days=7), time(9)),
    )
    db.session.add(meeting)
    return meeting


def _may_meet(day: date) -> bool:
    try:
        return workdays.is_workday(day)
    except workdays.CalendarUnknown:
        return day.weekday() < 5
