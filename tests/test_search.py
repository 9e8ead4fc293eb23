"""One box that finds a unit by whatever people remember of it, the best match first."""

import pytest
from flask import Flask

from outreach.access import Role
from outreach.campaigns.models import Campaign
from outreach.db import db
from outreach.overview.queries import search_units
from outreach.units.models import UnitAlias
from outreach.units.naming import initials, name_key
from outreach.units.services import rename_unit
from tests import factories


@pytest.fixture
def campaign(app: Flask) -> Campaign:
    return factories.make_campaign()


def make_place(campaign: Campaign, name: str, **values: object):
    sector = values.pop("sector", None)
    unit = factories.make_unit(
        name=name, name_key=name_key(name), initials=initials(name), short_name="", **values
    )
    factories.make_contact(unit)
    return factories.make_solicitation(campaign, sector, unit=unit)


def names(campaign: Campaign, text: str, role: Role = Role.STAFF, sectors=()) -> list[str]:
    viewer = factories.make_user(role, sectors=sectors)
    return [row.unit.name for row in search_units(campaign, viewer, text)]


def test_what_people_remember_finds_the_unit(campaign: Campaign):
    place = make_place(campaign, "衡阳市财政局", credit_code="11430400006095206L")
    make_place(campaign, "雁峰区第一中学")
    place.unit.contacts[0].mobile = "+8613912344321"
    factories.save(UnitAlias(unit_id=place.unit_id, name="地区财政处", name_key="地区财政处"))
    for text in ("衡阳市财政局", "财政", "财", "hysczj", "HYSCZJ", "czj", "4321", "12344321"):
        if text == "财":  # one character is looked for at the beginning only
            assert names(campaign, text) == []
        else:
            assert names(campaign, text) == ["衡阳市财政局"], text
    for text in ("地区财政处", "财政处", " 财政局 ", "11430400006095206l", "114304"):
        assert names(campaign, text) == ["衡阳市财政局"], text
    for text in ("", "%", "_", "查无此局", "43", "9999"):
        assert names(campaign, text) == [], text


def test_what_is_it_comes_before_what_begins_with_it_and_what_holds_it(campaign: Campaign):
    for name in ("衡阳市教育局招生办", "南岳区教育局", "教育局", "教育局基建科"):
        make_place(campaign, name)
    assert names(campaign, "教育局") == [
        "教育局",
        "教育局基建科",
        "南岳区教育局",
        "衡阳市教育局招生办",
    ]


def test_a_former_name_finds_the_unit_after_it_was_renamed(campaign: Campaign):
    place = make_place(campaign, "衡阳市环保局")
    rename_unit(place.unit, "衡阳市生态环境局")
    db.session.commit()
    for text in ("环保", "生态", "hysst"):
        assert names(campaign, text) == ["衡阳市生态环境局"], text


def test_a_liaison_finds_their_own_sectors_only_and_nobody_by_number(campaign: Campaign):
    own = factories.make_sector(campaign)
    place = make_place(campaign, "衡阳市第一中学", sector=own)
    make_place(campaign, "衡阳市第二中学")
    place.unit.contacts[0].mobile = "+8613912344321"
    db.session.commit()
    assert names(campaign, "中学", Role.LIAISON, [own]) == ["衡阳市第一中学"]
    assert names(campaign, "4321", Role.LIAISON, [own]) == []
    assert names(campaign, "4321", Role.AUDITOR) == []


def test_a_contact_who_left_leads_nowhere(campaign: Campaign, tuesday_morning):
    place = make_place(campaign, "衡阳市第一中学")
    contact = place.unit.contacts[0]
    contact.mobile, contact.valid_to = "+8613912344321", contact.valid_from
    db.session.commit()
    tuesday_morning.shift(86400 * 2)
    assert names(campaign, "4321") == []
