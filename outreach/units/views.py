from collections.abc import Callable
from http import HTTPStatus

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _

from outreach import clock
from outreach.db import db
from outreach.errors import Refused
from outreach.forms import Form, check_version
from outreach.messages.models import Channel
from outreach.units import contacts, queries, services
from outreach.units.forms import (
    AliasForm,
    AllowForm,
    ContactForm,
    EndContactForm,
    HandOverForm,
    OptOutForm,
    RevealForm,
    UnitForm,
    VerifyForm,
)
from outreach.web import is_htmx, local_path

bp = Blueprint("units", __name__, url_prefix="/units")
bp.add_app_template_global(contacts.RevealReason.choices, "reveal_reasons")


@bp.route("/<int:unit_id>/edit", methods=["GET", "POST"])
def edit_unit(unit_id: int) -> ResponseReturnValue:
    unit = contacts.get_unit(unit_id)
    form = UnitForm(unit)
    if form.validate_on_submit():
        check_version(unit.version)
        if _save(form, lambda: services.update_unit(unit, form.details())):
            flash(_("单位资料已保存。"), "success")
            return _return()
    page = render_template(
        "units/edit.html", form=form, unit=unit, alias_form=AliasForm(formdata=None)
    )
    return page, _status(form)


@bp.post("/<int:unit_id>/aliases")
def add_alias(unit_id: int) -> ResponseReturnValue:
    unit = contacts.get_unit(unit_id)
    form = AliasForm()
    if not form.validate():
        raise Refused(next(iter(form.errors.values()))[0])
    services.add_alias(unit, form.name.data, form.kind.data)
    db.session.commit()
    flash(_("别名已添加。"), "success")
    return _return_to_edit(unit_id)


@bp.post("/aliases/<int:alias_id>/remove")
def remove_alias(alias_id: int) -> ResponseReturnValue:
    alias = queries.get_alias(alias_id)
    unit_id = alias.unit_id
    services.remove_alias(alias)
    db.session.commit()
    flash(_("别名已删除。"), "success")
    return _return_to_edit(unit_id)


@bp.route("/contacts/<int:contact_id>/hand-over", methods=["GET", "POST"])
def hand_over(contact_id: int) -> ResponseReturnValue:
    contact = contacts.get_contact(contact_id)
    form = HandOverForm(valid_from=clock.today())
    if form.validate_on_submit():
        check_version(contact.version)
        if _save(form, lambda: contacts.hand_over(contact, form.details(contact.role))):
            flash(_("已由%(name)s接任。", name=form.name.data), "success")
            return _return()
    return render_template("units/hand_over.html", form=form, contact=contact), _status(form)


@bp.route("/<int:unit_id>/contacts/new", methods=["GET", "POST"])
def create_contact(unit_id: int) -> ResponseReturnValue:
    unit = contacts.get_unit(unit_id)
    form = ContactForm(valid_from=clock.today())
    if form.validate_on_submit():
        contacts.create_contact(unit, form.details())
        db.session.commit()
        flash(_("联系人已添加。"), "success")
        return _return()
    return render_template("units/contact.html", form=form, unit=unit, contact=None)


@bp.route("/contacts/<int:contact_id>", methods=["GET", "POST"])
def edit_contact(contact_id: int) -> ResponseReturnValue:
    contact = contacts.get_contact(contact_id)
    form = ContactForm(
        data={
            name: getattr(contact, name)
            for name in ("name", "title", "role", "valid_from", "preferred_channel")
        }
    )
    if form.validate_on_submit():
        check_version(contact.version)
        contacts.update_contact(contact, form.details(contact))
        db.session.commit()
        flash(_("联系人已修改。"), "success")
        return _return()
    return render_template(
        "units/contact.html",
        form=form,
        unit=contact.unit,
        contact=contact,
        reachable=contacts.list_channels(contact),
        bounced=contacts.list_bounced(contact),
    )


@bp.post("/contacts/<int:contact_id>/end")
def end_contact(contact_id: int) -> ResponseReturnValue:
    contact = contacts.get_contact(contact_id)
    form = EndContactForm()
    if not form.validate():
        raise Refused(_("请填写正确的日期。"))
    check_version(contact.version)
    contacts.end_contact(contact, form.valid_to.data)
    db.session.commit()
    flash(_("任职日期已保存。"), "success")
    return _return()


@bp.post("/contacts/<int:contact_id>/reveal")
def reveal_contact(contact_id: int) -> ResponseReturnValue:
    contact = contacts.get_contact(contact_id)
    form = RevealForm()
    if not form.validate():
        raise Refused(_("请选择查看号码的用途。"))
    contacts.reveal_contact(contact, form.reason.data)
    db.session.commit()
    page = "units/_revealed.html" if is_htmx() else "units/revealed.html"
    return render_template(page, contact=contact)


@bp.post("/contacts/<int:contact_id>/opt-out")
def opt_out_contact(contact_id: int) -> ResponseReturnValue:
    """The person said so on the telephone."""
    contact = contacts.get_contact(contact_id)
    channel, _reason = _opt_out(OptOutForm())
    contacts.opt_out_contact(contact, channel)
    db.session.commit()
    flash(_("已登记。今后不再用这种方式给该联系人发提醒和会议通知。"), "success")
    return _return()


@bp.post("/contacts/<int:contact_id>/allow")
def allow_contact(contact_id: int) -> ResponseReturnValue:
    contact = contacts.get_contact(contact_id)
    channel, reason = _opt_out(AllowForm())
    contacts.allow_contact(contact, channel, reason=reason)
    db.session.commit()
    flash(_("已恢复。"), "success")
    return _return()


@bp.post("/contacts/<int:contact_id>/verify")
def verify_contact(contact_id: int) -> ResponseReturnValue:
    contact = contacts.get_contact(contact_id)
    channel, reason = _opt_out(VerifyForm())
    contacts.verify_contact(contact, channel, reason=reason)
    db.session.commit()
    flash(_("已记录，今后的消息会继续发往该地址。"), "success")
    return _return()


def _opt_out(form: OptOutForm) -> tuple[Channel, str]:
    if not form.validate():
        raise Refused(next(iter(form.errors.values()))[0])
    return form.channel.data, form.reason.data or ""


def _save(form: Form, change: Callable[[], object]) -> bool:
    """Whether the change was made; a refusal is shown in the form, which keeps what was typed."""
    try:
        change()
    except Refused as refusal:
        db.session.rollback()
        form.form_errors.append(refusal.message)
        return False
    db.session.commit()
    return True


def _status(form: Form) -> HTTPStatus:
    return HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK


def _return_to_edit(unit_id: int) -> ResponseReturnValue:
    return redirect(url_for(".edit_unit", unit_id=unit_id, next=request.args.get("next")))


def _return() -> ResponseReturnValue:
    return redirect(local_path(request.args.get("next", "")))
