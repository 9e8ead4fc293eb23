"""A database that was restored or cloned sends nothing by itself (I14)."""

import shutil
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from app import create_app
from outreach import clock
from outreach.access import Role
from outreach.db import db
from outreach.messages import (
    delivery,
    instance,
    opt_outs,
    outbox,
    queries,
    receipts,
    services,
)
from outreach.messages.channels import Outcome, Outgoing, accepted
from outreach.messages.models import (
    Channel,
    Message,
    MessageStatus,
    ReceiptKind,
    SendPolicy,
    Wave,
    WaveStatus,
)
from outreach.messages.receipts import Report
from outreach.reminders import services as reminders
from tasks.delivery import reap
from tests import factories, fake_channel
from tests.conftest import make_settings
from tests.copies import Copy
from tests.factories import make_message, make_running_wave, open_sending
from tests.test_waves import make_plan

S = MessageStatus


def statuses() -> set[MessageStatus]:
    db.session.rollback()
    return set(db.session.scalars(sa.select(Message.status)))


def is_on() -> bool:
    db.session.rollback()
    return queries.sending_state(clock.now()).is_on


def test_every_window_is_counted_in_the_database_and_beside_it(app: Flask):
    open_sending()
    fake_channel.install(app)
    make_running_wave(45)
    delivery.drain()
    policy = db.session.get(SendPolicy, 1)
    assert policy.epoch == instance.read_mark().epoch >= 3


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_older_copy_sends_nothing(app: Flask, tmp_path: Path):
    """A real backup, made in the middle of a wave and put back when the wave is through."""
    open_sending()
    channel = fake_channel.install(app)
    make_running_wave(30)
    delivery.drain(lambda: len(channel.taken) >= 20)
    live, copy = Path(db.engine.url.database), tmp_path / "copy.db"
    with sqlite3.connect(live) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    source.close()
    target.close()
    delivery.drain()
    assert len(channel.taken) == 30
    db.session.remove()
    db.engine.dispose()
    for path in live.parent.glob(f"{live.name}*"):
        path.unlink()
    shutil.move(copy, live)
    assert not is_on()
    assert delivery.drain() == 0
    assert max(channel.taken.values()) == 1
    assert S.QUEUED in statuses()
    services.switch_sending(is_on=True)  # a person has looked
    db.session.commit()
    assert not statuses() & {S.QUEUED, S.SENDING}
    assert delivery.drain() == 0
    assert max(channel.taken.values()) == 1


def test_a_copy_in_which_only_an_opt_out_is_missing_sends_nothing(app: Flask):
    """Nothing was sent since, so that no window tells its age; the sweep of each minute does."""
    open_sending()
    channel = fake_channel.install(app)
    make_running_wave(3)
    copy = Copy()
    for address_hash in db.session.scalars(sa.select(Message.address_hash)).all():
        opt_outs.add(Channel.EMAIL, address_hash, source="link")
    reap()
    copy.put_back()
    assert not is_on()
    assert delivery.drain() == 0
    assert not channel.taken


def test_the_sweep_of_a_copy_does_not_make_it_trusted(app: Flask):
    open_sending()
    make_message()
    copy = Copy()
    for _ in range(2):
        reap()
    copy.put_back()
    for _ in range(5):
        reap()
    assert not is_on()


def test_a_wave_that_had_started_since_the_copy_does_not_start_again(app: Flask):
    """Its rows are not in the copy, so that nobody could look at them one by one."""
    open_sending()
    channel = fake_channel.install(app)
    campaign = factories.make_campaign()
    factories.make_solicitation(campaign)
    author, approver = (factories.make_user(Role.SECRETARY_GENERAL) for _ in range(2))
    wave = reminders.create_wave(campaign, make_plan(factories.make_template()), author=author)
    reminders.submit_wave(wave, by=author)
    reminders.approve_wave(wave, by=approver)
    db.session.commit()
    copy = Copy()
    assert reminders.start_due_waves() == 1
    db.session.commit()
    assert delivery.drain() == 1
    copy.put_back()
    services.switch_sending(is_on=True)
    db.session.commit()
    assert reminders.start_due_waves() == 0
    assert delivery.drain() == 0
    assert list(channel.taken.values()) == [1]
    held = db.session.scalars(sa.select(Wave)).one()
    assert held.status is WaveStatus.HELD
    assert "恢复之前" in held.paused_because


