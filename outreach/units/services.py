"""Changes to units, and what is accepted as a phone number, an address or a credit code."""

import unicodedata

import phonenumbers
from flask_babel import lazy_gettext as _
from stdnum.cn import uscc
from stdnum.exceptions import ValidationError

from outreach.errors import Refused
from outreach.messages.addresses import normalise_address
from outreach.messages.models import Channel
from outreach.units import naming
from outreach.units.models import Unit, UnitAlias

LONGEST_SMS_NAME = 20


def normalise_phone(text: str) -> str:
    """E.164 («+8613800001234») of what a person typed, mobile or landline; empty for nothing."""
    text = unicodedata.normalize("NFKC", text).strip()
    if not text:
        return ""
    try:
        number = phonenumbers.parse(text, "CN")
    except phonenumbers.NumberParseException:
        number = None
    if number is None or number.extension or not phonenumbers.is_valid_number(number):
        raise Refused(
            _(
                "“%(text)s”不是有效的电话号码。手机请填 11 位，固定电话请带区号，如 0734-8866123。",
                text=text,
            )
        )
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def is_mobile(phone: str) -> bool:
    """Whether an SMS can be sent to the number."""
    return bool(normalise_address(Channel.SMS, phone))


def normalise_email(text: str) -> str:
    """Lower case; empty for nothing."""
    text = unicodedata.normalize("NFKC", text).strip()
    email = normalise_address(Channel.EMAIL, text)
    if text and not email:
        raise Refused(_("“%(text)s”不是有效的邮箱地址。", text=text))
    return email


def normalise_credit_code(text: str) -> str | None:
    """The 18 characters of GB 32100-2015, or None for nothing; army codes begin with A1."""
    code = uscc.compact(unicodedata.normalize("NFKC", text))
    if not code:
        return None
    try:
        if not code.startswith("A1"):
            return uscc.validate(code)
        if len(code) == 18 and code[-1] == uscc.calc_check_digit(code[:-1]):
            return code
    except (ValidationError, ValueError):
        pass
    raise Refused(
        _("“%(code)s”不是有效的统一社会信用代码。应为 18 位，请与证书核对。", code=text.strip())
    )


def propose_sms_name(name: str, short_name: str) -> str:
    """What SMS providers take as one variable; empty when both names are too long."""
    return next((text for text in (short_name, name) if 0 < len(text) <= LONGEST_SMS_NAME), "")


def rename_unit(unit: Unit, name: str) -> None:
    """The old name stays as an alias, so that lists and statements that use it are understood."""
    old_name, old_key = unit.name, unit.name_key
    unit.name = name
    unit.name_key = naming.name_key(name)
    unit.initials = naming.initials(name)
    if old_key != unit.name_key and old_key not in {alias.name_key for alias in unit.aliases}:
        unit.aliases.append(UnitAlias(name=old_name, name_key=old_key))
