"""What a person has to do, as far as it has a day: of running campaigns."""

from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from outreach import clock
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, CampaignStatus, Solicitation
from outreach.db import db
from outreach.meetings.models import ActionItem, Attendee, Meeting
from outreach.todos.models import Todo, TodoStatus
from outreach.visits.models import Visit, VisitStatus

PAST = timedelta(days=30)
IS_RUNNING = Campaign.status == CampaignStatus.RUNNING


def list_visits(user: User) -> Sequence[Visit]:
    """Those that are planned; a proposal is nobody's appointment yet."""
    return db.session.scalars(
        sa.select(Visit)
        .join(Visit.solicitation)
        .join(Solicitation.campaign)
        .options(joinedload(Visit.solicitation).joinedload(Solicitation.unit))
        .where(
            IS_RUNNING,
            Visit.visitor_id == user.id,
            Visit.status == VisitStatus.PLANNED,
            Visit.planned_on >= clock.today() - PAST,
        )
        .order_by(Visit.planned_on, Visit.id)
    ).all()


def list_meetings(user: User) -> Sequence[Meeting]:
    """That they called or are invited to, also those called off, which a calendar must learn."""
    invited = sa.select(Attendee.meeting_id).where(Attendee.user_id == user.id)
    return db.session.scalars(
        sa.select(Meeting)
        .join(Meeting.campaign)
        .where(
            IS_RUNNING,
            sa.or_(Meeting.organizer_id == user.id, Meeting.id.in_(invited)),
            Meeting.starts_at >= clock.now() - PAST,
        )
        .order_by(Meeting.starts_at, Meeting.id)
    ).all()


def list_action_items(user: User) -> Sequence[ActionItem]:
    return db.session.scalars(
        sa.select(ActionItem)
        .join(ActionItem.meeting)
        .join(Meeting.campaign)
        .options(joinedload(ActionItem.meeting), joinedload(ActionItem.unit))
        .where(IS_RUNNING, ActionItem.owner_id == user.id, ActionItem.completed_at.is_(None))
        .order_by(ActionItem.due_on, ActionItem.id)
    ).all()


def list_todos(user: User) -> Sequence[Todo]:
    return db.session.scalars(
        sa.select(Todo)
        .join(Todo.solicitation)
        .join(Solicitation.campaign)
        .options(joinedload(Todo.solicitation).joinedload(Solicitation.unit))
        .where(IS_RUNNING, Todo.owner_id == user.id, Todo.status == TodoStatus.OPEN)
        .order_by(Todo.due_on, Todo.id)
    ).all()
