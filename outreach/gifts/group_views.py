"""Pages of gifts that are entered together: a payment and its parts, and counted money."""

from http import HTTPStatus

from flask import flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _
from flask_babel import ngettext
from flask_login import current_user

from outreach import money
from outreach.campaigns.queries import get_solicitation
from outreach.db import db
from outreach.errors import Refused
from outreach.gifts import groups
from outreach.gifts.forms import ReversalForm
from outreach.gifts.group_forms import CountForm, LinePartsForm, PartsForm, RemittanceForm
from outreach.gifts.ledger_views import bp
from outreach.gifts.lines import get_line
from outreach.gifts.models import GiftChannel, GiftGroup
from outreach.web import page_number

COUNTS_ON_A_PAGE = 20


@bp.route("/gifts/remittance", methods=["GET", "POST"])
def record_remittance() -> ResponseReturnValue:
    form = RemittanceForm(g.campaign)
    unit_id = request.args.get("unit_id", type=int)
    if unit_id is not None and not form.is_submitted():
        unit = get_solicitation(g.campaign, unit_id, current_user).unit
        form.rows[0].form.unit.data = unit.name
    if "more" in request.form or not form.validate_on_submit():
        return _show("gifts/remittance.html", form)
    try:
        group = groups.record_remittance(
            g.campaign,
            form.parts(),
            form.payment(),
            key=form.key.data,
            total_fen=form.total_fen.data or 0,
            by=current_user,
        )
    except Refused as refusal:
        return _show_refused("gifts/remittance.html", form, refusal)
    return _finish(form, group)


@bp.route("/gifts/count", methods=["GET", "POST"])
def record_count() -> ResponseReturnValue:
    form = CountForm(g.campaign, channel=GiftChannel.CASH)
    if "more" in request.form or not form.validate_on_submit():
        return _show("gifts/count.html", form)
    if form.difference and not form.is_accepted:
        return render_template("gifts/count.html", form=form), HTTPStatus.UNPROCESSABLE_ENTITY
    try:
        group = groups.record_count(
            g.campaign,
            form.parts(),
            form.payment(),
            key=form.key.data,
            stated=form.stated,
            accepted=form.difference,
            by=current_user,
        )
    except Refused as refusal:
        return _show_refused("gifts/count.html", form, refusal)
    return _finish(form, group)


@bp.route("/gifts/lines/<int:line_id>/parts", methods=["GET", "POST"])
def claim_in_parts(line_id: int) -> ResponseReturnValue:
    """A line that is not one gift: a unit's own money and its people's, or that of several."""
    line = get_line(g.campaign, line_id)
    form = LinePartsForm(g.campaign, line)
    if "more" in request.form or not form.validate_on_submit():
        return _show("gifts/line_parts.html", form)
    try:
        group = groups.claim_line(
            line,
            form.parts(),
            key=form.key.data,
            may_publish=form.may_publish.data,
            by=current_user,
        )
    except Refused as refusal:
        return _show_refused("gifts/line_parts.html", form, refusal)
    return _finish(form, group)


@bp.get("/gifts/counts")
def list_counts() -> ResponseReturnValue:
    page = db.paginate(
        groups.select_counts(g.campaign),
        page=page_number(),
        per_page=COUNTS_ON_A_PAGE,
        error_out=False,
    )
    return render_template(
        "gifts/counts.html",
        page=page,
        page_url=lambda number: url_for(".list_counts", page=number),
    )


@bp.get("/gifts/groups/<int:group_id>")
def show_group(group_id: int) -> ResponseReturnValue:
    group = groups.get_group(g.campaign, group_id)
    return render_template("gifts/group.html", group=group, line=groups.find_line(group))


@bp.route("/gifts/groups/<int:group_id>/reverse", methods=["GET", "POST"])
def reverse_group(group_id: int) -> ResponseReturnValue:
    group = groups.get_group(g.campaign, group_id)
    form = ReversalForm()
    if not form.validate_on_submit():
        status = HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK
        return render_template("gifts/reverse_group.html", form=form, group=group), status
    reversals = groups.reverse_group(group, reason=form.reason.data, by=current_user)
    db.session.commit()
    flash(
        ngettext(
            "已冲正 %(num)s 笔。原记录保留，金额已从合计中减去。",
            "已冲正 %(num)s 笔。原记录保留，金额已从合计中减去。",
            len(reversals),
        ),
        "success",
    )
    return redirect(url_for(".show_group", group_id=group_id))


def _show(template: str, form: PartsForm) -> ResponseReturnValue:
    if "more" in request.form:
        form.add_rows()
    status = HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK
    return render_template(template, form=form), status


def _show_refused(template: str, form: PartsForm, refusal: Refused) -> ResponseReturnValue:
    """Nothing was written; what was typed stays."""
    db.session.rollback()
    form.form_errors.append(refusal.message)
    return render_template(template, form=form), HTTPStatus.UNPROCESSABLE_ENTITY


def _finish(form: PartsForm, group: GiftGroup | None) -> ResponseReturnValue:
    db.session.commit()
    if group is None:
        flash(_("这一页已经登记过了，没有重复登记。"), "warning")
        group = groups.find_group(g.campaign, form.key.data)
    else:
        entered = form.entered
        amount = money.format_yuan(entered.fen)
        flash(
            _("已登记 %(count)s 笔，共 %(amount)s 元。", count=entered.count, amount=amount),
            "success",
        )
    return redirect(url_for(".show_group", group_id=group.id if group else 0))
