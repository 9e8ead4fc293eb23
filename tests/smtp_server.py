"""SMTP servers for tests, on sockets: one that records, and one that misbehaves on command."""

import email
import email.policy
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage

from tests.servers import HANG, Server

DROP = "drop"
"""Closes the connection instead of answering."""

REPLIES = {
    "CONNECT": "220 test",
    "EHLO": "250-test\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME",
    "STARTTLS": "220 go on",
    "AUTH": "235 welcome",
    "MAIL": "250 ok",
    "RCPT": "250 ok",
    "DATA": "354 go on",
    "BODY": "",
    "DOT": "250 queued as 1",
    "RSET": "250 ok",
    "QUIT": "221 bye",
}


@dataclass(frozen=True)
class Received:
    sender: str
    recipient: str
    data: bytes

    @property
    def message(self) -> EmailMessage:
        return email.message_from_bytes(self.data, policy=email.policy.default)


class RecordingServer(Server):
    """Accepts everything and keeps it in `messages`; `delay` is seconds per message.

    `script` replaces the answer of a phase, for the first `times` times that it comes up: an
    answer, DROP or HANG. The phases are those of REPLIES; BODY is the first piece of content,
    DOT the end of it. `capabilities` are separated by commas.
    """

    def __init__(
        self,
        script: Mapping[str, str] | None = None,
        *,
        times: int = 1_000_000,
        delay: float = 0,
        tls: ssl.SSLContext | None = None,
        capabilities: str = "",
    ) -> None:
        super().__init__()
        self.script = dict(script or {})
        self.times = times
        self.delay = delay
        self.tls = tls
        self.capabilities = capabilities
        self.messages: list[Received] = []
        self.commands: list[str] = []

    def serve(self, connection: socket.socket) -> None:
        _Session(self, connection).run()

    def answer(self, phase: str) -> str:
        with self._lock:
            self.commands.append(phase)
            if phase in self.script and self.commands.count(phase) <= self.times:
                return self.script[phase]
        if phase == "EHLO" and self.capabilities:
            *others, last = self.capabilities.split(", ")
            return "\r\n".join(["250-test", *(f"250-{name}" for name in others), f"250 {last}"])
        return REPLIES[phase]

    def record(self, received: Received) -> None:
        with self._lock:
            self.messages.append(received)


class _Session:
    def __init__(self, server: RecordingServer, connection: socket.socket) -> None:
        self.server = server
        self.connection = connection
        self.file = connection.makefile("rb")
        self.sender = self.recipient = ""

    def run(self) -> None:
        if not self._reply("CONNECT"):
            return
        while line := self.file.readline():
            command = line.decode("utf-8", "replace").strip()
            verb = command.split(" ")[0].upper()
            verb = "EHLO" if verb == "HELO" else verb
            if verb == "MAIL":
                self.sender = command.partition("<")[2].rstrip(">")
            if verb == "RCPT":
                self.recipient = command.partition("<")[2].rstrip(">")
            answered = self._reply(verb)
            if not answered or verb == "QUIT":
                return
            if verb == "STARTTLS" and self.server.tls and answered.startswith("220"):
                self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
                self.file = self.connection.makefile("rb")
            if verb == "DATA" and answered.startswith("354") and not self._take_content():
                return

    def _take_content(self) -> bool:
        lines: list[bytes] = []
        while (line := self.file.readline()) != b".\r\n":
            if not line:
                return False
            if not lines and (answer := self.server.answer("BODY")):
                self._send(answer)
                return False
            lines.append(line.removeprefix(b"."))
        time.sleep(self.server.delay)
        received = Received(self.sender, self.recipient, b"".join(lines))
        answer = self.server.answer("DOT")
        if answer in (DROP, HANG) or answer.startswith("2"):
            self.server.record(received)
        return bool(self._send(answer))

    def _reply(self, phase: str) -> str:
        return self._send(self.server.answer(phase))

    def _send(self, answer: str) -> str:
        """The answer as sent; empty when the session is over."""
        if answer == DROP:
            return ""
        if answer == HANG:
            self.server.hang()
            return ""
        self.connection.sendall(f"{answer}\r\n".encode())
        return "" if answer.startswith("421") else answer
