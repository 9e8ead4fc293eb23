"""Donation receipts: what is certified never exceeds what was given, and every number is known."""

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outreach import clock, money
from outreach.access import Role
from outreach.db import db
from outreach.errors import Conflict, OutreachError, Refused
from outreach.gifts.models import GiftBasis
from outreach.gifts.services import reverse_gift
from outreach.receipts import queries, services
from outreach.receipts.models import DonationReceipt, ReceiptStatus
from outreach.receipts.services import ReceiptRequest
from tests import factories

CODE = "11430400006095206L"


@pytest.fixture
def gift(app):
    return factories.make_gift(make_solicitation(), 1_000_00)


def make_solicitation():
    unit = factories.make_unit(name="衡阳市财政局", credit_code=CODE)
    return factories.make_solicitation(factories.make_campaign(), unit=unit)


def ask(gift, *amounts, payer="张三"):
    return services.request_receipts(
        gift, [ReceiptRequest(payer, amount) for amount in amounts], by=None
    )


def issue(receipts, first="0000000001", code="43060124"):
    services.issue_receipts(
        receipts, code=code, first_number=first, issued_on=clock.today(), by=None
    )


class TestCapitals:
    @pytest.mark.parametrize(
        ("fen", "text"),
        [
            (0, "零元整"),
            (5, "伍分"),
            (50, "伍角整"),
            (1_409_50, "壹仟肆佰零玖元伍角整"),
            (6_007_14, "陆仟零柒元壹角肆分"),
            (1_680_32, "壹仟陆佰捌拾元叁角贰分"),
            (107_000_53, "壹拾万柒仟元伍角叁分"),
            (16_409_02, "壹万陆仟肆佰零玖元零贰分"),
            (325_04, "叁佰贰拾伍元零肆分"),
            (1_810_703_500, "壹仟捌佰壹拾万柒仟零叁拾伍元整"),
            (10_000_500_00, "壹仟万零伍佰元整"),
            (1_000_100_000_000_00, "壹万零壹亿元整"),
        ],
    )
    def test_amounts_read_as_the_rules_for_settlements_write_them(self, fen, text):
        assert money.in_capitals(fen) == text

    @given(st.integers(1, 10**17))
    def test_no_two_amounts_read_alike(self, fen):
        assert read_capitals(money.in_capitals(fen)) == fen
        assert "零零" not in money.in_capitals(fen)


def read_capitals(text):
    """Back to fen, by adding up the way a reader does."""
    yuan, _sep, rest = text.rpartition("元") if "元" in text else ("", "", text)
    fen = sum(
        money.DIGITS.index(digit) * size
        for digit, size in re.findall(r"(.)([角分])", rest)
        for size in [{"角": 10, "分": 1}[size]]
    )
    return read_number(yuan) * 100 + fen


def read_number(text):
    for name, size in (("亿", 10**8), ("万", 10**4), ("仟", 1000), ("佰", 100), ("拾", 10)):
        if name in text:
            high, _name, low = text.rpartition(name)
            return read_number(high) * size + read_number(low)
    return money.DIGITS.index(text.replace("零", "") or "零")


