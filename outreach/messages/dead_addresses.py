"""Addresses that do not exist: a message came back, and none that was sent there later arrived.

What counts is when messages were sent, not when their reports came in, so that reports may come in
any order."""

from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa

from outreach import audit, clock
from outreach.db import db, insert_new, one_of, table_of
from outreach.messages.gate import TO_UNITS, Candidate, Subject, Withheld, asked_of, found, screened
from outreach.messages.models import (
    BounceCause,
    Channel,
    DeliveryReceipt,
    Message,
    MessageStatus,
    VerifiedAddress,
    WithheldReason,
)


def has_come_back(subject: Subject) -> sa.ColumnElement[bool]:
    earlier = table_of(Message).alias("earlier")
    return found(
        sa.select(DeliveryReceipt.id)
        .join(earlier, earlier.c.id == DeliveryReceipt.message_id)
        .where(
            earlier.c.address_hash == subject.message.c.address_hash,
            one_of(DeliveryReceipt.cause, BounceCause.NO_SUCH_ADDRESS),
        )
    )


@screened(has_come_back)
@asked_of(*TO_UNITS)
def check_dead_address(candidates: Sequence[Candidate], _now: datetime) -> dict[int, Withheld]:
    dead = _list_dead({candidate.address_hash for candidate in candidates})
    return {
        candidate.key: Withheld(
            WithheldReason.DEAD_ADDRESS,
            {"at": dead[candidate.channel, candidate.address_hash].isoformat()},
        )
        for candidate in candidates
        if (candidate.channel, candidate.address_hash) in dead
    }


def find(channel: Channel, address_hash: str) -> datetime | None:
    """When a message came back from the address; None when it is not known to be dead."""
    return _list_dead({address_hash}).get((channel, address_hash))


def verify(channel: Channel, address_hash: str, *, reason: str) -> bool:
    """Lets the address be written to again; False when nothing stood against it."""
    if find(channel, address_hash) is None:
        return False
    row = {"channel": channel, "address_hash": address_hash, "at": clock.now()}
    if not insert_new(VerifiedAddress, [row], ["channel", "address_hash"]):
        db.session.execute(
            sa.update(VerifiedAddress)
            .filter_by(channel=channel, address_hash=address_hash)
            .values(at=row["at"])
        )
    audit.record(
        "verify.address", f"address:{address_hash[:12]}", channel=channel.value, reason=reason
    )
    return True


def _list_dead(address_hashes: Collection[str]) -> dict[tuple[Channel, str], datetime]:
    """When the last message came back, by channel and hash, of those that are dead."""
    sent_at = sa.func.coalesce(Message.sent_at, Message.status_at)
    is_proof = DeliveryReceipt.cause == BounceCause.NO_SUCH_ADDRESS
    came_back = sa.func.max(sa.case((is_proof, sent_at)))
    arrived = sa.func.max(sa.case((Message.status == MessageStatus.DELIVERED, sent_at)))
    verified = sa.func.max(VerifiedAddress.at)
    rows = db.session.execute(
        sa.select(
            Message.channel,
            Message.address_hash,
            sa.func.max(sa.case((is_proof, DeliveryReceipt.received_at))),
        )
        .join(DeliveryReceipt, DeliveryReceipt.message_id == Message.id)
        .outerjoin(
            VerifiedAddress,
            sa.and_(
                VerifiedAddress.channel == Message.channel,
                VerifiedAddress.address_hash == Message.address_hash,
            ),
        )
        .where(Message.address_hash.in_(address_hashes))
        .group_by(Message.channel, Message.address_hash)
        .having(
            came_back.is_not(None),
            sa.or_(arrived.is_(None), arrived < came_back),
            sa.or_(verified.is_(None), verified < came_back),
        )
    )
    return {(channel, address_hash): at for channel, address_hash, at in rows}
