"""What a message that was sent does to the units that it was about."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from outreach import clock
from outreach.campaigns.models import Solicitation, Stage, StageCause
from outreach.campaigns.services import advance_stages
from outreach.db import among, run, table_of
from outreach.messages.models import Message, MessageSolicitation, Purpose


def note_reminders(message_ids: Sequence[int], now: datetime) -> None:
    """The units of these reminders count as contacted on the day of `now`."""
    ids = [row.id for row in run(_REMINDED, {"ids": message_ids})]
    if ids:
        advance_stages(ids, Stage.CONTACTED, cause=StageCause.MESSAGE, on=clock.day_of(now))


_REMINDED = (
    sa.select(table_of(Solicitation).c.id)
    .where(
        Solicitation.id.in_(
            sa.select(MessageSolicitation.solicitation_id)
            .join(Message, Message.id == MessageSolicitation.message_id)
            .where(among(Message.id, "ids"), Message.purpose == Purpose.REMINDER)
        )
    )
    # Locked in one order: two workers may write about the same unit at once.
    .order_by(Solicitation.id)
    .with_for_update()
)
