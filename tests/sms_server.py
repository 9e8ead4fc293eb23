"""A server that speaks the protocols of both SMS providers, checks signatures by itself, and
misbehaves on command."""

import hashlib
import hmac
import json
import re
import socket
import ssl
from collections import deque
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.servers import HANG, Server, patience

KEY_ID, KEY_SECRET, APP_ID = "test-key", "test-secret", "1400006666"

Answer = tuple[int, bytes]


@dataclass(frozen=True)
class Call:
    action: str
    parameters: dict[str, Any]


class Misbehaviour:
    """What the server does instead of answering well."""

    def __init__(self, *, reads: bool = True, answer: Answer | None = None, hangs: bool = False):
        self.reads = reads
        """Whether the request is read and taken first."""
        self.answer = answer
        """None: the connection is closed without a word, unless the server hangs."""
        self.hangs = hangs


CLOSES_BEFORE_READING = Misbehaviour(reads=False)
CLOSES_AFTER_READING = Misbehaviour()
HANGS = Misbehaviour(hangs=True)


def says(status: int, body: bytes | dict[str, Any]) -> Misbehaviour:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Misbehaviour(answer=(status, content))


class SmsServer(Server):
    """Takes text messages into `calls`. Each misbehaviour of `script` is for one request; after
    the last, all is well. `fates` are what questions about messages are answered with: our number
    → (number of the telephone, what the provider says of it)."""

    def __init__(self, *script: Misbehaviour, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.script = deque(script)
        self.calls: list[Call] = []
        self.refused: list[str] = []
        """Why signatures were not taken."""
        self.fates: dict[str, Any] = {}
        self._nonces: set[str] = set()
        self.host = f"127.0.0.1:{self.port}"
        self.endpoint = f"http://{self.host}"
        self.patience = patience(*(HANG for misbehaviour in script if misbehaviour.hangs))

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [call.parameters for call in self.calls if call.action == "SendSms"]

    def serve(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as file:
            while self._serve_one(connection, file):
                pass

    def _serve_one(self, connection: socket.socket, file: Any) -> bool:
        with self._lock:
            misbehaviour = self.script[0] if self.script else None
        if misbehaviour is not None and not misbehaviour.reads:
            with self._lock:
                self.script.popleft()
            return False
        request = _read_request(file)
        if request is None:
            return False
        with self._lock:
            status, content = self._take(*request)
            if misbehaviour is not None:
                self.script.popleft()
        if misbehaviour is not None:
            if misbehaviour.hangs:
                self.hang()
                return False
            if misbehaviour.answer is None:
                return False
            status, content = misbehaviour.answer
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\n\r\n"
        connection.sendall(head.encode() + content)
        return True

    def _take(self, target: str, headers: dict[str, str], content: bytes) -> Answer:
        if "x-acs-action" in headers:
            return self._take_aliyun(target, headers)
        return self._take_tencent(headers, content)

    # Aliyun

    def _take_aliyun(self, target: str, headers: dict[str, str]) -> Answer:
        problem = self._check_aliyun(target, headers)
        if problem:
            self.refused.append(problem)
            return _json(400, {"Code": "SignatureDoesNotMatch", "Message": problem})
        action = headers["x-acs-action"]
        parameters = dict(parse_qsl(urlsplit(target).query, keep_blank_values=True))
        self.calls.append(Call(action, parameters))
        if action == "SendSms":
            return _json(200, {"Code": "OK", "Message": "OK", "BizId": f"{len(self.calls)}^0"})
        details = [
            {"PhoneNum": phone, "OutId": number, "SendStatus": status, "ErrCode": "DELIVERED"}
            for number, (phone, status) in self.fates.items()
            if phone == parameters["PhoneNumber"]
        ]
        return _json(200, {"Code": "OK", "SmsSendDetailDTOs": {"SmsSendDetailDTO": details}})

    def _check_aliyun(self, target: str, headers: dict[str, str]) -> str:
        given = re.fullmatch(
            r"ACS3-HMAC-SHA256 Credential=(.*),SignedHeaders=(.*),Signature=(.*)",
            headers["authorization"],
        )
        if given is None or given[1] != KEY_ID:
            return "credential"
        nonce = headers["x-acs-signature-nonce"]
        if nonce in self._nonces:
            return "nonce"
        self._nonces.add(nonce)
        if headers["host"] != self.host or headers["x-acs-version"] != "2017-05-25":
            return "host"
        names = given[2].split(";")
        signed = "".join(f"{name}:{headers[name]}\n" for name in names)
        query = urlsplit(target).query
        canonical = f"POST\n/\n{query}\n{signed}\n{given[2]}\n{hashlib.sha256(b'').hexdigest()}"
        expected = _hmac(KEY_SECRET.encode(), f"ACS3-HMAC-SHA256\n{_sha(canonical.encode())}")
        is_sorted = query.split("&") == sorted(query.split("&"))
        return "" if expected.hex() == given[3] and is_sorted else "signature"

    # Tencent Cloud

    def _take_tencent(self, headers: dict[str, str], content: bytes) -> Answer:
        problem = self._check_tencent(headers, content)
        if problem:
            self.refused.append(problem)
            error = {"Code": "AuthFailure.SignatureFailure", "Message": problem}
            return _json(200, {"Response": {"Error": error}})
        action, parameters = headers["x-tc-action"], json.loads(content)
        self.calls.append(Call(action, parameters))
        if action == "SendSms":
            status = {
                "SerialNo": f"5000:{len(self.calls)}",
                "PhoneNumber": parameters["PhoneNumberSet"][0],
                "Fee": 1,
                "SessionContext": parameters["SessionContext"],
                "Code": "Ok",
                "Message": "send success",
            }
            return _json(200, {"Response": {"SendStatusSet": [status]}})
        details = [
            {"PhoneNumber": phone, "SessionContext": number, "ReportStatus": status}
            for number, (phone, status) in self.fates.items()
            if phone == parameters["PhoneNumber"]
        ]
        return _json(200, {"Response": {"PullSmsSendStatusSet": details}})

    def _check_tencent(self, headers: dict[str, str], content: bytes) -> str:
        given = re.fullmatch(
            r"TC3-HMAC-SHA256 Credential=(.*?)/(.*), SignedHeaders=content-type;host,"
            r" Signature=(.*)",
            headers["authorization"],
        )
        if given is None or given[1] != KEY_ID:
            return "credential"
        if headers["x-tc-version"] != "2021-01-11" or headers["x-tc-region"] != "ap-guangzhou":
            return "version"
        day, service, _end = given[2].split("/")
        canonical = (
            f"POST\n/\n\ncontent-type:{headers['content-type']}\nhost:{self.host}\n\n"
            f"content-type;host\n{_sha(content)}"
        )
        text = (
            f"TC3-HMAC-SHA256\n{headers['x-tc-timestamp']}\n{given[2]}\n{_sha(canonical.encode())}"
        )
        key = _hmac(_hmac(_hmac(f"TC3{KEY_SECRET}".encode(), day), service), "tc3_request")
        return "" if _hmac(key, text).hex() == given[3] and service == "sms" else "signature"


def _read_request(file: Any) -> tuple[str, dict[str, str], bytes] | None:
    line = file.readline().decode("latin-1")
    if not line.endswith("HTTP/1.1\r\n"):
        return None
    headers = {}
    while header := file.readline().decode("latin-1").strip():
        name, _colon, value = header.partition(":")
        headers[name.lower()] = value.strip()
    content = file.read(int(headers.get("content-length", 0)))
    return line.split(" ")[1], headers, content


def _json(status: int, body: dict[str, Any]) -> Answer:
    return status, json.dumps(body).encode()


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
