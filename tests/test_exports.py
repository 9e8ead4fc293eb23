"""Lists that are taken away: what is in the files, what is masked, and who took them."""

import csv
import io
from datetime import date

import openpyxl
import pytest
import sqlalchemy as sa
from flask import Flask

from outreach.access import Role
from outreach.audit import AuditEvent
from outreach.campaigns.models import Solicitation
from outreach.db import db
from outreach.gifts.models import GiftKind
from outreach.gifts.services import reverse_gift
from outreach.spreadsheets.listings import Field, Listing, Style, write_csv, write_xlsx
from outreach.units.models import UnitKind
from tests import factories
from tests.conftest import SignIn

RISKY = "=HYPERLINK(1)"
FIRST_ROW = 4
"""Of the data: above it are title, note and header."""


@pytest.fixture
def finance(app: Flask) -> Solicitation:
    before = factories.make_campaign(code="before")
    campaign = factories.make_campaign(previous_id=before.id)
    unit = factories.make_unit(name="衡阳市财政局", initials="hysczj")
    factories.make_contact(unit, name="王敏", mobile="+8613873411234")
    factories.make_gift(factories.make_solicitation(before, unit=unit), 1_500_000_00)
    return factories.make_solicitation(campaign, unit=unit, next_action=RISKY)


def path(solicitation: Solicitation, last: str) -> str:
    return f"/c/{solicitation.campaign.code}{last}"


def open_xlsx(answer) -> openpyxl.Workbook:
    assert answer.status_code == 200, answer.text
    assert answer.mimetype.endswith("spreadsheetml.sheet")
    return openpyxl.load_workbook(io.BytesIO(answer.data))


def table_of(sheet) -> list[dict[str, object]]:
    header, *rows = sheet.iter_rows(min_row=FIRST_ROW - 1, values_only=True)
    return [dict(zip(header, row, strict=True)) for row in rows]


def open_csv(answer) -> list[dict[str, str]]:
    assert answer.status_code == 200
    assert answer.data.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"))))


def test_the_ledger_comes_as_numbers_days_and_safe_text(finance: Solicitation, sign_in: SignIn):
    gift = factories.make_gift(finance, 30_000_50, reference=RISKY, note="＝1+1", donor_count=38)
    factories.make_gift(finance, 20_00, kind=GiftKind.INDIVIDUAL)
    reverse_gift(gift, reason="误记", by=None)
    db.session.commit()
    client = sign_in(Role.AUDITOR)
    book = open_xlsx(client.get(path(finance, "/gifts/export")))
    assert book.sheetnames == ["到账明细", "合计"]
    sheet = book["到账明细"]
    assert finance.campaign.name in sheet["A1"].value
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("B4", "A3:P6")
    name, purpose = (sheet.column_dimensions[column].width for column in "AJ")
    assert 2 * len(finance.unit.name) < name <= 34.8, "as wide as what it holds, up to a limit"
    assert 2 * len("指定用途") < purpose < 18, "an empty one is as wide as its title"
    reversal, other, first, totals = table_of(sheet)
    assert first["金额（元）"] == 30_000.5
    assert first["到账日期"].date() == date(2026, 10, 20)
    assert (first["流水号或凭证号"], first["备注"], first["人数"]) == (RISKY, "＝1+1", 38)
    assert (first["冲正"], reversal["冲正"]) == ("已冲正", f"冲正 {gift.id} 号")
    assert (reversal["金额（元）"], other["金额（元）"]) == (-30_000.5, 20)
    amount, reference = sheet["D6"], sheet["I6"]
    assert amount.number_format == "#,##0.00"
    assert (reference.data_type, reference.quotePrefix) == ("s", True)
    assert totals["金额（元）"] == "=SUBTOTAL(109,D4:D6)"
    parts = {row["部分"]: row for row in table_of(book["合计"])}
    assert (parts["全部"]["金额（元）"], parts["全部"]["金额（万元）"]) == (20, 0.002)
    assert parts["个人捐款"]["金额（元）"] + parts["单位捐款"]["金额（元）"] == 20
    rows = open_csv(client.get(path(finance, "/gifts/export?as=csv")))
    assert [row["金额（元）"] for row in rows] == ["-30000.50", "20.00", "30000.50"]
    assert (rows[2]["流水号或凭证号"], rows[2]["备注"]) == (f"'{RISKY}", "'＝1+1")


def test_the_ledger_follows_the_filter_of_the_page(finance: Solicitation, sign_in: SignIn):
    factories.make_gift(finance, 100)
    factories.make_gift(finance, 200, kind=GiftKind.INDIVIDUAL)
    answer = sign_in().get(path(finance, "/gifts/export?kind=individual&as=csv"))
    assert [row["金额（元）"] for row in open_csv(answer)] == ["2.00"]
    event = db.session.scalars(sa.select(AuditEvent)).one()
    assert (event.action, event.facts["rows"]) == ("export.list", 1)
    assert event.facts["asked"] == {"kind": "individual"}


def test_the_work_list_hides_numbers_unless_a_reason_is_given(
    finance: Solicitation, sign_in: SignIn
):
    client = sign_in(Role.STAFF)
    page = client.get(path(finance, "/worklist")).text
    assert path(finance, "/worklist/export") in page
    [row, _totals] = table_of(open_xlsx(client.get(path(finance, "/worklist/export")))["劝募单位"])
    assert (row["单位"], row["上年度（元）"], row["下一步"]) == ("衡阳市财政局", 1_500_000, RISKY)
    assert (row["联络员"], row["电话"]) == ("王敏", "138****1234")
    address = path(finance, "/worklist/export/phones?as=csv&q=czj")
    assert client.post(address, data={"reason": ""}).status_code == 422
    [row] = open_csv(client.post(address, data={"reason": "call"}))
    assert row["电话"] == "13873411234"
    event = db.session.scalars(sa.select(AuditEvent).order_by(AuditEvent.id.desc())).first()
    assert (event.facts["reason"], event.facts["asked"]) == ("call", {})


