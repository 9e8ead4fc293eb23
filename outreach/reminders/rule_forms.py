"""The numbers and the template in the sentence of a rule."""

from collections.abc import Sequence
from typing import Any

from flask_babel import lazy_gettext as _
from wtforms import IntegerField, SelectChoice, SelectField
from wtforms.validators import InputRequired, NumberRange

from outreach.forms import Form
from outreach.messages.models import Template
from outreach.messages.placeholders import suits
from outreach.reminders import proposals, rule_services, rules
from outreach.reminders.models import ReminderRule

SHIPPED = 0
"""Chosen instead of a template: the wording that comes with the rule."""


class RuleForm(Form):
    """Only the fields that the rule's sentence has."""

    points = IntegerField(
        _("百分点"),
        [InputRequired(_("请填写百分点。")), NumberRange(1, 100, _("请填写 1 到 100 的百分点。"))],
        render_kw={"min": 1, "max": 100},
    )
    workdays = IntegerField(
        _("工作日"),
        [InputRequired(_("请填写天数。")), NumberRange(1, 60, _("请填写 1 到 60 个工作日。"))],
        render_kw={"min": 1, "max": 60},
    )
    days = IntegerField(
        _("天数"),
        [InputRequired(_("请填写天数。")), NumberRange(1, 60, _("请填写 1 到 60 天。"))],
        render_kw={"min": 1, "max": 60},
    )
    template_id = SelectField(_("模板"), [InputRequired(_("请选择模板。"))], coerce=int)

    def settings(self, rule: ReminderRule) -> dict[str, int]:
        return {name: self[name].data for name in proposals.DEFAULTS[rule.kind]}


def make_form(rule: ReminderRule, templates: Sequence[Template], **options: Any) -> RuleForm:
    """`options` go to the form; without any it reads the request."""
    values = proposals.DEFAULTS[rule.kind] | rule.settings | {"template_id": rule.template_id}
    if rule.template is not None:
        values["template_id"] = rule.template.id
    form = RuleForm(prefix=rule.kind.value, data=values, **options)
    for name in {"points", "days", "workdays"} - set(proposals.DEFAULTS[rule.kind]):
        del form[name]
    if not rules.drafts_waves(rule.kind):
        del form["template_id"]
        return form
    purpose = rules.PURPOSES[rule.kind]
    form.template_id.choices = [
        SelectChoice(row.id, f"{row.name} · {row.channel.label}")
        for row in templates
        if suits(row.versions[-1], purpose)
    ]
    wording = rule_services.find_wording(rule.kind)
    if wording is not None and wording.name not in {row.name for row in templates}:
        label = _("%(name)s · %(channel)s（系统自带的文字）")
        values = {"name": wording.name, "channel": wording.channel.label}
        form.template_id.choices.append(SelectChoice(SHIPPED, str(label) % values))
    return form
