"""The caps: how often a person and a unit are reminded, and how soon again. The send gate asks them
last, since they count those whom everything before them let pass."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta

import sqlalchemy as sa

from outreach import clock
from outreach.db import db, one_of, table_of
from outreach.messages.gate import (
    Candidate,
    Subject,
    Withheld,
    all_solicitations,
    asked_of,
    has_gone,
    may_have_gone,
    screened,
)
from outreach.messages.models import (
    MAYBE_GONE,
    Message,
    MessageSolicitation,
    Purpose,
    SendPolicy,
    WithheldReason,
)

_OTHER = table_of(Message).alias("other")
_OTHER_LINK = table_of(MessageSolicitation).alias("other_link")
_CAPS = table_of(SendPolicy).c
_IS_REMINDER_GONE = sa.and_(one_of(_OTHER.c.purpose, Purpose.REMINDER), may_have_gone(_OTHER.c))


def is_at_contact_cap(subject: Subject) -> sa.ColumnElement[bool]:
    """Without regard to how long ago; the check looks at that. What went to the person and what
    went to the address under another name count together, each looked up in an index."""
    message = subject.message.c
    cap = sa.select(_CAPS.contact_cap).scalar_subquery()
    count = sa.select(sa.func.count()).select_from(_OTHER).where(_IS_REMINDER_GONE)
    to_person = count.where(_OTHER.c.contact_id == message.contact_id)
    to_address = count.where(
        _OTHER.c.address_hash == message.address_hash,
        _OTHER.c.contact_id.is_distinct_from(message.contact_id),
    )
    return to_person.scalar_subquery() + to_address.scalar_subquery() >= cap


@screened(is_at_contact_cap)
@asked_of(Purpose.REMINDER)
def check_contact_cap(candidates: Sequence[Candidate], now: datetime) -> dict[int, Withheld]:
    policy = db.session.get(SendPolicy, 1)
    if policy is None:
        return {}
    since = now - timedelta(days=policy.contact_cap_days)
    contact_ids = {candidate.contact_id for candidate in candidates if candidate.contact_id}
    rows = db.session.execute(
        sa.select(Message.id, Message.contact_id, Message.address_hash).where(
            Message.purpose == Purpose.REMINDER,
            sa.or_(
                Message.contact_id.in_(contact_ids),
                Message.address_hash.in_({candidate.address_hash for candidate in candidates}),
            ),
            sa.or_(
                has_gone(Message) & (Message.sent_at > since),
                Message.status.in_(MAYBE_GONE) & (Message.status_at > since),
            ),
        )
    )
    # One person at two units is two contacts with one address.
    reached: dict[int | str | None, set[int]] = defaultdict(set)
    for message_id, contact_id, address_hash in rows:
        reached[contact_id].add(message_id)
        reached[address_hash].add(message_id)
    withheld = {}
    for candidate in candidates:
        if candidate.contact_id is None:
            continue
        count = len(reached[candidate.contact_id] | reached[candidate.address_hash])
        if count >= policy.contact_cap:
            withheld[candidate.key] = Withheld(
                WithheldReason.CONTACT_CAP, {"count": count, "days": policy.contact_cap_days}
            )
            continue
        reached[candidate.contact_id].add(-candidate.key)
        if candidate.wave_id is not None:  # a preview asks about units that share one message
            reached[candidate.address_hash].add(-candidate.key)
    return withheld


def is_at_unit_cap(subject: Subject) -> sa.ColumnElement[bool]:
    """Or has been reminded before, where there is a least gap: the check looks at when."""
    is_first_free = (_CAPS.unit_gap_days > 0) & (_CAPS.unit_cap > 0)
    cap = sa.select(sa.case((is_first_free, 1), else_=_CAPS.unit_cap)).scalar_subquery()
    # From the unit to its messages: the other way round leads through all that was ever sent.
    is_gone = (
        sa.select(_IS_REMINDER_GONE)
        .where(_OTHER.c.id == _OTHER_LINK.c.message_id)
        .scalar_subquery()
    )
    count = sa.select(sa.func.count()).where(
        _OTHER_LINK.c.solicitation_id == subject.solicitation_id, is_gone
    )
    return count.scalar_subquery() >= cap


@screened(is_at_unit_cap)
@asked_of(Purpose.REMINDER)
def check_unit_cap(candidates: Sequence[Candidate], now: datetime) -> dict[int, Withheld]:
    """How often a unit is reminded in a campaign, and how soon again."""
    policy = db.session.get(SendPolicy, 1)
    if policy is None:
        return {}
    rows = db.session.execute(
        sa.select(
            MessageSolicitation.solicitation_id,
            sa.func.count(),
            sa.func.max(sa.func.coalesce(Message.sent_at, Message.status_at)),
        )
        .join(Message, Message.id == MessageSolicitation.message_id)
        .where(
            Message.purpose == Purpose.REMINDER,
            may_have_gone(Message),
            MessageSolicitation.solicitation_id.in_(all_solicitations(candidates)),
        )
        .group_by(MessageSolicitation.solicitation_id)
    )
    counts: Counter[int] = Counter()
    last_on: dict[int, date] = {}
    for id_, count, last_at in rows:
        counts[id_], last_on[id_] = count, clock.day_of(last_at)
    today = clock.day_of(now)
    too_soon = today - timedelta(days=policy.unit_gap_days)
    withheld = {}
    for candidate in candidates:
        ids = candidate.solicitation_ids
        most = max((counts[id_] for id_ in ids), default=0)
        latest = max((last_on[id_] for id_ in ids if id_ in last_on), default=date.min)
        if ids and most >= policy.unit_cap:
            withheld[candidate.key] = Withheld(WithheldReason.UNIT_CAP, {"count": most})
        elif latest > too_soon:
            facts = {"last_on": latest.isoformat(), "days": policy.unit_gap_days}
            withheld[candidate.key] = Withheld(WithheldReason.UNIT_GAP, facts)
        else:
            counts.update(ids)
            last_on |= dict.fromkeys(ids, today)
    return withheld
