"""Statements in the browser: upload, preview, columns, confirmation, and lines one by one."""

from datetime import date
from io import BytesIO

import pytest
import sqlalchemy as sa
from flask import Flask

from outreach.access import Role
from outreach.campaigns.models import Solicitation
from outreach.db import db
from outreach.gifts import lines
from outreach.gifts.models import (
    ColumnChoice,
    Gift,
    LineStatus,
    PayerAlias,
    Statement,
    StatementLine,
)
from outreach.spreadsheets.reading import SourceFile
from tests.factories import make_campaign, make_gift, make_sector, make_solicitation, make_unit
from tests.office import make_csv
from tests.statement_files import Paid, bank_csv, wechat_csv

BASE = "/c/2026/gifts"
DAY = date(2026, 10, 12)
ODD = ["记账", "来款方", "金 额 入", "编码", "用处"]
"""A header that nothing is known of."""


@pytest.fixture
def education(app: Flask) -> Solicitation:
    campaign = make_campaign(code="2026")
    sector = make_sector(campaign)
    make_solicitation(campaign, sector, unit=make_unit(name="衡阳市卫健委", short_name=""))
    return make_solicitation(
        campaign, sector, unit=make_unit(name="衡阳市教育局", short_name="市教育局")
    )


@pytest.fixture
def client(sign_in, education):
    return sign_in(Role.STAFF)


def upload(client, file: SourceFile) -> str:
    """The address of the preview."""
    data = {"file": (BytesIO(file.content), file.name)}
    answer = client.post(f"{BASE}/statements/import", data=data)
    assert answer.status_code == 302
    return answer.headers["Location"]


def confirm(client, preview: str):
    page = client.get(preview).text
    fingerprint = page.split('name="fingerprint" value="')[1].split('"')[0]
    return client.post(preview, data={"fingerprint": fingerprint}, follow_redirects=True)


def take_in(client, *payments: Paid) -> list[StatementLine]:
    assert confirm(client, upload(client, bank_csv(payments))).status_code == 200
    return kept()


def kept() -> list[StatementLine]:
    db.session.expire_all()
    return list(db.session.scalars(sa.select(StatementLine).order_by(StatementLine.id)))


def amounts() -> list[int]:
    return list(db.session.scalars(sa.select(Gift.amount_fen).order_by(Gift.id)))


def odd_file(*rows: list, header: list[str] = ODD) -> SourceFile:
    return make_csv([["某某基金平台下载"], header, *rows])


class TestTakeIn:
    def test_a_preview_says_what_comes_in_and_whether_the_sums_agree(self, client):
        take_in(client, Paid(serial="1"))
        file = bank_csv([Paid(serial="1"), Paid("50.00", serial="2"), Paid("-7.00", serial="3")])
        page = client.get(upload(client, file)).text
        for text in (
            "文件里的收入",
            "350",
            "其中先前已有",
            "300",
            "将记为待认领",
            "支出（不导入）",
        ):
            assert text in page
        assert "贷方总金额 350" in page
        assert "列名是已知的写法" in page
        assert "小计、合计（只用来核对）" in page
        assert len(kept()) == 1, "nothing is kept before the confirmation"

    def test_a_wrong_sum_refuses_the_file_and_it_comes_back_marked(self, client):
        preview = upload(client, bank_csv([Paid(serial="1")], credit=301))
        page = client.get(preview).text
        assert "各行相加是 300" in page
        assert "确认导入" not in page
        assert client.get(f"{preview}/marked.xlsx").status_code == 200
        assert client.post(preview).status_code == 302
        assert kept() == []

    def test_twice_the_same_file_is_once(self, client):
        file = bank_csv([Paid(serial="1")])
        confirm(client, upload(client, file))
        assert "这个文件已经导入过" in client.get(upload(client, file)).text
        assert "工行明细" in client.get(f"{BASE}/statements/import").text
        assert len(kept()) == 1

    def test_a_bill_of_a_platform_needs_no_columns(self, client):
        preview = upload(client, wechat_csv([Paid(serial="1")]))
        assert "对应各列" not in client.get(preview).text
        assert client.get(f"{preview}/columns").status_code == 422
        assert "待认领款项" in confirm(client, preview).text

    def test_what_is_no_statement_is_told(self, client):
        preview = upload(client, make_csv([["你好"]]))
        page = client.get(preview).text
        assert "没有找到表头" in page
        assert "对应各列" in page
        assert client.get(f"{preview}/columns").status_code == 422


