"""Who did what, when, from where. Append-only; each row holds the hash of the row before it."""

import hashlib
import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from flask import has_request_context, request
from flask_login import current_user
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


def record(action: str, subject: str, **facts: Any) -> AuditEvent:
    """Adds an event to the transaction. `subject` is «table:id»; facts never hold an address,
    a phone number or a secret."""
    if db.session.get_bind().dialect.name == "postgresql":
        db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(_CHAIN_LOCK)))
    last = db.session.scalar(sa.select(AuditEvent.hash).order_by(AuditEvent.id.desc()).limit(1))
    is_person = has_request_context() and current_user.is_authenticated
    event = AuditEvent(
        at=clock.now(),
        user_id=current_user.id if is_person else None,
        user_name=current_user.name if is_person else "",
        address=(request.remote_addr or "") if has_request_context() else "",
        action=action,
        subject=subject,
        facts=facts,
        previous_hash=last or "",
    )
    event.hash = event.digest()
    db.session.add(event)
    db.session.flush()
    return event


def find_tampering() -> int | None:
    """Id of the first event that was changed, or whose predecessor was removed; None if intact."""
    previous = ""
    for event in db.session.scalars(sa.select(AuditEvent).order_by(AuditEvent.id)):
        if event.previous_hash != previous or event.hash != event.digest():
            return event.id
        previous = event.hash
    return None
