"""How fast a wave goes out, beside what is possible and what others do: `make bench`.

Each run sends as many messages of about 4 KB (text and HTML, merge fields) into Postfix's
`smtp-sink`: with Postfix's own `smtp-source`, which has no content and no database; with Outreach
on PostgreSQL and real Celery X State for each message and both commits (before and after the
network) are on, and so is the disk's fsync. What counts are the ratios within one run.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from flask_migrate import upgrade

from benchmarks.bare import time_bare
from benchmarks.rig import ROOT, Installation, peak_memory, running, sink, time_smtp_source
from outreach import jobs
from outreach.db import db
from outreach.messages.models import OPEN_STATUSES, MessageStatus
from tests.services import Postgres, run_valkey, wait_until

OTHERS = ROOT / ".venv-bench/bin/python"
PATIENCE = 1800
"""Seconds for one wave."""


def main() -> int:
    arguments = _parse_arguments()
    figures: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        root = Path(name)
        root.chmod(0o755)
        postgres = Postgres(root, is_durable=True)
        for number in range(arguments.runs):
            with sink() as port:
                raw = arguments.recipients / time_smtp_source(port, arguments.recipients)
            _note(figures, "smtp-source -s8 -d", raw, raw)
            for label, measure in _contenders(postgres, root / str(number), arguments).items():
                _note(figures, label, measure(), raw)
            postgres.drop("bench")
    _print(figures, arguments)
    return 0


def _contenders(
    postgres: Postgres, directory: Path, arguments: argparse.Namespace
) -> dict[str, Callable[[], float]]:
    count, workers = arguments.recipients, arguments.workers

    def on_postgresql() -> float:
        url = postgres.create("bench")
        with run_valkey() as redis_url:
            return dispatch(url, directory / "postgresql", count, workers, redis_url)

    def on_sqlite() -> float:
        path = directory / "sqlite"
        return dispatch(f"sqlite:///{path}/outreach.db", path, count, 1)

    def bare_on_postgresql() -> float:
        return dispatch_bare(postgres.create("bench"), directory / "bare-postgresql", count)

    def bare_on_sqlite() -> float:
        path = directory / "bare-sqlite"
        return dispatch_bare(f"sqlite:///{path}/outreach.db", path, count)

    contenders = {
        "Outreach, PostgreSQL, Celery": on_postgresql,
        "Outreach, SQLite": on_sqlite,
        "rows and commits only, PostgreSQL": bare_on_postgresql,
        "rows and commits only, SQLite": bare_on_sqlite,
    }
    if OTHERS.exists():
        contenders["django-post-office, PostgreSQL"] = lambda: _time_post_office(
            postgres.create("bench"), min(count, arguments.others)
        )
    return contenders


def dispatch(url: str, directory: Path, count: int, workers: int, redis_url: str = "") -> float:
    """Messages a second, from «approved and queued» to «all accepted and written down»."""
    with ExitStack() as stack:
        port = stack.enter_context(sink())
        installation = Installation(url, directory, port, redis_url)
        with installation.app.app_context():
            upgrade()
            queued = installation.fill(count)
            pids = [
                stack.enter_context(
                    running(installation.worker_command(number), installation.environment)
                )
                for number in range(workers)
            ]
            began = _wait_for_start(installation)
            wait_until(lambda: not installation.has(*OPEN_STATUSES), seconds=PATIENCE, step=0.05)
            seconds = time.perf_counter() - began
            memory = max(peak_memory(pid) for pid in pids)
            print(
                f"  {directory.name}: {count} in {seconds:.2f} s, queued in {queued:.2f} s,"
                f" worker {memory:.0f} MB, {installation.statuses()}",
                file=sys.stderr,
            )
            db.session.remove()
            db.engine.dispose()
    return count / seconds


def dispatch_bare(url: str, directory: Path, count: int) -> float:
    """Messages a second of a sender that does only what no sender can do without."""
    with sink() as port:
        installation = Installation(url, directory, port)
        with installation.app.app_context():
            upgrade()
            installation.fill(count)
            target = db.engine.url
            db.session.remove()
            db.engine.dispose()
            seconds = time_bare(target, port, processes=2)
            if installation.has(*OPEN_STATUSES):
                raise SystemExit("not everything was sent")
            db.session.remove()
            db.engine.dispose()
    return count / seconds


def _wait_for_start(installation: Installation) -> float:
    """The moment at which the first row is being sent: starting Python is not dispatch."""
    tick = 0

    def has_begun() -> bool:
        nonlocal tick
        if installation.has_broker and tick % 50 == 0:
            jobs.wake("deliver")
        tick += 1
        return installation.has(MessageStatus.SENDING) or not installation.has(*OPEN_STATUSES)

    wait_until(has_begun, seconds=120, step=0.01)
    return time.perf_counter()


def _time_post_office(url: str, count: int) -> float:
    with sink() as port:
        done = subprocess.run(
            [OTHERS, ROOT / "benchmarks/with_post_office.py", url, str(port), str(count)],
            check=True,
            capture_output=True,
            text=True,
        )
    return count / json.loads(done.stdout)["seconds"]


def _note(figures: dict[str, list[float]], label: str, rate: float, raw: float) -> None:
    figures[label].append(rate / raw)
    figures[f"{label} (msg/s)"].append(rate)
    print(f"{label}: {rate:.0f} msg/s, {rate / raw:.3f} of smtp-source", file=sys.stderr)


def _print(figures: dict[str, list[float]], arguments: argparse.Namespace) -> None:
    print(f"\n{arguments.recipients} recipients, median of {arguments.runs} runs")
    for label in [label for label in figures if not label.endswith("(msg/s)")]:
        rate = statistics.median(figures[f"{label} (msg/s)"])
        print(f"  {label:<34}{rate:>8.0f} msg/s {statistics.median(figures[label]):>8.3f}")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipients", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="Celery workers on PostgreSQL")
    parser.add_argument("--others", type=int, default=2_000, help="recipients for slower senders")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
