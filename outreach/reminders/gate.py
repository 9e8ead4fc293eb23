"""The send gate's question to waves: was this recipient approved, at this address, and is it still
the one who answers for the unit?"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from outreach import clock
from outreach.campaigns.models import Solicitation
from outreach.db import db
from outreach.messages.addresses import hash_address
from outreach.messages.gate import Candidate, Subject, Withheld, asked_of, found, screened
from outreach.messages.models import Channel, Message, Purpose, WithheldReason
from outreach.reminders.models import WaveMember
from outreach.units.models import Contact, Unit

Readers = dict[tuple[int | None, int], list[Any]]
"""Who was approved for a unit, as of today, by wave and solicitation."""


def is_not_in_audience(subject: Subject) -> sa.ColumnElement[bool]:
    """Also of a person who answers for several units, since each has a contact of its own; of what
    goes to a second address; and of an address that the register writes in another way."""
    message = subject.message.c
    approved = (
        sa.select(WaveMember.id)
        .join(Contact, Contact.id == WaveMember.contact_id)
        .join(Solicitation, Solicitation.id == WaveMember.solicitation_id)
        .where(
            WaveMember.wave_id == message.wave_id,
            WaveMember.solicitation_id == subject.solicitation_id,
            WaveMember.contact_id == message.contact_id,
            WaveMember.address_hash == message.address_hash,
            WaveMember.withheld_reason.is_(None),
            Contact.unit_id == Solicitation.unit_id,
            sa.or_(Contact.email == message.address, Contact.mobile == message.address),
            Contact.valid_from <= subject.today,
            sa.or_(Contact.valid_to.is_(None), Contact.valid_to >= subject.today),
        )
    )
    return message.wave_id.is_not(None) & ~found(approved)


@screened(is_not_in_audience)
@asked_of(Purpose.REMINDER, Purpose.CORRECTION, Purpose.THANKS, Purpose.RELAY)
def check_audience(candidates: Sequence[Candidate], now: datetime) -> dict[int, Withheld]:
    """Withholds a wave's message unless each of its units was approved at this address and is
    still reached there; at the second one only what takes the place of a message that failed. A
    correction goes where the wrong letter went, whoever has left. What is not part of a wave yet
    (a preview) passes."""
    of_waves = [candidate for candidate in candidates if candidate.wave_id is not None]
    if not of_waves:
        return {}
    approved = _read_approved(of_waves)
    fallbacks = _find_fallbacks(of_waves)
    withheld = {}
    for candidate in of_waves:
        hash_at = "fallback_hash" if candidate.key in fallbacks else "address_hash"
        facts = _find_fault(candidate, approved, hash_at, clock.day_of(now))
        if facts is not None:
            withheld[candidate.key] = Withheld(WithheldReason.NOT_IN_AUDIENCE, facts)
    return withheld


def _find_fault(
    candidate: Candidate, approved: Readers, hash_at: str, today: date
) -> dict[str, Any] | None:
    """What speaks against it; None when nothing does."""
    of_units = [approved[candidate.wave_id, id_] for id_ in candidate.solicitation_ids]
    known = [[one for one in readers if _is_at(one, hash_at, candidate)] for readers in of_units]
    contacts = {one.contact_id for readers in of_units for one in readers}
    if not (candidate.address_hash and all(known) and candidate.contact_id in contacts):
        return {}
    if candidate.purpose is Purpose.CORRECTION:
        return None
    for readers in known:
        if not any(_still_answers(one, candidate, today) for one in readers):
            is_alone = len(known) == 1
            return {"rule": "changed"} | ({} if is_alone else {"unit": readers[0].unit_name})
    return None


def _is_at(reader: Any, hash_at: str, candidate: Candidate) -> bool:
    return bool(getattr(reader, hash_at) == candidate.address_hash)


def _still_answers(reader: Any, candidate: Candidate, today: date) -> bool:
    """Of this unit, which may have been parted from another since, and at this address."""
    is_in_office = reader.valid_from <= today and (
        reader.valid_to is None or today <= reader.valid_to
    )
    address = reader.email if candidate.channel is Channel.EMAIL else reader.mobile
    is_there = hash_address(candidate.channel, address) == candidate.address_hash
    return reader.of_unit_id == reader.unit_id and is_in_office and is_there


def _read_approved(candidates: Iterable[Candidate]) -> Readers:
    rows = db.session.execute(
        sa.select(
            WaveMember.wave_id,
            WaveMember.solicitation_id,
            WaveMember.contact_id,
            WaveMember.address_hash,
            WaveMember.fallback_hash,
            Contact.unit_id.label("of_unit_id"),
            Contact.email,
            Contact.mobile,
            Contact.valid_from,
            Contact.valid_to,
            Solicitation.unit_id,
            Unit.name.label("unit_name"),
        )
        .join(Contact, Contact.id == WaveMember.contact_id)
        .join(Solicitation, Solicitation.id == WaveMember.solicitation_id)
        .join(Unit, Unit.id == Solicitation.unit_id)
        .where(
            WaveMember.wave_id.in_({candidate.wave_id for candidate in candidates}),
            WaveMember.solicitation_id.in_(
                {id_ for candidate in candidates for id_ in candidate.solicitation_ids}
            ),
            WaveMember.withheld_reason.is_(None),
        )
    )
    approved: Readers = defaultdict(list)
    for row in rows:
        approved[row.wave_id, row.solicitation_id].append(row)
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
