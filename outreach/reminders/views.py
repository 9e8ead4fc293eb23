from http import HTTPStatus
from typing import Any

from flask import Response, abort, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user

from outreach import clock, jobs
from outreach.campaigns.queries import list_sectors
from outreach.campaigns.scope import campaign_blueprint
from outreach.db import db
from outreach.forms import check_version
from outreach.messages import gate
from outreach.messages.models import MessageStatus, Purpose, TemplateVersion, Wave, WaveStatus
from outreach.messages.placeholders import suits
from outreach.messages.queries import sending_state
from outreach.messages.waves import find_correction
from outreach.reminders import catching_up, fallbacks, queries, services
from outreach.reminders.audience import find_members
from outreach.reminders.comparison import compare
from outreach.reminders.forms import (
    AudienceForm,
    ReturnForm,
    TestForm,
    TextsForm,
    WaveForm,
    suggest_name,
    wave_values,
)
from outreach.reminders.queries import PER_PAGE, Progress
from outreach.reminders.rendering import describe_count, foretell, preview
from outreach.web import page_number

bp = campaign_blueprint("reminders", __name__)


@bp.get("/waves")
def list_waves() -> ResponseReturnValue:
    waves = queries.list_waves(g.campaign)
    return render_template(
        "reminders/waves.html",
        waves=waves,
        progress=queries.measure_progress([wave.id for wave in waves]),
        missed=catching_up.find_missed(g.campaign, clock.now()),
        names=queries.names_of({wave.author_id for wave in waves}),
    )


@bp.route("/waves/new", methods=["GET", "POST"])
def create_wave() -> ResponseReturnValue:
    form = _offer(WaveForm(data=_proposed()))
    if form.validate_on_submit():
        wave = services.create_wave(g.campaign, form.plan(*read_texts(form)), author=current_user)
        db.session.commit()
        return redirect(_page(wave))
    return _show_form(form, None)


@bp.route("/waves/<int:wave_id>/edit", methods=["GET", "POST"])
def edit_wave(wave_id: int) -> ResponseReturnValue:
    wave = queries.get_wave(g.campaign, wave_id)
    if wave.correction_of_id:
        return redirect(url_for("reminders.edit_correction", wave_id=wave.id))
    form = _offer(WaveForm(data=wave_values(wave)), wave)
    if form.validate_on_submit():
        check_version(wave.version)
        plan = form.plan(*read_texts(form), services.read_audience(wave))
        services.update_wave(wave, plan, by=current_user)
        db.session.commit()
        return redirect(_page(wave))
    return _show_form(form, wave)


@bp.get("/waves/audience")
def count_audience() -> ResponseReturnValue:
    form = _offer(AudienceForm(request.args, meta={"csrf": False}))
    if not form.validate():
        return render_template("reminders/_audience.html", letters=None, form=form)
    version, fallback = read_texts(form)
    channels = [text.template.channel for text in (version, fallback) if text is not None]
    wave_id = request.args.get("wave_id", type=int)
    wave = queries.get_wave(g.campaign, wave_id) if wave_id else None
    purpose = wave.purpose if wave else Purpose.REMINDER
    audience = form.audience(services.read_audience(wave) if wave else None)
    members = find_members(g.campaign, audience, channels, purpose)
    letters = preview(
        g.campaign, version, members, current_user, fallback=fallback, purpose=purpose
    )
    return render_template(
        "reminders/_audience.html",
        letters=letters,
        counted=describe_count(letters),
        describe=gate.describe,
    )


@bp.get("/waves/<int:wave_id>")
def wave(wave_id: int) -> ResponseReturnValue:
    wave = queries.get_wave(g.campaign, wave_id)
    shown = _planned(wave) if wave.started_at is None else _under_way(wave)
    return render_template(
        "reminders/wave.html",
        wave=wave,
        audience=queries.describe_audience(wave),
        correction=find_correction(wave),
        may_be_corrected=services.may_be_corrected(wave),
        names=queries.names_of({wave.author_id, wave.approver_id}),
        describe=gate.describe,
        may_become=services.may_become,
        WaveStatus=WaveStatus,
        return_form=ReturnForm(formdata=None),
        **shown,
    )


