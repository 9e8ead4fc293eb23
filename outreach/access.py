"""Who may call what. Deny by default: an endpoint that is not in RULES answers 403.

`tests/test_access.py` walks `app.url_map` and fails when a route is missing here.
"""

from http import HTTPStatus

from flask import Flask, abort, request
from flask_babel import lazy_gettext as _
from flask_login import current_user

from outreach.terms import Term


class Role(Term):
    ADMINISTRATOR = "administrator", _("管理员")
    SECRETARY_GENERAL = "secretary_general", _("秘书长")
    STAFF = "staff", _("工作人员")
    LIAISON = "liaison", _("板块联络员")
    AUDITOR = "auditor", _("审计")


EVERYONE: frozenset[Role | None] = frozenset(Role)
"""Everyone who is signed in."""
ANYONE = EVERYONE | {None}
"""None stands for a person who is not signed in."""
OFFICE = EVERYONE - {Role.LIAISON, Role.AUDITOR}
READERS = EVERYONE - {Role.LIAISON}
DECIDERS = OFFICE - {Role.STAFF}
ADMINISTRATORS = DECIDERS - {Role.SECRETARY_GENERAL}

RULES: dict[str, frozenset[Role | None]] = {
    "static": ANYONE,
    "web.healthz": ANYONE,
    "web.readyz": ANYONE,
    "web.version": ANYONE,
    "web.language": ANYONE,
    "accounts.login": ANYONE,
    "accounts.logout": EVERYONE,
    "accounts.change_password": EVERYONE,
    "accounts.accept_invitation": ANYONE,
    "overview.home": EVERYONE,
    "overview.dashboard": READERS,
    "overview.sectors": EVERYONE,
    "overview.sector": EVERYONE,
    "overview.edit_sectors": DECIDERS,
    "overview.create_sector": DECIDERS,
    "overview.order_sectors": DECIDERS,
    "overview.rename_sector": DECIDERS,
    "overview.move_units": DECIDERS,
    "overview.merge_sectors": DECIDERS,
    "overview.delete_sector": DECIDERS,
    "overview.worklist": EVERYONE,
    "overview.export_worklist": EVERYONE,
    "overview.export_phones": OFFICE,
    "overview.search": EVERYONE,
    "overview.preview_bulk": OFFICE,
    "overview.apply_bulk": OFFICE,
    "overview.unit": EVERYONE,
    "campaigns.change_stage": OFFICE,
    "campaigns.plan_next_action": OFFICE,
    "campaigns.edit_campaign": DECIDERS,
    "campaigns.import_register": OFFICE,
    "campaigns.preview_register": OFFICE,
    "campaigns.apply_previewed_register": OFFICE,
    "campaigns.register_sample": OFFICE,
    "campaigns.marked_register": OFFICE,
    "campaigns.list_imports": READERS,
    "campaigns.show_import": READERS,
    "campaigns.undo_import": OFFICE,
    "merging.list_duplicates": OFFICE,
    "merging.keep_apart": OFFICE,
    "merging.find_other": OFFICE,
    "merging.merge": OFFICE,
    "merging.undo_merge": OFFICE,
    "units.edit_unit": OFFICE,
    "units.add_alias": OFFICE,
    "units.remove_alias": OFFICE,
    "units.hand_over": OFFICE,
    "campaigns.count_heads": OFFICE,
    "units.edit_contact": OFFICE,
    "units.create_contact": OFFICE,
    "units.end_contact": OFFICE,
    "units.reveal_contact": OFFICE,
    "units.opt_out_contact": OFFICE,
    "units.verify_contact": OFFICE,
    "units.allow_contact": DECIDERS,
    "gifts.list_gifts": READERS,
    "gifts.export_gifts": READERS,
    "gifts.export_comparison": READERS,
    "gifts.export_reconciliation": READERS,
    "gifts.record_gift": OFFICE,
    "gifts.suggest_units": OFFICE,
    "gifts.reverse_gift": OFFICE,
    "gifts.record_pledge": OFFICE,
    "gifts.record_remittance": OFFICE,
    "gifts.record_count": OFFICE,
    "gifts.list_counts": READERS,
    "gifts.show_group": READERS,
    "gifts.reverse_group": OFFICE,
    "gifts.import_gifts": OFFICE,
    "gifts.preview_gifts": OFFICE,
    "gifts.apply_previewed_gifts": OFFICE,
    "gifts.gifts_sample": OFFICE,
    "gifts.marked_gifts": OFFICE,
    "gifts.list_lines": READERS,
    "gifts.open_line": OFFICE,
    "gifts.settle_line": OFFICE,
    "gifts.open_unmatched": OFFICE,
    "gifts.import_statement": OFFICE,
    "gifts.preview_statement": OFFICE,
    "gifts.apply_previewed_statement": OFFICE,
    "gifts.marked_statement": OFFICE,
    "gifts.statement_sample": OFFICE,
    "gifts.choose_columns": OFFICE,
    "gifts.forget_columns": OFFICE,
    "gifts.confirm_lines": OFFICE,
    "gifts.link_line": OFFICE,
    "gifts.reopen_line": OFFICE,
    "gifts.list_payers": READERS,
    "gifts.forget_payer": OFFICE,
    "gifts.compare": READERS,
    "gifts.note_reason": OFFICE,
    "gifts.reconcile": READERS,
    "gifts.note_residual": OFFICE,
    "gifts.state_figure": OFFICE,
    "gifts.remove_stated": OFFICE,
    "gifts.list_without_line": READERS,
    "receipts.list_receipts": READERS,
    "receipts.export": READERS,
    "receipts.of_gift": READERS,
    "receipts.request_receipt": OFFICE,
    "receipts.request_for_people": OFFICE,
    "receipts.issue": OFFICE,
    "receipts.receipt": READERS,
    "receipts.note_check_code": OFFICE,
    "receipts.reverse": OFFICE,
    "receipts.withdraw": OFFICE,
    "documents.basic_facts": READERS,
    "todos.list_todos": EVERYONE,
    "todos.todo": EVERYONE,
    "todos.settle": OFFICE,
    "todos.drop": OFFICE,
    "todos.hand_over": OFFICE,
    "visits.my_day": OFFICE,
    "visits.list_visits": READERS,
    "visits.plan_visit": OFFICE,
    "visits.log_visit": OFFICE,
    "visits.confirm_visit": OFFICE,
    "visits.move_visit": OFFICE,
    "visits.drop_visit": OFFICE,
    "meetings.list_meetings": READERS,
    "meetings.create_meeting": OFFICE,
    "meetings.meeting": READERS,
    "meetings.edit_meeting": OFFICE,
    "meetings.cancel_meeting": OFFICE,
    "meetings.invite": OFFICE,
    "meetings.send_invitations": OFFICE,
    "meetings.remove_attendee": OFFICE,
    "meetings.record_answer": OFFICE,
    "meetings.sign_in_list": READERS,
    "meetings.sign_in": OFFICE,
    "meetings.undo_sign_in": OFFICE,
    "meetings.find_walk_in": OFFICE,
    "meetings.add_walk_in": OFFICE,
    "meetings.hold_meeting": OFFICE,
    "meetings.write_minutes": OFFICE,
    "meetings.create_action_item": OFFICE,
    "meetings.complete_action_item": OFFICE,
    "meetings.reopen_action_item": OFFICE,
    "meetings.calendar_file": READERS,
    "reminders.list_waves": READERS,
    "reminders.create_wave": OFFICE,
    "reminders.count_audience": OFFICE,
    "reminders.wave": READERS,
    "reminders.edit_wave": OFFICE,
    "reminders.submit_wave": OFFICE,
    "reminders.return_wave": DECIDERS,
    "reminders.approve_wave": DECIDERS,
    "reminders.start_wave": OFFICE,
    "reminders.pause_wave": OFFICE,
    "reminders.resume_wave": OFFICE,
    "reminders.cancel_wave": OFFICE,
    "reminders.send_test": OFFICE,
    "reminders.correct_wave": OFFICE,
    "reminders.edit_correction": OFFICE,
    "reminders.progress": READERS,
    "reminders.list_rules": READERS,
    "reminders.try_rule": OFFICE,
    "reminders.rule_trial": OFFICE,
    "reminders.rule_letters": OFFICE,
    "reminders.switch_rule": DECIDERS,
    "messages.opt_out": ANYONE,
    "messages.confirm_opt_out": ANYONE,
    "messages.undo_opt_out": ANYONE,
    "messages.take_sms_reports": ANYONE,
    "messages.take_sms_replies": ANYONE,
    "messages.list_messages": READERS,
    "messages.message": READERS,
    "messages.resolve_unknown": OFFICE,
    "messages.list_templates": READERS,
    "messages.create_template": OFFICE,
    "messages.edit_template": OFFICE,
    "messages.preview_template": OFFICE,
    "messages.template": READERS,
    "messages.send_template_test": OFFICE,
    "messages.archive_template": OFFICE,
    "messages.restore_template": OFFICE,
    "messages.sending": DECIDERS,
    "messages.switch_sending": DECIDERS,
    "messages.edit_rate": ADMINISTRATORS,
    "messages.edit_window": ADMINISTRATORS,
    "messages.local_outbox": ADMINISTRATORS,
    "digests.list_digests": READERS,
    "digests.digest": READERS,
    "digests.build_now": DECIDERS,
    "settings.index": READERS,
    "settings.list_users": ADMINISTRATORS,
    "settings.create_user": ADMINISTRATORS,
    "settings.edit_user": ADMINISTRATORS,
    "settings.invite_user": ADMINISTRATORS,
    "settings.list_robots": ADMINISTRATORS,
    "settings.create_robot": ADMINISTRATORS,
    "settings.edit_robot": ADMINISTRATORS,
    "settings.test_robot": ADMINISTRATORS,
    "settings.delete_robot": ADMINISTRATORS,
    "settings.create_campaign": DECIDERS,
    "settings.bring_units": DECIDERS,
    "settings.timetable": READERS,
    "settings.audit_trail": DECIDERS | {Role.AUDITOR},
    "settings.check_audit_trail": DECIDERS | {Role.AUDITOR},
    "settings.calendar": READERS,
    "settings.edit_day": DECIDERS,
    "settings.remove_day": DECIDERS,
    "settings.confirm_year": DECIDERS,
    "settings.list_staffing": OFFICE,
    "settings.set_rooms": OFFICE,
    "settings.add_absence": OFFICE,
    "settings.remove_absence": OFFICE,
}


def install(app: Flask) -> None:
    app.before_request(_enforce)


def may(endpoint: str) -> bool:
    """Whether the person who is signed in may call the endpoint; templates hide the rest."""
    role = current_user.role if current_user.is_authenticated else None
    return role in RULES.get(endpoint, frozenset())


def _enforce() -> None:
    if request.endpoint is None or may(request.endpoint):
        return
    if current_user.is_authenticated or request.endpoint not in RULES:
        abort(HTTPStatus.FORBIDDEN)
    abort(HTTPStatus.UNAUTHORIZED)
