from flask_babel import lazy_gettext as _
from wtforms import PasswordField, StringField
from wtforms.validators import EqualTo, InputRequired, Length

from outreach.accounts import passwords
from outreach.forms import Form


class SignInForm(Form):
    username = StringField(_("用户名"), [InputRequired(_("请填写用户名。")), Length(max=60)])
    password = PasswordField(
        _("密码"), [InputRequired(_("请填写密码。")), Length(max=passwords.LONGEST)]
    )


class NewPasswordForm(Form):
    new_password = PasswordField(
        _("新密码"),
        [
            InputRequired(_("请填写新密码。")),
            Length(max=passwords.LONGEST, message=_("密码最多 128 个字符。")),
        ],
    )
    repeated = PasswordField(
        _("再输入一次"),
        [InputRequired(_("请再输入一次新密码。")), EqualTo("new_password", _("两次输入不一致。"))],
    )


class ChangePasswordForm(NewPasswordForm):
    current_password = PasswordField(
        _("当前密码"), [InputRequired(_("请填写当前密码。")), Length(max=passwords.LONGEST)]
    )
