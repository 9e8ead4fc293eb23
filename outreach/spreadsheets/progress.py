"""How far an import is, told while its request still runs: in a file beside the uploads, because
its transaction is nobody's to see yet, and another process may be asked."""

import json
import logging
import re
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from flask import current_app
from flask_babel import lazy_gettext as _

from outreach import clock
from outreach.terms import Term

T = TypeVar("T")
log = logging.getLogger(__name__)

EVERY = 0.2
"""Seconds between two notes."""
AT_ONCE = 50
"""Rows after which it is asked whether to note again."""
KEPT_FOR = timedelta(hours=1)
"""What a process that died has left behind goes after so long."""


class Stage(Term):
    READING = "reading", _("正在读取文件")
    CHECKING = "checking", _("正在核对各行")
    COMPARING = "comparing", _("正在与现有数据比对")
    WRITING = "writing", _("正在写入")
    MATCHING = "matching", _("正在匹配单位")


PREVIEW = (Stage.READING, Stage.CHECKING, Stage.COMPARING)


@dataclass
class _Reporter:
    path: Path
    user_id: int
    stages: Sequence[Stage]
    stage: Stage = Stage.READING
    done: int = 0
    total: int = 0
    noted_at: float = float("-inf")

    def note(self, *, is_due: bool = False) -> None:
        now = time.monotonic()
        if is_due or now - self.noted_at >= EVERY:
            self.noted_at = now
            try:
                part = self.path.with_suffix(".part")
                part.write_text(json.dumps(self.as_dict()))
                part.replace(self.path)
            except OSError as error:  # a full disk: the import goes on without its bar
                log.warning("no progress noted: %s", error)

    def as_dict(self) -> dict[str, Any]:
        place = self.stages.index(self.stage) if self.stage in self.stages else 0
        within = min(self.done / self.total, 1) if self.total else 0
        return {
            "user_id": self.user_id,
            "stage": self.stage.value,
            "done": min(self.done, self.total),
            "total": self.total,
            "share": (place + within) / len(self.stages),
        }


_current: ContextVar[_Reporter | None] = ContextVar("import_progress", default=None)


@contextmanager
def reporting(key: str, user_id: int, stages: Sequence[Stage]) -> Iterator[None]:
    """What `begin`, `advance` and `follow` tell meanwhile can be read under the key, which the
    person's page has made; without a good one nothing is told."""
    if not _is_key(key):
        yield
        return
    reporter = _Reporter(_path(key), user_id, stages)
    with suppress(OSError):
        reporter.path.parent.mkdir(mode=0o700, exist_ok=True)
        _remove_stale(reporter.path.parent)
    reporter.note(is_due=True)
    token = _current.set(reporter)
    try:
        yield
    finally:
        _current.reset(token)
        with suppress(OSError):
            reporter.path.unlink(missing_ok=True)


def read(key: str, user_id: int) -> dict[str, Any] | None:
    """None when nothing runs under the key, or somebody else's."""
    try:
        told: dict[str, Any] = json.loads(_path(key).read_text()) if _is_key(key) else {}
    except FileNotFoundError:
        return None
    return told if told.pop("user_id", None) == user_id else None


def begin(stage: Stage, total: int = 0) -> None:
    if reporter := _current.get():
        reporter.stage, reporter.done, reporter.total = stage, 0, total
        reporter.note(is_due=True)


def advance(count: int) -> None:
    if reporter := _current.get():
        reporter.done += count
        reporter.note()


def follow(rows: Collection[T], stage: Stage) -> Iterator[T]:
    """Hands the rows on, and tells how many it has."""
    begin(stage, len(rows))
    for number, row in enumerate(rows, 1):
        yield row
        if number % AT_ONCE == 0:
            advance(AT_ONCE)


def _is_key(key: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{32}", key) is not None


def _path(key: str) -> Path:
    root: Path = current_app.extensions["outreach.settings"].data_dir
    return root / "progress" / f"{key}.json"


def _remove_stale(folder: Path) -> None:
    oldest = (clock.now() - KEPT_FOR).timestamp()
    for path in folder.iterdir():
        # Another import may be removing it, too.
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < oldest:
                path.unlink()
