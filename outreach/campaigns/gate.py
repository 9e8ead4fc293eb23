"""What the send gate asks about where a unit stands in its campaign."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from outreach import clock
from outreach.campaigns.models import Campaign, CampaignStatus, Solicitation, Stage
from outreach.db import db, one_of
from outreach.messages.gate import (
    Candidate,
    Subject,
    Withheld,
    about_units,
    all_solicitations,
    asked_of,
    found,
    screened,
)
from outreach.messages.models import Purpose, WithheldReason
from outreach.units.models import Unit


def is_set_aside(subject: Subject) -> sa.ColumnElement[bool]:
    return found(
        sa.select(Solicitation.id).where(
            Solicitation.id == subject.solicitation_id,
            sa.or_(
                one_of(Solicitation.stage, Stage.DECLINED),
                Solicitation.is_exempt.is_(True),
                Solicitation.snoozed_until.is_not(None),
            ),
        )
    )


def is_not_running(subject: Subject) -> sa.ColumnElement[bool]:
    return ~found(
        sa.select(Campaign.id).where(
            Campaign.id == subject.message.c.campaign_id,
            one_of(Campaign.status, CampaignStatus.RUNNING),
            Campaign.ends_on >= subject.today,
        )
    )


@screened(is_set_aside)
@asked_of(Purpose.REMINDER, Purpose.RELAY)
def check_declined(candidates: Sequence[Candidate], _now: datetime) -> dict[int, Withheld]:
    return _withhold(candidates, WithheldReason.DECLINED, Solicitation.stage == Stage.DECLINED)


@screened(is_set_aside)
@asked_of(Purpose.REMINDER, Purpose.RELAY)
def check_exempt(candidates: Sequence[Candidate], _now: datetime) -> dict[int, Withheld]:
    return _withhold(candidates, WithheldReason.EXEMPT, Solicitation.is_exempt.is_(True))


@screened(is_set_aside)
@asked_of(Purpose.REMINDER, Purpose.RELAY)
def check_snoozed(candidates: Sequence[Candidate], now: datetime) -> dict[int, Withheld]:
    is_resting = Solicitation.snoozed_until >= clock.day_of(now)
    return _withhold(candidates, WithheldReason.SNOOZED, is_resting)


@screened(is_not_running)
@asked_of(Purpose.REMINDER, Purpose.RELAY)
def check_campaign(candidates: Sequence[Candidate], now: datetime) -> dict[int, Withheld]:
    rows = db.session.execute(
        sa.select(Campaign.id, Campaign.status, Campaign.ends_on).where(
            Campaign.id.in_({candidate.campaign_id for candidate in candidates})
        )
    )
    campaigns: dict[int | None, Any] = {row.id: row for row in rows}
    withheld = {}
    for candidate in candidates:
        campaign = campaigns.get(candidate.campaign_id)
        if campaign is None or not may_write(candidate.purpose, campaign.status):
            withheld[candidate.key] = Withheld(WithheldReason.CAMPAIGN_CLOSED, {})
        elif has_ended(candidate.purpose, campaign.ends_on, clock.day_of(now)):
            facts = {"rule": "ended", "ends_on": campaign.ends_on.isoformat()}
            withheld[candidate.key] = Withheld(WithheldReason.CAMPAIGN_CLOSED, facts)
    return withheld


def may_write(purpose: Purpose, status: CampaignStatus | None) -> bool:
    """Whether letters of a wave go out while the campaign is so far. Who answers for a unit is
    asked before it begins, and a correction is owed whenever."""
    is_running = status is CampaignStatus.RUNNING
    if purpose is Purpose.RELAY:
        return is_running or status is CampaignStatus.PLANNED
    return is_running or purpose is Purpose.CORRECTION


def has_ended(purpose: Purpose, ends_on: date, day: date) -> bool:
    """Whether it is too late to ask anybody, though nobody has closed the campaign yet: «will end
    on» is wrong by then. Thanks and questions of who answers for a unit may still go out."""
    return purpose is Purpose.REMINDER and day > ends_on


def _withhold(
    candidates: Sequence[Candidate], reason: WithheldReason, condition: sa.ColumnElement[bool]
) -> dict[int, Withheld]:
    rows = db.session.execute(
        sa.select(Solicitation.id, Unit.name, Solicitation.snoozed_until)
        .join(Unit, Unit.id == Solicitation.unit_id)
        .where(Solicitation.id.in_(all_solicitations(candidates)), condition)
    )
    facts: dict[int, dict[str, Any]] = {}
    for solicitation_id, name, until in rows:
        facts[solicitation_id] = {"unit": name}
        if reason is WithheldReason.SNOOZED and until:
            facts[solicitation_id]["until"] = until.isoformat()
    return about_units(candidates, reason, facts)
