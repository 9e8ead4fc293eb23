"""A refused file is given back with what is wrong beside each row, and may be sent again."""

import io

import openpyxl
import pytest

from outreach.access import Role
from outreach.campaigns.importing import apply_register, plan_register
from outreach.db import db
from outreach.errors import Refused
from outreach.gifts.importing import plan_gifts
from outreach.spreadsheets.marking import mark
from outreach.spreadsheets.reading import SourceFile, read
from tests import factories
from tests.bad_files import CASES
from tests.office import make_csv, make_xlsx, plain
from tests.test_import_pages import fingerprint, upload

BAD = [
    ["2026年慈善一日捐单位名册"],
    ["板块", "单位名称", "人数", "联系人", "手机"],
    ["公安系统", "甲局", 120, "张三", "13800001234"],
    ["", "", 20, "李四", ""],
    ["", "丙局", "约30", "-王五", "13800001236"],
    ["合计", "", 140],
]
MERGED = ["A1:E1", "A3:A5"]


@pytest.fixture
def campaign(app):
    campaign = factories.make_campaign(code="2026")
    sector = factories.make_sector(campaign, name="公安系统")
    for name in ("甲局", "乙局"):
        factories.make_solicitation(campaign, sector, unit=factories.make_unit(name=name))
    return campaign


def marked(file, plan):
    return SourceFile("名册.xlsx", mark(read(file), plan.tables, plan.problems))


def told(plan):
    return [(p.sheet, p.row, p.column, plain(p.message)) for p in plan.problems]


def load(file):
    return openpyxl.load_workbook(io.BytesIO(file.content))


def test_each_refused_row_says_what_is_wrong_and_what_to_do(campaign):
    file = make_xlsx(BAD, merged=MERGED)
    plan = plan_register(campaign, file)
    sheet = load(marked(file, plan)).active
    assert [cell.value for cell in sheet[2]][-2:] == ["问题", "怎么改"]
    assert "没有单位名称" in sheet["F4"].value
    assert "人数" in sheet["F5"].value
    assert "120" in sheet["G5"].value
    assert sheet["C5"].fill.fgColor.rgb != sheet["B5"].fill.fgColor.rgb
    assert sheet["B3"].fill.fill_type is None
    assert sheet["C3"].value == 120
    assert (sheet["D5"].value, sheet["D5"].data_type, sheet["D5"].quotePrefix) == (
        "-王五",
        "s",
        True,
    )


def test_mended_in_place_it_is_taken_in(campaign):
    file = make_xlsx(BAD, merged=MERGED)
    book = load(marked(file, plan_register(campaign, file)))
    book.active["B4"], book.active["C5"] = "丁局", 30
    book.active["C6"] = 170
    buffer = io.BytesIO()
    book.save(buffer)
    plan = apply_register(campaign, SourceFile("改好.xlsx", buffer.getvalue()))
    db.session.commit()
    assert (told(plan), plan.counts["new"], plan.counts["changed"]) == ([], 2, 1)
    assert plan.tables[0].ignored == []
    sectors = {change.fields[-1].new for change in plan.new if change.subject == "丁局"}
    assert sectors != set()


def test_groups_of_a_csv_are_written_out(campaign):
    file = make_csv(
        [["板块", "单位名称"], ["公安系统", "甲局"], ["", "丙局"], ["", ""], ["", "甲局"]]
    )
    sheet = load(marked(file, plan_register(campaign, file))).active
    assert [row[0].value for row in sheet.iter_rows(min_row=2)][1] == "公安系统"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_sent_again_as_it_is_it_is_refused_for_the_same_reasons(campaign):
    count = 0
    for case in CASES.values():
        if case.is_dangerous:
            continue
        file = case.make()
        for make_plan in (plan_register, plan_gifts):
            try:
                plan = make_plan(campaign, file)
            except Refused:
                continue
            if plan.problems:
                count += 1
                again = make_plan(campaign, marked(file, plan))
                assert told(again) == [
                    (*place, message.replace("公式没有计算结果", "公式出错:#N/A"))
                    for *place, message in told(plan)
                ]
    assert count > 30


@pytest.mark.parametrize("path", ["units", "gifts"])
def test_the_preview_offers_it(campaign, sign_in, path):
    office = sign_in(Role.STAFF)
    sent = upload(office, path, make_xlsx(BAD))
    page = office.get(sent.location)
    assert f"{sent.location}/marked.xlsx" in page.text
    assert fingerprint(page) == {}
    answer = office.get(f"{sent.location}/marked.xlsx")
    names = openpyxl.load_workbook(io.BytesIO(answer.data)).sheetnames
    assert names == (["Sheet1"] if path == "units" else ["Sheet1", "问题清单"])
