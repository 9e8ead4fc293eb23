import re
from typing import Any, Final

from flask_babel import LazyString
from flask_babel import lazy_gettext as _
from wtforms import BooleanField, SelectMultipleField, StringField
from wtforms.validators import AnyOf, InputRequired, Length, ValidationError

from outreach.errors import Refused
from outreach.forms import DayField, Form, TermField, one_line
from outreach.messages.addresses import normalise_address
from outreach.messages.models import TO_ONE_PERSON, Channel
from outreach.units.contacts import Details, RevealReason
from outreach.units.models import WEEKDAYS, AliasKind, Contact, ContactRole, Unit, UnitKind
from outreach.units.naming import name_key, propose_kind
from outreach.units.queries import find_unit
from outreach.units.services import LONGEST_SMS_NAME, UnitDetails, normalise_credit_code
from outreach.workdays import Half

WORKDAYS: Final = range(5)


class UnitForm(Form):
    name = StringField(
        _("单位名称"),
        [InputRequired(_("请填写单位名称。")), Length(max=120, message=_("最多 120 个字。"))],
    )
    short_name = StringField(_("简称"), [Length(max=60, message=_("最多 60 个字。"))])
    sms_name = StringField(
        _("短信用名"), [Length(max=LONGEST_SMS_NAME, message=_("短信里最多 20 个字。"))]
    )
    public_name = StringField(_("公示名称"), [Length(max=120, message=_("最多 120 个字。"))])
    credit_code = StringField(_("统一社会信用代码"))
    kind = TermField(_("单位性质"), UnitKind)
    district = StringField(_("区县"), [Length(max=40, message=_("最多 40 个字。"))])
    address = StringField(_("地址"), [Length(max=200, message=_("最多 200 个字。"))])
    parent = StringField(_("主管单位"))
    visit_days = SelectMultipleField(
        _("接待来访的日子"),
        choices=["", *(f"{day}{half}" for day in WORKDAYS for half in ("", *Half))],
    )

    def __init__(self, unit: Unit) -> None:
        names = ("name", "short_name", "sms_name", "public_name", "kind", "district", "address")
        data = {name: getattr(unit, name) for name in names}
        parent = unit.parent.name if unit.parent else ""
        data |= {"credit_code": unit.credit_code or "", "parent": parent}
        days = re.findall("[0-6][ap]?", unit.visit_days)
        super().__init__(data=data | {"visit_days": days})
        self.code: str | None = unit.credit_code
        self.parent_id: int | None = unit.parent_id

    @property
    def days(self) -> list[tuple[LazyString, list[tuple[str, LazyString]]]]:
        """Each working day with what may be chosen for it."""
        hours = [("", _("全天")), *Half.choices()]
        return [
            (WEEKDAYS[day], [(f"{day}{half}", text) for half, text in hours]) for day in WORKDAYS
        ]

    @property
    def proposed_kind(self) -> UnitKind | None:
        """What name and code suggest, when that is not what is chosen."""
        proposed = propose_kind(self.name.data or "", self.credit_code.data)
        is_other = proposed not in {UnitKind.OTHER, self.kind.data}
        return proposed if is_other else None

    def validate_name(self, field: Any) -> None:
        if not name_key(field.data):
            raise ValidationError(_("名称里没有文字。请填写单位全称。"))

    def validate_credit_code(self, field: Any) -> None:
        try:
            self.code = normalise_credit_code(field.data or "")
        except Refused as refusal:
            raise ValidationError(refusal.message) from refusal

    def validate_public_name(self, field: Any) -> None:
        if self.kind.data is UnitKind.ARMY and not field.data:
            raise ValidationError(_("部队的番号不能对外，请填写公示名称，例如“驻衡某部”。"))

    def validate_parent(self, field: Any) -> None:
        parent = find_unit(field.data) if field.data else None
        if field.data and parent is None:
            raise ValidationError(_("没有名为“%(name)s”的单位。请填写全称。", name=field.data))
        self.parent_id = parent.id if parent else None

    def details(self) -> UnitDetails:
        return UnitDetails(
            name=self.name.data,
            short_name=self.short_name.data or "",
            sms_name=self.sms_name.data or "",
            public_name=self.public_name.data or "",
            credit_code=self.code,
            kind=self.kind.data,
            district=self.district.data or "",
            address=self.address.data or "",
            parent_id=self.parent_id,
            visit_days="".join(sorted(set(self.visit_days.data or ()))),
        )


class AliasForm(Form):
    name = StringField(
        _("别名"),
        [InputRequired(_("请填写名称。")), Length(max=120, message=_("最多 120 个字。"))],
    )
    kind = TermField(_("类别"), AliasKind)


class PersonForm(Form):
    name = StringField(
        _("姓名"),
        [InputRequired(_("请填写姓名。")), Length(max=60, message=_("最多 60 个字。")), one_line],
    )
    title = StringField(_("职务"), [Length(max=60, message=_("最多 60 个字。")), one_line])
    mobile = StringField(_("手机号码"))
    email = StringField(_("电子邮箱"))
    preferred_channel = TermField(
        _("首选渠道"), (Channel.EMAIL, Channel.SMS), blank=_("不限"), default=None
    )

    def validate_mobile(self, field: Any) -> None:
        if field.data and not normalise_address(Channel.SMS, field.data):
            raise ValidationError(_("请填写 11 位大陆手机号码。"))

    def validate_email(self, field: Any) -> None:
        if field.data and not normalise_address(Channel.EMAIL, field.data):
            raise ValidationError(_("邮箱格式不正确，例如 name@example.com。"))


class ContactForm(PersonForm):
    """Never shows the stored number or address: an empty field keeps it, a tick removes it."""

    role = TermField(_("分工"), ContactRole)
    forget_mobile = BooleanField(_("删除手机号码"))
    forget_email = BooleanField(_("删除电子邮箱"))
    valid_from = DayField(_("任职开始日"), [InputRequired(_("请填写日期。"))])

    def details(self, contact: Contact | None = None) -> Details:
        """What was typed, over what `contact` has."""
        mobile = normalise_address(Channel.SMS, self.mobile.data or "")
        email = normalise_address(Channel.EMAIL, self.email.data or "")
        if contact is not None:
            mobile = mobile or ("" if self.forget_mobile.data else contact.mobile)
            email = email or ("" if self.forget_email.data else contact.email)
        return Details(
            name=self.name.data,
            title=self.title.data or "",
            role=self.role.data,
            mobile=mobile,
            email=email,
            valid_from=self.valid_from.data,
            preferred_channel=self.preferred_channel.data,
        )


class HandOverForm(PersonForm):
    """Who takes over, with the part of the one before and nothing else of them."""

    valid_from = DayField(_("交接日"), [InputRequired(_("请填写日期。"))])

    def details(self, role: ContactRole) -> Details:
        return Details(
            name=self.name.data,
            title=self.title.data or "",
            role=role,
            mobile=normalise_address(Channel.SMS, self.mobile.data or ""),
            email=normalise_address(Channel.EMAIL, self.email.data or ""),
            valid_from=self.valid_from.data,
            preferred_channel=self.preferred_channel.data,
        )


class EndContactForm(Form):
    valid_to = DayField(_("任职截止日"))


class OptOutForm(Form):
    channel = TermField(_("方式"), Channel, validators=[AnyOf(TO_ONE_PERSON)])
    reason = StringField(_("依据"), [Length(max=200, message=_("最多 200 个字。"))])


class AllowForm(OptOutForm):
    def validate_reason(self, field: Any) -> None:
        if not (field.data or "").strip():
            raise ValidationError(_("请写明恢复的依据，例如“本人来电要求恢复”。"))


class VerifyForm(OptOutForm):
    def validate_reason(self, field: Any) -> None:
        if not (field.data or "").strip():
            raise ValidationError(_("请写明怎样核实的，例如“已与本人电话核对”。"))


class RevealForm(Form):
    reason = TermField(_("用途"), RevealReason)
