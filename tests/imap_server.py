"""A small IMAP4rev1 server for tests, on a socket: enough of RFC 3501 that a real client talks to
it, and faults on command."""

import re
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.servers import HANG, Server

DROP = "drop"
"""Closes the connection in the middle of the answer."""
GARBAGE = "garbage"
"""Answers with what is no IMAP at all."""

CAPABILITIES = "IMAP4rev1 LITERAL+ UIDPLUS MOVE"


@dataclass
class Mail:
    uid: int
    data: bytes
    flags: set[str] = field(default_factory=set)


class ImapServer(Server):
    """One account with folders. `script` replaces the answer of a command («LOGIN», «FETCH», or
    «FETCH 3» for the mail with that UID): a status line without its tag, DROP, HANG or GARBAGE; for
    the first `times` times that it comes up."""

    def __init__(
        self,
        script: Mapping[str, str] | None = None,
        *,
        times: int = 1_000_000,
        tls: ssl.SSLContext | None = None,
        capabilities: str = CAPABILITIES,
        needs_id: bool = False,
    ) -> None:
        super().__init__(tls)
        self.script = dict(script or {})
        self.times = times
        self.capabilities = capabilities
        self.needs_id = needs_id
        self.username, self.password = "bounce@charity.example", "a secret"
        self.folders: dict[str, list[Mail]] = {"INBOX": [], "Archive": []}
        self.commands: list[str] = []
        """Those that were given, without their tags, and LOGIN without its arguments."""
        self.sent_octets = 0
        self.on_command: Callable[[str], None] = lambda _command: None
        self._uids = iter(range(1, 1_000_000))

    def serve(self, connection: socket.socket) -> None:
        _Session(self, connection).run()

    def put(self, data: bytes, folder: str = "INBOX") -> Mail:
        mail = Mail(next(self._uids), data)
        self.folders[folder].append(mail)
        return mail

    def unseen(self) -> list[int]:
        return [mail.uid for mail in self.folders["INBOX"] if r"\Seen" not in mail.flags]

    def count(self, verb: str) -> int:
        return sum(command.startswith(verb) for command in self.commands)

    def answer_instead(self, *names: str) -> str:
        with self._lock:
            for name in names:
                if name in self.script and self.times > 0:
                    self.times -= 1
                    return self.script[name]
        return ""


class _Over(Exception):
    """The session has ended."""


