from flask_babel import lazy_gettext as _
from wtforms import RadioField, StringField, TextAreaField
from wtforms.validators import DataRequired, InputRequired, Length, Optional, Regexp

from outreach.forms import Form, list_choices
from outreach.messages.models import TO_ONE_PERSON, Channel


class TextForm(Form):
    """The wording; what may be said is for `rendering.lint` to judge."""

    name = StringField(
        _("模板名称"),
        [DataRequired(_("请填写模板名称。")), Length(max=60, message=_("不超过 60 字。"))],
    )
    subject = StringField(_("邮件主题"), [Length(max=120, message=_("不超过 120 字。"))])
    body = TextAreaField(
        _("正文"),
        [DataRequired(_("请填写正文。")), Length(max=10_000, message=_("不超过 10000 字。"))],
        filters=[lambda text: text.replace("\r\n", "\n") if text else text],
    )
    provider_template = StringField(
        _("平台模板编号"),
        [
            Optional(),
            Length(max=40, message=_("不超过 40 个字符。")),
            Regexp(
                r"^[A-Za-z0-9_-]+$", message=_("编号只有字母、数字和下划线，如 SMS_123456789。")
            ),
        ],
        filters=[lambda text: (text or "").strip()],
    )


class TemplateForm(TextForm):
    channel = RadioField(
        _("渠道"),
        [InputRequired(_("请选择邮件或短信。"))],
        choices=list_choices(TO_ONE_PERSON),
        default=Channel.EMAIL.value,
    )