class TestRules:
    def test_one_gift_may_be_certified_in_parts_but_not_beyond(self, gift):
        ask(gift, 600_00, 300_00)
        with pytest.raises(Refused, match=r"合计 200 元，这笔到账还能开 100 元，超出 100 元"):
            ask(gift, 200_00)
        ask(gift, 100_00)
        assert queries.sum_standing(gift) == gift.amount_fen

    def test_a_list_that_does_not_fit_is_refused_as_a_whole(self, gift):
        with pytest.raises(Refused):
            ask(gift, 900_00, 200_00)
        assert queries.list_of_gift(gift) == []

    def test_numbers_follow_each_other_in_the_order_of_the_requests(self, gift):
        receipts = ask(gift, 1_00, 2_00, 3_00)
        issue(receipts, first="0098")
        assert [(row.number, row.amount_fen) for row in receipts] == [
            ("0098", 1_00),
            ("0099", 2_00),
            ("0100", 3_00),
        ]
        assert {row.status for row in receipts} == {ReceiptStatus.ISSUED}

    def test_a_number_is_used_once(self, gift):
        first, second = ask(gift, 1_00, 2_00)
        issue([first], first="0007")
        with pytest.raises(Refused, match="0007 已经用过"):
            issue([second], first="0007")
        issue([second], first="0007", code="43060125")

    def test_numbers_do_not_grow_longer(self, gift):
        with pytest.raises(Refused, match="不够 2 个号码"):
            issue(ask(gift, 1_00, 2_00), first="99")

    def test_a_request_is_issued_once(self, gift):
        receipts = ask(gift, 1_00)
        issue(receipts)
        with pytest.raises(Conflict, match="已开具"):
            issue(receipts, first="0000000002")
        with pytest.raises(Conflict):
            services.withdraw_request(receipts[0], reason="不要了", by=None)

    def test_a_reversed_receipt_stays_and_frees_its_amount(self, gift):
        [receipt] = ask(gift, 1_000_00)
        issue([receipt])
        services.reverse_receipt(receipt, reason="抬头有误", reversal_number="0000000002", by=None)
        assert (receipt.status, receipt.number) == (ReceiptStatus.REVERSED, "0000000001")
        issue(ask(gift, 1_000_00, payer="李四"), first="0000000003")
        assert queries.list_number_gaps(gift.campaign) == []

    def test_money_outside_the_account_is_certified_by_others(self, gift):
        outside = factories.make_gift(
            factories.make_solicitation(gift.campaign), basis=GiftBasis.OUTSIDE_ACCOUNT
        )
        with pytest.raises(Refused, match="收款单位"):
            ask(outside, 1_00)

    def test_money_that_is_gone_is_not_certified_any_more(self, gift):
        issued, requested = ask(gift, 600_00, 400_00)
        issue([issued])
        reversal = reverse_gift(gift, reason="退回", by=None)
        db.session.commit()
        for no_longer in (gift, reversal):
            with pytest.raises(Refused, match="已经冲正"):
                ask(no_longer, 1_00)
        with pytest.raises(Refused, match="已经冲正"):
            issue([requested], first="0000000002")
        db.session.rollback()
        assert queries.list_of_reversed_gifts(gift.campaign) == [issued, requested]
        services.reverse_receipt(issued, reason="退回", reversal_number="", by=None)
        services.withdraw_request(requested, reason="退回", by=None)
        assert queries.list_of_reversed_gifts(gift.campaign) == []

    def test_numbers_that_nobody_knows_are_told(self, gift):
        other = factories.make_gift(
            factories.make_solicitation(factories.make_campaign(code="2025")), 100_00
        )
        first, second, third = ask(gift, 1_00, 1_00, 1_00)
        issue([first], first="0003")
        issue(ask(other, 1_00), first="0005")  # of another campaign, from the same sequence
        issue([second], first="0009")
        issue([third], first="12")  # not of this sequence: it has other digits
        found = [
            (gap.first, gap.last, gap.count) for gap in queries.list_number_gaps(gift.campaign)
        ]
        assert found == [("0004", "0004", 1), ("0006", "0008", 3)]

    def test_a_request_that_waits_too_long_is_told(self, gift, tuesday_morning):
        [receipt] = ask(gift, 1_00)
        db.session.commit()
        assert queries.list_overdue(gift.campaign) == []
        tuesday_morning.shift(queries.PATIENCE + timedelta(seconds=1))
        assert queries.list_overdue(gift.campaign) == [receipt]

    def test_the_database_keeps_a_number_from_being_used_twice(self, gift):
        given = {"code": "1", "number": "1", "issued_on": clock.today(), "amount_fen": 1}
        factories.make_receipt(gift, status=ReceiptStatus.ISSUED, **given)
        with pytest.raises(sa.exc.IntegrityError):
            factories.make_receipt(gift, status=ReceiptStatus.ISSUED, **given)


steps = st.lists(
    st.tuples(
        st.sampled_from(["ask", "issue", "reverse", "withdraw", "reverse_gift"]),
        st.integers(1, 700_00),
        st.integers(0, 5),
    ),
    max_size=14,
)


@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=steps)
def test_whatever_happens_no_fen_is_certified_twice(app, steps):
    solicitation = factories.make_solicitation(factories.make_campaign())
    gift = factories.make_gift(solicitation, 1_000_00)
    for count, (step, amount, which) in enumerate(steps):
        receipts = queries.list_of_gift(gift)
        chosen = receipts[which % len(receipts)] if receipts else None
        before = [(row.status, row.number, row.amount_fen) for row in receipts]
        try:
            if step == "ask":
                ask(gift, amount)
            elif step == "reverse_gift":
                reverse_gift(gift, reason="退回", by=None)
            elif chosen and step == "issue":
                issue([chosen], first=f"{gift.id:05}{count:05}")
            elif chosen and step == "reverse":
                services.reverse_receipt(chosen, reason="重开", reversal_number="", by=None)
            elif chosen:
                services.withdraw_request(chosen, reason="不要", by=None)
            db.session.commit()
        except OutreachError:
            db.session.rollback()
            after = queries.list_of_gift(gift)
            assert [(row.status, row.number, row.amount_fen) for row in after] == before
        assert queries.sum_standing(gift) <= gift.amount_fen
        coverage = queries.sum_coverage(gift.campaign)
        assert min(coverage.issued_fen, coverage.requested_fen, coverage.without_fen) >= 0
    for row in queries.list_of_gift(gift):
        assert (row.number is not None) == (row.status in ("issued", "reversed"))


