"""Who is meant by the cells for contacts: one person, or several when each one's part is clear."""

import re
import unicodedata
from dataclasses import dataclass

from flask_babel import lazy_gettext as _

from outreach.spreadsheets.cells import NOTHING, BadValue
from outreach.units.services import is_mobile, normalise_email, normalise_phone

SEPARATORS = re.compile(r"\s*[、,\uff0c;\uff1b/|\n]+\s*")
NAME_AND_PHONE = re.compile(
    r"\s*([^\d+()、,;/|\n]{2,20}?)[\s:(]*(\+?\d[\d -]{5,15}\d)\)?[、,;/|\s]*"
)
TITLE = re.compile(
    r"主任|科长|局长|处长|部长|书记|主席|经理|会计|出纳|干事|秘书|校长|院长|主管|专员|同志$"
)
IN_BRACKETS = re.compile(r"\(([^()]*)\)")
ONE_EACH = _("请每行只写一位联系人，或用顿号隔开姓名，并按同样顺序、同样个数写电话。")


@dataclass(frozen=True)
class Person:
    name: str
    title: str = ""
    mobile: str = ""
    """E.164 or empty."""
    email: str = ""


def parse_people(names: str, phones: str, emails: str = "", title: str = "") -> list[Person]:
    """The persons that the cells name; BadValue when it is not clear what belongs to whom."""
    names, phones = _plain(names), _plain(phones)
    pairs = NAME_AND_PHONE.findall(names)
    if pairs and not phones and not NAME_AND_PHONE.sub("", names).strip():
        names = "、".join(name for name, _phone in pairs)
        phones = "、".join(phone for _name, phone in pairs)
    people = [_split_title(name) for name in _split_names(names)]
    if not people:
        return []
    count = len(people)
    mobiles = _spread(_split_phones(phones), count)
    addresses = [normalise_email(address) for address in _split(_plain(emails))]
    addresses = _spread(addresses, count)
    return [
        Person(name, own_title or (title if count == 1 else ""), mobile, email)
        for (name, own_title), mobile, email in zip(people, mobiles, addresses, strict=True)
    ]


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).strip()
    return "" if text in NOTHING else text


def _split(text: str) -> list[str]:
    return [part for part in SEPARATORS.split(text) if part]


def _split_names(text: str) -> list[str]:
    names = []
    for part in _split(text):
        words = part.split()
        if len(words) > 1 and all(len(word) > 1 for word in words) and not TITLE.search(words[-1]):
            names += words
        elif len(words) > 1 and TITLE.search(words[-1]) and len(words[-1]) > 1:
            names.append(f"{''.join(words[:-1])}({words[-1]})")
        else:
            names.append("".join(words))  # «张 三» is one name, set wide
    return names


def _split_title(name: str) -> tuple[str, str]:
    title = IN_BRACKETS.search(name)
    return IN_BRACKETS.sub("", name).strip(), title[1].strip() if title else ""


def _split_phones(text: str) -> list[str]:
    phones = []
    for part in _split(text):
        words = part.split()
        are_whole = len(words) > 1 and all(len(re.sub(r"\D", "", word)) > 9 for word in words)
        phones += [normalise_phone(word) for word in (words if are_whole else [part])]
    return phones


def _spread(values: list[str], count: int) -> list[str]:
    """One value for each person. One person with several phones keeps the mobile one."""
    if not values:
        return [""] * count
    if count == 1 and len(values) > 1:
        mobiles = [value for value in values if is_mobile(value)]
        values = mobiles if len(mobiles) == 1 else values
    if len(values) != count:
        raise BadValue(
            _(
                "%(count)s 位联系人对应 %(values)s 个号码或邮箱，分不清是谁的",
                count=count,
                values=len(values),
            ),
            ONE_EACH,
        )
    return values
