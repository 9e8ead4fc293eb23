import uuid
from collections.abc import Callable
from datetime import date, timedelta
from http import HTTPStatus
from itertools import groupby
from typing import Any

from flask import Response as Answer
from flask import flash, g, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString
from flask_babel import lazy_gettext as _
from flask_login import current_user
from werkzeug.wrappers import Response

from outreach import clock, workdays
from outreach.accounts.queries import list_office
from outreach.campaigns.models import Solicitation
from outreach.campaigns.queries import get_solicitation
from outreach.campaigns.scope import campaign_blueprint
from outreach.db import db, writing
from outreach.errors import Conflict, NotFound, Refused
from outreach.forms import Form, check_version
from outreach.gifts.standings import find_standing
from outreach.todos import queries as todos
from outreach.visits import photos, queries, services
from outreach.visits.day_order import arrange
from outreach.visits.forms import DropVisitForm, LogVisitForm, PlaceForm, PlanVisitForm
from outreach.visits.models import OPEN, Visit, VisitOutcome, VisitStatus
from outreach.visits.weeks import build_week
from outreach.web import format_day, local_path, tell_next

bp = campaign_blueprint("visits", __name__)

DAYS_UNTIL_PLEDGE_IS_DUE = 14
DAYS_AHEAD = timedelta(days=7)


