"""The send gate's question to waves: was this recipient approved, at this address?"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from outreach.db import db
from outreach.messages.gate import Candidate, Subject, Withheld, asked_of, found, screened
from outreach.messages.models import Message, Purpose, WithheldReason
from outreach.reminders.models import WaveMember

FIRST, SECOND = 0, 1


@dataclass
class _Approved:
    """What was approved for one wave."""

    addresses: dict[int, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))
    """First and second address of each reader, as hashes, by solicitation."""
    contacts: set[int | None] = field(default_factory=set)


def is_not_in_audience(subject: Subject) -> sa.ColumnElement[bool]:
    """Also of a person who answers for several units, since each has a contact of its own, and of
    what goes to a second address."""
    message = subject.message.c
    approved = sa.select(WaveMember.id).where(
        WaveMember.wave_id == message.wave_id,
        WaveMember.solicitation_id == subject.solicitation_id,
        WaveMember.contact_id == message.contact_id,
        WaveMember.address_hash == message.address_hash,
        WaveMember.withheld_reason.is_(None),
    )
    return message.wave_id.is_not(None) & ~found(approved)


@screened(is_not_in_audience)
@asked_of(Purpose.REMINDER, Purpose.CORRECTION, Purpose.THANKS, Purpose.RELAY)
def check_audience(candidates: Sequence[Candidate], _now: datetime) -> dict[int, Withheld]:
    """Withholds a wave's message unless each of its units was approved at this address; at the
    second one only what takes the place of a message that failed. What is not part of a wave yet
    (a preview) passes."""
    of_waves = [candidate for candidate in candidates if candidate.wave_id is not None]
    if not of_waves:
        return {}
    approved = _read_approved(of_waves)
    fallbacks = _find_fallbacks(of_waves)
    return {
        candidate.key: Withheld(WithheldReason.NOT_IN_AUDIENCE, {})
        for candidate in of_waves
        if not _is_approved(
            candidate,
            approved[candidate.wave_id],
            place=SECOND if candidate.key in fallbacks else FIRST,
        )
    }


def _read_approved(candidates: Sequence[Candidate]) -> dict[int | None, _Approved]:
    approved: dict[int | None, _Approved] = defaultdict(_Approved)
    rows = db.session.execute(
        sa.select(
            WaveMember.wave_id,
            WaveMember.solicitation_id,
            WaveMember.contact_id,
            WaveMember.address_hash,
            WaveMember.fallback_hash,
        ).where(
            WaveMember.wave_id.in_({candidate.wave_id for candidate in candidates}),
            WaveMember.solicitation_id.in_(
                {id_ for candidate in candidates for id_ in candidate.solicitation_ids}
            ),
            WaveMember.withheld_reason.is_(None),
        )
    )
    for wave_id, solicitation_id, contact_id, first, second in rows:
        approved[wave_id].addresses[solicitation_id].add((first, second))
        approved[wave_id].contacts.add(contact_id)
    return approved


def _find_fallbacks(candidates: Sequence[Candidate]) -> set[int]:
    """Keys of those that take the place of a message that failed. The key of what belongs to a
    wave is that of its row."""
    return set(
        db.session.scalars(
            sa.select(Message.id).where(
                Message.id.in_([candidate.key for candidate in candidates]),
                Message.fallback_of_id.is_not(None),
            )
        )
    )


def _is_approved(candidate: Candidate, approved: _Approved, *, place: int) -> bool:
    readers = [approved.addresses[id_] for id_ in candidate.solicitation_ids]
    return (
        bool(readers)
        and bool(candidate.address_hash)
        and candidate.contact_id in approved.contacts
        and all(candidate.address_hash in {pair[place] for pair in pairs} for pairs in readers)
    )
