"""Units that were reminded and have not been heard of since: what visits and rules start from."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa

from outreach import clock, workdays
from outreach.campaigns.models import Campaign, Solicitation, StageCause, StageChange
from outreach.db import db
from outreach.gifts.models import Gift, Pledge
from outreach.gifts.standings import Standing
from outreach.messages.models import Message, MessageSolicitation, MessageStatus, Purpose
from outreach.visits.models import Visit


@dataclass(frozen=True)
class Silence:
    """The last reminder about a unit, which has led to nothing."""

    standing: Standing
    message_id: int
    contact_id: int | None
    sent_at: datetime

    @property
    def sent_on(self) -> date:
        return clock.day_of(self.sent_at)

    @property
    def key(self) -> str:
        """What is proposed for it is proposed once; a message may be about two units."""
        return f"message:{self.message_id}:{self.standing.solicitation.id}"


def find_silent(
    campaign: Campaign, standings: Iterable[Standing], workdays_since: int
) -> Iterator[Silence]:
    """Those who were reminded and did not answer in so many working days, of which the last is
    over; who gave most last year comes first. An answer is a gift, a pledge, a stage that somebody
    changed, a logged visit, or any contact on a later day. CalendarUnknown when it comes to a day
    that nobody knows."""
    today = clock.today()
    calendar = workdays.load_calendar()
    reminders = _last_reminders(campaign)
    heard = (last_answers(campaign), _last_changes(campaign), _last_visits(campaign))
    for standing in sorted(standings, key=lambda s: (-s.previous_fen, s.solicitation.id)):
        solicitation = standing.solicitation
        if solicitation.id not in reminders:
            continue
        silence = Silence(standing, *reminders[solicitation.id])
        sent_on = silence.sent_on
        is_promised = standing.pledge_due_on is not None and standing.pledge_due_on >= today
        was_met = (solicitation.last_contact_on or sent_on) > sent_on
        since = [at for source in heard if (at := source.get(solicitation.id))]
        if is_promised or was_met or any(at > silence.sent_at for at in since):
            continue
        if calendar.add_workdays(sent_on, workdays_since) < today:
            yield silence


def last_answers(campaign: Campaign) -> dict[int, datetime]:
    """When each unit last promised or gave something, by solicitation."""
    given = (
        sa.select(Solicitation.id, Gift.recorded_at)
        .join(
            Gift,
            (Gift.unit_id == Solicitation.unit_id) & (Gift.campaign_id == Solicitation.campaign_id),
        )
        .where(Solicitation.campaign_id == campaign.id, Gift.amount_fen > 0)
    )
    promised = (
        sa.select(Solicitation.id, Pledge.recorded_at)
        .join(Pledge, Pledge.solicitation_id == Solicitation.id)
        .where(Solicitation.campaign_id == campaign.id)
    )
    return _newest(given, promised)


def _last_reminders(campaign: Campaign) -> dict[int, tuple[int, int | None, datetime]]:
    """The last reminder that reached each unit: its id, its contact, and when it was sent."""
    rows = db.session.execute(
        sa.select(
            MessageSolicitation.solicitation_id, Message.id, Message.contact_id, Message.sent_at
        )
        .join(Message, Message.id == MessageSolicitation.message_id)
        .join(Solicitation, Solicitation.id == MessageSolicitation.solicitation_id)
        .where(
            Solicitation.campaign_id == campaign.id,
            Message.purpose == Purpose.REMINDER,
            Message.status.in_((MessageStatus.SENT, MessageStatus.DELIVERED)),
        )
        .order_by(Message.sent_at, Message.id)
    )
    return {
        solicitation_id: (message_id, contact_id, sent_at)
        for solicitation_id, message_id, contact_id, sent_at in rows
        if sent_at is not None
    }


def _last_changes(campaign: Campaign) -> dict[int, datetime]:
    """When somebody last moved each unit to another stage; machines do not count."""
    return _newest(
        sa.select(Solicitation.id, StageChange.at)
        .join(StageChange, StageChange.solicitation_id == Solicitation.id)
        .where(
            Solicitation.campaign_id == campaign.id,
            StageChange.cause.not_in((StageCause.MESSAGE, StageCause.DEMO)),
        )
    )


def _last_visits(campaign: Campaign) -> dict[int, datetime]:
    """When a visit to each unit was last logged."""
    rows = db.session.execute(
        sa.select(Visit.solicitation_id, Visit.logged_at)
        .join(Visit.solicitation)
        .where(Solicitation.campaign_id == campaign.id, Visit.logged_at.is_not(None))
        .order_by(Visit.logged_at)
    )
    return {solicitation_id: at for solicitation_id, at in rows if at is not None}


def _newest(*statements: sa.Select[int, datetime]) -> dict[int, datetime]:
    newest: dict[int, datetime] = {}
    for statement in statements:
        for key, at in db.session.execute(statement):
            newest[key] = max(at, newest.get(key, at))
    return newest
