"""What the send gate asks about the people at the units."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from outreach import clock
from outreach.db import db
from outreach.messages.gate import TO_UNITS, Candidate, Subject, Withheld, asked_of, found, screened
from outreach.messages.models import Purpose, WithheldReason
from outreach.units.models import Contact


def is_not_in_office(subject: Subject) -> sa.ColumnElement[bool]:
    return found(
        sa.select(Contact.id).where(
            Contact.id == subject.message.c.contact_id,
            sa.or_(Contact.valid_from > subject.today, Contact.valid_to < subject.today),
        )
    )


# A correction is owed to whoever read the wrong letter, whatever their office is now.
@screened(is_not_in_office)
@asked_of(*(TO_UNITS - {Purpose.CORRECTION}))
def check_contact_left(candidates: Sequence[Candidate], now: datetime) -> dict[int, Withheld]:
    today = clock.day_of(now)
    rows = db.session.execute(
        sa.select(Contact.id, Contact.valid_to).where(
            Contact.id.in_({candidate.contact_id for candidate in candidates}),
            sa.or_(Contact.valid_from > today, Contact.valid_to < today),
        )
    )
    left = dict(rows.all())
    return {
        candidate.key: Withheld(
            WithheldReason.CONTACT_LEFT,
            {"left_on": day.isoformat() if (day := left[candidate.contact_id]) else None},
        )
        for candidate in candidates
        if candidate.contact_id in left
    }
