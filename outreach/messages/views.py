"""Pages of messages and of sending. Template pages are in `template_views`."""

import email
import email.policy
from email.message import EmailMessage
from http import HTTPStatus
from pathlib import Path
from typing import Any

from flask import Blueprint, abort, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _

from outreach import clock, jobs
from outreach.db import db
from outreach.errors import Conflict, NotFound, Refused
from outreach.messages import attachments, queries, rates, services
from outreach.messages.forms import CapsForm, RateForm, ResolveForm, SwitchForm, WindowForm
from outreach.messages.models import Channel, MessageStatus, Purpose
from outreach.messages.outbox import Decision
from outreach.web import page_number

bp = Blueprint("messages", __name__)
PER_PAGE = 50
LOCAL_MESSAGES = 200
"""The newest files of the local outbox that the page lists."""


@bp.app_context_processor
def offer_sending_state() -> dict[str, Any]:
    return {"find_sending_state": lambda: queries.sending_state(clock.now())}


@bp.get("/messages")
def list_messages() -> ResponseReturnValue:
    wanted = queries.read_filter(request.args)
    found = db.paginate(
        queries.select_messages(**wanted), page=page_number(), per_page=PER_PAGE, error_out=False
    )
    return render_template(
        "messages/list.html",
        found=found,
        wanted=wanted,
        names=queries.unit_names([message.id for message in found.items]),
        explain=queries.explain,
        unknown_count=queries.count_unknown(),
        has_local_outbox=not current_app.extensions["outreach.settings"].mail_server,
        terms={"status": MessageStatus, "purpose": Purpose, "channel": Channel},
        page_url=lambda page: url_for(".list_messages", **{**request.args, "page": page}),
    )


@bp.get("/messages/<int:message_id>")
def message(message_id: int) -> ResponseReturnValue:
    return _show(message_id, ResolveForm())


@bp.post("/messages/<int:message_id>/resolve")
def resolve_unknown(message_id: int) -> ResponseReturnValue:
    form = ResolveForm()
    if not form.validate_on_submit():
        return _show(message_id, form), HTTPStatus.UNPROCESSABLE_ENTITY
    message = queries.get_message(message_id)
    if form.resend_no.data != str(message.resend_no):
        raise Conflict(_("这条消息刚被他人处理过，请核对最新状态。"))
    services.resolve_unknown(message, form.decision.data, reason=form.reason.data)
    db.session.commit()
    if form.decision.data is Decision.RESEND:
        jobs.wake("deliver")
    flash(_("已记录核实结果。"), "success")
    return redirect(url_for(".message", message_id=message_id))


@bp.route("/messages/sending", methods=["GET", "POST"])
def sending() -> ResponseReturnValue:
    policy = queries.find_policy()
    form = CapsForm(obj=policy, data=None if policy else services.DEFAULT_CAPS)
    if form.validate_on_submit():
        services.set_caps(
            contact_cap=form.contact_cap.data,
            contact_cap_days=form.contact_cap_days.data,
            unit_cap=form.unit_cap.data,
            unit_gap_days=form.unit_gap_days.data,
            sms_daily_budget=form.sms_daily_budget.data,
            sms_price_fen=form.sms_price_fen.data or 0,
        )
        db.session.commit()
        flash(_("上限已保存。"), "success")
        return redirect(url_for(".sending"))
    page = render_template(
        "messages/sending.html",
        policy=policy,
        changed_by=queries.find_user_name(policy.changed_by_id) if policy else "",
        windows=queries.list_windows(),
        has_quiet_hours=queries.has_quiet_hours,
        rates=queries.list_rates(),
        posts_per_minute=rates.posts_per_minute,
        most_posts=rates.MOST_POSTS,
        sms_used=rates.sms_used(clock.now()),
        form=form,
        rate_form=RateForm(formdata=None),
    )
    return page, _status(form)


@bp.post("/messages/sending/rates")
def edit_rate() -> ResponseReturnValue:
    form = RateForm()
    if not form.validate():
        raise Refused(next(iter(form.errors.values()))[0])
    target = form.channel.data, form.domain.data or ""
    if "delete" in request.form:
        services.delete_rate(*target)
    else:
        services.save_rate(*target, form.per_minute.data)
    db.session.commit()
    jobs.wake("deliver")
    flash(_("速率已更新。"), "success")
    return redirect(url_for(".sending"))


@bp.post("/messages/sending/switch")
def switch_sending() -> ResponseReturnValue:
    form = SwitchForm()
    if not form.validate_on_submit():
        abort(HTTPStatus.BAD_REQUEST)
    is_on = form.is_on.data == "on"
    services.switch_sending(is_on=is_on)
    db.session.commit()
    if is_on:
        jobs.wake("deliver")
    flash(_("发送已打开。") if is_on else _("发送已关闭，待发的消息会留在队列里。"), "success")
    return redirect(url_for(".sending"))


@bp.route("/messages/sending/windows/new", methods=["GET", "POST"], defaults={"window_id": None})
@bp.route("/messages/sending/windows/<int:window_id>", methods=["GET", "POST"])
def edit_window(window_id: int | None) -> ResponseReturnValue:
    window = queries.get_window(window_id) if window_id else None
    form = WindowForm(obj=window)
    if window and "delete" in request.form:
        services.delete_window(window)
    elif form.validate_on_submit():
        fields = {name: value for name, value in form.data.items() if name != "csrf_token"}
        services.save_window(window, **fields)
    else:
        return render_template("messages/window.html", form=form, window=window), _status(form)
    db.session.commit()
    flash(_("发送时段已更新。"), "success")
    return redirect(url_for(".sending"))


@bp.get("/messages/local-outbox")
def local_outbox() -> ResponseReturnValue:
    settings = current_app.extensions["outreach.settings"]
    if settings.mail_server:
        raise NotFound(_("邮件经邮件服务器发出，没有本地发件箱。"))
    files = sorted(
        (settings.data_dir / "outbox").glob("*.eml"),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    name = request.args.get("file", "")
    shown = next((path for path in files if path.name == name), None)
    if name and shown is None:
        raise NotFound(_("本地发件箱里没有这封邮件。"))
    return render_template(
        "messages/local_outbox.html",
        files=[(path.name, _parse(path)) for path in files[:LOCAL_MESSAGES]],
        count=len(files),
        shown=_parse(shown) if shown else None,
    )


def _parse(path: Path) -> EmailMessage:
    return email.message_from_bytes(path.read_bytes(), policy=email.policy.default)


def _show(message_id: int, form: ResolveForm) -> str:
    message = queries.get_message(message_id)
    return render_template(
        "messages/message.html",
        message=message,
        names=queries.unit_names([message_id]).get(message_id, []),
        explanation=queries.explain(message),
        attachment=attachments.find(message_id),
        form=form,
    )


def _status(form: Any) -> HTTPStatus:
    return HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK
