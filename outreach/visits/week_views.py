"""The week as it is planned: why each visit is there, and what people make of it."""

from datetime import date

from flask import flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _
from flask_login import current_user

from outreach import audit, clock
from outreach.accounts.queries import list_office
from outreach.db import db
from outreach.errors import Refused
from outreach.visits import queries, services
from outreach.visits.day_order import lock_days
from outreach.visits.day_order import place_visit as place_in_day
from outreach.visits.models import Visit
from outreach.visits.rounds import build_plan
from outreach.visits.views import asked_day, bp, locked, return_back, say_where_it_went
from outreach.visits.week_planning import book_week, coming_week, draft_week
from outreach.web import tell_next, wants_json

PATIENCE = 5.0
"""Seconds that a person waits for the solver; the task of the morning has more."""


@bp.get("/plan")
def week_plan() -> ResponseReturnValue:
    monday = clock.monday_of(asked_day() or coming_week())
    visitors = list_office()
    mine = current_user.id if current_user.id in {user.id for user in visitors} else None
    visitor_id = request.args.get("visitor", mine, type=int) or None
    return render_template(
        "visits/week_plan.html",
        plan=build_plan(g.campaign, monday, viewer=current_user, visitor_id=visitor_id),
        visitors=visitors,
        visitor_id=visitor_id,
    )


@bp.post("/plan")
def plan_week() -> ResponseReturnValue:
    monday = clock.monday_of(asked_day() or coming_week())
    draft = draft_week(g.campaign, monday)
    # The solver takes seconds: nothing is held meanwhile.
    db.session.commit()
    found = draft.solve(seconds=PATIENCE)
    booked = book_week(g.campaign, draft, found)
    audit.record("plan.week", f"campaign:{g.campaign.id}", week=monday.isoformat())
    db.session.commit()
    flash(
        _(
            "已编排：建议走访 %(visits)s 家、%(trips)s 趟，新提出 %(todos)s 件待办。",
            visits=booked.visit_count,
            trips=booked.trip_count,
            todos=booked.todo_count,
        )
        + (
            _("另有 %(count)s 家发消息即可，请到“提醒”建立批次。", count=booked.message_count)
            if booked.message_count
            else ""
        ),
        "success",
    )
    return redirect(url_for("visits.week_plan", week=monday, visitor=request.args.get("visitor")))


@bp.post("/visits/<int:visit_id>/shift")
def shift_visit(visit_id: int) -> ResponseReturnValue:
    """To another day of the same visitor, by a button of the plan."""
    visit = queries.get_visit(g.campaign, visit_id, current_user)
    day = _day_of_form()
    try:
        _shift(visit, day)
    except Refused as refusal:
        db.session.rollback()
        flash(refusal.message, "danger")
    else:
        db.session.commit()
        say_where_it_went(visit)
    return return_back()


@bp.post("/visits/<int:visit_id>/place")
def place_visit(visit_id: int) -> ResponseReturnValue:
    """To another place of its visitor's day, or of another of their days."""
    visit = queries.get_visit(g.campaign, visit_id, current_user)
    day = _day_of_form()
    is_shifted = day != visit.planned_on
    shown = [
        int(number) for number in request.form.get("shown", "").split(",") if number.isdecimal()
    ]
    try:
        if is_shifted:
            lock_days(visit, {visit.planned_on, day})
            _shift(visit, day)
        place_in_day(visit, before=request.form.get("before", type=int), shown=shown)
    except Refused as refusal:
        if wants_json():
            raise
        db.session.rollback()
        flash(refusal.message, "danger")
    else:
        db.session.commit()
        if is_shifted:
            say_where_it_went(visit)
    return tell_next(return_back())


def _day_of_form() -> date:
    try:
        return date.fromisoformat(request.form.get("day", ""))
    except ValueError:
        raise Refused(_("日期不对，请用“改期”选择日期。")) from None


def _shift(visit: Visit, day: date) -> None:
    services.move_visit(
        locked(visit),
        planned_on=day,
        visitor=visit.visitor or current_user,
        planned_time=visit.planned_time,
    )
