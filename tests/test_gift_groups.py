"""One payment in several parts, and counted money: what belongs together adds up, or is refused."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from threading import Barrier

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outreach.access import Role
from outreach.audit import AuditEvent
from outreach.campaigns.models import Campaign, Solicitation
from outreach.db import db
from outreach.errors import Refused
from outreach.gifts import groups
from outreach.gifts.groups import Part, Payment
from outreach.gifts.ledger import check_ledger
from outreach.gifts.models import Gift, GiftChannel, GiftGroup, GiftKind
from outreach.gifts.services import reverse_gift
from outreach.units.models import Unit
from tests import factories
from tests.conftest import SignIn
from tests.services import PATIENCE

PAYMENT = Payment(date(2026, 10, 19), GiftChannel.TRANSFER, reference="0088")
HEAD = {
    "key": "one",
    "total_fen": "30,000.50",
    "received_on": "2026-10-19",
    "channel": "transfer",
    "basis": "into_account",
    "reference": "0088",
}


def row(number: int, unit: str = "", amount: str = "", **values: str) -> dict[str, str]:
    typed = {"unit": unit, "amount_fen": amount, "kind": "unit"} | {"donor_count": ""} | values
    return {f"rows-{number}-{name}": value for name, value in typed.items()}


def two_parts(second: str = "9,999.5") -> dict[str, str]:
    crowd = {"kind": "individual", "donor_count": "38", "designation": "助学"}
    return row(0, "hysczj", "20001") | row(1) | row(2, "", second, **crowd)


@pytest.fixture
def finance(app: Flask) -> Solicitation:
    unit = factories.make_unit(name="衡阳市财政局", initials="hysczj")
    return factories.make_solicitation(unit=unit)


@pytest.fixture
def client(finance: Solicitation, sign_in: SignIn) -> FlaskClient:
    return sign_in(Role.STAFF)


def path(solicitation: Solicitation, last: str) -> str:
    return f"/c/{solicitation.campaign.code}{last}"


def list_gifts() -> list[Gift]:
    db.session.expire_all()
    return list(db.session.scalars(sa.select(Gift).order_by(Gift.id)))


def test_one_payment_is_recorded_as_its_parts_and_shown_together(finance, client):
    page = path(finance, "/gifts/remittance")
    assert 'value="衡阳市财政局"' in client.get(f"{page}?unit_id={finance.unit_id}").text
    answer = client.post(page, data=HEAD | two_parts())
    first, second = list_gifts()
    assert answer.location == path(finance, f"/gifts/groups/{first.group_id}")
    assert first.group_id == second.group_id
    assert (first.amount_fen, first.kind, first.unit_id) == (2_000_100, "unit", finance.unit_id)
    assert (second.amount_fen, second.kind, second.unit_id) == (
        999_950,
        "individual",
        finance.unit_id,
    )
    assert (second.donor_count, second.designation) == (38, "助学")
    assert {gift.reference for gift in (first, second)} == {"0088"}
    together = client.get(answer.location).text
    assert "一笔款项 30,000.50 元" in together
    assert "助学" in together
    unit = client.get(path(finance, f"/units/{finance.unit_id}")).text
    assert "到账 30,000.50 元" in unit
    assert "单位捐款 20,001 元、个人捐款 9,999.50 元（助学）" in unit
    assert client.get(path(finance, "/gifts")).text.count("一笔 30,000.50 元的 2 部分之一") == 2
    assert db.session.scalars(sa.select(AuditEvent.action)).all() == ["record.gift_group"]


def test_parts_that_do_not_make_up_the_total_are_refused_with_both_figures(finance, client):
    page = path(finance, "/gifts/remittance")
    answer = client.post(page, data=HEAD | two_parts("9,999.49"))
    assert answer.status_code == 422
    assert "各部分合计 30,000.49 元，款项总额 30,000.50 元，相差 0.01 元" in answer.text
    for typed in ("9,999.49", "hysczj", "20001", "助学", 'value="one"', "30,000.50", "38"):
        assert typed in answer.text, typed
    assert list_gifts() == []
    assert client.post(page, data=HEAD | two_parts()).status_code == 302


def test_input_that_does_not_fit_is_told_beside_its_row(finance, client):
    alone = row(0, "hysczj", "30000.50")
    for wrong, reason in (
        (row(0, "税务局", "1") | row(1, "hysczj", "29999.50"), "名册中没有“税务局”"),
        (row(0, "", "1") | row(1, "hysczj", "29999.50"), "请填写单位"),
        (row(0, "hysczj", "3万") | row(1, "", "1"), "不是金额"),
        (row(0, "hysczj", "") | row(1, "", "30000.50"), "请填写金额"),
        (row(0, "hysczj", "30000") | row(1, "", "0.5", donor_count="-1"), "请填写人数"),
        (row(0, "hysczj", "9" * 20) | row(1, "", "0.5"), "超过 100 亿元"),
        (alone, "至少填写两个部分"),
        (two_parts() | {"received_on": "2026-10-21"}, "不能晚于今天"),
        (two_parts() | {"total_fen": ""}, "请填写总额"),
    ):
        answer = client.post(path(finance, "/gifts/remittance"), data=HEAD | wrong)
        assert (answer.status_code, reason in answer.text) == (422, True), reason
    assert list_gifts() == []
    assert db.session.scalar(sa.select(sa.func.count(GiftGroup.id))) == 0


def test_a_payment_may_be_for_several_units_also_of_other_sectors(finance, client):
    other = factories.make_solicitation(finance.campaign)
    parts = row(0, "hysczj", "30000") | row(1, other.unit.name, "0.50")
    client.post(path(finance, "/gifts/remittance"), data=HEAD | parts)
    assert [gift.unit_id for gift in list_gifts()] == [finance.unit_id, other.unit_id]
    assert [gift.sector_id for gift in list_gifts()] == [finance.sector_id, other.sector_id]
    page = client.get(path(finance, f"/units/{other.unit_id}")).text
    assert "属于一笔 30,000.50 元的款项，共 2 部分" in page


def test_the_same_form_sent_twice_is_one_payment(finance, client):
    page = path(finance, "/gifts/remittance")
    places = {client.post(page, data=HEAD | two_parts()).location for _attempt in range(2)}
    assert len(places) == 1
    assert len(list_gifts()) == 2
    assert "没有重复登记" in client.get(places.pop()).text


def test_more_rows_come_without_script_and_nothing_is_written(finance, client):
    data = HEAD | two_parts() | {"more": "1"}
    answer = client.post(path(finance, "/gifts/remittance"), data=data)
    assert answer.status_code == 200
    assert answer.text.count("data-row>") == 3 + 10 + 1
    assert 'name="rows-12-amount_fen"' in answer.text
    assert "助学" in answer.text
    assert list_gifts() == []


def test_a_part_or_the_whole_is_reversed_with_a_reason(finance, client):
    place = client.post(path(finance, "/gifts/remittance"), data=HEAD | two_parts()).location
    first, _second = list_gifts()
    client.post(path(finance, f"/gifts/{first.id}/reverse"), data={"reason": "记错"})
    assert "9,999.50" in client.get(f"{place}/reverse").text
    assert client.post(f"{place}/reverse", data={"reason": ""}).status_code == 422
    client.post(f"{place}/reverse", data={"reason": "付款方退回"})
    assert [gift.amount_fen for gift in list_gifts()] == [2_000_100, 999_950, -2_000_100, -999_950]
    assert {gift.note for gift in list_gifts()[2:]} == {"记错", "付款方退回"}
    again = client.post(f"{place}/reverse", data={"reason": "再来"})
    assert (again.status_code, "都已经冲正过了" in again.text) == (422, True)
    assert "整组冲正" not in client.get(place).text
    assert all(identity.holds for identity in check_ledger(finance.campaign))


def test_a_group_of_another_campaign_is_not_found(finance, client):
    place = client.post(path(finance, "/gifts/remittance"), data=HEAD | two_parts()).location
    other = factories.make_campaign().code
    assert client.get(place.replace(finance.campaign.code, other)).status_code == 404


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    amounts=st.lists(st.integers(1, 10**12), min_size=2, max_size=6),
    off=st.sampled_from([-100, -1, 0, 0, 1, 100]),
    kinds=st.data(),
)
def test_a_payment_is_the_sum_of_its_parts_to_the_fen(finance, amounts, off, kinds):
    parts = [
        Part(amount, kinds.draw(st.sampled_from(list(GiftKind))), unit=finance.unit)
        for amount in amounts
    ]
    total = sum(amounts) + off

    def record() -> GiftGroup:
        return groups.record_remittance(
            finance.campaign, parts, PAYMENT, key="key", total_fen=total, by=None
        )

    if off:
        with pytest.raises(Refused):
            record()
        assert list_gifts() == []
        return
    group = record()
    assert group.entered_fen == group.stated_fen == total == sum(amounts)
    reverse_gift(group.parts[0], reason="误记", by=None)
    groups.reverse_group(group, reason="退回", by=None)
    assert sum(gift.amount_fen for gift in list_gifts()) == 0
    assert len(list_gifts()) == 2 * len(amounts)
    assert all(identity.holds for identity in check_ledger(finance.campaign))
    db.session.rollback()


COUNT = {
    "key": "one",
    "stated_count": "3",
    "stated_fen": "350",
    "received_on": "2026-10-19",
    "channel": "cash",
    "basis": "into_account",
}


def three_gifts(finance: Solicitation, last: str = "50") -> dict[str, str]:
    crowd = {"kind": "individual", "donor_count": "4"}
    return (
        row(0, "hysczj", "100")
        | row(3, "衡阳市财政局", "200", **crowd)
        | row(12, finance.sector.name, last)
    )


def test_counted_money_is_entered_in_one_go(finance, client):
    page = path(finance, "/gifts/count")
    assert '<option selected value="cash">' in client.get(page).text
    place = client.post(page, data=COUNT | three_gifts(finance)).location
    assert [(gift.amount_fen, gift.unit_id) for gift in list_gifts()] == [
        (100_00, finance.unit_id),
        (200_00, finance.unit_id),
        (50_00, None),
    ]
    assert {gift.sector_id for gift in list_gifts()} == {finance.sector_id}
    assert {gift.channel for gift in list_gifts()} == {GiftChannel.CASH}
    assert client.post(page, data=COUNT | three_gifts(finance)).location == place
    assert len(list_gifts()) == 3, "the same batch adds nothing"
    assert "清点与登记的差额" not in client.get(path(finance, "/gifts/reconciliation")).text


def test_what_was_not_found_is_confirmed_and_stays_in_sight(finance, client):
    page = path(finance, "/gifts/count")
    short = COUNT | three_gifts(finance, "49.5")
    warned = client.post(page, data=short | {"stated_count": "4"})
    assert warned.status_code == 422
    assert "清点 4 笔 350 元，登记 3 笔 349.50 元，相差 1 笔 0.50 元" in warned.text
    assert 'value="1:50"' in warned.text
    assert 'value="49.5"' in warned.text
    again = client.post(page, data=short | {"accepted": "1:50"})
    assert again.status_code == 422, "that was another difference"
    assert list_gifts() == []
    place = client.post(page, data=short | {"accepted": "0:50"}).location
    assert len(list_gifts()) == 3
    assert "0.50" in client.get(place).text
    books = client.get(path(finance, "/gifts/reconciliation")).text
    assert "清点与登记的差额" in books
    assert path(finance, "/gifts/counts") in books
    assert "349.50" in client.get(path(finance, "/gifts/counts")).text


def test_a_batch_that_does_not_fit_keeps_what_was_typed(finance, client):
    page = path(finance, "/gifts/count")
    for wrong, reason in (
        ({}, "还没有填写任何一笔"),
        (row(0, "", "350"), "请填写单位"),
        (row(0, "hysczj", "abc"), "不是金额"),
        (row(0, "没有这家", "350"), "名册中没有"),
        (row(0, "hysczj", "350") | {"stated_count": "0"}, "大于 0 的整数"),
        (row(0, "hysczj", "350") | {"stated_fen": "三百"}, "三百"),
    ):
        answer = client.post(page, data=COUNT | {"accepted": "3:35000", "note": "周五"} | wrong)
        assert (answer.status_code, reason in answer.text) == (422, True), reason
        assert 'value="周五"' in answer.text
    assert list_gifts() == []


def test_more_rows_than_fit_are_refused_and_kept(finance, client):
    rows = {}
    for number in range(201):
        rows |= row(number, "衡阳市财政局", "1")
    answer = client.post(path(finance, "/gifts/count"), data=COUNT | rows)
    assert (answer.status_code, "一次最多 200 行" in answer.text) == (422, True)
    assert 'name="rows-200-unit"' in answer.text


def test_a_count_that_differs_is_refused_until_just_that_difference_is_accepted(finance):
    parts = [Part(100_00, GiftKind.UNIT, unit=finance.unit)]
    stated = groups.Tally(2, 99_00)

    def record(accepted: groups.Tally | None) -> GiftGroup | None:
        return groups.record_count(
            finance.campaign, parts, PAYMENT, key="k", stated=stated, accepted=accepted, by=None
        )

    for wrong in (None, groups.Tally(1, 100), groups.Tally(0, 0)):
        with pytest.raises(Refused):
            record(wrong)
    group = record(groups.Tally(1, -100))
    assert (group.missing_count, group.missing_fen) == (1, -100)
    assert record(groups.Tally(1, -100)) is None


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_people_with_the_same_units_wait_for_each_other(app: Flask):
    """SQLite lets one write at a time anyway. Of the same form sent at once, one counts."""
    campaign = factories.make_campaign()
    sector = factories.make_sector(campaign)
    unit_ids = [factories.make_solicitation(campaign, sector).unit_id for _number in range(6)]
    campaign_id = campaign.id
    start = Barrier(6)

    def record(number: int) -> bool:
        with app.app_context():
            ids = unit_ids if number % 2 else unit_ids[::-1]
            parts = [Part(100, GiftKind.UNIT, unit=db.session.get_one(Unit, id_)) for id_ in ids]
            campaign = db.session.get_one(Campaign, campaign_id)
            start.wait(PATIENCE)
            group = groups.record_remittance(
                campaign, parts, PAYMENT, key=f"key{number // 2}", total_fen=600, by=None
            )
            db.session.commit()
            return group is not None

    with ThreadPoolExecutor(6) as people:
        assert sum(people.map(record, range(6))) == 3
    assert len(list_gifts()) == 18
