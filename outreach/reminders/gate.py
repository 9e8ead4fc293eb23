"""The send gate's question to waves: was this recipient approved?"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from outreach.db import db
from outreach.messages.gate import Candidate, Withheld, asked_of
from outreach.messages.models import Purpose, WithheldReason
from outreach.reminders.models import WaveMember


@asked_of(Purpose.REMINDER, Purpose.CORRECTION, Purpose.THANKS)
def check_audience(candidates: Sequence[Candidate], _now: datetime) -> dict[int, Withheld]:
    """Withholds a wave's message unless each of its units was approved at this address. What is
    not part of a wave yet (a preview) passes."""
    of_waves = [candidate for candidate in candidates if candidate.wave_id is not None]
    if not of_waves:
        return {}
    approved: dict[tuple[int, int], str] = {}
    contacts: dict[int, set[int | None]] = defaultdict(set)
    rows = db.session.execute(
        sa.select(
            WaveMember.wave_id,
            WaveMember.solicitation_id,
            WaveMember.contact_id,
            WaveMember.address_hash,
        ).where(
            WaveMember.wave_id.in_({candidate.wave_id for candidate in of_waves}),
            WaveMember.solicitation_id.in_(
                {id_ for candidate in of_waves for id_ in candidate.solicitation_ids}
            ),
            WaveMember.withheld_reason.is_(None),
        )
    )
    for wave_id, solicitation_id, contact_id, address_hash in rows:
        approved[wave_id, solicitation_id] = address_hash
        contacts[wave_id].add(contact_id)
    return {
        candidate.key: Withheld(WithheldReason.NOT_IN_AUDIENCE, {})
        for candidate in of_waves
        if not _is_approved(candidate, approved, contacts)
    }


def _is_approved(
    candidate: Candidate,
    approved: dict[tuple[int, int], str],
    contacts: dict[int, set[int | None]],
) -> bool:
    wave_id = candidate.wave_id
    return (
        wave_id is not None
        and bool(candidate.solicitation_ids)
        and candidate.contact_id in contacts[wave_id]
        and all(
            approved.get((wave_id, id_)) == candidate.address_hash
            for id_ in candidate.solicitation_ids
        )
    )
