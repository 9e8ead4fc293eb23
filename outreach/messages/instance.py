"""Whether this database is the one that this installation sent from last.

A database that was restored from a copy, or cloned, does not know what was sent since the copy was
made, and would send it again. So the count of windows that were begun is kept twice: in the
database (`SendPolicy.epoch`) and in a file beside it. A database that belongs to another
installation, or is behind the file, sends nothing until a person has looked (I14).

All workers of an installation share the data directory.
"""

import fcntl
import json
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO

import sqlalchemy as sa
from flask import current_app

from outreach.db import run, table_of
from outreach.messages.models import SendPolicy

FILE = "instance.json"
LENGTH = 128
"""Characters of the file: more than a mark ever has."""


@dataclass(frozen=True)
class Mark:
    id: str
    epoch: int
    """The highest count of which this machine knows that it was committed."""


class Counted(Protocol):
    """A `SendPolicy`, or a row of its table."""

    instance_id: str
    epoch: int


def is_trusted(policy: Counted) -> bool:
    """Whether what this database says of sent messages can be relied on."""
    mark = read_mark()
    return mark is not None and policy.instance_id == mark.id and policy.epoch >= mark.epoch


def is_unused(policy: SendPolicy) -> bool:
    """Nothing was ever sent from this database, nor by this installation."""
    mark = read_mark()
    return not policy.instance_id and not policy.epoch and (mark is None or not mark.epoch)


def adopt(policy: SendPolicy) -> None:
    """Makes this the database that the installation sends from."""
    mark = read_mark() or Mark(str(uuid.uuid4()), 0)
    policy.instance_id = mark.id
    policy.epoch = max(policy.epoch, mark.epoch)
    with _path().open("a+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        _write(file, mark)


def advance() -> Any:
    """Counts a window, in the transaction that begins it; to be noted once that is committed.
    Until then nobody else begins a window, nor changes the policy. Returns the policy's `is_on`
    and `epoch`; None when this database may not send, which must stay so."""
    mark = read_mark()
    if mark is None:
        return None
    return run(_ADVANCE, {"installation": mark.id, "mark": mark.epoch}).first()


_ADVANCE = (
    sa.update(table_of(SendPolicy))
    .where(
        SendPolicy.instance_id == sa.bindparam("installation"),
        SendPolicy.epoch >= sa.bindparam("mark"),
    )
    .values({SendPolicy.epoch: SendPolicy.epoch + 1})
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
    with _path().open("r+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        mark = _parse(file.read())
        if mark is not None and mark.epoch < epoch:
            _write(file, Mark(mark.id, epoch))


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
