"""总览, 板块, 劝募台, 单位: the pages that put the capabilities' figures side by side."""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _
from flask_babel import ngettext
from flask_login import current_user
from wtforms import SelectChoice

from outreach import audit, clock
from outreach.access import Role, may
from outreach.accounts.models import User
from outreach.campaigns.forms import next_action_form, stage_form
from outreach.campaigns.models import CampaignStatus, Solicitation
from outreach.campaigns.queries import (
    get_sector,
    get_solicitation,
    list_campaigns,
    list_running_campaigns,
    list_sectors,
)
from outreach.campaigns.services import assign_solicitor, plan_next_action
from outreach.db import db
from outreach.digests.decisions import DecisionKind, count_decisions
from outreach.digests.services import may_be_out
from outreach.errors import Conflict, NotFound, Refused
from outreach.gifts.forms import pledge_form
from outreach.gifts.participation import read_participation
from outreach.gifts.standings import (
    Standing,
    Status,
    cumulative,
    find_standing,
    list_standings,
    read_figures,
    sector_figures,
)
from outreach.meetings.queries import list_meetings
from outreach.merging.queries import find_survivor
from outreach.overview import charts
from outreach.overview.forms import BulkForm, BulkKind, Order, WorklistFilter
from outreach.overview.queries import compare, is_shown, list_branches, search_units
from outreach.overview.timeline import unit_timeline
from outreach.relay.queries import find_answer
from outreach.reminders.catching_up import find_missed
from outreach.todos import queries as todos
from outreach.visits.models import OPEN
from outreach.visits.queries import list_visits
from outreach.web import is_htmx, page_number

bp = Blueprint("overview", __name__)
PAGE_SIZE = 50
FAILED_WITHIN = timedelta(days=7)
AHEAD = timedelta(days=6)
"""How far the dashboard looks ahead at visits and meetings."""


@bp.get("/")
def home() -> ResponseReturnValue:
    campaigns = list_running_campaigns() or list_campaigns()
    if not campaigns:
        return render_template("overview/no_campaign.html")
    page = "sectors" if current_user.role is Role.LIAISON else "dashboard"
    return redirect(url_for(f".{page}", campaign_code=campaigns[-1].code))


@bp.get("/my-day")
def my_day() -> ResponseReturnValue:
    """Where the installed app begins: the day of who works in the office."""
    running = list_running_campaigns()
    if not running or not may("visits.my_day"):
        return redirect(url_for(".home"))
    return redirect(url_for("visits.my_day", campaign_code=running[-1].code))


@bp.get("/c/<campaign_code>/")
def dashboard() -> ResponseReturnValue:
    figures = read_figures(g.campaign)
    today = clock.today()
    last = today + AHEAD
    is_running = g.campaign.status is CampaignStatus.RUNNING
    decisions = count_decisions(g.campaign, clock.now() - FAILED_WITHIN, clock.now())
    missed = find_missed(g.campaign, clock.now()) if is_running else {}
    if missed:
        decisions[DecisionKind.MISSED_UNIT] = sum(map(len, missed.values()))
    if is_running and may_be_out(g.campaign, today):
        decisions[DecisionKind.LOST_DIGEST] = 1
    return render_template(
        "overview/dashboard.html",
        figures=figures.campaign,
        sectors=sorted(figures.sectors, key=lambda sector: -sector.lag),
        decisions=decisions,
        visits=list_visits(g.campaign, first=today, last=last, status=OPEN) if is_running else [],
        meetings=list_meetings(g.campaign, first=today, last=last) if is_running else [],
        chart=charts.pace_chart(g.campaign, cumulative(g.campaign), figures.campaign),
        is_running=is_running,
    )


@bp.get("/c/<campaign_code>/sectors")
def sectors() -> ResponseReturnValue:
    figures = read_figures(g.campaign, viewer=current_user)
    return render_template(
        "overview/sectors.html",
        sectors=figures.sectors,
        total=figures.campaign if current_user.role is not Role.LIAISON else None,
        chart=charts.sectors_chart(g.campaign, figures.sectors),
    )


@bp.get("/c/<campaign_code>/sectors/<int:sector_id>")
def sector(sector_id: int) -> ResponseReturnValue:
    sector = get_sector(g.campaign, sector_id, current_user)
    standings = list_standings(g.campaign, viewer=current_user, sector_ids=[sector.id])
    figures = next(
        figures
        for figures in sector_figures(g.campaign, viewer=current_user)
        if figures.sector.id == sector.id
    )
    return render_template(
        "overview/sector.html",
        figures=figures,
        standings=sorted(standings, key=lambda s: (not s.is_outstanding, -s.previous_fen)),
        comparison=compare(standings),
    )


