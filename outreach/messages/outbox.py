"""The outbox: what is to be sent, what became of it, and the only writer of `Message.status`.

Promises: the machine never sends one message twice; nothing is lost silently; what cannot be known
is left to a person. How: a row is claimed with a fencing token and a lease; it becomes `sending`,
committed, before the network is touched; an outcome is written only where the token still matches.

Nothing here commits; `delivery.py` does, between the steps.
"""

import logging
import random
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.dialects import postgresql, sqlite

from outreach import clock
from outreach.db import db
from outreach.messages import opt_outs, queries, rates, rendering, waves
from outreach.messages.addresses import hash_address, normalise_address
from outreach.messages.channels import OpenChannel, Outcome, Outgoing, Verdict
from outreach.messages.gate import TO_UNITS, Candidate, SendGate
from outreach.messages.models import (
    Channel,
    DeliveryReceipt,
    FailureKind,
    Message,
    MessageSolicitation,
    MessageStatus,
    Purpose,
    ReceiptKind,
    Wave,
)
from outreach.messages.rates import Allowance
from outreach.messages.waves import counts, finish_waves

__all__ = ["counts", "finish_waves", "hash_address", "normalise_address"]

log = logging.getLogger(__name__)

CLAIM_SIZE = 200
WINDOW = 20
"""Messages that are `sending` at once: what a crash leaves unknown at most."""
MAX_ATTEMPTS = 6
BACKOFF_MINUTES = (1, 5, 15, 60, 240)
JITTER = 0.2
KEEP_TRYING = timedelta(days=10)
"""How long a message without a date of its own stays worth sending; longer than any holiday."""

_SEND_LOCK = 7_205_002
"""Key of the PostgreSQL advisory lock under which caps are counted and rows are taken."""

S = MessageStatus
TRANSITIONS: dict[MessageStatus, frozenset[MessageStatus]] = {
    S.QUEUED: frozenset({S.QUEUED, S.SENDING, S.UNKNOWN, S.WITHHELD, S.EXPIRED, S.CANCELLED}),
    S.SENDING: frozenset({S.SENT, S.QUEUED, S.FAILED, S.UNKNOWN}),
    S.UNKNOWN: frozenset({S.SENT, S.QUEUED, S.CANCELLED}),
    S.SENT: frozenset({S.DELIVERED, S.FAILED}),
    S.DELIVERED: frozenset({S.FAILED}),
}
"""No other exists. From `unknown`, all but a proof of acceptance is a person's decision."""

OnSent = Callable[[Sequence[int], datetime], None]
"""Told of messages that were sent, in the transaction that records it."""


@dataclass(frozen=True)
class Draft:
    """One recipient of a wave. A contact who serves several units gets one draft."""

    channel: Channel
    contact_id: int
    address: str
    recipient_name: str
    subject: str
    body_text: str
    body_html: str = ""
    reply_to: str = ""
    solicitation_ids: tuple[int, ...] = ()
    provider_template: str = ""
    variables: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Claim:
    token: str
    ids: tuple[int, ...]
    """Rows that the gate let pass, in the order in which they are sent; may be empty."""


class Decision(Enum):
    """What a person makes of an unknown outcome."""

    SENT = "sent"
    RESEND = "resend"
    CANCEL = "cancel"


# Into the outbox


def queue_message(  # noqa: PLR0913
    *,
    purpose: Purpose,
    channel: Channel,
    occurrence: str,
    address: str,
    recipient_name: str,
    subject: str,
    body_text: str,
    body_html: str = "",
    campaign_id: int | None = None,
    contact_id: int | None = None,
    solicitation_ids: Sequence[int] = (),
    reply_to: str = "",
    calendar: str = "",
    next_at: datetime | None = None,
    not_after: datetime | None = None,
) -> bool:
    """Queues a message outside a wave; False when that occurrence is queued already.

    After the commit call `jobs.wake("deliver")`.
    """
    now = clock.now()
    ids = _insert(
        [
            _row(channel, address, now)
            | {
                "purpose": purpose,
                "occurrence": occurrence,
                "campaign_id": campaign_id,
                "contact_id": contact_id,
                "recipient_name": recipient_name,
                "subject": subject,
                "body_text": body_text,
                "body_html": body_html,
                "reply_to": reply_to,
                "calendar": calendar,
                "next_at": next_at or now,
                "not_after": not_after or now + KEEP_TRYING,
            }
        ]
    )
    for message_id in ids.values():
        _link({message_id: solicitation_ids})
    return bool(ids)


