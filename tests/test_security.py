"""Pages only read, a liaison sees no other sector, and forged requests are refused."""

import io
import logging
import re
import zipfile

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from outreach import access
from outreach.access import Role
from outreach.db import Base, db
from tests import factories
from tests.conftest import SignIn
from tests.world import make_story, make_world

CANARY = "鸩羽"
CANARY_FEN = 7_654_321
LEAK = re.compile(rf"{CANARY}|\b76,?543\.21|\b7\.65")
"""Of another sector: its unit, or its money in 元 or 万元; not a key made at random."""
READ_ONLY_BUT = {"audit_event", "login_session"}


def get_rules(app: Flask, role: Role | None = None):
    """Rules of the pages that can be read, by this role."""
    return [
        rule
        for rule in app.url_map.iter_rules()
        if "GET" in rule.methods and (role is None or role in access.RULES[rule.endpoint])
    ]


def address_of(app: Flask, rule, ids: dict) -> str:
    urls = app.url_map.bind("127.0.0.1")
    return urls.build(rule.endpoint, {name: ids[name] for name in rule.arguments})


def read(answer) -> str:
    """What the answer says; of a .xlsx, the text in all its parts."""
    if not answer.mimetype.endswith("spreadsheetml.sheet"):
        return answer.data.decode(errors="replace")
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        return "".join(archive.read(name).decode() for name in archive.namelist())


def contents() -> dict[str, list]:
    """All rows of all tables that a page must leave alone."""
    rows = {
        table.name: db.session.execute(table.select().order_by(*table.primary_key)).all()
        for table in Base.metadata.sorted_tables
        if table.name not in READ_ONLY_BUT
    }
    db.session.rollback()
    return rows


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_no_page_changes_anything(app: Flask, sign_in: SignIn):
    before = factories.make_campaign(code="before", name="上年度")
    campaign = factories.make_campaign(previous_id=before.id)
    ids = make_world(campaign, factories.make_sector(campaign))
    client = sign_in(Role.ADMINISTRATOR)
    rows = contents()
    wrong = []
    for rule in get_rules(app):
        answer = client.get(address_of(app, rule, ids))
        expected = {404} if "token" in rule.arguments else {200, 204, 302}
        expected |= {422} if "sha256" in rule.arguments else set()  # not a file of that kind
        if answer.status_code not in expected:
            wrong.append(f"{rule.endpoint}: {answer.status_code}")
        if contents() != rows:
            wrong.append(f"{rule.endpoint} wrote")
            rows = contents()
    assert wrong == []


@pytest.fixture
def liaison_of_another_sector(app: Flask, sign_in: SignIn):
    """A liaison's client, the ids of their own sector, and those of the other one."""
    before = factories.make_campaign(code="before", name="上年度")
    campaign = factories.make_campaign(previous_id=before.id)
    own = factories.make_sector(campaign)
    foreign = factories.make_sector(campaign, name=f"{CANARY}系统")
    own_ids = make_world(campaign, own, "本家")
    foreign_ids = own_ids | make_story(campaign, foreign, CANARY, CANARY_FEN)
    past = factories.make_sector(before, name=f"{CANARY}旧系统")
    make_story(before, past, CANARY + "旧", CANARY_FEN)
    return sign_in(factories.make_user(Role.LIAISON, sectors=(own,))), own_ids, foreign_ids


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_liaison_sees_nothing_of_another_sector_on_any_page(
    app: Flask, liaison_of_another_sector
):
    client, own_ids, foreign_ids = liaison_of_another_sector
    filters = {
        name: foreign_ids[key]
        for name, key in (
            ("sector", "sector_id"),
            ("sector_id", "sector_id"),
            ("solicitor", "user_id"),
            ("unit", "unit_id"),
        )
    }
    searches = [{}, filters, {"q": "财政局", "all": "1"}, {"search": "财政局"}, {"q": "hysd"}]
    leaks, seen = [], ""
    for rule in get_rules(app, Role.LIAISON):
        if rule.endpoint == "static" or rule.endpoint.startswith("web."):
            continue
        for ids in (own_ids, foreign_ids, own_ids | {"campaign_code": "before"}):
            address = address_of(app, rule, ids)
            for search in searches:
                for headers in ({}, {"HX-Request": "true"}):
                    answer = client.get(address, query_string=search, headers=headers)
                    assert answer.status_code in {200, 302, 404}, (address, answer.status_code)
                    text = read(answer)
                    seen += text
                    if found := LEAK.search(text):
                        leaks.append((address, search, found[0]))
    assert leaks == []
    assert "本家" in seen  # the pages were not just empty