class TestColumns:
    CHOSEN = {
        "heading": "1-1",
        "column-0": "received_on",
        "column-1": "payer",
        "column-2": "credit",
        "column-3": "serial",
        "column-4": "summary",
    }
    ROW = ["2026-10-12", "衡阳市教育局", "300", "A1", "一日捐"]

    def test_what_a_person_says_is_used_now_and_the_next_time(self, client):
        preview = upload(client, odd_file(self.ROW))
        assert "没有找到表头" in client.get(preview).text
        page = client.get(f"{preview}/columns").text
        assert "来款方" in page
        assert "衡阳市教育局" in page, "the first rows are shown beside the titles"
        answer = client.post(f"{preview}/columns", data=self.CHOSEN, follow_redirects=True)
        assert "指定" in answer.text
        confirm(client, preview)
        [line] = kept()
        assert (line.payer, line.amount_fen, line.serial) == ("衡阳市教育局", 300_00, "A1")
        assert line.is_clear
        again = upload(client, odd_file(["2026-10-13", "衡阳市卫健委", "5", "A2", ""]))
        assert "确认导入" in client.get(again).text, "the same titles are known now"

    @pytest.mark.parametrize(
        ("changed", "told"),
        [
            ({"column-0": ""}, "请指明哪一列是交易日期"),
            ({"column-2": ""}, "请指明哪一列是收入金额"),
            ({"column-4": "payer"}, "有两列都选了“对方户名”"),
        ],
    )
    def test_what_cannot_be_read_is_refused_and_nothing_is_lost(self, client, changed, told):
        preview = upload(client, odd_file(self.ROW))
        answer = client.post(f"{preview}/columns", data=self.CHOSEN | changed)
        assert answer.status_code == 422
        assert told in answer.text
        assert '<option value="serial" selected>' in answer.text
        assert db.session.scalars(sa.select(ColumnChoice)).all() == []

    def test_two_columns_of_one_name_are_told_apart_in_the_file_first(self, client):
        header = ["记账", "来款方", "金 额 入", "来款方", "用处"]
        preview = upload(client, odd_file(self.ROW, header=header))
        answer = client.post(f"{preview}/columns", data=self.CHOSEN)
        assert "有两列都叫“来款方”" in answer.text

    def test_it_can_be_said_anew_and_forgotten(self, client):
        preview = upload(client, odd_file(self.ROW))
        client.post(f"{preview}/columns", data=self.CHOSEN)
        other = self.CHOSEN | {"column-1": "summary", "column-4": "payer"}
        client.post(f"{preview}/columns", data=other)
        assert "一日捐" in client.get(preview).text
        [choice] = db.session.scalars(sa.select(ColumnChoice))
        assert choice.fields["用处"] == "payer"
        client.post(f"{preview}/columns/forget", data={"heading": "1-1"})
        assert "没有找到表头" in client.get(preview).text

    def test_a_person_goes_before_what_titles_mean_by_themselves(self, client):
        header = ["日期", "户名", "摘要", "收入"]
        file = odd_file(["2026-10-12", "银行内部户", "衡阳市教育局", "300"], header=header)
        preview = upload(client, file)
        said = {"heading": "1-1", "column-0": "received_on", "column-2": "payer"}
        client.post(f"{preview}/columns", data=said | {"column-3": "credit"})
        confirm(client, preview)
        assert [line.payer for line in kept()] == ["衡阳市教育局"]

    def test_an_amount_that_does_not_say_its_way_is_refused_with_the_remedy(self, client):
        preview = upload(client, odd_file(self.ROW))
        client.post(f"{preview}/columns", data=self.CHOSEN | {"column-2": "amount"})
        assert "分不清哪些是收入、哪些是支出" in client.get(preview).text

    def test_another_row_can_be_the_header(self, client):
        preview = upload(client, odd_file(self.ROW))
        page = client.get(f"{preview}/columns?heading=2-1").text
        assert '<option value="2-1" selected>' in page
        assert client.get(f"{preview}/columns?heading=99-1").status_code == 404


