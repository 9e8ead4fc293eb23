"""Payments of which nobody knows yet whose gift they are."""

from http import HTTPStatus

from flask import flash, g, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _
from flask_babel import ngettext
from flask_login import current_user

from outreach import clock
from outreach.db import db
from outreach.gifts import forms, lines
from outreach.gifts.import_views import bp
from outreach.gifts.importing import plan_gifts
from outreach.spreadsheets import uploads


@bp.get("/gifts/lines")
def list_lines() -> ResponseReturnValue:
    return render_template("gifts/lines.html", lines=lines.list_open_lines(g.campaign))


@bp.route("/gifts/lines/new", methods=["GET", "POST"])
def open_line() -> ResponseReturnValue:
    form = forms.LineForm(received_on=clock.today())
    if not form.validate_on_submit():
        status = HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK
        return render_template("gifts/new_line.html", form=form), status
    if lines.open_line(g.campaign, **form.facts()):
        flash(_("已登记为待认领。认领之前，可能相关的单位不会收到提醒。"), "success")
    else:
        flash(_("这一笔已经登记过了，没有重复登记。"), "warning")
    db.session.commit()
    return redirect(url_for(".list_lines"))


@bp.post("/gifts/import/<sha256>/unmatched")
def open_unmatched(sha256: str) -> ResponseReturnValue:
    """Keeps open what a file names and the register does not know; the file is not taken in."""
    plan = plan_gifts(g.campaign, uploads.take(sha256))
    count = lines.open_unmatched(g.campaign, plan.unmatched)
    db.session.commit()
    flash(
        ngettext("%(num)s 笔已登记为待认领。", "%(num)s 笔已登记为待认领。", count)
        if count
        else _("这些款项都已登记过了，没有重复登记。"),
        "success" if count else "info",
    )
    return redirect(url_for(".list_lines"))


@bp.route("/gifts/lines/<int:line_id>", methods=["GET", "POST"])
def settle_line(line_id: int) -> ResponseReturnValue:
    line = lines.get_line(g.campaign, line_id)
    form = forms.SettleForm(g.campaign)
    if not form.validate_on_submit():
        status = HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK
        return render_template("gifts/line.html", line=line, form=form), status
    if form.solicitation is None:
        lines.set_line_aside(line, reason=form.reason.data, by=current_user)
        message = _("已记为与本活动无关。")
    else:
        gift = lines.claim_line(line, form.solicitation, kind=form.kind.data, by=current_user)
        message = _("已记为“%(name)s”的捐款。", name=gift.credited_to)
    db.session.commit()
    flash(message, "success")
    return redirect(url_for(".list_lines"))
