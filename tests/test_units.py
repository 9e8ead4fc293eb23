"""A unit's data is changed by people: nothing is lost, and what contradicts itself is refused."""

from datetime import timedelta

import pytest
from flask import Flask

from outreach import clock
from outreach.access import Role
from outreach.campaigns.models import Solicitation
from outreach.db import db
from outreach.gifts.models import GiftKind
from outreach.gifts.participation import read_participation
from outreach.gifts.services import reverse_gift
from outreach.units import services
from outreach.units.forms import UnitForm
from outreach.units.models import AliasKind, Unit, UnitHeadCount, UnitKind
from outreach.units.queries import find_unit
from tests import factories
from tests.conftest import SignIn

TAKEN = "11430400512112233F"


@pytest.fixture
def place(app: Flask) -> Solicitation:
    campaign = factories.make_campaign(code="2026")
    unit = factories.make_unit(name="衡阳市财政局", name_key="衡阳市财政局", short_name="财政局")
    factories.make_contact(unit, name="张三")
    return factories.make_solicitation(campaign, unit=unit)


def edit(sign_in: SignIn, unit: Unit, **values: str):
    data = {"name": unit.name, "kind": unit.kind.value, "version": str(unit.version)}
    return sign_in(Role.STAFF).post(f"/units/{unit.id}/edit", data=data | values)


def test_a_new_name_keeps_the_old_one_as_an_alias(place: Solicitation, sign_in: SignIn):
    unit = place.unit
    page = sign_in(Role.STAFF).get(f"/units/{unit.id}/edit")
    assert 'value="衡阳市财政局"' in page.text
    assert edit(sign_in, unit, name="衡阳市财政与国资局").status_code == 302
    db.session.expire_all()
    assert (unit.name, unit.initials) == ("衡阳市财政与国资局", "hysczygzj")
    assert [(alias.name, alias.kind) for alias in unit.aliases] == [
        ("衡阳市财政局", AliasKind.FORMER)
    ]
    assert find_unit("衡阳市财政局") is unit


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "——"}, "名称里没有文字"),
        ({"credit_code": "114304000061234569"}, "不是有效的统一社会信用代码"),
        ({"sms_name": "一" * 21}, "短信里最多 20 个字"),
        ({"kind": "army"}, "番号不能对外"),
        ({"parent": "没有的单位"}, "没有名为“没有的单位”的单位"),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_is_wrong_is_named_and_nothing_typed_is_lost(
    place: Solicitation, sign_in: SignIn, values: dict[str, str], message: str
):
    answer = edit(sign_in, place.unit, address="解放路 7 号", **values)
    assert message in answer.text
    assert "解放路 7 号" in answer.text


def test_the_kind_is_proposed_and_never_changed_by_itself(place: Solicitation, app: Flask):
    place.unit.kind = UnitKind.OTHER
    with app.test_request_context():
        form = UnitForm(place.unit)
        assert (form.kind.data, form.proposed_kind) == (UnitKind.OTHER, UnitKind.ORGAN)
        place.unit.kind = UnitKind.ORGAN
        assert UnitForm(place.unit).proposed_kind is None


def test_another_units_name_or_code_is_refused_with_the_way_to_merge(
    place: Solicitation, sign_in: SignIn
):
    factories.make_unit(name="衡阳市税务局", name_key="衡阳市税务局", credit_code=TAKEN)
    for values in ({"name": "衡阳市 税务局"}, {"credit_code": TAKEN}):
        answer = edit(sign_in, place.unit, **values)
        assert "已经有名称或信用代码相同的单位“衡阳市税务局”" in answer.text
        db.session.expire_all()
        assert place.unit.name == "衡阳市财政局"


def test_two_who_edit_at_once_do_not_overwrite_each_other(place: Solicitation, sign_in: SignIn):
    stale = edit(sign_in, place.unit, version="99", address="解放路")
    assert stale.status_code == 409


def test_aliases_have_a_kind_and_can_be_taken_away(place: Solicitation, sign_in: SignIn):
    office = sign_in(Role.STAFF)
    aliases = f"/units/{place.unit_id}/aliases"
    office.post(aliases, data={"name": "衡财局", "kind": "statement"})
    again = office.post(aliases, data={"name": "衡财局 ", "kind": "former"})
    assert "已经有“衡财局”这个名称了" in again.text
    [alias] = place.unit.aliases
    assert alias.kind is AliasKind.STATEMENT
    page = f"/units/aliases/{alias.id}/remove"
    office.post(page)
    db.session.expire_all()
    assert place.unit.aliases == []
    assert office.post(page).status_code == 404


