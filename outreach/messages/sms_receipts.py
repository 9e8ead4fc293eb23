"""What providers of text messages report and what people reply, found again among our messages."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import sqlalchemy as sa
from flask import current_app

from outreach.db import db, insert_new
from outreach.messages import opt_outs, receipts
from outreach.messages.addresses import hash_address, normalise_address
from outreach.messages.channels.sms import SmsReply, SmsReport, out_id, provider_number, read_out_id
from outreach.messages.models import (
    BounceCause,
    Channel,
    EarlyReceipt,
    Message,
    MessageSolicitation,
    MessageStatus,
    ReceiptKind,
)
from outreach.messages.receipts import Report

log = logging.getLogger(__name__)

Entry = TypeVar("Entry", SmsReport, SmsReply)
OnReply = Callable[[Message, str], None]
"""Told what somebody replied to a message about units; may be told twice."""

_NO_SUCH_NUMBER = re.compile("空号|号码不存在|无效号码")
"""What networks say of a number that nobody has; switched off or full is said otherwise."""
KEEP_EARLY = timedelta(days=1)
"""How long a report waits for the message that it is about; a window is written down in minutes."""


def take_reports(reports: Iterable[SmsReport | None], now: datetime) -> int:
    """Keeps what makes sense and brings the messages up to date; returns how many reports were
    new. They may come twice, early, and about messages of other systems of the same account."""
    known = _only_sensible(reports, "reports")
    ours = {report: number for report in known if (number := read_out_id(report.out_id))}
    hashes = _hashes_of({message_id for message_id, _resend_no in ours.values()})
    count = receipts.take(
        [
            make_report(*number, report.kind, report.detail)
            for report, number in ours.items()
            # Another system of the same account may give the same number to its own messages.
            if hashes.get(number[0]) == _hash(report.phone)
        ],
        now,
    )
    _keep_early([report for report in known if report not in ours], now)
    return count + settle_early(now)


def settle_early(now: datetime) -> int:
    """Gives reports that came early to the messages that have been written down since; returns how
    many were new. Forgets those that nothing is waiting for."""
    rows = db.session.execute(
        sa.select(
            EarlyReceipt.id,
            EarlyReceipt.kind,
            EarlyReceipt.detail,
            Message.id.label("message_id"),
            Message.resend_no,
        ).join(
            Message,
            sa.and_(
                Message.provider_id == EarlyReceipt.provider_id,
                Message.address_hash == EarlyReceipt.address_hash,
            ),
        )
    ).all()
    count = receipts.take(
        [make_report(row.message_id, row.resend_no, row.kind, row.detail) for row in rows], now
    )
    db.session.execute(
        sa.delete(EarlyReceipt).where(
            sa.or_(
                EarlyReceipt.id.in_([row.id for row in rows]),
                EarlyReceipt.received_at < now - KEEP_EARLY,
            )
        )
    )
    return count


def take_replies(replies: Iterable[SmsReply | None]) -> int:
    """Takes those out of further messages who say so; returns how many they are. What else people
    reply is passed on to who answers for the unit."""
    known = _only_sensible(replies, "replies")
    others = [
        reply
        for reply in known
        if not opt_outs.take_reply(Channel.SMS, _number(reply.phone), reply.text)
    ]
    for reply in others:
        _pass_on(reply)
    count = len(known) - len(others)
    log.info("%s replies taken, %s of them to opt out", len(known), count)
    return count


def make_report(message_id: int, resend_no: int, kind: ReceiptKind, detail: str) -> Report:
    """The same whether the provider was asked or said it by itself."""
    key = f"sms:{out_id(message_id, resend_no)}:{kind.value}"
    is_dead = kind is ReceiptKind.BOUNCED and _NO_SUCH_NUMBER.search(detail)
    cause = BounceCause.NO_SUCH_ADDRESS if is_dead else None
    return Report(key, message_id, resend_no, kind, detail, cause)


def _pass_on(reply: SmsReply) -> None:
    words = " ".join("".join(c if c.isprintable() else " " for c in reply.text).split())
    if not words:
        return
    message = _find_last(_hash(reply.phone))
    if message is None:
        log.warning("a reply from a number that no message about a unit went to is not kept")
        return
    hooks: Sequence[OnReply] = current_app.extensions["outreach.on_reply"]
    for hook in hooks:
        try:
            with db.session.begin_nested():
                hook(message, words)
        except Exception:  # whatever it is, who opted out in the same push must be kept
            log.exception("a reply to message %s is lost", message.id)


def _find_last(address_hash: str) -> Message | None:
    """The last message about units that may have reached the number."""
    return db.session.scalar(
        sa.select(Message)
        .where(
            Message.channel == Channel.SMS,
            Message.address_hash == address_hash,
            Message.address_hash != "",
            sa.or_(Message.sent_at.is_not(None), Message.status == MessageStatus.UNKNOWN),
            sa.exists().where(MessageSolicitation.message_id == Message.id),
        )
        .order_by(sa.func.coalesce(Message.sent_at, Message.status_at).desc(), Message.id.desc())
        .limit(1)
    )


def _only_sensible(entries: Iterable[Entry | None], what: str) -> list[Entry]:
    taken, skipped = [], 0
    for entry in entries:
        if entry is None:
            skipped += 1
        else:
            taken.append(entry)
    if skipped:
        log.warning("%s %s of the SMS provider make no sense", skipped, what)
    return taken


def _keep_early(reports: Sequence[SmsReport], now: datetime) -> None:
    rows = [
        {
            "provider_id": report.provider_id,
            "address_hash": _hash(report.phone),
            "kind": report.kind,
            "detail": report.detail,
            "received_at": now,
        }
        for report in reports
        if provider_number(report.provider_id) and _hash(report.phone)
    ]
    insert_new(EarlyReceipt, rows, ["provider_id", "kind"])


def _hashes_of(message_ids: set[int]) -> Mapping[int, str]:
    rows = db.session.execute(
        sa.select(Message.id, Message.address_hash).where(
            Message.id.in_(message_ids), Message.channel == Channel.SMS
        )
    )
    return dict(rows.all())


def _hash(phone: str) -> str:
    return hash_address(Channel.SMS, _number(phone))


def _number(phone: str) -> str:
    """Providers write numbers of other countries without the plus."""
    return normalise_address(Channel.SMS, phone) or normalise_address(Channel.SMS, f"+{phone}")
