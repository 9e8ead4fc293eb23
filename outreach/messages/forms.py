"""What people type about sending."""

from datetime import date

from flask_babel import lazy_gettext as _
from wtforms import (
    Field,
    HiddenField,
    IntegerField,
    RadioField,
    SelectChoice,
    StringField,
    TextAreaField,
    TimeField,
)
from wtforms.validators import (
    DataRequired,
    InputRequired,
    Length,
    NumberRange,
    Optional,
    Regexp,
    ValidationError,
)

from outreach.forms import Form, TermField, YuanField
from outreach.messages.models import QUIET_FROM, QUIET_UNTIL, Channel, WindowDays
from outreach.messages.outbox import Decision

DEAREST_SMS_FEN = 1000
LEAP_YEAR = 2024
"""Takes «02-29»."""


class ResolveForm(Form):
    decision = RadioField(
        _("核实结果"),
        [InputRequired(_("请选择核实结果。"))],
        choices=[
            SelectChoice(Decision.SENT.value, _("对方已收到，记为已发出")),
            SelectChoice(Decision.RESEND.value, _("确认对方没有收到，再发一次")),
            SelectChoice(Decision.CANCEL.value, _("不再发送")),
        ],
        coerce=Decision,
    )
    reason = TextAreaField(
        _("依据"),
        [DataRequired(_("请写明依据，例如“电话问过，没有收到”。")), Length(max=200)],
        render_kw={"rows": 2, "placeholder": _("例如：电话问过联络员，没有收到")},
    )
    resend_no = HiddenField()


class SwitchForm(Form):
    is_on = HiddenField(validators=[InputRequired()])


class CapsForm(Form):
    contact_cap = IntegerField(
        _("同一联络员最多（次）"), [InputRequired(_("请填写次数。")), NumberRange(0, 20)]
    )
    contact_cap_days = IntegerField(
        _("在多少天内"), [InputRequired(_("请填写天数。")), NumberRange(1, 60)]
    )
    unit_cap = IntegerField(
        _("同一单位每个活动最多（次）"), [InputRequired(_("请填写次数。")), NumberRange(0, 20)]
    )
    unit_gap_days = IntegerField(
        _("同一单位两次提醒至少隔（天）"),
        [InputRequired(_("请填写天数，0 表示不限。")), NumberRange(0, 30)],
    )
    sms_daily_budget = IntegerField(
        _("短信每天最多（计费条数）"),
        [InputRequired(_("请填写条数，0 表示不发短信。")), NumberRange(0, 100_000)],
    )
    sms_price_fen = YuanField(_("短信单价（元/条）"))

    def validate_sms_price_fen(self, field: Field) -> None:
        if field.data is None or not 0 <= field.data <= DEAREST_SMS_FEN:
            raise ValidationError(_("请填写 0 到 10 元之间的单价，例如 0.05。"))


class RateForm(Form):
    channel = TermField(_("渠道"), Channel)
    domain = StringField(
        _("收件域名"),
        [
            Optional(),
            Length(max=190),
            Regexp(r"^[a-zA-Z0-9.-]+\.[a-zA-Z-]+$", message=_("请填写域名，例如 qq.com。")),
        ],
    )
    per_minute = IntegerField(
        _("每分钟最多（条）"),
        [Optional(), NumberRange(1, 100_000, message=_("请填写 1 到 100000，留空表示不限。"))],
    )

    def validate_domain(self, field: Field) -> None:
        field.data = (field.data or "").strip().lower()
        if field.data and self.channel.data is not Channel.EMAIL:
            raise ValidationError(_("只有邮件可以按域名设置。"))


class WindowForm(Form):
    days = TermField(_("日子"), WindowDays)
    opens_at = TimeField(_("开始时间"), [InputRequired(_("请填写开始时间。"))])
    closes_at = TimeField(_("结束时间"), [InputRequired(_("请填写结束时间。"))])
    season_from = StringField(_("每年从"), [DataRequired(_("请填写起始日。"))], default="01-01")
    season_to = StringField(_("到"), [DataRequired(_("请填写截止日。"))], default="12-31")

    def validate_opens_at(self, field: Field) -> None:
        if field.data and not QUIET_UNTIL <= field.data < QUIET_FROM:
            raise ValidationError(
                _(
                    "“开始时间”落在静默时间内：21:00 至次日 08:00 不向单位发消息。"
                    "请填写 08:00 到 21:00 之间的时间，一般为上班时间。"
                )
            )

    def validate_closes_at(self, field: Field) -> None:
        if field.data and not QUIET_UNTIL < field.data <= QUIET_FROM:
            raise ValidationError(
                _(
                    "“结束时间”落在静默时间内：21:00 至次日 08:00 不向单位发消息。"
                    "请填写不晚于 21:00 的时间，一般为下班时间。"
                )
            )
        if self.opens_at.data and field.data and field.data <= self.opens_at.data:
            raise ValidationError(_("结束时间要晚于开始时间。"))

    def validate_season_from(self, field: Field) -> None:
        field.data = _month_and_day(field.data)

    def validate_season_to(self, field: Field) -> None:
        field.data = _month_and_day(field.data)


def _month_and_day(text: str) -> str:
    try:
        return f"{date.fromisoformat(f'{LEAP_YEAR}-{text}'):%m-%d}"
    except ValueError:
        raise ValidationError(_("请按“月-日”填写，例如 09-01。")) from None
