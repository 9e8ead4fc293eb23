"""What the benchmarks run on: a mail sink, an installation with recipients, and its processes."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

import config
from app import create_app
from outreach import clock
from outreach.campaigns.models import Solicitation
from outreach.db import db, one_of, run, table_of
from outreach.messages import placeholders, queueing, rendering
from outreach.messages.addresses import hash_address
from outreach.messages.models import (
    Channel,
    Message,
    MessageStatus,
    TemplateVersion,
    Wave,
    WaveStatus,
)
from outreach.reminders.models import WaveMember
from outreach.units.models import Contact, ContactRole, Unit, UnitKind
from tests import factories
from tests.services import free_port, wait_until

ROOT = Path(__file__).resolve().parent.parent
SECRET = "0123456789abcdefghijklmnopqrstuvwxyz"  # of a database that lives for a minute
BODY = """\
((联系人))((称谓))，您好：

((活动名称))正在开展，将于((截止日期))结束。感谢((单位名称))一直以来对慈善事业的关心和支持。

如贵单位有意参加，请回复本邮件告知大致安排，我们可以上门介绍项目、协助办理手续和开具票据。捐赠完全自愿，金额和方式由贵单位自行决定；如今年不便参加，也请告知一声，我们不再打扰。

如已办理，请忽略此信，并再次致谢。

((总会名称))
联系人：((劝募人))"""
"""With its HTML part and headers about 4 KB on the wire."""

EMBEDDED = """
import time
from app import create_app
from tasks.memory import keep_what_is_loaded
app = create_app()
keep_what_is_loaded()
while True:
    for _ in range(2):
        app.extensions["outreach.wake"]("deliver")
    time.sleep(0.2)
"""


@contextmanager
def sink() -> Iterator[int]:
    """Postfix's `smtp-sink`, which takes mail and throws it away; yields its port."""
    port = free_port()
    command = ["smtp-sink", "-u", "nobody", f"127.0.0.1:{port}", "200"]
    with running(command):
        wait_until(lambda: _listens(port), seconds=10)
        yield port


def time_smtp_source(port: int, count: int) -> float:
    """Seconds in which Postfix's own `smtp-source` hands over `count` messages of 4 KB."""
    began = time.perf_counter()
    subprocess.run(
        f"smtp-source -s8 -d -l 4096 -m {count} -f office@charity.example"
        f" -t one@unit.example 127.0.0.1:{port}".split(),
        check=True,
    )
    return time.perf_counter() - began


@contextmanager
def running(command: list[str], environment: dict[str, str] | None = None) -> Iterator[int]:
    """A process in its own group, killed at the end; yields its id."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def peak_memory(pid: int) -> float:
    """MB of memory that the process has taken at most."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(kilobytes) / 1024


class Installation:
    """Outreach on a database of its own, with a running wave to `count` recipients."""

    def __init__(self, url: str, directory: Path, port: int, redis_url: str = "") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.settings = {
            "database_url": url,
            "data_dir": directory,
            "mail_server": "127.0.0.1",
            "mail_port": port,
            "mail_sender": "office@charity.example",
            "wecom_endpoint": "http://127.0.0.1:9",
            "night_sending": True,  # it runs at any hour
        }
        if redis_url:
            self.settings |= {
                "mode": "production",
                "redis_url": redis_url,
                "secret_key": SECRET,
                "public_base_url": "https://outreach.charity.example",
            }
        self.app = create_app(config.load(**self.settings))

    @property
    def has_broker(self) -> bool:
        return "redis_url" in self.settings

    @property
    def environment(self) -> dict[str, str]:
        plain = {"database_url": "DATABASE_URL", "redis_url": "REDIS_URL"}
        return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | {
            plain.get(name, f"OUTREACH_{name.upper()}"): str(value)
            for name, value in self.settings.items()
        }

    def worker_command(self, number: int) -> list[str]:
        if not self.has_broker:
            return [sys.executable, "-c", EMBEDDED]
        celery = "-m celery -A tasks.worker worker -P threads -c 1 --loglevel ERROR"
        return [sys.executable, *celery.split(), "-n", f"bench{number}@localhost"]

    def fill(self, count: int) -> float:
        """Makes the recipients; returns the seconds that the outbox took to queue their messages
        (rendered before, in the way that a wave renders)."""
        factories.open_sending()
        wave = _make_wave()
        drafts = _make_recipients(wave, count)
        began = time.perf_counter()
        queueing.materialise(wave, drafts)
        db.session.commit()
        seconds = time.perf_counter() - began
        if db.engine.dialect.name == "postgresql":
            db.session.execute(sa.text("ANALYZE"))
            db.session.commit()
        return seconds

    def has(self, *statuses: MessageStatus) -> bool:
        """Some message is in one of these states: a look into the index of open rows, which takes
        nothing from those who are measured."""
        found = db.session.scalar(
            sa.select(Message.id).where(one_of(Message.status, *statuses)).limit(1)
        )
        db.session.rollback()
        return found is not None

    def statuses(self) -> dict[str, int]:
        rows = db.session.execute(
            sa.select(Message.status, sa.func.count()).group_by(Message.status)
        ).all()
        db.session.rollback()
        return {str(status): count for status, count in rows}


