"""Into the outbox: messages of waves, and all others. Nothing here commits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import current_app

from outreach import clock
from outreach.db import db, insert_many
from outreach.messages import rendering
from outreach.messages.addresses import domain_of, hash_normalised, normalise_address
from outreach.messages.channels import wecom
from outreach.messages.models import (
    Attachment,
    Channel,
    MessageAttachment,
    MessageSolicitation,
    Purpose,
    Wave,
)
from outreach.messages.states import insert

KEEP_TRYING = timedelta(days=10)
"""How long a message without a date of its own stays worth sending; longer than any holiday."""


@dataclass(frozen=True)
class Draft:
    """One recipient of a wave. A contact who serves several units gets one draft."""

    channel: Channel
    contact_id: int
    address: str
    recipient_name: str
    subject: str
    body_text: str
    reply_to: str = ""
    solicitation_ids: tuple[int, ...] = ()
    provider_template: str = ""
    variables: tuple[tuple[str, str], ...] = ()
    fallback_of_id: int | None = None
    """The message that failed for good and that this one takes the place of."""


def queue_message(  # noqa: PLR0913
    *,
    purpose: Purpose,
    channel: Channel,
    occurrence: str,
    address: str,
    recipient_name: str,
    subject: str,
    body_text: str,
    body_html: str = "",
    campaign_id: int | None = None,
    contact_id: int | None = None,
    solicitation_ids: Sequence[int] = (),
    reply_to: str = "",
    calendar: str = "",
    attachment: Attachment | None = None,
    provider_template: str = "",
    variables: Sequence[tuple[str, str]] = (),
    next_at: datetime | None = None,
    not_after: datetime | None = None,
) -> bool:
    """Queues a message outside a wave; False when that occurrence is queued already. `body_html` is
    for a mail whose HTML says more than its text.

    After the commit call `jobs.wake("deliver")`.
    """
    now = clock.now()
    ids = insert(
        [
            _row(channel, address, body_text, now)
            | {
                "purpose": purpose,
                "occurrence": occurrence,
                "campaign_id": campaign_id,
                "contact_id": contact_id,
                "recipient_name": recipient_name,
                "subject": subject,
                "body_html": body_html,
                "reply_to": reply_to,
                "calendar": calendar,
                "provider_template": provider_template,
                "variables": list(variables),
                "next_at": next_at or now,
                "not_after": not_after or now + KEEP_TRYING,
            }
        ]
    )
    for message_id in ids.values():
        _link({message_id: solicitation_ids})
        if attachment is not None:
            db.session.add(MessageAttachment(message_id=message_id, attachment_id=attachment.id))
    return bool(ids)


def materialise(wave: Wave, drafts: Sequence[Draft]) -> int:
    """Queues the messages of a wave; returns how many are new. Safe to run again: a contact and
    an address have one message per wave and channel."""
    now = clock.now()
    rows = [
        _row(draft.channel, draft.address, draft.body_text, now)
        | {
            "purpose": wave.purpose,
            "campaign_id": wave.campaign_id,
            "wave_id": wave.id,
            "contact_id": draft.contact_id,
            "recipient_name": draft.recipient_name,
            "subject": draft.subject,
            "reply_to": draft.reply_to,
            "provider_template": draft.provider_template,
            "variables": list(draft.variables),
            "fallback_of_id": draft.fallback_of_id,
            "next_at": max(now, wave.starts_at),
            "not_after": wave.not_after,
        }
        for draft in drafts
    ]
    ids = insert(rows)
    _link(
        {
            ids[draft.channel, draft.contact_id]: draft.solicitation_ids
            for draft in drafts
            if (draft.channel, draft.contact_id) in ids
        }
    )
    return len(ids)


def _row(channel: Channel, address: str, text: str, now: datetime) -> dict[str, Any]:
    normalised = normalise_address(channel, address)
    return {
        "channel": channel,
        "address": normalised or address[:254],
        "domain": domain_of(channel, normalised),
        "address_hash": hash_normalised(channel, normalised),
        "body_text": text,
        "segments": _count_segments(channel, text),
        "facts": {},
        "queued_at": now,
        "status_at": now,
    }


def _count_segments(channel: Channel, text: str) -> int:
    if channel is Channel.SMS:
        signature = current_app.extensions["outreach.settings"].sms_signature
        return rendering.segments(text, f"【{signature}】")
    return len(wecom.split(text)) if channel is Channel.WECOM else 1


def _link(solicitations: Mapping[int, Sequence[int]]) -> None:
    rows = [
        {"message_id": message_id, "solicitation_id": solicitation_id}
        for message_id, solicitation_ids in solicitations.items()
        for solicitation_id in solicitation_ids
    ]
    insert_many(MessageSolicitation, rows, MessageSolicitation.message_id)
