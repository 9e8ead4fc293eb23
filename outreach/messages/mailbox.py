"""The mailbox that mail servers write back to, read over IMAP.

Nothing here touches the database, and whoever reads holds no transaction open meanwhile: what was
handed out is marked as seen when more is asked for, that is, after the commit. A crash in between
has it read again, which does no harm."""

import imaplib
import logging
import ssl
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import imap_tools
from flask import current_app
from flask_babel import lazy_gettext as _

from outreach.errors import OutreachError

log = logging.getLogger(__name__)

BATCH = 50
"""Mails that are handed out together."""
MOST_MAILS = 500
"""In one go; the rest waits for the next."""
MOST_OCTETS = 256 * 1024
"""Of one mail that are read: what servers say comes before the message that they return."""
MOST_TROUBLE = 3
"""Mails on which the line may break before the server is left alone."""

_TROUBLE = (OSError, UnicodeError, imaplib.IMAP4.error, imap_tools.ImapToolsError)


class MailboxUnavailable(OutreachError):
    """The server cannot be reached, or does not let us in."""


@dataclass(frozen=True)
class Account:
    server: str
    port: int
    username: str
    password: str
    folder: str
    use_tls: bool
    timeout: float
    """Seconds to wait for each answer."""


def find_account() -> Account | None:
    """The account that the settings name; None when they name none."""
    settings: Any = current_app.extensions["outreach.settings"]
    if not settings.bounce_server:
        return None
    return Account(
        server=settings.bounce_server,
        port=settings.bounce_port,
        username=settings.bounce_username,
        password=settings.bounce_password,
        folder=settings.bounce_folder,
        use_tls=settings.bounce_use_tls,
        timeout=settings.mail_timeout,
    )


class Mailbox:
    """One visit to the mailbox."""

    def __init__(self, account: Account) -> None:
        self.failed = 0
        """Mails that could not be read. They stay unseen and are tried again at the next visit."""
        self._account = account
        self._box: imap_tools.BaseMailBox | None = None

    def unread(self) -> Generator[list[bytes], None, None]:
        """Mails that nobody has seen, oldest first, cut off at MOST_OCTETS; MailboxUnavailable
        when the server does not answer any more."""
        try:
            uids = self._search()[:MOST_MAILS]
            for start in range(0, len(uids), BATCH):
                mails = {uid: self._fetch(uid) for uid in uids[start : start + BATCH]}
                read = {uid: data for uid, data in mails.items() if data is not None}
                if read:
                    yield list(read.values())
                    self._mark(list(read))
        except _TROUBLE as error:
            raise MailboxUnavailable(_describe(error, self._account)) from error
        finally:
            self._close()

    def _search(self) -> list[str]:
        # Some servers know no CHARSET.
        return self._open().uids("UNSEEN", charset=None)

    def _fetch(self, uid: str) -> bytes | None:
        """None when the mail is gone, or cannot be read: one that breaks the line, or that the
        server fails over, must not keep us from those behind it."""
        try:
            status, answer = self._open().client.uid(
                "FETCH", uid, f"(BODY.PEEK[]<0.{MOST_OCTETS}>)"
            )
        except _TROUBLE as error:
            self.failed += 1
            if self.failed > MOST_TROUBLE:
                raise
            log.warning("line to the mailbox broke, trying the next mail: %s", type(error).__name__)
            self._close()
            return None
        if status != "OK":
            self.failed += 1
            return None
        return next((bytes(part[1]) for part in answer if isinstance(part, tuple)), None)

    def _mark(self, uids: list[str]) -> None:
        # Not `flag()`, which removes for good what people in this mailbox have marked as deleted.
        self._open().client.uid("STORE", ",".join(uids), "+FLAGS", r"(\Seen)")

    def _open(self) -> imap_tools.BaseMailBox:
        if self._box is None:
            self._box = _connect(self._account)
            self._box.login(self._account.username, self._account.password, initial_folder=None)
            if "ID" in self._box.client.capabilities:
                # 163 and 126 let nobody into a folder who does not say who is there (RFC 2971).
                self._box.client.xatom("ID", '("name" "outreach")')
            self._box.folder.set(self._account.folder)
        return self._box

    def _close(self) -> None:
        if self._box is not None:
            with suppress(*_TROUBLE):
                self._box.logout()
            self._box = None


def _connect(account: Account) -> imap_tools.BaseMailBox:
    if account.use_tls:
        return imap_tools.MailBox(
            account.server,
            account.port,
            timeout=account.timeout,
            ssl_context=ssl.create_default_context(),
        )
    return imap_tools.MailBoxUnencrypted(account.server, account.port, timeout=account.timeout)


def _describe(error: Exception, account: Account) -> str:
    if isinstance(error, imap_tools.MailboxLoginError | UnicodeError):
        return _("退信邮箱拒绝登录。请检查用户名和密码；有的邮箱要用客户端授权码作密码。")
    if isinstance(error, imap_tools.MailboxFolderSelectError):
        return _("退信邮箱里打不开文件夹“%(folder)s”。请检查设置。", folder=account.folder)
    if isinstance(error, ssl.SSLCertVerificationError):
        return _("退信邮箱的服务器证书不可信，没有登录。")
    name = type(error).__name__
    return _("退信邮箱暂时连不上，下次再试（%(error)s）。", error=name)
