"""When people have time for visits."""

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _

from outreach import clock
from outreach.accounts import services as accounts
from outreach.accounts.queries import list_office
from outreach.db import db
from outreach.errors import Refused
from outreach.forms import Form
from outreach.settings.opening_views import bp
from outreach.settings.staffing_forms import AbsenceForm, RoomsForm
from outreach.visits import staffing


@bp.get("/staffing")
def list_staffing() -> ResponseReturnValue:
    people = list_office()
    form = AbsenceForm()
    form.offer(people)
    return render_template(
        "settings/staffing.html",
        people=[(user, RoomsForm.of(staffing.read_rooms(user))) for user in people],
        absences=staffing.list_absences([user.id for user in people], since=clock.today()),
        names={user.id: user.name for user in people},
        form=form,
    )


@bp.post("/staffing/<int:user_id>")
def set_rooms(user_id: int) -> ResponseReturnValue:
    user = accounts.get_user(user_id)
    form = RoomsForm()
    _require(form)
    staffing.set_rooms(user, form.rooms())
    db.session.commit()
    flash(_("%(name)s的走访时间已保存。", name=user.name), "success")
    return redirect(url_for("settings.list_staffing"))


@bp.post("/staffing/absences")
def add_absence() -> ResponseReturnValue:
    form = AbsenceForm()
    people = form.offer(list_office())
    _require(form)
    staffing.add_absence(
        people[form.user_id.data],
        form.kind.data,
        form.first_on.data,
        form.last_on.data or form.first_on.data,
        form.note.data or "",
    )
    db.session.commit()
    flash(_("已登记。重新编排周计划时会避开；已确认的走访不会自动改动，请自行改期。"), "success")
    return redirect(url_for("settings.list_staffing"))


@bp.post("/staffing/absences/<int:absence_id>/remove")
def remove_absence(absence_id: int) -> ResponseReturnValue:
    staffing.remove_absence(absence_id)
    db.session.commit()
    flash(_("已删除。"), "success")
    return redirect(url_for("settings.list_staffing"))


def _require(form: Form) -> None:
    """These forms stand beside what they change: errors are shown above it."""
    if not form.validate():
        raise Refused(next(iter(form.errors.values()))[0])
