"""Photos of visits: JPEGs of our own making, kept as files of the data directory beside rows that
name them. What a camera writes into its files (where, when, with which phone) is not among them."""

import hashlib
import io
import os
import secrets
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path

import sqlalchemy as sa
from flask import current_app
from flask_babel import lazy_gettext as _
from PIL import Image, ImageOps

from outreach import audit, clock
from outreach.accounts.models import User
from outreach.db import db
from outreach.errors import Refused
from outreach.visits.models import Visit, VisitPhoto

MOST = 3
"""Photos of one visit."""
MOST_BYTES = 10 * 1024 * 1024
MOST_SENT = 32 * 1024 * 1024
"""Bytes of the form with its photos."""
MOST_PIXELS = 50_000_000
"""A picture of a few kilobytes can say that it is gigabytes large; phones make 12 to 50 million."""
LONGEST_SIDE = 1600
QUALITY = 80
FORMATS = ("JPEG", "PNG", "WEBP")
UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
    Image.DecompressionBombError,
)
"""What Pillow raises for files that are no pictures, or broken ones."""


@dataclass(frozen=True)
class Picture:
    """A photo as it will be kept."""

    name: str
    """As the person who chose it knows it."""
    content: bytes
    width: int
    height: int

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def read_picture(name: str, content: bytes) -> Picture:
    """A picture made anew from the file; Refused when it is none, or too large to be opened."""
    if len(content) > MOST_BYTES:
        raise Refused(_("照片“%(name)s”超过 10 MB。", name=name))
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise Refused(_("照片“%(name)s”的像素太多，最多 5000 万。", name=name))
            image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            upright = ImageOps.exif_transpose(image).convert("RGBA")
    except UNREADABLE as error:
        raise Refused(
            _("“%(name)s”不是能打开的照片，只收 JPG、PNG 和 WebP。", name=name)
        ) from error
    # On a new sheet: nothing but what can be seen comes along.
    sheet = Image.new("RGB", upright.size, "white")
    sheet.paste(upright, mask=upright)
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return Picture(name, buffer.getvalue(), sheet.width, sheet.height)


def add_photos(visit: Visit, pictures: Sequence[Picture], *, by: User | None) -> None:
    """Keeps the pictures with the visit, each once. A file is complete before there is a row that
    names it, so what is rolled back leaves at most a file that nobody knows."""
    for picture in {picture.sha256: picture for picture in pictures}.values():
        name = f"{secrets.token_hex(16)}.jpg"
        _write(name, picture.content)
        db.session.add(
            VisitPhoto(
                visit_id=visit.id,
                name=name,
                byte_count=len(picture.content),
                sha256=picture.sha256,
                width=picture.width,
                height=picture.height,
                made_by_id=by.id if by else None,
                created_at=clock.now(),
            )
        )
    db.session.flush()


def remove_photo(photo: VisitPhoto) -> None:
    """Takes the row away; after the commit `delete_file` follows."""
    db.session.delete(photo)
    audit.record("remove.photo", f"visit:{photo.visit_id}", sha256=photo.sha256)


def delete_file(name: str) -> None:
    path_of(name).unlink(missing_ok=True)


def remove_orphans() -> int:
    """Deletes files of more than a day that no row names, as a log that was rolled back leaves
    them; returns how many."""
    oldest = (clock.now() - timedelta(days=1)).timestamp()
    old = [path for path in _folder().glob("*.jpg") if path.stat().st_mtime < oldest]
    named = set(db.session.scalars(sa.select(VisitPhoto.name)))
    orphans = [path for path in old if path.name not in named]
    for path in orphans:
        path.unlink(missing_ok=True)
    return len(orphans)


def path_of(name: str) -> Path:
    return _folder() / name


def _folder() -> Path:
    folder: Path = current_app.extensions["outreach.settings"].data_dir / "photos"
    return folder


def _write(name: str, content: bytes) -> None:
    _folder().mkdir(mode=0o700, exist_ok=True)
    path = path_of(name)
    path.touch(mode=0o600)
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