@bp.get("/c/<campaign_code>/worklist")
def worklist() -> ResponseReturnValue:
    chosen = WorklistFilter.read(request.args)
    standings = find_standings(chosen)
    page = page_number()
    shown = standings[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
    template = "overview/_worklist.html" if is_htmx() else "overview/worklist.html"
    return render_template(
        template,
        chosen=chosen,
        standings=shown,
        todos=todos.list_open(g.campaign, [standing.solicitation.unit_id for standing in shown]),
        count=len(standings),
        previous_fen=sum(standing.previous_fen for standing in standings),
        page=page,
        last_page=max(-(-len(standings) // PAGE_SIZE), 1),
        sectors=list_sectors(g.campaign, current_user),
        form=_bulk_form(),
        statuses=Status,
        orders=Order,
    )


@bp.post("/c/<campaign_code>/worklist/preview")
def preview_bulk() -> ResponseReturnValue:
    form = _bulk_form()
    chosen = _chosen_solicitations()
    is_valid = form.validate()
    status = 200 if is_valid else 422
    return (
        render_template(
            "overview/bulk.html",
            form=form,
            solicitations=chosen,
            is_valid=is_valid,
            kind=next(kind for kind in BulkKind if kind.value == form.kind.data),
            solicitor=db.session.get(User, form.solicitor.data) if form.solicitor.data else None,
        ),
        status,
    )


@bp.post("/c/<campaign_code>/worklist/apply")
def apply_bulk() -> ResponseReturnValue:
    form = _bulk_form()
    if not form.validate():
        raise Refused(_("批量操作的内容不完整。请返回劝募台重新填写。"))
    chosen = _chosen_solicitations()
    for solicitation in chosen:
        _apply(form, solicitation)
    audit.record(
        f"solicitations.{form.kind.data}",
        f"campaign:{g.campaign.id}",
        solicitations=[solicitation.id for solicitation in chosen],
    )
    db.session.commit()
    flash(ngettext("已更新 %(num)d 个单位。", "已更新 %(num)d 个单位。", len(chosen)), "success")
    return redirect(url_for(".worklist"))


@bp.get("/c/<campaign_code>/units/<int:unit_id>")
def unit(unit_id: int) -> ResponseReturnValue:
    if survivor := find_survivor(unit_id):
        return redirect(url_for(".unit", unit_id=survivor.id))
    solicitation = get_solicitation(g.campaign, unit_id, current_user)
    standing = find_standing(solicitation)
    return render_template(
        "overview/unit.html",
        unit=solicitation.unit,
        contacts=solicitation.unit.contacts,
        solicitation=solicitation,
        standing=standing,
        confirmed=find_answer(solicitation),
        entries=unit_timeline(solicitation),
        todos=todos.list_open(g.campaign, [unit_id]).get(unit_id, []),
        stage_form=stage_form(solicitation),
        next_action_form=next_action_form(solicitation),
        pledge_form=pledge_form(standing),
        participation=read_participation(solicitation),
        has_parent_page=is_shown(solicitation.unit.parent_id, g.campaign, current_user),
        branches=list_branches(solicitation.unit, g.campaign, current_user),
    )


@bp.get("/c/<campaign_code>/search")
def search() -> ResponseReturnValue:
    text = request.args.get("q", "")
    found = search_units(g.campaign, current_user, text)
    template = "overview/_search.html" if is_htmx() else "overview/search.html"
    return render_template(template, found=found, text=text)


def find_standings(chosen: WorklistFilter) -> list[Standing]:
    """What the work list shows, on all its pages."""
    waiting = todos.list_waiting_units(g.campaign) if chosen.has_todo else set()
    found = list_standings(
        g.campaign,
        viewer=current_user,
        sector_ids=[chosen.sector_id] if chosen.sector_id else None,
        outstanding_only=not chosen.shows_all and chosen.status is None,
        solicitor_id=chosen.solicitor_id,
        search=chosen.search,
    )
    return chosen.apply(found, waiting)


def _list_solicitors() -> list[User]:
    return list(
        db.session.scalars(
            sa.select(User)
            .where(User.role.in_((Role.STAFF, Role.SECRETARY_GENERAL)), User.is_enabled)
            .order_by(User.name)
        )
    )


def _bulk_form() -> BulkForm:
    form = BulkForm()
    form.solicitor.choices = [SelectChoice(user.id, user.name) for user in _list_solicitors()]
    return form


def _chosen_solicitations() -> list[Solicitation]:
    """The rows that were ticked, as «id:version»; Conflict when one has changed since."""
    versions: dict[int, int] = {}
    for value in request.form.getlist("solicitation"):
        number, _colon, version = value.partition(":")
        if not (number.isdigit() and version.isdigit()):
            raise Refused(_("所选单位无法识别。请返回劝募台重新勾选。"))
        versions[int(number)] = int(version)
    if not versions:
        raise Refused(_("还没有勾选单位。请返回劝募台，先勾选要处理的单位。"))
    rows = db.session.scalars(
        sa.select(Solicitation)
        .filter_by(campaign_id=g.campaign.id)
        .where(Solicitation.id.in_(versions))
        .order_by(Solicitation.id)
    ).all()
    if len(rows) != len(versions):
        raise NotFound(_("所选单位中有的已不在本次活动中。请返回劝募台重新勾选。"))
    if any(row.version != versions[row.id] for row in rows):
        raise Conflict(_("所选单位中有的刚被他人修改。请返回劝募台核对后重新勾选。"))
    return list(rows)


def _apply(form: BulkForm, solicitation: Solicitation) -> None:
    kept: dict[str, Any] = {
        "action": solicitation.next_action,
        "on": solicitation.next_action_on,
        "snoozed_until": solicitation.snoozed_until,
    }
    match form.kind.data:
        case BulkKind.ASSIGN:
            assign_solicitor(solicitation, db.session.get_one(User, form.solicitor.data))
        case BulkKind.PLAN:
            plan_next_action(
                solicitation, **kept | {"action": form.action.data, "on": form.on.data}
            )
        case BulkKind.SNOOZE:
            plan_next_action(solicitation, **kept | {"snoozed_until": form.snoozed_until.data})
