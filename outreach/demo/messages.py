"""A reminder wave of some weeks ago, as the outbox would have left it."""

import random
from datetime import time, timedelta

import sqlalchemy as sa

from outreach import clock
from outreach.accounts.models import User
from outreach.campaigns.models import Campaign, Solicitation, Stage
from outreach.db import db
from outreach.messages import instance, services
from outreach.messages.addresses import hash_address
from outreach.messages.models import (
    Channel,
    FailureKind,
    Message,
    MessageSolicitation,
    MessageStatus,
    Purpose,
    SendingRate,
    SendingWindow,
    SendPolicy,
    Template,
    TemplateVersion,
    Wave,
    WaveStatus,
    WindowDays,
)
from outreach.messages.wordings import DEFAULT_TEMPLATES
from outreach.reminders.models import WaveMember
from outreach.units.models import Unit

WEEKDAYS_AGO = 9
SILENT_SHARE = 0.35
"""Share of the units that were reminded and have not been heard of since."""


def open_sending() -> None:
    """Sending is on at all hours: in the demonstration mail goes to the local outbox only."""
    now = clock.now()
    policy = SendPolicy(
        id=1,
        is_on=True,
        contact_cap=2,
        contact_cap_days=7,
        unit_cap=3,
        unit_gap_days=2,
        sms_daily_budget=2000,
        epoch=0,
        changed_at=now,
    )
    instance.adopt(policy)
    db.session.add(policy)
    db.session.add(
        SendingWindow(days=WindowDays.EVERY_DAY, opens_at=time(0), closes_at=time(23, 59, 59))
    )
    db.session.add_all(
        SendingRate(channel=channel, per_minute=per_minute)
        for channel, per_minute in services.DEFAULT_RATES.items()
    )


def make_templates(author: User) -> list[TemplateVersion]:
    versions = []
    for template in DEFAULT_TEMPLATES:
        version = TemplateVersion(
            template=Template(name=template.name, channel=template.channel),
            number=1,
            subject=template.subject,
            body=template.body,
            created_at=clock.now(),
            created_by_id=author.id,
        )
        versions.append(version)
    db.session.add_all(versions)
    db.session.flush()
    return versions


def make_past_wave(
    campaign: Campaign,
    version: TemplateVersion,
    author: User,
    approver: User,
    chance: random.Random,
) -> None:
    day = clock.today()
    for _ in range(WEEKDAYS_AGO):
        day -= timedelta(days=3 if day.weekday() == 0 else 1)
    sent_at = clock.at(day, time(9, 30))
    wave = Wave(
        campaign_id=campaign.id,
        name="第一次工作联系",
        template_version_id=version.id,
        audience={},
        starts_at=sent_at,
        not_after=sent_at + timedelta(days=2),
        status=WaveStatus.FINISHED,
        author_id=author.id,
        approver_id=approver.id,
        approved_at=sent_at - timedelta(hours=17),
        started_at=sent_at,
        finished_at=sent_at + timedelta(minutes=2),
        created_at=sent_at - timedelta(hours=18),
    )
    db.session.add(wave)
    db.session.flush()
    addresses: set[str] = set()
    for solicitation in _reminded(campaign):
        unit = db.session.get_one(Unit, solicitation.unit_id)
        contact = unit.contacts[0] if unit.contacts else None
        if contact is None or not contact.email or contact.email in addresses:
            continue
        addresses.add(contact.email)
        status = chance.choices(
            (MessageStatus.SENT, MessageStatus.DELIVERED, MessageStatus.FAILED), (70, 28, 2)
        )[0]
        if len(addresses) == 5:
            status = MessageStatus.UNKNOWN
        has_gone = status in {MessageStatus.SENT, MessageStatus.DELIVERED}
        message = Message(
            purpose=Purpose.REMINDER,
            channel=Channel.EMAIL,
            campaign_id=campaign.id,
            wave_id=wave.id,
            contact_id=contact.id,
            recipient_name=contact.name,
            address=contact.email,
            address_hash=hash_address(Channel.EMAIL, contact.email),
            subject=f"关于{campaign.name}的工作联系",
            body_text=f"{contact.name}，您好：\n{unit.name}如有意参加{campaign.name}，请与我们联系。"
            "捐赠坚持自愿原则。\n慈善总会",
            status=status,
            failure=FailureKind.REJECTED if status is MessageStatus.FAILED else None,
            facts={},
            attempts=1,
            next_at=sent_at,
            not_after=wave.not_after,
            queued_at=sent_at,
            sent_at=sent_at if has_gone else None,
            delivered_at=sent_at if status is MessageStatus.DELIVERED else None,
            status_at=sent_at,
            links=[MessageSolicitation(solicitation_id=solicitation.id)],
        )
        db.session.add(
            WaveMember(
                wave_id=wave.id,
                solicitation_id=solicitation.id,
                contact_id=contact.id,
                channel=Channel.EMAIL,
                address_hash=message.address_hash,
                facts={},
            )
        )
        db.session.add(message)
        if has_gone:
            _note_contact(solicitation, chance)
    db.session.flush()


def _reminded(campaign: Campaign) -> list[Solicitation]:
    every = db.session.scalars(
        sa.select(Solicitation)
        .filter_by(campaign_id=campaign.id, is_exempt=False)
        .where(Solicitation.stage.in_((Stage.NOT_CONTACTED, Stage.CONTACTED)))
        .order_by(Solicitation.id)
    ).all()
    return [solicitation for solicitation in every if solicitation.id % 2]


def _note_contact(solicitation: Solicitation, chance: random.Random) -> None:
    if solicitation.stage is Stage.NOT_CONTACTED:
        solicitation.stage = Stage.CONTACTED
    if chance.random() < SILENT_SHARE:
        solicitation.last_contact_on = None
        solicitation.next_action, solicitation.next_action_on = "", None
