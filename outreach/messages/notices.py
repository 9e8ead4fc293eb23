"""Reads what mail servers write back about a message: delivery reports (RFC 3464), complaints (RFC
5965), answers of machines (RFC 3834), and the letters of those servers that keep to no standard.

Whatever is in such a mail was written by strangers. Nothing here knows whether it is about a
message of ours: see `bounces`."""

import email
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from html import unescape
from typing import Any

from flask_babel import lazy_gettext as _

from outreach.messages.models import BounceCause
from outreach.terms import Term


class Finding(Term):
    BOUNCED = "bounced", _("退信")
    DELIVERED = "delivered", _("送达")
    DELAYED = "delayed", _("暂缓")
    """Not delivered yet; its server goes on trying."""
    COMPLAINT = "complaint", _("投诉")
    AUTO_REPLY = "auto_reply", _("自动回复")
    FORGED = "forged", _("冒名")
    """Pretends to be about a message of ours."""
    NOT_OURS = "not_ours", _("与本系统无关")
    UNREADABLE = "unreadable", _("无法识别")


@dataclass(frozen=True)
class Notice:
    finding: Finding
    cause: BounceCause | None = None
    detail: str = ""
    """In the server's words, without any address."""
    text: str = ""
    """All headers and all text, that of the returned message too: what it is about is in there."""


@dataclass(frozen=True)
class _Verdict:
    """What a report says of one recipient."""

    finding: Finding
    status: str = ""
    """Enhanced status code («5.1.1», RFC 3463), or empty."""
    words: str = ""


MOST_BOUNDARIES = 100
"""Parts in parts take the e-mail package long to read; mails of servers have three or four."""
MOST_WORDS = 20_000
"""Characters of what a server says itself that are looked at."""


def read(data: bytes) -> Notice:
    """What the mail says; `data` may be cut off anywhere."""
    boundaries = _count_boundaries(data)
    if boundaries > MOST_BOUNDARIES:
        return Notice(Finding.UNREADABLE)
    try:
        mail = email.message_from_bytes(data, _Part)
        for part in list(mail.walk()):
            if isinstance(part, _Part) and part.is_encoded():
                boundaries += part.decode()
                if boundaries > MOST_BOUNDARIES:
                    return Notice(Finding.UNREADABLE)
        return _read(mail)
    except (RecursionError, MessageError):
        return Notice(Finding.UNREADABLE)


def _count_boundaries(data: bytes) -> int:
    return data.lower().count(b"boundary=")


class _Part(Message):
    """A report, or a returned message, that is in base64 or quoted-printable. Neither may be (RFC
    2046, 5.2.1; RFC 3464, 2.1), some gateways write them so, and the e-mail package would take
    the code for the report: so it has another type until it is decoded. What is enclosed in what
    was decoded is read as it stands, so that nobody can hide codes in codes without end."""

    def get_content_type(self) -> str:
        return _ENCODED if self.is_encoded() else super().get_content_type()

    def is_encoded(self) -> bool:
        return self._encoding() in _DECODED and super().get_content_type().startswith("message/")

    def decode(self) -> int:
        """Takes the code away; returns how many boundaries came to light."""
        kind, encoding, written = super().get_content_type(), self._encoding(), self.get_payload()
        del self["Content-Transfer-Encoding"]
        if encoding == "base64" and ":" in str(written):
            # No base64 but fields, as they should be: the header alone is wrong.
            content: Any = str(written).encode("utf-8", "surrogateescape")
        else:
            self["Content-Transfer-Encoding"] = encoding  # one, and without blanks
            content = self.get_payload(decode=True) or b""
            del self["Content-Transfer-Encoding"]
        count = _count_boundaries(content)
        if count <= MOST_BOUNDARIES:
            head = f"Content-Type: {kind}\r\n\r\n".encode()
            self.set_payload(email.message_from_bytes(head + content).get_payload())
        return count

    def _encoding(self) -> str:
        return str(self.get("Content-Transfer-Encoding", "")).strip().lower()


_ENCODED = "application/octet-stream"
_DECODED = ("base64", "quoted-printable")


