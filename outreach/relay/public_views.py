"""The page behind the link in the letter. A GET only shows, since mail scanners follow every link.
The token names the campaign and the contacts, and is the signature."""

from http import HTTPStatus

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from outreach.relay.forms import RelayForm
from outreach.relay.queries import Place, read_places
from outreach.relay.views import take_answer

bp = Blueprint("confirmations", __name__)


@bp.get("/confirm/<token>/")
def confirmation(token: str) -> ResponseReturnValue:
    places = read_places(token)
    place = _choose(places)
    return _show(places, place, RelayForm(place.solicitation, place.answer))


@bp.post("/confirm/<token>/")
def confirm(token: str) -> ResponseReturnValue:
    places = read_places(token)
    place = _choose(places)
    form = RelayForm(place.solicitation, place.answer)
    status = take_answer(form, place.solicitation, by=None)
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