def test_nobody_is_in_charge_of_those_in_charge_of_them(place: Solicitation, sign_in: SignIn):
    top, middle = place.unit, factories.make_unit(name="财政一所", parent_id=place.unit_id)
    low = factories.make_unit(name="财政一组", parent_id=middle.id)
    assert services.list_above(low.id) == [low.id, middle.id, top.id]
    for name in (low.name, top.name):
        answer = edit(sign_in, top, parent=name)
        assert "也不能是它的下属单位" in answer.text
    db.session.expire_all()
    assert top.parent_id is None


def test_a_parent_shows_its_units_and_their_sum_beside_its_own(
    place: Solicitation, sign_in: SignIn
):
    factories.make_gift(place, 1_000_00)
    branches = [factories.make_unit(name=n, parent_id=place.unit_id) for n in ("甲所", "乙所")]
    for unit in branches:
        branch = factories.make_solicitation(place.campaign, unit=unit)
        factories.make_gift(branch, 200_00)
    text = sign_in(Role.STAFF).get(f"/c/2026/units/{place.unit_id}").text
    assert "本单位 1,000 元，下属单位 400 元，合计 1,400 元" in text
    assert "衡阳市财政局</a>" in sign_in(Role.STAFF).get(f"/c/2026/units/{branches[0].id}").text
    liaison = sign_in(factories.make_user(Role.LIAISON, (place.sector,)))
    assert "甲所" not in liaison.get(f"/c/2026/units/{place.unit_id}").text


def test_head_counts_are_those_of_a_year_and_unknown_is_not_nothing(
    place: Solicitation, sign_in: SignIn
):
    office, page = sign_in(Role.STAFF), f"/c/2026/units/{place.unit_id}"
    gift = factories.make_gift(place, kind=GiftKind.INDIVIDUAL, donor_count=30)
    factories.make_gift(place, kind=GiftKind.INDIVIDUAL, donor_count=60)
    factories.make_gift(place, kind=GiftKind.UNIT, donor_count=500)
    assert "90 人捐款，单位人数不详" in office.get(page).text
    office.post(f"{page}/heads", data={"count": "120"})
    assert "90 / 120 人，参与率 75.0%" in office.get(page).text
    reverse_gift(gift, reason="退回", by=None)
    db.session.commit()
    assert read_participation(place).rate == 0.5
    office.post(f"{page}/heads", data={"count": "50"})
    assert "多于单位人数 50" in office.get(page).text
    office.post(f"{page}/heads", data={"count": ""})
    assert read_participation(place).head_count is None
    assert "请填写人数" in office.post(f"{page}/heads", data={"count": "-1"}).text
    assert db.session.query(UnitHeadCount).count() == 0


def test_a_contact_hands_over_in_one_step(place: Solicitation, sign_in: SignIn):
    [former] = place.unit.contacts
    day = clock.today()
    office, page = sign_in(Role.STAFF), f"/units/contacts/{former.id}/hand-over"
    assert "张三（联络员）的接任人" in office.get(page).text
    data = {"name": "李四", "mobile": "13900001234", "valid_from": day.isoformat()}
    wrong = office.post(page, data=data | {"mobile": "1390000"})
    assert "请填写 11 位大陆手机号码" in wrong.text
    assert office.post(page, data=data).status_code == 302
    db.session.expire_all()
    former, successor = place.unit.contacts
    assert former.valid_to == day - timedelta(days=1)
    assert (successor.name, successor.valid_from, successor.role) == ("李四", day, former.role)
    assert (successor.mobile, successor.email) == ("+8613900001234", "")
    again = office.post(page, data=data | {"valid_from": "2026-12-01"})
    assert "已经离任" in again.text
    early = office.post(
        f"/units/contacts/{successor.id}/hand-over", data=data | {"valid_from": day.isoformat()}
    )
    assert early.status_code == 422


def test_a_merge_joins_the_branches_without_a_circle(place: Solicitation, app: Flask):
    from tests.test_merging import merge, snapshot, undo

    top = place.unit
    loser = factories.make_unit(name="财政局机关", parent_id=top.id)
    child = factories.make_unit(name="财政一所", parent_id=loser.id)
    before = snapshot()
    done = merge(top, loser)
    assert (top.parent_id, child.parent_id) == (None, top.id)
    undo(done)
    assert snapshot() == before
    done = merge(child, loser)
    assert child.parent_id == top.id
    undo(done)
    assert snapshot() == before
