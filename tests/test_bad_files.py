"""Whatever is uploaded: never a failure, never half an import, and a message that helps."""

import io
import json
import re
import subprocess
import sys

import pytest
import sqlalchemy as sa

from outreach.access import Role
from outreach.campaigns.models import Sector
from outreach.db import db
from outreach.gifts.models import Gift
from outreach.units.models import Contact, ImportBatch, Unit
from tests import factories
from tests.bad_files import CASES, MOST_SECONDS, NO_HEADER
from tests.office import plain

DANGEROUS = [name for name, case in CASES.items() if case.is_dangerous]
TABLES = (Unit, Contact, Sector, Gift, ImportBatch)


@pytest.fixture
def office(app, sign_in):
    campaign = factories.make_campaign(code="2026")
    sector = factories.make_sector(campaign, name="公安系统")
    for name in ("甲局", "乙局"):
        factories.make_solicitation(campaign, sector, unit=factories.make_unit(name=name))
    return sign_in(Role.STAFF)


def rows_of_all():
    db.session.rollback()
    return [db.session.execute(sa.select(table.__table__)).all() for table in TABLES]


def check(office, path, file, expected, notes):
    before = rows_of_all()
    data = {"file": (io.BytesIO(file.content), file.name)}
    sent = office.post(f"/c/2026/{path}/import", data=data, content_type="multipart/form-data")
    if sent.status_code == 302:
        sent, address = office.get(sent.location), sent.location
        mark = re.search(r'name="fingerprint" value="(\w+)"', sent.text)
        done = office.post(address, data={"fingerprint": mark[1] if mark else ""})
        assert done.status_code < 500
    assert sent.status_code in {200, 422}
    page = plain(sent.text)
    assert notes in page
    if isinstance(expected, str):
        assert expected in page, re.findall(r"<td[^>]*>(.*?)</td>|feedback[^>]*>(.*?)<", page)
        assert rows_of_all() == before
    else:
        batch = db.session.scalars(sa.select(ImportBatch).filter_by(kind=path)).one_or_none()
        taken = sum(batch.counts[key] for key in ("new", "changed", "unchanged")) if batch else 0
        assert taken == expected, re.findall(r'<td data-label="情况"[^>]*>(.*?)</td>', page)


def walk_statement(office, file):
    """Every page to which a statement leads answers, whatever the file is."""
    data = {"file": (io.BytesIO(file.content), file.name)}
    path = "/c/2026/gifts/statements/import"
    sent = office.post(path, data=data, content_type="multipart/form-data")
    assert sent.status_code in {302, 422}
    if sent.status_code == 302:
        pages = [office.get(sent.location + page) for page in ("", "/columns", "/marked.xlsx")]
        mark = re.search(r'name="fingerprint" value="(\w+)"', pages[0].text)
        pages.append(office.post(sent.location, data={"fingerprint": mark[1] if mark else ""}))
        assert max(page.status_code for page in pages) < 500


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", [name for name in CASES if name not in DANGEROUS])
def test_a_bad_file_is_refused_wholly_or_taken_in_rightly(office, name):
    case = CASES[name]
    file = case.make()
    check(office, "units", file, case.register, case.notes)
    check(office, "gifts", file, case.gifts, case.notes)
    walk_statement(office, file)


def test_dangerous_files_take_little_memory_and_time():
    done = subprocess.run(
        [sys.executable, "-m", "tests.bad_files", *DANGEROUS],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    told = {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert list(told) == DANGEROUS, done.stderr[-500:]
    for name, line in told.items():
        is_refused = line["outcome"] == "Refused"
        assert line["seconds"] < MOST_SECONDS, name
        assert is_refused == (CASES[name].register not in {0, 1, NO_HEADER}), line
