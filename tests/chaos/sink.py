"""An SMTP server as a process of its own. It keeps a line for each mail that it accepted, before
it says so: `python -m tests.chaos.sink FILE [SEED]` prints its port. With a seed it misbehaves at
random in every way that delivery.md lists."""

import asyncio
import os
import random
import re
import sys
from collections.abc import Callable

DROP, HANG, LOST = "drop", "hang", "lost"
"""LOST: accepted, and the answer never comes."""

FAULTS: dict[str, tuple[str, ...]] = {
    "CONNECT": (DROP, "421 busy", "554 go away"),
    "EHLO": (DROP, "421 closing"),
    "MAIL": (DROP, HANG, "421 closing", "451 later", "what?"),
    "RCPT": (DROP, "450 busy", "550 no such user"),
    "DATA": (DROP, "421 closing", "451 later", "554 no"),
    "BODY": (DROP,),
    "DOT": (DROP, LOST, HANG, "421 closing", "451 later", "554 spam", "what?"),
    "QUIT": (DROP,),
}
REPLIES = {
    "CONNECT": b"220 sink\r\n",
    "EHLO": b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
    "HELO": b"250 sink\r\n",
    "MAIL": b"250 ok\r\n",
    "RCPT": b"250 ok\r\n",
    "DATA": b"354 go on\r\n",
    "DOT": b"250 queued\r\n",
    "RSET": b"250 ok\r\n",
    "QUIT": b"221 bye\r\n",
}
_MESSAGE_ID = re.compile(rb"^Message-ID: <([^>]*)>", re.MULTILINE | re.IGNORECASE)

Draw = Callable[[str], str]
"""What goes wrong at this step; empty: nothing."""


class Session(asyncio.Protocol):
    def __init__(self, log: int, draw: Draw) -> None:
        self.log = log
        self.draw = draw
        self.buffer = b""
        self.recipient = b""
        self.is_content = False
        self.is_silent = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._answer("CONNECT")

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while not self.is_silent and not self.transport.is_closing():
            end = b"\r\n.\r\n" if self.is_content else b"\r\n"
            piece, found, rest = self.buffer.partition(end)
            if not found:
                return
            self.buffer = rest
            if self.is_content:
                self._take(piece)
            else:
                self._obey(piece)

    def _obey(self, line: bytes) -> None:
        verb = line[:4].decode("ascii", "replace").upper()
        if verb == "RCPT":
            self.recipient = line.partition(b"<")[2].partition(b">")[0]
        is_accepted = self._answer(verb)
        if verb == "RCPT" and not is_accepted:
            self.recipient = b""
        if verb == "DATA" and is_accepted:
            self.is_content = True
            if self.draw("BODY"):
                self.transport.abort()
        if verb == "QUIT":
            self.transport.close()

    def _take(self, content: bytes) -> None:
        self.is_content = False
        fault = self.draw("DOT")
        if fault in ("", LOST, "what?"):
            message_id = _MESSAGE_ID.search(content)
            name = message_id[1] if message_id else b"-"
            os.write(self.log, b"%s %s\n" % (self.recipient, name))
        self._say("DOT", HANG if fault == LOST and self.draw("HANG") else fault)

    def _answer(self, phase: str) -> bool:
        fault = self.draw(phase)
        if phase == "DATA" and not self.recipient and not fault:
            fault = "554 no valid recipients"
        self._say(phase, fault)
        return not fault

    def _say(self, phase: str, fault: str) -> None:
        if fault in (DROP, LOST):
            self.transport.abort()
        elif fault == HANG:
            self.is_silent = True
        elif fault:
            self.transport.write(fault.encode() + b"\r\n")
            if fault.startswith(("421", "554 go")):
                self.transport.close()
        else:
            self.transport.write(REPLIES.get(phase, b"500 what?\r\n"))


def draw_with(seed: str) -> Draw:
    if not seed:
        return lambda _phase: ""
    dice = random.Random(seed)

    def draw(phase: str) -> str:
        if phase == "HANG":
            return HANG if dice.random() < 0.1 else ""
        is_due = phase in FAULTS and dice.random() < 0.02
        return dice.choice(FAULTS[phase]) if is_due else ""

    return draw


async def main(path: str, seed: str) -> None:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    draw = draw_with(seed)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Session(log, draw), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    # Ends with whoever started it: then there is nothing more to read.
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""))
