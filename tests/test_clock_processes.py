"""Clocks as processes: two at once, machines in other time zones, and a restart."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from app import create_app
from outreach import clock
from outreach.access import Role
from outreach.campaigns.models import Campaign
from outreach.db import db
from outreach.digests.models import Digest
from outreach.jobs import JobResult, JobRun
from outreach.messages.models import Channel, Message, Purpose, Wave, WaveStatus
from outreach.reminders import services
from outreach.reminders.audience import AudienceFilter
from tests import factories
from tests.conftest import make_settings
from tests.services import PATIENCE, free_port, run_valkey, wait_until

ROOT = Path(__file__).parent.parent
TUESDAY = "2026-10-20T09:59:40+08:00"
"""When the processes start: the week's digest is due, and soon the minute turns."""
AT_START = f"""
import faulthandler, signal, time_machine
faulthandler.register(signal.SIGUSR1)
time_machine.travel({TUESDAY!r}).start()
"""
BIN = Path(sys.executable).parent
PRODUCTION = {
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "OUTREACH_MODE": "production",
    "OUTREACH_SECRET_KEY": "0123456789abcdef0123456789abcdef",
    "OUTREACH_PUBLIC_BASE_URL": "https://outreach.example.gov.cn",
    "OUTREACH_MAIL_SERVER": "127.0.0.1",
    "OUTREACH_MAIL_SENDER": "outreach@example.gov.cn",
}


class Machine:
    """Starts processes of the application, all on one database, on a Tuesday morning."""

    def __init__(self, directory: Path, database_url: str) -> None:
        (directory / "sitecustomize.py").write_text(AT_START)
        self.directory, self.database_url = directory, database_url
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        environment = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.directory),
            "FLASK_APP": "app",
            "DATABASE_URL": self.database_url,
            "OUTREACH_DATA_DIR": str(self.directory),
            **environment,
        }
        log = self.directory / f"{len(self.processes)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
            )
        self.processes.append(process)
        return process

    def logs(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.directory.glob("*.log")))

    def stop(self) -> list[int]:
        """Asks all processes to end; their exit codes."""
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        try:
            return [process.wait(PATIENCE) for process in self.processes]
        except subprocess.TimeoutExpired:
            for process in self.processes:
                process.send_signal(signal.SIGUSR1)  # it tells what it is doing
            time.sleep(1)
            raise AssertionError(self.logs()) from None


@pytest.fixture
def machine(database_url: str, tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path, database_url)
    yield machine
    for process in machine.processes:
        process.kill()
        process.wait()


@pytest.fixture
def app(database_url: str, tmp_path: Path) -> Iterator[Flask]:
    """The test's own view of the database; it wakes nobody."""
    app = create_app(make_settings(database_url, tmp_path))
    app.extensions["outreach.wake"] = [].append
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def campaign(app: Flask) -> Campaign:
    """A running one, with an approved wave that is due on the Tuesday."""
    with time_machine.travel(TUESDAY):
        factories.open_sending()
        campaign = factories.make_campaign()
        factories.make_user(Role.SECRETARY_GENERAL)
        for _ in range(5):
            factories.make_solicitation(campaign)
        plan = services.WavePlan(
            name="提醒",
            version=factories.make_template(Channel.EMAIL),
            audience=AudienceFilter(),
            starts_at=clock.now(),
            not_after=clock.now() + timedelta(days=3),
        )
        author = factories.make_user(Role.STAFF, email="")
        wave = services.create_wave(campaign, plan, author=author)
        services.submit_wave(wave, by=author)
        services.approve_wave(wave, by=factories.make_user(Role.SECRETARY_GENERAL, email=""))
        db.session.commit()
    return campaign


def fetch(statement: sa.Select) -> list:
    """Rows as they are now; the transaction ends at once, so that nobody waits for it."""
    rows = list(db.session.scalars(statement))
    db.session.rollback()
    return rows


def is_all_done() -> bool:
    runs = fetch(sa.select(JobRun.job).where(JobRun.result == JobResult.DONE))
    waves = fetch(sa.select(Wave.status))
    return "build_digests" in runs and waves in ([WaveStatus.RUNNING], [WaveStatus.FINISHED])


def check_that_each_happened_once() -> None:
    assert len(fetch(sa.select(Digest.id))) == 1
    assert len(fetch(sa.select(JobRun.id).where(JobRun.job == "build_digests"))) == 1
    started = sa.text("SELECT count(*) FROM audit_event WHERE action = 'start.wave'")
    assert db.session.scalar(started) == 1
    purposes = fetch(sa.select(Message.purpose))
    assert purposes.count(Purpose.REMINDER) == 5
    assert purposes.count(Purpose.DIGEST) == 1
    db.session.rollback()


@pytest.mark.processes
def test_two_clocks_at_once_build_one_digest_and_start_one_wave(
    request: pytest.FixtureRequest, machine: Machine, campaign: Campaign
):
    """On PostgreSQL two clock processes with a worker; on SQLite two whole embedded servers."""
    db.session.remove()
    with ExitStack() as stack:
        if "postgresql" in request.node.name:
            production = {
                "REDIS_URL": stack.enter_context(run_valkey()),
                "OUTREACH_MODE": "production",
                "OUTREACH_SECRET_KEY": "0123456789abcdef0123456789abcdef",
                "OUTREACH_PUBLIC_BASE_URL": "https://outreach.example.gov.cn",
                "OUTREACH_MAIL_SERVER": "127.0.0.1",
                "OUTREACH_MAIL_PORT": str(free_port()),
                "OUTREACH_MAIL_SENDER": "outreach@example.gov.cn",
            }
            worker = ("celery", "-A", "tasks.worker", "worker", "-P", "threads", "-c", "2")
            machine.start(*worker, **production)
            for _ in range(2):
                machine.start("python", "-m", "tasks.clock", **production)
        else:
            for _ in range(2):
                machine.start("flask", "serve", OUTREACH_PORT=str(free_port()))
        wait_until(is_all_done, 100)
        check_that_each_happened_once()
        assert machine.stop() == [0] * len(machine.processes), machine.logs()


TOLD_TO_END_AT_ITS_START = """
import os, signal
from tasks import clock

schedule = clock.schedule
def tell(*arguments):
    schedule(*arguments)
    os.kill(os.getpid(), signal.SIGTERM)

clock.schedule = tell
clock.main()
"""


@pytest.mark.processes
def test_a_clock_that_is_told_to_end_while_it_starts_ends(tmp_path: Path):
    machine = Machine(tmp_path, "postgresql+psycopg://nobody@/none")

    process = machine.start(sys.executable, "-c", TOLD_TO_END_AT_ITS_START, **PRODUCTION)

    assert process.wait(PATIENCE) == 0, machine.logs()


PROGRAM = """
import json, sys
import time_machine
from app import create_app
from tests.conftest import make_settings
from pathlib import Path

app = create_app(make_settings(sys.argv[1], Path(sys.argv[2])))
app.extensions["outreach.wake"] = lambda task: None
told = []
with app.app_context():
    import sqlalchemy as sa
    from outreach import clock, jobs
    from outreach.db import db
    from outreach.digests.models import Digest
    from tasks.digests import build_digests

    job = jobs.find_job("build_digests")
    for moment in sys.argv[3:]:
        with time_machine.travel(moment):
            build_digests()
            rows = db.session.scalars(sa.select(Digest).order_by(Digest.id)).all()
            told.append({
                "today": clock.today().isoformat(),
                "weeks": [[row.iso_year, row.iso_week] for row in rows],
                "last": rows[-1].figures["last"] if rows else None,
                "next": clock.local(job.next_due(clock.now())).isoformat(),
            })
            db.session.remove()
print(json.dumps(told))
"""
MOMENTS = (
    "2026-10-18T23:59:00+08:00",
    "2026-10-19T00:01:00+08:00",
    "2026-10-19T07:29:00+08:00",
    "2026-10-19T07:31:00+08:00",
)


@pytest.mark.processes
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_around_midnight_day_and_week_are_those_of_shanghai_wherever_the_machine_is(
    app: Flask, database_url: str, tmp_path: Path, zone: str
):
    factories.make_campaign(starts_on=date(2026, 9, 1))
    db.session.remove()

    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM, database_url, str(tmp_path), *MOMENTS],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "TZ": zone},
        capture_output=True,
        check=True,
    )

    sunday, midnight, early, late = json.loads(answer.stdout)
    monday_morning = "2026-10-19T07:30:00+08:00"
    assert sunday == {
        "today": "2026-10-18",
        "weeks": [[2026, 42]],
        "last": "2026-10-11",
        "next": monday_morning,
    }
    assert midnight == sunday | {"today": "2026-10-19"}
    assert early == midnight
    assert late == {
        "today": "2026-10-19",
        "weeks": [[2026, 42], [2026, 43]],
        "last": "2026-10-18",
        "next": "2026-10-26T07:30:00+08:00",
    }


@pytest.mark.processes
def test_serving_is_refused_in_production_and_says_what_to_do(tmp_path: Path):
    machine = Machine(tmp_path, "postgresql+psycopg://nobody@/none")

    process = machine.start("flask", "serve", **PRODUCTION)

    assert process.wait(PATIENCE) == 1
    assert "docker compose" in machine.logs()
