"""个人信息: what is kept about a person, a copy for that person, and its erasure."""

from http import HTTPStatus
from io import BytesIO

from flask import Blueprint, flash, redirect, render_template, request, send_file
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _

from outreach import audit, clock
from outreach.campaigns.import_pages import XLSX
from outreach.db import db
from outreach.privacy import exports, services
from outreach.privacy.forms import CopyForm, ErasureForm
from outreach.privacy.queries import Dossier, find_person
from outreach.spreadsheets.listings import write_xlsx
from outreach.units.contacts import get_contact
from outreach.web import local_path

bp = Blueprint("privacy", __name__, url_prefix="/contacts/<int:contact_id>/personal-data")


@bp.get("")
def show_person(contact_id: int) -> ResponseReturnValue:
    return _show(find_person(get_contact(contact_id)), CopyForm(), ErasureForm())


@bp.post("/copy")
def copy_person(contact_id: int) -> ResponseReturnValue:
    dossier = find_person(get_contact(contact_id))
    form = CopyForm()
    if not form.validate():
        return _show(dossier, form, ErasureForm(formdata=None)), HTTPStatus.UNPROCESSABLE_ENTITY
    listings = exports.list_all(dossier)
    is_json = "json" in request.form
    if is_json:
        content, media_type, extension = exports.write_json(listings), "application/json", "json"
    else:
        note = str(_("截至 %(at)s", at=f"{clock.local(clock.now()):%Y-%m-%d %H:%M}"))
        content = write_xlsx(str(_("个人信息")), note, listings)
        media_type, extension = XLSX, "xlsx"
    audit.record("copy.contact", f"contact:{contact_id}", basis=form.basis.data, format=extension)
    db.session.commit()
    # Not the person's name: it would stay in the browser's list of downloads.
    name = f"{_('个人信息')}-{contact_id}-{clock.today():%Y%m%d}.{extension}"
    return send_file(BytesIO(content), mimetype=media_type, as_attachment=True, download_name=name)


@bp.post("/erase")
def erase_person(contact_id: int) -> ResponseReturnValue:
    dossier = find_person(get_contact(contact_id))
    form = ErasureForm()
    if not form.validate():
        return _show(dossier, CopyForm(formdata=None), form), HTTPStatus.UNPROCESSABLE_ENTITY
    erasure = services.erase_person(
        dossier, basis=form.basis.data, is_kept_out=form.is_kept_out.data
    )
    db.session.commit()
    flash(
        _("个人信息已删除，%(count)s 条消息的内容也已清空。", count=erasure.letter_count), "success"
    )
    return redirect(local_path(request.args.get("next", "")))


def _show(dossier: Dossier, copy: CopyForm, erasure: ErasureForm) -> str:
    return render_template(
        "privacy/person.html",
        dossier=dossier,
        copy_form=copy,
        form=erasure,
        describe_place=exports.describe_place,
    )
