"""What the pages that look across capabilities show."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import contains_eager

from outreach import clock, workdays
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, Solicitation
from outreach.campaigns.queries import in_scope
from outreach.db import db
from outreach.gifts.standings import Standing
from outreach.meetings.models import ActionItem, Meeting
from outreach.messages.models import Message, MessageStatus, Wave, WaveStatus
from outreach.terms import Term
from outreach.units.models import Contact, Unit, UnitAlias
from outreach.visits.models import Visit, VisitStatus

CALENDAR_WARNING_FROM = (11, 15)
"""Month and day from which next year's holidays should be known."""
MOST_FOUND = 20


class DecisionKind(Term):
    APPROVE_WAVE = "approve_wave", _("提醒批次等待审批")
    RELEASE_WAVE = "release_wave", _("提醒批次已停下，等待处理")
    UNKNOWN_MESSAGE = "unknown_message", _("消息发送结果不明，需要核实")
    CONFIRM_VISIT = "confirm_visit", _("建议的走访等待确认")
    OVERDUE_ACTION = "overdue_action", _("会议事项已超期")
    CALENDAR = "calendar", _("明年的节假日安排尚未确认")


@dataclass(frozen=True)
class Decision:
    kind: DecisionKind
    count: int


def list_decisions(campaign: Campaign) -> list[Decision]:
    """What waits for a person, most pressing first; one statement for all counts."""
    today = clock.today()

    def count(table: Any, *conditions: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
        return sa.select(sa.func.count(table.id)).where(*conditions).scalar_subquery()

    waves = Wave.campaign_id == campaign.id
    counts = db.session.execute(
        sa.select(
            count(Wave, waves, Wave.status == WaveStatus.IN_REVIEW),
            count(Wave, waves, Wave.status.in_((WaveStatus.HELD, WaveStatus.PAUSED))),
            count(
                Message,
                Message.campaign_id == campaign.id,
                Message.status == MessageStatus.UNKNOWN,
            ),
            count(
                Visit,
                Visit.status == VisitStatus.PROPOSED,
                Visit.solicitation_id == Solicitation.id,
                Solicitation.campaign_id == campaign.id,
            ),
            count(
                ActionItem,
                ActionItem.completed_at.is_(None),
                ActionItem.due_on < today,
                ActionItem.meeting_id == Meeting.id,
                Meeting.campaign_id == campaign.id,
            ),
        )
    ).one()
    is_late = (today.month, today.day) >= CALENDAR_WARNING_FROM
    is_unknown = is_late and not workdays.is_known(today.year + 1)
    return [
        Decision(kind, number)
        for kind, number in zip(DecisionKind, [*counts, int(is_unknown)], strict=True)
        if number
    ]


@dataclass(frozen=True)
class Comparison:
    """A sector's units against last year, each unit in exactly one group."""

    new: list[Standing]
    up: list[Standing]
    down: list[Standing]
    same: list[Standing]
    not_yet: list[Standing]
    """Gave last year and nothing so far this year."""
    neither: list[Standing]


def compare(standings: Sequence[Standing]) -> Comparison:
    groups = Comparison([], [], [], [], [], [])
    for standing in standings:
        now, before = standing.given_fen, standing.previous_fen
        if now > 0 and before <= 0:
            groups.new.append(standing)
        elif now <= 0:
            (groups.not_yet if before > 0 else groups.neither).append(standing)
        elif now == before:
            groups.same.append(standing)
        else:
            (groups.up if now > before else groups.down).append(standing)
    return groups


def search_units(campaign: Campaign, viewer: User, text: str) -> list[Solicitation]:
    """Units of the campaign whose name, former name or pinyin initials hold the text, or whose
    contact's phone ends in it (four digits or more)."""
    text = text.strip()
    if not text:
        return []
    matches = [
        Unit.name.contains(text, autoescape=True),
        Unit.short_name.contains(text, autoescape=True),
        Unit.initials.contains(text.lower(), autoescape=True),
        sa.exists().where(
            UnitAlias.unit_id == Unit.id, UnitAlias.name.contains(text, autoescape=True)
        ),
    ]
    if text.isdigit() and len(text) >= 4:
        matches.append(sa.exists().where(Contact.unit_id == Unit.id, Contact.mobile.endswith(text)))
    statement = (
        sa.select(Solicitation)
        .join(Solicitation.unit)
        .join(Solicitation.sector)
        .options(contains_eager(Solicitation.unit), contains_eager(Solicitation.sector))
        .where(
            Solicitation.campaign_id == campaign.id,
            in_scope(viewer, Solicitation.sector_id),
            sa.or_(*matches),
        )
        .order_by(sa.func.length(Unit.name), Unit.name)
        .limit(MOST_FOUND)
    )
    return list(db.session.scalars(statement))
