"""The states of a message and the only writer of `Message.status` (a test looks for others).

Every guard is part of the WHERE clause of the one UPDATE, so that of two who want to move a row
only one does.
"""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from outreach import clock
from outreach.db import insert_many, one_of, run, table_of
from outreach.messages import instance
from outreach.messages.models import Channel, Message, MessageStatus

S = MessageStatus
TRANSITIONS: dict[MessageStatus, frozenset[MessageStatus]] = {
    S.QUEUED: frozenset({S.QUEUED, S.SENDING, S.UNKNOWN, S.WITHHELD, S.EXPIRED, S.CANCELLED}),
    S.SENDING: frozenset({S.SENT, S.QUEUED, S.FAILED, S.UNKNOWN}),
    S.UNKNOWN: frozenset({S.SENT, S.QUEUED, S.CANCELLED}),
    S.SENT: frozenset({S.DELIVERED, S.FAILED}),
    S.DELIVERED: frozenset({S.FAILED}),
}
"""No other exists. From `unknown`, all but a proof of acceptance is a person's decision."""


def insert(rows: list[dict[str, Any]]) -> dict[tuple[Channel, int | None], int]:
    """Queues messages; returns the ids of those that are new, by channel and contact: of two rows
    with one address one is queued. A row that breaks a unique key is there already."""
    if not rows:
        return {}
    instance.renew_ids()
    queued = [row | {"status": MessageStatus.QUEUED} for row in rows]
    inserted = insert_many(Message, queued, Message.id, Message.channel, Message.contact_id)
    return {(row.channel, row.contact_id): row.id for row in inserted}


def prepare(
    sources: Collection[MessageStatus],
    to: MessageStatus,
    *guards: sa.ColumnElement[bool],
    returning: Sequence[Any] = (Message.id,),
    **values: Any,
) -> sa.sql.dml.ReturningUpdate[Any]:
    """The statement that moves the rows that pass all guards, and only those. Token and lease are
    given up unless `values` has them. It takes `moved_at`, and the parameters of its guards."""
    for source in sources:
        if to not in TRANSITIONS[source]:
            raise ValueError(f"no transition from {source} to {to}")
    values = {"token": None, "lease_until": None} | values
    if to not in sources:
        values["status_at"] = sa.bindparam("moved_at")
    return (
        sa.update(table_of(Message))
        .where(one_of(Message.status, *sources), *guards)
        .values(status=to, **values)
        .returning(*returning)
    )


def move(
    sources: Collection[MessageStatus],
    to: MessageStatus,
    *guards: sa.ColumnElement[bool],
    **values: Any,
) -> list[int]:
    """Moves the rows that pass all guards; returns their ids, in order."""
    moved = run(prepare(sources, to, *guards, **values), {"moved_at": clock.now()})
    return sorted(row.id for row in moved)