class _Session:
    def __init__(self, server: ImapServer, connection: socket.socket) -> None:
        self.server = server
        self.connection = connection
        self.file = connection.makefile("rb")
        self.is_signed_in = self.is_known = False
        self.folder: list[Mail] | None = None

    def run(self) -> None:
        try:
            self._say(f"* OK [CAPABILITY {self.server.capabilities}] ready")
            while command := self._read_command():
                self._handle(*command)
        except _Over:
            return

    def _read_command(self) -> tuple[str, str] | None:
        """Tag and command, with literals put in as quoted strings."""
        text = ""
        while line := self.file.readline():
            text += line.decode("utf-8", "replace").rstrip("\r\n")
            literal = re.search(r"\{(\d+)(\+?)\}$", text)
            if literal is None:
                tag, _space, command = text.partition(" ")
                return tag, command
            if not literal[2]:
                self._say("+ go on")
            content = self.file.read(int(literal[1])).decode("utf-8", "replace")
            text = f'{text[: literal.start()]}"{content}"'
        return None

    def _handle(self, tag: str, command: str) -> None:
        verb, _space, rest = command.partition(" ")
        is_uid = verb.upper() == "UID"
        if is_uid:
            verb, _space, rest = rest.partition(" ")
        verb = verb.upper()
        self.server.commands.append(verb if verb == "LOGIN" else f"{verb} {rest}".strip())
        self.server.on_command(verb)
        instead = self.server.answer_instead(verb, f"{verb} {rest.split(' ')[0]}")
        if instead and not self._misbehave(instead, tag):
            return
        handler = getattr(self, f"_do_{verb.lower()}", None)
        if handler is None:
            self._say(f"{tag} BAD what is {verb}?")
        else:
            self._say(f"{tag} {handler(rest, is_uid)}")
        if verb == "LOGOUT":
            raise _Over

    def _misbehave(self, instead: str, tag: str) -> bool:
        if instead == DROP:
            self.connection.sendall(b"* 1 FETCH (UID 1 BODY[]<0> {5000}\r\nhalf of it")
            raise _Over
        if instead == HANG:
            self.server.hang()
            raise _Over
        if instead == GARBAGE:
            self.connection.sendall(b"\x00\xff\xfe SMTP? HTTP/1.1 400 {x}\r\n" * 3)
            return False
        self._say(f"{tag} {instead}")
        return False

    # Any state

    def _do_capability(self, _rest: str, _is_uid: bool) -> str:
        self._say(f"* CAPABILITY {self.server.capabilities}")
        return "OK done"

    def _do_noop(self, _rest: str, _is_uid: bool) -> str:
        return "OK done"

    def _do_logout(self, _rest: str, _is_uid: bool) -> str:
        self._say("* BYE see you")
        return "OK done"

    def _do_id(self, _rest: str, _is_uid: bool) -> str:
        self.is_known = True
        self._say('* ID ("name" "test")')
        return "OK done"

    def _do_login(self, rest: str, _is_uid: bool) -> str:
        given = [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|(\S+)', rest)]
        if given != [self.server.username, self.server.password]:
            return "NO [AUTHENTICATIONFAILED] no"
        self.is_signed_in = True
        return "OK welcome"

    # Signed in

    def _do_select(self, rest: str, _is_uid: bool) -> str:
        name = rest.strip('"')
        if not self.is_signed_in or name not in self.server.folders:
            return "NO no such folder"
        if self.server.needs_id and not self.is_known:
            return "NO SELECT Unsafe Login. Please contact the help desk"
        self.folder = self.server.folders[name]
        self._say(f"* {len(self.folder)} EXISTS")
        self._say("* OK [UIDVALIDITY 1] fine")
        return "OK [READ-WRITE] done"

    # A folder is selected

    def _do_search(self, rest: str, is_uid: bool) -> str:
        if self.folder is None:
            return "BAD no folder"
        mails = [
            (number, mail)
            for number, mail in enumerate(self.folder, 1)
            if rest == "ALL" or (rest == "UNSEEN" and r"\Seen" not in mail.flags)
        ]
        found = (str(mail.uid if is_uid else number) for number, mail in mails)
        self._say(" ".join(["* SEARCH", *found]))
        return "OK done"

    def _do_fetch(self, rest: str, is_uid: bool) -> str:
        numbers, _space, items = rest.partition(" ")
        partial = re.search(r"BODY(\.PEEK)?\[\](?:<(\d+)\.(\d+)>)?", items)
        for number, mail in self._choose(numbers, is_uid):
            start, size = (int(partial[2] or 0), int(partial[3] or 10**9)) if partial else (0, 0)
            content = mail.data[start : start + size]
            if partial and not partial[1]:
                mail.flags.add(r"\Seen")
            label = f"BODY[]<{start}>" if partial and partial[2] else "BODY[]"
            head = f"* {number} FETCH (UID {mail.uid} FLAGS ({' '.join(mail.flags)})"
            if partial:
                self._say(f"{head} {label} {{{len(content)}}}")
                self.connection.sendall(content)
                self.server.sent_octets += len(content)
                self._say(")")
            else:
                self._say(f"{head})")
        return "OK done"

    def _do_store(self, rest: str, is_uid: bool) -> str:
        numbers, sign, names = re.fullmatch(
            r"(\S+) ([+-]?)FLAGS(?:\.SILENT)? \(?([^)]*)\)?", rest
        ).groups()
        for number, mail in self._choose(numbers, is_uid):
            flags = set(names.split())
            mail.flags = {"+": mail.flags | flags, "-": mail.flags - flags}.get(sign, flags)
            self._say(f"* {number} FETCH (UID {mail.uid} FLAGS ({' '.join(mail.flags)}))")
        return "OK done"

    def _do_expunge(self, _rest: str, _is_uid: bool) -> str:
        self._remove([mail for mail in self.folder or [] if r"\Deleted" in mail.flags])
        return "OK done"

    def _do_move(self, rest: str, is_uid: bool) -> str:
        numbers, name = re.fullmatch(r'(\S+) "?([^"]+)"?', rest).groups()
        moved = [mail for _number, mail in self._choose(numbers, is_uid)]
        self.server.folders[name] += moved
        self._remove(moved)
        return "OK done"

    def _remove(self, mails: list[Mail]) -> None:
        for mail in mails:
            number = self.folder.index(mail) + 1
            self.folder.remove(mail)
            self._say(f"* {number} EXPUNGE")

    def _choose(self, numbers: str, is_uid: bool) -> list[tuple[int, Mail]]:
        wanted: set[int] = set()
        for part in numbers.split(","):
            first, _colon, last = part.partition(":")
            wanted |= set(range(int(first), int(last or first) + 1))
        return [
            (number, mail)
            for number, mail in enumerate(self.folder or [], 1)
            if (mail.uid if is_uid else number) in wanted
        ]

    def _say(self, line: str) -> None:
        self.connection.sendall(f"{line}\r\n".encode())
