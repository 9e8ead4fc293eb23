"""Photos with a visit: taken in as pictures and nothing else, kept once, seen like the visit."""

import io
import re
import struct
import zlib

import pytest
import sqlalchemy as sa
from flask import Flask
from PIL import Image

from outreach.access import Role
from outreach.audit import AuditEvent
from outreach.db import db
from outreach.errors import Refused
from outreach.merging.plans import plan_merge
from outreach.merging.services import merge_units
from outreach.spreadsheets import uploads
from outreach.spreadsheets.reading import SourceFile
from outreach.visits import photos
from outreach.visits.models import Visit, VisitPhoto, VisitStatus
from outreach.visits.photos import read_picture
from tests.conftest import SignIn
from tests.factories import (
    make_campaign,
    make_photo,
    make_picture,
    make_sector,
    make_solicitation,
    make_unit,
    make_user,
    make_visit,
)

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def visit(app: Flask) -> Visit:
    return make_visit(make_solicitation(), make_user())


def url(visit: Visit, path: str = "/{}/log") -> str:
    return f"/c/{visit.solicitation.campaign.code}/visits{path.format(visit.id)}"


def sent(*files: bytes | str, **values: str) -> dict:
    """A log with these files, or what the page has kept of those sent before."""
    chosen = [
        file if isinstance(file, str) else (io.BytesIO(file), f"{number}.jpg")
        for number, file in enumerate(files, 1)
    ]
    typed = {"outcome": "not_in", "visited_on": "2026-10-20", "client_key": "k1", "note": "门开着"}
    return typed | values | {"photos": chosen}


def count_photos() -> int:
    return db.session.scalar(sa.select(sa.func.count(VisitPhoto.id))) or 0


def files_of(app: Flask, folder: str = "photos") -> list[bytes]:
    root = app.extensions["outreach.settings"].data_dir / folder
    return [path.read_bytes() for path in root.rglob("*") if path.is_file()]


def make_telling_picture() -> bytes:
    """Lying on its side, with a place, a phone and a remark in it."""
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to the right
    exif[0x010F] = "Telltale"
    exif.get_ifd(0x8825)[2] = (26.0, 53.0, 36.0)
    return make_picture(size=(3200, 1800), exif=exif, comment=b"Telltale", icc_profile=b"Telltale")


def test_a_picture_is_made_small_upright_and_says_nothing_else():
    source = make_telling_picture()
    assert source.count(b"Telltale") == 3
    picture = read_picture("a.jpg", source)
    image = Image.open(io.BytesIO(picture.content))
    assert (image.format, image.size) == ("JPEG", (900, 1600))
    assert (picture.width, picture.height) == image.size
    assert dict(image.getexif()) == {}
    assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert b"Telltale" not in picture.content


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("JPEG", "CMYK"),
        ("JPEG", "L"),
        ("PNG", "P"),
        ("PNG", "I;16"),
        ("PNG", "RGBA"),
        ("WEBP", "RGBA"),
    ],
)
def test_what_phones_and_scanners_make_can_be_read(kind: str, mode: str):
    buffer = io.BytesIO()
    Image.new(mode, (40, 30)).save(buffer, kind)
    picture = read_picture("a", buffer.getvalue())
    image = Image.open(io.BytesIO(picture.content))
    assert (image.mode, image.size) == ("RGB", (40, 30))
    if mode == "RGBA":
        assert image.getpixel((0, 0)) == (255, 255, 255), "what can be seen through is white"


