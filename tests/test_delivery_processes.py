"""Delivery by real processes that are killed on the way: each recipient exactly one message, or a
row that says that nobody knows; never two."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest
import redis
import sqlalchemy as sa

import config
from app import create_app
from outreach import clock
from outreach.campaigns.models import Solicitation, Stage
from outreach.db import db
from outreach.messages import outbox
from outreach.messages.models import Message, MessageStatus, Wave, WaveStatus
from outreach.units.models import Contact, ContactRole, Unit, UnitKind
from tests import factories
from tests.services import free_port, run_valkey, wait_until
from tests.smtp_server import RecordingServer

pytestmark = pytest.mark.processes

ROOT = Path(__file__).resolve().parent.parent
SIZE = 593
KILL_AT = (150, 350)
S = MessageStatus

EMBEDDED = """
import time
from app import create_app
wake = create_app().extensions["outreach.wake"]
while True:
    for task in ("deliver", "reap"):
        wake(task)
    time.sleep(0.2)
"""


def make_settings(url: str, directory: Path, port: int, **more: object) -> dict[str, object]:
    return {
        "database_url": url,
        "data_dir": directory,
        "mail_server": "127.0.0.1",
        "mail_port": port,
        "mail_sender": "office@charity.example",
        "mail_timeout": 5,
        "mail_final_timeout": 2,
        "delivery_lease_margin": 1,
        **more,
    }


def environment(settings: dict[str, object]) -> dict[str, str]:
    plain = {"database_url": "DATABASE_URL", "redis_url": "REDIS_URL"}
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | {
        plain.get(name, f"OUTREACH_{name.upper()}"): str(value) for name, value in settings.items()
    }


@contextmanager
def run(command: list[str], settings: dict[str, object]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def make_wave() -> tuple[int, Solicitation]:
    """A wave of SIZE messages, and one unit that gives after its approval."""
    campaign = factories.make_campaign()
    sector = factories.make_sector(campaign)
    for number in range(SIZE):
        unit = Unit(
            name=f"衡阳市第{number}单位",
            name_key=f"第{number}单位",
            initials="hys",
            kind=UnitKind.ORGAN,
            created_at=clock.now(),
            contacts=[
                Contact(
                    name=f"联络{number}",
                    role=ContactRole.COORDINATOR,
                    email=f"contact{number}@unit.example",
                    valid_from=date(2020, 1, 1),
                )
            ],
        )
        db.session.add(Solicitation(campaign_id=campaign.id, sector_id=sector.id, unit=unit))
    db.session.commit()
    rows = list(db.session.scalars(sa.select(Solicitation).order_by(Solicitation.id)))
    wave = factories.make_running_wave(solicitations=rows)
    return wave.id, rows[300]


class Trial:
    """Runs the wave with `start`, kills the worker twice and looks after the rest as the clock
    and a person would."""

    def __init__(self, server: RecordingServer, wave_id: int) -> None:
        self.server = server
        self.wave_id = wave_id

    def run(
        self,
        start: Callable[[], "contextmanager[subprocess.Popen[bytes]]"],
        tick: Callable[[], None],
        on_kill: Callable[[], None] = lambda: None,
    ) -> None:
        for count in KILL_AT:
            with start() as worker:
                self._wait(lambda count=count: len(self.server.messages) >= count, tick)
                os.killpg(worker.pid, signal.SIGKILL)
                worker.wait()
            on_kill()
        with start():
            self._wait(self._is_finished, tick)

    def _wait(self, condition: Callable[[], bool], tick: Callable[[], None]) -> None:
        def step() -> bool:
            tick()
            self._resume()
            return condition()

        wait_until(step, seconds=90, step=0.1)

    def _resume(self) -> None:
        """What a person does who has looked at the outcomes that nobody knows."""
        db.session.execute(
            sa.update(Wave).filter_by(status=WaveStatus.PAUSED).values(status=WaveStatus.RUNNING)
        )
        db.session.commit()

    def _is_finished(self) -> bool:
        status = db.session.scalar(sa.select(Wave.status).filter_by(id=self.wave_id))
        db.session.rollback()
        return status is WaveStatus.FINISHED

    def check(self, giver: Solicitation) -> None:
        db.session.expire_all()
        arrived = Counter(received.recipient for received in self.server.messages)
        ids = Counter(received.message["Message-ID"] for received in self.server.messages)
        rows = db.session.scalars(sa.select(Message).filter_by(wave_id=self.wave_id)).all()
        assert max(arrived.values()) == 1, "somebody was written to twice"
        assert max(ids.values()) == 1
        assert len(rows) == SIZE
        counts = outbox.counts(self.wave_id)
        assert counts[S.SENT] + counts[S.UNKNOWN] + counts[S.WITHHELD] == SIZE
        assert counts[S.WITHHELD] == 1
        # Two kills, two deliveries side by side, one window each.
        assert counts[S.UNKNOWN] <= 4 * outbox.WINDOW
        for row in rows:
            if row.status is S.SENT:
                assert arrived[row.address] == 1
            elif row.status is S.WITHHELD:
                assert arrived[row.address] == 0
                assert row.links[0].solicitation_id == giver.id
        contacted = db.session.scalar(
            sa.select(sa.func.count()).select_from(Solicitation).filter_by(stage=Stage.CONTACTED)
        )
        assert contacted == counts[S.SENT]


@contextmanager
def observe(settings: dict[str, object]) -> Iterator[None]:
    app = create_app(config.load(**settings))
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_celery_worker_that_is_killed_twice_sends_nothing_twice(
    database_url: str, tmp_path: Path
):
    with RecordingServer(delay=0.005) as server, run_valkey() as redis_url:
        settings = make_settings(
            database_url,
            tmp_path,
            server.port,
            redis_url=redis_url,
            mode="production",
            secret_key="0123456789abcdefghijklmnopqrstuvwxyz",
            public_base_url="https://outreach.charity.example",
        )
        celery = "-m celery -A tasks.worker worker -P threads -c 2 --loglevel ERROR"
        command = [sys.executable, *celery.split(), "-n", f"test{free_port()}@localhost"]
        with observe(settings) as app:
            factories.open_sending()
            wave_id, giver = make_wave()
            factories.make_gift(giver)
            wake = app.extensions["outreach.wake"]
            last = 0.0

            def tick() -> None:
                nonlocal last
                if time.monotonic() - last > 0.5:
                    last = time.monotonic()
                    for task in ("deliver", "deliver", "reap"):
                        wake(task)

            broker = redis.Redis.from_url(redis_url)
            trial = Trial(server, wave_id)
            trial.run(lambda: run(command, settings), tick, broker.flushall)
            trial.check(giver)
            broker.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_one_process_on_sqlite_that_is_killed_twice_sends_nothing_twice(
    database_url: str, tmp_path: Path
):
    with RecordingServer(delay=0.005) as server:
        settings = make_settings(database_url, tmp_path, server.port)
        with observe(settings):
            factories.open_sending()
            wave_id, giver = make_wave()
            factories.make_gift(giver)
            trial = Trial(server, wave_id)
            trial.run(lambda: run([sys.executable, "-c", EMBEDDED], settings), lambda: None)
            trial.check(giver)
