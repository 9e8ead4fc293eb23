"""Text messages: what all providers have in common, and the simulator that stands for one."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import requests

from outreach.messages.channels import (
    Fate,
    NoAnswer,
    Outcome,
    Outgoing,
    Question,
    accepted,
    rejected,
    retry,
    unknown,
)
from outreach.messages.channels.exchange import Failed, Line
from outreach.messages.models import ReceiptKind
from outreach.messages.rendering import segments

REJECTED_NUMBER = "+8613800000001"
UNKNOWN_NUMBER = "+8613800000002"
BUSY_NUMBER = "+8613800000003"

LARGEST_ID = 2**31 - 1

_SIGNATURE = re.compile(r"【[^】]*】")
_OUT_ID = re.compile(r"([0-9]{1,10})\.([0-9]{1,4})")
_PROVIDER_NUMBER = re.compile(r"[!-~]{1,120}")
_MAINLAND = "+86"


@dataclass(frozen=True)
class SmsReport:
    """What a provider says became of a message, by the number that it has for us or for itself."""

    phone: str
    kind: ReceiptKind
    detail: str
    provider_id: str
    out_id: str = ""
    """Empty: the provider does not give back what we sent with the message."""


@dataclass(frozen=True)
class SmsReply:
    phone: str
    text: str


class Provider(Protocol):
    """How one provider is spoken to; every request is signed as it is made."""

    def sending(self, message: Outgoing) -> requests.Request: ...

    def read_sending(self, body: dict[str, Any], message: Outgoing) -> Outcome: ...

    def asking(self, question: Question) -> Iterator[requests.Request]:
        """One request for each part of the time in question."""

    def read_fate(self, body: dict[str, Any], question: Question) -> Fate | None:
        """NoAnswer when the provider tells of an error."""

    def read_reports(self, body: Any) -> Iterator[SmsReport | None]:
        """What the provider pushes, entry by entry; None for one that makes no sense."""

    def read_replies(self, body: Any) -> Iterator[SmsReply | None]: ...


class SmsChannel:
    """A provider over HTTP. It gets the number of a wording and what to put into it."""

    def __init__(self, provider: Provider, *, signature: str, read_timeout: float) -> None:
        self.provider = provider
        self._signature = signature
        self._read_timeout = read_timeout

    @contextmanager
    def open(self) -> Iterator["SmsChannel"]:
        yield self

    def deliver(self, messages: Sequence[Outgoing]) -> Iterator[Outcome]:
        with Line.open(self._read_timeout) as line:
            for message in messages:
                yield self._deliver(line, message)

    def ask(self, question: Question) -> Fate | None:
        """None when the provider knows nothing for certain, which proves nothing; NoAnswer."""
        with Line.open(self._read_timeout) as line:
            try:
                for request in self.provider.asking(question):
                    fate = self.provider.read_fate(line.exchange(request), question)
                    if fate is not None:
                        return fate
            except Failed as failure:
                raise NoAnswer(failure.outcome.answer) from None
        return None

    def _deliver(self, line: Line, message: Outgoing) -> Outcome:
        if unsigned(message.body_text, self._signature) is None:
            return rejected("signature is not ours")
        if not message.provider_template:
            return rejected("wording has no number at the provider")
        try:
            body = line.exchange(self.provider.sending(message))
        except Failed as failure:
            return failure.outcome
        return self.provider.read_sending(body, message)


class SmsSimulator:
    """Appends what it takes to a file of JSON lines. Three numbers make it answer as a provider
    does on a bad day."""

    def __init__(self, path: Path, signature: str) -> None:
        self._path = path
        self._signature = signature

    @contextmanager
    def open(self) -> Iterator["SmsSimulator"]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        yield self

    def deliver(self, messages: Sequence[Outgoing]) -> Iterator[Outcome]:
        for message in messages:
            yield self._deliver(message)

    def _deliver(self, message: Outgoing) -> Outcome:
        text = unsigned(message.body_text, self._signature)
        if text is None:
            return rejected("signature is not ours")
        if message.address == REJECTED_NUMBER:
            return rejected("number out of service")
        if message.address == BUSY_NUMBER:
            return retry("flow control")
        signature = signed(self._signature)
        line = {
            "out_id": out_id(message.id, message.resend_no),
            "to": message.address,
            "text": signature + text,
            "segments": segments(text, signature),
        }
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
        if message.address == UNKNOWN_NUMBER:
            return unknown("timeout after the request was written")
        return accepted(out_id(message.id, message.resend_no))


def signed(signature: str) -> str:
    """The signature as people see it before the text."""
    return f"【{signature}】"


def unsigned(text: str, signature: str) -> str | None:
    """The text without our signature; None when it carries another's."""
    text = text.removeprefix(signed(signature))
    return None if _SIGNATURE.match(text) else text


def out_id(message_id: int, resend_no: int) -> str:
    """Our number for one sending of a message, which the provider gives back."""
    return f"{message_id}.{resend_no}"


def read_out_id(text: str) -> tuple[int, int] | None:
    """Message id and resend number; None when it is not a number that we gave."""
    match = _OUT_ID.fullmatch(text)
    if match is None or int(match[1]) > LARGEST_ID:
        return None
    return int(match[1]), int(match[2])


def national(number: str) -> str:
    """An E.164 number as providers of mainland China take it: 13800000000, but 85291234567."""
    return number.removeprefix(_MAINLAND).removeprefix("+")


def provider_number(value: Any) -> str:
    """A provider's number for a message as it is kept; empty when it is none."""
    return value if isinstance(value, str) and _PROVIDER_NUMBER.fullmatch(value) else ""
