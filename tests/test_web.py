from flask import Flask
from flask.testing import FlaskClient


def test_health_and_readiness_answer(client: FlaskClient):
    assert client.get("/healthz").json == {"status": "ok"}
    assert client.get("/readyz").json == {"status": "ok", "failing": {}}


def test_a_host_that_is_not_ours_is_refused(client: FlaskClient):
    assert client.get("/healthz", headers={"Host": "evil.example"}).status_code == 400


def test_errors_are_json_for_those_who_ask_for_json(client: FlaskClient):
    answer = client.get("/nothing-here", headers={"Accept": "application/json"})
    assert answer.status_code == 404
    assert answer.json["error"]["status"] == 404


def test_pages_carry_security_headers_and_no_inline_script(app: Flask, client: FlaskClient):
    answer = client.get("/nothing-here")
    assert "unsafe-inline" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "style=" not in answer.text
