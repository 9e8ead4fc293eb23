"""核对联络信息: who has confirmed, and the page on which an answer on the telephone is noted."""

from collections import Counter
from http import HTTPStatus

from flask import flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _
from flask_login import current_user

from outreach.accounts.models import User
from outreach.campaigns.models import Solicitation
from outreach.campaigns.queries import get_solicitation
from outreach.campaigns.scope import campaign_blueprint
from outreach.db import db
from outreach.errors import OutreachError
from outreach.relay import queries, services
from outreach.relay.forms import RelayForm
from outreach.relay.links import hide_links
from outreach.relay.models import RelayState
from outreach.units.models import Contact
from outreach.web import local_path, page_number

bp = campaign_blueprint("relay", __name__)
bp.add_app_template_filter(hide_links)
PER_PAGE = 50


@bp.get("/relay")
def list_units() -> ResponseReturnValue:
    units = queries.list_units(g.campaign, current_user)
    state = next((s for s in RelayState if s.value == request.args.get("state")), None)
    found = [unit for unit in units if state in (None, unit.state)]
    page = page_number()
    return render_template(
        "relay/list.html",
        units=found[(page - 1) * PER_PAGE : page * PER_PAGE],
        page=page,
        last_page=-(-len(found) // PER_PAGE) or 1,
        counts=Counter(unit.state for unit in units),
        total=len(units),
        state=state,
        states=RelayState,
    )


@bp.route("/units/<int:unit_id>/relay", methods=["GET", "POST"])
def note_answer(unit_id: int) -> ResponseReturnValue:
    solicitation = get_solicitation(g.campaign, unit_id, current_user)
    form = RelayForm(solicitation, queries.find_answer(solicitation))
    status = HTTPStatus.OK
    if form.is_submitted():
        status = take_answer(form, solicitation, by=current_user)
        if status is HTTPStatus.OK:
            flash(_("“%(unit)s”已核对。", unit=solicitation.unit.name), "success")
            return redirect(local_path(request.args.get("next") or url_for(".list_units")))
    return render_template("relay/answer.html", form=form, solicitation=solicitation), status


def take_answer(
    form: RelayForm,
    solicitation: Solicitation,
    *,
    by: User | None,
    coordinator: Contact | None = None,
) -> HTTPStatus:
    """OK when what was typed is kept; any other status is that of the form, shown again with what
    is wrong."""
    if not form.validate():
        return HTTPStatus.UNPROCESSABLE_ENTITY
    try:
        services.answer(solicitation, form.reply(), by=by, coordinator=coordinator)
    except OutreachError as refusal:
        db.session.rollback()
        form.form_errors.append(refusal.message)
        form.show_current()
        return refusal.status
    db.session.commit()
    return HTTPStatus.OK
