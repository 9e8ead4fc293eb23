"""Upload, preview and confirmation in the browser."""

import io
import os
import re
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa

from outreach import clock
from outreach.access import Role
from outreach.campaigns.importing import apply_register
from outreach.db import db
from outreach.gifts.importing import apply_gifts
from outreach.gifts.models import Gift
from outreach.spreadsheets.reading import SourceFile, read
from outreach.spreadsheets.tables import find_tables
from outreach.units.models import ImportBatch, Unit
from tests import factories
from tests.office import make_csv, make_xlsx, plain

REGISTER = [["板块", "单位名称", "联系人", "手机"], ["公安系统", "甲局", "张三", "13800001234"]]
GIFTS = [["单位名称", "金额(元)", "日期"], ["未分配", "500", "2026-09-12"]]


@pytest.fixture
def campaign(app):
    campaign = factories.make_campaign(code="2026")
    factories.make_sector(campaign, name="公安系统")
    return campaign


@pytest.fixture
def office(campaign, sign_in):
    return sign_in(Role.STAFF)


def upload(client, path, file):
    data = {"file": (io.BytesIO(file.content), file.name)}
    return client.post(f"/c/2026/{path}/import", data=data, content_type="multipart/form-data")


def fingerprint(page):
    found = re.search(r'name="fingerprint" value="(\w+)"', page.text)
    return {"fingerprint": found[1]} if found else {}


@pytest.mark.parametrize(
    ("path", "rows", "table"), [("units", REGISTER, Unit), ("gifts", GIFTS, Gift)]
)
class TestStory:
    def test_upload_preview_confirm_and_again(self, office, path, rows, table):
        file = make_xlsx(rows)
        sent = upload(office, path, file)
        preview = office.get(sent.location)
        assert (preview.status_code, file.sha256 in sent.location) == (200, True)
        assert db.session.scalar(sa.select(sa.func.count(table.id))) == 0
        db.session.rollback()
        done = office.post(sent.location, data=fingerprint(preview), follow_redirects=True)
        assert "已导入:新增 1" in plain(done.text)
        assert "名册.xlsx" in done.text
        assert db.session.scalar(sa.select(sa.func.count(table.id))) == 1
        [batch] = db.session.scalars(sa.select(ImportBatch))
        assert batch.created_by_id is not None
        db.session.rollback()
        again = office.get(upload(office, path, file).location)
        assert "已经导入过" in again.text

    def test_a_preview_that_is_out_of_date_is_shown_anew(self, office, path, rows, table):
        sent = upload(office, path, make_xlsx(rows))
        answer = office.post(sent.location, data={"fingerprint": "0" * 64}, follow_redirects=True)
        assert "数据有变化" in answer.text
        assert db.session.scalar(sa.select(sa.func.count(table.id))) == 0

    def test_a_refused_file_shows_row_and_remedy_and_no_button(self, office, path, rows, table):
        header, line = rows
        sent = upload(office, path, make_csv([header, ["", *line[1:]], ["外星", "无此局", "约5"]]))
        preview = office.get(sent.location)
        assert "第 3 行" in preview.text
        assert "确认导入" not in preview.text
        office.post(sent.location)
        assert db.session.scalar(sa.select(sa.func.count(table.id))) == 0

    @pytest.mark.parametrize(
        "file",
        [
            SourceFile("a.xlsx", b""),
            SourceFile("a.xlsx", b"MZ" * 100),
            SourceFile("a.exe", b"MZ" * 100),
            SourceFile("../../a.csv", b"\xff\xfe\x00"),
            make_xlsx([["甲", "乙"]]),
            make_xlsx([[None] * 100 + ["远"]]),
        ],
        ids=["empty", "renamed", "program", "binary", "no-header", "wide"],
    )
    def test_a_file_that_cannot_be_read_says_why(self, office, path, rows, table, file):
        sent = upload(office, path, file)
        answer = office.get(sent.location)
        assert answer.status_code in {200, 422}
        assert "invalid-feedback" in answer.text or "必须改正" in answer.text

    def test_the_pages_are_there_at_first(self, office, path, rows, table):
        page = office.get(f"/c/2026/{path}/import")
        assert (page.status_code, "能识别的列" in page.text) == (200, True)
        assert "请选择一个" in office.post(f"/c/2026/{path}/import").text

    def test_the_sample_is_understood_wholly(self, office, path, rows, table):
        from outreach.campaigns import import_views as units_pages
        from outreach.gifts import import_views as gifts_pages

        answer = office.get(f"/c/2026/{path}/import/sample.xlsx")
        layout = (units_pages if path == "units" else gifts_pages).PAGES.layout
        [read_table] = find_tables(read(SourceFile("a.xlsx", answer.data)), layout).tables
        assert (read_table.ignored, len(read_table.rows) >= 2) == ([], True)


