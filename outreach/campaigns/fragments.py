"""How the small forms on a unit's page answer: with the page again, or with their errors."""

from http import HTTPStatus
from typing import Any

from flask import Response, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString

from outreach.errors import Refused
from outreach.forms import Form
from outreach.web import is_htmx


def return_to_unit(unit_id: int, message: LazyString) -> ResponseReturnValue:
    """The unit's page, where everything that the change touched is shown anew."""
    flash(message, "success")
    page = url_for("overview.unit", unit_id=unit_id)
    return Response(headers={"HX-Redirect": page}) if is_htmx() else redirect(page)


def show_errors(template: str, form: Form, **values: Any) -> ResponseReturnValue:
    """The fragment again with its errors; a browser without scripts reads the first of them."""
    if is_htmx():
        return render_template(template, **values), HTTPStatus.UNPROCESSABLE_ENTITY
    raise Refused(next(iter(form.errors.values()))[0])
