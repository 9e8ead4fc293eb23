"""Pages of rules: their sentences, what they would propose today, and the switch."""

from http import HTTPStatus

from flask import flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user

from outreach.db import db
from outreach.errors import NotFound, Refused
from outreach.forms import check_version
from outreach.messages import gate
from outreach.messages.models import Template
from outreach.messages.templates import get_template, list_templates
from outreach.reminders import rule_services, rules
from outreach.reminders.correction_views import bp
from outreach.reminders.models import ReminderRule, RuleKind
from outreach.reminders.proposals import Findings, WaveProposal
from outreach.reminders.queries import PER_PAGE
from outreach.reminders.rendering import Preview, preview
from outreach.reminders.rule_forms import SHIPPED, RuleForm, make_form
from outreach.web import page_number


@bp.get("/rules")
def list_rules() -> ResponseReturnValue:
    return _show_rules()


@bp.post("/rules/<kind>/try")
def try_rule(kind: str) -> ResponseReturnValue:
    """Keeps the numbers and looks at what they would propose: one step, so that what was tried is
    what was kept."""
    rule = _rule(kind)
    check_version(rule.version)
    form = make_form(rule, list_templates())
    if not form.validate():
        return _show_rules(form, rule.kind)
    was_on = rule.is_on
    try:
        rule = rule_services.save_rule(
            g.campaign, rule.kind, form.settings(rule), _choose_template(form, rule.kind)
        )
        rule_services.try_rule(rule)
    except Refused as refusal:
        return _refuse(form, rule.kind, refusal)
    db.session.commit()
    if was_on and not rule.is_on:
        flash(_("规则改动后已停用。看过试运行结果后请重新启用。"), "warning")
    return redirect(url_for("reminders.rule_trial", kind=kind))


@bp.get("/rules/<kind>/trial")
def rule_trial(kind: str) -> ResponseReturnValue:
    rule = _tried_rule(kind)
    findings = rule_services.look(rule)
    return render_template(
        "reminders/rule_trial.html",
        rule=rule,
        findings=findings,
        letters={wave.key: _preview(rule, wave) for wave in findings.waves},
        describe=gate.describe,
    )


@bp.get("/rules/<kind>/letters/<key>")
def rule_letters(kind: str, key: str) -> ResponseReturnValue:
    rule = _tried_rule(kind)
    proposal = _get_wave(rule_services.look(rule), key)
    letters = _preview(rule, proposal)
    page = page_number()
    return render_template(
        "reminders/rule_letters.html",
        rule=rule,
        proposal=proposal,
        letters=letters,
        shown=letters.letters[(page - 1) * PER_PAGE : page * PER_PAGE],
        page=page,
        last_page=-(-len(letters.letters) // PER_PAGE) or 1,
        describe=gate.describe,
    )


@bp.post("/rules/<kind>/switch")
def switch_rule(kind: str) -> ResponseReturnValue:
    rule = _tried_rule(kind)
    check_version(rule.version)
    if request.form.get("is_on") == "on":
        rule_services.switch_on(rule, by=current_user)
        message = _("已启用。每个工作日早上检查一次，只提出建议，不会自行发送。")
    else:
        rule_services.switch_off(rule)
        message = _("已停用。")
    db.session.commit()
    flash(message, "success")
    return redirect(url_for("reminders.list_rules"))


def _show_rules(bad: RuleForm | None = None, kind: RuleKind | None = None) -> ResponseReturnValue:
    """All rules; one of them with the form that was sent."""
    templates = list_templates()
    shown = rule_services.list_rules(g.campaign)
    forms = {rule.kind: make_form(rule, templates, formdata=None) for rule in shown}
    if bad is not None and kind is not None:
        forms[kind] = bad
    status = HTTPStatus.UNPROCESSABLE_ENTITY if bad is not None else HTTPStatus.OK
    return render_template("reminders/rules.html", rules=shown, forms=forms), status


def _refuse(form: RuleForm, kind: RuleKind, refusal: Refused) -> ResponseReturnValue:
    db.session.rollback()
    flash(str(refusal.message), "danger")
    return _show_rules(form, kind)


def _rule(kind: str) -> ReminderRule:
    """The rule of this kind, which may not be in the database yet."""
    for rule in rule_services.list_rules(g.campaign):
        if rule.kind.value == kind:
            return rule
    raise NotFound(_("没有这条规则。"))


def _tried_rule(kind: str) -> ReminderRule:
    rule = _rule(kind)
    if rule.id is None:
        raise NotFound(_("这条规则还没有试运行过。请先试运行。"))
    return rule


def _choose_template(form: RuleForm, kind: RuleKind) -> Template | None:
    if not rules.drafts_waves(kind):
        return None
    if form.template_id.data == SHIPPED:
        return rule_services.take_wording(kind, by=current_user)
    return get_template(form.template_id.data)


def _get_wave(findings: Findings, key: str) -> WaveProposal:
    for proposal in findings.waves:
        if proposal.key == key:
            return proposal
    raise NotFound(_("今天没有这个批次可以起草，可能情况已经变化。请重新试运行。"))


def _preview(rule: ReminderRule, proposal: WaveProposal) -> Preview:
    version = rules.current_version(rule)
    assert version is not None  # or nothing would have been found
    return preview(g.campaign, version, proposal.members, current_user)
