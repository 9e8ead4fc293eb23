"""Names of units, phone numbers, addresses and codes."""

import pytest
from stdnum.cn import uscc

from outreach.errors import Refused
from outreach.spreadsheets.cells import BadValue
from outreach.units import naming, services
from outreach.units.models import UnitKind
from outreach.units.people import Person, parse_people


@pytest.mark.parametrize(
    "name",
    [
        "衡阳市财政局(机关)",
        "衡阳市财政局\uff08机关\uff09",
        " 衡阳市 财政局〔机关〕",
        "衡阳市财政局【机关】",
        "“衡阳市财政局”(机关)",
    ],
)
def test_width_brackets_and_blanks_do_not_make_another_name(name):
    assert naming.name_key(name) == "衡阳市财政局(机关)"


def test_case_does_not_make_another_name_and_words_do():
    assert naming.name_key("\uff21BC公司") == naming.name_key("Abc公司")
    assert naming.name_key("衡阳市财政局") != naming.name_key("衡阳市审计局")


def test_initials_are_those_of_the_pronunciation_in_the_word():
    assert naming.initials("衡阳市财政局") == "hysczj"
    assert naming.initials("长沙银行重庆(第2)分行ABC") == "csyhcqd2fhabc"


@pytest.mark.parametrize(
    ("name", "code", "kind"),
    [
        ("衡阳市财政局", None, UnitKind.ORGAN),
        ("某单位", "11320000MB151840XJ", UnitKind.ORGAN),
        ("衡阳市第一医院", "91110000802100433B", UnitKind.COMPANY),
        ("南华大学", "12110000802100433B", UnitKind.UNIVERSITY),
        ("衡阳市中心医院", None, UnitKind.INSTITUTION),
        ("衡阳某某有限公司", None, UnitKind.COMPANY),
        ("31234部队", None, UnitKind.ARMY),
        ("民盟衡阳市委", None, UnitKind.PARTY),
        ("衡阳市祁商会", None, UnitKind.ASSOCIATION),
        ("某某", None, UnitKind.OTHER),
    ],
)
def test_the_code_proposes_the_kind_and_else_the_name(name, code, kind):
    assert naming.propose_kind(name, code) is kind


def test_the_nearest_names_come_first():
    names = ["衡阳市财政局", "衡阳市审计局", "衡阳市财政局会计中心", "某某公司"]
    assert naming.Names(names).nearest("衡阳财政局") == [
        "衡阳市财政局",
        "衡阳市财政局会计中心",
        "衡阳市审计局",
    ]


@pytest.fixture
def spoken(app):
    """Refusals are put into words inside an application."""


def army_code() -> str:
    code = "A1430400MB0000000"
    return code + uscc.calc_check_digit(code)


def test_credit_codes_are_checked(spoken):
    assert services.normalise_credit_code(" 91110000802100433b ") == "91110000802100433B"
    assert services.normalise_credit_code("") is None
    assert services.normalise_credit_code(army_code()) == army_code()
    for code in ("91110000802100433C", "123", army_code()[:-1] + "0", "A1I30400MB0000000X"):
        with pytest.raises(Refused):
            services.normalise_credit_code(code)


def test_phones_are_kept_as_e164(spoken):
    assert services.normalise_phone("138 0000 1234") == "+8613800001234"
    assert services.normalise_phone("(0734)8866123") == "+867348866123"
    assert services.normalise_phone("") == ""
    assert services.is_mobile("+8613800001234")
    assert not services.is_mobile("+867348866123")
    for phone in ("1380000123", "8866123", "无线电话"):
        with pytest.raises(Refused):
            services.normalise_phone(phone)


def test_addresses_are_lower_case(spoken):
    assert services.normalise_email(" Zhang@Example.ORG ") == "zhang@example.org"
    with pytest.raises(Refused):
        services.normalise_email("zhang@")


ONE, TWO = "+8613800001234", "+8613900001234"


@pytest.mark.parametrize(
    ("names", "phones", "people"),
    [
        ("张三", "13800001234", [Person("张三", "", ONE)]),
        ("张 三", "", [Person("张三")]),
        ("张三(主任)", "13800001234", [Person("张三", "主任", ONE)]),
        ("张三 科长", "", [Person("张三", "科长")]),
        (
            "张三、李四",
            "13800001234/13900001234",
            [Person("张三", "", ONE), Person("李四", "", TWO)],
        ),
        (
            "张三 李四",
            "13800001234 13900001234",
            [Person("张三", "", ONE), Person("李四", "", TWO)],
        ),
        ("张三\n李四", "", [Person("张三"), Person("李四")]),
        (
            "张三13800001234 李四:13900001234",
            "",
            [Person("张三", "", ONE), Person("李四", "", TWO)],
        ),
        ("张三(13800001234)", "", [Person("张三", "", ONE)]),
        ("张三", "0734-8866123、13800001234", [Person("张三", "", ONE)]),
        ("", "13800001234", []),
        ("无", "", []),
    ],
)
def test_persons_whose_numbers_are_clear(names, phones, people):
    assert parse_people(names, phones) == people


@pytest.mark.parametrize(
    ("names", "phones"),
    [
        ("张三、李四", "13800001234"),
        ("张三", "13800001234、13900001234"),
        ("张三、李四、王五", "13800001234、13900001234"),
    ],
)
def test_persons_whose_numbers_are_not_clear(names, phones, spoken):
    with pytest.raises(BadValue, match="分不清"):
        parse_people(names, phones)