@bp.get("/waves/<int:wave_id>/progress")
def progress(wave_id: int) -> ResponseReturnValue:
    wave = queries.get_wave(g.campaign, wave_id)
    if request.args.get("status") != wave.status:
        return Response(headers={"HX-Refresh": "true"})
    return render_template(
        "reminders/_progress.html", wave=wave, sending=_sending(), progress=_progress(wave)
    )


@bp.post("/waves/<int:wave_id>/test")
def send_test(wave_id: int) -> ResponseReturnValue:
    """Sends a letter of the wave to the person who asks for it."""
    wave = queries.get_wave(g.campaign, wave_id)
    form = TestForm()
    if not form.validate_on_submit():
        abort(HTTPStatus.BAD_REQUEST)
    is_new = services.send_test(wave, form.solicitation_id.data, to=current_user)
    text = _("已发给您自己，请查收。") if is_new else _("这一封刚刚发给过您，没有再发。")
    return _done(wave, text, wake="deliver")


@bp.post("/waves/<int:wave_id>/submit")
def submit_wave(wave_id: int) -> ResponseReturnValue:
    wave = _sent_with_version(wave_id)
    services.submit_wave(wave, by=current_user)
    return _done(wave, _("已提交。请另一位有审批权限的同事批准。"))


@bp.post("/waves/<int:wave_id>/return")
def return_wave(wave_id: int) -> ResponseReturnValue:
    wave = _sent_with_version(wave_id)
    form = ReturnForm()
    if not form.validate_on_submit():
        return _done(wave, form.reason.errors[0] if form.reason.errors else "", kind="danger")
    services.return_wave(wave, reason=form.reason.data)
    return _done(wave, _("已退回起草人。"))


@bp.post("/waves/<int:wave_id>/approve")
def approve_wave(wave_id: int) -> ResponseReturnValue:
    wave = _sent_with_version(wave_id)
    services.approve_wave(wave, by=current_user)
    return _done(wave, _("已批准。"), wake="start_waves")


@bp.post("/waves/<int:wave_id>/start")
def start_wave(wave_id: int) -> ResponseReturnValue:
    wave = _sent_with_version(wave_id)
    services.start_wave(wave)
    return _done(wave, _("已放行，开始发送。"), wake="deliver")


@bp.post("/waves/<int:wave_id>/pause")
def pause_wave(wave_id: int) -> ResponseReturnValue:
    wave = queries.get_wave(g.campaign, wave_id)  # a stop button does not argue about versions
    services.pause_wave(wave, by=current_user)
    return _done(wave, _("已暂停。正在途中的几封仍会送出，其余不再发送。"))


@bp.post("/waves/<int:wave_id>/resume")
def resume_wave(wave_id: int) -> ResponseReturnValue:
    wave = _sent_with_version(wave_id)
    services.resume_wave(wave, by=current_user)
    return _done(wave, _("已继续发送。"), wake="deliver")


@bp.post("/waves/<int:wave_id>/cancel")
def cancel_wave(wave_id: int) -> ResponseReturnValue:
    wave = queries.get_wave(g.campaign, wave_id)
    count = services.cancel_wave(wave)
    return _done(wave, _("已取消。%(count)s 条未发出的消息不再发送。", count=count))


@bp.post("/waves/<int:wave_id>/catch-up")
def catch_up(wave_id: int) -> ResponseReturnValue:
    """Drafts a wave for those whom this one missed; like any other it is approved by somebody."""
    draft = services.catch_up(queries.get_wave(g.campaign, wave_id), author=current_user)
    return _done(draft, _("已起草，请核对后提交审批。"))


