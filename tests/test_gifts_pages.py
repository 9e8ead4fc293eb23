from datetime import date

import pytest
import sqlalchemy as sa
from flask import Flask

from outreach.access import Role
from outreach.audit import AuditEvent
from outreach.campaigns.models import Solicitation, Stage
from outreach.db import db
from outreach.gifts.models import Gift, GiftBasis, GiftKind, Pledge
from outreach.gifts.services import record_gift
from outreach.gifts.standings import Status, find_standing
from tests import factories
from tests.conftest import SignIn

HTMX = {"HX-Request": "true"}
GIFT = {
    "key": "one",
    "unit": "衡阳市财政局",
    "sector_id": "0",
    "amount_fen": "30,000.50",
    "received_on": "2026-10-19",
    "kind": "unit",
    "channel": "transfer",
    "basis": "into_account",
    "reference": "0088",
}


@pytest.fixture
def finance(app: Flask) -> Solicitation:
    unit = factories.make_unit(name="衡阳市财政局", initials="hysczj")
    return factories.make_solicitation(unit=unit)


def path(solicitation: Solicitation, last: str = "") -> str:
    return f"/c/{solicitation.campaign.code}/gifts{last}"


def list_gifts() -> list[Gift]:
    db.session.expire_all()
    return list(db.session.scalars(sa.select(Gift).order_by(Gift.id)))


def test_a_gift_is_recorded_for_a_unit_by_name(finance: Solicitation, sign_in: SignIn):
    person = factories.make_user()
    client = sign_in(person)
    assert client.get(path(finance, "/new")).status_code == 200
    answer = client.post(path(finance, "/new"), data=GIFT | {"donor_count": "", "note": "第一笔"})
    assert answer.location == path(finance)
    [gift] = list_gifts()
    assert (gift.amount_fen, gift.unit_id) == (3_000_050, finance.unit_id)
    assert gift.sector_id == finance.sector_id
    assert (gift.received_on, gift.reference) == (date(2026, 10, 19), "0088")
    assert (gift.recorded_by_id, gift.donor_count) == (person.id, 0)
    assert find_standing(db.session.get_one(Solicitation, finance.id)).status is Status.GIVEN
    event = db.session.scalars(sa.select(AuditEvent)).one()
    assert (event.action, event.facts["amount_fen"]) == ("record.gift", 3_000_050)
    page = client.get(path(finance)).text
    assert "衡阳市财政局 30,000.50 元" in page
    assert "第一笔" in page


def test_the_same_page_sent_twice_is_one_gift(finance: Solicitation, sign_in: SignIn):
    client = sign_in()
    for _attempt in range(2):
        client.post(path(finance, "/new"), data=GIFT)
    assert len(list_gifts()) == 1
    client.post(path(finance, "/new"), data=GIFT | {"key": "two"})
    assert len(list_gifts()) == 2


def test_the_next_form_keeps_what_seldom_differs(finance: Solicitation, sign_in: SignIn):
    client = sign_in()
    answer = client.post(path(finance, "/new"), data=GIFT | {"another": "1", "channel": "cash"})
    page = client.get(answer.location).text
    assert 'value="2026-10-19"' in page
    assert '<option selected value="cash">' in page
    assert 'value="衡阳市财政局"' not in page


def test_initials_are_enough_when_they_fit_one_unit(finance: Solicitation, sign_in: SignIn):
    sign_in().post(path(finance, "/new"), data=GIFT | {"unit": "hysczj"})
    assert list_gifts()[0].unit_id == finance.unit_id


def test_a_gift_without_unit_goes_to_a_sector_or_stays_unallocated(
    finance: Solicitation, sign_in: SignIn
):
    client = sign_in()
    for key, sector in (("a", str(finance.sector_id)), ("b", "0")):
        client.post(
            path(finance, "/new"), data=GIFT | {"key": key, "unit": "", "sector_id": sector}
        )
    assert [gift.sector_id for gift in list_gifts()] == [finance.sector_id, None]


