"""Files that wait between their preview and the confirmation that takes them in."""

import re
import shutil
from datetime import timedelta
from pathlib import Path

from flask import current_app
from flask_babel import lazy_gettext as _

from outreach import clock
from outreach.errors import NotFound
from outreach.spreadsheets.reading import SourceFile

LONGEST_NAME = 80
KEPT_FOR = timedelta(days=1)


def keep(file: SourceFile) -> str:
    """Puts the file by under its SHA-256, which is returned; what nobody confirmed is removed."""
    remove_stale()
    folder = _root() / file.sha256
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    path = folder / _safe_name(file)
    path.touch(mode=0o600)
    path.write_bytes(file.content)
    return file.sha256


def take(sha256: str) -> SourceFile:
    """Exactly the file that was put by; NotFound when it is gone or is not the same any more."""
    for path in _folder(sha256).glob("*"):
        file = SourceFile(path.name, path.read_bytes())
        if file.sha256 == sha256:
            return file
    raise NotFound(_MISSING)


def remove(sha256: str) -> None:
    shutil.rmtree(_folder(sha256), ignore_errors=True)


def remove_stale() -> None:
    """Deletes what nobody has confirmed for a day."""
    oldest = (clock.now() - KEPT_FOR).timestamp()
    for folder in _root().glob("*"):
        if folder.stat().st_mtime < oldest:
            shutil.rmtree(folder, ignore_errors=True)


_MISSING = _("没有找到上传的文件，可能已经导入或过期。请重新上传。")


def _folder(sha256: str) -> Path:
    """NotFound when it is no SHA-256: what comes from a browser may be any path."""
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise NotFound(_MISSING)
    return _root() / sha256


def _root() -> Path:
    root: Path = current_app.extensions["outreach.settings"].data_dir / "uploads"
    return root


def _safe_name(file: SourceFile) -> str:
    stem = Path(file.name.replace("\\", "/")).stem
    stem = "".join(letter for letter in stem if letter.isalnum() or letter in " -_()\uff08\uff09·")
    return (stem.strip()[:LONGEST_NAME] or "upload") + file.extension
