"""Every trial, on both databases, as one table; exit code 1 when a mail was sent twice or lost.

python -m tests.chaos [--rows N] [--kills N] [--only WORD]
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from tests.chaos import runs
from tests.chaos.scene import DurablePostgres
from tests.chaos.trial import Result
from tests.conftest import prepare

ENGINES = ("sqlite", "postgresql")
FEW = 2000
"""Rows of a trial that is about one fault."""

Run = Callable[[str, Path], list[Result]]


def list_trials(server: DurablePostgres, rows: int, kills: int) -> Iterator[tuple[str, str, Run]]:
    """Name, engine, and what is to be run with a database and a directory."""
    for engine in ENGINES:
        yield "steps", engine, lambda url, path: runs.run_failpoints(url, path, 3)
        yield "smtp", engine, lambda url, path: [runs.run_smtp(url, path, FEW, "1")]
        yield "clock", engine, lambda url, path: [runs.run_clocks(url, path, FEW)]
        yield "disk", engine, lambda url, path: [runs.run_disk(url, path, FEW)]
    yield "restore", "sqlite", lambda url, path: [runs.run_restore(url, path, FEW)]
    yield "restore", "postgresql", lambda url, path: [runs.run_restore(url, path, FEW, server)]
    yield "broker", "postgresql", lambda url, path: [runs.run_broker(url, path, FEW)]
    yield "clocks", "postgresql", lambda url, path: [runs.run_two_clocks(url, path, FEW)]
    yield "database", "postgresql", lambda url, path: [runs.run_postgres(server, url, path, FEW)]
    yield "kills", "sqlite", lambda url, path: [runs.run_kills(url, path, rows, kills, 6)]
    yield (
        "kills",
        "postgresql",
        lambda url, path: [runs.run_celery_kills(url, path, rows, kills, 6)],
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--only", default="", help="trials whose name holds this word")
    options = parser.parse_args()
    clean_environment()
    root = Path(tempfile.mkdtemp(prefix="outreach-chaos-"))
    root.chmod(0o755)
    tell("fault", "engine", "rows", "duplicates", "lost", "unknown", "seconds", "note")
    server = DurablePostgres(root)
    is_good = True
    try:
        for name, engine, run in list_trials(server, options.rows, options.kills):
            if options.only in name:
                is_good &= attempt(name, engine, run, server, root)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return 0 if is_good else 1


def attempt(name: str, engine: str, run: Run, server: DurablePostgres, root: Path) -> bool:
    directory = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=root))
    began = time.monotonic()
    try:
        url = make_database(engine, name, server, directory)
        results = run(url, directory)
    except (AssertionError, OSError, SQLAlchemyError, subprocess.SubprocessError):
        # One trial that cannot be held must not keep the others from the table.
        sys.stderr.write(traceback.format_exc())
        tell(name, engine, 0, 0, 0, 0, round(time.monotonic() - began), "NOT HELD")
        return False
    for result in results if len(results) < 9 else [sum_up(results)]:
        tell(*(getattr(result, column) for column in Result.__dataclass_fields__))
    for result in results:
        if not result.is_good:
            sys.stderr.write(f"{result}\n")
    return all(result.is_good for result in results)


def make_database(engine: str, name: str, server: DurablePostgres, directory: Path) -> str:
    path = directory / "outreach.db"
    url = f"sqlite:///{path}" if engine == "sqlite" else server.create(f"chaos_{name}")
    (directory / "prepared").mkdir()
    prepare(url, directory / "prepared")
    return url


def sum_up(results: list[Result]) -> Result:
    """Many kills of the same kind in one line; `unknown` is the most that one of them left."""
    return Result(
        f"kill -9 at each of {len(results)} steps",
        results[0].engine,
        sum(result.rows for result in results),
        sum(result.duplicates for result in results),
        sum(result.lost for result in results),
        max(result.unknown for result in results),
        round(sum(result.seconds for result in results), 1),
        "unknown: the most of one kill",
    )


def tell(*columns: object) -> None:
    widths = (40, 10, 9, 10, 5, 7, 7, 0)
    line = "  ".join(str(c).ljust(w) for c, w in zip(columns, widths, strict=True))
    sys.stdout.write(line.rstrip() + "\n")
    sys.stdout.flush()


def clean_environment() -> None:
    for name in [name for name in os.environ if name.startswith(("OUTREACH_", "DATABASE_URL"))]:
        del os.environ[name]


if __name__ == "__main__":
    sys.exit(main())