def materialise(wave: Wave, drafts: Sequence[Draft]) -> int:
    """Queues the messages of a wave; returns how many are new. Safe to run again: a contact and
    an address have one message per wave and channel."""
    now = clock.now()
    rows = [
        _row(draft.channel, draft.address, now)
        | {
            "purpose": wave.purpose,
            "campaign_id": wave.campaign_id,
            "wave_id": wave.id,
            "contact_id": draft.contact_id,
            "recipient_name": draft.recipient_name,
            "subject": draft.subject,
            "body_text": draft.body_text,
            "body_html": draft.body_html,
            "reply_to": draft.reply_to,
            "provider_template": draft.provider_template,
            "variables": list(draft.variables),
            "next_at": max(now, wave.starts_at),
            "not_after": wave.not_after,
        }
        for draft in drafts
    ]
    ids = _insert(rows)
    _link(
        {
            ids[draft.channel, row["address_hash"]]: draft.solicitation_ids
            for draft, row in zip(drafts, rows, strict=True)
            if (draft.channel, row["address_hash"]) in ids
        }
    )
    return len(ids)


def _row(channel: Channel, address: str, now: datetime) -> dict[str, Any]:
    normalised = normalise_address(channel, address)
    return {
        "channel": channel,
        "address": normalised or address[:254],
        "domain": normalised.partition("@")[2][:190],
        "address_hash": hash_address(channel, address),
        "facts": {},
        "queued_at": now,
        "status_at": now,
    }


def _insert(rows: list[dict[str, Any]]) -> dict[tuple[Channel, str], int]:
    """Ids of the rows that are new, by channel and address hash. A row that breaks a unique key
    is there already."""
    if not rows:
        return {}
    dialect = sqlite if db.engine.dialect.name == "sqlite" else postgresql
    statement = (
        dialect.insert(Message)
        .on_conflict_do_nothing()
        .returning(Message.id, Message.channel, Message.address_hash)
    )
    queued = [
        row | {"status": MessageStatus.QUEUED, "segments": _count_segments(row)} for row in rows
    ]
    return {
        (channel, address_hash): message_id
        for message_id, channel, address_hash in db.session.execute(statement, queued)
    }


def _count_segments(row: dict[str, Any]) -> int:
    if row["channel"] is not Channel.SMS:
        return 1
    return rendering.segments(row["body_text"], f"【{_settings().sms_signature}】")


def _link(solicitations: Mapping[int, Sequence[int]]) -> None:
    rows = [
        {"message_id": message_id, "solicitation_id": solicitation_id}
        for message_id, solicitation_ids in solicitations.items()
        for solicitation_id in solicitation_ids
    ]
    if rows:
        db.session.execute(sa.insert(MessageSolicitation), rows)


# Through the states


def _move(
    sources: Collection[MessageStatus],
    to: MessageStatus,
    *guards: sa.ColumnElement[bool],
    **values: Any,
) -> list[int]:
    """Moves the rows that pass all guards, and only those; returns their ids, in order.

    The one statement that writes `Message.status`. Token and lease are given up unless `values`
    has them.
    """
    for source in sources:
        if to not in TRANSITIONS[source]:
            raise ValueError(f"no transition from {source} to {to}")
    values = {"token": None, "lease_until": None} | values
    if to not in sources:
        values["status_at"] = clock.now()
    statement = (
        sa.update(Message)
        .where(Message.status.in_(sources), *guards)
        .values(status=to, **values)
        .returning(Message.id)
        .execution_options(synchronize_session=False)
    )
    return sorted(db.session.scalars(statement))