def _show_form(form: WaveForm, wave: Wave | None) -> ResponseReturnValue:
    status = HTTPStatus.UNPROCESSABLE_ENTITY if form.is_submitted() else HTTPStatus.OK
    audience = services.read_audience(wave).describe(g.campaign) if wave else ""
    return render_template("reminders/edit.html", form=form, wave=wave, audience=audience), status


def _offer(form: AudienceForm, wave: Wave | None = None) -> Any:
    form.offer(
        offered_versions(wave),
        list_sectors(g.campaign, current_user),
        queries.list_solicitors(g.campaign),
    )
    return form


def offered_versions(wave: Wave | None) -> list[TemplateVersion]:
    """Texts to choose from; those of the wave stay on offer when there is a newer version, or
    when their template is archived. What thanks for a gift is no text for those who gave none."""
    purpose = wave.purpose if wave else Purpose.REMINDER
    versions = [version for version in queries.list_current_versions() if suits(version, purpose)]
    texts = (wave.template_version, wave.fallback_version) if wave is not None else ()
    return [text for text in texts if text is not None and text not in versions] + versions


def _proposed() -> dict[str, Any]:
    """What a link from another page asks for: `?sectors=lagging`, `?sector_ids=3&sector_ids=4`,
    `?solicitor_id=7`."""
    sector_ids = request.args.getlist("sector_ids", type=int)
    return {
        "name": suggest_name(clock.today()),
        "sectors": request.args.get("sectors", "chosen" if sector_ids else "all"),
        "sector_ids": sector_ids,
        "solicitor_id": request.args.get("solicitor_id", type=int),
    }


def read_texts(form: TextsForm) -> tuple[TemplateVersion, TemplateVersion | None]:
    """The text that was chosen, and the one for the other channel."""
    version = db.session.get_one(TemplateVersion, form.template_version_id.data)
    other_id = form.fallback_version_id.data
    return version, db.session.get_one(TemplateVersion, other_id) if other_id else None


def _done(wave: Wave, message: str, *, kind: str = "success", wake: str = "") -> Any:
    """Commits, wakes who has to go on, and shows the wave."""
    db.session.commit()
    if wake:
        jobs.wake(wake)
    flash(message, kind)
    return redirect(_page(wave))


def _page(wave: Wave) -> str:
    return url_for("reminders.wave", wave_id=wave.id)


def _sent_with_version(wave_id: int) -> Wave:
    wave = queries.get_wave(g.campaign, wave_id)
    check_version(wave.version)
    return wave


def _planned(wave: Wave) -> dict[str, Any]:
    letters = queries.preview_wave(wave)
    page = page_number()
    return {
        "letters": letters,
        "lead": foretell(wave, letters, _sending()),
        "comparison": None if wave.correction_of_id else compare(wave, letters),
        "page": page,
        "last_page": -(-len(letters.letters) // PER_PAGE) or 1,
        "shown": letters.letters[(page - 1) * PER_PAGE : page * PER_PAGE],
        "will_start": wave.status is WaveStatus.APPROVED and wave.starts_at <= clock.now(),
    }


def _under_way(wave: Wave) -> dict[str, Any]:
    wanted = request.args.get("status", "")
    status = next((status for status in MessageStatus if status == wanted), None)
    page = page_number()
    messages = queries.list_messages(wave, status=status, page=page)
    return {
        "letters": None,
        "progress": _progress(wave),
        "sending": _sending(),
        "messages": messages,
        "status": status,
        "units": queries.units_of(messages.items),
        "left_out": queries.list_left_out(wave),
        "missed": catching_up.find_missed_by(wave, clock.now()),
        "may_resume": services.may_resume(wave, current_user),
        "held_fallbacks": fallbacks.count_held(wave, clock.now()),
    }


def _progress(wave: Wave) -> Progress:
    return queries.measure_progress([wave.id])[wave.id]


def _sending() -> Any:
    return sending_state(clock.now())