@bp.url_value_preprocessor
def _make_room_for_photos(endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """Before anything reads the form, for the token is read with it."""
    if endpoint == "visits.log_visit":
        request.max_content_length = photos.MOST_SENT


@bp.get("/my-day")
def my_day() -> ResponseReturnValue:
    today = clock.today()
    mine = queries.list_visits(g.campaign, visitor_id=current_user.id, status=OPEN)
    planned = [visit for visit in mine if visit.status is VisitStatus.PLANNED]
    proposals = [visit for visit in mine if visit.status is VisitStatus.PROPOSED]
    overdue = [visit for visit in planned if visit.planned_on < today]
    todays = arrange(visit for visit in planned if visit.planned_on == today)
    ahead = (visit for visit in planned if today < visit.planned_on <= today + DAYS_AHEAD)
    by_day = groupby(ahead, key=lambda visit: visit.planned_on)
    cards = queries.list_cards(g.campaign, [*overdue, *todays], current_user)
    agenda = todos.read_agenda(g.campaign, current_user)
    todo_cards = todos.list_cards(agenda.due, current_user)
    shown = [card.contact for card in cards if card.shows_phone]
    shown += [card.contact for card in todo_cards if card.shows_phone]
    if unnoted := services.list_unnoted(shown, current_user):
        with writing():
            services.record_reveals(unnoted)
    return render_template(
        "visits/my_day.html",
        cards=cards,
        order=[visit.id for visit in todays],
        todo_cards=todo_cards,
        todos_ahead=agenda.ahead_count,
        later=[visit for _day, visits in by_day for visit in arrange(visits)],
        proposals=proposals,
        confirmable=[visit for visit in proposals if not visit.is_overdue(today)],
        logged=queries.list_logged(g.campaign, current_user, today),
        unassigned_count=queries.count_unassigned(g.campaign),
    )


@bp.get("/visits")
def list_visits() -> ResponseReturnValue:
    monday = clock.monday_of(asked_day() or clock.today())
    status = next((s for s in VisitStatus if s.value == request.args.get("status")), None)
    asked = {"viewer": current_user, "visitor_id": request.args.get("visitor", type=int)}
    visits = queries.list_visits(
        g.campaign, first=monday, last=_sunday_of(monday), status=status, **asked
    )
    return render_template(
        "visits/list.html",
        week=build_week(monday, visits),
        proposals=queries.list_visits(g.campaign, status=VisitStatus.PROPOSED, **asked),
        visitor_id=asked["visitor_id"],
        status=status,
        statuses=VisitStatus,
        visitors=list_office(),
    )


@bp.route("/units/<int:unit_id>/visits/new", methods=["GET", "POST"])
def plan_visit(unit_id: int) -> ResponseReturnValue:
    solicitation = get_solicitation(g.campaign, unit_id, current_user)
    form = PlanVisitForm(
        planned_on=_next_workday(clock.today()),
        visitor_id=solicitation.solicitor_id or current_user.id,
    )
    choose = _offer_places(form)
    if form.validate_on_submit() and _accepted(
        form,
        lambda: services.plan_visit(solicitation, **choose(), reason=form.reason.data or ""),
    ):
        if visit := queries.find_open_visit(solicitation.id):
            say_where_it_went(visit, _("已安排 %(day)s 的走访。", day=format_day(visit.planned_on)))
        return return_back(unit_id)
    open_visit = queries.find_open_visit(solicitation.id)
    return _show(form, "visits/plan.html", solicitation=solicitation, open_visit=open_visit)


@bp.route("/visits/<int:visit_id>/log", methods=["GET", "POST"])
@bp.route("/units/<int:unit_id>/visits/log", methods=["GET", "POST"])
def log_visit(visit_id: int | None = None, unit_id: int | None = None) -> ResponseReturnValue:
    visit, solicitation = _find(visit_id, unit_id)
    form = _log_form()
    if visit and not visit.is_open and request.method == "GET":
        return render_template("visits/conflict.html", visit=visit, message="", sent={})
    said = _find_logged(form)

    def log() -> None:
        nonlocal said
        said = _tell_what_follows(_log(visit, solicitation, form))

    try:
        if said or (form.validate_on_submit() and _accepted(form, log)):
            form.photos.forget()
            flash(said, "success")
            return tell_next(return_back(unit_id))
    except Conflict as conflict:
        db.session.rollback()
        return _show_conflict(visit, solicitation, form, conflict)
    return _show(
        form,
        "visits/log.html",
        visit=visit,
        solicitation=solicitation,
        standing=find_standing(solicitation),
        outcomes=VisitOutcome,
        kept=form.photos.keep(),
    )


@bp.get("/visits/photos/<int:photo_id>")
def photo(photo_id: int) -> ResponseReturnValue:
    """Asked for each time whether it may still be seen; sent once."""
    photo = queries.get_photo(g.campaign, photo_id, current_user)
    try:
        answer: Answer = send_file(
            photos.path_of(photo.name), mimetype="image/jpeg", etag=photo.sha256
        )
    except FileNotFoundError:
        raise NotFound(_("这张照片的文件不见了，可能没有随数据库一起恢复。")) from None
    answer.headers["Cache-Control"] = "private, no-cache"
    return answer


@bp.post("/visits/photos/<int:photo_id>/remove")
def remove_photo(photo_id: int) -> ResponseReturnValue:
    photo = queries.get_photo(g.campaign, photo_id, current_user)
    photos.remove_photo(photo)
    db.session.commit()
    photos.delete_file(photo.name)
    flash(_("照片已删除。"), "success")
    return redirect(url_for("visits.log_visit", visit_id=photo.visit_id))


@bp.post("/visits/<int:visit_id>/confirm")
@bp.post("/visits/confirm")
def confirm_visit(visit_id: int | None = None) -> ResponseReturnValue:
    ids = [visit_id] if visit_id else sorted(request.form.getlist("visit_id", type=int))
    if not ids:
        raise Refused(_("请先勾选要确认的走访。"))
    for number in ids:
        visit = queries.get_visit(g.campaign, number, current_user)
        services.confirm_visit(locked(visit), by=current_user)
    db.session.commit()
    flash(_("已确认 %(count)s 次走访。", count=len(ids)), "success")
    return return_back()


@bp.route("/visits/<int:visit_id>/move", methods=["GET", "POST"])
def move_visit(visit_id: int) -> ResponseReturnValue:
    visit = queries.get_visit(g.campaign, visit_id, current_user)
    form = PlaceForm(
        planned_on=max(visit.planned_on, clock.today()),
        planned_time=visit.planned_time,
        visitor_id=visit.visitor_id or current_user.id,
        parent_id=visit.parent_id if visit.goes_with else 0,
    )
    choose = _offer_places(form, visit)

    def move() -> None:
        place = choose()
        services.move_visit(locked(visit), **place)

    if form.validate_on_submit() and _accepted(form, move):
        say_where_it_went(visit)
        return return_back()
    return _show(form, "visits/move.html", visit=visit)


@bp.route("/visits/<int:visit_id>/drop", methods=["GET", "POST"])
def drop_visit(visit_id: int) -> ResponseReturnValue:
    visit = queries.get_visit(g.campaign, visit_id, current_user)
    form = DropVisitForm()
    if form.validate_on_submit():
        drops = form.drops_companions.data
        count = services.drop_visit(locked(visit), reason=form.reason.data, drops_companions=drops)
        db.session.commit()
        flash(_("走访已取消。"), "success")
        if count and drops:
            flash(_("同行的 %(count)s 家一并取消。", count=count), "success")
        elif count:
            flash(_("同行的 %(count)s 家仍按原计划走访，不再随它改期。", count=count), "warning")
        return return_back()
    companions = queries.list_companions(visit)
    return _show(form, "visits/drop.html", visit=visit, companions=companions)


@bp.post("/visits/<int:visit_id>/separate")
def separate_visit(visit_id: int) -> ResponseReturnValue:
    visit = queries.get_visit(g.campaign, visit_id, current_user)
    services.separate_visit(locked(visit))
    db.session.commit()
    flash(_("已分开：这次走访不再随别的走访改期。"), "success")
    return return_back()


def _offer_places(form: PlaceForm, visit: Visit | None = None) -> Callable[[], dict[str, Any]]:
    """Fills the lists of the form. What is returned reads it: the arguments that say where a visit
    is planned. Who chooses another visit to go with goes where that one goes; who moves a visit
    elsewhere than the one with which it went goes alone."""
    visitors = form.offer(list_office())
    parents = form.offer_company(queries.list_open_ahead(g.campaign, current_user, besides=visit))

    def choose() -> dict[str, Any]:
        day, visitor_id = form.planned_on.data, form.visitor_id.data
        parent = parents.get(form.parent_id.data)
        if parent is not None:
            services.lock_rows({parent.id, *([visit.id] if visit else ())})
            services.lock_open_visit(parent)
            is_old = visit is not None and visit.parent_id == parent.id
            if is_old and (day, visitor_id) != (parent.planned_on, parent.visitor_id):
                parent = None
        return {
            "planned_on": parent.planned_on if parent else day,
            "visitor": parent.visitor if parent else visitors[visitor_id],
            "planned_time": form.planned_time.data,
            "parent": parent,
        }

    return choose


def _find(visit_id: int | None, unit_id: int | None) -> tuple[Visit | None, Solicitation]:
    """The planned visit, or none, and the unit that is visited."""
    if visit_id is None:
        return None, get_solicitation(g.campaign, unit_id or 0, current_user)
    visit = queries.get_visit(g.campaign, visit_id, current_user)
    return visit, visit.solicitation


def _log_form() -> LogVisitForm:
    """Filled in so that most visits need one choice and no typing."""
    today = clock.today()
    due_on = today + timedelta(days=DAYS_UNTIL_PLEDGE_IS_DUE)
    return LogVisitForm(
        visited_on=today,
        pledge_due_on=max(today, min(due_on, g.campaign.ends_on)),
        next_on=_next_workday(today + timedelta(days=services.DAYS_TO_DISCUSS - 1)),
        client_key=str(uuid.uuid4()),
    )


def _find_logged(form: LogVisitForm) -> str:
    """What there is to say of this very log when it has arrived before; else empty. A phone that
    did not hear the answer sends its form again; whatever was wrong with one that waited, it has
    arrived in another way."""
    sent_before = queries.find_by_client_key(form.client_key.data) if form.is_submitted() else None
    if sent_before is None or sent_before.status is not VisitStatus.LOGGED:
        return ""
    return _tell_what_follows(sent_before)


def _log(visit: Visit | None, solicitation: Solicitation, form: LogVisitForm) -> Visit:
    key = form.client_key.data or None
    if visit is None:
        visit = services.start_unplanned_visit(solicitation, by=current_user, client_key=key)
    elif queries.find_by_client_key(key) is None:
        services.lock_visit(visit)
        if visit.is_open:
            check_version(visit.version)
    return services.log_visit(visit, by=current_user, **form.facts())


def _tell_what_follows(visit: Visit) -> str:
    follow_up = queries.find_follow_up(visit)
    if follow_up is None:
        return str(_("走访已登记。"))
    day = format_day(follow_up.planned_on)
    return str(_("走访已登记。系统建议 %(day)s 再次走访，待确认。", day=day))


def _show_conflict(
    visit: Visit | None, solicitation: Solicitation, form: LogVisitForm, conflict: Conflict
) -> ResponseReturnValue:
    page = render_template(
        "visits/conflict.html",
        visit=visit or queries.find_open_visit(solicitation.id),
        message=conflict.message,
        outcome=form.outcome.data,
        sent=request.form,
        kept=form.photos.keep(),
    )
    return page, HTTPStatus.CONFLICT


def _accepted(form: Form, change: Callable[[], object]) -> bool:
    """Whether the change went through. What is refused is said above the form, which keeps what
    was typed."""
    try:
        change()
    except Refused as refusal:
        db.session.rollback()
        form.form_errors.append(refusal.message)
        return False
    db.session.commit()
    return True


def _show(form: Form, template: str, **values: object) -> ResponseReturnValue:
    status = HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK
    return render_template(template, form=form, **values), status


def locked(visit: Visit) -> Visit:
    """The visit as it is now, if it is still what the person has read."""
    services.lock_visit(visit)
    check_version(visit.version)
    return visit


def say_where_it_went(visit: Visit, message: LazyString | None = None) -> None:
    flash(message or _("走访改到 %(day)s。", day=format_day(visit.planned_on)), "success")
    if visit.goes_with:
        unit = visit.goes_with.solicitation.unit
        flash(_("与%(unit)s一起走访，随它改期。", unit=unit.name), "success")
    for moved in (visit, *queries.list_companions(visit)):
        if closed := services.tell_closed(moved):
            flash(closed, "warning")


def return_back(unit_id: int | None = None) -> Response:
    """To where the person came from; without that to the unit's page, or to their day."""
    target = request.args.get("next")
    if target:
        return redirect(local_path(target))
    if unit_id is not None:
        return redirect(url_for("overview.unit", unit_id=unit_id))
    return redirect(url_for("visits.my_day"))


def asked_day() -> date | None:
    try:
        return date.fromisoformat(request.args.get("week", ""))
    except ValueError:
        return None


def _next_workday(after: date) -> date:
    """A day to begin with in a form: in a year that nobody knows the next one."""
    try:
        return workdays.next_workday(after)
    except workdays.CalendarUnknown:
        return after + timedelta(days=1)


def _sunday_of(day: date) -> date:
    return clock.monday_of(day) + timedelta(days=6)
