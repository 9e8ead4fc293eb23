"""Addresses that must not be written to, and how they become so: a click, a reply, a request.

Only a hash is kept, so that an opt-out outlives the person's erasure and a new import."""

import hashlib
import re
from datetime import datetime

import sqlalchemy as sa
from flask import current_app
from itsdangerous import BadSignature, Signer

from outreach import audit, clock, web
from outreach.db import db, insert_new
from outreach.messages.addresses import hash_address
from outreach.messages.models import Channel, OptOut
from outreach.messages.reading import read

REPLY = re.compile(r"(?:回复?)?(?:r|t|td|n|qx|stop)")
"""What providers tell people to reply with, and nothing else."""
_NO = r"(?:不要|不想|别|勿|停止)"
_ME = r"(?:我们?|本人|这个?号码?|本号码?)"
_SEND = r"(?:发(?!送?[票函错邮])送?|[打骚]?扰)"
WORDS = re.compile(
    r"(?<![不没未非])(?<!不要)(?<!不用)(?:退订|拒收|取消订阅|unsubscribe)"
    rf"|{_NO}(?:再|继续|老是?|总是?|一直)+(?:[给向往]{_ME})?再?{_SEND}"
    rf"|{_NO}[给向往]{_ME}再?{_SEND}"
    rf"|{_NO}{_SEND}(?:短信|信息|消息)?(?:了|啦|我们?)?$"
)
"""Whoever writes one of these means it, whatever else stands around it."""


def add(channel: Channel, address_hash: str, *, source: str) -> bool:
    """Keeps the address from being written to; False when it was so already."""
    row = {
        "channel": channel,
        "address_hash": address_hash,
        "source": source,
        "at": clock.now(),
    }
    if not address_hash or not insert_new(OptOut, [row], ["channel", "address_hash"]):
        return False
    audit.record("add.opt_out", f"opt_out:{address_hash[:12]}", channel=channel.value, by=source)
    return True


def withdraw(channel: Channel, address_hash: str, *, reason: str) -> bool:
    """Lets the address be written to again; False when nothing stood against it."""
    gone = db.session.scalar(
        sa.delete(OptOut)
        .where(OptOut.channel == channel, OptOut.address_hash == address_hash)
        .returning(OptOut.id)
    )
    if gone is None:
        return False
    audit.record(
        "withdraw.opt_out", f"opt_out:{address_hash[:12]}", channel=channel.value, reason=reason
    )
    return True


def take_reply(channel: Channel, address: str, text: str) -> bool:
    """Reads a reply to a text message; True when it says that there should be no more."""
    word = "".join(letter for letter in read(text).text.casefold() if letter.isalnum())
    if not (REPLY.fullmatch(word) or WORDS.search(word)):
        return False
    add(channel, hash_address(channel, address), source="reply")
    return True


def find(channel: Channel, address_hash: str) -> datetime | None:
    """Since when the address has been opted out; None when it is not."""
    return db.session.scalar(
        sa.select(OptOut.at).where(OptOut.channel == channel, OptOut.address_hash == address_hash)
    )


def link(channel: Channel, address_hash: str) -> str:
    """Where the holder of the address can opt out. It names nobody and never expires."""
    return Links().to(channel, address_hash)


class Links:
    """Opt-out links for many letters, with what they share put together once."""

    def __init__(self) -> None:
        self._signer = _signer()
        page = web.external_url("messages.opt_out", token="-")  # noqa: S106
        self._page = page.removesuffix("-")

    def to(self, channel: Channel, address_hash: str) -> str:
        return self._page + self._signer.sign(f"{channel.value}.{address_hash}").decode()


def read_token(token: str) -> tuple[Channel, str] | None:
    """Channel and address hash; None when the token is not one that we signed."""
    try:
        name, _dot, address_hash = _signer().unsign(token).decode().partition(".")
    except BadSignature:
        return None
    return next(member for member in Channel if member.value == name), address_hash


def _signer() -> Signer:
    return Signer(current_app.config["SECRET_KEY"], salt="opt-out", digest_method=hashlib.sha256)