class TestLines:
    def test_clear_ones_are_confirmed_together(self, client):
        take_in(client, Paid(serial="1"), Paid("5.00", "衡阳市卫健委"), Paid("6.00", "张三"))
        page = client.get(f"{BASE}/lines").text
        choices = [part.split('"')[0] for part in page.split('name="choice" value="')[1:]]
        assert len(choices) == 2
        answer = client.post(
            f"{BASE}/lines/confirm", data={"choice": choices}, follow_redirects=True
        )
        assert "已确认 2 笔，共 305 元" in answer.text
        assert amounts() == [300_00, 5_00]
        answer = client.post(
            f"{BASE}/lines/confirm", data={"choice": choices}, follow_redirects=True
        )
        assert "没有确认：衡阳市教育局" in answer.text
        assert amounts() == [300_00, 5_00]
        assert "张三" in client.get(f"{BASE}/lines?show=unknown").text

    @pytest.mark.parametrize("sent", [{}, {"choice": "x"}, {"choice": "1:2"}])
    def test_nothing_ticked_or_nonsense_does_nothing(self, client, sent):
        take_in(client, Paid(serial="1"))
        assert client.post(f"{BASE}/lines/confirm", data=sent).status_code in (302, 422)
        assert amounts() == []

    def test_a_payer_is_remembered_and_forgotten(self, client):
        one = take_in(client, Paid(payer="财务中心", serial="1"), Paid(payer="财务中心"))[0]
        form = {"unit": "衡阳市教育局", "kind": "unit", "learns": "y"}
        answer = client.post(f"{BASE}/lines/{one.id}", data=form, follow_redirects=True)
        assert "记住了付款人“财务中心”" in answer.text
        assert kept()[1].is_clear
        assert "财务中心" in client.get(f"{BASE}/payers").text
        [alias] = db.session.scalars(sa.select(PayerAlias))
        forget = f"{BASE}/payers/{alias.id}/forget"
        client.post(forget)
        assert not kept()[1].is_clear
        assert client.post(forget).status_code == 404

    def test_what_the_ledger_has_already_is_only_held_against_it(self, client, education):
        gift = make_gift(education, 300_00, received_on=DAY, reference="收据 1")
        [line] = take_in(client, Paid(serial="1"))
        assert "可能就是它" in client.get(f"{BASE}/lines/{line.id}").text
        client.post(f"{BASE}/lines/{line.id}/link", data={"gift_id": gift.id})
        assert kept()[0].gifts == [gift]
        assert amounts() == [300_00]
        assert client.post(f"{BASE}/lines/{line.id}/link", data={"gift_id": 0}).status_code == 404

    def test_what_is_not_ours_is_set_aside_and_can_be_opened_again(self, client):
        [line] = take_in(client, Paid(serial="1"))
        both = {"unit": "衡阳市教育局", "reason": "会费", "kind": "unit"}
        assert client.post(f"{BASE}/lines/{line.id}", data=both).status_code == 422
        client.post(f"{BASE}/lines/{line.id}", data={"reason": "会费"})
        assert kept()[0].status is LineStatus.SET_ASIDE
        assert "与本活动无关 · 会费" in client.get(f"{BASE}/lines?show=settled").text
        assert "撤销" in client.get(f"{BASE}/lines/{line.id}").text
        reopen = f"{BASE}/lines/{line.id}/reopen"
        assert client.post(reopen, data={"reason": ""}).status_code == 422
        assert client.post(reopen, data={"reason": "看错了"}).status_code == 302
        [line] = kept()
        assert (line.status, line.set_aside_because) == (LineStatus.OPEN, "")
        assert client.post(reopen, data={"reason": "再来"}).status_code == 409

    @pytest.mark.parametrize("text", ["教育局", "300", "1"])
    def test_lines_are_found_by_payer_amount_and_number(self, client, text):
        take_in(client, Paid(serial="1"), Paid("6.00", "张三", serial="2"))
        page = client.get(f"{BASE}/lines?show=all&q={text}").text
        assert "衡阳市教育局" in page
        assert "张三" not in page

    def test_those_of_one_statement_are_shown_alone(self, client):
        take_in(client, Paid("6.00", "张三", serial="2"))
        confirm(client, upload(client, bank_csv([Paid(serial="1")])))
        first = db.session.scalar(sa.select(sa.func.min(Statement.id)))
        page = client.get(f"{BASE}/lines?show=all&statement={first}").text
        assert "张三" in page
        assert "衡阳市教育局" not in page
        assert client.get(f"{BASE}/lines?statement=999").status_code == 404


def test_one_choice_says_all_that_was_shown():
    choice = lines.Choice(7, solicitation_id=3)
    assert lines.Choice.parse(choice.value) == choice
