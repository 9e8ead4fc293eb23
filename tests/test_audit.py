"""The audit trail is one chain: nothing in it can be changed, removed or slipped in unseen."""

import ast
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from outreach import audit
from outreach.access import Role
from outreach.audit import AuditEvent
from outreach.db import db
from outreach.settings.actions import ACTIONS, SUBJECTS
from tests import factories
from tests.conftest import SignIn

OUTREACH = Path(audit.__file__).parent


def record(*numbers: int) -> list[int]:
    events = [
        audit.record("change.contact", f"contact:{number}", fields=["姓名", number], ratio=0.1)
        for number in numbers
    ]
    db.session.commit()
    return [event.id for event in events]


def test_an_untouched_chain_is_whole(app: Flask):
    assert audit.find_tampering() is None
    record(1, 2, 3)
    db.session.expire_all()
    assert audit.find_tampering() is None


@pytest.mark.parametrize(
    "change",
    [
        "action = 'create.contact'",
        "subject = 'contact:9'",
        "user_name = '别人'",
        "address = '203.0.113.9'",
        "facts = '{\"fields\": []}'",
        "previous_hash = ''",
        "hash = 'abc'",
        "at = '2026-10-19 02:00:00+00:00'",
    ],
)
def test_one_changed_row_is_found(app: Flask, change: str):
    _first, second, _third = record(1, 2, 3)
    db.session.execute(sa.text(f"UPDATE audit_event SET {change} WHERE id = :id"), {"id": second})
    db.session.commit()
    assert audit.find_tampering() == second


def test_a_removed_row_is_found_at_the_next_one(app: Flask):
    _first, second, third = record(1, 2, 3)
    db.session.execute(sa.text("DELETE FROM audit_event WHERE id = :id"), {"id": second})
    db.session.commit()
    assert audit.find_tampering() == third


def test_the_application_itself_cannot_change_or_remove_a_row(app: Flask):
    record(1)
    event = db.session.scalars(sa.select(AuditEvent)).one()
    event.action = "create.contact"
    with pytest.raises(TypeError):
        db.session.commit()
    db.session.rollback()
    db.session.delete(event)
    with pytest.raises(TypeError):
        db.session.commit()


def test_what_is_rolled_back_leaves_no_gap(app: Flask):
    record(1)
    audit.record("change.contact", "contact:2")
    db.session.rollback()
    record(3)
    assert audit.find_tampering() is None
    assert db.session.scalar(sa.select(sa.func.count(AuditEvent.id))) == 2


def test_processes_that_write_at_once_keep_one_chain(app: Flask):
    def write(start: threading.Barrier) -> None:
        with app.app_context():
            start.wait()
            for number in range(10):
                record(number)
            db.session.remove()

    start = threading.Barrier(4)
    threads = [threading.Thread(target=write, args=(start,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert db.session.scalar(sa.select(sa.func.count(AuditEvent.id))) == 40
    assert audit.find_tampering() is None


def test_an_event_says_who_and_from_where(app: Flask, sign_in: SignIn):
    person = factories.make_user(Role.STAFF, name="周可人")
    unit = factories.make_unit()
    sign_in(person).post(
        f"/units/{unit.id}/contacts/new",
        data={"name": "王敏", "role": "leader", "valid_from": "2026-10-20"},
        environ_base={"REMOTE_ADDR": "203.0.113.5"},
    )
    event = db.session.scalars(sa.select(AuditEvent)).one()
    assert (event.user_id, event.user_name, event.address) == (person.id, "周可人", "203.0.113.5")


def test_the_settings_page_tells_whether_the_chain_is_whole(app: Flask, sign_in: SignIn):
    record(1, 2)
    client = sign_in(Role.AUDITOR)
    assert "首尾相连" in client.get("/settings/audit/check").text
    db.session.execute(sa.text("UPDATE audit_event SET user_name = '别人' WHERE id = 1"))
    db.session.commit()
    assert "从第 1 条起对不上" in client.get("/settings/audit/check").text


def recorded() -> tuple[set[str], set[str]]:
    """Actions and tables of the calls of `audit.record` that name them plainly."""
    actions, tables = set(), set()
    for path in OUTREACH.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "audit.record":
                action, subject = node.args
                if isinstance(action, ast.Constant):
                    actions.add(action.value)
                texts = [part.value for part in ast.walk(subject) if isinstance(part, ast.Constant)]
                tables |= {text.partition(":")[0] for text in texts[:1]}
    return actions, tables


def test_every_action_and_subject_has_words_that_people_read():
    actions, tables = recorded()
    assert {"sign_in.user", "create.contact"} <= actions
    assert actions - set(ACTIONS) == set()
    assert tables - set(SUBJECTS) == set()