def _read(mail: Message) -> Notice:
    subject = _decode_words(str(mail.get("Subject", ""))[:MOST_WORDS])
    parts = list(mail.walk())
    types = {part.get_content_type(): part for part in reversed(parts)}
    text = "\n".join(_all_text(parts))
    if report := types.get("message/delivery-status") or types.get(
        "message/global-delivery-status"
    ):
        verdict = _read_report(report, _own_words(mail))
    elif feedback := types.get("message/feedback-report"):
        is_abuse = _fields(feedback)[0].get("feedback-type", "").lower().startswith("abuse")
        verdict = _Verdict(Finding.COMPLAINT if is_abuse else Finding.NOT_OURS)
    elif _is_from_a_server(mail, subject):
        verdict = _read_letter(f"{subject}\n{_own_words(mail)}")
    else:
        is_auto = _is_auto_reply(mail, subject)
        verdict = _Verdict(Finding.AUTO_REPLY if is_auto else Finding.NOT_OURS)
    is_bounce = verdict.finding is Finding.BOUNCED
    cause = _find_cause(verdict.status, verdict.words) if is_bounce else None
    return Notice(verdict.finding, cause, _quote(verdict), text)


# Reports


MOST_RECIPIENTS = 50
_GRAVEST_FIRST = (Finding.BOUNCED, Finding.DELAYED, Finding.DELIVERED, Finding.NOT_OURS)
_ENHANCED = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?!\.?\d)")
_UNSPECIFIC = re.compile(r"5\.\d\.0|5\.5\.\d")
"""Codes that say no more than «no»: a code in the server's answer says more."""


def _read_report(report: Message, letter: str) -> _Verdict:
    """Of several recipients the one that fared worst: a message of ours has one, so that the
    others are where it was passed on to."""
    verdicts = [
        _read_recipient(fields, letter)
        for fields in _fields(report)
        if "action" in fields or "status" in fields
    ]
    by_gravity = sorted(verdicts, key=lambda verdict: _GRAVEST_FIRST.index(verdict.finding))
    return by_gravity[0] if by_gravity else _Verdict(Finding.NOT_OURS)


def _read_recipient(fields: dict[str, str], letter: str) -> _Verdict:
    action = fields.get("action", "").lower()
    diagnosis = re.sub(r"^\s*[\w-]+\s*;\s*", "", fields.get("diagnostic-code", ""))
    status = _find(_ENHANCED, fields.get("status", ""))
    if not status or _UNSPECIFIC.fullmatch(status):
        status = _find(_ENHANCED, diagnosis) or status
    words = diagnosis or letter
    if action.startswith("fail") and not status.startswith("2"):
        # «4.4.7» here: its server tried for days and has given up (RFC 3464, 2.3.3).
        return _Verdict(Finding.BOUNCED, status, words)
    if action.startswith("delayed"):
        return _Verdict(Finding.DELAYED, status, words)
    is_delivered = action.startswith("delivered") and status[:1] in ("", "2")
    return _Verdict(Finding.DELIVERED if is_delivered else Finding.NOT_OURS, status)


def _fields(part: Message) -> list[dict[str, str]]:
    """Blocks of header fields, names in lower case. The e-mail package has them parsed for most
    types; of the others the first block is headers and the rest is text."""
    content: Any = part.get_payload()
    blocks = content if isinstance(content, list) else [email.message_from_string(str(content))]
    for block in list(blocks):
        rest: Any = block.get_payload()
        if isinstance(rest, str) and rest.strip():
            texts = re.split(r"\n\s*\n", rest[:MOST_WORDS].strip())
            blocks = [*blocks, *map(email.message_from_string, texts)]
    return [
        {name.lower(): _one_line(str(value)[:MOST_WORDS]) for name, value in block.items()}
        for block in blocks[:MOST_RECIPIENTS]
    ]


# Letters that keep to no standard


