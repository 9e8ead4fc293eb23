"""E-mail over SMTP, and the local outbox that takes its place when no server is set.

smtplib raises the same exception for «never sent» and «accepted, answer lost». What tells them
apart is whether the final dot had been written: `_Delivery.is_past_return`.

Where the server offers PIPELINING (RFC 2920), the envelope goes out in one write. Content and dot
wait for the answers to it, so what may have been accepted is told apart in the same way.
"""

import os
import re
import smtplib
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flask_mail

from outreach.messages.channels import (
    Outcome,
    Outgoing,
    Verdict,
    accepted,
    mime,
    misconfigured,
    rejected,
    retry,
    unknown,
)

CONNECT_TIMEOUT = 10.0
"""Seconds until the server has greeted us."""

ReturnPath = Callable[[Outgoing], str]
"""Where the message comes back to when it cannot be delivered; empty: to its sender."""

_ADDRESS = re.compile(r"<?[^\s<>]+@[^\s<>]+>?")
_LEADING_DOT = re.compile(rb"^\.", re.MULTILINE)


@dataclass(frozen=True)
class Timeouts:
    """In seconds."""

    command: float
    final: float
    """After the final dot, when the server may take its time to store the message."""


class Connection(flask_mail.Connection):
    """What Flask-Mail lacks: time limits on every wait, and certificates that are verified."""

    def __init__(self, mail: Any, timeouts: Timeouts, tls: ssl.SSLContext) -> None:
        super().__init__(mail)
        self.timeouts = timeouts
        self.tls = tls

    def configure_host(self) -> smtplib.SMTP:
        state = self.mail
        # Without a name of our own smtplib asks the DNS for one, which may take long.
        own_name = state.default_sender[1].rpartition("@")[2]
        if state.use_ssl:
            host: smtplib.SMTP = smtplib.SMTP_SSL(
                state.server,
                state.port,
                local_hostname=own_name,
                timeout=CONNECT_TIMEOUT,
                context=self.tls,
            )
        else:
            host = smtplib.SMTP(
                state.server, state.port, local_hostname=own_name, timeout=CONNECT_TIMEOUT
            )
        try:
            self._introduce(host)
        except BaseException:
            host.close()
            raise
        return host

    def _introduce(self, host: smtplib.SMTP) -> None:
        set_timeout(host, self.timeouts.command)
        if host.sock is not None:
            host.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        host.ehlo_or_helo_if_needed()
        if self.mail.use_tls:
            host.starttls(context=self.tls)
            host.ehlo()
        if self.mail.username:
            host.login(self.mail.username, self.mail.password or "")


class Mail(flask_mail.Mail):
    """Flask-Mail for its settings; `open` gives the line that a drain sends over."""

    def __init__(
        self,
        timeouts: Timeouts,
        tls: ssl.SSLContext | None = None,
        return_path: ReturnPath = lambda _message: "",
    ) -> None:
        super().__init__()
        self.timeouts = timeouts
        self.tls = tls or ssl.create_default_context()
        self.return_path = return_path

    @contextmanager
    def open(self) -> Iterator["SmtpSender"]:
        connection = Connection(self.state, self.timeouts, self.tls)
        sender = SmtpSender(connection, self.return_path)
        try:
            yield sender
        finally:
            sender.close()

    def init_app(self, app: Any) -> Any:
        self.state = super().init_app(app)
        return self.state


