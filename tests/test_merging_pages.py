"""The pages on which a person decides whether two units are one."""

from outreach.access import Role
from outreach.db import db
from outreach.merging.duplicates import propose_duplicates
from outreach.units.models import AliasKind, Unit, UnitAlias
from tests import factories
from tests.conftest import SignIn


def make_named(name: str, **values: object) -> Unit:
    return factories.make_unit(name=name, **values)


def found() -> set[tuple[str, str]]:
    return {(proposal.one.name, proposal.other.name) for proposal in propose_duplicates()}


def test_duplicates_are_proposed_with_their_reasons(app):
    first = make_named("衡阳市财政局", initials="hysczj", credit_code="11430400006123456A")
    make_named("衡阳市财证局", initials="hysczj")
    renamed = make_named("衡阳市财政与国资局", initials="hysczygzj")
    factories.save(UnitAlias(unit_id=renamed.id, name="衡阳市财政局", name_key="衡阳市财政局"))
    code = make_named("另一个名称", initials="lygmc")
    values = {"name": "91430400006123456B", "kind": AliasKind.CREDIT_CODE}
    factories.save(UnitAlias(unit_id=code.id, name_key="91430400006123456b", **values))
    phone = make_named("第三个名称", initials="dsgmc")
    for unit in (first, phone):
        factories.make_contact(unit, mobile="+8613800001234")
    make_named("衡阳市财产交易所", initials="hysccjys")
    for name in ("衡阳市第三中学", "衡阳市第四中学"):
        make_named(name, initials="hysdszx")
    proposals = {proposal.other.name: proposal for proposal in propose_duplicates()}
    reasons = {name: [str(why) for why in row.reasons] for name, row in proposals.items()}
    assert reasons == {
        "衡阳市财证局": ["拼音首字母相同，名称相近"],
        "衡阳市财政与国资局": ["名称或曾用名相同：衡阳市财政局"],
        "另一个名称": ["信用代码里的组织机构代码相同：006123456"],
        "第三个名称": ["联系人电话相同：138****1234"],
    }
    assert next(iter(proposals)) in ("衡阳市财政与国资局", "另一个名称")


def test_two_that_a_person_kept_apart_are_not_proposed_again(app, sign_in: SignIn):
    campaign = factories.make_campaign()
    one, other = (make_named(name, initials="hysczj") for name in ("衡阳市财政局", "衡阳市财证局"))
    office = sign_in(Role.STAFF)
    page = f"/c/{campaign.code}/duplicates"
    assert "拼音首字母相同" in office.get(page).text
    office.post(f"{page}/{other.id}/{one.id}/apart")
    office.post(f"{page}/{one.id}/{other.id}/apart")
    assert found() == set()


def test_a_person_compares_merges_and_undoes(app, sign_in: SignIn):
    campaign = factories.make_campaign()
    places = []
    for name, sector in (("衡阳市财政局", "财经"), ("衡阳市财证局", "机关")):
        unit = make_named(name, initials="hysczj")
        factories.make_contact(unit)
        row = factories.make_sector(campaign, name=sector)
        places.append(factories.make_solicitation(campaign, row, unit=unit))
    factories.make_gift(places[1], 3_000_00)
    survivor, loser = (place.unit_id for place in places)
    office = sign_in(Role.STAFF)
    home = f"/c/{campaign.code}"
    assert f"/merge/{survivor}/{loser}" in office.get(f"{home}/units/{loser}/merge?q=财政").text
    page = office.get(f"{home}/merge/{survivor}/{loser}").text
    assert "3,000 元由“机关”改记到“财经”" in page
    fingerprint = page.split('name="fingerprint" value="')[1].split('"')[0]
    stale = office.post(f"{home}/merge/{survivor}/{loser}", data={"fingerprint": "x"})
    assert stale.status_code == 409
    office.post(f"{home}/merge/{survivor}/{loser}", data={"fingerprint": fingerprint})
    moved = office.get(f"{home}/units/{loser}")
    assert moved.location == f"{home}/units/{survivor}"
    assert office.get(f"/units/{loser}/contacts/new").status_code == 422
    text = office.get(f"{home}/duplicates").text
    assert "“衡阳市财证局”并入“衡阳市财政局”" in text
    undo = text.split(f'action="{home}/merges/')[1].split("/")[0]
    office.post(f"{home}/merges/{undo}/undo")
    db.session.expire_all()
    assert office.get(f"{home}/units/{loser}").status_code == 200
    assert office.post(f"{home}/merges/{undo}/undo").status_code == 409
