"""Payments of which nobody knows yet whose gift they are."""

from http import HTTPStatus
from typing import Any

from flask import flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _
from flask_babel import ngettext
from flask_login import current_user

from outreach import clock, money
from outreach.db import db
from outreach.errors import Refused
from outreach.gifts import forms, line_queries, lines, payers
from outreach.gifts.import_views import bp
from outreach.gifts.importing import plan_gifts
from outreach.gifts.line_queries import LineFilter, Show
from outreach.gifts.matching import is_worth_learning, propose_kind
from outreach.gifts.models import StatementLine
from outreach.gifts.queries import get_gift
from outreach.gifts.statements import get_statement
from outreach.spreadsheets import uploads
from outreach.web import page_number

LINES_ON_A_PAGE = 100
MOST_TOLD = 5
"""Lines that were left open, of which a message says why."""


@bp.get("/gifts/lines")
def list_lines() -> ResponseReturnValue:
    wanted = LineFilter.read(request.args)
    tabs = line_queries.list_tabs(g.campaign, wanted)
    show = wanted.show or next((tab.show for tab in tabs if tab.count), Show.CLEAR)
    page = db.paginate(
        line_queries.select_lines(g.campaign, wanted, show),
        page=page_number(),
        per_page=LINES_ON_A_PAGE,
        error_out=False,
    )
    statement_id = wanted.statement_id
    return render_template(
        "gifts/lines.html",
        page=page,
        tabs=tabs,
        show=show,
        wanted=wanted,
        statement=get_statement(g.campaign, statement_id) if statement_id else None,
        propose=lines.propose,
        filters=_filters(),
        page_url=lambda number: _list_url(page=number),
        tab_url=lambda show: _list_url(show=show.value, page=None),
    )


@bp.post("/gifts/lines/confirm")
def confirm_lines() -> ResponseReturnValue:
    """Does what was proposed for the lines that a person has ticked."""
    choices = _read_choices(request.form.getlist("choice"))
    if not choices:
        flash(_("没有勾选任何一笔。请勾选核对过的款项，再点确认。"), "warning")
        return redirect(_list_url())
    done = lines.confirm_lines(g.campaign, choices, by=current_user)
    db.session.commit()
    if done.count:
        amount = money.format_yuan(done.amount_fen)
        flash(
            _("已确认 %(count)s 笔，共 %(amount)s 元。", count=done.count, amount=amount), "success"
        )
    for line, reason in done.left[:MOST_TOLD]:
        flash(_("没有确认：%(payer)s。%(reason)s", payer=line.payer, reason=reason), "warning")
    if len(done.left) > MOST_TOLD:
        count = len(done.left) - MOST_TOLD
        flash(_("另有 %(count)s 笔也没有确认，仍在列表中。", count=count), "warning")
    return redirect(_list_url())


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
    form = forms.SettleForm(g.campaign, **_proposed(line))
    if not form.validate_on_submit():
        status = HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK
        return render_template(
            "gifts/line.html", line=line, form=form, filters=_filters(), list_url=_list_url()
        ), status
    if form.solicitation is None:
        lines.set_line_aside(line, reason=form.reason.data, by=current_user)
        message = _("已记为与本活动无关。")
    else:
        gift = lines.claim_line(line, form.solicitation, kind=form.kind.data, by=current_user)
        message = _("已记为“%(name)s”的捐款。", name=gift.credited_to)
        if form.learns.data and payers.learn_payer(line, form.solicitation, by=current_user):
            message = _(
                "已记为“%(name)s”的捐款，并记住了付款人“%(payer)s”。",
                name=gift.credited_to,
                payer=line.payer,
            )
    db.session.commit()
    flash(message, "success")
    return redirect(_list_url())


@bp.post("/gifts/lines/<int:line_id>/link")
def link_line(line_id: int) -> ResponseReturnValue:
    """Says that the line is gifts that the ledger has."""
    line = lines.get_line(g.campaign, line_id)
    ids = request.form.getlist("gift_id", type=int)
    gifts = [get_gift(g.campaign, gift_id) for gift_id in ids or [0]]
    lines.link_line(line, gifts, by=current_user)
    db.session.commit()
    flash(_("已与账上“%(name)s”的到账对上，没有另记捐款。", name=line.credited_to), "success")
    return redirect(_list_url())


@bp.route("/gifts/lines/<int:line_id>/reopen", methods=["GET", "POST"])
def reopen_line(line_id: int) -> ResponseReturnValue:
    line = lines.get_line(g.campaign, line_id)
    form = forms.ReopenForm()
    if not form.validate_on_submit():
        status = HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK
        return render_template("gifts/reopen_line.html", line=line, form=form), status
    lines.reopen_line(line, reason=form.reason.data, by=current_user)
    db.session.commit()
    flash(_("已撤销，这一笔回到待认领。"), "success")
    return redirect(url_for(".settle_line", line_id=line.id))


@bp.get("/gifts/payers")
def list_payers() -> ResponseReturnValue:
    """Who is known to pay for whom."""
    page = db.paginate(
        payers.select_payers(), page=page_number(), per_page=LINES_ON_A_PAGE, error_out=False
    )
    return render_template(
        "gifts/payers.html",
        page=page,
        page_url=lambda number: url_for(".list_payers", page=number),
    )


@bp.post("/gifts/payers/<int:alias_id>/forget")
def forget_payer(alias_id: int) -> ResponseReturnValue:
    alias = payers.forget_payer(g.campaign, alias_id)
    db.session.commit()
    flash(_("不再记得“%(payer)s”。已认领的款项不变。", payer=alias.payer), "success")
    return redirect(url_for(".list_payers"))


def _filters() -> dict[str, Any]:
    """What the address asks of the list, to come back to it."""
    names = ("show", "q", "statement", "page")
    return {name: request.args[name] for name in names if request.args.get(name)}


def _list_url(**changed: Any) -> str:
    return url_for(".list_lines", **_filters() | changed)


def _proposed(line: StatementLine) -> dict[str, Any]:
    """What the form is filled with: the candidate that the address names, or else a clear one."""
    wanted = request.args.get("unit_id", type=int)
    units = [candidate.solicitation.unit for candidate in line.candidates]
    unit = next((unit for unit in units if unit.id == wanted), None)
    if unit is None and line.is_clear and not line.likely_gifts:
        unit = units[0]
    source = line.statement.source if line.statement else None
    return {
        "unit": unit.name if unit and request.method == "GET" else "",
        "kind": propose_kind(line.payer, source),
        "learns": is_worth_learning(line.payer),
    }


def _read_choices(values: list[str]) -> list[lines.Choice]:
    try:
        return [lines.Choice.parse(value) for value in values]
    except ValueError:
        raise Refused(_("看不懂提交的内容。请刷新页面后再确认。")) from None
