"""What stands for an attendee or a meeting outside: the link to answer an invitation, the address
that calendars reply to, the code at the door. All are signed, so that nobody answers for others by
guessing numbers."""

import hashlib
import hmac
import re

from flask import current_app
from itsdangerous import BadSignature, Signer, TimestampSigner

from outreach import web
from outreach.meetings.models import Attendee, Meeting

MAC_LENGTH = 16
"""Hexadecimal digits, as in the addresses that bounces come back to."""
DOOR_SECONDS = 600
"""A photograph of the code that is sent to somebody elsewhere is soon worth nothing."""


def answer_link(attendee: Attendee) -> str:
    """Names nobody and never expires; when it is too late to answer, its page says so."""
    token = _signer().sign(str(attendee.id)).decode()
    return web.external_url("invitations.invitation", token=token)


def read_token(token: str) -> int | None:
    """The attendee's id; None when the token is not one that we signed."""
    try:
        return int(_signer().unsign(token))
    except BadSignature:
        return None


def door_link(meeting: Meeting) -> str:
    """What the code at the door leads to."""
    token = _door_signer().sign(str(meeting.id)).decode()
    return web.external_url("invitations.door", token=token)


def read_door_token(token: str) -> int | None:
    """The meeting's id; None when the token is not one that we signed, or too old."""
    try:
        return int(_door_signer().unsign(token, max_age=DOOR_SECONDS))
    except BadSignature:
        return None


def reply_address(attendee: Attendee) -> str:
    """«bounce+m12.0123456789abcdef@…»: in the mailbox that is read here; empty without one."""
    mailbox = _mailbox()
    if not mailbox:
        return ""
    local, _at, domain = mailbox.partition("@")
    return f"{local}+m{attendee.id}.{_mac(attendee.id)}@{domain}"


def find_attendees(text: str) -> set[int]:
    """Ids of the attendees whose reply address is in the text. Servers may have changed capital
    letters."""
    local, _at, domain = map(re.escape, _mailbox().partition("@"))
    if not local:
        return set()
    found = re.findall(
        rf"(?<![\w.+-]){local}\+m(\d{{1,9}})\.([0-9a-f]{{{MAC_LENGTH}}})@{domain}(?![\w-]|\.\w)",
        text,
        re.IGNORECASE | re.ASCII,
    )
    return {int(id_) for id_, mac in found if hmac.compare_digest(_mac(int(id_)), mac.lower())}


def _mac(attendee_id: int) -> str:
    key: str = current_app.config["SECRET_KEY"]
    content = f"calendar-reply:{attendee_id}".encode()
    return hmac.new(key.encode(), content, hashlib.sha256).hexdigest()[:MAC_LENGTH]


def _mailbox() -> str:
    address: str = current_app.extensions["outreach.settings"].mail_bounce_address
    return address


def _signer() -> Signer:
    return Signer(current_app.config["SECRET_KEY"], salt="invitation", digest_method=hashlib.sha256)


def _door_signer() -> TimestampSigner:
    return TimestampSigner(
        current_app.config["SECRET_KEY"], salt="door", digest_method=hashlib.sha256
    )
