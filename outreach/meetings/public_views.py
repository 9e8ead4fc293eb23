"""What invited people may do without signing in: say whether they come.

A GET only shows, since mail scanners follow every link. The token in the address names the
attendee and is the signature."""

from http import HTTPStatus

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _

from outreach.db import db
from outreach.errors import NotFound
from outreach.meetings import answers, links
from outreach.meetings.forms import InviteeForm
from outreach.meetings.models import Attendee, PartStat
from outreach.meetings.queries import get_invited, list_same_person, lock_attendee

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
