"""The bound: what a row for each message and two commits cost by themselves.

Takes the letters that Outreach has queued, in claims and windows of the same size, and does only
what the promises cannot do without: claim, commit; mark a window as `sending`, commit; put each
letter together and hand it over; write what became of it with the next window. The statements are
written by hand. No gate, rates, waves or switch, nothing that follows from a letter, no SQLAlchemy,
no Celery, no care for any fault: a sender that keeps the promises in Python is slower than this.
"""

import json
import multiprocessing
import secrets
import socket
import sqlite3
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
from sqlalchemy import URL

from outreach.messages.channels import Outgoing, mime
from outreach.messages.outbox import CLAIM_SIZE, WINDOW
from outreach.messages.rendering import render_html

SENDER = "office@charity.example"
LETTER = "id, resend_no, address, recipient_name, subject, body_text, calendar, reply_to"
CLAIM = """
    UPDATE message SET token = :token, lease_until = :now, attempts = attempts + 1
    WHERE id IN (
        SELECT id FROM message WHERE status = 'queued' AND token IS NULL AND next_at <= :now
        ORDER BY next_at, id LIMIT :limit {skipping}
    ) RETURNING id"""
BEGIN = f"""
    UPDATE message SET status = 'sending', lease_until = :now, status_at = :now
    WHERE id IN ({{ids}}) AND token = :token AND status = 'queued' RETURNING {LETTER}"""
DONE = """
    UPDATE message SET status = 'sent', token = NULL, lease_until = NULL, sent_at = :now,
        status_at = :now, provider_id = 'accepted'
    WHERE id IN ({ids}) AND token = :token AND status = 'sending'"""

Run = Callable[..., list[Any]]
"""Runs a statement with these parameters; returns its rows."""


def time_bare(database: URL, port: int, processes: int) -> float:
    """Seconds in which as many processes send all that is queued."""
    ready = multiprocessing.Barrier(processes + 1)
    senders = [
        multiprocessing.Process(target=_send_all, args=(database, port, ready))
        for _ in range(processes)
    ]
    for sender in senders:
        sender.start()
    ready.wait()
    began = time.perf_counter()
    for sender in senders:
        sender.join()
        if sender.exitcode:
            raise SystemExit("a bare sender failed")
    return time.perf_counter() - began


def _send_all(database: URL, port: int, ready: Any) -> None:
    is_sqlite = database.get_backend_name() == "sqlite"
    run, commit = (_open_sqlite if is_sqlite else _open_postgresql)(database)
    line = socket.create_connection(("127.0.0.1", port))
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line.recv(4096)
    line.sendall(b"EHLO bench\r\n")
    line.recv(4096)
    ready.wait()
    token, now = secrets.token_hex(16), datetime.now(UTC)
    while True:
        ids = sorted(row[0] for row in run(CLAIM, token=token, now=now, limit=CLAIM_SIZE))
        commit()
        if not ids:
            return
        sent: list[int] = []
        for start in range(0, len(ids), WINDOW):
            run(DONE, ids=sent, token=token, now=now)
            rows = run(BEGIN, ids=ids[start : start + WINDOW], token=token, now=now)
            commit()
            sent = [_send(line, _letter(row, now)) for row in rows]
        run(DONE, ids=sent, token=token, now=now)
        commit()


def _letter(row: Any, now: datetime) -> Outgoing:
    *head, text, calendar, reply_to = row
    return Outgoing(*head, text, render_html(text), calendar, reply_to, at=now)


def _send(line: socket.socket, message: Outgoing) -> int:
    content = mime.build(message, sender_name="", sender=SENDER)
    line.sendall(f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<{message.address}>\r\nDATA\r\n".encode())
    _expect(line, b"354", lines=3)
    line.sendall(content + b".\r\n")
    _expect(line, b"250", lines=1)
    return message.id


def _expect(line: socket.socket, code: bytes, *, lines: int) -> None:
    answer = b""
    while answer.count(b"\n") < lines:
        answer += line.recv(4096)
    if not answer.splitlines()[-1].startswith(code):
        raise SystemExit(f"smtp-sink said {answer!r}")


def _open_postgresql(database: URL) -> tuple[Run, Callable[[], None]]:
    connection = psycopg.connect(database.set(drivername="postgresql").render_as_string())
    cursor = connection.cursor()

    def run(statement: str, **parameters: Any) -> list[Any]:
        names = {name: f"%({name})s" for name in parameters}
        text = statement.replace("{skipping}", "FOR UPDATE SKIP LOCKED")
        text = text.replace("IN ({ids})", f"= ANY({names.get('ids')})")
        for name, placeholder in names.items():
            text = text.replace(f":{name}", placeholder)
        cursor.execute(text, parameters)
        return cursor.fetchall() if cursor.description else []

    return run, connection.commit


def _open_sqlite(database: URL) -> tuple[Run, Callable[[], None]]:
    connection = sqlite3.connect(database.database or "", isolation_level=None, timeout=30)
    connection.execute("PRAGMA synchronous = FULL")

    def run(statement: str, *, now: datetime, ids: Sequence[int] = (), **parameters: Any) -> Any:
        if not connection.in_transaction:
            connection.execute("BEGIN IMMEDIATE")
        text = statement.replace("{skipping}", "")
        text = text.replace("{ids}", "SELECT value FROM json_each(:ids)")
        at = now.strftime("%Y-%m-%d %H:%M:%S.%f")
        return connection.execute(
            text, {"now": at, "ids": json.dumps(list(ids))} | parameters
        ).fetchall()

    def commit() -> None:
        connection.execute("COMMIT")

    return run, commit