_SERVERS = re.compile(
    r"^(mailer[-_]?daemon|mail[-_]?daemon|post[-_]?master|mdaemon|microsoftexchange\w*)@", re.I
)
_RETURNED = re.compile(
    r"undeliver|returned (e-?)?mail|returned to sender|delivery (status )?(notif|fail|delay)"
    r"|(mail|message) (delivery )?(failed|failure)|failure notice|warning: message"
    r"|退信|退回|未送达|无法送达|无法投递|投递失败|发送失败|投递状态",
    re.I,
)
_BEGINNING_OF_OURS = re.compile(
    r"^(--+ ?(below this line is a copy|this is a copy|the following|original message|原始邮件)"
    r"|original message headers|(原始邮件|邮件原文)(内容|头)?[ :：]*$"
    r"|(received|return-path|message-id|mime-version) ?:)",
    re.I | re.M,
)
_SMTP_REFUSAL = re.compile(r"(?<![\d.])5[0-5]\d(?=[ -]#?(5\.\d|[a-z]))", re.I)
_STILL_TRYING = re.compile(
    r"will (keep|continue|be retried|retry|try again)|(is|been|was) delayed|delayed \d+"
    r"|attempts will continue|not yet been delivered|no action is required|delivery delay"
    r"|延迟|延误|继续(尝试|投递|重试)|稍后(再|会|将)?(试|重试|投递)|重新投递|尚未投递",
    re.I,
)
_GIVEN_UP = re.compile(
    r"giv(en|ing) up|too long|permanent (error|fail|fatal)|permanently|retry timeout"
    r"|放弃|永久性?(失败|错误)|最终失败|多次(尝试|投递)(均|后)?(失败|未成功)",
    re.I,
)


def _is_from_a_server(mail: Message, subject: str) -> bool:
    sender = _find(re.compile(r"([\w.+-]+@[\w.-]*)"), str(mail.get("From", "")))
    is_bounce = str(mail.get("Return-Path", "")).strip() == "<>"
    return bool(_SERVERS.search(sender) or _RETURNED.search(subject)) or (
        is_bounce and not _is_auto_reply(mail, subject)
    )


def _read_letter(words: str) -> _Verdict:
    """Careful: without a code or words that leave no doubt the letter says nothing."""
    codes = _ENHANCED.findall(words)
    refusal = next((code for code in codes if code.startswith("5")), "")
    if _STILL_TRYING.search(words):
        return _Verdict(Finding.DELAYED)
    if refusal or _SMTP_REFUSAL.search(words) or _NO_SUCH_ADDRESS.search(words):
        return _Verdict(Finding.BOUNCED, refusal, words)
    setback = next((code for code in codes if code.startswith("4")), "")
    if _GIVEN_UP.search(words):
        return _Verdict(Finding.BOUNCED, setback or "4.0.0", words)
    return _Verdict(Finding.DELAYED if setback else Finding.NOT_OURS)


def _is_auto_reply(mail: Message, subject: str) -> bool:
    marks = (mail.get("X-Autoreply"), mail.get("X-Autorespond"))
    is_marked = str(mail.get("Auto-Submitted", "")).lower().strip().startswith("auto-replied")
    precedence = str(mail.get("Precedence", "")).lower()
    return any(marks) or is_marked or "auto" in precedence or bool(_AUTO_REPLY.search(subject))


_AUTO_REPLY = re.compile(
    r"auto(matic)?[- ]?repl|auto[- ]?response|out of (the )?office|自动回复|自动答复|自动应答", re.I
)


# Why


_DEAD = {"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"}
"""No such mailbox or domain, no address at all, moved, takes no mail, closed (RFC 3463, 7505)."""
_NO_SUCH_ADDRESS = re.compile(
    r"(user|recipient|mailbox|account|address|e-?mail) (is |was )?(unknown|not found|invalid)"
    r"|(unknown|invalid|no such|nonexistent|non-existent) (local )?(user|recipient|mailbox|address)"
    r"|no such (user|person)|no mailbox (here|by that name)|recipnotfound"
    r"|(user|recipient|mailbox|account|address|domain|e-?mail)( \S{1,60})? does ?n[o']t exist"
    r"|(couldn't be|wasn't|could not be|was not|can't be) found( at)?|unrouteable address"
    r"|(account|mailbox|user) (is |has been )?(disabled|deactivated|inactive|closed)"
    r"|(domain|host)( or domain)?( name)? not found|no longer (available|active|valid|exists)"
    r"|(用户|邮箱|信箱|收件人|地址|账号|帐号|账户|域名)[^，。；\n]{0,12}(不存在|无效|已停用|已注销|已禁用)"
    r"|不存在(该|此)?(用户|邮箱|收件人)|找不到(该|此)?(用户|邮箱|收件人|地址)|无此(用户|邮箱)|空号",
    re.I,
)
_MAILBOX_FULL = re.compile(
    r"mailbox (is )?full|over ?quota|quota (exceeded|has been)|exceed\w* (the )?(storage|quota)"
    r"|out of storage|insufficient (system )?storage"
    r"|(邮箱|信箱|空间|容量)[^，。；\n]{0,6}(已满|不足|超)",
    re.I,
)
_POLICY = re.compile(
    r"\bspam|\bblocked\b|black ?-?list|block ?list|\bpolicy\b|\bdenied\b|reputation|\bDT:|\bRBL\b"
    r"|\bSPF\b|\bDKIM\b|\bDMARC\b|content rejected|suspicious|prohibited|not authenticated|relaying"
    r"|垃圾邮件|反垃圾|拒收|黑名单|频率|安全策略|内容(被拒|违规)|禁止",
    re.I,
)


