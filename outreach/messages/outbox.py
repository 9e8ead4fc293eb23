"""The outbox: what is to be sent, and what became of it.

Promises: the machine never sends one message twice; nothing is lost silently; what cannot be known
is left to a person. How: a row is claimed with a fencing token and a lease; it becomes `sending`,
committed, before the network is touched; an outcome is written only where the token still matches.

Nothing here commits; `delivery.py` does, between the steps.
"""

import json
import random
import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import sqlalchemy as sa
from flask import current_app

from outreach import clock
from outreach.db import among, db, looked_up, one_of, run, table_of
from outreach.messages import attachments, instance, opt_outs, queries, rates, waves
from outreach.messages.channels import OpenChannel, Outcome, Outgoing, Verdict
from outreach.messages.effects import tell_sent
from outreach.messages.gate import TO_UNITS, Candidate, SendGate
from outreach.messages.models import (
    OPEN_STATUSES,
    Channel,
    DeliveryReceipt,
    FailureKind,
    Message,
    MessageSolicitation,
    MessageStatus,
    Purpose,
    SendPolicy,
)
from outreach.messages.receipts import apply_receipts
from outreach.messages.rendering import render_html
from outreach.messages.states import move, prepare

CLAIM_SIZE = 500
WINDOW = 20
"""Messages that are `sending` at once: what a crash leaves unknown at most."""
MAX_ATTEMPTS = 6
BACKOFF_MINUTES = (1, 5, 15, 60, 240)
JITTER = 0.2
LONGEST_CLAIM = timedelta(days=1)
"""However slow a server is: a claim, from its first message to the end of its lease."""


@dataclass(frozen=True)
class Claim:
    token: str
    ids: tuple[int, ...]
    """Rows that the gate let pass, in the order in which they are sent; may be empty."""
    is_full: bool
    """As many rows were due as one claim takes, or more."""


@dataclass(frozen=True)
class Window:
    epoch: int
    """Which window this is, to be noted: see `instance`. 0: this database may not send."""
    messages: Mapping[Channel, Sequence[Outgoing]]
    latest: datetime
    """None of them is handed over later: the hours end then, or its answer could come after the
    lease."""


class Decision(Enum):
    """What a person makes of an unknown outcome."""

    SENT = "sent"
    RESEND = "resend"
    CANCEL = "cancel"


