"""Reads behind the weekly digest."""

from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import joinedload

from outreach import clock
from outreach.access import Role
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, Solicitation
from outreach.db import db
from outreach.digests.decisions import count_decisions
from outreach.digests.figures import (
    DecisionLine,
    Figures,
    MeetingLine,
    NewlyGiven,
    SectorLine,
    VisitLine,
)
from outreach.digests.models import Digest
from outreach.errors import NotFound
from outreach.gifts.models import Gift
from outreach.gifts.queries import or_zero
from outreach.gifts.standings import SectorFigures, list_standings, read_figures
from outreach.meetings.models import MeetingStatus
from outreach.meetings.queries import list_meetings
from outreach.messages.models import Message, Purpose
from outreach.visits.models import Visit, VisitStatus
from outreach.visits.queries import list_visits

SECRETARIAT = (Role.SECRETARY_GENERAL, Role.STAFF)
"""Who gets the digest by e-mail."""


def list_digests(campaign: Campaign) -> list[Digest]:
    """Newest first."""
    return list(
        db.session.scalars(
            sa.select(Digest)
            .filter_by(campaign_id=campaign.id)
            .order_by(Digest.iso_year.desc(), Digest.iso_week.desc())
        )
    )


def get_digest(campaign: Campaign, digest_id: int) -> Digest:
    digest = db.session.scalar(sa.select(Digest).filter_by(campaign_id=campaign.id, id=digest_id))
    if digest is None:
        raise NotFound(_("没有这一期周报。"))
    return digest


def find_digest(campaign: Campaign, day: date) -> Digest | None:
    """The digest that was built in the ISO week of `day`."""
    year, week, _weekday = day.isocalendar()
    return db.session.scalar(
        sa.select(Digest)
        .filter_by(campaign_id=campaign.id, iso_year=year, iso_week=week)
        .options(joinedload(Digest.campaign))
    )


def list_recipients() -> list[User]:
    return list(
        db.session.scalars(
            sa.select(User)
            .where(User.role.in_(SECRETARIAT), User.is_enabled, User.email != "")
            .order_by(User.id)
        )
    )


def read_week(campaign: Campaign, monday: date, before: Digest | None) -> Figures:
    """Figures of the week that ended on the eve of `monday`, and what is ahead in the week that
    begins then. `before` is the digest of the week before."""
    first, last = monday - timedelta(days=7), monday - timedelta(days=1)
    figures = read_figures(campaign)
    whole = figures.campaign
    earlier_fen, week_fen = _sum_by_week(campaign, first, last)
    return Figures(
        first=first,
        last=last,
        total_fen=whole.total_fen,
        allocated_fen=whole.allocated_fen,
        unallocated_fen=whole.unallocated_fen,
        individual_fen=whole.individual_fen,
        goal_fen=whole.goal_fen,
        previous_total_fen=whole.previous_total_fen,
        previous_by_now_fen=whole.previous_by_now_fen,
        pace_basis=whole.pace_basis,
        opening_fen=before.figures["total_fen"] if before else earlier_fen,
        week_fen=week_fen,
        unit_count=whole.unit_count,
        given_count=whole.given_count,
        outstanding_count=whole.outstanding_count,
        sectors=[_sector_line(sector) for sector in figures.sectors],
        newly_given=_list_newly_given(campaign, first, last),
        logged_visit_count=_count_logged_visits(campaign, first, last),
        sent_message_count=_count_sent_messages(campaign, first, last),
        visits=_list_visits(campaign, monday),
        meetings=_list_meetings(campaign, monday),
        decisions=[
            DecisionLine(kind=kind, count=count)
            for kind, count in count_decisions(
                campaign, clock.start_of(first), clock.start_of(monday)
            ).items()
        ],
    )


