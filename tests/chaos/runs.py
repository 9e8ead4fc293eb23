"""The trials by name: which fault, on which database, with which workers."""

import json
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import make_url

from outreach.db import db
from outreach.messages import services
from outreach.messages.models import MessageStatus as S
from tests.chaos.scene import (
    ROOT,
    Broker,
    CeleryCrew,
    DurablePostgres,
    ForkedCrew,
    Sink,
    count_statuses,
    environment,
    make_settings,
    make_wave,
    observe,
)
from tests.chaos.trial import Result, Trial, offset_of

PRODUCTION = {
    "mode": "production",
    "secret_key": "0123456789abcdefghijklmnopqrstuvwxyz",
    "public_base_url": "https://outreach.charity.example",
}


def engine_of(url: str) -> str:
    return make_url(url).get_backend_name()


def name_of(url: str) -> str:
    return str(make_url(url).database)


def run_failpoints(url: str, directory: Path, later_passes: int) -> list[Result]:
    """A kill at every step; one result for each."""
    began = time.monotonic()
    with Sink(directory) as sink:
        process = subprocess.run(
            [sys.executable, "-m", "tests.chaos.failpoints", str(sink.log), str(later_passes)],
            cwd=ROOT,
            env=environment(make_settings(url, directory, sink.port)),
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )
    if process.returncode:
        raise AssertionError(process.stderr[-4000:])
    seconds = round((time.monotonic() - began), 1)
    answers = json.loads(process.stdout)
    return [
        Result(
            f"killed {step}, pass {number}",
            engine_of(url),
            30,
            sum("×" in problem for problem in problems),
            sum("×" not in problem for problem in problems),
            unknown,
            round(seconds / len(answers), 1),
            "; ".join(problems),
        )
        for step, number, problems, unknown in answers
    ]


@contextmanager
def forked(
    url: str,
    directory: Path,
    size: int,
    *,
    workers: int = 3,
    seed: str = "",
    log: Path | None = None,
) -> Iterator[Trial]:
    """A trial with forked workers, which share no broker. `log`: where the sink notes its mails,
    when that is not to suffer with the workers."""
    with Sink(log or directory, seed) as sink:
        settings = make_settings(url, directory, sink.port)
        with observe(settings):
            make_wave(size)
            crew = ForkedCrew(settings, workers)
            try:
                yield Trial(sink, crew, size, offset=offset_of(settings))
            finally:
                crew.close()


@contextmanager
def in_production(
    url: str, directory: Path, size: int, broker: Broker, *, workers: int = 2
) -> Iterator[Trial]:
    """A trial with Celery workers, woken over a broker."""
    with Sink(directory) as sink:
        settings = make_settings(
            url, directory, sink.port, redis_url=broker.url, log_level="ERROR", **PRODUCTION
        )
        with observe(settings) as app:
            make_wave(size)
            crew = CeleryCrew(settings, workers)

            def wake() -> None:
                for task in ("deliver",) * workers + ("reap",):
                    app.extensions["outreach.wake"](task)

            try:
                yield Trial(sink, crew, size, wake)
            finally:
                crew.close()


def conclude(trial: Trial, fault: str, url: str, began: float, note: str = "") -> Result:
    return trial.account(fault, engine_of(url), time.monotonic() - began, note)


def run_kills(url: str, directory: Path, size: int, kills: int, workers: int) -> Result:
    began = time.monotonic()
    with forked(url, directory, size, workers=workers) as trial:
        trial.run(trial.crew.kill, kills)
        return conclude(trial, f"{kills} × kill -9 of {workers} workers", url, began)


def run_celery_kills(url: str, directory: Path, size: int, kills: int, workers: int) -> Result:
    began = time.monotonic()
    with Broker() as broker, in_production(url, directory, size, broker, workers=workers) as trial:
        trial.run(trial.crew.kill, kills)
        return conclude(trial, f"{kills} × kill -9 of {workers} Celery workers", url, began)


def run_broker(url: str, directory: Path, size: int) -> Result:
    """The broker is restarted, emptied and full, in turn."""
    began = time.monotonic()
    with Broker() as broker, in_production(url, directory, size, broker) as trial:
        acts: list[Callable[[], None]] = [broker.restart, broker.flush, lambda: broker.fill(3)] * 3

        def disturb() -> None:
            acts.pop(0)()

        trial.run(disturb, len(acts))
        return conclude(trial, "broker restarted, emptied, full", url, began)


def run_postgres(server: DurablePostgres, url: str, directory: Path, size: int) -> Result:
    """The server crashes and comes back, and cuts connections at random between."""
    began = time.monotonic()
    database = name_of(url)
    with forked(url, directory, size) as trial:
        acts = [server.restart, *[lambda: server.cut(database, 0.5)] * 9] * 3

        def disturb() -> None:
            acts.pop(0)()

        trial.run(disturb, len(acts))
        return conclude(trial, "PostgreSQL restarted, connections cut", url, began)


def run_smtp(url: str, directory: Path, size: int, seed: str) -> Result:
    began = time.monotonic()
    with forked(url, directory, size, seed=seed) as trial:
        trial.run(lambda: None, 1)
        return conclude(trial, "SMTP faults at random", url, began, f"seed {seed}")


