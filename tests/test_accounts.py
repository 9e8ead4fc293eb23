"""Signing in and out, and what ends a session."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from outreach.access import Role
from outreach.accounts import passwords
from outreach.accounts.models import User
from tests import factories

PASSWORD = "银杏 kettle 第七 harbour"


@pytest.fixture
def person(app: Flask) -> User:
    return factories.make_user(
        Role.STAFF, username="zhangmin", password_hash=passwords.hash_password(PASSWORD)
    )


def sign_in_as(client: FlaskClient, username: str, password: str = PASSWORD, **options):
    return client.post("/login", data={"username": username, "password": password}, **options)


def is_signed_in(client: FlaskClient) -> bool:
    return client.get("/password").status_code == 200


def test_the_right_password_signs_in_and_leads_to_the_page_asked_for(
    client: FlaskClient, person: User
):
    answer = client.get("/password")
    assert answer.location == "/login?next=/password"
    answer = client.post(answer.location, data={"username": " ZhangMin ", "password": PASSWORD})
    assert answer.location == "/password"
    assert is_signed_in(client)


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
    ],
)
def test_next_leads_only_to_pages_of_this_site(client: FlaskClient, person: User, target: str):
    answer = client.post(
        "/login", query_string={"next": target}, data={"username": "zhangmin", "password": PASSWORD}
    )
    assert answer.location == "/"


def test_wrong_password_unknown_and_disabled_users_get_the_same_answer(
    app: Flask, client: FlaskClient, person: User
):
    factories.make_user(
        username="gone", password_hash=passwords.hash_password(PASSWORD), is_enabled=False
    )
    factories.make_user(username="invited")
    wrong = sign_in_as(client, "zhangmin", "not the password")
    assert wrong.status_code == 422
    for username in ("nobody", "gone", "invited"):
        answer = sign_in_as(client, username)
        assert answer.status_code == 422
        assert answer.text.replace(username, "zhangmin") == wrong.text
    assert not is_signed_in(client)


def test_logout_ends_the_session_on_the_server_too(client: FlaskClient, person: User):
    sign_in_as(client, "zhangmin")
    cookie = client.get_cookie("session").value
    client.post("/logout")
    client.set_cookie("session", cookie)
    assert not is_signed_in(client)
