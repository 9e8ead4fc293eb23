"""What people type about meetings. Times are wall clock in Asia/Shanghai."""

from datetime import datetime

from flask_babel import lazy_gettext as _
from wtforms import (
    Field,
    IntegerField,
    SelectChoice,
    SelectField,
    StringField,
    TextAreaField,
    TimeField,
)
from wtforms.validators import DataRequired, InputRequired, Length, Optional, ValidationError
from wtforms.widgets import HiddenInput

from outreach import clock
from outreach.forms import DayField, Form, TermField, one_line
from outreach.meetings.models import PartStat
from outreach.meetings.queries import list_office_users

LONG = Length(max=10_000, message=_("最多 10000 个字。"))


class MeetingForm(Form):
    title = StringField(
        _("会议名称"),
        [DataRequired(_("请填写会议名称。")), Length(max=120), one_line],
    )
    day = DayField(_("日期"), [DataRequired(_("请选择日期。"))])
    start = TimeField(_("开始"), [InputRequired(_("请填写开始时间。"))])
    end = TimeField(_("结束"), [InputRequired(_("请填写结束时间。"))])
    place = StringField(_("地点"), [Length(max=120), one_line])
    agenda = TextAreaField(_("议程"), [Optional(), LONG], render_kw={"rows": 8})

    def validate_end(self, field: Field) -> None:
        if self.start.data and field.data and field.data <= self.start.data:
            raise ValidationError(_("结束时间要晚于开始时间。"))

    @property
    def starts_at(self) -> datetime:
        return clock.at(self.day.data, self.start.data)

    @property
    def ends_at(self) -> datetime:
        return clock.at(self.day.data, self.end.data)


class CancelForm(Form):
    reason = StringField(
        _("取消原因"),
        [DataRequired(_("请填写取消原因，它会写进取消通知。")), Length(max=200), one_line],
    )


class AnswerForm(Form):
    partstat = TermField(_("回复"), PartStat, validators=[DataRequired()])


class InviteeForm(Form):
    """What an invited person answers without signing in."""

    partstat = TermField(
        _("您是否参加"),
        (PartStat.ACCEPTED, PartStat.DECLINED, PartStat.DELEGATED),
        validators=[DataRequired(_("请选择是否参加。"))],
    )
    delegate_name = StringField(
        _("代为参加的同志姓名"), [Length(max=60, message=_("最多 60 个字。")), one_line]
    )
    sequence = IntegerField(widget=HiddenInput())

    def validate_delegate_name(self, field: Field) -> None:
        if self.partstat.data is PartStat.DELEGATED and not field.data:
            raise ValidationError(_("请填写代为参加的同志姓名。"))


class MinutesForm(Form):
    minutes = TextAreaField(_("会议纪要"), [Optional(), LONG], render_kw={"rows": 14})
    decisions = TextAreaField(_("议定事项"), [Optional(), LONG], render_kw={"rows": 5})


class ActionItemForm(Form):
    text = StringField(
        _("待办事项"), [DataRequired(_("请填写要办的事。")), Length(max=200), one_line]
    )
    owner_id = SelectField(_("责任人"), coerce=int)
    unit_id = SelectField(_("相关单位"), coerce=int, default=0)
    due_on = DayField(_("期限"), [DataRequired(_("请选择期限。"))])

    def offer(self, units: list[tuple[int, str]]) -> None:
        """Fills the choices: staff as owners, and (id, name) of the units to choose from."""
        self.owner_id.choices = [SelectChoice(user.id, user.name) for user in list_office_users()]
        self.unit_id.choices = [
            SelectChoice(0, _("不涉及单位")),
            *(SelectChoice(id_, name) for id_, name in units),
        ]

    def validate_due_on(self, field: Field) -> None:
        if field.data and field.data < clock.today():
            raise ValidationError(_("期限不能早于今天。"))