def test_an_army_unit_s_name_leaves_with_the_office_only(finance: Solicitation, sign_in: SignIn):
    army = factories.make_unit(name="96112部队", public_name="驻衡某部", kind=UnitKind.ARMY)
    soldiers = factories.make_solicitation(finance.campaign, finance.sector, unit=army)
    given = factories.make_gift(soldiers, 100)
    factories.make_receipt(given, payer="96112部队", payer_code="12430400MB1234567X")
    liaison = factories.make_user(Role.LIAISON, sectors=(finance.sector,))
    everything = path(finance, "/worklist/export?as=csv&all=1")
    for who, name in (
        (Role.STAFF, "96112部队"),
        (Role.AUDITOR, "驻衡某部"),
        (liaison, "驻衡某部"),
    ):
        client = sign_in(who)
        assert name in {row["单位"] for row in open_csv(client.get(everything))}
        if who is not liaison:
            [gift] = open_csv(client.get(path(finance, "/gifts/export?as=csv")))
            assert gift["捐赠方"] == name
            units = client.get(path(finance, "/gifts/comparison/export?as=csv&table=2"))
            assert name in {row["单位"] for row in open_csv(units)}
            [receipt] = open_csv(client.get(path(finance, "/receipts/export?as=csv")))
            assert (receipt["交款人"], bool(receipt["统一社会信用代码"])) == (
                name,
                who is Role.STAFF,
            )


def test_the_comparison_adds_up_in_the_file(finance: Solicitation, sign_in: SignIn):
    factories.make_gift(finance, 1_810_703_501)
    book = open_xlsx(sign_in().get(path(finance, "/gifts/comparison/export")))
    assert book.sheetnames == ["各板块", "各单位"]
    sector, elsewhere, _totals = table_of(book["各板块"])
    assert sector["本年（万元）"] == 1810.703501
    assert book["各板块"]["B4"].number_format == '#,##0.00##;-#,##0.00##;"–"'
    assert sector["上年口径（万元）"] + elsewhere["上年口径（万元）"] == 150
    parts = ("新增", "上升", "下降", "上年有、本年未到账", "不记单位", "单位调整")
    assert sector["增减（万元）"] == pytest.approx(sum(sector[f"{part}（万元）"] for part in parts))
    [unit, _totals] = table_of(book["各单位"])
    assert (unit["变化"], unit["增减（元）"]) == ("上升", 16_607_035.01)


def test_the_reconciliation_comes_with_all_its_tables(finance: Solicitation, sign_in: SignIn):
    client = sign_in()
    factories.make_gift(finance, 300_00)
    figure = {"subject": "total", "sector_id": "0", "value": "1810.7035", "source": "总结"}
    client.post(path(finance, "/gifts/reconciliation/figures"), data=figure)
    figure |= {"subject": "unit_count", "value": "7"}
    client.post(path(finance, "/gifts/reconciliation/figures"), data=figure)
    address = path(finance, "/gifts/reconciliation/export")
    assert address in client.get(path(finance, "/gifts/reconciliation")).text
    book = open_xlsx(client.get(address))
    identities, residuals, stated = map(table_of, book.worksheets)
    assert {row["成立"] for row in identities} == {"是"}
    assert residuals[0]["金额（元）"] == 300
    total, units = stated
    assert (total["公布（万元或个数）"], total["相差"]) == (1810.7035, 1810.6735)
    assert (units["公布（万元或个数）"], units["对照的数（万元或个数）"]) == (7, 1)


def test_every_file_opens_in_english_too(finance: Solicitation, sign_in: SignIn):
    factories.make_gift(finance, 100)
    client = sign_in()
    client.post("/language", data={"language": "en"})
    for page in ("/worklist", "/gifts", "/gifts/comparison", "/gifts/reconciliation"):
        assert open_xlsx(client.get(path(finance, f"{page}/export"))).worksheets


def test_a_liaison_takes_only_the_own_sector(finance: Solicitation, sign_in: SignIn):
    other = factories.make_solicitation(finance.campaign)
    liaison = factories.make_user(Role.LIAISON, sectors=(other.sector,))
    client = sign_in(liaison)
    [row] = open_csv(client.get(path(finance, "/worklist/export?as=csv&all=1")))
    assert row["单位"] == other.unit.name
    assert client.get(path(finance, "/gifts/export")).status_code == 403
    assert "含完整电话" not in client.get(path(finance, "/worklist")).text


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@A1", "\t=1", "\r=1", "\n=1", "＝1", "－1"])
def test_text_is_never_a_formula(text: str):
    listing = Listing("表", [Field("文字"), Field("日期", Style.DAY)], [(text, date(2026, 1, 2))])
    rows = list(csv.reader(io.StringIO(write_csv(listing).decode("utf-8-sig"))))
    assert rows[1] == [f"'{text}", "2026-01-02"]
    sheet = openpyxl.load_workbook(io.BytesIO(write_xlsx("题", "注", [listing])))["表"]
    assert (sheet["A4"].data_type, sheet["A4"].quotePrefix) == ("s", True)
