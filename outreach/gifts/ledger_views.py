"""Pages that ask whether the money adds up, and how it compares with last year."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from flask import flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _
from flask_login import current_user

from outreach import audit
from outreach.campaigns.models import ChangeReason
from outreach.campaigns.queries import get_solicitation
from outreach.campaigns.services import note_change_reason
from outreach.db import db
from outreach.errors import NotFound, Refused
from outreach.gifts import forms, ledger, reconciliation
from outreach.gifts.comparison import Movement, UnitChange, compare_years
from outreach.gifts.models import Residual
from outreach.gifts.statement_views import bp
from outreach.web import page_number

UNITS_ON_A_PAGE = 50


@bp.get("/gifts/comparison")
def compare() -> ResponseReturnValue:
    comparison = compare_years(g.campaign)
    wanted = choose_units(comparison.units)
    page = page_number()
    return render_template(
        "gifts/comparison.html",
        comparison=comparison,
        units=wanted[(page - 1) * UNITS_ON_A_PAGE : page * UNITS_ON_A_PAGE],
        count=len(wanted),
        page=page,
        last_page=max(-(-len(wanted) // UNITS_ON_A_PAGE), 1),
        movements=Movement,
        reasons=ChangeReason,
        filters=_filters(),
    )


@bp.post("/gifts/comparison/<int:unit_id>/reason")
def note_reason(unit_id: int) -> ResponseReturnValue:
    solicitation = get_solicitation(g.campaign, unit_id, current_user)
    form = forms.ChangeReasonForm()
    if not form.validate_on_submit():
        raise Refused(_("请从列表中选择原因。"))
    reason = form.reason.data
    note_change_reason(solicitation, reason)
    audit.record(
        "note.change_reason",
        f"solicitation:{solicitation.id}",
        reason=reason.value if reason else "",
    )
    db.session.commit()
    return redirect(url_for(".compare", _anchor=f"unit-{unit_id}", **_filters()))


@bp.get("/gifts/reconciliation")
def reconcile() -> ResponseReturnValue:
    return _show_reconciliation(forms.StatedForm(g.campaign))


@bp.post("/gifts/reconciliation/figures")
def state_figure() -> ResponseReturnValue:
    form = forms.StatedForm(g.campaign)
    if not form.validate_on_submit():
        return _show_reconciliation(form), HTTPStatus.UNPROCESSABLE_ENTITY
    reconciliation.state_figure(g.campaign, **form.facts())
    db.session.commit()
    flash(_("已记下，下面是与账上的对照。"), "success")
    return redirect(url_for(".reconcile", _anchor="stated"))


@bp.post("/gifts/reconciliation/figures/<int:figure_id>/remove")
def remove_stated(figure_id: int) -> ResponseReturnValue:
    reconciliation.remove_stated(g.campaign, figure_id)
    db.session.commit()
    return redirect(url_for(".reconcile", _anchor="stated"))


@bp.route("/gifts/reconciliation/<name>", methods=["GET", "POST"])
def note_residual(name: str) -> ResponseReturnValue:
    open_ = {row.residual: row for row in reconciliation.list_residuals(g.campaign)}
    found = next((row for residual, row in open_.items() if residual.value == name), None)
    if found is None:
        raise NotFound(_("这一项已经没有差额，不需要说明。"))
    form = forms.ResidualForm(
        owner_id=found.note.owner_id if found.note else current_user.id,
        note=found.note.note if found.note else "",
    )
    if not form.validate_on_submit():
        status = HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK
        return render_template("gifts/residual.html", form=form, row=found), status
    reconciliation.note_residual(
        g.campaign, found.residual, by=current_user, owner=form.owner, note=form.note.data
    )
    db.session.commit()
    flash(_("已记下责任人和说明。"), "success")
    return redirect(url_for(".reconcile"))


@bp.get("/gifts/without-line")
def list_without_line() -> ResponseReturnValue:
    page = db.paginate(
        reconciliation.select_without_line(g.campaign),
        page=page_number(),
        per_page=UNITS_ON_A_PAGE,
        error_out=False,
    )
    return render_template(
        "gifts/without_line.html",
        page=page,
        page_url=lambda number: url_for(".list_without_line", page=number),
    )


def _show_reconciliation(form: forms.StatedForm) -> str:
    checked = ledger.check_ledger(g.campaign)
    return render_template(
        "gifts/reconciliation.html",
        identities=checked,
        failing=[identity for identity in checked if not identity.holds],
        residuals=reconciliation.list_residuals(g.campaign),
        stated=reconciliation.compare_stated(g.campaign),
        without_line=Residual.WITHOUT_LINE,
        form=form,
    )


def _filters() -> dict[str, Any]:
    """What the address of the comparison asks for."""
    names = ("sector", "movement", "moved", "page")
    return {name: request.args[name] for name in names if name in request.args}


def choose_units(units: Iterable[UnitChange]) -> list[UnitChange]:
    """Those that the address asks for, the largest changes first."""
    sector_id = request.args.get("sector", type=int)
    movement = request.args.get("movement", "")
    found = [
        unit
        for unit in units
        if (sector_id is None or unit.sector_id == sector_id)
        and (not movement or unit.movement == movement)
        and ("moved" not in request.args or unit.has_moved)
    ]
    return sorted(found, key=lambda unit: (-abs(unit.change_fen), unit.unit.name))
