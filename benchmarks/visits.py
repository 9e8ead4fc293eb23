"""Fifty people log visits: `.venv/bin/python -m benchmarks.visits [--staff N] [--rounds N]`.

Gunicorn with two processes of four threads before PostgreSQL with fsync on, as docker-compose.yml
has it; everybody sends their forms as a phone does. «In an instant» is what only programs do: all
fifty are let go by one barrier. «In a second» is as much at once as people can be, who press their
buttons independently of each other; «in a minute» is a busy one. The reference is the page of
health, asked in the same way in the same run. Nothing may be lost, and nothing be there twice.
"""

import argparse
import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import sqlalchemy as sa
from flask import Flask
from flask_migrate import upgrade

import config
from app import create_app
from outreach import clock
from outreach.access import Role
from outreach.db import db
from outreach.visits.models import Visit, VisitStatus
from tests import factories
from tests.services import Postgres, free_port, run_valkey, wait_until

JSON = {"Accept": "application/json"}
SPREADS = {"in an instant": 0.0, "in a second": 1.0, "in a minute": 60.0}
"""Seconds in which the fifty forms of a round come."""


@dataclass
class Person:
    cookie: str
    port: int
    paths: list[str]
    """Of the units whose visits they log, one a round."""

    def ask(self, method: str, path: str, body: dict[str, str] | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = JSON | {"Host": "example.org", "Cookie": f"session={self.cookie}"}
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request(method, path, urlencode(body or {}), headers)
        answer = connection.getresponse()
        content = answer.read()
        if set_cookie := answer.getheader("Set-Cookie"):
            self.cookie = set_cookie.partition("session=")[2].partition(";")[0] or self.cookie
        connection.close()
        return answer.status, content

    def log(self, number: int, token: str) -> None:
        day = clock.today().isoformat()
        sent = {"outcome": "not_in", "visited_on": day, "note": "见到门卫", "csrf_token": token}
        sent["client_key"] = f"{self.paths[number]}"[-36:]
        status, content = self.ask("POST", f"{self.paths[number]}/visits/log", sent)
        assert status == 200, content


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--staff", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=6)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as name, run_valkey() as broker:
        root = Path(name)
        root.chmod(0o755)
        os.environ |= {
            "DATABASE_URL": Postgres(root, is_durable=True).create("bench"),
            "REDIS_URL": broker,
            "OUTREACH_LOG_LEVEL": "ERROR",
            "OUTREACH_DATA_DIR": str(root),
            "OUTREACH_PUBLIC_BASE_URL": "https://example.org",
            "SECRET_KEY": "a key for one run only " * 2,
        }
        port = free_port()
        app = create_app(config.load())
        people = _prepare(app, port, options.staff, len(SPREADS) * options.rounds)
        server = _serve(port)
        try:
            _measure(app, people, options.rounds)
        finally:
            server.terminate()
            server.wait(30)


def _prepare(app: Flask, port: int, staff: int, rounds: int) -> list[Person]:
    people = []
    with app.app_context():
        upgrade()
        campaign = factories.make_campaign()
        sector = factories.make_sector(campaign)
        for _number in range(staff):
            user = factories.make_user(role=Role.STAFF)
            units = [factories.make_solicitation(campaign, sector).unit_id for _ in range(rounds)]
            client = app.test_client()
            token = factories.make_login(user)
            with client.session_transaction() as session:
                session["login"] = token
            cookie = client.get_cookie("session")
            paths = [f"/c/{campaign.code}/units/{id_}" for id_ in units]
            people.append(Person(cookie.value if cookie else "", port, paths))
        db.session.commit()
        db.engine.dispose()
    return people


def _serve(port: int) -> subprocess.Popen[bytes]:
    options = "--worker-class gthread --workers 2 --threads 4 --log-level error".split()
    command = [sys.executable, "-m", "gunicorn", *options, "--bind", f"127.0.0.1:{port}"]
    server = subprocess.Popen([*command, "app:create_app()"], stdout=subprocess.DEVNULL)
    stranger = Person("", port, [])

    def answers() -> bool:
        try:
            return stranger.ask("GET", "/readyz")[0] == 200
        except OSError:
            return False

    wait_until(answers, 60)
    return server


def _measure(app: Flask, people: list[Person], rounds: int) -> None:
    tokens = [json.loads(person.ask("GET", "/session")[1])["csrf_token"] for person in people]

    def check_health(place: int, _number: int) -> None:
        people[place].ask("GET", "/healthz")

    def log_visit(place: int, number: int) -> None:
        people[place].log(number, tokens[place])

    _run("health, in an instant", len(people), range(rounds), check_health)
    for place, (label, seconds) in enumerate(SPREADS.items()):
        numbers = range(place * rounds, (place + 1) * rounds)
        _run(f"visits, {label}", len(people), numbers, log_visit, seconds)
    with app.app_context():
        logged = sa.select(sa.func.count(), sa.func.count(sa.distinct(Visit.solicitation_id)))
        found = db.session.execute(logged.where(Visit.status == VisitStatus.LOGGED)).one()
        db.engine.dispose()
    sent = len(SPREADS) * rounds * len(people)
    sys.stdout.write(f"{sent} sent, {found[0]} logged of {found[1]} units\n")
    assert found == (sent, sent)


def _run(label, count, rounds, work, spread: float = 0.0) -> None:  # type: ignore[no-untyped-def]
    taken: list[float] = []
    at_once = threading.Barrier(count)

    def take_part(place: int) -> None:
        for number in rounds:
            at_once.wait()
            time.sleep(random.uniform(0, spread))
            began = time.perf_counter()
            try:
                work(place, number)
            except Exception:
                at_once.abort()
                raise
            taken.append(1000 * (time.perf_counter() - began))

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(take_part, range(count)))
    p50, p95 = statistics.median(taken), statistics.quantiles(taken, n=20)[-1]
    sys.stdout.write(f"{label}: p50 {p50:.0f} ms, p95 {p95:.0f} ms\n")


if __name__ == "__main__":
    main()
