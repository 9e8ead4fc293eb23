from typing import Any

from flask_babel import lazy_gettext as _
from wtforms import BooleanField, SelectChoice, SelectField, SelectMultipleField, StringField
from wtforms.validators import InputRequired, Length, ValidationError

from outreach.access import Role
from outreach.accounts.services import Profile
from outreach.forms import DayField, Form, TermField
from outreach.messages.addresses import normalise_address
from outreach.messages.models import Channel


class UserForm(Form):
    name = StringField(
        _("姓名"), [InputRequired(_("请填写姓名。")), Length(max=60, message=_("最多 60 个字。"))]
    )
    role = TermField(_("角色"), Role)
    email = StringField(_("电子邮箱"))
    mobile = StringField(_("手机号码"))
    is_enabled = BooleanField(_("账号可用"))
    sector_ids = SelectMultipleField(_("负责的板块"), coerce=int)

    def validate_mobile(self, field: Any) -> None:
        if field.data and not normalise_address(Channel.SMS, field.data):
            raise ValidationError(_("请填写 11 位大陆手机号码。"))

    def validate_email(self, field: Any) -> None:
        if field.data and not normalise_address(Channel.EMAIL, field.data):
            raise ValidationError(_("邮箱格式不正确，例如 name@example.com。"))

    def validate_sector_ids(self, field: Any) -> None:
        if self.role.data is Role.LIAISON and not field.data:
            raise ValidationError(_("请至少选择一个板块，否则板块联络员看不到任何单位。"))

    def profile(self) -> Profile:
        return Profile(
            name=self.name.data,
            role=self.role.data,
            email=normalise_address(Channel.EMAIL, self.email.data or ""),
            mobile=normalise_address(Channel.SMS, self.mobile.data or ""),
            is_enabled=self.is_enabled.data,
            sector_ids=frozenset(self.sector_ids.data or ()),
        )


class NewUserForm(UserForm):
    username = StringField(_("用户名"), [InputRequired(_("请填写用户名。"))])


class PeriodForm(Form):
    first = DayField(_("开始日期"), [InputRequired(_("请填写日期。"))])
    last = DayField(_("结束日期"))


class SpecialDaysForm(PeriodForm):
    kind = SelectField(
        _("安排"), choices=[SelectChoice("off", _("放假")), SelectChoice("work", _("调休上班"))]
    )
    note = StringField(_("说明"), [Length(max=60, message=_("最多 60 个字。"))])