def run_clocks(url: str, directory: Path, size: int) -> Result:
    """The clocks of all workers jump by two hours, there and back, while workers die."""
    began = time.monotonic()
    with forked(url, directory, size) as trial:

        def disturb() -> None:
            trial.set_clock(random.choice((0, 7200, -7200)))
            trial.crew.kill()

        trial.run(disturb, 12)
        return conclude(trial, "clock ± 2 h", url, began)


def run_disk(url: str, directory: Path, size: int) -> Result:
    """No file may grow for a while: neither the database nor the count beside it."""
    began = time.monotonic()
    with full_disk(directory) as (disk, fill, empty):
        if engine_of(url) == "sqlite":
            path = disk / "outreach.db"
            shutil.copy(url.removeprefix("sqlite:///"), path)
            url = f"sqlite:///{path}"
        with forked(url, disk, size, log=directory) as trial:

            def disturb() -> None:
                fill(trial.crew.pids)
                time.sleep(1.5)
                trial.sink.count()
                empty(trial.crew.pids)

            trial.run(disturb, 5)
            return conclude(trial, "disk full", url, began)


Fill = Callable[[list[int]], None]


@contextmanager
def full_disk(directory: Path) -> Iterator[tuple[Path, Fill, Fill]]:
    """A small file system when we may mount one; else a limit on what the workers may write."""
    disk = directory / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)], check=False
    )
    if mounted.returncode == 0:
        ballast = disk / "ballast"

        def fill(_pids: list[int]) -> None:
            try:
                with ballast.open("wb") as file:
                    while True:
                        file.write(bytes(4096))
                        file.flush()
            except OSError:
                return

        try:
            yield disk, fill, lambda _pids: ballast.unlink(missing_ok=True)
        finally:
            subprocess.run(["umount", "-l", str(disk)], check=True)
        return

    def limit(pids: list[int], size: int) -> None:
        for pid in pids:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    yield disk, lambda pids: limit(pids, 0), lambda pids: limit(pids, resource.RLIM_INFINITY)


def run_restore(
    url: str, directory: Path, size: int, server: DurablePostgres | None = None
) -> Result:
    """A copy from the middle of the wave is put back when the wave is through."""
    began = time.monotonic()
    store = (SqliteStore if server is None else PostgresStore)(url, directory, server)
    with forked(url, directory, size) as trial:
        trial.crew.hire()
        trial.wait(lambda: trial.has_come(size // 2))
        trial.crew.dismiss()
        disconnect()
        store.save()
        trial.crew.hire()
        trial.wait(trial.is_over)
        trial.crew.dismiss()
        disconnect()
        store.put_back()
        sent = trial.sink.count()
        watch(trial, 4)
        assert trial.sink.count() == sent, "a restored database sent something by itself"
        services.switch_sending(is_on=True)
        db.session.commit()
        watch(trial, 4)
        late = trial.sink.count() - sent
        counts = count_statuses()
        note = f"by the machine after the restore: {late}; open rows left: "
        note += str(counts[S.QUEUED] + counts[S.SENDING])
        return conclude(trial, "restored from a copy", url, began, note)


def watch(trial: Trial, seconds: float) -> None:
    trial.crew.hire()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        trial.look_after()
        time.sleep(0.1)
    db.session.rollback()


def disconnect() -> None:
    db.session.remove()
    db.engine.dispose()


class SqliteStore:
    """The backup that SQLite offers."""

    def __init__(self, url: str, directory: Path, _server: DurablePostgres | None) -> None:
        self.live = Path(url.removeprefix("sqlite:///"))
        self.copy = directory / "copy.db"

    def save(self) -> None:
        with sqlite3.connect(self.live) as live:
            live.execute("VACUUM INTO ?", [str(self.copy)])
        live.close()

    def put_back(self) -> None:
        for path in self.live.parent.glob(f"{self.live.name}*"):
            path.unlink()
        shutil.copy(self.copy, self.live)


class PostgresStore:
    """A second database with everything that is in the first, also its sequences."""

    def __init__(self, url: str, _directory: Path, server: DurablePostgres | None) -> None:
        self.server = server
        self.live = name_of(url)
        self.copy = f"{self.live}_copy"

    def save(self) -> None:
        self._replace(self.copy, self.live)

    def put_back(self) -> None:
        self._replace(self.live, self.copy)

    def _replace(self, database: str, source: str) -> None:
        self.server.cut(source, 1)
        self.server.drop(database)
        self.server.run(f'CREATE DATABASE "{database}" TEMPLATE "{source}"')


def run_two_clocks(url: str, directory: Path, size: int) -> Result:
    """Two clocks wake; nobody else does."""
    began = time.monotonic()
    with Broker() as broker, in_production(url, directory, size, broker) as trial:
        trial.wake = lambda: None
        command = [sys.executable, "-m", "tasks.clock"]
        settings = trial.crew.settings
        clocks = [
            subprocess.Popen(
                command, cwd=ROOT, env=environment(settings), stderr=subprocess.DEVNULL
            )
            for _ in range(2)
        ]
        try:
            trial.run(trial.crew.kill, 2)
        finally:
            for clock in clocks:
                clock.kill()
                clock.wait()
        return conclude(trial, "two clocks, 2 × kill -9", url, began)
