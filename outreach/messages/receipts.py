"""What providers and bounces report later about messages that they had accepted."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from outreach.db import db, insert_new
from outreach.messages import outbox
from outreach.messages.models import BounceCause, DeliveryReceipt, Message, ReceiptKind

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
    outbox.apply_receipts(known, now)
    return count
