"""What providers of text messages insist on: a wording that they have approved, values that fit
into it, and not too many messages to one number."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask import current_app
from flask_babel import lazy_gettext as _

from outreach.db import db
from outreach.messages import linting, placeholders
from outreach.messages.gate import Candidate, Withheld, screened
from outreach.messages.linting import Finding, Severity
from outreach.messages.models import (
    MAYBE_GONE,
    Channel,
    Message,
    Purpose,
    TemplateVersion,
    WithheldReason,
)
from outreach.messages.placeholders import SMS_VARIABLES

PER_NUMBER = (
    ("minute", timedelta(minutes=1), 1),
    ("hour", timedelta(hours=1), 5),
    ("day", timedelta(days=1), 10),
)
"""Text messages that one number gets at most."""
_LONGEST_PERIOD = PER_NUMBER[-1][1]

LONGEST_VARIABLE = {"aliyun": 35}
"""Characters of one value; a provider that is not named says it in its console, if at all."""

SIMULATOR = "simulator"
_WRITE_VARIABLE: dict[str, Callable[[int, str], str]] = {
    "aliyun": lambda _position, name: f"${{{SMS_VARIABLES[name]}}}",
    "tencent": lambda position, _name: f"{{{position}}}",
}

_OF_WAVES = (Purpose.REMINDER, Purpose.CORRECTION, Purpose.THANKS, Purpose.RELAY)

Variables = Sequence[Sequence[str]]
"""[placeholder, value]."""


@dataclass(frozen=True)
class Registration:
    """A wording as a person registers it with the provider."""

    text: str
    names: dict[str, str]
    """What each of its placeholders is called there."""


def real_provider() -> str:
    """Empty when text messages are only simulated, or not sent at all."""
    provider: str = current_app.extensions["outreach.settings"].sms_provider
    return "" if provider == SIMULATOR else provider


def registration(body: str) -> Registration | None:
    """None when there is no provider to register with, or a placeholder that text messages may not
    hold."""
    write = _WRITE_VARIABLE.get(real_provider())
    names = placeholders.placeholders_in(body)
    if write is None or any(name not in SMS_VARIABLES for name in names):
        return None
    written: dict[str, str] = {}

    def note(position: int, name: str) -> str:
        variable = write(position, name)
        written.setdefault(name, variable)
        return variable

    return Registration(placeholders.name_variables(body, note), written)


def find_faults(
    version: TemplateVersion, letters: Iterable[tuple[str, Variables]]
) -> list[Finding]:
    """What the provider would refuse in a wave of text messages; of each letter it takes the names
    of the units that it goes to, and its variables."""
    found = []
    if real_provider() and not version.provider_template:
        found.append(
            Finding(
                Severity.REFUSE,
                _(
                    "这个短信模板没有平台模板编号，短信平台不会发出。"
                    "请先在短信平台报备文字，再把编号填入模板。"
                ),
            )
        )
    misfits = [units for units, values in letters if _find_misfit(values) is not None]
    if misfits:
        found.append(
            Finding(
                Severity.WARN,
                _(
                    "有 %(count)s 条的内容短信平台不接受（过长，或含网址、电话、募捐字样），"
                    "届时会被拦下（%(units)s等）。请为单位填写短信名称；"
                    "活动名称如有“募捐”“捐款”等字样，请换用不含它的模板。",
                    count=len(misfits),
                    units="、".join(misfits[:3]),
                ),
            )
        )
    return found


@screened(lambda subject: subject.message.c.channel == Channel.SMS)
def check_provider_rules(candidates: Sequence[Candidate], now: datetime) -> dict[int, Withheld]:
    """Looks at text messages that are about to go out. A preview is not asked: how many messages a
    number got is another matter when the wave goes out."""
    asked = [
        candidate
        for candidate in candidates
        if candidate.channel is Channel.SMS
        and (candidate.wave_id is not None or candidate.purpose not in _OF_WAVES)
    ]
    if not asked:
        return {}
    messages, sent = _load(asked, now)
    withheld = {}
    for candidate in asked:
        facts = _find_fault(messages.get(candidate.key)) or _find_excess(
            sent[candidate.address_hash], now
        )
        if facts is not None:
            withheld[candidate.key] = Withheld(WithheldReason.PROVIDER_RULE, facts)
        else:
            sent[candidate.address_hash].append(now)
    return withheld


def _load(
    candidates: Sequence[Candidate], now: datetime
) -> tuple[dict[int, Any], dict[str, list[datetime]]]:
    """The messages by id, and when the numbers that they go to were last written to."""
    since = now - _LONGEST_PERIOD
    went_out = sa.or_(
        Message.sent_at > since,
        Message.status.in_(MAYBE_GONE) & (Message.status_at > since),
    )
    ids = {candidate.key for candidate in candidates}
    hashes = {candidate.address_hash for candidate in candidates}
    rows = db.session.execute(
        sa.select(
            Message.id,
            Message.address_hash,
            Message.provider_template,
            Message.variables,
            sa.case((went_out, sa.func.coalesce(Message.sent_at, Message.status_at))).label("at"),
        ).where(
            Message.channel == Channel.SMS,
            sa.or_(Message.id.in_(ids), Message.address_hash.in_(hashes) & went_out),
        )
    ).all()
    sent: dict[str, list[datetime]] = defaultdict(list)
    for row in rows:
        if row.at is not None:
            sent[row.address_hash].append(row.at)
    return {row.id: row for row in rows if row.id in ids}, sent


def _find_fault(message: Any) -> dict[str, Any] | None:
    if message is None:
        return None
    if real_provider() and not message.provider_template:
        return {"rule": "template"}
    return _find_misfit(message.variables)


def _find_misfit(variables: Variables) -> dict[str, Any] | None:
    most = LONGEST_VARIABLE.get(real_provider())
    for name, value in variables:
        if most is not None and len(value) > most:
            return {"rule": "length", "name": name, "length": len(value), "most": most}
        if linting.has_link_or_phone(value):
            return {"rule": "content", "name": name}
        appeals = linting.find_appeals(value)
        if appeals:
            return {"rule": "appeal", "name": name, "words": "、".join(appeals)}
    return None


def _find_excess(sent: Sequence[datetime], now: datetime) -> dict[str, Any] | None:
    for rule, period, most in PER_NUMBER:
        count = sum(at > now - period for at in sent)
        if count >= most:
            return {"rule": rule, "count": count}
    return None
