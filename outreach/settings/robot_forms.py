import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask_babel import lazy_gettext as _
from wtforms import BooleanField, PasswordField, SelectChoice, SelectField, StringField
from wtforms.validators import InputRequired, Length, ValidationError

from outreach.forms import Form
from outreach.messages.robots import Group
from outreach.settings.robot_groups import GroupChoice

_KEY = re.compile(r"[A-Za-z0-9_-]{16,80}")


class RobotForm(Form):
    name = StringField(
        _("群名称"),
        [InputRequired(_("请填写群名称。")), Length(max=60, message=_("最多 60 个字。"))],
    )
    group = SelectField(_("发给谁"), [InputRequired(_("请选择是总会工作群还是板块群。"))])
    key = PasswordField(_("Webhook 密钥"))
    """Of what is typed only: a key that was saved never comes back to a page."""
    is_on = BooleanField(_("启用"), default=True)

    def offer(self, choices: list[GroupChoice]) -> None:
        self._groups = {choice.value: choice.group for choice in choices}
        self.group.choices = [
            SelectChoice(
                choice.value,
                choice.label,
                optgroup=choice.campaign.name if choice.campaign else None,
            )
            for choice in choices
        ]

    def chosen_group(self) -> Group:
        return self._groups[self.group.data]

    def validate_key(self, field: Any) -> None:
        """The key, or the whole address that WeCom shows, in which it stands."""
        text = (field.data or "").strip()
        if "key=" in text:
            text = parse_qs(urlsplit(text).query).get("key", [""])[0]
        elif not text:
            return
        if not _KEY.fullmatch(text):
            raise ValidationError(
                _("密钥不对。请在群机器人的资料里复制 Webhook 地址，整个粘贴到这里。")
            )
        field.data = text


class NewRobotForm(RobotForm):
    key = PasswordField(
        _("Webhook 密钥"), [InputRequired(_("请粘贴群机器人的 Webhook 地址或其中的密钥。"))]
    )
