"""What the outbox knows of waves: which may go on, which must pause, which are finished."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from sqlalchemy.orm import aliased

from outreach import audit, clock
from outreach.db import db, one_of
from outreach.messages.channels import Verdict
from outreach.messages.models import (
    OPEN_STATUSES,
    Message,
    MessageStatus,
    Wave,
    WaveStatus,
)

_Correction = aliased(Wave)

CANARY = 10
"""Messages of a wave that go out, and have an outcome, before the rest does."""
HARD_FAILURE_SHARE, HARD_FAILURES_FROM = 0.05, 20
MOST_FAILED_OF_CANARY = 3
"""So many of the first ten are no accident: the rest waits until a person has looked."""
MISCONFIGURED_IN_A_ROW = 3
MOST_UNKNOWN = 10

_WITH_OUTCOME = (
    MessageStatus.SENT,
    MessageStatus.DELIVERED,
    MessageStatus.FAILED,
    MessageStatus.UNKNOWN,
)


def counts(wave_id: int) -> dict[MessageStatus, int]:
    """How many messages of the wave are in each state; they add up to its audience."""
    rows = db.session.execute(
        sa.select(Message.status, sa.func.count())
        .where(Message.wave_id == wave_id)
        .group_by(Message.status)
    )
    return dict.fromkeys(MessageStatus, 0) | dict(rows.all())


def finish_waves() -> int:
    """Finishes waves of which no row can run any more; returns how many. One that is paused has
    its last day first: until then a person may have what failed go on over the other channel."""
    # Locked first and looked at after: a person who has a message sent again locks the wave too.
    # A wave that somebody holds is for the next sweep: who waits here might hold the audit lock.
    is_past = one_of(Wave.status, WaveStatus.PAUSED) & (Wave.not_after < clock.now())
    may_finish = sa.or_(one_of(Wave.status, WaveStatus.RUNNING), is_past)
    under_way = db.session.scalars(
        sa.select(Wave.id).where(may_finish).with_for_update(key_share=True, skip_locked=True)
    ).all()
    has_open_rows = (
        sa.select(Message.id)
        .where(Message.wave_id == Wave.id, Message.status.in_(OPEN_STATUSES))
        .exists()
    )
    finished = db.session.scalars(
        sa.update(Wave)
        .where(Wave.id.in_(under_way), may_finish, ~has_open_rows)
        .values(status=WaveStatus.FINISHED, finished_at=clock.now(), version=Wave.version + 1)
        .returning(Wave.id)
        .execution_options(synchronize_session=False)
    ).all()
    return len(finished)


def reopen_wave(wave_id: int) -> bool:
    """Locks the wave for a message that is to be sent again, and has it run if it had finished;
    False when the wave was cancelled."""
    status = db.session.scalar(
        sa.select(Wave.status).where(Wave.id == wave_id).with_for_update(key_share=True)
    )
    if status is WaveStatus.FINISHED:
        db.session.execute(
            sa.update(Wave)
            .where(Wave.id == wave_id)
            .values(status=WaveStatus.RUNNING, finished_at=None, version=Wave.version + 1)
            .execution_options(synchronize_session=False)
        )
    return status is not WaveStatus.CANCELLED


def find_correction(wave: Wave) -> Wave | None:
    """The wave that puts this one right, unless it was cancelled."""
    return db.session.scalar(
        sa.select(Wave).where(_corrects(Wave, wave.id)).order_by(Wave.id.desc())
    )


def is_corrected() -> sa.ColumnElement[bool]:
    """Condition: another wave puts this one right."""
    return sa.exists().where(_corrects(_Correction, Wave.id))


def _corrects(other: type[Wave], wave_id: Any) -> sa.ColumnElement[bool]:
    """Condition: the other wave puts this one right, unless it was cancelled."""
    return sa.and_(other.correction_of_id == wave_id, other.status != WaveStatus.CANCELLED)


def hold_approved(reason: str) -> int:
    """Leaves every wave that waits for its time to a person; returns how many they are."""
    held = db.session.scalars(
        sa.update(Wave)
        .where(Wave.status == WaveStatus.APPROVED)
        .values(status=WaveStatus.HELD, paused_because=reason, version=Wave.version + 1)
        .returning(Wave.id)
        .execution_options(synchronize_session=False)
    ).all()
    for wave_id in sorted(held):
        audit.record("hold.wave", f"wave:{wave_id}", reason=reason)
    return len(held)


def is_outside_or_running() -> sa.ColumnElement[bool]:
    """Condition: the message belongs to no wave, or to one that runs."""
    running = sa.select(Wave.id).where(Wave.status == WaveStatus.RUNNING)
    return sa.or_(Message.wave_id.is_(None), Message.wave_id.in_(running))


def is_of_cancelled() -> sa.ColumnElement[bool]:
    """Condition: the message belongs to a wave that was cancelled."""
    return Message.wave_id.in_(sa.select(Wave.id).where(Wave.status == WaveStatus.CANCELLED))


def may_take(is_due: Sequence[sa.ColumnElement[bool]]) -> sa.ColumnElement[bool]:
    """Condition: outside a wave, of a running wave whose canary is through, or canary itself."""
    through: list[int] = []
    canaries: list[int] = []
    for wave_id in db.session.scalars(
        sa.select(Wave.id).where(Wave.status == WaveStatus.RUNNING)
    ).all():
        room = _room_for_canaries(wave_id)
        if room is None:
            through.append(wave_id)
        elif room > 0:
            canaries += db.session.scalars(
                sa.select(Message.id)
                .where(*is_due, Message.wave_id == wave_id)
                .order_by(Message.next_at, Message.id)
                .limit(room)
            )
    return sa.or_(Message.wave_id.is_(None), Message.wave_id.in_(through), Message.id.in_(canaries))


def _room_for_canaries(wave_id: int) -> int | None:
    """How many more may be sent to try the wave out; None when it has been tried."""
    with_outcome = (
        sa.select(Message.id)
        .where(Message.wave_id == wave_id, Message.status.in_(_WITH_OUTCOME))
        .limit(CANARY)
        .subquery()
    )
    outcomes = db.session.scalar(sa.select(sa.func.count()).select_from(with_outcome)) or 0
    if outcomes >= CANARY:
        return None
    is_in_hand = Message.token.is_not(None)
    in_hand, put_off = db.session.execute(
        sa.select(
            sa.func.count(sa.case((is_in_hand, 1))),
            sa.func.count(sa.case((~is_in_hand & (Message.attempts > 0), 1))),
        ).where(Message.wave_id == wave_id, Message.status.in_(OPEN_STATUSES))
    ).one()
    if outcomes + put_off >= CANARY:
        return None
    return max(CANARY - outcomes - put_off - in_hand, 0)


def watch(verdicts: Mapping[int, Verdict]) -> None:
    """Pauses waves in which something is wrong that the next messages would meet too. Takes what
    has just happened, by message."""
    fresh: dict[int, set[Verdict]] = {}
    for id_, wave_id in db.session.execute(
        sa.select(Message.id, Message.wave_id).where(Message.id.in_(verdicts))
    ):
        if wave_id is not None:
            fresh.setdefault(wave_id, set()).add(verdicts[id_])
    reasons = {wave_id: _find_fault(wave_id, fresh[wave_id]) for wave_id in sorted(fresh)}
    paused = [wave_id for wave_id, reason in reasons.items() if reason and _pause(wave_id, reason)]
    # After the last row is locked: a person who pauses a wave takes row and audit in this order.
    for wave_id in paused:
        audit.record("pause.wave", f"wave:{wave_id}", reason=reasons[wave_id])


def _find_fault(wave_id: int, happened: Collection[Verdict]) -> str:
    """Why the wave has to pause, or nothing. Only what has just happened can pause it, so that a
    wave that a person resumed goes on until it happens again."""
    tally = counts(wave_id)
    unknown, failed = tally[MessageStatus.UNKNOWN], tally[MessageStatus.FAILED]
    tried = sum(tally[status] for status in _WITH_OUTCOME)
    if Verdict.MISCONFIGURED in happened and _is_misconfigured(wave_id):
        return str(_("连续 3 次因配置问题未能发出，请检查发信账号、发件地址和服务器证书。"))
    if Verdict.UNKNOWN in happened and unknown >= MOST_UNKNOWN:
        return str(_("已有 %(count)s 条结果不明，请先核对。", count=unknown))
    is_failing = (tried >= HARD_FAILURES_FROM and failed >= HARD_FAILURE_SHARE * tried) or (
        tried <= CANARY and failed >= MOST_FAILED_OF_CANARY and tally[MessageStatus.QUEUED] > 0
    )
    if Verdict.REJECTED in happened and is_failing:
        return str(
            _(
                "%(tried)s 条中有 %(failed)s 条被拒收，请检查地址和内容。",
                tried=tried,
                failed=failed,
            )
        )
    return ""


def _is_misconfigured(wave_id: int) -> bool:
    latest = db.session.scalars(
        sa.select(Message.facts)
        .where(
            Message.wave_id == wave_id,
            Message.attempts > 0,
            Message.token.is_(None),
            Message.status != MessageStatus.WITHHELD,
        )
        .order_by(Message.status_at.desc(), Message.id.desc())
        .limit(MISCONFIGURED_IN_A_ROW)
    ).all()
    return len(latest) == MISCONFIGURED_IN_A_ROW and all(
        facts.get("verdict") == Verdict.MISCONFIGURED.value for facts in latest
    )


def _pause(wave_id: int, reason: str) -> bool:
    paused = db.session.scalar(
        sa.update(Wave)
        .where(Wave.id == wave_id, Wave.status == WaveStatus.RUNNING)
        .values(
            status=WaveStatus.PAUSED,
            paused_because=reason,
            paused_by_id=None,
            version=Wave.version + 1,
        )
        .returning(Wave.id)
        .execution_options(synchronize_session=False)
    )
    return paused is not None
