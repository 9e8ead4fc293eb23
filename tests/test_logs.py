"""What is logged, and what never is."""

import io
import json
import logging
import re

import pytest
import sqlalchemy as sa

from outreach import logs
from outreach.access import Role
from outreach.db import db
from tasks.embedded import InProcessWorker
from tasks.queue import celery
from tests import factories
from tests.services import wait_until

PHONE, E_MAIL = "13812345678", "zhang.san@unit.example"
NAME = "张三丰"


celery.loader.import_default_modules()


@pytest.fixture
def lines(app):
    """The JSON lines that are logged during the test."""
    stream = io.StringIO()

    def read() -> list[dict]:
        return [json.loads(line) for line in stream.getvalue().splitlines()]

    logs.configure(level="INFO", as_json=True)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logs._Handler):
            handler.setStream(stream)
    yield read
    logs.configure(level="INFO", as_json=False)


@pytest.mark.parametrize(
    "text",
    [PHONE, f"+86{PHONE}", "+86 138-1234-5678", "138 1234 5678", E_MAIL, "0734-8123456"],
)
def test_addresses_and_phones_are_masked_wherever_they_stand(app, lines, text):
    log = logging.getLogger("outreach.test")
    log.warning("could not reach %s", text)
    log.warning("nested", extra={"facts": {"to": [text]}})
    try:
        raise ValueError(f"bad recipient {text}")
    except ValueError:
        log.exception("failed")

    logged = json.dumps(lines(), ensure_ascii=False)
    assert len(lines()) == 3
    assert text not in logged
    assert len(re.findall(r"\[(?:e-mail|phone)\]", logged)) >= 3


@pytest.mark.parametrize(
    "text", ["message 1234567890123", "wave 42", "2026-10-20T02:00:00", "9:30"]
)
def test_other_numbers_stay(app, lines, text):
    logging.getLogger("outreach.test").warning(text)

    assert lines()[0]["event"] == text


def test_values_of_sql_statements_are_hidden(app, lines):
    try:
        db.session.execute(sa.text("SELECT :name FROM nowhere"), {"name": NAME})
    except sa.exc.DBAPIError:
        db.session.rollback()
        logging.getLogger("outreach.test").exception("failed")

    (line,) = lines()
    assert "nowhere" in line["exception"]
    assert NAME not in json.dumps(line, ensure_ascii=False)


def test_a_request_is_logged_by_its_endpoint_and_not_its_path(app, lines, sign_in):
    factories.make_campaign(code="2026")

    sign_in(Role.STAFF).get("/c/2026/digests?search=secret-token")

    (line,) = [line for line in lines() if line["event"] == "request"]
    assert (line["method"], line["endpoint"], line["status"]) == (
        "GET",
        "digests.list_digests",
        200,
    )
    assert "secret-token" not in json.dumps(line)


def test_every_answer_names_its_request_and_so_do_its_lines(client, lines):
    answer = client.get("/login", headers={"X-Request-ID": "from-the-proxy-1"})

    assert answer.headers["X-Request-ID"] == "from-the-proxy-1"
    assert {line["request_id"] for line in lines()} == {"from-the-proxy-1"}


@pytest.mark.parametrize("given", ["short", "x" * 65, "with space 12", "<script>alert"])
def test_an_id_that_could_be_anything_is_replaced(client, given):
    answer = client.get("/login", headers={"X-Request-ID": given})

    assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["X-Request-ID"])


def test_health_checks_leave_no_line(client, lines):
    client.get("/healthz")

    assert lines() == []


def test_a_task_carries_the_id_of_the_request_that_woke_it(app, lines, sign_in, monkeypatch):
    task = celery.tasks["outreach.deliver"]
    monkeypatch.setattr(task, "run", lambda: logging.getLogger("outreach.test").info("at work"))
    factories.make_campaign(code="2026")
    worker = InProcessWorker(app, threads=1)
    app.extensions["outreach.wake"] = worker.wake

    answer = sign_in(Role.SECRETARY_GENERAL).post("/c/2026/digests")
    wait_until(lambda: any(line["event"] == "at work" for line in lines()))
    worker.stop()

    (line,) = [line for line in lines() if line["event"] == "at work"]
    assert line["request_id"] == answer.headers["X-Request-ID"]
    assert line["task"] == "deliver"


def test_embedded_mode_writes_lines_for_people(app, capsys):
    stream = io.StringIO()
    logs.configure(level="INFO", as_json=False)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logs._Handler):
            handler.setStream(stream)

    logging.getLogger("outreach.test").warning("mail to %s", E_MAIL)

    assert "mail to [e-mail]" in stream.getvalue()
    assert not stream.getvalue().startswith("{")
