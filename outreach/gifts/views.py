"""Pages of the money received, and the promises on a unit's page."""

from datetime import date
from http import HTTPStatus
from typing import Any

from flask import flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _
from flask_login import current_user

from outreach import audit, clock, money
from outreach.campaigns.fragments import return_to_unit, show_errors
from outreach.campaigns.queries import get_solicitation, list_sectors
from outreach.campaigns.scope import campaign_blueprint
from outreach.db import db
from outreach.forms import Form, check_version
from outreach.gifts import forms, lines, queries, services
from outreach.gifts.matching import match_lines
from outreach.gifts.models import Gift, GiftKind
from outreach.gifts.standings import find_standing, list_standings
from outreach.web import page_number

bp = campaign_blueprint("gifts", __name__)
GIFTS_ON_A_PAGE = 50
MOST_SUGGESTED = 12
CARRIED_OVER = ("received_on", "kind", "channel", "basis")


@bp.get("/gifts")
def list_gifts() -> ResponseReturnValue:
    wanted = queries.GiftFilter.read(request.args)
    page = db.paginate(
        queries.select_gifts(g.campaign, wanted),
        page=page_number(),
        per_page=GIFTS_ON_A_PAGE,
        error_out=False,
    )
    return render_template(
        "gifts/list.html",
        page=page,
        wanted=wanted,
        totals=queries.sum_gifts(g.campaign, wanted),
        reversed_ids=queries.list_reversed(page.items),
        sectors=list_sectors(g.campaign, current_user),
        kinds=GiftKind.choices(),
        page_url=_page_url,
    )


@bp.route("/gifts/new", methods=["GET", "POST"])
def record_gift() -> ResponseReturnValue:
    form = forms.GiftForm(g.campaign, current_user, **_prefill())
    if not form.validate_on_submit():
        return render_template("gifts/new.html", form=form), _status(form)
    if queries.find_gift(g.campaign, form.line_key):
        flash(_("这一笔已经登记过了，没有重复登记。"), "warning")
        return redirect(url_for(".list_gifts"))
    gift = services.record_gift(campaign=g.campaign, by=current_user, **form.facts())
    audit.record(
        "record.gift",
        f"gift:{gift.id}",
        amount_fen=gift.amount_fen,
        unit_id=gift.unit_id,
        sector_id=gift.sector_id,
    )
    db.session.commit()
    amount = money.format_yuan(gift.amount_fen)
    flash(_("已登记：%(to)s %(amount)s 元。", to=gift.credited_to, amount=amount), "success")
    return redirect(_next_form(form) if "another" in request.form else url_for(".list_gifts"))


@bp.get("/gifts/units")
def suggest_units() -> ResponseReturnValue:
    # Each field that asks sends itself, under its own name.
    text = next(iter(request.args.values()), "").strip()
    found = list_standings(g.campaign, viewer=current_user, search=text) if text else []
    return render_template("gifts/_suggestions.html", standings=found[:MOST_SUGGESTED])


@bp.route("/gifts/<int:gift_id>/reverse", methods=["GET", "POST"])
def reverse_gift(gift_id: int) -> ResponseReturnValue:
    gift = queries.get_gift(g.campaign, gift_id)
    form = forms.ReversalForm()
    if not form.validate_on_submit():
        return render_template("gifts/reverse.html", form=form, gift=gift), _status(form)
    reversal = services.reverse_gift(gift, reason=form.reason.data, by=current_user)
    audit.record(
        "reverse.gift",
        f"gift:{gift.id}",
        reversal_id=reversal.id,
        amount_fen=reversal.amount_fen,
        reason=form.reason.data,
    )
    is_open_again = lines.release_gifts(g.campaign, Gift.id == gift.id)
    if is_open_again:
        match_lines(g.campaign)
    db.session.commit()
    flash(_("已冲正。原记录保留，金额已从合计中减去。"), "success")
    if is_open_again:
        flash(_("它对应的流水已回到待认领。"), "info")
    return redirect(url_for(".list_gifts"))


@bp.post("/units/<int:unit_id>/pledge")
def record_pledge(unit_id: int) -> ResponseReturnValue:
    solicitation = get_solicitation(g.campaign, unit_id, current_user)
    form = forms.PledgeForm()
    if not form.validate_on_submit():
        return show_errors(
            "gifts/_pledge.html",
            form,
            solicitation=solicitation,
            standing=find_standing(solicitation),
            pledge_form=form,
        )
    check_version(solicitation.version)
    pledge = services.record_pledge(solicitation, by=current_user, **form.facts())
    audit.record(
        "record.pledge",
        f"pledge:{pledge.id}",
        unit_id=unit_id,
        amount_fen=pledge.amount_fen,
        due_on=str(pledge.due_on),
    )
    db.session.commit()
    return return_to_unit(unit_id, _("认捐已登记。"))


def _page_url(number: int) -> str:
    filters: dict[str, Any] = request.args.to_dict()
    return url_for(".list_gifts", **filters | {"page": number})


def _status(form: Form) -> HTTPStatus:
    return HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK


def _next_form(form: forms.GiftForm) -> str:
    """The form for the gift after this one: what seldom differs is filled in already."""
    kept: dict[str, Any] = {name: form[name].data for name in CARRIED_OVER}
    return url_for(".record_gift", **kept)


def _prefill() -> dict[str, Any]:
    """What the address of the form brings: the unit it was opened from, or the gift before."""
    given: dict[str, Any] = {
        name: request.args[name] for name in CARRIED_OVER if name in request.args
    }
    day = request.args.get("received_on", type=date.fromisoformat)
    unit_id = request.args.get("unit_id", type=int)
    if unit_id is not None:
        given["unit"] = get_solicitation(g.campaign, unit_id, current_user).unit.name
    return given | {"received_on": day or clock.today()}
