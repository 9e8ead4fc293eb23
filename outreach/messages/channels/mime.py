"""E-mails as bytes. Put together by hand: EmailMessage takes 3 ms a message, and folds encoded
words in user text into new header lines (Python 3.11)."""

import re
from binascii import b2a_base64
from collections.abc import Iterator
from datetime import datetime
from email.utils import format_datetime, quote
from functools import lru_cache
from html import escape
from urllib.parse import quote as quote_url

from outreach import clock
from outreach.messages.channels import EnclosedFile, Outgoing

LONGEST_LINE = 998
"""Octets of a line without its CRLF (RFC 5322, 2.1.1)."""
LONGEST_WORD = 39
"""Octets in one encoded word, so that a line with it is no longer than 76 (RFC 2047, 2)."""

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]|=\\?.*\\?=")
_METHOD = re.compile(r"^METHOD:([A-Z]+)\s*$", re.MULTILINE)


OPT_OUT = "如不希望再收到此类邮件，可在此退订"


class UnsafeHeader(ValueError):
    """Text that would become another header, or pretend to be an encoded one."""


def message_id(message: Outgoing, domain: str) -> str:
    """The same on every retry, so that a repeat can be recognised; new when a person had the
    message sent again."""
    return f"<outreach-{message.id}.{message.resend_no}@{domain}>"


def build(message: Outgoing, *, sender_name: str, sender: str) -> bytes:
    """The e-mail with CRLF line ends and no line longer than LONGEST_LINE; UnsafeHeader when
    subject, names or addresses hold control characters or encoded words."""
    domain = sender.rpartition("@")[2]
    headers = [
        ("From", _mailbox(sender_name, sender)),
        ("To", _mailbox(message.recipient_name, message.address)),
        ("Subject", _encode(message.subject)),
        ("Date", _date(message.at)),
        ("Message-ID", message_id(message, domain)),
        ("MIME-Version", "1.0"),
    ]
    if message.reply_to:
        headers.insert(2, ("Reply-To", _mailbox("", message.reply_to)))
    text, html = message.body_text, message.body_html
    if message.unsubscribe_url:
        headers += [
            ("List-Unsubscribe", f"<{message.unsubscribe_url}>"),
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ]
        text = f"{text}\n\n{OPT_OUT}：{message.unsubscribe_url}\n"
        html = html.replace("</body>", _opt_out_line(message.unsubscribe_url) + "</body>", 1)
    parts = [("text/plain; charset=utf-8", text)]
    if html:
        parts.append(("text/html; charset=utf-8", html))
    if message.calendar:
        parts.append((_calendar_type(message.calendar), message.calendar))
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    if max(map(len, head.split("\r\n"))) > LONGEST_LINE:
        raise UnsafeHeader("line too long")  # what follows is base64, in short lines
    mail = _part(*parts[0]) if len(parts) == 1 else _alternatives(parts, message)
    if message.enclosed:
        mail = _multipart("mixed", [mail, _file(message.enclosed)], message)
    return (head + mail).encode("ascii")


def _opt_out_line(url: str) -> str:
    return (
        '<p style="margin:0;padding:0 12px 24px 12px;text-align:center;font-family:sans-serif;'
        f'font-size:13px;line-height:20px;color:#5b6b7d">{OPT_OUT}：'
        f'<a href="{escape(url)}" style="color:#5b6b7d">退订</a></p>'
    )


def _part(content_type: str, body: str) -> str:
    content = _base64(_canonical(body).encode())
    return f"Content-Type: {content_type}\r\nContent-Transfer-Encoding: base64\r\n\r\n{content}"


def _alternatives(parts: list[tuple[str, str]], message: Outgoing) -> str:
    return _multipart("alternative", [_part(*part) for part in parts], message)


def _multipart(kind: str, parts: list[str], message: Outgoing) -> str:
    # A line of base64 never begins with «--», so any boundary is safe.
    boundary = f"=_outreach-{kind}-{message.id}.{message.resend_no}"
    bodies = "".join(f"--{boundary}\r\n{part}" for part in parts)
    return (
        f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n\r\n{bodies}--{boundary}--\r\n'
    )


def _file(file: EnclosedFile) -> str:
    """Its name as RFC 2231 has it (4), which every mail program of the last ten years reads."""
    _refuse_unsafe(file.media_type)
    name = quote_url(file.name, safe="")
    return (
        f"Content-Type: {file.media_type}\r\n"
        f"Content-Disposition: attachment;\r\n filename*=UTF-8''{name}\r\n"
        f"Content-Transfer-Encoding: base64\r\n\r\n{_base64(file.content)}"
    )


def _base64(content: bytes) -> str:
    encoded = b2a_base64(content, newline=False).decode("ascii")
    lines = [encoded[start : start + 76] for start in range(0, len(encoded), 76)]
    return "\r\n".join([*lines, ""])


def _canonical(text: str) -> str:
    """With CRLF at the end of each line, whatever stood there."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\n", "\r\n")


def _calendar_type(calendar: str) -> str:
    method = _METHOD.search(calendar)
    if method is None:
        raise UnsafeHeader("calendar without METHOD")
    return f"text/calendar; charset=utf-8; method={method[1]}"


@lru_cache(maxsize=64)
def _date(at: datetime) -> str:
    return format_datetime(clock.local(at))


@lru_cache(maxsize=1024)
def _mailbox(name: str, address: str) -> str:
    _refuse_unsafe(address)
    if not name:
        return address
    _refuse_unsafe(name)
    phrase = f'"{quote(name)}"' if name.isascii() else _encode(name)
    return f"{phrase}\r\n <{address}>"


@lru_cache(maxsize=1024)
def _encode(text: str) -> str:
    _refuse_unsafe(text)
    if text.isascii():
        return text
    words = (b2a_base64(word.encode(), newline=False).decode() for word in _cut(text))
    return "\r\n ".join(f"=?utf-8?b?{word}?=" for word in words)


def _cut(text: str) -> Iterator[str]:
    """Pieces of at most LONGEST_WORD octets; no character is cut through."""
    if len(text) * 4 <= LONGEST_WORD:  # UTF-8 takes no more than 4 for a character
        yield text
        return
    start = length = 0
    for position, character in enumerate(text):
        size = len(character.encode())
        if length + size > LONGEST_WORD:
            yield text[start:position]
            start, length = position, 0
        length += size
    yield text[start:]


def _refuse_unsafe(text: str) -> None:
    if _UNSAFE.search(text):
        raise UnsafeHeader("control characters or an encoded word in a header")
