"""One exchange with a provider over HTTP, and what is known when it fails.

A provider that takes a request and loses the answer looks like one that never got it. What tells
them apart is whether the first byte of the request was written: from there on silence proves
nothing. Nothing is ever sent a second time here.
"""

import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool

from outreach.messages.channels import Outcome, misconfigured, retry, unknown

CONNECT_TIMEOUT = 5.0
"""Seconds until the provider has taken the connection."""
TOO_MANY_REQUESTS = 429
LONGEST_ANSWER = 160

_LONG_NUMBER = re.compile(r"\d{5,}")

Judge = Callable[[str], Outcome]
"""What an error of the provider means: one of the functions of `channels`."""


class Failed(Exception):
    """No answer that could be read; `outcome` is what that means for a message being sent."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.answer)
        self.outcome = outcome


@dataclass(frozen=True)
class Line:
    """Connections to one provider for one window: none is kept so long that the provider closes
    it just as the next request is written."""

    read_timeout: float
    """In seconds; well below the time after which a worker's messages are taken from it."""
    session: requests.Session
    wire: "_Wire"

    @classmethod
    def open(cls, read_timeout: float) -> Self:
        session, wire = requests.Session(), _Wire(max_retries=0)
        # Neither a .netrc nor a proxy of the machine has a say in how a request is signed.
        session.trust_env = False
        session.mount("https://", wire)
        session.mount("http://", wire)
        return cls(read_timeout, session, wire)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.session.close()

    def exchange(self, request: requests.Request) -> dict[str, Any]:
        """The answer, a JSON object; Failed when there is none. It may tell of an error."""
        self.wire.is_begun = False
        try:
            response = self.session.send(
                self.session.prepare_request(request),
                timeout=(CONNECT_TIMEOUT, self.read_timeout),
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise Failed(_classify(error, is_begun=self.wire.is_begun)) from None
        return _read(response)


class _Wire(HTTPAdapter):
    """Notes when a request begins to be written."""

    is_begun = False

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {
            "http": self._watch(HTTPConnectionPool),
            "https": self._watch(HTTPSConnectionPool),
        }

    def _watch(self, pool: Any) -> Any:
        wire = self

        class Connection(pool.ConnectionCls):
            def send(self, data: Any) -> None:
                if self.sock is None:
                    self.connect()
                wire.is_begun = True
                super().send(data)

        return type(pool.__name__, (pool,), {"ConnectionCls": Connection})


def judge(judges: Mapping[str, Judge], code: str, message: str) -> Outcome:
    """What the provider's error means. «A.B.C» is looked up as such, then as «A.B», then as «A»;
    an error that nobody has heard of proves nothing."""
    name = code
    while name and name not in judges:
        name = name.rpartition(".")[0]
    return judges.get(name, unknown)(plain(f"{code}: {message}"))


def plain(text: str) -> str:
    """A provider's words as they may be kept and shown: short, in one line, without any number
    that could be a telephone's."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(_LONG_NUMBER.sub("…", printable).split())[:LONGEST_ANSWER]


def _classify(error: requests.RequestException, *, is_begun: bool) -> Outcome:
    name = type(error).__name__
    if is_begun:
        return unknown(f"no answer after the request was written: {name}")
    if _is_about_certificate(error):
        return misconfigured(f"certificate not trusted: {name}")
    return retry(f"no connection: {name}")


def _is_about_certificate(error: BaseException | None) -> bool:
    """requests wraps what urllib3 wraps."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        wrapped = [cause for cause in error.args if isinstance(cause, BaseException)]
        error = getattr(error, "reason", None) or (wrapped[0] if wrapped else None)
        error = error if isinstance(error, BaseException) else None
    return False


def _read(response: requests.Response) -> dict[str, Any]:
    status = response.status_code
    if status == TOO_MANY_REQUESTS:
        raise Failed(retry(f"HTTP {status}"))
    if status >= 500:
        raise Failed(unknown(f"HTTP {status}"))
    try:
        body = response.json()
    except (ValueError, RecursionError):
        raise Failed(unknown(f"answer not understood, HTTP {status}")) from None
    if not isinstance(body, dict):
        raise Failed(unknown(f"answer not understood, HTTP {status}"))
    return body
