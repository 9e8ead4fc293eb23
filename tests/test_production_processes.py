"""Production as docker-compose.yml describes it: the same commands and the same settings, run as
processes against a real PostgreSQL and a real broker, since no container engine runs here."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
import yaml

import config
from tasks import queue
from tests.servers import Server
from tests.services import PATIENCE, Postgres, free_port, run_valkey, wait_until

ROOT = Path(__file__).parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("web", "worker", "clock", "migrate")
SECRET_KEY = "0123456789abcdef0123456789abcdef"


class Production:
    """Starts services of the compose file with its commands and its environment."""

    def __init__(self, directory: Path, database_url: str, broker_url: str) -> None:
        self.directory, self.database_url, self.broker_url = directory, database_url, broker_url
        self.port = free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        secrets = {
            "database_url": database_url,
            "secret_key": SECRET_KEY,
            "mail_password": "secret",
            "bounce_password": "",  # no mailbox for bounces and no provider, as at first
            "sms_key_secret": "",
            "sms_callback_secret": "",
        }
        for name, value in secrets.items():
            (directory / name).write_text(value)

    def environment(self, service: str) -> dict[str, str]:
        """What the container would get, with paths and addresses of this machine."""
        described = SERVICES[service]["environment"]
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "FLASK_APP": "app",
            "OUTREACH_DATA_DIR": str(self.directory / service),
            **documented_settings(),
            **{
                name: str(value).replace("/run/secrets", str(self.directory))
                for name, value in described.items()
            },
            "REDIS_URL": self.broker_url,
            "GUNICORN_CMD_ARGS": f"--bind=127.0.0.1:{self.port}",
        }

    def start(self, service: str) -> subprocess.Popen[bytes]:
        with self.log(service).open("wb") as log:
            process = subprocess.Popen(
                SERVICES[service]["command"],
                cwd=ROOT,
                env=self.environment(service),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.processes[service] = process
        return process

    def run(self, service: str) -> None:
        assert self.start(service).wait(PATIENCE) == 0, self.log(service).read_text()

    def stop(self, service: str) -> int:
        process = self.processes.pop(service)
        process.send_signal(signal.SIGTERM)
        return process.wait(PATIENCE)

    def log(self, service: str) -> Path:
        return self.directory / f"{service}.log"

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        host = {"Host": documented_settings()["OUTREACH_PUBLIC_BASE_URL"].removeprefix("https://")}
        try:
            connection.request("GET", path, headers=host | headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database_url.replace("+psycopg", "")) as connection:
            return connection.execute(statement).fetchall()


def documented_settings() -> dict[str, str]:
    """production.env as docs/production.md proposes it."""
    text = (ROOT / "docs/production.md").read_text()
    block = re.search(r"```ini\n(.*?)```", text, re.DOTALL)
    return dict(line.strip().split("=", 1) for line in block[1].strip().splitlines())


@pytest.fixture
def production(tmp_path: Path, postgres: Postgres, worker: str) -> Iterator[Production]:
    name = f"production_{worker}"
    with run_valkey() as broker_url:
        production = Production(tmp_path, postgres.create(name), broker_url)
        yield production
        for process in production.processes.values():
            process.kill()
            process.wait()
    postgres.drop(name)


@pytest.mark.processes
def test_the_services_start_work_together_survive_an_empty_broker_and_stop_when_asked(
    production: Production,
):
    production.run("migrate")
    for service in ("web", "worker", "clock"):
        production.start(service)

    wait_until(lambda: production.get("/readyz")[0] == 200)
    assert json.loads(production.get("/readyz")[1]) == {"status": "ok", "failing": {}}
    assert production.get("/readyz", Host="evil.example")[0] == 400
    assert "htmx" in production.get("/static/vendor/htmx.min.js")[1]

    # The clock wakes, the worker runs: what was missed at once, sending within half a minute.
    finished = "SELECT job, result FROM job_run WHERE finished_at IS NOT NULL"
    wait_until(lambda: ("deliver", "done") in production.query(finished))

    # An emptied broker costs a tick and no more.
    redis.Redis.from_url(production.broker_url).flushall()
    (emptied_at,) = production.query("SELECT now()")[0]
    later = f"SELECT 1 FROM job_run WHERE job = 'deliver' AND started_at > '{emptied_at}'"
    wait_until(lambda: production.query(later))

    assert (production.directory / "clock" / "clock-alive").exists()

    for service in ("clock", "worker", "web"):
        assert production.stop(service) == 0, production.log(service).read_text()
    for line in production.log("clock").read_text().splitlines():
        assert json.loads(line)["level"] == "info"


class DeadBroker(Server):
    """Closes each line at once, or says nothing on it for longer than anybody waits."""

    def __init__(self, *, hangs: bool) -> None:
        super().__init__()
        self.hangs = hangs
        self.gave_up = False

    def serve(self, connection: socket.socket) -> None:
        if self.hangs:
            self.hang()
            self.gave_up = True


@pytest.mark.parametrize("hangs", [False, True])
def test_a_page_does_not_wait_for_a_broker_that_is_down(hangs: bool, caplog):
    with DeadBroker(hangs=hangs) as broker:
        queue.bind(None, f"redis://127.0.0.1:{broker.port}/0")
        queue.wake("deliver")
        assert (broker.connections, broker.gave_up) == (1, False)
    assert "deliver lost" in caplog.text


# The file


def test_the_services_that_operators_expect_are_there():
    assert set(SERVICES) == {"web", "worker", "clock", "migrate", "db", "redis"}


@pytest.mark.parametrize("service", [name for name in SERVICES if name != "migrate"])
def test_each_service_has_a_health_check_and_comes_back_by_itself(service: str):
    assert SERVICES[service]["healthcheck"]["test"]
    assert SERVICES[service]["restart"] == "unless-stopped"


def test_there_is_no_secret_in_the_file():
    text = (ROOT / "docker-compose.yml").read_text()

    assert not re.search(r"(?i)(password|secret_key|token)\w*: *(?!/run/secrets/|\{file)\S", text)
    assert not re.search(r"://[^/\s]+:[^/\s]+@", text)
    assert all(secret["file"].startswith("secrets/") for secret in COMPOSE["secrets"].values())


@pytest.mark.parametrize("service", OURS)
def test_each_setting_that_is_a_secret_comes_from_a_file(service: str):
    settings = {name for name in config.Settings.model_fields if re.search("secret|password", name)}
    files = SERVICES[service]["environment"]
    for name in settings:
        secret = files[f"OUTREACH_{name.upper()}_FILE"].removeprefix("/run/secrets/")
        assert secret in SERVICES[service]["secrets"]
        assert secret in COMPOSE["secrets"]


def test_what_must_survive_a_restart_is_on_volumes():
    mounted = {
        volume.split(":")[0] for name in SERVICES for volume in SERVICES[name].get("volumes", [])
    }

    assert mounted == set(COMPOSE["volumes"])


def test_the_broker_keeps_what_it_was_told_and_refuses_rather_than_forgets():
    command = " ".join(SERVICES["redis"]["command"])

    for option in ("--appendonly yes", "--appendfsync everysec", "--maxmemory-policy noeviction"):
        assert option in command


def test_everything_waits_for_the_migration():
    for service in ("web", "worker", "clock"):
        condition = SERVICES[service]["depends_on"]["migrate"]["condition"]
        assert condition == "service_completed_successfully"


def test_the_environment_names_only_settings_that_exist():
    known = {
        str(field.validation_alias or f"OUTREACH_{name.upper()}")
        for name, field in config.Settings.model_fields.items()
    }
    named = {name for service in OURS for name in SERVICES[service]["environment"]}
    named |= set(documented_settings())

    assert {name.removesuffix("_FILE") for name in named} - {"GUNICORN_CMD_ARGS"} <= known
