"""What waits for a person: shown on the dashboard and told in the digest."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from flask_babel import lazy_gettext as _

from outreach import clock, workdays
from outreach.campaigns.models import Campaign, Solicitation
from outreach.db import db
from outreach.gifts.models import LineStatus, StatementLine
from outreach.meetings.models import ActionItem, Meeting
from outreach.messages.models import Message, MessageStatus, Wave, WaveStatus
from outreach.terms import Term
from outreach.todos.models import Todo, TodoKind
from outreach.todos.queries import is_due
from outreach.visits.models import Visit, VisitStatus

CALENDAR_WARNING_FROM = (11, 15)
"""Month and day from which next year's holidays should be known."""


class DecisionKind(Term):
    APPROVE_WAVE = "approve_wave", _("提醒批次等待审批")
    RELEASE_WAVE = "release_wave", _("提醒批次已停下，等待处理")
    RULE_DRAFT = "rule_draft", _("规则起草的批次等待核对")
    UNKNOWN_MESSAGE = "unknown_message", _("消息发送结果不明，需要核实")
    FAILED_MESSAGE = "failed_message", _("一周内发送失败或被退回的消息，需要核对联系方式")
    OPEN_LINE = "open_line", _("到账款项等待认领")
    PRESIDENT_TODO = "president_todo", _("请会长对接的单位，等待秘书长安排")
    CONFIRM_VISIT = "confirm_visit", _("建议的走访等待确认")
    OVERDUE_TODO = "overdue_todo", _("待办已逾期")
    OVERDUE_ACTION = "overdue_action", _("会议事项已逾期")
    CALENDAR = "calendar", _("明年的节假日安排尚未确认")
    MISSED_UNIT = "missed_unit", _("提醒被拦下或过期、现在可以补发的单位")
    LOST_DIGEST = "lost_digest", _("本周周报可能已经发出，需要核实")
    """These two on the dashboard only: a digest does not tell of itself, and knows no waves."""


_COUNTED = [
    kind
    for kind in DecisionKind
    if kind not in {DecisionKind.MISSED_UNIT, DecisionKind.LOST_DIGEST}
]


def count_decisions(
    campaign: Campaign, failed_from: datetime, failed_before: datetime
) -> dict[DecisionKind, int]:
    """The kinds of which there are any, most pressing first, counted in one statement."""
    today = clock.today()
    waves = Wave.campaign_id == campaign.id
    messages = Message.campaign_id == campaign.id
    todos = sa.and_(
        Todo.solicitation_id == Solicitation.id,
        Solicitation.campaign_id == campaign.id,
        is_due(campaign),
    )
    counts = db.session.execute(
        sa.select(
            _count(Wave, waves, Wave.status == WaveStatus.IN_REVIEW),
            _count(Wave, waves, Wave.status.in_((WaveStatus.HELD, WaveStatus.PAUSED))),
            _count(Wave, waves, Wave.status == WaveStatus.DRAFT, Wave.proposal_key.is_not(None)),
            _count(Message, messages, Message.status == MessageStatus.UNKNOWN),
            _count(
                Message,
                messages,
                Message.status == MessageStatus.FAILED,
                Message.status_at >= failed_from,
                Message.status_at < failed_before,
            ),
            _count(
                StatementLine,
                StatementLine.campaign_id == campaign.id,
                StatementLine.status == LineStatus.OPEN,
            ),
            _count(Todo, todos, Todo.kind == TodoKind.PRESIDENT),
            _count(
                Visit,
                Visit.status == VisitStatus.PROPOSED,
                Visit.solicitation_id == Solicitation.id,
                Solicitation.campaign_id == campaign.id,
            ),
            _count(Todo, todos, Todo.kind != TodoKind.PRESIDENT, Todo.due_on < today),
            _count(
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
    return {
        kind: count
        for kind, count in zip(_COUNTED, [*counts, int(is_unknown)], strict=True)
        if count
    }


def _count(table: Any, *conditions: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    return sa.select(sa.func.count(table.id)).where(*conditions).scalar_subquery()
