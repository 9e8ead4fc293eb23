"""A server that takes what WeCom's group robots take, and misbehaves on command."""

import json
import socket
import ssl
import time
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.servers import HANG, Server

DROP = "drop"
"""Takes the post and closes the line without a word."""
DROP_UNREAD = "drop unread"
"""Closes the line as soon as the request begins to come in."""

LONGEST = {"markdown": 4096, "text": 2048}
OK = {"errcode": 0, "errmsg": "ok"}
NO_ROBOT = {"errcode": 93000, "errmsg": "invalid webhook url, hint: [1729], from ip: 10.0.0.1"}
TOO_FAST = {"errcode": 45009, "errmsg": "api freq out of limit"}


@dataclass(frozen=True)
class Post:
    key: str
    kind: str
    content: str


class RobotServer(Server):
    """Keeps in `posts` what it put into a group. `script` has the answers to the first requests,
    one each: what to answer as JSON, an HTTP status, raw bytes, DROP, DROP_UNREAD or HANG; None
    and all later ones are answered as WeCom would.

    `keys` are the robots that exist; None: any. `per_minute` posts are taken from each.
    """

    def __init__(
        self,
        *script: Any,
        keys: set[str] | None = None,
        per_minute: int | None = None,
        delay: float = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(tls)
        self.script = list(script)
        self.keys = keys
        self.per_minute = per_minute
        self.delay = delay
        self.posts: list[Post] = []
        self.requests = 0
        self._taken: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def new_minute(self) -> None:
        self._taken.clear()

    def next_answer(self) -> Any:
        with self._lock:
            self.requests += 1
            return self.script.pop(0) if self.script else None

    def take(self, path: str, body: bytes) -> dict[str, Any]:
        """What WeCom would answer; a post that it accepts is kept."""
        address = urlsplit(path)
        key = parse_qs(address.query).get("key", [""])[0]
        if address.path != "/cgi-bin/webhook/send" or not self._knows(key):
            return NO_ROBOT
        message = json.loads(body)
        kind = message["msgtype"]
        content = message[kind]["content"]
        if not content.strip():
            return {"errcode": 44004, "errmsg": "empty content"}
        if len(content.encode()) > LONGEST[kind]:
            return {"errcode": 40058, "errmsg": f"{kind}.content exceed max length"}
        with self._lock:
            if self.per_minute is not None and self._taken[key] >= self.per_minute:
                return TOO_FAST
            self._taken[key] += 1
            self.posts.append(Post(key, kind, content))
        return OK

    def _knows(self, key: str) -> bool:
        return bool(key) and (self.keys is None or key in self.keys)

    def serve(self, connection: socket.socket) -> None:
        self._handler()(connection, connection.getpeername(), None)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.close_connection = True
                scripted = server.next_answer()
                if scripted == DROP_UNREAD:
                    return
                body = self.rfile.read(int(self.headers["Content-Length"]))
                time.sleep(server.delay)
                if scripted is None or scripted in (DROP, HANG):
                    answer = server.take(self.path, body)
                else:
                    answer = scripted
                if scripted == HANG:
                    server.hang()
                if scripted not in (DROP, HANG):
                    self._answer(answer)

            def _answer(self, answer: Any) -> None:
                status = answer if isinstance(answer, int) else 200
                raw = b"" if isinstance(answer, int) else answer
                self.send_response(status)
                if status // 100 == 3:
                    self.send_header("Location", f"{server.url}{self.path}")
                self.end_headers()
                self.wfile.write(raw if isinstance(raw, bytes) else json.dumps(raw).encode())

            def log_message(self, *_arguments: object) -> None:
                pass

        return Handler
