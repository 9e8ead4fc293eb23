"""What a message that was sent does to the units that it was about."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime

import sqlalchemy as sa

from outreach import clock
from outreach.campaigns.models import Solicitation, Stage, StageCause
from outreach.campaigns.services import advance_stages
from outreach.db import among, run, table_of
from outreach.messages.models import Message, MessageSolicitation, Purpose


def note_reminders(message_ids: Sequence[int], _now: datetime) -> None:
    """The units of these reminders count as contacted on the day on which they were sent, however
    much later that comes to be noted: a later day would pass for an answer."""
    by_day: dict[date, list[int]] = defaultdict(list)
    for row in run(_REMINDED, {"ids": message_ids}):
        by_day[clock.day_of(row.sent_at)].append(row.id)
    for day, ids in sorted(by_day.items()):
        advance_stages(ids, Stage.CONTACTED, cause=StageCause.MESSAGE, on=day)


_IS_REMINDER = (among(Message.id, "ids"), Message.purpose == Purpose.REMINDER)
_REMINDED = (
    sa.select(
        table_of(Solicitation).c.id,
        sa.select(sa.func.max(Message.sent_at))
        .join(MessageSolicitation, MessageSolicitation.message_id == Message.id)
        .where(MessageSolicitation.solicitation_id == table_of(Solicitation).c.id, *_IS_REMINDER)
        .correlate(table_of(Solicitation))
        .scalar_subquery()
        .label("sent_at"),
    )
    .where(
        Solicitation.id.in_(
            sa.select(MessageSolicitation.solicitation_id)
            .join(Message, Message.id == MessageSolicitation.message_id)
            .where(*_IS_REMINDER)
        )
    )
    # Locked in one order: two workers may write about the same unit at once.
    .order_by(Solicitation.id)
    .with_for_update()
)