class TestPages:
    @pytest.fixture
    def client(self, sign_in):
        return sign_in(Role.STAFF)

    def url(self, gift, rest=""):
        return f"/c/{gift.campaign.code}/gifts/{gift.id}/receipts{rest}"

    def test_from_the_list_of_people_to_the_numbers(self, gift, client):
        page = client.get(self.url(gift)).text
        assert CODE in page
        assert "衡阳市财政局" in page
        people = "张三 200\n李四\t150.5 \n\n王五，1，备注 甲"
        client.post(self.url(gift, "/people"), data={"people": people})
        receipts = queries.list_of_gift(gift)
        assert [(row.payer, row.amount_fen, row.remark) for row in receipts] == [
            ("张三", 200_00, ""),
            ("李四", 150_50, ""),
            ("王五", 1_00, "备注 甲"),
        ]
        answer = client.post(
            f"/c/{gift.campaign.code}/receipts/issue",
            data={
                "receipts": [row.id for row in receipts[:2]],
                "code": "43060124",
                "first_number": "0001",
                "issued_on": clock.today().isoformat(),
            },
            follow_redirects=True,
        )
        assert "0002" in answer.text
        page = client.get(f"/c/{gift.campaign.code}/receipts/{receipts[1].id}").text
        assert "壹佰伍拾元伍角整" in page

    def test_numbers_before_names_are_none_of_theirs(self, gift, client):
        people = "1 张三 200\n2、李四 100\n3. 王五 50 工号 1234\n96112部队 10"
        client.post(self.url(gift, "/people"), data={"people": people})
        found = [(row.payer, row.remark) for row in queries.list_of_gift(gift)]
        assert found == [("张三", ""), ("李四", ""), ("王五", "工号 1234"), ("96112部队", "")]

    @pytest.mark.parametrize(
        ("people", "told"),
        [
            ("张三 200\n李四", "第 2 行“李四”看不出姓名和金额"),
            ("张三 1.005", "第 1 行的金额“1.005”最多两位小数"),
            ("张三 0", "第 1 行的金额为 0"),
            ("张三 200\n合计 200", "第 2 行“合计”不是人名"),
            ("张三 200元 李四 300元", "第 1 行有两个金额"),
            ("张三 200 李四 300", "第 1 行有两个金额"),
            ("张三 900\n李四 200", "合计 1,100 元，这笔到账还能开 1,000 元，超出 100 元"),
        ],
    )
    def test_a_list_that_is_wrong_comes_back_with_the_line(self, gift, client, people, told):
        answer = client.post(self.url(gift, "/people"), data={"people": people})
        assert answer.status_code == 422
        assert told in answer.text
        assert people.splitlines()[0] in answer.text
        assert db.session.scalar(sa.select(sa.func.count(DonationReceipt.id))) == 0

    def test_a_code_that_is_none_comes_back(self, gift, client):
        data = {"payer": "某局", "payer_code": "123", "amount_fen": "10"}
        answer = client.post(self.url(gift), data=data)
        assert answer.status_code == 422
        assert "不是有效的统一社会信用代码" in answer.text

    def test_what_somebody_else_issued_meanwhile_is_told(self, gift, client):
        [receipt] = ask(gift, 1_00)
        issue([receipt])
        ask(gift, 2_00)
        db.session.commit()
        data = {"receipts": [receipt.id], "code": "4", "first_number": "5", "issued_on": ""}
        answer = client.post(f"/c/{gift.campaign.code}/receipts/issue", data=data)
        assert answer.status_code == 422
        assert "刚被他人开具或撤回" in answer.text

    def test_what_is_asked_for_can_be_taken_to_the_finance_bureaus_system(self, gift, client):
        ask(gift, 1_409_50 - 1_000_00, payer="=张三")
        db.session.commit()
        url = f"/c/{gift.campaign.code}/receipts/export?status=requested"
        rows = client.get(f"{url}&as=csv").data.decode("utf-8-sig").splitlines()
        assert rows[0].startswith("交款人,统一社会信用代码,金额（元）,大写")
        assert rows[1].startswith("'=张三,,409.50,肆佰零玖元伍角整,,待开具")
        assert client.get(url).data.startswith(b"PK")
        issued = url.replace("requested", "issued")
        assert len(client.get(f"{issued}&as=csv").data.splitlines()) == 1

    def test_reversing_keeps_the_reason_and_the_red_number(self, gift, client):
        [receipt] = ask(gift, 1_00)
        issue([receipt])
        db.session.commit()
        url = f"/c/{gift.campaign.code}/receipts/{receipt.id}"
        assert client.post(f"{url}/reverse", data={"reason": ""}).status_code == 422
        client.post(f"{url}/reverse", data={"reason": "抬头有误", "reversal_number": "77"})
        page = client.get(url).text
        assert "抬头有误" in page
        assert "77" in page
        assert "已冲红" in page
