"""Placeholders: `((单位名称))` is replaced by a value and nothing else happens. Values are put in
once and never looked at again, so that what a unit is called cannot become a placeholder."""

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import count

from flask_babel import LazyString
from flask_babel import lazy_gettext as _

from outreach.errors import Refused
from outreach.messages.models import Purpose, TemplateVersion

PLACEHOLDERS: dict[str, LazyString] = {
    "活动名称": _("活动全称"),
    "单位名称": _("单位全称；短信中用短信名称。一人联络多家单位时并列写出"),
    "单位简称": _("单位简称，没有简称时用全称"),
    "联系人": _("收信联络员姓名"),
    "称谓": _("联络员的职务；没有登记或过长时写“同志”"),
    "板块": _("单位所在板块"),
    "上年度捐款": _("上年度到账金额，如“3.2 万元”；仅写给上年度捐过的单位时使用"),
    "本次捐款": _("要致谢的到账金额，如“3.2 万元”；只用于感谢信"),
    "到账日期": _("要致谢的款项到账的日期，如“10月12日”；只用于感谢信"),
    "认捐金额": _("单位认捐的金额；仅写给已认捐的单位时使用"),
    "开始日期": _("活动开始日，如“9月1日”"),
    "截止日期": _("活动结束日，如“12月31日”"),
    "核对链接": _("单位核对联络员的网页，每位收信人一个；只用于联络信息核对函"),
    "劝募人": _("负责该单位的工作人员；未分配时为发信人"),
    "劝募人电话": _("上述工作人员的电话；短信中不可用"),
    "总会名称": _("本会名称"),
}
"""Every name that may stand between double brackets, with what is put in its place."""

SMS_VARIABLES = {
    "活动名称": "campaign",
    "单位名称": "unit",
    "单位简称": "unitshort",
    "联系人": "contact",
    "称谓": "title",
    "板块": "sector",
    "开始日期": "opening",
    "截止日期": "deadline",
    "到账日期": "received",
    "劝募人": "solicitor",
    "总会名称": "federation",
}
"""What the placeholders of text messages are called where a provider wants names of Latin letters.
Wordings are registered under these names: none may ever change."""

RELAY_LINK = "核对链接"
_OF_GIFTS = frozenset({"本次捐款", "到账日期"})

_PLACEHOLDER = re.compile(r"[(\uff08]{2}([^()\uff08\uff09\n]*)[)\uff09]{2}")
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def placeholders_in(text: str) -> list[str]:
    """Names of the placeholders in use, each once, in their order."""
    return list(dict.fromkeys(name for name, _end in pieces_of(text) if name))


def fill_variables(version: TemplateVersion, fields: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """(placeholder, value) in the order of the text, a placeholder that comes twice twice: what a
    provider puts into a wording that it knows by number."""
    pieces = pieces_of(version.body)
    return tuple((name, _clean(fields[name])) for name, _literal in pieces if name)


def name_variables(body: str, write: Callable[[int, str], str]) -> str:
    """The text as it is registered with a provider; `write` is given the position of a
    placeholder, from 1, and its name, and returns how the provider has it written."""
    names = count(1)
    return "".join(
        (write(next(names), name) if name else "") + literal for name, literal in pieces_of(body)
    )


def suits(version: TemplateVersion, purpose: Purpose) -> bool:
    """What thanks for a gift has nothing to say to whom has not given, and what asks to confirm
    says nothing without the link."""
    used = set(placeholders_in(f"{version.subject}\n{version.body}"))
    if purpose is Purpose.RELAY:
        return RELAY_LINK in used
    return RELAY_LINK not in used and (purpose is Purpose.THANKS or used.isdisjoint(_OF_GIFTS))


def fill(text: str, fields: dict[str, str]) -> str:
    problem = find_problem(text)
    if problem is not None:
        raise Refused(problem)
    return "".join(_clean(fields[name]) + rest if name else rest for name, rest in pieces_of(text))


@lru_cache(maxsize=256)
def pieces_of(text: str) -> tuple[tuple[str, str], ...]:
    """The text as (placeholder, literal text after it); the first placeholder may be empty.

    Brackets as a Chinese keyboard types them are taken too, but only around a name that exists:
    «(见附件(二))» stays what it is.
    """
    pieces: list[tuple[str, str]] = []
    name, start = "", 0
    for match in _PLACEHOLDER.finditer(text):
        found = match[1].strip()
        if found not in PLACEHOLDERS:
            continue
        pieces.append((name, text[start : match.start()]))
        name, start = found, match.end()
    return (*pieces, (name, text[start:]))


@lru_cache(maxsize=256)
def find_problem(text: str) -> LazyString | None:
    """What is wrong with its placeholders, and what to do; None when nothing is."""
    rest = "\n".join(literal for _name, literal in pieces_of(text))
    unknown = re.findall(r"\(\(([^()\n]*)\)\)", rest)
    if unknown:
        return _(
            "没有这样的占位符：%(names)s。可用的占位符有：%(known)s。",
            names="、".join(f"(({name}))" for name in dict.fromkeys(unknown)),
            known="、".join(PLACEHOLDERS),
        )
    is_closed_too_often = "))" in rest and rest.count("(") != rest.count(")")
    if "((" in rest or is_closed_too_often:
        position = rest.find("((") if "((" in rest else rest.find("))")
        return _(
            "占位符的括号不成对：“%(near)s”。占位符前后各要两个括号，例如((单位名称))。",
            near=rest[max(position - 6, 0) : position + 10].replace("\n", " "),
        )
    return None


def _clean(value: str) -> str:
    return " ".join(CONTROL.sub(" ", value).split())
