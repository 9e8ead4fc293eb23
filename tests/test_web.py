"""What every page shares: health, hosts, errors in three shapes, headers, formats, language."""

from datetime import UTC, date, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient

from outreach import access, web
from outreach.access import Role
from outreach.errors import Conflict, Forbidden, NotFound, OutreachError, Refused
from tests import factories
from tests.conftest import SignIn

JSON = {"Accept": "application/json"}
HTMX = {"HX-Request": "true"}


@pytest.fixture
def failing(app: Flask, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """A client for /failing/<name>, a page that raises what it is asked for."""
    errors: dict[str, Exception] = {
        "refused": Refused("这一步现在不能做。"),
        "not_found": NotFound("没有这个单位。"),
        "conflict": Conflict("刚被他人修改。"),
        "forbidden": Forbidden("没有权限。"),
        "broken": RuntimeError("secret detail"),
    }

    @app.get("/failing/<name>", endpoint="failing")
    def fail(name: str) -> str:
        raise errors[name]

    monkeypatch.setitem(access.RULES, "failing", access.ANYONE)
    return app.test_client()


def test_health_and_readiness_answer(client: FlaskClient):
    assert client.get("/healthz").json == {"status": "ok"}
    assert client.get("/readyz").json == {"status": "ok", "failing": {}}


def test_readiness_names_what_cannot_be_reached(app: Flask, client: FlaskClient):
    def unreachable() -> None:
        raise ConnectionError("redis://:password@redis")

    app.extensions["outreach.ready_checks"] = {"broker": unreachable}
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json["failing"] == {"broker": "ConnectionError"}
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", ""])
def test_a_host_that_is_not_ours_is_refused(client: FlaskClient, host: str):
    answer = client.get("/login", headers={"Host": host})
    assert answer.status_code == 400
    assert "evil" not in answer.text


@pytest.mark.changes_app
@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        ("refused", 422, "这一步现在不能做。"),
        ("not_found", 404, "没有这个单位。"),
        ("conflict", 409, "刚被他人修改。"),
        ("forbidden", 403, "没有权限。"),
        ("broken", 500, "系统出错了"),
    ],
)
def test_an_error_is_a_page_json_or_a_fragment_as_the_caller_wants(
    failing: FlaskClient, name: str, status: int, message: str
):
    page, as_json, fragment = (
        failing.get(f"/failing/{name}", headers=headers) for headers in ({}, JSON, HTMX)
    )
    assert {page.status_code, as_json.status_code, fragment.status_code} == {status}
    assert "<html" in page.text
    assert message in page.text
    assert as_json.json["error"]["status"] == status
    assert message in as_json.json["error"]["message"]
    assert "<html" not in fragment.text
    assert message in fragment.text
    assert fragment.headers["HX-Retarget"] == "#notices"
    assert "secret detail" not in page.text + as_json.text + fragment.text


def test_what_does_not_exist_is_said_in_the_same_shapes(client: FlaskClient):
    answer = client.get("/nothing-here", headers=JSON)
    assert (answer.status_code, answer.json["error"]["status"]) == (404, 404)
    assert "没有找到这个页面" in client.get("/nothing-here").text
    assert client.post("/healthz", headers=JSON).status_code == 405


def test_a_file_that_is_too_large_is_refused_with_the_limit(app: Flask, client: FlaskClient):
    app.config["MAX_CONTENT_LENGTH"] = 1000
    answer = client.post("/login", data={"username": "x" * 2000})
    assert answer.status_code == 413
    assert "16 MB" in answer.text


def test_every_status_has_a_page_of_its_own():
    statuses = {error.status for error in OutreachError.__subclasses__()}
    assert {404, 409, 403, 422} <= statuses


def test_pages_carry_security_headers(client: FlaskClient):
    headers = client.get("/login").headers
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert "Strict-Transport-Security" not in headers
    assert "no-store" not in client.get("/static/app.css").headers.get("Cache-Control", "")


def test_the_session_cookie_is_hidden_from_scripts_and_other_sites(client: FlaskClient):
    cookie = client.get("/login").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_the_language_is_kept_and_leads_back(client: FlaskClient):
    assert 'lang="zh-CN"' in client.get("/login").text
    answer = client.post("/language", data={"language": "en", "next": "/login?next=/password"})
    assert answer.location == "/login?next=/password"
    assert 'lang="en"' in client.get("/login").text
    answer = client.post("/language", data={"language": "xx", "next": "//evil.example"})
    assert answer.location == "/"
    assert 'lang="en"' in client.get("/login").text


@pytest.mark.parametrize(
    ("address", "masked"),
    [
        ("+8613873412345", "138****2345"),
        ("wang@unit.example", "w***@unit.example"),
        ("12345", "****"),
        ("", ""),
    ],
)
def test_addresses_are_masked(address: str, masked: str):
    assert web.mask(address) == masked


def test_days_and_instants_are_those_of_shanghai():
    late = datetime(2026, 10, 19, 16, 30, tzinfo=UTC)
    assert web.format_moment(late) == "10-20 00:30"
    assert web.format_day(late) == "10-20"
    assert web.format_day(date(2026, 1, 2), with_year=True) == "2026-01-02"
    assert (web.format_day(None), web.format_moment(None)) == ("", "")


def test_a_share_without_a_whole_is_a_dash():
    assert (web.format_percent(0.6824), web.format_percent(None)) == ("68.2%", "—")


def test_pages_that_are_refused_still_have_their_navigation(sign_in: SignIn):
    answer = sign_in(Role.STAFF).get("/settings/users")
    assert answer.status_code == 403
    assert "没有这项权限" in answer.text
    assert "/logout" in answer.text


@pytest.mark.parametrize("page", ["0", "-1", "x", "99999999999999999999"])
@pytest.mark.parametrize("path", ["/messages", "/settings/audit", "/c/{}/gifts", "/c/{}/worklist"])
def test_a_page_number_that_makes_no_sense_shows_the_first_page(app: Flask, sign_in, path, page):
    campaign = factories.make_campaign()
    client = sign_in(Role.SECRETARY_GENERAL)
    assert client.get(path.format(campaign.code), query_string={"page": page}).status_code == 200
