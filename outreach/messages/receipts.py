"""What providers and bounces report later about messages that they had accepted."""

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from outreach.db import among, db, insert_new, run
from outreach.messages import waves
from outreach.messages.channels import Verdict
from outreach.messages.effects import tell_sent
from outreach.messages.models import (
    BounceCause,
    DeliveryReceipt,
    FailureKind,
    Message,
    MessageStatus,
    ReceiptKind,
)
from outreach.messages.states import move

log = logging.getLogger(__name__)

LONGEST_DETAIL = 200


@dataclass(frozen=True)
class Report:
    key: str
    """Provider, its number for the message and what it says: the same report counts once."""
    message_id: int
    resend_no: int
    kind: ReceiptKind
    detail: str = ""
    """In the provider's words, without any address."""
    cause: BounceCause | None = None


def take(reports: Iterable[Report], now: datetime) -> int:
    """Keeps the reports that are new and brings their messages up to date; returns how many were
    new. Reports about messages that are not ours are left out."""
    by_key = {report.key: report for report in reports}
    known = set(
        db.session.scalars(
            sa.select(Message.id).where(
                Message.id.in_({report.message_id for report in by_key.values()})
            )
        )
    )
    rows = [
        {
            "key": report.key,
            "message_id": report.message_id,
            "resend_no": report.resend_no,
            "kind": report.kind,
            "cause": report.cause,
            "detail": report.detail[:LONGEST_DETAIL],
            "received_at": now,
        }
        for report in by_key.values()
        if report.message_id in known
    ]
    if len(rows) < len(by_key):
        log.warning("%s receipts are for no message of ours", len(by_key) - len(rows))
    count = insert_new(DeliveryReceipt, rows, ["key"])
    # All of them, new or not: a receipt that came before its message was recorded counts now.
    apply_receipts(known, now)
    return count


def apply_receipts(ids: Collection[int], now: datetime) -> None:
    """Brings messages into the state that their receipts prove. Receipts may come in any order,
    twice, and before the acceptance is written down: the end is the same. A bounce outweighs a
    delivery, since a server that took a message may find later that it cannot pass it on."""
    proofs = _read_receipts(ids)
    if not proofs:
        return
    late = move(
        {MessageStatus.UNKNOWN},
        MessageStatus.SENT,
        Message.id.in_(proofs),
        sent_at=Message.status_at,
    )
    tell_sent(late, now)
    _take_out_of_queue(proofs)
    _mark_delivered(proofs)
    bounced = _mark_bounced(proofs)
    if bounced:
        waves.watch(dict.fromkeys(bounced, Verdict.REJECTED))


@dataclass(frozen=True)
class _Proof:
    is_bounced: bool
    has_arrived: bool
    """At one time: a bounce that outweighs it does not make it wrong."""
    received_at: datetime
    detail: str
    cause: BounceCause | None


def _take_out_of_queue(proofs: Mapping[int, _Proof]) -> None:
    """What was put back, by its worker or by a person, had arrived after all. That it was sent, no
    later than it was put back, counts against caps, rates and budget."""
    move(
        {MessageStatus.QUEUED},
        MessageStatus.CANCELLED,
        Message.id.in_([id_ for id_, proof in proofs.items() if proof.has_arrived]),
        facts={"arrived": True},
        sent_at=Message.status_at,
    )


def _mark_delivered(proofs: Mapping[int, _Proof]) -> None:
    moments = {id_: proof.received_at for id_, proof in proofs.items() if not proof.is_bounced}
    if moments:
        move(
            {MessageStatus.SENT},
            MessageStatus.DELIVERED,
            Message.id.in_(moments),
            delivered_at=sa.case(*((Message.id == id_, at) for id_, at in moments.items())),
        )


def _mark_bounced(proofs: Mapping[int, _Proof]) -> list[int]:
    return [
        id_
        for id_, proof in proofs.items()
        if proof.is_bounced
        for _moved in move(
            {MessageStatus.SENT, MessageStatus.DELIVERED},
            MessageStatus.FAILED,
            Message.id == id_,
            failure=FailureKind.BOUNCED,
            facts={
                "answer": proof.detail,
                "bounced_at": proof.received_at.isoformat(),
                "cause": proof.cause,
            },
        )
    ]


def _read_receipts(ids: Collection[int]) -> dict[int, _Proof]:
    """What is proven of each message, by id. A bounce counts for the sending that it names; a
    delivery counts for all later ones too."""
    proofs: dict[int, _Proof] = {}
    for message_id, kind, received_at, detail, cause in run(_RECEIPTS, {"ids": list(ids)}):
        is_bounced = kind is ReceiptKind.BOUNCED
        known = proofs.get(message_id)
        has_arrived = not is_bounced or (known is not None and known.has_arrived)
        if known is None or (is_bounced and not known.is_bounced):
            known = _Proof(is_bounced, has_arrived, received_at, detail, cause)
        proofs[message_id] = replace(known, has_arrived=has_arrived)
    return proofs


_RECEIPTS = (
    sa.select(
        DeliveryReceipt.message_id,
        DeliveryReceipt.kind,
        DeliveryReceipt.received_at,
        DeliveryReceipt.detail,
        DeliveryReceipt.cause,
    )
    .join(Message, Message.id == DeliveryReceipt.message_id)
    .where(
        among(DeliveryReceipt.message_id, "ids"),
        sa.or_(
            DeliveryReceipt.resend_no == Message.resend_no,
            DeliveryReceipt.kind == ReceiptKind.DELIVERED,
        ),
    )
    .order_by(DeliveryReceipt.received_at, DeliveryReceipt.id)
)
