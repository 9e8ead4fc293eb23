"""Pages of coordination meetings."""

from datetime import time
from http import HTTPStatus
from io import BytesIO
from typing import Any

import segno
from flask import Response, flash, g, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _
from flask_login import current_user
from markupsafe import Markup

from outreach import clock, jobs
from outreach.accounts.models import User
from outreach.campaigns.scope import campaign_blueprint
from outreach.db import db
from outreach.errors import Refused
from outreach.forms import check_version
from outreach.gifts.standings import list_standings, sector_figures
from outreach.meetings import circulation, links, queries, services
from outreach.meetings.absences import list_absent, propose_calls
from outreach.meetings.agenda import draft_agenda
from outreach.meetings.forms import (
    ActionItemForm,
    AnswerForm,
    CancelForm,
    MeetingForm,
    MinutesForm,
)
from outreach.meetings.minutes_file import MEDIA_TYPE, write_minutes_file
from outreach.meetings.models import Attendee, Meeting, MeetingStatus, PartStat
from outreach.meetings.rendering import Method, build_calendar
from outreach.web import is_htmx, wants_json

bp = campaign_blueprint("meetings", __name__)
USUAL_HOURS = {"start": time(14, 30), "end": time(16, 0)}
"""What the form of a new meeting starts with."""


@bp.get("/meetings")
def list_meetings() -> ResponseReturnValue:
    meetings = queries.list_meetings(g.campaign, with_cancelled=True)
    upcoming = [row for row in meetings if row.status is MeetingStatus.PLANNED]
    past = [row for row in reversed(meetings) if row.status is not MeetingStatus.PLANNED]
    return render_template(
        "meetings/list.html",
        upcoming=upcoming,
        past=past,
        attendance=queries.count_attendance(g.campaign),
        items=queries.list_open_action_items(g.campaign),
    )


@bp.route("/meetings/new", methods=["GET", "POST"])
def create_meeting() -> ResponseReturnValue:
    form = MeetingForm(data=USUAL_HOURS)
    if form.validate_on_submit():
        meeting = services.create_meeting(g.campaign, organizer=current_user, **_facts(form))
        db.session.commit()
        return redirect(url_for(".invite", meeting_id=meeting.id))
    if request.method == "GET":
        form.agenda.data = draft_agenda(g.campaign)
    return render_template("meetings/form.html", form=form, meeting=None), _status(form)


@bp.get("/meetings/<int:meeting_id>")
def meeting(meeting_id: int) -> ResponseReturnValue:
    return _show(queries.get_meeting(g.campaign, meeting_id))


@bp.route("/meetings/<int:meeting_id>/edit", methods=["GET", "POST"])
def edit_meeting(meeting_id: int) -> ResponseReturnValue:
    meeting = _load(meeting_id)
    form = MeetingForm(obj=meeting, data=_hours(meeting))
    if form.validate_on_submit():
        check_version(meeting.version)
        queued = services.update_meeting(meeting, **_facts(form))
        _commit_and_wake(queued)
        flash(_("已保存，更新通知 %(count)s 份待发。", count=queued) if queued else _("已保存。"))
        return _to(meeting)
    return render_template("meetings/form.html", form=form, meeting=meeting), _status(form)


@bp.route("/meetings/<int:meeting_id>/cancel", methods=["GET", "POST"])
def cancel_meeting(meeting_id: int) -> ResponseReturnValue:
    meeting = _load(meeting_id)
    form = CancelForm()
    if form.validate_on_submit():
        check_version(meeting.version)
        queued = services.cancel_meeting(meeting, reason=form.reason.data)
        _commit_and_wake(queued)
        flash(_("会议已取消，取消通知 %(count)s 份待发。", count=queued))
        return _to(meeting)
    return render_template("meetings/cancel.html", form=form, meeting=meeting), _status(form)


@bp.route("/meetings/<int:meeting_id>/invite", methods=["GET", "POST"])
def invite(meeting_id: int) -> ResponseReturnValue:
    meeting = _load(meeting_id)
    if request.method == "POST":
        count = services.invite(
            meeting,
            unit_ids=request.form.getlist("unit_id", type=int),
            user_ids=request.form.getlist("user_id", type=int),
        )
        db.session.commit()
        flash(_("名单新增 %(count)s 人，通知尚未发出。", count=count))
        return _to(meeting)
    return render_template("meetings/invite.html", meeting=meeting, **_candidates(meeting))


