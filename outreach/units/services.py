"""Changes to units, and what is accepted as a phone number, an address or a credit code."""

import unicodedata
from dataclasses import dataclass

import phonenumbers
import sqlalchemy as sa
from flask_babel import lazy_gettext as _
from stdnum.cn import uscc
from stdnum.exceptions import ValidationError

from outreach import audit
from outreach.db import db
from outreach.errors import Refused
from outreach.messages.addresses import normalise_address
from outreach.messages.models import Channel
from outreach.units import naming
from outreach.units.models import AliasKind, Unit, UnitAlias, UnitHeadCount, UnitKind
from outreach.units.queries import find_head_count

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


@dataclass(frozen=True)
class UnitDetails:
    """What a person may change about a unit; empty where there is nothing."""

    name: str
    short_name: str
    sms_name: str
    public_name: str
    credit_code: str | None
    kind: UnitKind
    district: str
    address: str
    parent_id: int | None
    visit_days: str = ""


def update_unit(unit: Unit, details: UnitDetails) -> None:
    """Refused when another unit has the name or the code, or would be in charge of itself."""
    _check_not_taken(unit, details)
    if details.parent_id != unit.parent_id:
        _set_parent(unit, details.parent_id)
    values = {name: value for name, value in vars(details).items() if name != "parent_id"}
    changed = [name for name, value in values.items() if getattr(unit, name) != value]
    if unit.name != details.name:
        rename_unit(unit, details.name)
    for name in changed:
        setattr(unit, name, values[name])
    audit.record("change.unit", f"unit:{unit.id}", fields=changed)


def add_alias(unit: Unit, name: str, kind: AliasKind) -> None:
    key = naming.name_key(name)
    if not key:
        raise Refused(_("请填写名称。"))
    if key in {unit.name_key, *(alias.name_key for alias in unit.aliases)}:
        raise Refused(_("这个单位已经有“%(name)s”这个名称了。", name=name))
    if kind is AliasKind.CREDIT_CODE:
        name = normalise_credit_code(name) or ""
    unit.aliases.append(UnitAlias(name=name, name_key=naming.name_key(name), kind=kind))
    db.session.flush()
    audit.record("add.alias", f"unit:{unit.id}", name=name)


def remove_alias(alias: UnitAlias) -> None:
    audit.record("remove.alias", f"unit:{alias.unit_id}", name=alias.name)
    alias.unit.aliases.remove(alias)


def count_heads(unit: Unit, campaign_id: int, count: int | None) -> None:
    """How many people the unit has in the year of the campaign; None when nobody knows."""
    row = find_head_count(unit.id, campaign_id)
    if count is None:
        if row is not None:
            db.session.delete(row)
    elif row is None:
        db.session.add(UnitHeadCount(unit_id=unit.id, campaign_id=campaign_id, count=count))
    else:
        row.count = count
    db.session.flush()
    audit.record("count.heads", f"unit:{unit.id}", campaign=campaign_id, count=count)


def _check_not_taken(unit: Unit, details: UnitDetails) -> None:
    is_same = Unit.name_key == naming.name_key(details.name)
    if details.credit_code:
        is_same |= Unit.credit_code == details.credit_code
    other = db.session.scalar(sa.select(Unit).where(Unit.id != unit.id, is_same).limit(1))
    if other is not None:
        raise Refused(
            _(
                "已经有名称或信用代码相同的单位“%(unit)s”。"
                "如果是同一个单位，请到单位页面选“并入另一单位”。",
                unit=other.name,
            )
        )


def _set_parent(unit: Unit, parent_id: int | None) -> None:
    # Two people who put two units in charge of each other at once wait for one another.
    ids = sorted({unit.id, *list_above(parent_id)})
    db.session.execute(
        sa.select(Unit.id).where(Unit.id.in_(ids)).order_by(Unit.id).with_for_update()
    )
    if unit.id in list_above(parent_id):
        raise Refused(_("主管单位不能是它自己，也不能是它的下属单位。请重新填写。"))
    unit.parent_id = parent_id


def list_above(unit_id: int | None) -> list[int]:
    """The unit and those in charge of it, up to the highest."""
    above: list[int] = []
    while unit_id is not None:
        above.append(unit_id)
        unit_id = db.session.scalar(sa.select(Unit.parent_id).where(Unit.id == unit_id))
    return above


def rename_unit(unit: Unit, name: str) -> None:
    """The old name stays as an alias, so that lists and statements that use it are understood."""
    old_name, old_key = unit.name, unit.name_key
    unit.name = name
    unit.name_key = naming.name_key(name)
    unit.initials = naming.initials(name)
    if old_key != unit.name_key and old_key not in {alias.name_key for alias in unit.aliases}:
        unit.aliases.append(UnitAlias(name=old_name, name_key=old_key))
