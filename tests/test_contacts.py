"""The people at a unit: who they are, until when, and who looked at their number."""

from datetime import date

import pytest
import sqlalchemy as sa
from flask import Flask, render_template_string

from outreach.access import Role
from outreach.audit import AuditEvent
from outreach.db import db
from outreach.units.models import Contact, Unit
from tests import factories
from tests.conftest import SignIn

TYPED = {"name": "王敏", "title": "办公室主任", "role": "coordinator", "valid_from": "2026-10-20"}


@pytest.fixture
def unit(app: Flask) -> Unit:
    return factories.make_unit()


@pytest.fixture
def contact(unit: Unit) -> Contact:
    return factories.make_contact(unit, mobile="+8613873412345", email="wang@unit.example")


def test_a_contact_is_added_with_the_number_as_people_type_it(unit: Unit, sign_in: SignIn):
    answer = sign_in().post(
        f"/units/{unit.id}/contacts/new",
        query_string={"next": "/c/2026/units/1"},
        data=TYPED | {"mobile": "138 7341-2345", "email": "Wang@Unit.example"},
    )
    assert answer.location == "/c/2026/units/1"
    contact = db.session.scalars(sa.select(Contact)).one()
    assert (contact.mobile, contact.email) == ("+8613873412345", "wang@unit.example")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("mobile", "0734-8123456", "11 位大陆手机号码"),
        ("mobile", "1387341234", "11 位大陆手机号码"),
        ("email", "wang@", "邮箱格式不正确"),
        ("name", "", "请填写姓名"),
        ("role", "boss", ""),
        ("valid_from", "2026-02-30", ""),
    ],
)
def test_what_cannot_be_right_is_refused_at_the_field(
    unit: Unit, sign_in: SignIn, field: str, value: str, message: str
):
    answer = sign_in().post(f"/units/{unit.id}/contacts/new", data=TYPED | {field: value})
    assert "invalid-feedback" in answer.text
    assert message in answer.text
    assert db.session.scalar(sa.select(sa.func.count(Contact.id))) == 0


def test_the_form_does_not_show_the_number_and_keeps_it_when_left_empty(
    contact: Contact, sign_in: SignIn
):
    client = sign_in()
    page = client.get(f"/units/contacts/{contact.id}").text
    assert "13873412345" not in page
    assert "wang@unit" not in page
    client.post(f"/units/contacts/{contact.id}", data=TYPED | {"version": 1, "forget_email": "y"})
    assert (contact.name, contact.mobile, contact.email) == ("王敏", "+8613873412345", "")


def test_a_change_on_top_of_somebody_elses_is_a_conflict(contact: Contact, sign_in: SignIn):
    client = sign_in()
    client.post(f"/units/contacts/{contact.id}", data=TYPED | {"version": 1})
    answer = client.post(
        f"/units/contacts/{contact.id}", data=TYPED | {"version": 1, "name": "另一人"}
    )
    assert answer.status_code == 409
    assert contact.name == "王敏"


def test_a_contact_ends_with_a_day_and_can_be_taken_back(contact: Contact, sign_in: SignIn):
    client = sign_in()
    url = f"/units/contacts/{contact.id}/end"
    assert client.post(url, data={"valid_to": "2025-12-31"}).status_code == 422
    client.post(url, data={"valid_to": "2026-10-20"})
    assert contact.valid_to == date(2026, 10, 20)
    assert contact.is_valid_on(date(2026, 10, 20))
    assert not contact.is_valid_on(date(2026, 10, 21))
    client.post(url, data={"valid_to": ""})
    assert contact.valid_to is None


def test_a_number_is_shown_for_a_reason_that_the_audit_trail_keeps(
    contact: Contact, sign_in: SignIn
):
    client = sign_in()
    url = f"/units/contacts/{contact.id}/reveal"
    htmx = {"HX-Request": "true"}
    assert client.post(url, headers=htmx).status_code == 422
    assert client.post(url, headers=htmx, data={"reason": "curious"}).status_code == 422
    assert db.session.scalar(sa.select(sa.func.count(AuditEvent.id))) == 0

    answer = client.post(url, headers=htmx, data={"reason": "call"})
    assert "13873412345" in answer.text
    assert "<html" not in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    event = db.session.scalars(sa.select(AuditEvent)).one()
    assert (event.action, event.subject) == ("reveal.contact", f"contact:{contact.id}")
    assert event.facts == {"reason": "call"}


@pytest.mark.changes_app
def test_the_list_masks_numbers_and_hides_buttons_from_those_who_may_not(
    app: Flask, contact: Contact, unit: Unit, sign_in: SignIn
):
    @app.get("/contacts-of-the-test")
    def contacts_of_the_test():
        return render_template_string(
            "{% include 'units/_contacts.html' %}", unit=unit, contacts=[contact]
        )

    from outreach import access

    access.RULES["contacts_of_the_test"] = access.EVERYONE
    try:
        staff = sign_in(Role.STAFF).get("/contacts-of-the-test").text
        auditor = sign_in(Role.AUDITOR).get("/contacts-of-the-test").text
    finally:
        del access.RULES["contacts_of_the_test"]
    assert "138****2345" in staff
    assert "w***@unit.example" in staff
    assert "13873412345" not in staff + auditor
    assert "查看号码" in staff
    assert "查看号码" not in auditor


def test_a_contact_that_is_not_there_is_not_found(app: Flask, sign_in: SignIn):
    client = sign_in()
    assert client.get("/units/contacts/999").status_code == 404
    assert client.get("/units/999/contacts/new").status_code == 404
