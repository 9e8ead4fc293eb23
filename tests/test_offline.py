"""What a phone gets to work without a network; the browser's part is in test_browser.py."""

import pytest
import sqlalchemy as sa

from outreach.access import Role
from outreach.campaigns.models import CampaignStatus
from outreach.db import db
from outreach.visits.models import Visit, VisitStatus
from tests import factories
from tests.conftest import SignIn

JSON = {"Accept": "application/json"}


def test_the_app_can_be_installed_and_begins_with_the_day(sign_in: SignIn):
    client = sign_in(Role.STAFF)
    answer = client.get("/manifest.webmanifest")
    assert answer.mimetype == "application/manifest+json"
    described = answer.get_json(force=True)
    assert (described["display"], described["scope"]) == ("standalone", "/")
    for icon in described["icons"]:
        assert client.get(icon["src"]).mimetype == "image/png"
    campaign = factories.make_campaign()
    assert client.get(described["start_url"]).location == f"/c/{campaign.code}/my-day"
    campaign.status = CampaignStatus.CLOSED
    db.session.commit()
    assert client.get(described["start_url"]).location == "/"


def test_a_liaison_begins_at_home(sign_in: SignIn):
    factories.make_campaign()
    assert sign_in(Role.LIAISON).get("/my-day").location == "/"


def test_the_worker_serves_the_whole_site_and_is_never_stale(client):
    answer = client.get("/sw.js")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-cache")
    assert "javascript" in answer.mimetype
    assert "没有网络" in client.get("/offline").text


def test_the_token_is_for_who_is_signed_in(client, sign_in: SignIn):
    assert client.get("/session", headers=JSON).status_code == 401
    staff = sign_in(Role.STAFF)
    session = staff.get("/session", headers=JSON).get_json()
    assert f'data-user="{session["user"]}"' in staff.get("/password").text
    assert session["csrf_token"]


@pytest.mark.parametrize("times", [1, 3])
def test_a_form_that_waited_is_one_visit_however_often_it_is_sent(sign_in: SignIn, times: int):
    client = sign_in(Role.STAFF)
    solicitation = factories.make_solicitation()
    path = f"/c/{solicitation.campaign.code}/units/{solicitation.unit_id}"
    sent = {"outcome": "not_in", "visited_on": "2026-10-20", "client_key": "phone-1"}
    for _time in range(times):
        answer = client.post(f"{path}/visits/log", data=sent, headers=JSON)
        assert (answer.status_code, answer.get_json()) == (200, {"next": path})
    logged = sa.select(sa.func.count()).where(Visit.status == VisitStatus.LOGGED)
    assert db.session.scalar(logged) == 1


def test_a_page_that_is_kept_says_nothing_that_is_meant_for_now(sign_in: SignIn):
    """Else the phone would take the confirmation away from the page that the person sees."""
    client = sign_in(Role.STAFF)
    solicitation = factories.make_solicitation()
    campaign = f"/c/{solicitation.campaign.code}"
    sent = {"outcome": "not_in", "visited_on": "2026-10-20", "client_key": "k1"}
    client.post(f"{campaign}/units/{solicitation.unit_id}/visits/log", data=sent)
    kept = client.get(f"{campaign}/my-day", headers={"X-Kept": "1"})
    seen = client.get(f"{campaign}/my-day")
    assert ["走访已登记" in page.text for page in (kept, seen)] == [False, True]