def make_bomb() -> bytes:
    """A kilobyte that says it is a picture of 900 million pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


BAD = {
    "text": b"<script>alert(1)</script>",
    "nothing": b"",
    "gif": make_picture(kind="GIF"),
    "half": make_picture(size=(400, 300))[:600],
    "bomb": make_bomb(),
    "many pixels": make_picture(kind="PNG", size=(8000, 6251)),
    "many bytes": make_picture() + bytes(photos.MOST_BYTES),
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_what_is_no_picture_or_too_large_is_refused(content: bytes):
    with pytest.raises(Refused):
        read_picture("a.jpg", content)


def test_a_log_with_photos_that_is_sent_twice_has_them_once(
    app: Flask, visit: Visit, sign_in: SignIn
):
    client = sign_in(visit.visitor)
    files = [make_picture("red"), make_picture("blue"), make_picture("red")]
    for _ in range(2):
        assert client.post(url(visit), data=sent(*files)).status_code == 302
    kept = db.session.scalars(sa.select(VisitPhoto)).all()
    assert [photo.visit_id for photo in kept] == [visit.id] * 2
    assert {photos.path_of(photo.name).read_bytes() for photo in kept} == set(files_of(app))
    assert [photo.made_by_id for photo in kept] == [visit.visitor_id] * 2
    timeline = client.get(
        f"/c/{visit.solicitation.campaign.code}/units/{visit.solicitation.unit_id}"
    )
    assert timeline.text.count('loading="lazy"') == 2


@ON_SQLITE
def test_a_bad_file_is_named_and_the_rest_is_kept_to_be_sent_again(
    app: Flask, visit: Visit, sign_in: SignIn
):
    """As from a phone, where the log waited: without the bad one it arrives."""
    client = sign_in(visit.visitor)
    answer = client.post(url(visit), data=sent(make_picture(), b"GIF89a"))
    assert answer.status_code == 422
    assert "“2.jpg”不是能打开的照片" in answer.text
    assert "门开着" in answer.text
    assert (count_photos(), files_of(app)) == (0, [])
    [kept] = re.findall(r'name="photos" value="([0-9a-f]{64})" checked', answer.text)
    assert client.post(url(visit), data=sent(kept)).status_code == 302
    assert count_photos() == len(files_of(app)) == 1
    assert files_of(app, "uploads") == [], "what has arrived is not kept twice"
    assert client.post(url(visit), data=sent(b"GIF89a")).status_code == 302, "it is there"
    assert count_photos() == 1


@ON_SQLITE
def test_what_was_put_by_too_long_ago_is_chosen_anew(visit: Visit, sign_in: SignIn):
    client = sign_in(visit.visitor)
    answer = client.post(url(visit), data=sent("0" * 64))
    assert answer.status_code == 422
    assert "请重新上传" in answer.text
    assert client.post(url(visit), data=sent()).status_code == 302


@ON_SQLITE
def test_three_photos_as_large_as_may_be_pass_and_a_fourth_does_not(visit: Visit, sign_in: SignIn):
    client = sign_in(visit.visitor)
    files = [make_picture(colour) for colour in ("red", "blue", "green")]
    full = [file + bytes(photos.MOST_BYTES - len(file)) for file in files]
    refused = client.post(url(visit), data=sent(*files, make_picture("white")))
    assert refused.status_code == 422
    assert "最多 3 张照片" in refused.text
    assert refused.text.count("checked><span") == 3
    assert client.post(url(visit), data=sent(*full)).status_code == 302
    assert count_photos() == 3


def test_of_two_versions_the_second_brings_its_photos_along(visit: Visit, sign_in: SignIn):
    mine, theirs = sign_in(visit.visitor), sign_in(make_user())
    theirs.post(url(visit), data=sent(client_key="k2"))
    answer = mine.post(url(visit), data=sent(make_picture(), version="1"))
    assert answer.status_code == 409
    again = re.search(r'action="([^"]+/visits/log)"', answer.text)[1]
    kept = re.search(r'name="photos" value="([0-9a-f]{64})"', answer.text)[1]
    assert mine.post(again, data=sent(kept)).status_code == 302
    [photo] = db.session.scalars(sa.select(VisitPhoto))
    assert (photo.visit.client_key, photo.visit_id != visit.id) == ("k1", True)


@ON_SQLITE
def test_no_row_is_left_without_its_file(
    app: Flask, visit: Visit, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
):
    def fill_the_disk(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    client = sign_in(visit.visitor)
    with monkeypatch.context() as broken:
        broken.setattr(photos.os, "fsync", fill_the_disk)
        assert client.post(url(visit), data=sent(make_picture())).status_code == 500
    db.session.refresh(visit)
    assert (visit.status, count_photos()) == (VisitStatus.PLANNED, 0)
    photos.add_photos(visit, [read_picture("a", make_picture())], by=None)
    db.session.rollback()
    assert count_photos() == 0


def test_a_photo_is_seen_by_whoever_sees_the_visit(visit: Visit, sign_in: SignIn):
    photo = make_photo(visit)
    address = url(visit, f"/photos/{photo.id}")
    answer = sign_in(Role.AUDITOR).get(address)
    assert (answer.status_code, answer.mimetype) == (200, "image/jpeg")
    assert answer.data == photos.path_of(photo.name).read_bytes()
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    own = sign_in(make_user(Role.LIAISON, sectors=(visit.solicitation.sector,)))
    again = own.get(address, headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    sector = make_sector(visit.solicitation.campaign)
    other = sign_in(make_user(Role.LIAISON, sectors=(sector,)))
    assert other.get(address).status_code == 404
    elsewhere = f"/c/{make_campaign().code}/visits/photos/{photo.id}"
    assert sign_in().get(elsewhere).status_code == 404
    photos.delete_file(photo.name)
    assert own.get(address).status_code == 404


def test_a_photo_is_taken_away_with_its_file_and_that_is_noted(
    app: Flask, visit: Visit, sign_in: SignIn
):
    client = sign_in(visit.visitor)
    client.post(url(visit), data=sent(make_picture()))
    action = re.search(r'action="([^"]+/remove)"', client.get(url(visit)).text)[1]
    answer = client.post(action, follow_redirects=True)
    assert "照片已删除" in answer.text
    assert (count_photos(), files_of(app)) == (0, [])
    event = db.session.scalars(sa.select(AuditEvent).filter_by(action="remove.photo")).one()
    assert (event.subject, event.user_id) == (f"visit:{visit.id}", visit.visitor_id)
    assert client.post(action).status_code == 404


@ON_SQLITE
def test_photos_go_along_when_two_units_turn_out_to_be_one(visit: Visit, sign_in: SignIn):
    solicitation, photo = visit.solicitation, make_photo(visit)
    code = solicitation.campaign.code
    visit.status = VisitStatus.DROPPED
    survivor = make_unit()
    make_solicitation(solicitation.campaign, solicitation.sector, unit=survivor)
    plan = plan_merge(survivor, solicitation.unit)
    merge_units(survivor, solicitation.unit, fingerprint=plan.fingerprint, by=None)
    db.session.commit()
    page = sign_in().get(f"/c/{code}/units/{survivor.id}").text
    assert f"/visits/photos/{photo.id}" in page


@ON_SQLITE
@pytest.mark.parametrize("path", ["", "..", "../photos", "{outside}"])
def test_what_is_sent_in_the_place_of_a_photo_is_never_a_path(
    app: Flask, visit: Visit, sign_in: SignIn, tmp_path, path: str
):
    client = sign_in()
    assert client.post(url(visit), data=sent(make_picture())).status_code == 302
    outside = tmp_path / "outside"
    outside.mkdir()
    uploads.keep(SourceFile("名册.csv", b"x"))
    again = client.post(url(visit), data=sent(path.format(outside=outside)))
    assert again.status_code == 302
    assert outside.exists()
    assert len(files_of(app)) == 1
    assert (app.extensions["outreach.settings"].data_dir / "uploads").exists()
