"""板块调整: the sectors of a campaign are named, ordered, split and merged, and units moved between
them. Whatever moves money is a preview first, and does exactly what was previewed."""

from http import HTTPStatus

from flask import flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _
from flask_babel import ngettext
from flask_login import current_user

from outreach import audit
from outreach.campaigns import sectors
from outreach.campaigns.models import Sector
from outreach.campaigns.queries import get_sector, list_sectors
from outreach.db import db
from outreach.errors import Refused
from outreach.forms import Form
from outreach.gifts import sector_moves
from outreach.gifts.sector_moves import Merge, Move
from outreach.gifts.standings import list_standings
from outreach.overview.sector_forms import MergeForm, MoveForm, SectorNameForm
from outreach.overview.views import bp


@bp.get("/c/<campaign_code>/sectors/edit")
def edit_sectors() -> ResponseReturnValue:
    return _show_sectors(SectorNameForm(formdata=None))


@bp.post("/c/<campaign_code>/sectors/new")
def create_sector() -> ResponseReturnValue:
    form = SectorNameForm()
    if not form.validate() or not _takes_name(form, []):
        return _show_sectors(form)
    sector = sectors.create_sector(g.campaign, form.name.data)
    audit.record("create.sector", f"sector:{sector.id}", name=sector.name)
    db.session.commit()
    flash(_("已新建板块“%(name)s”，排在最后。", name=sector.name), "success")
    return redirect(url_for(".edit_sectors"))


@bp.post("/c/<campaign_code>/sectors/order")
def order_sectors() -> ResponseReturnValue:
    """Each sector's place as it was typed; one that was given another's place takes it."""
    wanted = []
    for number, id_ in enumerate(sectors.list_ids(g.campaign), 1):
        place = request.form.get(f"place-{id_}", number, type=int)
        wanted.append((place, (place > number) - (place < number), number, id_))
    sectors.order_sectors(g.campaign, [id_ for *_places, id_ in sorted(wanted)])
    audit.record("order.sectors", f"campaign:{g.campaign.id}", sectors=sectors.list_ids(g.campaign))
    db.session.commit()
    flash(_("板块顺序已保存。"), "success")
    return redirect(url_for(".edit_sectors"))


@bp.route("/c/<campaign_code>/sectors/<int:sector_id>/rename", methods=["GET", "POST"])
def rename_sector(sector_id: int) -> ResponseReturnValue:
    sector = get_sector(g.campaign, sector_id, current_user)
    form = SectorNameForm(obj=sector)
    if not form.validate_on_submit() or not _takes_name(form, [sector.id]):
        return render_template("overview/rename_sector.html", form=form, sector=sector), _status(
            form
        )
    before = sector.name
    sectors.rename_sector(g.campaign, sector, form.name.data)
    audit.record("rename.sector", f"sector:{sector.id}", before=before, after=sector.name)
    db.session.commit()
    flash(_("板块已改名为“%(name)s”。", name=sector.name), "success")
    return redirect(url_for(".edit_sectors"))


@bp.route("/c/<campaign_code>/sectors/<int:sector_id>/move", methods=["GET", "POST"])
def move_units(sector_id: int) -> ResponseReturnValue:
    source = get_sector(g.campaign, sector_id, current_user)
    standings = list_standings(g.campaign, sector_ids=[source.id])
    others = [row for row in list_sectors(g.campaign, current_user) if row.id != source.id]
    form = MoveForm(
        others,
        [standing.solicitation.unit_id for standing in standings],
        units=request.args.getlist("unit", type=int),
    )
    if not form.validate_on_submit() or not _takes_name(form, []) or "edit" in request.form:
        holding = next(
            row for row in sector_moves.list_holdings(g.campaign) if row.sector.id == source.id
        )
        return render_template(
            "overview/move_units.html", form=form, holding=holding, standings=standings
        ), _status(form)
    move = Move(
        source,
        form.units.data,
        to=next((row for row in others if row.id == form.to.data), None),
        name=form.name.data,
        takes_own=form.takes_own.data,
    )
    if "is_confirmed" not in request.form:
        return _preview(sector_moves.plan_move(g.campaign, move), form, source)
    to = sector_moves.move_units(
        g.campaign,
        move,
        reason=form.reason.data,
        by=current_user,
        fingerprint=request.form.get("fingerprint", ""),
    )
    db.session.commit()
    count = len(form.units.data)
    flash(
        ngettext(
            "已把 %(num)d 个单位移到“%(to)s”。",
            "已把 %(num)d 个单位移到“%(to)s”。",
            count,
            to=to.name,
        ),
        "success",
    )
    return redirect(url_for(".sector", sector_id=to.id))


@bp.route("/c/<campaign_code>/sectors/<int:sector_id>/merge", methods=["GET", "POST"])
def merge_sectors(sector_id: int) -> ResponseReturnValue:
    target = get_sector(g.campaign, sector_id, current_user)
    others = [row for row in list_sectors(g.campaign, current_user) if row.id != target.id]
    form = MergeForm(others, name=target.name)
    chosen = [row for row in others if row.id in (form.others.data or ())]
    besides = [target.id, *(row.id for row in chosen)]
    if not form.validate_on_submit() or not _takes_name(form, besides) or "edit" in request.form:
        holdings = {row.sector.id: row for row in sector_moves.list_holdings(g.campaign)}
        return render_template(
            "overview/merge_sectors.html",
            form=form,
            target=holdings[target.id],
            others=[holdings[row.id] for row in others],
        ), _status(form)
    merge = Merge(target, chosen, form.name.data)
    if "is_confirmed" not in request.form:
        return _preview(sector_moves.plan_merge(g.campaign, merge), form, target)
    sector_moves.merge_sectors(
        g.campaign,
        merge,
        reason=form.reason.data,
        by=current_user,
        fingerprint=request.form.get("fingerprint", ""),
    )
    db.session.commit()
    flash(_("板块已合并为“%(name)s”。", name=form.name.data), "success")
    return redirect(url_for(".edit_sectors"))


@bp.post("/c/<campaign_code>/sectors/<int:sector_id>/delete")
def delete_sector(sector_id: int) -> ResponseReturnValue:
    sector = get_sector(g.campaign, sector_id, current_user)
    name = sector.name
    sector_moves.delete_sector(g.campaign, sector)
    db.session.commit()
    flash(_("板块“%(name)s”已删除。", name=name), "success")
    return redirect(url_for(".edit_sectors"))


def _show_sectors(form: SectorNameForm) -> ResponseReturnValue:
    return render_template(
        "overview/edit_sectors.html",
        form=form,
        holdings=sector_moves.list_holdings(g.campaign),
        predecessors=sector_moves.list_predecessors(g.campaign),
        liaisons=sectors.list_liaisons(sectors.list_ids(g.campaign)),
    ), _status(form)


def _preview(plan: sector_moves.Plan, form: Form, sector: Sector) -> ResponseReturnValue:
    return render_template("overview/sector_plan.html", plan=plan, form=form, sector=sector)


def _takes_name(form: SectorNameForm | MoveForm | MergeForm, besides: list[int]) -> bool:
    """Whether no other sector is called so; said at the field otherwise."""
    if isinstance(form, MoveForm) and form.to.data:
        return True
    try:
        sectors.check_name(g.campaign, form.name.data, besides=besides)
    except Refused as refusal:
        form.name.errors = [refusal.message]
        return False
    return True


def _status(form: Form) -> HTTPStatus:
    return HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK
