"""Where mail servers send back what they cannot deliver: each sending has a return address of its
own. It is signed, so that nobody can report a bounce of a message by guessing its number."""

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import NamedTuple

from outreach.messages.channels import Outgoing

MAC_LENGTH = 16
"""Hexadecimal digits: 64 bits, and short enough for a local part (RFC 5321, 4.5.3.1.1)."""


class Sending(NamedTuple):
    """One of the times that a message was handed over."""

    message_id: int
    resend_no: int


@dataclass(frozen=True)
class ReturnPaths:
    mailbox: str
    """«bounce@charity.example», whose server passes on «bounce+…@» too; empty: bounces come back
    to the sender's own address."""
    secret: str

    def of(self, message: Outgoing) -> str:
        """The envelope sender of the message; empty when there is no mailbox of its own."""
        if not self.mailbox:
            return ""
        local, _at, domain = self.mailbox.partition("@")
        sending = Sending(message.id, message.resend_no)
        return f"{local}+{_number(sending)}.{self._mac(sending)}@{domain}"

    def find(self, text: str) -> tuple[set[Sending], bool]:
        """The sendings whose return address is in the text, and whether there is one that we did
        not sign. Servers may have changed capital letters."""
        signed: set[Sending] = set()
        is_forged = False
        for message_id, resend_no, mac in self._pattern().findall(text) if self.mailbox else ():
            sending = Sending(int(message_id), int(resend_no))
            if hmac.compare_digest(self._mac(sending), mac.lower()):
                signed.add(sending)
            else:
                is_forged = True
        return signed, is_forged

    def _mac(self, sending: Sending) -> str:
        content = f"return-path:{_number(sending)}".encode()
        return hmac.new(self.secret.encode(), content, hashlib.sha256).hexdigest()[:MAC_LENGTH]

    def _pattern(self) -> re.Pattern[str]:
        local, _at, domain = map(re.escape, self.mailbox.partition("@"))
        return re.compile(
            rf"(?<![\w.+-]){local}\+(\d{{1,9}})\.(\d{{1,4}})\.([0-9a-f]{{{MAC_LENGTH}}})@{domain}"
            rf"(?![\w-]|\.\w)",
            re.IGNORECASE | re.ASCII,
        )


def _number(sending: Sending) -> str:
    return f"{sending.message_id}.{sending.resend_no}"
