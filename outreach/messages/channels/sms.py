"""Text messages. The simulator stands for a provider: same answers, nothing leaves the machine."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from outreach.messages.channels import Outcome, Outgoing, accepted, rejected, retry, unknown
from outreach.messages.rendering import segments

REJECTED_NUMBER = "+8613800000001"
UNKNOWN_NUMBER = "+8613800000002"
BUSY_NUMBER = "+8613800000003"

_SIGNATURE = re.compile(r"【[^】]*】")


class SmsSimulator:
    """Appends what it takes to a file of JSON lines. Three numbers make it answer as a provider
    does on a bad day."""

    def __init__(self, path: Path, signature: str) -> None:
        self._path = path
        self._signature = f"【{signature}】"

    @contextmanager
    def open(self) -> Iterator["SmsSimulator"]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        yield self

    def deliver(self, messages: Sequence[Outgoing]) -> Iterator[Outcome]:
        for message in messages:
            yield self._deliver(message)

    def _deliver(self, message: Outgoing) -> Outcome:
        text = message.body_text.removeprefix(self._signature)
        if _SIGNATURE.match(text):
            return rejected("signature is not ours")
        if message.address == REJECTED_NUMBER:
            return rejected("number out of service")
        if message.address == BUSY_NUMBER:
            return retry("flow control")
        out_id = f"{message.id}.{message.resend_no}"
        line = {
            "out_id": out_id,
            "to": message.address,
            "text": self._signature + text,
            "segments": segments(text, self._signature),
        }
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
        if message.address == UNKNOWN_NUMBER:
            return unknown("timeout after the request was written")
        return accepted(out_id)
