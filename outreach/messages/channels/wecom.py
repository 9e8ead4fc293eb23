"""Groups of WeCom (企业微信), through the robot of each group.

The address of a robot holds its key, and whoever has the key can write to the group. So messages
name a robot by its row, the key is looked up for each window, and it is in nothing that this
module says. http.client keeps apart what the outcome rests on: before the request is written
nothing can have been accepted, afterwards only an answer proves anything. It also never prints an
address, as libraries above it do in errors and logs.
"""

import http.client
import json
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import quote, urlsplit

from outreach.messages.channels import (
    Outcome,
    Outgoing,
    Verdict,
    accepted,
    misconfigured,
    rejected,
    retry,
    unknown,
)

PROVIDER = "https://qyapi.weixin.qq.com"
PATH = "/cgi-bin/webhook/send"
LONGEST = 4096
"""Bytes of UTF-8 in one post of type markdown."""
MOST_PARTS = 10
"""Posts that one message may take; a longer one is no message for a group."""
CONNECT_TIMEOUT = 10.0
ANSWER_TIMEOUT = 30.0
"""Seconds; ten posts that all take that long end before the lease of 660 s does."""
LARGEST_ANSWER = 65_536

TOO_FAST = 45009
NO_ROBOT = frozenset({93000, 93004, 93008})
"""The key is not valid (any more), or the robot was switched off or has left the group."""
BUSY = -1
"""«System busy»: WeCom does not say whether it took the post."""

ReadKeys = Callable[[], Mapping[str, str]]
"""Keys of the robots that may be written to, by address («robot:12»)."""


class GroupRobots:
    def __init__(
        self,
        endpoint: str,
        read_keys: ReadKeys,
        *,
        timeout: float = ANSWER_TIMEOUT,
    ) -> None:
        """`endpoint`: scheme, host and what comes before `/cgi-bin`; empty: WeCom's own."""
        self._endpoint = urlsplit(endpoint or PROVIDER)
        self._read_keys = read_keys
        self._timeout = timeout

    @contextmanager
    def open(self) -> Iterator["GroupRobots"]:
        yield self

    def deliver(self, messages: Sequence[Outgoing]) -> Iterator[Outcome]:
        # Now and not when the first outcome is asked for: a read that fails has sent nothing.
        keys = self._read_keys()
        return (self._deliver(message, keys.get(message.address, "")) for message in messages)

    def _deliver(self, message: Outgoing, key: str) -> Outcome:
        if not key:
            return rejected("群机器人已停用或已删除")
        parts = split(message.body_text)
        if len(parts) > MOST_PARTS:
            return rejected(f"消息过长，分成了 {len(parts)} 段")
        for number, part in enumerate(parts):
            outcome = self._post(part, key)
            if outcome.verdict is not Verdict.ACCEPTED:
                return _after(number, len(parts), outcome)
        return accepted()

    def _post(self, content: str, key: str) -> Outcome:
        """One post over a line of its own: one that is kept open may be closed at the other end
        just when the next post is written, and then nobody knows."""
        body = json.dumps({"msgtype": "markdown", "markdown": {"content": content}}).encode()
        path = f"{self._endpoint.path.rstrip('/')}{PATH}?key={quote(key, safe='')}"
        headers = {"Content-Type": "application/json", "Connection": "close"}
        with closing(self._connection()) as connection:
            try:
                connection.connect()
            except ssl.SSLCertVerificationError:
                return misconfigured("服务器的证书不受信任")
            except OSError as error:
                return retry(f"连接不上：{type(error).__name__}")
            connection.sock.settimeout(self._timeout)
            try:
                connection.request("POST", path, body, headers)
                answer = connection.getresponse()
                text = answer.read(LARGEST_ANSWER)
            except (OSError, http.client.HTTPException) as error:
                return unknown(f"提交后没有等到答复：{type(error).__name__}")
        return _read(answer.status, text, key)

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._endpoint.hostname or "", self._endpoint.port
        is_plain = self._endpoint.scheme == "http"
        kind = http.client.HTTPConnection if is_plain else http.client.HTTPSConnection
        return kind(host, port, timeout=CONNECT_TIMEOUT)


def split(text: str, limit: int = LONGEST) -> list[str]:
    """Parts of at most `limit` bytes in UTF-8, cut at line breaks, which are left out at the
    seams; a line that is too long by itself is cut between two characters. `limit` is at least 4,
    the bytes of the longest character."""
    parts: list[str] = []
    rest = text.encode().strip(b"\n")
    while len(rest) > limit:
        end = rest.rfind(b"\n", 0, limit + 1)
        if end < 0:
            end = limit
            while rest[end] & 0xC0 == 0x80:  # in the middle of a character
                end -= 1
        parts.append(rest[:end].rstrip(b"\n").decode())
        rest = rest[end:].lstrip(b"\n")
    return [*parts, rest.decode()]


def _after(sent: int, count: int, outcome: Outcome) -> Outcome:
    """The outcome of a message of which `sent` posts are in the group. Once one is, neither
    sending all again nor calling it refused is right: a person looks at the group."""
    if not sent:
        return outcome
    return unknown(f"共 {count} 段，前 {sent} 段已发出，第 {sent + 1} 段没有：{outcome.answer}")


def _read(status: int, text: bytes, key: str) -> Outcome:
    if status == http.HTTPStatus.TOO_MANY_REQUESTS:
        return retry(f"HTTP {status}")
    if 300 <= status < 500:
        return misconfigured(f"HTTP {status}")
    if status // 100 != 2:
        return unknown(f"HTTP {status}")
    try:
        answer = json.loads(text)
        code, words = answer["errcode"], answer.get("errmsg", "")
    except (ValueError, TypeError, KeyError, AttributeError):
        code, words = None, ""
    if not isinstance(code, int):
        return unknown("答复无法识别")
    return _classify(code, f"{code} {words}".replace(key, "…")[:160])


def _classify(code: int, words: str) -> Outcome:
    verdicts: dict[int, Any] = {0: lambda _words: accepted(), TOO_FAST: retry, BUSY: unknown}
    if code in NO_ROBOT:
        return misconfigured(f"密钥已失效，或机器人已被移出群。请更换密钥（{words}）")
    return verdicts.get(code, rejected)(words)
