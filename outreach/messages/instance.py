"""Whether this database is the one that this installation sent from last.

A database that was restored from a copy, or cloned, does not know what was sent since the copy was
made, and would send it again. So the count of windows that were begun is kept twice: in the
database (`SendPolicy.epoch`) and in a file beside it. A database that belongs to another
installation, or is behind the file, sends nothing until a person has looked (I14).

Nor does it know which ids messages got since, and the world knows a message by its id: mails, their
return addresses, providers' reports. So the count is never lower than the id of a message that was
sent, and a database that is behind goes on numbering above it (`renew_ids`).

All workers of an installation share the data directory.
"""

import fcntl
import json
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TextIO

import sqlalchemy as sa
from flask import current_app

from outreach import clock
from outreach.db import db, run, table_of
from outreach.messages.models import Message, SendPolicy

FILE = "instance.json"
LENGTH = 128
"""Characters of the file: more than a mark ever has."""
_NUMBERED_FROM = datetime(2026, 1, 1, tzinfo=UTC)
"""Where the count is lost, ids go on at the number of seconds since then."""
_ID_LOCK = 7_205_003
"""Key of the PostgreSQL advisory lock under which ids are raised."""


@dataclass(frozen=True)
class Mark:
    id: str
    epoch: int
    """The highest count of which this machine knows that it was committed; no message with a
    higher id was ever sent."""
    given: int = 0
    """The highest count that was given to a window, committed or not. The next one is higher: a
    copy in which a window was begun and never noted must not have the count of another history."""


class Counted(Protocol):
    """A `SendPolicy`, or a row of its table."""

    instance_id: str
    epoch: int


def is_trusted(policy: Counted) -> bool:
    """Whether what this database says of sent messages can be relied on."""
    mark = read_mark()
    return mark is not None and policy.instance_id == mark.id and policy.epoch >= mark.epoch


def is_unused(policy: Counted) -> bool:
    """Nothing was ever sent from this database, nor by this installation."""
    mark = read_mark()
    return not policy.instance_id and not policy.epoch and (mark is None or not mark.epoch)


def adopt(policy: SendPolicy) -> None:
    """Makes this the database that the installation sends from; later messages get new ids."""
    renew_ids()
    mark = read_mark() or Mark(str(uuid.uuid4()), 0)
    policy.instance_id = mark.id
    policy.epoch = max(policy.epoch, mark.epoch)
    with _path().open("a+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        _write(file, mark)


def renew_ids() -> None:
    """Has later messages numbered above all that may have been sent since the copy was made. To be
    called before any is queued; does nothing in a database that can be relied on, or is new.

    Where the count beside the database is lost or another installation's, nothing says what was
    sent. Then ids go on at the number of seconds since 2026: they are new as long as less than a
    message a second was queued on average.
    """
    policy = run(_POLICY).first()
    if policy is None or is_trusted(policy) or is_unused(policy):
        return
    mark = read_mark()
    least = max(policy.epoch, mark.epoch if mark else 0)
    if mark is None or mark.id != policy.instance_id:
        least = max(least, int((clock.now() - _NUMBERED_FROM).total_seconds()))
    for statement in _RAISE_IDS[db.engine.dialect.name]:
        run(statement, {"least": least})


_POLICY = sa.select(table_of(SendPolicy))
_RAISE_IDS: dict[str, tuple[sa.Executable, ...]] = {
    # Under a lock: of two who raise them at once, one must not set them back to what it has read.
    "postgresql": (
        sa.select(sa.func.pg_advisory_xact_lock(_ID_LOCK)),
        sa.text(
            "SELECT setval('message_id_seq', :least) FROM message_id_seq WHERE last_value <= :least"
        ),
    ),
    "sqlite": (
        sa.text(
            "INSERT INTO sqlite_sequence (name, seq) SELECT 'message', 0"
            " WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'message')"
        ),
        sa.text("UPDATE sqlite_sequence SET seq = max(seq, :least) WHERE name = 'message'"),
    ),
}


def restored_at() -> datetime | None:
    """When a person last trusted a database that had been restored. What would have been queued
    before may have been sent, though no row says so: the machine does not make it up."""
    policy = run(_POLICY).first()
    return policy.restored_at if policy else None


def advance() -> sa.Row[Any] | None:
    """Counts a window, in the transaction that begins it; to be noted once that is committed.
    Until then nobody else begins a window, nor changes the policy. Returns the policy's `is_on`
    and `epoch`; None when this database may not send, which must stay so. OSError like `note`."""
    mark = read_mark()
    if mark is None:
        return None
    counts = {"installation": mark.id, "noted": mark.epoch, "given": mark.given}
    policy = run(_ADVANCE, counts).first()
    if policy is not None:
        _raise(given=policy.epoch)
    return policy


_EPOCH = table_of(SendPolicy).c.epoch
_GIVEN = sa.bindparam("given", type_=sa.BigInteger)
_NEXT = sa.case((_EPOCH > _GIVEN, _EPOCH), else_=_GIVEN) + 1
_HIGHEST_ID = sa.select(sa.func.coalesce(sa.func.max(Message.id), 0)).scalar_subquery()
_ADVANCE = (
    sa.update(table_of(SendPolicy))
    .where(
        SendPolicy.instance_id == sa.bindparam("installation"),
        SendPolicy.epoch >= sa.bindparam("noted"),
    )
    .values({SendPolicy.epoch: sa.case((_HIGHEST_ID > _NEXT, _HIGHEST_ID), else_=_NEXT)})
    .returning(table_of(SendPolicy).c.is_on, table_of(SendPolicy).c.epoch)
)


def beat() -> int:
    """Counts a minute in which a worker was there, like a window: a copy is behind from the next
    minute on, also when nothing was sent since, for it lacks gifts and opt-outs of that time. To
    be noted once that is committed; 0 when this database may not send."""
    policy = advance()
    return policy.epoch if policy else 0


def note(epoch: int) -> None:
    """Keeps the count outside the database; before the network is touched. OSError when the file
    is gone or cannot be written."""
    _raise(epoch=epoch)


def _raise(*, epoch: int = 0, given: int = 0) -> None:
    with _path().open("r+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        mark = _parse(file.read())
        if mark is not None and (mark.epoch < epoch or mark.given < given):
            _write(file, Mark(mark.id, max(mark.epoch, epoch), max(mark.given, given)))


def read_mark() -> Mark | None:
    """None when there is no file, or none that can be read: then nothing is sent."""
    try:
        with _path().open(encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            return _parse(file.read())
    except (FileNotFoundError, ValueError):
        return None


def _parse(text: str) -> Mark | None:
    try:
        return Mark(**json.loads(text))
    except (ValueError, TypeError):
        return None


def _write(file: TextIO, mark: Mark) -> None:
    """In place and always of one length, so that it costs a window no more than a write."""
    file.seek(0)
    file.write(json.dumps(asdict(mark)).ljust(LENGTH))


def _path() -> Path:
    return current_app.extensions["outreach.settings"].data_dir / FILE
