import hashlib
from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from flask import current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user

from outreach import audit, jobs
from outreach.db import db
from outreach.errors import Refused
from outreach.forms import check_version
from outreach.messages import linting, placeholders, provider_rules, self_sends, templates
from outreach.messages.models import Channel, TemplateVersion
from outreach.messages.template_forms import TemplateForm, TextForm
from outreach.messages.templates import Wording
from outreach.messages.views import bp

TryText = Callable[[TemplateVersion, Any], Any]
"""A text as real units would read it from a person (the second argument): `samples`, each with its
`label` and `letter`, the longest first, and the `cost` in words. Made by a capability that knows
units; the composition root names it."""


@bp.get("/templates")
def list_templates() -> ResponseReturnValue:
    is_archived = "archived" in request.args
    return render_template(
        "messages/templates.html",
        templates=templates.list_templates(is_archived=is_archived),
        is_archived=is_archived,
        has_archived=bool(templates.list_templates(is_archived=True)),
        Channel=Channel,
    )


@bp.get("/templates/<int:template_id>")
def template(template_id: int) -> ResponseReturnValue:
    """The text as it is, and what changed between two of its versions."""
    shown = templates.get_template(template_id)
    latest = shown.versions[-1]
    new = templates.find_version(shown, request.args.get("new", type=int)) or latest
    wanted = request.args.get("old", new.number - 1, type=int)
    old = templates.find_version(shown, wanted)
    return render_template(
        "messages/template_versions.html",
        template=shown,
        latest=latest,
        new=new,
        old=old,
        subject=templates.compare_texts(old.subject, new.subject) if old else [],
        body=templates.compare_texts(old.body, new.body) if old else [],
    )


@bp.post("/templates/<int:template_id>/archive")
def archive_template(template_id: int) -> ResponseReturnValue:
    templates.archive_template(templates.get_template(template_id))
    db.session.commit()
    flash(_("模板已归档，新建提醒时不再出现。用到它的批次不受影响。"), "success")
    return redirect(url_for("messages.list_templates"))


@bp.post("/templates/<int:template_id>/restore")
def restore_template(template_id: int) -> ResponseReturnValue:
    templates.restore_template(templates.get_template(template_id))
    db.session.commit()
    flash(_("模板已恢复。"), "success")
    return redirect(url_for("messages.list_templates"))


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
    version, findings = _read_draft()
    trial = None
    if not linting.refusals(findings):
        trial = _try_text(version)
    is_sms = version.template.channel is Channel.SMS
    return render_template(
        "messages/_template_preview.html",
        findings=findings,
        trial=trial,
        registration=provider_rules.registration(version.body) if is_sms else None,
    )


@bp.post("/templates/test")
def send_template_test() -> ResponseReturnValue:
    """Sends the longest letter to the person who wrote the text, saved or not."""
    version, findings = _read_draft()
    refusals = linting.refusals(findings)
    if refusals:
        raise Refused(refusals[0].message)
    is_new = _send_longest(version)
    db.session.commit()
    jobs.wake("deliver")
    text = _("已发给您自己，请查收。") if is_new else _("这一封刚刚发给过您，没有再发。")
    return render_template("_notice.html", message=text, kind="success")


def _send_longest(version: TemplateVersion) -> bool:
    samples = _try_text(version).samples
    if not samples:
        raise Refused(_("还没有进行中的活动，没有可以试发的信。"))
    letter = samples[0].letter
    words = hashlib.sha256(f"{version.subject}\n{version.body}".encode()).hexdigest()
    is_new = self_sends.queue_test(letter, about=f"text:{words[:16]}", to=current_user)
    if is_new:
        audit.record("test.template", f"user_account:{current_user.id}", text=words)
    return is_new


def _read_draft() -> tuple[TemplateVersion, list[linting.Finding]]:
    """The text as it stands in the form, and what is wrong with it."""
    channel = _channel(request.form.get("channel", ""))
    body = request.form.get("body", "").replace("\r\n", "\n")
    version = templates.draft_version(channel, request.form.get("subject", ""), body)
    findings = linting.lint(channel, version.subject, body, signature=templates.sms_signature())
    return version, findings


def _try_text(version: TemplateVersion) -> Any:
    try_text: TryText = current_app.extensions["outreach.try_text"]
    return try_text(version, current_user)


def _show(form: TextForm, **shown: Any) -> ResponseReturnValue:
    status = HTTPStatus.UNPROCESSABLE_ENTITY if form.is_submitted() else HTTPStatus.OK
    return render_template(
        "messages/template.html", form=form, placeholders=placeholders.PLACEHOLDERS, **shown
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
