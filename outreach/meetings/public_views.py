"""What invited people may do without an account: say whether they come, and at the door that they
are there.

A GET only shows, since mail scanners follow every link. The token in the address names the
attendee, or for a few minutes the meeting, and is the signature."""

from http import HTTPStatus

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _

from outreach.db import db
from outreach.errors import NotFound
from outreach.meetings import answers, links, services
from outreach.meetings.forms import InviteeForm
from outreach.meetings.models import Attendee, Meeting, PartStat
from outreach.meetings.queries import (
    find_meeting,
    get_attendee,
    get_invited,
    list_same_person,
    lock_attendee,
    lock_meeting,
)

bp = Blueprint("invitations", __name__)


@bp.get("/invitations/<token>/")
def invitation(token: str) -> ResponseReturnValue:
    attendee = _find_attendee(token)
    has_answered = attendee.partstat is not PartStat.NEEDS_ACTION
    form = InviteeForm(
        partstat=attendee.partstat if has_answered else None,
        delegate_name=attendee.delegate_name,
        sequence=attendee.meeting.sequence,
    )
    return _show(attendee, form)


@bp.post("/invitations/<token>/")
def answer(token: str) -> ResponseReturnValue:
    attendee = _find_attendee(token)
    form = InviteeForm()
    if not form.validate():
        return _show(attendee, form), HTTPStatus.UNPROCESSABLE_ENTITY
    answers.answer(
        attendee,
        form.partstat.data,
        sequence=form.sequence.data,
        delegate_name=form.delegate_name.data or "",
    )
    db.session.commit()
    return _show(attendee, form, is_saved=True)


@bp.get("/door/<token>/")
def door(token: str) -> ResponseReturnValue:
    return render_template("meetings/door.html", meeting=_find_meeting(token), token=token)


@bp.post("/door/<token>/")
def enter(token: str) -> ResponseReturnValue:
    found = _find_meeting(token)
    meeting = lock_meeting(found.campaign, found.id)
    attendee = get_attendee(meeting, request.form.get("attendee_id", 0, type=int))
    for row in list_same_person(attendee):
        services.sign_in(row)
    db.session.commit()
    flash(_("%(name)s已签到，请入场。", name=attendee.person.name))
    return redirect(url_for(".door", token=token))


def _find_meeting(token: str) -> Meeting:
    meeting_id = links.read_door_token(token)
    meeting = find_meeting(meeting_id) if meeting_id is not None else None
    if meeting is None:
        raise NotFound(_("这个签到码已经过期。请重新扫描门口的签到码，或请工作人员代为签到。"))
    return meeting


def _find_attendee(token: str) -> Attendee:
    attendee_id = links.read_token(token)
    read = get_invited if request.method == "GET" else lock_attendee
    attendee = read(attendee_id) if attendee_id is not None else None
    if attendee is None:
        raise NotFound(_("这个链接不完整。请从邮件里重新点开，或直接回复邮件告诉我们。"))
    return attendee


def _show(attendee: Attendee, form: InviteeForm, *, is_saved: bool = False) -> str:
    rows = list_same_person(attendee)
    return render_template(
        "meetings/invitation.html",
        attendee=attendee,
        meeting=attendee.meeting,
        units=[row.contact.unit.name for row in rows if row.contact],
        form=form,
        is_saved=is_saved,
    )