def claim(now: datetime, *, limit: int = CLAIM_SIZE) -> Claim | None:
    """Takes due rows for one worker and withholds those that the gate stops; None when nothing
    is due, or nothing may go out now."""
    _take_send_lock()
    purposes = queries.sending_state(now).allowed_purposes()
    if not purposes:
        return None
    allowance = rates.fill(now)
    is_due = (
        *allowance.conditions(),
        Message.status == MessageStatus.QUEUED,
        Message.token.is_(None),
        Message.next_at <= now,
        Message.not_after >= now,
        Message.purpose.in_(purposes),
        Message.channel.in_(channels()),
    )
    due = (
        sa.select(Message.id)
        .where(*is_due, waves.may_take(is_due))
        .order_by(Message.next_at, Message.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    token = secrets.token_hex(16)
    ids = _move(
        {MessageStatus.QUEUED},
        MessageStatus.QUEUED,
        Message.id.in_(sa.select(due.c.id)),
        Message.token.is_(None),
        token=token,
        lease_until=now + _lease(),
        attempts=Message.attempts + 1,
    )
    if not ids:
        return None
    withheld = _ask_gate(token, ids, now)
    over = _take_allowance(allowance, [id_ for id_ in ids if id_ not in withheld])
    release(token, list(over), of=MessageStatus.QUEUED)
    return Claim(token, tuple(id_ for id_ in ids if id_ not in withheld | over))


def _take_allowance(allowance: Allowance, ids: Sequence[int]) -> set[int]:
    rows = db.session.execute(
        sa.select(Message.id, Message.channel, Message.domain, Message.segments)
        .where(Message.id.in_(ids))
        .order_by(Message.next_at, Message.id)
    )
    return allowance.take([(row.id, row.channel, row.domain, row.segments) for row in rows])


def begin(token: str, ids: Sequence[int], now: datetime) -> dict[Channel, list[Outgoing]]:
    """Marks the rows of a window as `sending`; returns those that may be sent once that is
    committed, by channel. Switch, hours, wave and gate are asked again, since the claim may be
    minutes old."""
    # First the lock: whoever waits for it must see what was switched off meanwhile.
    _take_send_lock()
    purposes = queries.sending_state(now).allowed_purposes()
    if not purposes:
        return {}
    withheld = _ask_gate(token, ids, now)
    moved = _move(
        {MessageStatus.QUEUED},
        MessageStatus.SENDING,
        Message.id.in_([id_ for id_ in ids if id_ not in withheld]),
        Message.token == token,
        Message.lease_until > now,
        Message.not_after >= now,
        Message.purpose.in_(purposes),
        waves.is_outside_or_running(),
        token=token,
        lease_until=now + _lease(),
    )
    return _load(moved, now)


def release(token: str, ids: Sequence[int], *, of: MessageStatus) -> list[int]:
    """Gives back rows in the state `of` that this worker knows not to have tried to send."""
    return _move(
        {of},
        MessageStatus.QUEUED,
        Message.id.in_(ids),
        Message.token == token,
        attempts=Message.attempts - 1,
    )


def record_outcomes(token: str, outcomes: Mapping[int, Outcome], now: datetime) -> None:
    """Writes what became of a window. Rows whose token has changed meanwhile are left alone; an
    acceptance counts even when the lease ran out and the row was called unknown."""
    accepted = {
        id_: outcome.provider_id
        for id_, outcome in outcomes.items()
        if outcome.verdict is Verdict.ACCEPTED
    }
    if accepted:
        sent = _move(
            {MessageStatus.SENDING, MessageStatus.UNKNOWN},
            MessageStatus.SENT,
            Message.id.in_(accepted),
            Message.token == token,
            sent_at=now,
            provider_id=sa.case(accepted, value=Message.id, else_=""),
            facts={},
        )
        _tell_sent(sent, now)
        apply_receipts(sent, now)
    troubled = {id_: outcome for id_, outcome in outcomes.items() if id_ not in accepted}
    if troubled:
        _record_trouble(token, troubled, now)
        waves.watch({id_: outcome.verdict for id_, outcome in troubled.items()})
        apply_receipts(troubled, now)


def _record_trouble(token: str, outcomes: Mapping[int, Outcome], now: datetime) -> None:
    attempts = dict(
        db.session.execute(
            sa.select(Message.id, Message.attempts).where(Message.id.in_(outcomes))
        ).all()
    )
    for id_, outcome in outcomes.items():
        mine = (Message.id == id_, Message.token == token)
        facts = {"answer": outcome.answer, "verdict": outcome.verdict.value}
        sending = {MessageStatus.SENDING}
        if outcome.verdict is Verdict.UNKNOWN:
            _move(sending, MessageStatus.UNKNOWN, *mine, facts=facts)
        elif outcome.verdict is Verdict.REJECTED:
            _move(sending, MessageStatus.FAILED, *mine, facts=facts, failure=FailureKind.REJECTED)
        elif attempts[id_] < MAX_ATTEMPTS:
            next_at = now + _backoff(attempts[id_])
            _move(sending, MessageStatus.QUEUED, *mine, facts=facts, next_at=next_at)
        else:
            _move(sending, MessageStatus.FAILED, *mine, facts=facts, failure=FailureKind.EXHAUSTED)


def apply_receipts(ids: Collection[int], now: datetime) -> None:
    """Brings messages into the state that their receipts prove. Receipts may come in any order,
    twice, and before the acceptance is written down: the end is the same. A bounce outweighs a
    delivery, since a server that took a message may find later that it cannot pass it on."""
    proofs = _read_receipts(ids)
    if not proofs:
        return
    late = _move(
        {MessageStatus.UNKNOWN},
        MessageStatus.SENT,
        Message.id.in_(proofs),
        sent_at=Message.status_at,
    )
    _tell_sent(late, now)
    delivered = {id_: proof.received_at for id_, proof in proofs.items() if not proof.is_bounced}
    # What was put back into the queue, by its worker or by a person, had arrived after all.
    _move(
        {MessageStatus.QUEUED},
        MessageStatus.CANCELLED,
        Message.id.in_(delivered),
        facts={"arrived": True},
    )
    if delivered:
        _move(
            {MessageStatus.SENT},
            MessageStatus.DELIVERED,
            Message.id.in_(delivered),
            delivered_at=sa.case(
                *((Message.id == id_, at) for id_, at in delivered.items()), else_=now
            ),
        )
    bounced = [
        id_
        for id_, proof in proofs.items()
        if proof.is_bounced
        for _moved in _move(
            {MessageStatus.SENT, MessageStatus.DELIVERED},
            MessageStatus.FAILED,
            Message.id == id_,
            failure=FailureKind.BOUNCED,
            facts={"answer": proof.detail, "bounced_at": proof.received_at.isoformat()},
        )
    ]
    if bounced:
        waves.watch(dict.fromkeys(bounced, Verdict.REJECTED))


@dataclass(frozen=True)
class _Proof:
    is_bounced: bool
    received_at: datetime
    detail: str


def _read_receipts(ids: Collection[int]) -> dict[int, _Proof]:
    """What is proven of each message, by id. A bounce counts for the sending that it names; a
    delivery counts for all later ones too."""
    rows = db.session.execute(
        sa.select(
            DeliveryReceipt.message_id,
            DeliveryReceipt.kind,
            DeliveryReceipt.received_at,
            DeliveryReceipt.detail,
        )
        .join(Message, Message.id == DeliveryReceipt.message_id)
        .where(
            Message.id.in_(ids),
            sa.or_(
                DeliveryReceipt.resend_no == Message.resend_no,
                DeliveryReceipt.kind == ReceiptKind.DELIVERED,
            ),
        )
        .order_by(DeliveryReceipt.received_at, DeliveryReceipt.id)
    )
    proofs: dict[int, _Proof] = {}
    for message_id, kind, received_at, detail in rows:
        is_bounced = kind is ReceiptKind.BOUNCED
        known = proofs.get(message_id)
        if known is None or (is_bounced and not known.is_bounced):
            proofs[message_id] = _Proof(is_bounced, received_at, detail)
    return proofs


def settle_unknown(message: Message, decision: Decision, now: datetime) -> bool:
    """A person's decision about an unknown outcome; False when the row is not unknown any more."""
    mine = (Message.id == message.id, Message.resend_no == message.resend_no)
    unknown = {MessageStatus.UNKNOWN}
    if decision is Decision.SENT:
        # It went out, if it did, when its outcome got lost: caps count from there.
        moved = _move(unknown, MessageStatus.SENT, *mine, sent_at=Message.status_at)
        _tell_sent(moved, now)
    elif decision is Decision.RESEND:
        moved = _move(
            unknown,
            MessageStatus.QUEUED,
            *mine,
            Message.not_after >= now,
            resend_no=Message.resend_no + 1,
            attempts=0,
            next_at=now,
            facts={},
        )
    else:
        moved = _move(unknown, MessageStatus.CANCELLED, *mine)
    return bool(moved)


def cancel_queued(wave_id: int) -> int:
    """Cancels what has not begun to be sent; returns how many messages that were."""
    return len(_move({MessageStatus.QUEUED}, MessageStatus.CANCELLED, Message.wave_id == wave_id))


def distrust_open_rows() -> int:
    """Leaves every open row to a person: the database was restored from a copy and does not know
    which of them were sent since; returns how many they are. A receipt in the copy is proof."""
    distrusted = _move(
        {MessageStatus.QUEUED, MessageStatus.SENDING},
        MessageStatus.UNKNOWN,
        facts={"verdict": Verdict.UNKNOWN.value, "answer": "", "restored": True},
    )
    proven = sa.select(DeliveryReceipt.message_id).join(
        Message, Message.id == DeliveryReceipt.message_id
    )
    is_unknown = Message.status == MessageStatus.UNKNOWN
    apply_receipts(set(db.session.scalars(proven.where(is_unknown))), clock.now())
    return len(distrusted)


def reap(now: datetime) -> int:
    """Takes care of rows whose worker is gone or whose time is over; returns how many.

    A claimed row was not sent and is queued again. A row that was being sent may have arrived: it
    keeps its token, so that its worker, if it lives, can still say that it was accepted.
    """
    has_run_out = Message.lease_until < now
    lost = _move(
        {MessageStatus.SENDING},
        MessageStatus.UNKNOWN,
        has_run_out,
        token=Message.token,
        lease_until=Message.lease_until,
        facts={"verdict": Verdict.UNKNOWN.value, "answer": ""},
    )
    if lost:
        waves.watch(dict.fromkeys(lost, Verdict.UNKNOWN))
        apply_receipts(lost, now)
    queued = {MessageStatus.QUEUED}
    # What was being sent while its wave was cancelled, and proved not to have been accepted.
    cancelled = _move(queued, MessageStatus.CANCELLED, _is_free(waves.is_of_cancelled()))
    released = _move(
        queued, MessageStatus.QUEUED, _is_free(has_run_out), attempts=Message.attempts - 1
    )
    is_too_late = (Message.token.is_(None), Message.not_after < now)
    expired = _move(queued, MessageStatus.EXPIRED, _is_free(*is_too_late))
    return len(lost) + len(cancelled) + len(released) + len(expired)


def _is_free(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Condition: a queued row of this kind that nobody holds. A sweep that has paused a wave must
    not wait for rows: a person who cancels a wave holds them and waits for what it holds."""
    free = (
        sa.select(Message.id)
        .where(Message.status == MessageStatus.QUEUED, *conditions)
        .with_for_update(skip_locked=True)
        .cte("free")
    )
    return Message.id.in_(sa.select(free.c.id))


# What a claim rests on


def _ask_gate(token: str, ids: Sequence[int], now: datetime) -> set[int]:
    """Withholds those rows of this claim that the gate stops; returns their ids."""
    rows = db.session.execute(
        sa.select(
            Message.id,
            Message.purpose,
            Message.channel,
            Message.address_hash,
            Message.contact_id,
            Message.campaign_id,
            Message.wave_id,
        )
        .where(
            Message.id.in_(ids),
            Message.token == token,
            Message.status == MessageStatus.QUEUED,
        )
        .order_by(Message.id)
    ).all()
    about: dict[int, list[int]] = {}
    for link in db.session.execute(
        sa.select(MessageSolicitation.message_id, MessageSolicitation.solicitation_id)
        .where(MessageSolicitation.message_id.in_(ids))
        .order_by(MessageSolicitation.solicitation_id)
    ):
        about.setdefault(link.message_id, []).append(link.solicitation_id)
    candidates = [Candidate(*row, tuple(about.get(row.id, ()))) for row in rows]
    gate: SendGate = current_app.extensions["outreach.gate"]
    withheld = gate.ask(candidates, now)
    for id_, why in withheld.items():
        _move(
            {MessageStatus.QUEUED},
            MessageStatus.WITHHELD,
            Message.id == id_,
            Message.token == token,
            withheld_reason=why.reason,
            facts=why.facts,
        )
    return set(withheld)


def _load(ids: Sequence[int], now: datetime) -> dict[Channel, list[Outgoing]]:
    rows = db.session.execute(
        sa.select(
            Message.channel,
            Message.purpose,
            Message.address_hash,
            Message.id,
            Message.resend_no,
            Message.address,
            Message.recipient_name,
            Message.subject,
            Message.body_text,
            Message.body_html,
            Message.calendar,
            Message.reply_to,
            Message.provider_template,
            Message.variables,
        )
        .where(Message.id.in_(ids))
        .order_by(Message.id)
    )
    outgoing: dict[Channel, list[Outgoing]] = {}
    for row in rows:
        fields = row._asdict()
        channel, address_hash = fields.pop("channel"), fields.pop("address_hash")
        if fields.pop("purpose") in TO_UNITS and channel is Channel.EMAIL:
            fields["unsubscribe_url"] = opt_outs.link(channel, address_hash)
        outgoing.setdefault(channel, []).append(Outgoing(**fields, at=now))
    return outgoing


def _tell_sent(ids: Sequence[int], now: datetime) -> None:
    hooks: Sequence[OnSent] = current_app.extensions["outreach.on_sent"]
    for hook in hooks if ids else ():
        try:
            with db.session.begin_nested():
                hook(ids, now)
        except Exception:  # whatever it is, that the message was sent must be kept
            log.exception("effect of %s messages that were sent is lost", len(ids))


def _take_send_lock() -> None:
    """One transaction at a time counts caps and takes rows. SQLite has one writer anyway."""
    if db.engine.dialect.name == "postgresql":
        db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(_SEND_LOCK)))


def channels() -> Mapping[Channel, OpenChannel]:
    return current_app.extensions["outreach.channels"]


def _lease() -> timedelta:
    """How long a row belongs to the worker that claimed it, or that began to send it."""
    return timedelta(seconds=_settings().mail_final_timeout) + margin()


def margin() -> timedelta:
    return timedelta(seconds=_settings().delivery_lease_margin)


def _settings() -> Any:
    return current_app.extensions["outreach.settings"]


def _backoff(attempts: int) -> timedelta:
    spread = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads load, hides nothing
    return timedelta(minutes=BACKOFF_MINUTES[attempts - 1] * spread)
