"""The page behind the link in the letter. A GET only shows, since mail scanners follow every link.
The token names the campaign and the contacts, and is the signature."""

from http import HTTPStatus

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _
from flask_login import current_user

from outreach.errors import Forbidden
from outreach.relay.forms import RelayForm
from outreach.relay.queries import Place, read_places
from outreach.relay.views import take_answer

bp = Blueprint("confirmations", __name__)


@bp.get("/confirm/<token>/")
def confirmation(token: str) -> ResponseReturnValue:
    places = read_places(token)
    place = _choose(places)
    return _show(places, place, RelayForm(place.solicitation, place.answer, place.contact))


@bp.post("/confirm/<token>/")
def confirm(token: str) -> ResponseReturnValue:
    if current_user.is_authenticated:
        raise Forbidden(_("您是登录的工作人员，不能用单位的链接答复。请到单位页面选“核对”。"))
    places = read_places(token)
    place = _choose(places)
    form = RelayForm(place.solicitation, place.answer, place.contact)
    status = take_answer(form, place.solicitation, by=None, coordinator=place.contact)
    if status is not HTTPStatus.OK:
        return _show(places, place, form), status
    return render_template(
        "relay/confirmed.html", place=place, others=[one for one in places if one is not place]
    )


def _choose(places: list[Place]) -> Place:
    """The unit that is asked for: «?contact=12»; else the first that has not answered."""
    asked = request.args.get("contact", type=int)
    named = (one for one in places if one.contact.id == asked)
    open_ones = (one for one in places if one.answer is None)
    return next(named, None) or next(open_ones, places[0])


def _show(places: list[Place], place: Place, form: RelayForm) -> str:
    return render_template("relay/confirmation.html", places=places, place=place, form=form)