class SmtpSender:
    """One persistent connection, opened when needed and opened again when it broke."""

    def __init__(self, connection: Connection, return_path: ReturnPath) -> None:
        self._connection = connection
        self._return_path = return_path
        self._smtp: smtplib.SMTP | None = None
        self._refused: Outcome | None = None

    def deliver(self, messages: Sequence[Outgoing]) -> Iterator[Outcome]:
        # A sign-in that was refused is not tried again for each message of the window: servers
        # lock accounts after a few failures.
        self._refused = None
        for message in messages:
            yield self._refused or self._deliver(message)

    def close(self) -> None:
        if self._smtp is not None:
            with suppress(OSError, smtplib.SMTPException):
                set_timeout(self._smtp, self._connection.timeouts.command)
                self._smtp.quit()
            self._drop()

    def _deliver(self, message: Outgoing) -> Outcome:
        name, address = self._connection.mail.default_sender
        try:
            data = mime.build(message, sender_name=name, sender=address)
        except ValueError as error:
            return rejected(f"message not fit to be sent: {error}")
        was_open = self._smtp is not None
        envelope_sender = self._return_path(message) or address
        outcome, is_stale = self._try(message, envelope_sender, data)
        if is_stale and was_open:
            # Servers close idle lines, and lines that have had their share of messages.
            outcome, _is_stale = self._try(message, envelope_sender, data)
        return outcome

    def _try(self, message: Outgoing, sender: str, data: bytes) -> tuple[Outcome, bool]:
        try:
            if self._smtp is None:
                self._smtp = self._connection.configure_host()
        except (OSError, smtplib.SMTPException, UnicodeError) as error:
            outcome = _classify_opening(error)
            if outcome.verdict is Verdict.MISCONFIGURED:
                self._refused = outcome
            return outcome, False
        delivery = _Delivery(self._smtp, self._connection.timeouts)
        outcome = delivery.run(sender, message.address, data)
        if delivery.is_broken:
            self._drop()
        return outcome, delivery.is_stale

    def _drop(self) -> None:
        if self._smtp is not None:
            self._smtp.close()
            self._smtp = None


class _Delivery:
    """One message on an open connection."""

    def __init__(self, smtp: smtplib.SMTP, timeouts: Timeouts) -> None:
        self.smtp = smtp
        self.timeouts = timeouts
        self.is_past_return = False
        """The final dot has been handed over: from here on silence proves nothing."""
        self.is_broken = False
        """The connection is of no more use."""
        self.is_stale = False
        """The server had closed the line before this message began."""

    def run(self, sender: str, recipient: str, data: bytes) -> Outcome:
        try:
            outcome = self._envelope(sender, recipient)
            return outcome or self._content(data)
        except (OSError, smtplib.SMTPException) as error:
            self.is_broken = True
            if self.is_past_return:
                return unknown(f"no answer after the message was handed over: {_name(error)}")
            return retry(f"connection lost before the message was handed over: {_name(error)}")

    def _envelope(self, sender: str, recipient: str) -> Outcome | None:
        set_timeout(self.smtp, self.timeouts.command)
        if self.smtp.has_extn("pipelining"):
            return self._envelope_in_one(sender, recipient)
        self.is_stale = True
        code, answer = self.smtp.docmd("MAIL", f"FROM:<{sender}>")
        self.is_stale = code == 421
        if code // 100 != 2:
            return self._refuse("MAIL", code, answer, permanent=misconfigured)
        code, answer = self.smtp.docmd("RCPT", f"TO:<{recipient}>")
        if code // 100 != 2:
            return self._refuse("RCPT", code, answer, permanent=rejected)
        code, answer = self.smtp.docmd("DATA")
        if code != 354:
            return self._refuse("DATA", code, answer, permanent=retry)
        return None

    def _envelope_in_one(self, sender: str, recipient: str) -> Outcome | None:
        """The three commands in one write (RFC 2920), each with its own answer."""
        self.is_stale = True
        self.smtp.send(_in_one(sender, recipient))
        code, answer = self.smtp.getreply()
        self.is_stale = code == 421
        if code // 100 != 2:
            self._skip_answers(code, 2)
            return self._refuse("MAIL", code, answer, permanent=misconfigured)
        code, answer = self.smtp.getreply()
        if code // 100 != 2:
            self._skip_answers(code, 1)
            return self._refuse("RCPT", code, answer, permanent=rejected)
        code, answer = self.smtp.getreply()
        if code != 354:
            return self._refuse("DATA", code, answer, permanent=retry)
        return None

    def _skip_answers(self, code: int, count: int) -> None:
        """Reads what the server says to the commands that came after a refused one. Whatever that
        is, the refusal stands. A server that asks for content all the same gets none: the line is
        closed, since even a lone dot could be taken for an empty message."""
        try:
            while code != 421 and count:
                code, _answer = self.smtp.getreply()
                self.is_broken = self.is_broken or code == 354
                count -= 1
        except (OSError, smtplib.SMTPException):
            self.is_broken = True

    def _content(self, data: bytes) -> Outcome:
        if not data.endswith(b"\r\n"):
            data += b"\r\n"
        self._hand_over((_LEADING_DOT.sub(b"..", data) if b"\n." in data else data) + b".\r\n")
        set_timeout(self.smtp, self.timeouts.final)
        code, answer = self.smtp.getreply()
        if code // 100 == 2:
            return accepted(_text(answer)[:120])
        if code // 100 in (4, 5):
            self.is_broken = code == 421
            answered = retry if code // 100 == 4 else rejected
            return answered(f"{code} {_text(answer)}")
        self.is_broken = True
        return unknown(f"answer not understood: {code} {_text(answer)}")

    def _hand_over(self, content: bytes) -> None:
        """Writes the content with its final dot. The dot comes last, so a line that breaks before
        all was taken off our hands leaves the server without it."""
        sock = self.smtp.sock
        if sock is None:
            raise smtplib.SMTPServerDisconnected("please run connect() first")
        rest = memoryview(content)
        while rest:
            rest = rest[sock.send(rest) :]
        self.is_past_return = True

    def _refuse(self, command: str, code: int, answer: bytes, *, permanent: Any) -> Outcome:
        """A refusal before any content: 5xx is `permanent`, all else may be tried again."""
        is_permanent = code // 100 == 5
        if command == "DATA" or code == 421 or code // 100 not in (4, 5):
            self.is_broken = True
        elif not self.is_broken:
            self._reset()
        verdict = permanent if is_permanent else retry
        return verdict(f"{command}: {code} {_text(answer)}")

    def _reset(self) -> None:
        """Whatever comes of it, the refusal before it stands."""
        try:
            self.smtp.rset()
        except (OSError, smtplib.SMTPException):
            self.is_broken = True


