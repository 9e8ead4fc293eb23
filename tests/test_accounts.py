"""Signing in and out, what ends a session, and which passwords are refused."""

import re

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from outreach import clock
from outreach.access import Role
from outreach.accounts import passwords, services, throttle
from outreach.accounts.models import LoginSession, SignInAttempt, User
from outreach.audit import AuditEvent
from outreach.db import db
from outreach.errors import Refused
from tests import factories
from tests.conftest import SignIn

PASSWORD = "银杏 kettle 第七 harbour"
OTHER_PASSWORD = "麦田 window 第九 lantern"


@pytest.fixture
def person(app: Flask) -> User:
    return factories.make_user(
        Role.STAFF, username="zhangmin", password_hash=passwords.hash_password(PASSWORD)
    )


def sign_in_as(client: FlaskClient, username: str, password: str = PASSWORD, **options):
    return client.post("/login", data={"username": username, "password": password}, **options)


def is_signed_in(client: FlaskClient) -> bool:
    return client.get("/password").status_code == 200


def count(model) -> int:
    return db.session.scalar(sa.select(sa.func.count()).select_from(model))


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
        "\\/evil.example",
        "javascript:alert(1)",
        "",
    ],
)
def test_next_leads_only_to_pages_of_this_site(client: FlaskClient, person: User, target: str):
    answer = client.post(
        "/login", query_string={"next": target}, data={"username": "zhangmin", "password": PASSWORD}
    )
    assert answer.location == "/"


def test_wrong_password_unknown_and_disabled_users_get_the_same_answer(
    client: FlaskClient, person: User
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


def test_an_unknown_user_costs_as_much_time_as_a_wrong_password(app: Flask):
    """The work of argon2 is told by the parameters in the hash that it checks."""
    real = passwords.hash_password(PASSWORD)
    decoy = passwords._decoy(passwords._hasher())
    assert decoy.split("$")[:4] == real.split("$")[:4]
    assert [len(part) for part in decoy.split("$")] == [len(part) for part in real.split("$")]
    assert not passwords.is_correct("", PASSWORD)


def test_passwords_are_kept_as_argon2id_and_renewed_when_the_cost_changes(
    app: Flask, client: FlaskClient, person: User
):
    assert re.match(r"\$argon2id\$v=19\$m=8,t=1,p=1\$", person.password_hash)
    app.config["PASSWORD_COST"] = {"time_cost": 2, "memory_cost": 16, "parallelism": 1}
    sign_in_as(client, "zhangmin")
    assert "m=16,t=2" in person.password_hash
    sign_in_as(app.test_client(), "zhangmin")
    assert passwords.is_correct(person.password_hash, PASSWORD)


def test_ten_failures_on_an_account_close_it_for_a_quarter_of_an_hour(
    app: Flask, person: User, tuesday_morning
):
    for number in range(10):
        address = {"REMOTE_ADDR": f"203.0.113.{number}"}
        answer = sign_in_as(app.test_client(), "zhangmin", "wrong", environ_base=address)
        assert answer.status_code == 422
    client = app.test_client()
    assert sign_in_as(client, "zhangmin").status_code == 429
    assert "15 分钟" in sign_in_as(client, "ZHANGMIN").text
    assert count(SignInAttempt) == 10
    tuesday_morning.shift(15 * 60)
    assert sign_in_as(client, "zhangmin").status_code == 302
    assert count(SignInAttempt) == 0


def test_ten_failures_from_an_address_close_it_for_all_accounts_even_unknown_ones(
    app: Flask, client: FlaskClient, person: User
):
    for number in range(10):
        assert sign_in_as(client, f"nobody{number}").status_code == 422
    assert sign_in_as(client, "zhangmin").status_code == 429
    assert sign_in_as(client, "yet-another").status_code == 429
    elsewhere = {"REMOTE_ADDR": "203.0.113.9"}
    assert sign_in_as(client, "zhangmin", environ_base=elsewhere).status_code == 302


def test_a_sign_in_that_works_forgets_the_failures_before(client: FlaskClient, person: User):
    for _ in range(9):
        sign_in_as(client, "zhangmin", "wrong")
    assert sign_in_as(client, "zhangmin").status_code == 302
    assert count(SignInAttempt) == 0


def test_an_attempt_counts_before_the_password_is_checked(app: Flask):
    for _ in range(10):
        throttle.claim_attempt("zhangmin", "203.0.113.1")
        db.session.commit()
    with pytest.raises(throttle.TooManyAttempts):
        throttle.claim_attempt("zhangmin", "203.0.113.2")


def test_what_was_typed_as_user_name_is_not_kept(client: FlaskClient, person: User):
    sign_in_as(client, "my-secret-password-in-the-wrong-field", "x")
    kept = [
        db.session.execute(sa.select(model.__table__)).all()
        for model in (SignInAttempt, AuditEvent)
    ]
    assert all(kept)
    assert "secret" not in str(kept)


def test_signing_in_gives_the_browser_a_new_session(app: Flask, person: User):
    client = app.test_client()
    with client.session_transaction() as session:
        session["login"] = "chosen-by-somebody-else"
        session["csrf_token"] = "known-to-somebody-else"
        session["language"] = "en"
    sign_in_as(client, "zhangmin")
    with client.session_transaction() as session:
        assert session["login"] != "chosen-by-somebody-else"
        assert "csrf_token" not in session
        assert session["language"] == "en"
        assert session["login"] not in str(
            db.session.execute(sa.select(LoginSession.__table__)).all()
        )


def test_logout_ends_the_session_on_the_server_too(client: FlaskClient, person: User):
    sign_in_as(client, "zhangmin")
    cookie = client.get_cookie("session").value
    client.post("/logout")
    client.set_cookie("session", cookie)
    assert not is_signed_in(client)


def test_a_session_ends_after_half_an_hour_without_a_page(
    client: FlaskClient, person: User, tuesday_morning
):
    sign_in_as(client, "zhangmin")
    for _ in range(3):
        tuesday_morning.shift(29 * 60)
        assert is_signed_in(client)
    tuesday_morning.shift(30 * 60)
    assert not is_signed_in(client)


def test_a_session_ends_after_twelve_hours_of_work(
    client: FlaskClient, person: User, tuesday_morning
):
    sign_in_as(client, "zhangmin")
    for _ in range(12 * 3 - 1):
        tuesday_morning.shift(20 * 60)
        assert is_signed_in(client)
    tuesday_morning.shift(20 * 60)
    assert not is_signed_in(client)


def test_pages_that_write_note_that_the_session_is_in_use(
    client: FlaskClient, person: User, tuesday_morning
):
    """On SQLite the transaction of a POST holds the write lock from its first read."""
    sign_in_as(client, "zhangmin")
    tuesday_morning.shift(5 * 60)
    before = clock.now()
    assert client.post("/password", data={}).status_code == 200
    assert db.session.scalar(sa.select(LoginSession.last_seen_at)) >= before


def test_a_disabled_user_is_out_at_once(client: FlaskClient, person: User):
    sign_in_as(client, "zhangmin")
    person.is_enabled = False
    db.session.commit()
    assert not is_signed_in(client)


def test_a_new_password_signs_out_the_other_browsers(app: Flask, client: FlaskClient, person: User):
    other = app.test_client()
    sign_in_as(client, "zhangmin")
    sign_in_as(other, "zhangmin")
    words = {"new_password": OTHER_PASSWORD, "repeated": OTHER_PASSWORD}
    answer = client.post("/password", data=words | {"current_password": PASSWORD})
    assert answer.status_code == 302
    assert is_signed_in(client)
    assert not is_signed_in(other)
    assert sign_in_as(app.test_client(), "zhangmin").status_code == 422
    assert sign_in_as(app.test_client(), "zhangmin", OTHER_PASSWORD).status_code == 302


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"current_password": "wrong"}, "当前密码不正确"),
        ({"repeated": "something else"}, "两次输入不一致"),
        ({"new_password": "short", "repeated": "short"}, "至少 12 个字符"),
        ({"new_password": "x" * 129, "repeated": "x" * 129}, "最多 128 个字符"),
    ],
)
def test_a_password_change_that_is_refused_says_why_and_changes_nothing(
    client: FlaskClient, person: User, typed: dict, message: str
):
    sign_in_as(client, "zhangmin")
    words = {
        "current_password": PASSWORD,
        "new_password": OTHER_PASSWORD,
        "repeated": OTHER_PASSWORD,
    }
    assert message in client.post("/password", data=words | typed).text
    assert passwords.is_correct(person.password_hash, PASSWORD)


