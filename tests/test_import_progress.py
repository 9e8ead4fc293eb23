"""How far an import is, as its page asks for it while the import runs."""

import json
import os
import threading
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from outreach import clock
from outreach.access import Role
from outreach.accounts.models import LoginSession
from outreach.campaigns.models import Campaign
from outreach.db import db
from outreach.gifts.models import Gift, StatementLine
from outreach.spreadsheets import progress
from outreach.spreadsheets.progress import PREVIEW, Stage
from outreach.units.models import Unit
from tests import factories
from tests.conftest import SignIn
from tests.office import make_csv
from tests.statement_files import Paid, bank_csv

KEY, OTHER = "0123456789abcdef" * 2, "f" * 32
ROWS = 300


@pytest.fixture
def campaign(app: Flask) -> Campaign:
    campaign = factories.make_campaign()
    sector = factories.make_sector(campaign, name="教育系统")
    factories.make_solicitation(campaign, sector, unit=factories.make_unit(name="衡阳市教育局"))
    db.session.commit()
    return campaign


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """All that is noted, each time at once."""
    notes: list[dict] = []
    monkeypatch.setattr(progress, "EVERY", 0)
    monkeypatch.setattr(progress, "AT_ONCE", 10)
    replace = Path.replace

    def note(self: Path, target: Path) -> Path:
        notes.append(json.loads(self.read_text()) | {"key": target.stem})
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", note)
    return notes


def files() -> dict[str, bytes]:
    units = [["板块", "单位名称"], *(["教育系统", f"衡阳市第{n}中学"] for n in range(ROWS))]
    gifts = [
        ["单位名称", "金额", "到账日期"],
        *(["衡阳市教育局", n + 1, "2026-10-12"] for n in range(ROWS)),
    ]
    paid = [Paid(f"{n + 1}.00", serial=str(n)) for n in range(ROWS)]
    return {
        "units/import": make_csv(units).content,
        "gifts/import": make_csv(gifts).content,
        "gifts/statements/import": bank_csv(paid).content,
    }


@pytest.mark.parametrize(
    ("page", "model"),
    [("units/import", Unit), ("gifts/import", Gift), ("gifts/statements/import", StatementLine)],
)
def test_every_import_tells_how_far_it_is(campaign, sign_in: SignIn, told, page, model):
    client = sign_in(Role.STAFF)
    base = f"/c/{campaign.code}/{page}"
    file = (BytesIO(files()[page]), "a.csv")
    preview = client.post(base, data={"file": file, "progress": KEY}).location
    assert preview.endswith(f"?progress={KEY}")
    shown = client.get(preview).text
    check_rises(told, ["reading", "checking", "comparing"])
    told.clear()
    fingerprint = shown.partition('name="fingerprint" value="')[2].partition('"')[0]
    # The page of the preview still has the key of the upload in its address.
    client.post(preview, data={"fingerprint": fingerprint, "progress": OTHER})
    assert {note["key"] for note in told} == {OTHER}
    matching = ["matching"] if model is StatementLine else []
    check_rises(told, ["reading", "checking", "comparing", "writing", *matching])
    assert db.session.scalar(sa.select(sa.func.count()).select_from(model)) >= ROWS
    assert client.get(f"/c/{campaign.code}/imports/progress/{KEY}").status_code == 204


def check_rises(notes: list[dict], stages: list[str]) -> None:
    assert list(dict.fromkeys(note["stage"] for note in notes)) == stages
    shares = [note["share"] for note in notes]
    assert shares == sorted(shares)
    assert shares[-1] > 1 - 1 / len(stages)
    counted = {note["stage"] for note in notes if note["done"] == note["total"] >= ROWS}
    assert counted == set(stages) - {"reading"}


class TestReading:
    def test_it_is_for_who_has_begun_it_and_while_it_runs(self, app: Flask, sign_in: SignIn):
        client = sign_in(Role.STAFF)
        user_id = int(client.get("/session").get_json()["user"])
        campaign = factories.make_campaign()
        url = f"/c/{campaign.code}/imports/progress/{KEY}"
        with progress.reporting(KEY, user_id, PREVIEW):
            progress.begin(Stage.CHECKING, 200)
            assert client.get(url).get_json() == {
                "stage": "checking",
                "label": "正在核对各行",
                "done": 0,
                "total": 200,
                "share": pytest.approx(1 / 3),
            }
        assert client.get(url).status_code == 204
        with progress.reporting(KEY, user_id + 1, PREVIEW):
            assert client.get(url).status_code == 204

    @pytest.mark.parametrize("key", ["", "x", "../../secret", KEY.upper(), KEY + "0"])
    def test_a_key_that_no_page_makes_is_none(self, app: Flask, key: str):
        with progress.reporting(key, 1, PREVIEW):
            progress.begin(Stage.CHECKING, 2)
            assert progress.read(key, 1) is None
        folder = app.extensions["outreach.settings"].data_dir / "progress"
        assert not folder.exists()

    def test_an_import_that_fails_leaves_no_bar_behind(self, app: Flask):
        with pytest.raises(RuntimeError), progress.reporting(KEY, 1, PREVIEW):
            raise RuntimeError
        assert progress.read(KEY, 1) is None

    def test_what_a_dead_process_left_behind_goes_with_the_next(self, app: Flask):
        folder = app.extensions["outreach.settings"].data_dir / "progress"
        folder.mkdir()
        dead = folder / f"{'f' * 32}.json"
        dead.write_text("{}")
        os.utime(dead, (0, 0))
        with progress.reporting(KEY, 1, PREVIEW):
            assert not dead.exists()

    def test_a_full_disk_costs_the_bar_and_not_the_import(
        self, app: Flask, monkeypatch: pytest.MonkeyPatch
    ):
        def fail(*_arguments: object) -> None:
            raise OSError("no space left")

        monkeypatch.setattr(Path, "write_text", fail)
        with progress.reporting(KEY, 1, PREVIEW):
            assert list(progress.follow([1, 2], Stage.CHECKING)) == [1, 2]
        assert progress.read(KEY, 1) is None

    def test_asking_is_no_sign_of_life(self, app: Flask, sign_in: SignIn):
        """It would wait for the import that it asks about, and keep an empty chair signed in."""
        client = sign_in(Role.STAFF)
        campaign = factories.make_campaign()
        login = db.session.scalars(sa.select(LoginSession)).one()
        seen = login.last_seen_at = clock.now() - timedelta(minutes=10)
        db.session.commit()
        client.get(f"/c/{campaign.code}/imports/progress/{KEY}")
        assert login.last_seen_at == seen
        client.get("/password")
        assert login.last_seen_at > seen

    def test_two_imports_at_once_do_not_tell_of_each_other(self, app: Flask):
        with progress.reporting(KEY, 1, PREVIEW):
            progress.begin(Stage.CHECKING, 10)
            other = threading.Thread(target=progress.begin, args=(Stage.COMPARING, 99))
            other.start()
            other.join()
            assert progress.read(KEY, 1)["total"] == 10