def test_input_that_does_not_fit_comes_back_with_the_reason(finance: Solicitation, sign_in: SignIn):
    other = factories.make_sector(finance.campaign)
    factories.make_solicitation(finance.campaign, unit=factories.make_unit(name="衡阳市财政所"))
    elsewhere = factories.make_sector(factories.make_campaign())
    client = sign_in()
    for wrong, reason in (
        ({"unit": "税务局"}, "名册中没有“税务局”"),
        ({"unit": "财政"}, "有 2 个单位与“财政”相符"),
        ({"sector_id": str(other.id)}, "不需要另选板块"),
        ({"unit": "", "sector_id": str(elsewhere.id)}, "is-invalid"),
        ({"unit": "", "sector_id": "x"}, "is-invalid"),
        ({"amount_fen": "3万"}, "不是金额"),
        ({"amount_fen": "0"}, "必须大于 0"),
        ({"amount_fen": "0.001"}, "不是金额"),
        ({"amount_fen": ""}, "请填写金额"),
        ({"received_on": "2026-10-21"}, "不能晚于今天"),
        ({"received_on": ""}, "请填写到账日期"),
        ({"kind": "dog"}, "is-invalid"),
        ({"donor_count": "-1"}, "请填写人数"),
        ({"reference": "9" * 81}, "不能超过 80 字"),
    ):
        answer = client.post(path(finance, "/new"), data=GIFT | wrong)
        assert answer.status_code == 422, wrong
        assert reason in answer.text, wrong
    assert list_gifts() == []


def test_units_are_suggested_while_typing(finance: Solicitation, sign_in: SignIn):
    factories.make_pledge(finance, 500_000)
    client = sign_in()
    answer = client.get(path(finance, "/units?unit=czj")).text
    assert 'data-value="衡阳市财政局"' in answer
    assert "认捐 5,000 元" in answer
    assert client.get(path(finance, "/units?unit=")).text.strip() == ""


def test_the_list_shows_the_total_with_its_parts_and_what_is_unallocated(
    finance: Solicitation, sign_in: SignIn
):
    factories.make_gift(finance, 1_000_00)
    factories.make_gift(finance, 200_00, kind=GiftKind.INDIVIDUAL)
    record_gift(
        campaign=finance.campaign,
        amount_fen=34_50,
        kind=GiftKind.UNIT,
        received_on=date(2026, 10, 1),
        basis=GiftBasis.OUTSIDE_ACCOUNT,
    )
    db.session.commit()
    page = sign_in(Role.AUDITOR).get(path(finance)).text
    for part in (
        '<div class="figure">1,234.50</div>',
        "已计入板块 <strong>1,200</strong>",
        "未分配 <strong>34.50</strong>",
        "单位捐款 <strong>1,034.50</strong>",
        "个人捐款 <strong>200</strong>",
        "未入账 <strong>34.50</strong>",
    ):
        assert part in page
    assert "登记到账" not in page, "an auditor changes nothing"


def test_the_list_is_filtered_by_sector_unit_kind_and_days(finance: Solicitation, sign_in: SignIn):
    other = factories.make_solicitation(finance.campaign)
    factories.make_gift(finance, 100, received_on=date(2026, 9, 1))
    factories.make_gift(other, 2_000, kind=GiftKind.INDIVIDUAL, received_on=date(2026, 9, 9))
    record_gift(
        campaign=finance.campaign,
        amount_fen=30_000,
        kind=GiftKind.UNIT,
        received_on=date(2026, 10, 1),
    )
    db.session.commit()
    client = sign_in()

    def total(query: str) -> str:
        page = client.get(path(finance, f"?{query}"))
        assert page.status_code == 200
        return page.text.split('<div class="figure">')[1].split("<")[0]

    assert total("") == "321"
    assert total(f"sector={finance.sector_id}") == "1"
    assert total("sector=none") == "300"
    assert total("q=财政") == "1"
    assert total("kind=individual") == "20"
    assert total("first=2026-09-02&last=2026-09-30") == "20"
    assert total("sector=x&kind=y&first=z&page=99") == "321"
    assert "没有符合条件的到账" in client.get(path(finance, "?q=没有这家")).text


