from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from flask import current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user

from outreach.db import db
from outreach.errors import Refused
from outreach.forms import check_version
from outreach.messages import provider_rules, rendering, templates
from outreach.messages.models import Channel, TemplateVersion
from outreach.messages.template_forms import TemplateForm, TextForm
from outreach.messages.templates import Wording
from outreach.messages.views import bp

Samples = Callable[[TemplateVersion, Any], list[Any]]
"""Letters that a person (the second argument) would write to real units (`units`, `rendered`),
made by a capability that knows units; the composition root names it."""


@bp.get("/templates")
def list_templates() -> ResponseReturnValue:
    return render_template(
        "messages/templates.html", templates=templates.list_templates(), Channel=Channel
    )


@bp.route("/templates/new", methods=["GET", "POST"])
def create_template() -> ResponseReturnValue:
    form = TemplateForm()
    if not form.validate_on_submit():
        return _show(form, template=None, channel=_channel(form.channel.data))
    channel = _channel(form.channel.data)
    try:
        templates.create_template(channel=channel, by=current_user, **_text(form, channel))
    except Refused as refusal:
        return _refuse(form, refusal, template=None, channel=channel)
    db.session.commit()
    flash(_("模板已保存。"), "success")
    return redirect(url_for("messages.list_templates"))


@bp.route("/templates/<int:template_id>/edit", methods=["GET", "POST"])
def edit_template(template_id: int) -> ResponseReturnValue:
    template = templates.get_template(template_id)
    latest = template.versions[-1]
    shown = {"template": template, "channel": template.channel}
    form = TextForm(data={"name": template.name} | asdict(templates.wording_of(latest)))
    if not form.validate_on_submit():
        return _show(form, **shown)
    check_version(latest.number)
    try:
        templates.rewrite_template(template, by=current_user, **_text(form, template.channel))
    except Refused as refusal:
        return _refuse(form, refusal, **shown)
    db.session.commit()
    flash(_("模板已保存。已提交或批准的批次仍用原来的文字。"), "success")
    return redirect(url_for("messages.list_templates"))


@bp.post("/templates/preview")
def preview_template() -> ResponseReturnValue:
    channel = _channel(request.form.get("channel", ""))
    subject, body = request.form.get("subject", ""), request.form.get("body", "")
    findings = rendering.lint(channel, subject, body, signature=templates.sms_signature())
    samples = []
    if not rendering.refusals(findings):
        make_samples: Samples = current_app.extensions["outreach.samples"]
        samples = make_samples(templates.draft_version(channel, subject, body), current_user)
    return render_template(
        "messages/_template_preview.html",
        findings=findings,
        samples=samples,
        registration=provider_rules.registration(body) if channel is Channel.SMS else None,
    )


def _show(form: TextForm, **shown: Any) -> ResponseReturnValue:
    status = HTTPStatus.UNPROCESSABLE_ENTITY if form.is_submitted() else HTTPStatus.OK
    return render_template(
        "messages/template.html", form=form, placeholders=rendering.PLACEHOLDERS, **shown
    ), status


def _refuse(form: TextForm, refusal: Refused, **shown: Any) -> ResponseReturnValue:
    """The page as it was sent, so that nothing that was written is lost."""
    db.session.rollback()
    flash(str(refusal.message), "danger")
    return _show(form, **shown)


def _text(form: TextForm, channel: Channel) -> dict[str, Any]:
    body = form.body.data
    if channel is Channel.EMAIL:
        wording = Wording(subject=form.subject.data, body=body)
    else:
        wording = Wording("", body, form.provider_template.data)
    return {"name": form.name.data, "wording": wording}


def _channel(value: str) -> Channel:
    return Channel.SMS if value == Channel.SMS else Channel.EMAIL
