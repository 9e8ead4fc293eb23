"""Who may call what: every endpoint, every method, every kind of person."""

import pytest
import sqlalchemy as sa
from flask import Flask, url_for

from outreach import access, clock
from outreach.access import Role
from outreach.accounts.models import LoginSession
from outreach.db import db
from tests import factories
from tests.conftest import SignIn

ANYONE = "anonymous administrator secretary_general staff liaison auditor"
SIGNED_IN = "administrator secretary_general staff liaison auditor"
READERS = "administrator secretary_general staff auditor"
OFFICE = "administrator secretary_general staff"
AUDITORS = "administrator secretary_general auditor"
DECIDERS = "administrator secretary_general"
ADMINISTRATORS = "administrator"

# Written down a second time on purpose: a slip in access.RULES shows as a difference.
TRUTH = {
    ANYONE: """
        static web.healthz web.readyz web.version web.language
        accounts.login accounts.accept_invitation
        offline.manifest offline.worker offline.page feeds.read_feed
        messages.opt_out messages.confirm_opt_out messages.undo_opt_out
        messages.take_sms_reports messages.take_sms_replies
        confirmations.confirmation confirmations.confirm
        invitations.invitation invitations.answer invitations.door invitations.enter
    """,
    SIGNED_IN: """
        accounts.logout accounts.change_password offline.session overview.my_day
        overview.home overview.sectors overview.sector overview.worklist
        overview.search overview.unit overview.export_worklist todos.list_todos todos.todo
        visits.photo
    """,
    READERS: """
        overview.dashboard gifts.list_gifts gifts.list_lines gifts.list_payers visits.list_visits
        visits.week_plan relay.list_units
        gifts.compare gifts.reconcile gifts.list_without_line gifts.show_group gifts.list_counts
        gifts.export_gifts gifts.export_comparison gifts.export_reconciliation
        documents.basic_facts receipts.list_receipts receipts.of_gift receipts.receipt
        receipts.export
        meetings.list_meetings meetings.meeting meetings.sign_in_list meetings.calendar_file
        meetings.minutes_file
        reminders.list_waves reminders.wave reminders.progress reminders.list_rules
        messages.list_messages messages.message messages.list_templates
        messages.template
        campaigns.list_imports campaigns.show_import
        digests.list_digests digests.digest
        settings.index settings.timetable settings.calendar
    """,
    OFFICE: """
        relay.note_answer overview.preview_bulk overview.apply_bulk overview.export_phones
        campaigns.change_stage campaigns.plan_next_action campaigns.import_register
        campaigns.import_progress feeds.show_feed feeds.create_feed feeds.revoke_feed
        merging.list_duplicates merging.keep_apart merging.find_other merging.merge
        merging.undo_merge
        units.edit_unit units.add_alias units.remove_alias units.hand_over campaigns.count_heads
        units.create_contact units.edit_contact units.end_contact units.reveal_contact
        units.opt_out_contact units.verify_contact
        gifts.record_gift gifts.suggest_units gifts.reverse_gift gifts.record_pledge
        gifts.record_remittance gifts.record_count gifts.reverse_group
        gifts.open_line gifts.settle_line gifts.claim_in_parts gifts.open_unmatched
        gifts.confirm_lines gifts.link_line gifts.reopen_line gifts.forget_payer
        gifts.import_statement gifts.preview_statement gifts.apply_previewed_statement
        gifts.marked_statement gifts.statement_sample gifts.undo_statement
        gifts.choose_columns gifts.forget_columns
        gifts.note_reason gifts.note_residual gifts.state_figure gifts.remove_stated
        campaigns.undo_import
        receipts.request_receipt receipts.request_for_people receipts.issue
        receipts.note_check_code receipts.reverse receipts.withdraw
        campaigns.marked_register gifts.marked_gifts
        gifts.import_gifts gifts.preview_gifts gifts.apply_previewed_gifts gifts.gifts_sample
        campaigns.preview_register campaigns.apply_previewed_register campaigns.register_sample
        visits.my_day visits.plan_visit visits.log_visit visits.confirm_visit visits.move_visit
        visits.drop_visit visits.plan_week visits.shift_visit visits.remove_photo
        visits.place_visit visits.separate_visit
        settings.list_staffing settings.set_rooms settings.add_absence settings.remove_absence
        todos.settle todos.drop todos.hand_over
        meetings.create_meeting meetings.edit_meeting meetings.cancel_meeting meetings.invite
        meetings.circulate_minutes meetings.send_invitations meetings.remove_attendee
        meetings.record_answer meetings.sign_in meetings.undo_sign_in meetings.find_walk_in
        meetings.add_walk_in
        meetings.hold_meeting meetings.write_minutes meetings.create_action_item
        meetings.complete_action_item meetings.reopen_action_item meetings.call_absent
        meetings.door_code
        reminders.create_wave reminders.count_audience reminders.edit_wave reminders.submit_wave
        reminders.send_test reminders.catch_up reminders.correct_wave reminders.edit_correction
        reminders.start_wave reminders.pause_wave reminders.resume_wave reminders.cancel_wave
        reminders.try_rule reminders.rule_trial reminders.rule_letters
        messages.resolve_unknown messages.create_template messages.edit_template
        messages.preview_template messages.send_template_test messages.archive_template
        messages.restore_template
    """,
    AUDITORS: "settings.audit_trail settings.check_audit_trail",
    DECIDERS: """
        campaigns.edit_campaign settings.create_campaign settings.bring_units
        overview.edit_sectors overview.create_sector overview.order_sectors overview.rename_sector
        overview.move_units overview.merge_sectors overview.delete_sector
        reminders.return_wave reminders.approve_wave reminders.switch_rule
        messages.sending messages.switch_sending digests.build_now units.allow_contact
        settings.edit_day settings.remove_day settings.confirm_year
        privacy.show_person privacy.copy_person privacy.erase_person
    """,
    ADMINISTRATORS: """
        messages.edit_window messages.edit_rate messages.local_outbox
        settings.list_users settings.create_user settings.edit_user settings.invite_user
        settings.list_robots settings.create_robot settings.edit_robot settings.test_robot
        settings.delete_robot
    """,
}
MAY_CALL = {
    endpoint: frozenset(who.split()) for who, names in TRUTH.items() for endpoint in names.split()
}
PRINCIPALS = ["anonymous", *(role.value for role in Role), "disabled", "expired", "ended"]