def _make_wave() -> Wave:
    campaign = factories.make_campaign()
    now = clock.now()
    version = factories.make_template(body=BODY)
    return factories.save(
        Wave(
            campaign_id=campaign.id,
            name="测速",
            template_version_id=version.id,
            audience={},
            starts_at=now,
            not_after=now + timedelta(days=1),
            status=WaveStatus.RUNNING,
            author_id=factories.make_user().id,
            started_at=now,
            created_at=now,
        )
    )


def _make_recipients(wave: Wave, count: int) -> list[queueing.Draft]:
    sector = factories.make_sector(db.session.get_one(factories.Campaign, wave.campaign_id))
    now, numbers = clock.now(), range(1, count + 1)
    version = db.session.get_one(TemplateVersion, wave.template_version_id)
    addresses = {number: f"contact{number}@d{number % 50}.unit.example" for number in numbers}

    def insert(table: Any, **columns: Any) -> None:
        rows = [{name: make(number) for name, make in columns.items()} for number in numbers]
        run(sa.insert(table_of(table)), rows)

    insert(
        Unit,
        id=int,
        name=lambda number: f"衡阳市第{number}单位",
        name_key=lambda number: f"第{number}单位",
        initials=lambda _: "hys",
        kind=lambda _: UnitKind.ORGAN,
        created_at=lambda _: now,
        version=lambda _: 1,
    )
    insert(
        Contact,
        id=int,
        unit_id=int,
        name=lambda number: f"联络{number}",
        role=lambda _: ContactRole.COORDINATOR,
        email=addresses.get,
        valid_from=lambda _: date(2026, 1, 1),
        version=lambda _: 1,
    )
    insert(
        Solicitation,
        id=int,
        campaign_id=lambda _: wave.campaign_id,
        unit_id=int,
        sector_id=lambda _: sector.id,
        version=lambda _: 1,
    )
    insert(
        WaveMember,
        wave_id=lambda _: wave.id,
        solicitation_id=int,
        contact_id=int,
        address_hash=lambda number: hash_address(Channel.EMAIL, addresses[number]),
        facts=lambda _: {},
    )
    return [_draft(version, number, addresses[number]) for number in numbers]


def _draft(version: TemplateVersion, number: int, address: str) -> queueing.Draft:
    fields = dict.fromkeys(placeholders.PLACEHOLDERS, "慈善一日捐") | {
        "联系人": f"联络{number}",
        "单位名称": f"衡阳市第{number}单位",
    }
    rendered = rendering.render(version, fields)
    return queueing.Draft(
        channel=Channel.EMAIL,
        contact_id=number,
        address=address,
        recipient_name=f"联络{number}",
        subject=rendered.subject,
        body_text=rendered.text,
        reply_to="staff@charity.example",
        solicitation_ids=(number,),
    )


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
