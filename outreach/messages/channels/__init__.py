"""How messages leave the house. A channel knows one provider and how to read its answers."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

from outreach.messages.models import ReceiptKind


@dataclass(frozen=True)
class EnclosedFile:
    """A file that goes with an e-mail."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True)
class Outgoing:
    """A message as a channel needs it: no row, no session."""

    id: int
    resend_no: int
    address: str
    recipient_name: str
    subject: str
    body_text: str
    body_html: str
    calendar: str
    reply_to: str
    provider_template: str = ""
    """Of a text message: the number under which the provider has approved its wording."""
    variables: Sequence[Sequence[str]] = ()
    """Of a text message: [placeholder, value] in the order of the text."""
    _: KW_ONLY
    at: datetime
    enclosed: EnclosedFile | None = None
    unsubscribe_url: str = ""
    """Where the recipient can say that there should be no more such letters."""


class Verdict(Enum):
    ACCEPTED = "accepted"
    RETRY = "retry"
    """Proven not accepted, and may be accepted later."""
    REJECTED = "rejected"
    """Proven not accepted, and never will be."""
    UNKNOWN = "unknown"
    """May or may not have been accepted."""
    MISCONFIGURED = "misconfigured"
    """Proven not accepted, because of us: sign-in, sender or certificate."""


@dataclass(frozen=True)
class Outcome:
    verdict: Verdict
    answer: str = ""
    """What the provider said, for people to read; never holds an address."""
    provider_id: str = ""


def accepted(provider_id: str = "") -> Outcome:
    return Outcome(Verdict.ACCEPTED, provider_id=provider_id)


def retry(answer: str) -> Outcome:
    return Outcome(Verdict.RETRY, answer)


def rejected(answer: str) -> Outcome:
    return Outcome(Verdict.REJECTED, answer)


def unknown(answer: str) -> Outcome:
    return Outcome(Verdict.UNKNOWN, answer)


def misconfigured(answer: str) -> Outcome:
    return Outcome(Verdict.MISCONFIGURED, answer)


class Sender(Protocol):
    """An open line to a provider."""

    def deliver(self, messages: Sequence[Outgoing]) -> Iterator[Outcome]:
        """One outcome for each message, in order. A message is touched only when its outcome is
        asked for, so that whoever iterates can stop between two messages."""


OpenChannel = Callable[[], AbstractContextManager[Sender]]
"""Opens a line for one drain; nothing is connected until there is something to deliver."""


@dataclass(frozen=True)
class Question:
    """A sending of which nobody knows whether it was accepted."""

    message_id: int
    resend_no: int
    address: str
    since: datetime
    until: datetime
    """When the provider may have got it."""


@dataclass(frozen=True)
class Fate:
    kind: ReceiptKind
    detail: str
    """In the provider's words, without any address."""


class NoAnswer(Exception):
    """The provider could not be asked, or its answer could not be read."""