def address_of(rule, campaign_code: str) -> str:
    values = dict.fromkeys(rule.arguments, 1) | {"campaign_code": campaign_code}
    return url_for(rule.endpoint, **{name: values[name] for name in rule.arguments})


def client_of(principal: str, app: Flask, sign_in: SignIn):
    """Disabled, expired and ended were administrators: only what happened to them counts."""
    if principal == "anonymous":
        return app.test_client()
    if principal in {role.value for role in Role}:
        return sign_in(factories.make_user(Role(principal)))
    user = factories.make_user(Role.ADMINISTRATOR)
    client = sign_in(user)
    if principal == "disabled":
        user.is_enabled = False
    elif principal == "expired":
        db.session.execute(sa.update(LoginSession).values(expires_at=clock.now()))
    else:
        db.session.execute(sa.delete(LoginSession))
    db.session.commit()
    return client


# Some 250 requests for each, of which none gets as far as a query of its own.
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("principal", PRINCIPALS)
def test_each_endpoint_lets_in_exactly_those_who_may(
    app: Flask, sign_in: SignIn, principal: str, monkeypatch: pytest.MonkeyPatch
):
    code = factories.make_campaign().code
    role = principal if principal in {role.value for role in Role} else "anonymous"
    client = client_of(principal, app, sign_in)
    for endpoint in app.view_functions:
        monkeypatch.setitem(app.view_functions, endpoint, lambda **_arguments: "reached")
    wrong = []
    for rule in app.url_map.iter_rules():
        with app.test_request_context():
            address = address_of(rule, code)
        for method in sorted(rule.methods - {"OPTIONS"}):
            answer = client.open(address, method=method)
            if role in MAY_CALL.get(rule.endpoint, ()):
                is_right = answer.status_code == 200
            elif role == "anonymous":
                is_right = answer.status_code == 302 and answer.location.startswith("/login")
            else:
                is_right = answer.status_code == 403
            if not is_right:
                wrong.append(f"{method} {rule.endpoint}: {answer.status_code}")
    assert wrong == []


def test_every_endpoint_has_a_rule_and_a_line_in_the_truth_table(app: Flask):
    endpoints = {rule.endpoint for rule in app.url_map.iter_rules()}
    assert endpoints - set(access.RULES) == set()
    assert endpoints - set(MAY_CALL) == set()


def test_every_rule_has_an_endpoint(app: Flask):
    endpoints = {rule.endpoint for rule in app.url_map.iter_rules()}
    assert set(access.RULES) - endpoints == set()
    assert set(MAY_CALL) - endpoints == set()


@pytest.mark.changes_app
def test_an_endpoint_without_a_rule_is_closed_to_everybody(app: Flask, sign_in: SignIn):
    app.add_url_rule("/forgotten", "forgotten", lambda: "open")
    assert app.test_client().get("/forgotten").status_code == 403
    assert sign_in(Role.ADMINISTRATOR).get("/forgotten").status_code == 403


def test_a_rule_that_names_nobody_lets_nobody_in(
    app: Flask, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(access.RULES, "settings.index", access.READERS - access.EVERYONE)
    assert app.test_client().get("/settings/").status_code == 302
    assert sign_in(Role.ADMINISTRATOR).get("/settings/").status_code == 403


def test_strangers_do_not_learn_which_campaigns_exist(app: Flask):
    code = factories.make_campaign().code
    client = app.test_client()
    known, unknown = client.get(f"/c/{code}/"), client.get("/c/nothing/")
    assert known.status_code == unknown.status_code == 302


def test_those_who_are_signed_out_are_led_to_the_sign_in_and_back(app: Flask):
    client = app.test_client()
    assert client.get("/settings/audit?page=2").location == "/login?next=/settings/audit?page%3D2"
    assert client.post("/settings/calendar/days").location == "/login"
    as_json = client.get("/settings/", headers={"Accept": "application/json"})
    assert (as_json.status_code, as_json.json["error"]["status"]) == (401, 401)
    fragment = client.post(
        "/settings/calendar/days",
        headers={"HX-Request": "true", "HX-Current-URL": "http://127.0.0.1:8000/settings/calendar"},
    )
    assert fragment.status_code == 401
    assert fragment.headers["HX-Redirect"] == "/login?next=/settings/calendar"