@pytest.mark.parametrize(
    "password",
    [
        "elevenchars",
        "Password2026!",
        "P@ssw0rd1234",
        "1qaz2wsx3edc",
        "woaini1314520",
        "13873412345678",
        "aaaaaaaaaaaaab",
        "慈善慈善慈善慈善慈善慈善",
        "Zhangmin-loves-tea",
        "我是张敏我爱喝茶也爱看书",
    ],
)
def test_passwords_that_are_easily_guessed_are_refused(app: Flask, password: str):
    with pytest.raises(Refused):
        passwords.check_strength(password, username="zhangmin", name="张敏")


@pytest.mark.parametrize("password", [PASSWORD, "correct horse battery", "x7#Kq92!mZp0"])
def test_passwords_that_are_not_are_taken(app: Flask, password: str):
    passwords.check_strength(password, username="zhangmin", name="张敏")


def test_a_password_keeps_its_blanks(client: FlaskClient, person: User):
    person.password_hash = passwords.hash_password(" two blanks at the ends ")
    db.session.commit()
    assert sign_in_as(client, "zhangmin", "two blanks at the ends").status_code == 422
    assert sign_in_as(client, "zhangmin", " two blanks at the ends ").status_code == 302


def test_a_person_who_is_disabled_gets_no_invitation(app: Flask):
    with pytest.raises(Refused):
        services.invite(factories.make_user(is_enabled=False))


def test_signing_in_failing_and_out_are_in_the_audit_trail(
    client: FlaskClient, person: User, sign_in: SignIn
):
    sign_in_as(client, "zhangmin", "wrong")
    sign_in_as(client, "zhangmin")
    client.post("/logout")
    events = db.session.execute(
        sa.select(AuditEvent.action, AuditEvent.subject, AuditEvent.user_id)
    )
    assert events.all() == [
        (action, f"user_account:{person.id}", by)
        for action, by in (
            ("fail.sign_in", None),
            ("sign_in.user", person.id),
            ("sign_out.user", person.id),
        )
    ]