def claim(now: datetime, *, limit: int = CLAIM_SIZE) -> Claim | None:
    """Takes due rows for one worker and withholds those that the gate stops; None when nothing
    is due, or nothing may go out now."""
    run(_LOCK)
    state = queries.sending_state(now)
    if not state.is_on:
        return None
    allowance = rates.fill(now)
    is_due = (
        *allowance.conditions(),
        one_of(Message.status, MessageStatus.QUEUED),
        Message.token.is_(None),
        Message.next_at <= now,
        Message.not_after >= now,
        sa.true() if state.is_open else queries.is_for_any_hour(),
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
    taken = run(
        prepare(
            {MessageStatus.QUEUED},
            MessageStatus.QUEUED,
            Message.id.in_(sa.select(due.c.id)),
            Message.token.is_(None),
            token=token,
            lease_until=now + _lease(),
            attempts=Message.attempts + 1,
            returning=_TAKEN,
        )
    ).all()
    if not taken:
        return None
    withheld = _ask_gate(token, [row.id for row in taken], now)
    passed = sorted((row for row in taken if row.id not in withheld), key=_place_in_queue)
    over = allowance.take([tuple(row)[:4] for row in passed])
    release(token, over, of=MessageStatus.QUEUED)
    ids = tuple(row.id for row in passed if row.id not in over)
    return Claim(token, ids, is_full=len(taken) == limit)


_TAKEN = (Message.id, Message.channel, Message.domain, Message.segments, Message.next_at)


def _place_in_queue(row: Any) -> tuple[datetime, int]:
    return row.next_at, row.id


def begin(token: str, ids: Sequence[int], now: datetime) -> Window:
    """Marks the rows of a window as `sending`; returns those that may be sent once that is
    committed. Switch, hours, wave and gate are asked again, since the claim may be minutes old."""
    # First the count, which is a lock: whoever waits for it must see what was switched off then.
    policy = instance.advance()
    if policy is None:
        return Window(0, {}, now)
    state = queries.state_under(policy, now)
    if not state.is_on:
        return Window(policy.epoch, {}, now)
    withheld = _ask_gate(token, ids, now)
    rows = run(
        _BEGIN,
        {
            "ids": [id_ for id_ in ids if id_ not in withheld],
            "holder": token,
            "now": now,
            "until": now + _lease(),
            "is_open": state.is_open,
            "moved_at": now,
        },
    )
    latest = now + _margin()
    if state.closes_at is not None:
        latest = min(latest, state.closes_at)
    return Window(policy.epoch, _read(rows.all(), now), latest)


_BEGIN = prepare(
    {MessageStatus.QUEUED},
    MessageStatus.SENDING,
    among(Message.id, "ids"),
    Message.token == sa.bindparam("holder"),
    Message.lease_until > sa.bindparam("now"),
    Message.not_after >= sa.bindparam("now"),
    sa.or_(sa.bindparam("is_open", type_=sa.Boolean), queries.is_for_any_hour()),
    waves.is_outside_or_running(),
    token=Message.token,
    lease_until=sa.bindparam("until"),
    returning=(
        Message.id,
        Message.channel,
        Message.purpose,
        Message.address_hash,
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
    ),
)


def _read(rows: Iterable[Any], now: datetime) -> dict[Channel, list[Outgoing]]:
    links = opt_outs.Links()
    outgoing: dict[Channel, list[Outgoing]] = defaultdict(list)
    rows = sorted(rows)
    files = attachments.read([row.id for row in rows if row.purpose is Purpose.MINUTES])
    for row in rows:
        is_mail = row.channel is Channel.EMAIL
        is_letter = is_mail and row.purpose in TO_UNITS
        outgoing[row.channel].append(
            Outgoing(
                row.id,
                row.resend_no,
                row.address,
                row.recipient_name,
                row.subject,
                row.body_text,
                row.body_html or (render_html(row.body_text) if is_mail else ""),
                row.calendar,
                row.reply_to,
                row.provider_template,
                row.variables,
                at=now,
                enclosed=files.get(row.id),
                unsubscribe_url=links.to(row.channel, row.address_hash) if is_letter else "",
            )
        )
    return dict(outgoing)


def release(token: str, ids: Collection[int], *, of: MessageStatus) -> None:
    """Gives back rows in the state `of` that this worker knows not to have tried to send."""
    if ids:
        run(_RELEASE[of], {"ids": ids, "holder": token, "moved_at": clock.now()})


_RELEASE = {
    status: prepare(
        {status},
        MessageStatus.QUEUED,
        among(Message.id, "ids"),
        Message.token == sa.bindparam("holder"),
        attempts=Message.attempts - 1,
    )
    for status in (MessageStatus.QUEUED, MessageStatus.SENDING)
}


def record_outcomes(token: str, outcomes: Mapping[int, Outcome], now: datetime) -> list[int]:
    """Writes what became of messages; returns those that were sent, for `follow_up`. Rows whose
    token has changed meanwhile are left alone; an acceptance counts even when the lease ran out
    and the row was called unknown."""
    accepted = {
        id_: outcome.provider_id
        for id_, outcome in outcomes.items()
        if outcome.verdict is Verdict.ACCEPTED
    }
    sent = []
    if accepted:
        rows = run(
            _SENT,
            {
                "ids": list(accepted),
                "holder": token,
                "now": now,
                "provider_ids": json.dumps(accepted),
                "moved_at": now,
            },
        )
        sent = sorted(row.id for row in rows)
    troubled = {id_: outcome for id_, outcome in outcomes.items() if id_ not in accepted}
    if troubled:
        _record_trouble(token, troubled, now)
        waves.watch({id_: outcome.verdict for id_, outcome in troubled.items()})
        apply_receipts(troubled, now)
    return sent


def follow_up(sent: Sequence[int], now: datetime) -> None:
    """Writes what follows from messages that were sent. May be done twice."""
    if sent:
        tell_sent(sent, now)
        apply_receipts(sent, now)


_SENT = prepare(
    {MessageStatus.SENDING, MessageStatus.UNKNOWN},
    MessageStatus.SENT,
    among(Message.id, "ids"),
    Message.token == sa.bindparam("holder"),
    sent_at=sa.bindparam("now"),
    provider_id=sa.func.coalesce(looked_up("provider_ids", Message.id), ""),
    facts={},
)


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
            move(sending, MessageStatus.UNKNOWN, *mine, facts=facts)
        elif outcome.verdict is Verdict.REJECTED:
            move(sending, MessageStatus.FAILED, *mine, facts=facts, failure=FailureKind.REJECTED)
        elif attempts[id_] < MAX_ATTEMPTS:
            next_at = now + _backoff(attempts[id_])
            move(sending, MessageStatus.QUEUED, *mine, facts=facts, next_at=next_at)
        else:
            move(sending, MessageStatus.FAILED, *mine, facts=facts, failure=FailureKind.EXHAUSTED)


def settle_unknown(message: Message, decision: Decision, now: datetime) -> bool:
    """A person's decision about an unknown outcome; False when the row is not unknown any more."""
    mine = (Message.id == message.id, Message.resend_no == message.resend_no)
    unknown = {MessageStatus.UNKNOWN}
    if decision is Decision.SENT:
        # It went out, if it did, when its outcome got lost: caps count from there.
        moved = move(unknown, MessageStatus.SENT, *mine, sent_at=Message.status_at)
        tell_sent(moved, now)
    elif decision is Decision.RESEND:
        moved = move(
            unknown,
            MessageStatus.QUEUED,
            *mine,
            Message.not_after >= now,
            resend_no=Message.resend_no + 1,
            inquiries=0,
            attempts=0,
            next_at=now,
            facts={},
        )
    else:
        # Nobody says that it did not arrive, only that it is not sent again.
        moved = move(unknown, MessageStatus.CANCELLED, *mine, sent_at=Message.status_at)
    return bool(moved)


def cancel_queued(wave_id: int) -> int:
    """Cancels what has not begun to be sent; returns how many messages that were."""
    return len(move({MessageStatus.QUEUED}, MessageStatus.CANCELLED, Message.wave_id == wave_id))


def distrust_open_rows() -> int:
    """Leaves every open row to a person: the database was restored from a copy and does not know
    which of them were sent since; returns how many they are. A receipt in the copy is proof."""
    distrusted = move(
        {MessageStatus.QUEUED, MessageStatus.SENDING},
        MessageStatus.UNKNOWN,
        facts={"verdict": Verdict.UNKNOWN.value, "answer": "", "restored": True},
    )
    proven = sa.select(DeliveryReceipt.message_id).join(
        Message, Message.id == DeliveryReceipt.message_id
    )
    is_unknown = one_of(Message.status, MessageStatus.UNKNOWN)
    apply_receipts(set(db.session.scalars(proven.where(is_unknown))), clock.now())
    return len(distrusted)


def reap(now: datetime) -> int:
    """Takes care of rows whose worker is gone or whose time is over; returns how many.

    A claimed row was not sent and is queued again. A row that was being sent may have arrived: it
    keeps its token, so that its worker, if it lives, can still say that it was accepted.
    """
    has_run_out = Message.lease_until < now
    left_at = db.session.scalar(
        sa.select(sa.func.min(Message.lease_until)).where(
            one_of(Message.status, *OPEN_STATUSES), has_run_out
        )
    )
    lost = move(
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
    cancelled = move(queued, MessageStatus.CANCELLED, _is_free(waves.is_of_cancelled()))
    released = move(
        queued, MessageStatus.QUEUED, _is_free(has_run_out), attempts=Message.attempts - 1
    )
    is_too_late = (Message.token.is_(None), Message.not_after < now)
    expired = move(queued, MessageStatus.EXPIRED, _is_free(*is_too_late))
    if left_at is not None:
        # A worker is gone, and may not have come to write what follows from what it had sent.
        is_of_its_time = Message.sent_at >= left_at - LONGEST_CLAIM
        sent = db.session.scalars(sa.select(Message.id).where(is_of_its_time)).all()
        for start in range(0, len(sent), CLAIM_SIZE):
            follow_up(sent[start : start + CLAIM_SIZE], now)
    return len(lost) + len(cancelled) + len(released) + len(expired)


def _is_free(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Condition: a queued row of this kind that nobody holds. A sweep that has paused a wave must
    not wait for rows: a person who cancels a wave holds them and waits for what it holds."""
    free = (
        sa.select(Message.id)
        .where(one_of(Message.status, MessageStatus.QUEUED), *conditions)
        .with_for_update(skip_locked=True)
        .cte("free")
    )
    return Message.id.in_(sa.select(free.c.id))


# What a claim rests on


def _ask_gate(token: str, ids: Sequence[int], now: datetime) -> set[int]:
    """Withholds those rows of this claim that the gate stops; returns their ids."""
    gate: SendGate = current_app.extensions["outreach.gate"]
    suspects = gate.find_suspects(ids, now)
    withheld = gate.ask(_candidates(token, suspects), now) if suspects else {}
    for id_, why in withheld.items():
        move(
            {MessageStatus.QUEUED},
            MessageStatus.WITHHELD,
            Message.id == id_,
            Message.token == token,
            withheld_reason=why.reason,
            facts=why.facts,
        )
    return set(withheld)


def _candidates(token: str, ids: Collection[int]) -> list[Candidate]:
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
    about: dict[int, list[int]] = defaultdict(list)
    for message_id, solicitation_id in db.session.execute(
        sa.select(MessageSolicitation.message_id, MessageSolicitation.solicitation_id)
        .where(MessageSolicitation.message_id.in_(ids))
        .order_by(MessageSolicitation.solicitation_id)
    ):
        about[message_id].append(solicitation_id)
    return [Candidate(*row, tuple(about[row.id])) for row in rows]


_LOCK = sa.select(table_of(SendPolicy).c.id).with_for_update()
"""One transaction at a time counts caps and takes rows. SQLite has one writer anyway."""


def channels() -> Mapping[Channel, OpenChannel]:
    return current_app.extensions["outreach.channels"]


def _lease() -> timedelta:
    """How long a row belongs to the worker that claimed it, or that began to send it."""
    return timedelta(seconds=_settings().mail_final_timeout) + _margin()


def _margin() -> timedelta:
    return timedelta(seconds=_settings().delivery_lease_margin)


def _settings() -> Any:
    return current_app.extensions["outreach.settings"]


def _backoff(attempts: int) -> timedelta:
    spread = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads load, hides nothing
    return timedelta(minutes=BACKOFF_MINUTES[attempts - 1] * spread)