@bp.post("/meetings/<int:meeting_id>/notify")
def send_invitations(meeting_id: int) -> ResponseReturnValue:
    meeting = _load(meeting_id)
    queued = services.send_invitations(meeting)
    _commit_and_wake(queued)
    flash(_("会议通知 %(count)s 份待发。", count=queued) if queued else _("没有需要发出的通知。"))
    return _to(meeting)


@bp.post("/meetings/<int:meeting_id>/attendees/<int:attendee_id>/remove")
def remove_attendee(meeting_id: int, attendee_id: int) -> ResponseReturnValue:
    meeting = _load(meeting_id)
    services.remove_attendee(meeting, queries.get_attendee(meeting, attendee_id))
    db.session.commit()
    return _to(meeting)


@bp.post("/meetings/<int:meeting_id>/attendees/<int:attendee_id>/answer")
def record_answer(meeting_id: int, attendee_id: int) -> ResponseReturnValue:
    meeting = _load(meeting_id)
    attendee = queries.get_attendee(meeting, attendee_id)
    form = AnswerForm()
    if not form.validate():
        raise Refused(_("请选择回复。"))
    services.record_answer(attendee, form.partstat.data)
    db.session.commit()
    if is_htmx():
        return render_template(
            "meetings/_attendee.html", meeting=meeting, attendee=attendee, **_answers(meeting)
        )
    return _to(meeting)


@bp.get("/meetings/<int:meeting_id>/sign-in")
def sign_in_list(meeting_id: int) -> ResponseReturnValue:
    meeting = queries.get_meeting(g.campaign, meeting_id)
    return render_template("meetings/sign_in.html", meeting=meeting)


@bp.get("/meetings/<int:meeting_id>/door")
def door_code(meeting_id: int) -> ResponseReturnValue:
    meeting = queries.get_meeting(g.campaign, meeting_id)
    services.refuse_not_due(meeting)
    code = segno.make(links.door_link(meeting), error="m")
    image = Markup(code.svg_inline(omitsize=True, border=2))  # noqa: S704 - made of squares alone
    return render_template("meetings/door_code.html", meeting=meeting, image=image)


@bp.post("/meetings/<int:meeting_id>/attendees/<int:attendee_id>/sign-in")
def sign_in(meeting_id: int, attendee_id: int) -> ResponseReturnValue:
    meeting = _load(meeting_id)
    attendee = queries.get_attendee(meeting, attendee_id)
    services.sign_in(attendee)
    return _signed_in(meeting, attendee)


@bp.post("/meetings/<int:meeting_id>/attendees/<int:attendee_id>/undo-sign-in")
def undo_sign_in(meeting_id: int, attendee_id: int) -> ResponseReturnValue:
    meeting = _load(meeting_id)
    attendee = queries.get_attendee(meeting, attendee_id)
    services.undo_sign_in(attendee)
    return _signed_in(meeting, attendee)


@bp.get("/meetings/<int:meeting_id>/walk-in")
def find_walk_in(meeting_id: int) -> ResponseReturnValue:
    meeting = queries.get_meeting(g.campaign, meeting_id)
    text = request.args.get("q", "").strip()
    units = queries.search_units(g.campaign, text)
    users = [user for user in queries.list_office_users() if text and text in user.name]
    return render_template(
        "meetings/_walk_ins.html" if is_htmx() else "meetings/sign_in.html",
        meeting=meeting,
        q=text,
        walk_ins=[("unit_id", unit.id, unit.name) for unit in units]
        + [("user_id", user.id, user.name) for user in users],
    )


@bp.post("/meetings/<int:meeting_id>/walk-in")
def add_walk_in(meeting_id: int) -> ResponseReturnValue:
    meeting = _load(meeting_id)
    attendee = services.add_walk_in(
        meeting,
        unit=queries.find_unit(g.campaign, request.form.get("unit_id", type=int)),
        user=_find_office_user(request.form.get("user_id", type=int)),
    )
    db.session.commit()
    flash(_("%(name)s已签到。", name=attendee.person.name))
    return redirect(url_for(".sign_in_list", meeting_id=meeting.id))


