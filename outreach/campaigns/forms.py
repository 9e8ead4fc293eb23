"""Forms about one unit's place in the campaign, and about the campaign itself."""

from flask_babel import lazy_gettext as _
from wtforms import IntegerField, SelectField, StringField
from wtforms.validators import InputRequired, Length, NumberRange, Optional, Regexp, ValidationError

from outreach.campaigns.models import CampaignStatus, DeclineReason, Solicitation, Stage
from outreach.campaigns.services import PATH, TRANSITIONS
from outreach.forms import DayField, Form, TermField, YuanField


class StageForm(Form):
    """The stage to move to; its page shows one button for each move that the table allows."""

    to = TermField(_("进展"), Stage)
    decline_reason = TermField(_("婉拒原因"), DeclineReason, blank=_("请选择"))
    note = StringField(_("说明"), [Length(max=200, message=_("说明不能超过 200 字。"))], default="")

    def validate_decline_reason(self, field: TermField) -> None:
        if self.to.data is Stage.DECLINED and not field.data:
            raise ValidationError(_("请选择婉拒原因。"))


class NextActionForm(Form):
    next_action = StringField(
        _("做什么"), [Length(max=120, message=_("下一步不能超过 120 字。"))], default=""
    )
    next_action_on = DayField(_("日期"))
    snoozed_until = DayField(_("暂不打扰，至"))

    def validate_next_action(self, field: StringField) -> None:
        if self.next_action_on.data and not field.data:
            raise ValidationError(_("请填写下一步要做什么。"))


class HeadsForm(Form):
    """How many people the unit has this year; empty when nobody knows."""

    count = IntegerField(
        _("人数"),
        [Optional(), NumberRange(0, 1_000_000, _("请填写人数，例如 120；不清楚可留空。"))],
    )


class PeriodForm(Form):
    name = StringField(_("名称"), [InputRequired(_("请填写名称。")), Length(max=120)])
    starts_on = DayField(_("开始日期"), [InputRequired(_("请填写开始日期。"))])
    ends_on = DayField(_("结束日期"), [InputRequired(_("请填写结束日期。"))])

    def validate_ends_on(self, field: DayField) -> None:
        if field.data and self.starts_on.data and field.data < self.starts_on.data:
            raise ValidationError(_("结束日期不能早于开始日期。"))


class NewCampaignForm(PeriodForm):
    code = StringField(
        _("代号"),
        [Regexp(r"[0-9A-Za-z-]{2,20}$", message=_("请用 2 到 20 个字母、数字或短横线。"))],
    )
    previous_id = SelectField(_("上年度活动"), coerce=int)


class CampaignForm(PeriodForm):
    status = TermField(_("状态"), CampaignStatus)
    goal_fen = YuanField(_("目标（元）"), [InputRequired(_("请填写目标金额，没有目标填 0。"))])
    lag_margin_percent = IntegerField(
        _("进度落后几个百分点算滞后"), [NumberRange(0, 100, _("请填写 0 到 100 的整数。"))]
    )
    follow_up_workdays = IntegerField(
        _("提醒后几个工作日无回音，建议上门"), [NumberRange(1, 60, _("请填写 1 到 60 的整数。"))]
    )
    visits_per_day = IntegerField(
        _("每人每天最多安排几次走访"), [NumberRange(1, 20, _("请填写 1 到 20 的整数。"))]
    )
    return_workdays = IntegerField(
        _("逾期几个工作日未走访，退回重排"), [NumberRange(1, 60, _("请填写 1 到 60 的整数。"))]
    )

    def validate_goal_fen(self, field: YuanField) -> None:
        if field.data is not None and field.data < 0:
            raise ValidationError(_("目标金额不能小于 0。"))


def stage_form(_solicitation: Solicitation) -> StageForm:
    """An empty form for `campaigns/_stage.html`."""
    return StageForm(formdata=None)


def next_action_form(solicitation: Solicitation) -> NextActionForm:
    """A form for `campaigns/_next_action.html`, filled with what is planned."""
    return NextActionForm(formdata=None, obj=solicitation)


def list_moves(solicitation: Solicitation) -> list[Stage]:
    """Stages ahead to which the unit can be moved, in their order."""
    return [stage for stage in _allowed(solicitation) if not _is_behind(stage, solicitation)]


def list_corrections(solicitation: Solicitation) -> list[Stage]:
    """Stages behind to which a slip can be put right."""
    return [stage for stage in _allowed(solicitation) if _is_behind(stage, solicitation)]


def _allowed(solicitation: Solicitation) -> list[Stage]:
    return [stage for stage in PATH if stage in TRANSITIONS[solicitation.stage]]


def _is_behind(stage: Stage, solicitation: Solicitation) -> bool:
    has_declined = solicitation.stage is Stage.DECLINED
    return not has_declined and PATH.index(stage) < PATH.index(solicitation.stage)
