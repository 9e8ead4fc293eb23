"""What a message that was sent does to the units that it was about."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from outreach import clock
from outreach.campaigns.models import Solicitation, Stage, StageCause
from outreach.campaigns.services import advance_stage, record_contact
from outreach.db import db
from outreach.messages.models import Message, MessageSolicitation, Purpose


def note_reminders(message_ids: Sequence[int], now: datetime) -> None:
    """The units of these reminders count as contacted on the day of `now`."""
    about = (
        sa.select(MessageSolicitation.solicitation_id)
        .join(Message, Message.id == MessageSolicitation.message_id)
        .where(Message.id.in_(message_ids), Message.purpose == Purpose.REMINDER)
    )
    # Locked in one order and read anew: two workers may write about the same unit at once.
    solicitations = db.session.scalars(
        sa.select(Solicitation)
        .where(Solicitation.id.in_(about))
        .order_by(Solicitation.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    for solicitation in solicitations:
        record_contact(solicitation, clock.day_of(now))
        advance_stage(solicitation, Stage.CONTACTED, cause=StageCause.MESSAGE)