def _find_cause(status: str, words: str) -> BounceCause:
    """Takes an address for dead only when nothing speaks for another cause."""
    if status[1:] == ".2.2" or _MAILBOX_FULL.search(words):
        return BounceCause.MAILBOX_FULL
    if status[1:3] == ".7" or _POLICY.search(words):
        return BounceCause.POLICY
    if status.startswith("4"):
        return BounceCause.GIVEN_UP
    if status in _DEAD or _NO_SUCH_ADDRESS.search(words):
        return BounceCause.NO_SUCH_ADDRESS
    return BounceCause.OTHER


# Text


_MOST_QUOTED = 160
_ANY_ADDRESS = re.compile(r"<?[^\s<>:;,，。；：（(]{1,100}@[^\s<>,;，。；：）)]{1,200}>?")
_TAG = re.compile(r"<(style|script|title)\b.{0,5000}?</\1\s*>|<[^>]{0,500}>", re.I | re.S)
_LINE_TAG = re.compile(r"<(br|/?p|/?div|/?tr|/?li|/?h\d)\b[^>]{0,500}>", re.I)


def _quote(verdict: _Verdict) -> str:
    """The lines of a letter that hold a code or a cause, else its beginning."""
    lines = [line for line in verdict.words.splitlines() if line.strip()]
    telling = (_ENHANCED, _SMTP_REFUSAL, _NO_SUCH_ADDRESS, _MAILBOX_FULL, _POLICY)
    told = [line for line in lines if any(pattern.search(line) for pattern in telling)]
    words = _ANY_ADDRESS.sub("<…>", " ".join((told or lines)[:2]))
    has_status = not verdict.status or verdict.status in words
    text = _one_line(words if has_status else f"{verdict.status} {words}")
    return text[:_MOST_QUOTED]


def _own_words(mail: Message) -> str:
    """What the server says itself, up to where the message that it returns begins."""
    leaves = [part for part in _leaves(mail) if part.get_content_maintype() == "text"]
    plain = [part for part in leaves if part.get_content_type() == "text/plain"]
    texts = (_text(part)[:MOST_WORDS] for part in plain or leaves)
    text = "\n".join(texts if plain else map(_strip_tags, texts))[:MOST_WORDS]
    cut = _BEGINNING_OF_OURS.search(text)
    return text[: cut.start()] if cut else text


def _leaves(mail: Message) -> Iterator[Message]:
    """Parts that are no containers, none of them in a message that is enclosed."""
    if not mail.is_multipart():
        if mail.get_content_type() != "text/rfc822-headers":
            yield mail
    elif mail.get_content_maintype() == "multipart":
        content: Any = mail.get_payload()
        for part in content:
            yield from _leaves(part)


def _all_text(parts: list[Message]) -> Iterator[str]:
    for part in parts:
        yield from (f"{name}: {value}" for name, value in part.items())
        if not part.is_multipart():
            text = _text(part)
            yield text
            if part.get_content_subtype() == "html":
                yield unescape(text)


def _text(part: Message) -> str:
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        return ""
    charset = (part.get_content_charset("") or "").replace("gb2312", "gb18030")
    for name in (charset.replace("gbk", "gb18030"), "utf-8", "gb18030"):
        try:
            return content.decode(name)
        except (LookupError, ValueError):
            continue
    return content.decode("utf-8", "replace")


def _strip_tags(html: str) -> str:
    return unescape(_TAG.sub(" ", _LINE_TAG.sub("\n", html)))


def _decode_words(text: str) -> str:
    try:
        return str(make_header(decode_header(text)))
    except (LookupError, ValueError, MessageError):
        return text


def _one_line(text: Any) -> str:
    """On one line, without what a database or a page would stumble over."""
    words = " ".join(str(text).split())
    return "".join(letter for letter in words if letter.isprintable())


def _find(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""