def _in_one(sender: str, recipient: str) -> bytes:
    """ValueError when an address holds what would be read as another command."""
    commands = f"MAIL FROM:<{sender}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode("ascii")
    if commands.count(b"\n") != 3 or commands.count(b"\r") != 3:
        raise ValueError("line break in an address")
    return commands


def set_timeout(smtp: smtplib.SMTP, seconds: float) -> None:
    if smtp.sock is not None:
        smtp.sock.settimeout(seconds)


def _classify_opening(error: Exception) -> Outcome:
    """Nothing was handed over yet; what counts is whether waiting can help."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        answer = f"AUTH: {error.smtp_code} {_text(error.smtp_error)}"
        return misconfigured(answer) if error.smtp_code // 100 == 5 else retry(answer)
    if isinstance(error, ssl.SSLCertVerificationError):
        return misconfigured(f"certificate of the server not trusted: {error.verify_message}")
    if isinstance(error, UnicodeError):
        return misconfigured("name of the server, user or password cannot be sent")
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return misconfigured(f"the server lacks what the settings ask for: {error}")
    if isinstance(error, smtplib.SMTPResponseException):
        return retry(f"{error.smtp_code} {_text(error.smtp_error)}")
    return retry(f"no connection: {_name(error)}")


def _name(error: Exception) -> str:
    return f"{type(error).__name__} {_text(str(error))}".strip()


def _text(answer: bytes | str) -> str:
    """The server's words on one line, printable, without the address that they often repeat."""
    words = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
    if not words.isprintable():
        words = "".join(letter if letter.isprintable() else " " for letter in words)
    return _ADDRESS.sub("<…>", " ".join(words.split()))[:200]


class LocalOutbox:
    """Writes each message into a directory where the application shows it."""

    def __init__(self, directory: Path, sender_name: str, sender: str) -> None:
        self.directory = directory
        self._sender_name = sender_name
        self._sender = sender

    @contextmanager
    def open(self) -> Iterator["LocalOutbox"]:
        self.directory.mkdir(parents=True, exist_ok=True)
        yield self

    def deliver(self, messages: Sequence[Outgoing]) -> Iterator[Outcome]:
        for message in messages:
            try:
                data = mime.build(message, sender_name=self._sender_name, sender=self._sender)
            except ValueError as error:
                yield rejected(f"message not fit to be sent: {error}")
            else:
                yield accepted(self._write(f"{message.id}.{message.resend_no}", data))

    def _write(self, stem: str, data: bytes) -> str:
        """Appears whole or not at all. The name comes from the Message-ID; a message that is
        written twice gets a second file, so that the mistake can be seen."""
        handle, path = tempfile.mkstemp(dir=self.directory, prefix=".", suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        name, number = f"{stem}.eml", 1
        while True:
            try:
                (self.directory / name).hardlink_to(path)
                break
            except FileExistsError:
                number += 1
                name = f"{stem}-repeat-{number}.eml"
        Path(path).unlink()
        return name