@bp.post("/meetings/<int:meeting_id>/hold")
def hold_meeting(meeting_id: int) -> ResponseReturnValue:
    meeting = _load(meeting_id)
    services.hold_meeting(meeting)
    db.session.commit()
    flash(_("签到已结束，到会单位已计入联系记录。"))
    return _to(meeting)


@bp.post("/meetings/<int:meeting_id>/call-absent")
def call_absent(meeting_id: int) -> ResponseReturnValue:
    meeting = _load(meeting_id)
    calls = propose_calls(meeting)
    db.session.commit()
    flash(
        _(
            "补会电话新增 %(count)s 件；另有 %(others)s 家已到账、不再劝募或已在待办中。",
            count=calls.proposed,
            others=calls.left_out,
        )
    )
    return _to(meeting)


@bp.route("/meetings/<int:meeting_id>/minutes", methods=["GET", "POST"])
def write_minutes(meeting_id: int) -> ResponseReturnValue:
    meeting = _load(meeting_id)
    form = MinutesForm(obj=meeting)
    if not form.validate_on_submit():
        return _minutes_page(meeting, form), _status(form)
    services.refuse_not_due(meeting)
    minutes, decisions = _lines(form.minutes.data), _lines(form.decisions.data)
    is_same = (minutes, decisions) == (meeting.minutes, meeting.decisions)
    if not is_same and request.form.get("mark") != services.mark_minutes(meeting):
        # Both versions on one page: whoever came second puts them together.
        return _minutes_page(meeting, form, theirs=meeting), HTTPStatus.CONFLICT
    draft_by = current_user if wants_json() else None
    services.write_minutes(meeting, minutes=minutes, decisions=decisions, draft_by=draft_by)
    db.session.commit()
    if wants_json():
        return {"mark": services.mark_minutes(meeting), "at": f"{clock.local(clock.now()):%H:%M}"}
    flash(_("纪要已保存。"))
    return _to(meeting)


@bp.post("/meetings/<int:meeting_id>/action-items")
def create_action_item(meeting_id: int) -> ResponseReturnValue:
    meeting = _load(meeting_id)
    form = _action_item_form(meeting)
    if not form.validate():
        return _show(meeting, form), HTTPStatus.UNPROCESSABLE_ENTITY
    services.create_action_item(
        meeting,
        text=form.text.data,
        owner=db.session.get_one(User, form.owner_id.data),
        due_on=form.due_on.data,
        unit_id=form.unit_id.data or None,
    )
    db.session.commit()
    return redirect(url_for(".meeting", meeting_id=meeting.id, _anchor="action-items"))


@bp.post("/action-items/<int:item_id>/complete")
def complete_action_item(item_id: int) -> ResponseReturnValue:
    item = queries.get_action_item(g.campaign, item_id)
    services.complete_action_item(item)
    db.session.commit()
    return _after_action_item(item.meeting_id)


@bp.post("/action-items/<int:item_id>/reopen")
def reopen_action_item(item_id: int) -> ResponseReturnValue:
    item = queries.get_action_item(g.campaign, item_id)
    services.reopen_action_item(item)
    db.session.commit()
    return _after_action_item(item.meeting_id)


@bp.get("/meetings/<int:meeting_id>/minutes.docx")
def minutes_file(meeting_id: int) -> ResponseReturnValue:
    meeting = queries.get_meeting(g.campaign, meeting_id)
    day = f"{clock.local(meeting.starts_at):%Y%m%d}"
    return send_file(
        BytesIO(write_minutes_file(meeting)),
        mimetype=MEDIA_TYPE,
        as_attachment=True,
        download_name=f"会议纪要-{day}-{meeting.id}.docx",
    )


@bp.post("/meetings/<int:meeting_id>/minutes/circulate")
def circulate_minutes(meeting_id: int) -> ResponseReturnValue:
    meeting = _load(meeting_id)
    queued = circulation.circulate(meeting, with_absent="with_absent" in request.form)
    _commit_and_wake(queued)
    flash(_("会议纪要 %(count)s 份待发。", count=queued) if queued else _("这份纪要已经发过了。"))
    return _to(meeting)


@bp.get("/meetings/<int:meeting_id>/calendar.ics")
def calendar_file(meeting_id: int) -> ResponseReturnValue:
    meeting = queries.get_meeting(g.campaign, meeting_id)
    is_cancelled = meeting.status is MeetingStatus.CANCELLED
    text = build_calendar(meeting, Method.CANCEL if is_cancelled else Method.PUBLISH)
    headers = {"Content-Disposition": f'attachment; filename="meeting-{meeting.id}.ics"'}
    return Response(text, mimetype="text/calendar", headers=headers)


