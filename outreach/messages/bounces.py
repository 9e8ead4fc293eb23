"""Mail that comes back to us, matched with what we sent.

Numbers of messages can be guessed, so a mail has to prove that it knows the one that it is about:
by the signed address that it was sent back to, by the address of the recipient, or by the signed
link in the returned letter. What proves nothing is counted and left alone."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from flask import current_app

from outreach.db import db
from outreach.messages import notices, opt_outs, receipts
from outreach.messages.addresses import hash_address
from outreach.messages.models import Channel, Message, ReceiptKind
from outreach.messages.notices import Finding, Notice
from outreach.messages.receipts import Report
from outreach.messages.return_paths import ReturnPaths, Sending

_KINDS = {Finding.BOUNCED: ReceiptKind.BOUNCED, Finding.DELIVERED: ReceiptKind.DELIVERED}
_ADDRESS = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[\w.-]{1,190}", re.ASCII)
_LINK = re.compile(r"/opt-out/([\w.=-]{1,300})", re.ASCII)
_FOLDED = re.compile(r"=?\r?\n[ \t]*")
MOST_ADDRESSES = 200
"""Of one mail that are looked at."""


@dataclass(frozen=True)
class _Match:
    notice: Notice
    sending: Sending
    address_hash: str


@dataclass(frozen=True)
class _Claim:
    """A notice, and what it says it is about."""

    notice: Notice
    sending: Sending | None
    is_signed: bool
    is_forged: bool


def take(mails: Iterable[bytes], now: datetime) -> Counter[Finding]:
    """Takes in what the mails prove; returns what they were. Safe to be given a mail again."""
    claims = [_claim(notices.read(data)) for data in mails]
    sent = _find_sent({claim.sending.message_id for claim in claims if claim.sending})
    matches = [match for claim in claims if (match := _prove(claim, sent))]
    receipts.take([report for match in matches if (report := _report(match))], now)
    for match in matches:
        if match.notice.finding is Finding.COMPLAINT:
            opt_outs.add(Channel.EMAIL, match.address_hash, source="complaint")
    proven = {id(match.notice) for match in matches}
    return Counter(_judge(claim, is_proven=id(claim.notice) in proven) for claim in claims)


def summarise(tally: Mapping[Finding, int], failed: int) -> str:
    """«读取 3 封：退信 2，自动回复 1»; empty when there was none. `failed` could not be read."""
    parts = [f"{finding.label} {tally[finding]}" for finding in Finding if tally.get(finding)]
    read = f"读取 {sum(tally.values())} 封：{'，'.join(parts)}" if parts else ""
    left = f"{failed} 封没有读出，下次再试" if failed else ""
    return "；".join(filter(None, (read, left)))


def _claim(notice: Notice) -> _Claim:
    signed, is_forged = _return_paths().find(notice.text)
    named = signed or _named_sendings(notice.text)
    # A mail that names several is about none of them.
    sending = next(iter(named)) if len(named) == 1 else None
    return _Claim(notice, sending, bool(signed), is_forged and not signed)


def _named_sendings(text: str) -> set[Sending]:
    """Those whose Message-ID, at our domain, is in the text."""
    domain = _settings().mail_sender.rpartition("@")[2]
    ids = re.findall(
        rf"(?<![\w.-])outreach-(\d{{1,9}})\.(\d{{1,4}})@{re.escape(domain)}(?![\w-]|\.\w)",
        text,
        re.IGNORECASE | re.ASCII,
    )
    return {Sending(int(message_id), int(resend_no)) for message_id, resend_no in ids}


def _find_sent(message_ids: set[int]) -> dict[int, Any]:
    rows = db.session.execute(
        sa.select(Message.id, Message.resend_no, Message.address_hash).where(
            Message.id.in_(message_ids), Message.channel == Channel.EMAIL
        )
    )
    return {row.id: row for row in rows}


def _prove(claim: _Claim, sent: Mapping[int, Any]) -> _Match | None:
    if claim.sending is None or claim.is_forged:
        return None
    row = sent.get(claim.sending.message_id)
    if row is None or claim.sending.resend_no > row.resend_no:
        return None
    if not claim.is_signed and row.address_hash not in _known_hashes(claim.notice.text):
        return None
    return _Match(claim.notice, claim.sending, row.address_hash)


def _known_hashes(text: str) -> set[str]:
    """Hashes of the addresses that the text names, itself or in opt-out links that we signed."""
    unfolded = _FOLDED.sub("", text)
    links = [opt_outs.read_token(token) for token in _LINK.findall(unfolded)[:MOST_ADDRESSES]]
    hashes = {link[1] for link in links if link}
    addresses = dict.fromkeys(_ADDRESS.findall(text))
    return hashes | {
        hash_address(Channel.EMAIL, address.rstrip("."))
        for address in list(addresses)[:MOST_ADDRESSES]
    }


def _report(match: _Match) -> Report | None:
    kind = _KINDS.get(match.notice.finding)
    if kind is None:
        return None
    number = f"{match.sending.message_id}.{match.sending.resend_no}"
    what = ":".join(filter(None, (kind, match.notice.cause)))
    return Report(
        f"mail:{number}:{what}",
        *match.sending,
        kind,
        detail=match.notice.detail,
        cause=match.notice.cause,
    )


def _judge(claim: _Claim, *, is_proven: bool) -> Finding:
    """What the mail counts as. One that says something of a message, and proves it not, is taken
    for forged when it names a message, and else for mail of somebody else's."""
    finding = claim.notice.finding
    if is_proven or finding in (Finding.AUTO_REPLY, Finding.UNREADABLE, Finding.NOT_OURS):
        return finding
    return Finding.FORGED if claim.is_forged or claim.sending else Finding.NOT_OURS


def _return_paths() -> ReturnPaths:
    return current_app.extensions["outreach.return_paths"]


def _settings() -> Any:
    return current_app.extensions["outreach.settings"]