def _sector_line(figures: SectorFigures) -> SectorLine:
    return SectorLine(
        sector_id=figures.sector.id,
        name=figures.sector.name,
        amount_fen=figures.amount_fen,
        previous_fen=figures.previous_fen,
        by_now_fen=figures.expected_fen,
        unit_count=figures.unit_count,
        given_count=figures.given_count,
        outstanding_count=figures.outstanding_count,
        lag=figures.lag,
        is_lagging=figures.is_lagging,
    )


def _sum_by_week(campaign: Campaign, first: date, last: date) -> tuple[int, int]:
    """Fen that had come in before the week, and fen that came in during it."""
    amount = Gift.amount_fen
    earlier, week = db.session.execute(
        sa.select(
            or_zero(sa.func.sum(amount).filter(Gift.received_on < first)),
            or_zero(sa.func.sum(amount).filter(Gift.received_on.between(first, last))),
        ).where(Gift.campaign_id == campaign.id)
    ).one()
    return earlier, week


def _list_newly_given(campaign: Campaign, first: date, last: date) -> list[NewlyGiven]:
    """The largest first."""
    amount = Gift.amount_fen
    rows = db.session.execute(
        sa.select(
            Gift.unit_id,
            or_zero(sa.func.sum(amount).filter(Gift.received_on < first)),
            or_zero(sa.func.sum(amount).filter(Gift.received_on <= last)),
        )
        .where(Gift.campaign_id == campaign.id, Gift.unit_id.is_not(None))
        .group_by(Gift.unit_id)
        .having(sa.func.max(Gift.received_on) >= first)
    )
    sums = {unit_id: (before, after) for unit_id, before, after in rows}
    newly_given = []
    for standing in list_standings(campaign) if sums else []:
        solicitation = standing.solicitation
        before, after = sums.get(solicitation.unit_id, (0, 0))
        wanted = max(standing.pledged_fen, 1)
        if before < wanted <= after:
            newly_given.append(
                NewlyGiven(
                    unit_id=solicitation.unit_id,
                    name=solicitation.unit.name,
                    sector=solicitation.sector.name,
                    amount_fen=after,
                )
            )
    return sorted(newly_given, key=lambda unit: (-unit.amount_fen, unit.name))


def _list_visits(campaign: Campaign, monday: date) -> list[VisitLine]:
    visits = list_visits(
        campaign,
        first=monday,
        last=monday + timedelta(days=6),
        status=(VisitStatus.PROPOSED, VisitStatus.PLANNED),
    )
    return [
        VisitLine(
            unit_id=visit.solicitation.unit_id,
            unit=visit.solicitation.unit.name,
            day=visit.planned_on,
            at=visit.planned_time,
            visitor=visit.visitor.name if visit.visitor else "",
            is_proposed=visit.status is VisitStatus.PROPOSED,
        )
        for visit in visits
    ]


def _list_meetings(campaign: Campaign, monday: date) -> list[MeetingLine]:
    meetings = list_meetings(campaign, first=monday, last=monday + timedelta(days=6))
    return [
        MeetingLine(
            meeting_id=meeting.id,
            title=meeting.title,
            starts_at=meeting.starts_at,
            place=meeting.place,
        )
        for meeting in meetings
        if meeting.status is MeetingStatus.PLANNED
    ]


def _count_logged_visits(campaign: Campaign, first: date, last: date) -> int:
    return _count(
        sa.select(Visit.id)
        .join(Visit.solicitation)
        .where(
            Solicitation.campaign_id == campaign.id,
            Visit.status == VisitStatus.LOGGED,
            Visit.planned_on.between(first, last),
        )
    )


def _count_sent_messages(campaign: Campaign, first: date, last: date) -> int:
    """With those that bounced, and those of which nobody can know: they went out."""
    return _count(
        sa.select(Message.id).where(
            Message.campaign_id == campaign.id,
            Message.purpose.in_((Purpose.REMINDER, Purpose.INVITATION)),
            Message.sent_at >= clock.start_of(first),
            Message.sent_at < clock.start_of(last + timedelta(days=1)),
        )
    )


def _count(query: sa.Select[Any]) -> int:
    return db.session.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0
