"""What an approval binds (docs/decisions/0021): a wave goes out as approved, or not at all."""

import hashlib
import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from outreach.campaigns.models import Campaign
from outreach.db import db
from outreach.messages.models import Wave
from outreach.reminders.models import WaveMember
from outreach.reminders.rendering import federation_name


def hash_approval(wave: Wave, *, starts_at: datetime | None = None) -> str:
    """Two halves of SHA-256: over the wording with that for the other channel, what all letters say
    of the campaign, and when; and over who gets it at which address, with the address that takes
    the place of one that fails. What letters say of a unit is read when they are written (decision
    0021)."""
    members = db.session.execute(
        sa.select(
            WaveMember.solicitation_id,
            WaveMember.contact_id,
            WaveMember.channel,
            WaveMember.address_hash,
            WaveMember.fallback_hash,
        )
        .where(WaveMember.wave_id == wave.id)
        .order_by(WaveMember.solicitation_id, WaveMember.id)
    )
    return _hash_words(wave, starts_at or wave.starts_at) + _hash([list(row) for row in members])


def says_as_approved(wave: Wave) -> bool:
    """Whether its words, and what they say of the campaign, are those that were approved. Members
    are not asked about: units are merged and people erased while a wave is on its way."""
    return (wave.approval_hash or "").startswith(_hash_words(wave, wave.starts_at))


def _hash_words(wave: Wave, starts_at: datetime) -> str:
    texts = (wave.template_version, wave.fallback_version)
    campaign = db.session.get_one(Campaign, wave.campaign_id)
    return _hash(
        {
            "campaign": [
                campaign.id,
                campaign.name,
                campaign.starts_on.isoformat(),
                campaign.ends_on.isoformat(),
                federation_name(),
            ],
            "purpose": [wave.purpose, wave.correction_of_id],
            "texts": [[text.id, text.subject, text.body] for text in texts if text is not None],
            "starts_at": starts_at.isoformat(),
            "not_after": wave.not_after.isoformat(),
        }
    )


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