def test_what_a_receipt_in_the_copy_proves_is_not_asked_of_a_person(app: Flask):
    open_sending()
    message = make_message()
    claim = outbox.claim(clock.now())
    outbox.begin(claim.token, claim.ids, clock.now())
    report = Report("test:1", message.id, 0, ReceiptKind.DELIVERED)
    receipts.take([report], clock.now())
    db.session.commit()
    instance.note(7)
    services.switch_sending(is_on=True)
    db.session.commit()
    assert statuses() == {S.DELIVERED}


@pytest.mark.parametrize(("is_count_lost", "before"), [(False, 0), (False, 1), (True, 1)])
def test_ids_that_were_used_after_the_copy_never_come_again(
    app: Flask, tmp_path: Path, tuesday_morning, is_count_lost: bool, before: int
):
    """Mails, bounces and providers name messages by their ids."""
    open_sending()
    for _ in range(before):
        make_message()
    channel = fake_channel.install(app)
    delivery.drain()
    copy = Copy()
    for _ in range(1 + 29 * before):
        make_message()
    delivery.drain()
    used = {id_ for id_, _resend_no in channel.taken}
    for _ in range(2):  # a second restore, and before anybody has looked
        if is_count_lost:
            (tmp_path / instance.FILE).unlink()
        copy.put_back()
        early = make_message()
        used_by_strangers = max(used)
        assert early.id not in used
        services.switch_sending(is_on=True)
        db.session.commit()
        later = [make_message().id for _ in range(5)]
        assert used.isdisjoint(later)
        assert delivery.drain() == 5
        used |= {early.id, *later}
        tuesday_morning.shift(timedelta(minutes=1))
    bounce = Report("test:late", used_by_strangers, 0, ReceiptKind.BOUNCED)
    assert receipts.take([bounce], clock.now()) == 0


def test_the_count_beside_the_database_is_never_below_an_id_that_was_sent(app: Flask):
    """Whatever became of the rows before: one in a hundred of them may be the only one sent."""
    open_sending()
    for number in range(60):
        message = make_message()
        if number % 30:
            db.session.delete(message)
    db.session.commit()
    marks: list[int] = []

    def answer(message: Outgoing) -> Outcome:
        marks.append(instance.read_mark().epoch - message.id)
        return accepted("ok")

    fake_channel.install(app, answer)
    assert delivery.drain() == 2
    assert min(marks) >= 0


def test_a_new_installation_counts_its_messages_from_one(app: Flask):
    services.switch_sending(is_on=True)
    db.session.commit()
    assert make_message().id == 1


def put_back(epoch: int) -> None:
    """What a restore leaves: an earlier count, and rows as they were then."""
    db.session.execute(sa.update(SendPolicy).values(epoch=epoch))
    db.session.execute(sa.update(Message).values(status=S.QUEUED, sent_at=None))
    db.session.commit()


def test_rows_that_were_put_back_are_for_a_person(app: Flask):
    open_sending()
    channel = fake_channel.install(app)
    message = make_message()
    delivery.drain()
    put_back(0)
    assert delivery.drain() == 0
    services.switch_sending(is_on=True)
    db.session.commit()
    assert statuses() == {S.UNKNOWN}
    assert "数据库恢复之前" in queries.explain(message)
    make_message()  # what is new goes out again
    delivery.drain()
    assert sorted(channel.taken.values()) == [1, 1]