def test_long_lists_have_pages_that_keep_the_filter(finance: Solicitation, sign_in: SignIn):
    for _number in range(51):
        factories.make_gift(finance, 100)
    client = sign_in()
    first = client.get(path(finance, "?kind=unit")).text
    assert "共 51 笔" in first
    assert "kind=unit&amp;page=2" in first
    assert client.get(path(finance, "?kind=unit&page=2")).text.count('class="title"') == 1


def test_a_gift_is_reversed_with_a_reason_and_both_stay_visible(
    finance: Solicitation, sign_in: SignIn
):
    gift = factories.make_gift(finance, 500_00)
    client = sign_in()
    address = path(finance, f"/{gift.id}/reverse")
    assert "500" in client.get(address).text
    assert client.post(address, data={"reason": " "}).status_code == 422
    assert client.post(address, data={"reason": "重复登记"}).status_code == 302
    assert [row.amount_fen for row in list_gifts()] == [500_00, -500_00]
    page = client.get(path(finance)).text
    assert "已冲正" in page
    assert "重复登记" in page
    assert client.post(address, data={"reason": "再来"}).status_code == 422
    assert len(list_gifts()) == 2
    actions = db.session.scalars(sa.select(AuditEvent.action)).all()
    assert actions == ["reverse.gift"]


def test_a_gift_of_another_campaign_is_not_found(finance: Solicitation, sign_in: SignIn):
    gift = factories.make_gift(factories.make_solicitation())
    answer = sign_in().post(path(finance, f"/{gift.id}/reverse"), data={"reason": "误记"})
    assert answer.status_code == 404


def part(number: int, due_on: str, amount: str) -> dict[str, str]:
    return {f"parts-{number}-due_on": due_on, f"parts-{number}-amount_fen": amount}


def test_a_pledge_may_come_in_parts(finance: Solicitation, sign_in: SignIn):
    address = path(finance).replace("/gifts", f"/units/{finance.unit_id}/pledge")
    data = {"amount_fen": "8000", "due_on": ""}
    parts = part(0, "2026-11-20", "5000") | part(1, "2026-10-30", "3,000")
    client = sign_in()
    answer = client.post(address, data=data | parts, headers=HTMX)
    assert answer.status_code == 200, answer.text
    pledge = db.session.scalars(sa.select(Pledge)).one()
    assert [(row.due_on, row.amount_fen, row.owed_fen) for row in pledge.instalments] == [
        (date(2026, 10, 30), 300_000, 300_000),
        (date(2026, 11, 20), 500_000, 800_000),
    ]
    page = client.get(path(finance).replace("/gifts", f"/units/{finance.unit_id}")).text
    assert "2026-10-30 前 3,000 元、2026-11-20 前 5,000 元" in page


def test_a_pledge_is_recorded_on_the_units_page(finance: Solicitation, sign_in: SignIn):
    address = path(finance).replace("/gifts", f"/units/{finance.unit_id}/pledge")
    client = sign_in()
    data = {"amount_fen": "8000", "due_on": "2026-11-20", "note": "班子会定"}
    answer = client.post(address, data=data, headers=HTMX)
    assert answer.headers["HX-Redirect"].endswith(f"/units/{finance.unit_id}")
    db.session.expire_all()
    pledge = db.session.scalars(sa.select(Pledge)).one()
    assert (pledge.amount_fen, pledge.note) == (800_000, "班子会定")
    assert db.session.get_one(Solicitation, finance.id).stage is Stage.PLEDGED
    for wrong, reason in (
        ({"amount_fen": "0"}, "必须大于 0"),
        ({"due_on": "2026-10-19"}, "不能早于今天"),
        ({"due_on": ""}, "请填写约定到账日期"),
        ({"parts-0-amount_fen": "8000"}, "每一期都要有日期和金额"),
        (part(0, "2026-11-20", "8,000.5"), "相差 0.50 元"),
        (part(0, "2026-11-20", "1") | part(1, "2026-11-20", "7999"), "同一天"),
        (part(0, "2026-10-19", "8000"), "不能早于今天"),
        (part(0, "2026-11-20", "很多"), "不是金额"),
    ):
        answer = client.post(address, data=data | wrong, headers=HTMX)
        assert answer.status_code == 422
        assert reason in answer.text
        assert 'id="pledge"' in answer.text
