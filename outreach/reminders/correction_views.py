"""Pages of corrections. Whoever got a wrong letter gets the right one."""

from http import HTTPStatus
from typing import Any

from flask import g, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from outreach.db import db
from outreach.forms import check_version
from outreach.messages import waves
from outreach.messages.models import Channel, Wave, WaveStatus
from outreach.reminders import corrections, queries, services
from outreach.reminders.forms import CorrectionForm, schedule_values, suggest_correction_name
from outreach.reminders.views import bp, offered_versions, read_texts


@bp.route("/waves/<int:wave_id>/correct", methods=["GET", "POST"])
def correct_wave(wave_id: int) -> ResponseReturnValue:
    wrong = queries.get_wave(g.campaign, wave_id)
    form = _offer(CorrectionForm(data={"name": suggest_correction_name(wrong)}), None)
    if form.validate_on_submit():
        plan = form.plan(*read_texts(form))
        wave = services.create_correction(wrong, plan, author=current_user)
        db.session.commit()
        return redirect(url_for("reminders.wave", wave_id=wave.id))
    return _show(form, wrong, None)


@bp.route("/waves/<int:wave_id>/correction", methods=["GET", "POST"])
def edit_correction(wave_id: int) -> ResponseReturnValue:
    wave = queries.get_wave(g.campaign, wave_id)
    if wave.correction_of is None:
        return redirect(url_for("reminders.edit_wave", wave_id=wave.id))
    form = _offer(CorrectionForm(data=schedule_values(wave)), wave)
    if form.validate_on_submit():
        check_version(wave.version)
        services.update_wave(wave, form.plan(*read_texts(form)), by=current_user)
        db.session.commit()
        return redirect(url_for("reminders.wave", wave_id=wave.id))
    return _show(form, wave.correction_of, wave)


def _offer(form: CorrectionForm, wave: Wave | None) -> Any:
    form.offer_texts(offered_versions(wave))
    return form


def _show(form: CorrectionForm, wrong: Wave, wave: Wave | None) -> ResponseReturnValue:
    owed = corrections.count_owed(wrong)
    page = render_template(
        "reminders/correct.html",
        form=form,
        wrong=wrong,
        wave=wave,
        owed=owed,
        needs_other=len(owed) > 1,
        is_over=wrong.status in corrections.OVER,
        existing=_find_existing(wrong, owed) if wave is None else None,
        Channel=Channel,
        WaveStatus=WaveStatus,
    )
    return page, HTTPStatus.UNPROCESSABLE_ENTITY if form.is_submitted() else HTTPStatus.OK


def _find_existing(wrong: Wave, owed: dict[Channel, int]) -> Wave | None:
    """What is the correction already; one that is over is none for those whom it did not reach."""
    under_way = corrections.find_open_correction(wrong)
    return under_way if under_way or owed else waves.find_correction(wrong)