def test_the_preview_masks_numbers(office):
    preview = office.get(upload(office, "units", make_xlsx(REGISTER)).location)
    assert "138****1234" in preview.text
    assert "13800001234" not in preview.text


def test_exactly_the_previewed_file_is_taken(office, app):
    sent = upload(office, "units", make_xlsx(REGISTER))
    folder = app.extensions["outreach.settings"].data_dir / "uploads" / sent.location.split("/")[-1]
    [path] = folder.iterdir()
    path.write_bytes(make_xlsx([*REGISTER, ["公安系统", "乙局", "", ""]]).content)
    assert office.post(sent.location).status_code == 404


def test_uploads_go_when_they_are_taken_in_or_forgotten(office, app, tuesday_morning):
    root = app.extensions["outreach.settings"].data_dir / "uploads"
    sent = upload(office, "units", make_xlsx(REGISTER))
    office.post(sent.location, data=fingerprint(office.get(sent.location)))
    assert list(root.iterdir()) == []
    upload(office, "units", make_xlsx(REGISTER))
    [forgotten] = root.iterdir()
    long_ago = clock.now().timestamp() - 3 * 86_400
    os.utime(forgotten, (long_ago, long_ago))
    upload(office, "gifts", make_xlsx(GIFTS))
    assert forgotten not in set(root.iterdir())


@pytest.mark.parametrize("name", ["..", "x" * 64, "0" * 64, "%2e%2e%2fvar"])
def test_an_address_that_is_no_upload_is_not_found(office, name):
    assert office.get(f"/c/2026/units/import/{name}").status_code == 404


def test_a_name_with_a_path_stays_in_its_folder(office, app):
    content = make_csv(REGISTER).content
    upload(office, "units", SourceFile("..\\..\\名 册\uff08终\uff09.csv", content))
    root: Path = app.extensions["outreach.settings"].data_dir / "uploads"
    [path] = root.glob("*/*")
    assert path.name == "名 册\uff08终\uff09.csv"


def test_an_auditor_may_not_import(campaign, sign_in):
    assert sign_in(Role.AUDITOR).get("/c/2026/units/import").status_code == 403


def tables_of_the_guide():
    """The example tables of docs/import.md: rows of cells, by the heading above them."""
    text = Path("docs/import.md").read_text()
    for section in text.split("\n## ")[1:3]:
        lines = [line.strip("|").split("|") for line in section.splitlines() if line[:1] == "|"]
        cells = [[re.sub(r"\*\*|\(merged.*?\)", "", cell).strip() for cell in row] for row in lines]
        yield [row for row in cells if not row[0].startswith("---")]


def test_the_examples_of_the_guide_can_be_taken_in(campaign):
    factories.make_sector(campaign, name="个人板块")
    factories.make_user(name="王劝")
    campaign.starts_on, campaign.ends_on = date(2023, 8, 28), date(2023, 12, 31)
    register, gifts = tables_of_the_guide()
    units = apply_register(campaign, make_csv(register))
    assert (units.counts["new"], units.problems) == (3, [])
    plan = apply_gifts(campaign, make_csv(gifts))
    assert (plan.counts["new"], plan.problems, plan.new_fen) == (4, [], 6_120_000)