def test_a_copy_on_another_machine_sends_nothing(app: Flask, database_url, tmp_path: Path):
    open_sending()
    make_message()
    db.session.remove()
    elsewhere = create_app(make_settings(database_url, tmp_path / "elsewhere"))
    with elsewhere.app_context():
        channel = fake_channel.install(elsewhere)
        assert "恢复或复制" in str(queries.sending_state(clock.now()).reason)
        assert delivery.drain() == 0
        assert not channel.taken
        db.session.remove()
        db.engine.dispose()


@pytest.mark.parametrize("content", [None, "", "{}", "[1]", "not json"])
def test_without_a_mark_that_can_be_read_nothing_is_sent(app: Flask, tmp_path: Path, content):
    open_sending()
    file = tmp_path / instance.FILE
    file.unlink() if content is None else file.write_text(content)
    assert not is_on()


def test_a_crash_between_commit_and_note_stops_nobody(app: Flask):
    open_sending()
    fake_channel.install(app)
    assert instance.advance()
    db.session.commit()  # and the process dies here
    make_message()
    assert delivery.drain() == 1


@pytest.mark.parametrize("is_looked_at", [False, True], ids=["trusted", "after a look"])
def test_a_copy_of_a_window_that_was_never_noted_has_no_count_of_another_history(
    app: Flask, is_looked_at: bool
):
    """A worker dies between its commit and its note, and a copy is made; an older one is put back
    and sent from; then the first."""
    open_sending()
    channel = fake_channel.install(app)
    make_message()
    earlier = Copy()
    if is_looked_at:
        reap()
    claim = outbox.claim(clock.now())
    outbox.begin(claim.token, claim.ids, clock.now())
    db.session.commit()
    never_noted = Copy()
    earlier.put_back()
    assert is_on() is not is_looked_at
    if is_looked_at:
        services.switch_sending(is_on=True)
        make_message()
    delivery.drain()
    assert channel.taken
    never_noted.put_back()
    assert not is_on()


def test_a_window_of_which_nothing_is_left_is_noted_too(app: Flask, tuesday_morning):
    """Two copies of two histories must not have one count: the later of them would be trusted."""
    open_sending()
    message = make_message()
    channel = fake_channel.install(app)
    claim = outbox.claim(clock.now())
    services.switch_sending(is_on=False)
    db.session.commit()
    delivery.deliver_batch(claim, {message.channel: channel})
    assert not channel.taken
    assert instance.read_mark().epoch == db.session.get(SendPolicy, 1).epoch


def test_a_window_that_cannot_be_noted_is_not_sent(app: Flask, monkeypatch):
    open_sending()
    channel = fake_channel.install(app)
    make_message()

    def is_full(_epoch: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(instance, "note", is_full)
    with pytest.raises(OSError, match="No space"):
        delivery.drain()
    assert not channel.taken
    assert statuses() == {S.QUEUED}


def test_a_new_installation_is_switched_on_without_ado(app: Flask, sign_in):
    message = make_message()
    client = sign_in(Role.SECRETARY_GENERAL)
    assert client.post("/messages/sending/switch", data={"is_on": "on"}).status_code == 302
    assert is_on()
    assert message.status is S.QUEUED


def test_the_reason_is_shown_where_people_look(app: Flask, sign_in):
    open_sending()
    db.session.execute(sa.update(SendPolicy).values(instance_id="another"))
    db.session.commit()
    client = sign_in(Role.SECRETARY_GENERAL)
    page = client.get("/messages/sending").text
    assert "恢复或复制" in page
    client.post("/messages/sending/switch", data={"is_on": "on"})
    assert "恢复或复制" not in client.get("/messages/sending").text


def test_older_notes_do_not_take_the_count_back(app: Flask):
    open_sending()
    instance.note(7)
    instance.note(5)
    assert instance.read_mark().epoch == 7
    assert outbox.claim(clock.now()) is None