def test_ids_of_another_sector_are_not_found(app: Flask, liaison_of_another_sector):
    client, own_ids, foreign_ids = liaison_of_another_sector
    checked = 0
    for rule in get_rules(app, Role.LIAISON):
        if rule.arguments & {"unit_id", "sector_id", "photo_id"}:
            assert client.get(address_of(app, rule, own_ids)).status_code == 200
            assert client.get(address_of(app, rule, foreign_ids)).status_code == 404
            checked += 1
    assert checked


def test_the_canary_would_be_seen_by_somebody_who_may(
    app: Flask, liaison_of_another_sector, sign_in: SignIn
):
    _client, _own_ids, foreign_ids = liaison_of_another_sector
    staff = sign_in(Role.STAFF)
    page = f"/c/{foreign_ids['campaign_code']}/worklist"
    assert CANARY in staff.get(page).text
    assert LEAK.search(read(staff.get(f"{page}/export?all=1")))


def test_numbers_and_addresses_get_into_no_log_no_task_and_no_audit_row(
    app: Flask, sign_in: SignIn, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    client = sign_in(Role.STAFF)
    unit = factories.make_unit()
    typed = {"name": "王敏", "role": "coordinator", "valid_from": "2026-10-20"}
    typed |= {"mobile": "13873419876", "email": "canary-7391@unit.example"}
    client.post(f"/units/{unit.id}/contacts/new", data=typed)
    contact = unit.contacts[0]
    client.post(f"/units/contacts/{contact.id}", data=typed | {"mobile": "13873419877"})
    client.post(f"/units/contacts/{contact.id}/reveal", data={"reason": "call"})
    client.post(f"/units/contacts/{contact.id}", data=typed | {"mobile": "1387341987"})
    audited = db.session.execute(sa.text("SELECT * FROM audit_event")).all()
    kept = caplog.text + str(audited) + str(app.extensions["woken"])
    assert audited
    assert not re.search("3873419|canary-7391", kept)


SIGNED = {
    "messages.confirm_opt_out",
    "messages.undo_opt_out",
    "messages.take_sms_reports",
    "messages.take_sms_replies",
}
"""The address itself is the signature (RFC 8058), or holds a secret: a wrong one is no page."""


# Refused before any query.
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_every_form_is_refused_without_a_token(app: Flask, sign_in: SignIn):
    app.config["WTF_CSRF_ENABLED"] = True
    campaign = factories.make_campaign()
    client = sign_in(Role.ADMINISTRATOR)
    accepted = []
    for rule in app.url_map.iter_rules():
        ids = dict.fromkeys(rule.arguments, 1) | {"campaign_code": campaign.code}
        for method in rule.methods - {"GET", "HEAD", "OPTIONS"}:
            answer = client.open(address_of(app, rule, ids), method=method)
            if rule.endpoint in SIGNED and answer.status_code == 404:
                continue
            if answer.status_code != 400 or "过期" not in answer.text:
                accepted.append(f"{method} {rule.endpoint}: {answer.status_code}")
    assert accepted == []


def test_a_form_with_its_token_is_taken_and_with_another_session_s_is_not(
    app: Flask, client: FlaskClient
):
    app.config["WTF_CSRF_ENABLED"] = True

    def token_of(browser: FlaskClient) -> str:
        page = browser.get("/login").text
        return re.search(r'name="csrf_token"[^>]* value="([^"]+)"', page)[1]

    stolen = token_of(app.test_client())
    data = {"username": "nobody", "password": "x", "csrf_token": token_of(client)}
    assert client.post("/login", data=data).status_code == 422
    assert client.post("/login", data=data | {"csrf_token": stolen}).status_code == 400


# What a page is written in does not depend on the database.
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_page_needs_inline_script_or_style(app: Flask, sign_in: SignIn):
    campaign = factories.make_campaign()
    ids = make_world(campaign, factories.make_sector(campaign))
    client = sign_in(Role.ADMINISTRATOR)
    forbidden = re.compile(
        r"\sstyle=|\son[a-z]+=\"|<style|javascript:|<script(?![^>]*(src=|application/json))"
    )
    wrong = [
        (rule.endpoint, found[0])
        for rule in get_rules(app)
        if rule.endpoint != "static"
        and (answer := client.get(address_of(app, rule, ids))).mimetype == "text/html"
        and (found := forbidden.search(answer.text))
    ]
    assert wrong == []