def _load(meeting_id: int) -> Meeting:
    """For a form that changes the meeting: the one who saves holds the row until the commit."""
    read = queries.get_meeting if request.method == "GET" else queries.lock_meeting
    return read(g.campaign, meeting_id)


def _show(meeting: Meeting, form: ActionItemForm | None = None) -> str:
    return render_template(
        "meetings/meeting.html",
        meeting=meeting,
        to_notify=services.list_to_notify(meeting),
        absent=list_absent(meeting) if meeting.status is MeetingStatus.HELD else [],
        counts=queries.count_attendees(meeting),
        reader_counts=[
            len(circulation.list_readers(meeting, with_absent=with_absent))
            for with_absent in (False, True)
        ],
        minutes_changed=circulation.version(meeting) != meeting.circulated_version,
        carried_over=[
            item
            for item in queries.list_open_action_items(g.campaign)
            if item.meeting_id != meeting.id
        ],
        form=form or _action_item_form(meeting),
        **_answers(meeting),
    )


def _minutes_page(meeting: Meeting, form: MinutesForm, theirs: Meeting | None = None) -> str:
    return render_template(
        "meetings/minutes.html",
        form=form,
        meeting=meeting,
        theirs=theirs,
        mark=request.form.get("mark")
        if form.errors and theirs is None
        else services.mark_minutes(meeting),
    )


def _lines(text: str | None) -> str:
    return (text or "").replace("\r\n", "\n")


def _answers(meeting: Meeting) -> dict[str, Any]:
    return {"answers": PartStat.choices(), "notices": queries.list_notices(meeting)}


def _facts(form: MeetingForm) -> dict[str, Any]:
    return {
        "title": form.title.data,
        "starts_at": form.starts_at,
        "ends_at": form.ends_at,
        "place": form.place.data or "",
        "agenda": _lines(form.agenda.data),
    }


def _hours(meeting: Meeting) -> dict[str, Any]:
    start, end = clock.local(meeting.starts_at), clock.local(meeting.ends_at)
    return {"day": start.date(), "start": start.time(), "end": end.time()}


def _candidates(meeting: Meeting) -> dict[str, Any]:
    coordinators = queries.list_coordinators(g.campaign)
    standings = list_standings(g.campaign, viewer=current_user)
    by_sector: dict[int, list[Any]] = {}
    for standing in standings:
        by_sector.setdefault(standing.solicitation.sector_id, []).append(standing)
    return {
        "figures": [row for row in sector_figures(g.campaign) if row.sector.id in by_sector],
        "by_sector": by_sector,
        "coordinators": coordinators,
        "invited": {row.contact.unit_id for row in meeting.attendees if row.contact},
        "invited_users": {row.user_id for row in meeting.attendees},
        "users": queries.list_office_users(),
    }


def _action_item_form(meeting: Meeting) -> ActionItemForm:
    form = ActionItemForm()
    units = {row.contact.unit_id: row.contact.unit.name for row in meeting.attendees if row.contact}
    form.offer(sorted(units.items(), key=lambda unit: unit[1]))
    return form


def _find_office_user(user_id: int | None) -> User | None:
    return next((user for user in queries.list_office_users() if user.id == user_id), None)


def _signed_in(meeting: Meeting, attendee: Attendee) -> ResponseReturnValue:
    db.session.commit()
    if is_htmx():
        return render_template(
            "meetings/_sign_in_row.html", meeting=meeting, attendee=attendee, swap=True
        )
    return redirect(url_for(".sign_in_list", meeting_id=meeting.id))


def _commit_and_wake(queued: int) -> None:
    db.session.commit()
    if queued:
        jobs.wake("deliver")


def _to(meeting: Meeting) -> ResponseReturnValue:
    return redirect(url_for(".meeting", meeting_id=meeting.id))


def _after_action_item(meeting_id: int) -> ResponseReturnValue:
    if request.form.get("next") == "list":
        return redirect(url_for(".list_meetings"))
    return redirect(url_for(".meeting", meeting_id=meeting_id, _anchor="action-items"))


def _status(form: Any) -> HTTPStatus:
    return HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK
