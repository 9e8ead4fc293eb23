from typing import Any

from flask_babel import lazy_gettext as _
from wtforms import BooleanField, StringField
from wtforms.validators import AnyOf, InputRequired, Length, ValidationError

from outreach.forms import DayField, Form, TermField
from outreach.messages.addresses import normalise_address
from outreach.messages.models import TO_ONE_PERSON, Channel
from outreach.units.contacts import Details, RevealReason
from outreach.units.models import Contact, ContactRole


class ContactForm(Form):
    """Never shows the stored number or address: an empty field keeps it, a tick removes it."""

    name = StringField(
        _("姓名"), [InputRequired(_("请填写姓名。")), Length(max=60, message=_("最多 60 个字。"))]
    )
    title = StringField(_("职务"), [Length(max=60, message=_("最多 60 个字。"))])
    role = TermField(_("分工"), ContactRole)
    mobile = StringField(_("手机号码"))
    forget_mobile = BooleanField(_("删除手机号码"))
    email = StringField(_("电子邮箱"))
    forget_email = BooleanField(_("删除电子邮箱"))
    valid_from = DayField(_("任职开始日"), [InputRequired(_("请填写日期。"))])
    preferred_channel = TermField(
        _("首选渠道"), (Channel.EMAIL, Channel.SMS), blank=_("不限"), default=None
    )

    def validate_mobile(self, field: Any) -> None:
        if field.data and not normalise_address(Channel.SMS, field.data):
            raise ValidationError(_("请填写 11 位大陆手机号码。"))

    def validate_email(self, field: Any) -> None:
        if field.data and not normalise_address(Channel.EMAIL, field.data):
            raise ValidationError(_("邮箱格式不正确，例如 name@example.com。"))

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
