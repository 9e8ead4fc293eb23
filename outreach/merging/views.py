"""重复单位: proposals, the preview with both side by side, and merges that can be undone."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _
from flask_login import current_user

from outreach.campaigns.scope import campaign_blueprint
from outreach.db import db
from outreach.merging import services
from outreach.merging.duplicates import propose_duplicates
from outreach.merging.plans import plan_merge
from outreach.merging.queries import list_merges, list_others
from outreach.units.contacts import get_unit
from outreach.web import page_number

bp = campaign_blueprint("merging", __name__)
PER_PAGE = 50


@bp.get("/duplicates")
def list_duplicates() -> ResponseReturnValue:
    found = propose_duplicates()
    page = page_number()
    return render_template(
        "merging/duplicates.html",
        proposals=found[(page - 1) * PER_PAGE : page * PER_PAGE],
        count=len(found),
        page=page,
        last_page=max(-(-len(found) // PER_PAGE), 1),
        merges=list_merges(),
    )


@bp.post("/duplicates/<int:one_id>/<int:other_id>/apart")
def keep_apart(one_id: int, other_id: int) -> ResponseReturnValue:
    one, other = get_unit(one_id), get_unit(other_id)
    services.keep_apart(one, other, by=current_user)
    db.session.commit()
    message = _("已记下：“%(one)s”与“%(other)s”不是同一单位。", one=one.name, other=other.name)
    flash(message, "success")
    return redirect(url_for(".list_duplicates"))


@bp.get("/units/<int:unit_id>/merge")
def find_other(unit_id: int) -> ResponseReturnValue:
    unit = get_unit(unit_id)
    text = request.args.get("q", "").strip()
    found = list_others(unit, text)
    return render_template("merging/find.html", unit=unit, text=text, found=found)


@bp.route("/merge/<int:survivor_id>/<int:loser_id>", methods=["GET", "POST"])
def merge(survivor_id: int, loser_id: int) -> ResponseReturnValue:
    survivor, loser = get_unit(survivor_id), get_unit(loser_id)
    if request.method == "GET":
        return render_template("merging/merge.html", plan=plan_merge(survivor, loser))
    fingerprint = request.form.get("fingerprint", "")
    services.merge_units(survivor, loser, fingerprint=fingerprint, by=current_user)
    db.session.commit()
    message = _("“%(loser)s”已并入“%(survivor)s”。", loser=loser.name, survivor=survivor.name)
    flash(message, "success")
    return redirect(url_for(".list_duplicates", _anchor="merges"))


@bp.post("/merges/<int:merge_id>/undo")
def undo_merge(merge_id: int) -> ResponseReturnValue:
    merge = services.get_merge(merge_id)
    services.undo_merge(merge, by=current_user)
    db.session.commit()
    flash(_("已撤销：“%(unit)s”又是单独的单位。", unit=merge.loser.name), "success")
    return redirect(url_for(".list_duplicates", _anchor="merges"))
