"""Who did what, when, from where. Append-only; each row holds the hash of the row before it."""

import hashlib
import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from flask import has_request_context, request
from flask_login import current_user
from sqlalchemy import event
from sqlalchemy.orm import Mapped, mapped_column

from outreach import clock
from outreach.db import Base, PrimaryKey, db

_CHAIN_LOCK = 7_205_001
"""Key of the PostgreSQL advisory lock that lets one transaction at a time extend the chain."""


class AuditEvent(Base):
    __tablename__ = "audit_event"

    id: Mapped[PrimaryKey]
    at: Mapped[datetime] = mapped_column(index=True)
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user_account.id"))
    user_name: Mapped[str] = mapped_column(sa.String(60))
    address: Mapped[str] = mapped_column(sa.String(45))
    action: Mapped[str] = mapped_column(sa.String(60), index=True)
    subject: Mapped[str] = mapped_column(sa.String(60), index=True)
    facts: Mapped[dict[str, Any]]
    previous_hash: Mapped[str] = mapped_column(sa.String(64))
    hash: Mapped[str] = mapped_column(sa.String(64), unique=True)

    def digest(self) -> str:
        """SHA-256 over every other column, in a form that both databases give back unchanged."""
        fields = (
            self.at.isoformat(),
            self.user_id,
            self.user_name,
            self.address,
            self.action,
            self.subject,
            self.facts,
            self.previous_hash,
        )
        text = json.dumps(fields, ensure_ascii=False, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@event.listens_for(AuditEvent, "before_update")
@event.listens_for(AuditEvent, "before_delete")
def _refuse(_mapper: object, _connection: object, _target: AuditEvent) -> None:
    raise TypeError("audit events are never changed or removed")


def record(action: str, subject: str, **facts: Any) -> AuditEvent:
    """Adds an event to the transaction. `subject` is «table:id»; facts never hold an address,
    a phone number or a secret."""
    if db.session.get_bind().dialect.name == "postgresql":
        db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(_CHAIN_LOCK)))
    last = db.session.scalar(sa.select(AuditEvent.hash).order_by(AuditEvent.id.desc()).limit(1))
    is_person = has_request_context() and current_user.is_authenticated
    row = AuditEvent(
        at=clock.now(),
        user_id=current_user.id if is_person else None,
        user_name=current_user.name if is_person else "",
        address=(request.remote_addr or "") if has_request_context() else "",
        action=action,
        subject=subject,
        facts=facts,
        previous_hash=last or "",
    )
    row.hash = row.digest()
    db.session.add(row)
    db.session.flush()
    return row


def count_since(since: datetime, action: str, subject: str, *, by: int | None = None) -> int:
    """How often it was recorded after `since`; with `by`, by this user."""
    events = sa.select(sa.func.count()).where(
        AuditEvent.subject == subject, AuditEvent.action == action, AuditEvent.at > since
    )
    if by is not None:
        events = events.where(AuditEvent.user_id == by)
    return db.session.scalar(events) or 0


def select_events(*, user_id: int | None, action: str) -> sa.Select[AuditEvent]:
    """Newest first; None and «» leave a filter out. A person's events are what they did and what
    was done to their account."""
    query = sa.select(AuditEvent).order_by(AuditEvent.id.desc())
    if user_id is not None:
        account = f"user_account:{user_id}"
        query = query.where(sa.or_(AuditEvent.user_id == user_id, AuditEvent.subject == account))
    if action:
        query = query.where(AuditEvent.action == action)
    return query


def find_tampering() -> int | None:
    """Id of the first event that was changed, or whose predecessor was removed; None if intact."""
    previous = ""
    rows = sa.select(AuditEvent).order_by(AuditEvent.id)
    for row in db.session.scalars(rows.execution_options(yield_per=1000)):
        if row.previous_hash != previous or row.hash != row.digest():
            return row.id
        previous = row.hash
    return None
