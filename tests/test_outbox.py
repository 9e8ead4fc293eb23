import ast
from concurrent.futures import ThreadPoolExecutor
from datetime import time, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from outreach import clock
from outreach.campaigns.models import Campaign, Solicitation, Stage
from outreach.db import db
from outreach.messages import delivery, outbox, queueing, waves
from outreach.messages.channels import accepted, misconfigured, rejected, retry, unknown
from outreach.messages.models import (
    Channel,
    FailureKind,
    Message,
    MessageStatus,
    Purpose,
    SendingWindow,
    SendPolicy,
    Wave,
    WaveStatus,
    WindowDays,
    WithheldReason,
)
from outreach.messages.rendering import render_html
from tests import factories, fake_channel
from tests.conftest import noting_statements
from tests.factories import make_message, make_running_wave, open_sending

S = MessageStatus
ROOT = Path(__file__).resolve().parent.parent


def statuses(wave: Wave) -> dict[MessageStatus, int]:
    return {status: count for status, count in waves.counts(wave.id).items() if count}


def reload(row):
    db.session.expire_all()
    return db.session.get(type(row), row.id)


def test_a_wave_reaches_each_recipient_once_and_is_finished(app: Flask):
    open_sending()
    wave = make_running_wave(25)
    channel = fake_channel.install(app)
    assert delivery.drain() == 25
    assert set(channel.taken.values()) == {1}
    assert waves.finish_waves() == 1
    assert statuses(wave) == {S.SENT: 25}
    assert reload(wave).status is WaveStatus.FINISHED


def test_draining_twice_sends_nothing_more(app: Flask):
    open_sending()
    make_running_wave(5)
    channel = fake_channel.install(app)
    delivery.drain()
    assert delivery.drain() == 0
    assert len(channel.taken) == 5


def test_materialising_a_wave_again_adds_nothing(app: Flask):
    wave = make_running_wave(3)
    drafts = [
        queueing.Draft(
            channel=message.channel,
            contact_id=message.contact_id,
            address=message.address,
            recipient_name="",
            subject="again",
            body_text="again",
        )
        for message in db.session.scalars(sa.select(Message))
    ]
    assert queueing.materialise(wave, drafts) == 0
    assert sum(waves.counts(wave.id).values()) == 3


def test_two_contacts_with_one_address_get_one_message(app: Flask):
    wave = make_running_wave(0)
    contacts = [factories.make_contact(factories.make_unit()) for _ in range(2)]
    drafts = [
        queueing.Draft(
            channel=Channel.EMAIL,
            contact_id=contact.id,
            address=address,
            recipient_name=contact.name,
            subject="s",
            body_text="b",
        )
        for contact, address in zip(contacts, ("a@unit.example", " A@Unit.example"), strict=True)
    ]
    assert queueing.materialise(wave, drafts) == 1


def test_a_message_is_about_the_units_that_its_text_names(app: Flask):
    """Of two drafts with one address the second is not queued, nor is its unit linked."""
    wave = make_running_wave(0)
    places = [
        factories.make_solicitation(db.session.get_one(Campaign, wave.campaign_id))
        for _ in range(3)
    ]
    contacts = [place.unit.contacts[0] for place in places]

    def write(number: int, address: str) -> queueing.Draft:
        return queueing.Draft(
            channel=Channel.SMS,
            contact_id=contacts[number].id,
            address=address,
            recipient_name=contacts[number].name,
            subject="",
            body_text=places[number].unit.name,
            solicitation_ids=(places[number].id,),
        )

    telephones = "+8613800009999", "+8613800008888"
    drafts = [write(0, telephones[0]), write(1, telephones[0])]
    assert queueing.materialise(wave, drafts) == 1
    # The contact has a message, so that the first of these is none; the second takes its place.
    drafts = [write(0, telephones[1]), write(2, telephones[1])]
    assert queueing.materialise(wave, drafts) == 1
    db.session.commit()
    messages = db.session.scalars(sa.select(Message).order_by(Message.id)).all()
    about = [[link.solicitation_id for link in message.links] for message in messages]
    assert about == [[places[0].id], [places[2].id]]
    assert [message.body_text for message in messages] == [
        places[number].unit.name for number in (0, 2)
    ]


def test_an_occurrence_is_queued_once(app: Flask):
    message = make_message()
    assert make_message(occurrence=message.occurrence) is None


def test_a_sent_reminder_moves_the_unit_to_contacted(app: Flask):
    open_sending()
    solicitation = factories.make_solicitation()
    make_running_wave(solicitations=[solicitation])
    fake_channel.install(app)
    delivery.drain()
    solicitation = reload(solicitation)
    assert solicitation.stage is Stage.CONTACTED
    assert solicitation.last_contact_on == clock.today()


def test_a_reminder_counts_on_the_day_on_which_it_went_out(app: Flask, tuesday_morning):
    """A later day would pass for an answer of the unit."""
    open_sending()
    sent, doubtful = (factories.make_solicitation() for _ in range(2))
    make_running_wave(solicitations=[sent])
    fake_channel.install(app)
    delivery.drain()
    make_running_wave(solicitations=[doubtful])
    went_out = clock.today()
    claim = outbox.claim(clock.now())
    outbox.begin(claim.token, claim.ids, clock.now())
    sent_row, doubtful_row = db.session.scalars(sa.select(Message).order_by(Message.id))
    db.session.execute(
        sa.update(Solicitation).where(Solicitation.id == sent.id).values(last_contact_on=None)
    )
    db.session.commit()
    tuesday_morning.shift(timedelta(minutes=20))
    outbox.reap(clock.now())  # its worker is gone
    db.session.commit()
    tuesday_morning.shift(timedelta(days=1))
    outbox.follow_up([sent_row.id], clock.now())
    outbox.settle_unknown(doubtful_row, outbox.Decision.SENT, clock.now())
    db.session.commit()
    assert reload(sent).last_contact_on == reload(doubtful).last_contact_on == went_out


def test_an_effect_that_fails_does_not_lose_the_outcome(app: Flask):
    open_sending()
    message = make_message()
    fake_channel.install(app)

    def fail(*_args):
        raise RuntimeError("effect")

    app.extensions["outreach.on_sent"] = [fail]
    delivery.drain()
    assert reload(message).status is S.SENT


@pytest.mark.parametrize("status", [s for s in WaveStatus if s is not WaveStatus.RUNNING])
def test_only_a_running_wave_is_claimed(app: Flask, status: WaveStatus):
    open_sending()
    wave = make_running_wave(2)
    wave.status = status
    db.session.commit()
    channel = fake_channel.install(app)
    assert delivery.drain() == 0
    assert not channel.taken


def test_a_gift_between_queueing_and_sending_withholds_the_message(app: Flask):
    open_sending()
    solicitation = factories.make_solicitation()
    wave = make_running_wave(solicitations=[solicitation, factories.make_solicitation()])
    factories.make_gift(solicitation, 3_000_000)
    channel = fake_channel.install(app)
    delivery.drain()
    assert statuses(wave) == {S.SENT: 1, S.WITHHELD: 1}
    assert len(channel.taken) == 1
    message = db.session.scalars(sa.select(Message).filter_by(status=S.WITHHELD)).one()
    assert message.withheld_reason is WithheldReason.ALREADY_GIVEN
    assert message.facts == {"amount_fen": 3_000_000, "received_on": "2026-10-20"}


def test_a_gift_between_claim_and_sending_withholds_the_message_too(app: Flask):
    open_sending()
    solicitation = factories.make_solicitation()
    wave = make_running_wave(solicitations=[solicitation])
    channel = fake_channel.install(app)
    claimed = outbox.claim(clock.now())
    db.session.commit()
    factories.make_gift(solicitation)
    delivery.deliver_batch(claimed, {Channel.EMAIL: channel})
    assert statuses(wave) == {S.WITHHELD: 1}
    assert not channel.taken


def test_a_wave_paused_after_the_claim_sends_nothing_and_gives_its_rows_back(app: Flask):
    open_sending()
    wave = make_running_wave(3)
    channel = fake_channel.install(app)
    claimed = outbox.claim(clock.now())
    wave.status = WaveStatus.PAUSED
    db.session.commit()
    delivery.deliver_batch(claimed, {Channel.EMAIL: channel})
    assert not channel.taken
    assert {(m.status, m.token, m.attempts) for m in db.session.scalars(sa.select(Message))} == {
        (S.QUEUED, None, 0)
    }


def test_switching_off_stops_between_two_windows(app: Flask):
    open_sending()
    make_running_wave(30)
    outbox_rows = 0

    def answer(_message):
        nonlocal outbox_rows
        outbox_rows += 1
        if outbox_rows == 15:  # in the second window: the first was the canary
            db.session.get(SendPolicy, 1).is_on = False
            db.session.commit()
        return accepted()

    channel = fake_channel.install(app, answer)
    delivery.drain()
    assert len(channel.taken) == 30  # the window that had begun is finished
    assert outbox.claim(clock.now()) is None


def test_switching_off_is_seen_by_a_worker_that_waited_for_its_turn(app: Flask):
    open_sending()
    make_running_wave(3)
    channel = fake_channel.install(app)
    claimed = outbox.claim(clock.now())
    db.session.commit()

    def deliver() -> None:
        with app.app_context():
            delivery.deliver_batch(claimed, {Channel.EMAIL: channel})

    db.session.get(SendPolicy, 1).is_on = False
    db.session.flush()
    with ThreadPoolExecutor(1) as workers:
        begun = workers.submit(deliver)
        with pytest.raises(TimeoutError):
            begun.result(timeout=0.5)
        db.session.commit()
        begun.result()
    assert not channel.taken


@pytest.mark.parametrize(("refused", "is_paused"), [(3, True), (2, False)])
def test_when_several_of_the_canary_are_refused_the_rest_waits(
    app: Flask, refused: int, is_paused: bool
):
    open_sending()
    wave = make_running_wave(30)
    first = sorted(db.session.scalars(sa.select(Message.id)))[:refused]
    channel = fake_channel.install(
        app, lambda message: rejected("550") if message.id in first else accepted("ok")
    )
    delivery.drain()
    db.session.refresh(wave)
    assert (wave.status is WaveStatus.PAUSED) == is_paused
    assert sum(channel.taken.values()) == (waves.CANARY if is_paused else 30) - refused


def test_the_canary_goes_first_and_alone(app: Flask):
    open_sending()
    make_running_wave(25)
    claimed = outbox.claim(clock.now())
    assert len(claimed.ids) == waves.CANARY
    assert outbox.claim(clock.now()) is None


def test_a_worker_that_sleeps_past_its_lease_sends_nothing(
    app: Flask, tuesday_morning: time_machine.Traveller
):
    """Without the fence each message would arrive twice."""
    open_sending()
    wave = make_running_wave(10)
    channel = fake_channel.install(app)
    asleep = outbox.claim(clock.now())
    db.session.commit()
    tuesday_morning.shift(timedelta(seconds=700))
    assert outbox.reap(clock.now()) == 10
    db.session.commit()
    assert delivery.drain() == 10
    assert delivery.deliver_batch(asleep, {Channel.EMAIL: channel}) == 0
    assert set(channel.taken.values()) == {1}
    assert statuses(wave) == {S.SENT: 10}


def test_a_worker_that_sleeps_past_its_lease_leaves_rows_to_the_one_who_has_them(
    app: Flask, tuesday_morning: time_machine.Traveller
):
    open_sending()
    make_running_wave(10)
    channel = fake_channel.install(app)
    senders = {Channel.EMAIL: channel}
    asleep = outbox.claim(clock.now())
    db.session.commit()
    tuesday_morning.shift(timedelta(seconds=700))
    outbox.reap(clock.now())
    awake = outbox.claim(clock.now())
    db.session.commit()
    assert delivery.deliver_batch(asleep, senders) == 0
    assert delivery.deliver_batch(awake, senders) == 10
    assert set(channel.taken.values()) == {1}


def test_the_late_outcome_of_one_worker_does_not_touch_what_another_is_sending(
    app: Flask, tuesday_morning: time_machine.Traveller
):
    """Without the fence the row would be queued while the second worker is sending it."""
    open_sending()
    message = make_message(not_after=clock.now() + timedelta(days=1))
    first = outbox.claim(clock.now())
    outbox.begin(first.token, first.ids, clock.now())
    tuesday_morning.shift(timedelta(seconds=700))
    outbox.reap(clock.now())
    assert outbox.settle_unknown(reload(message), outbox.Decision.RESEND, clock.now())
    second = outbox.claim(clock.now())
    outbox.begin(second.token, second.ids, clock.now())
    for late in (retry("451"), rejected("550"), unknown("lost"), accepted()):
        outbox.record_outcomes(first.token, {message.id: late}, clock.now())
        assert (reload(message).status, message.token) == (S.SENDING, second.token)


@pytest.mark.parametrize("shift", [timedelta(seconds=61), timedelta(hours=-2)])
def test_a_worker_that_oversleeps_or_whose_clock_is_set_back_leaves_the_rest_alone(
    app: Flask, tuesday_morning: time_machine.Traveller, shift: timedelta
):
    open_sending()
    wave = make_running_wave(10)

    def answer(_message):
        tuesday_morning.shift(shift)
        return accepted()

    channel = fake_channel.install(app, answer)
    claimed = outbox.claim(clock.now())
    db.session.commit()
    assert delivery.deliver_batch(claimed, {Channel.EMAIL: channel}) == 1
    assert statuses(wave) == {S.SENT: 1, S.QUEUED: 9}


@pytest.mark.parametrize("days", WindowDays)
def test_what_the_end_of_the_hours_finds_in_hand_waits_for_the_next_morning(
    app: Flask, tuesday_morning: time_machine.Traveller, days: WindowDays
):
    """Whatever a window has begun: at nine in the evening nobody's telephone rings."""
    open_sending()
    factories.keep_office_hours()
    db.session.execute(sa.update(SendingWindow).values(days=days))
    wave = make_running_wave(3)
    make_message(purpose=Purpose.ACCOUNT)
    tuesday_morning.move_to(clock.at(clock.today(), time(17, 29, 58)))

    def answer(_message):
        tuesday_morning.shift(timedelta(seconds=1))
        return accepted()

    channel = fake_channel.install(app, answer)
    delivery.drain()
    assert statuses(wave) == {S.SENT: 2, S.QUEUED: 1}
    assert len(channel.taken) == 3, "an account is awaited at any hour"


def test_a_late_acceptance_turns_unknown_into_sent(
    app: Flask, tuesday_morning: time_machine.Traveller
):
    open_sending()
    message = make_message()
    claimed = outbox.claim(clock.now())
    outbox.begin(claimed.token, claimed.ids, clock.now())
    tuesday_morning.shift(timedelta(seconds=700))
    outbox.reap(clock.now())
    assert reload(message).status is S.UNKNOWN
    outbox.record_outcomes(claimed.token, {message.id: retry("451")}, clock.now())
    assert reload(message).status is S.UNKNOWN
    outbox.record_outcomes("another", {message.id: accepted()}, clock.now())
    assert reload(message).status is S.UNKNOWN
    outbox.record_outcomes(claimed.token, {message.id: accepted("queued as 7")}, clock.now())
    assert reload(message).status is S.SENT
    assert message.provider_id == "queued as 7"


def test_temporary_refusals_are_tried_six_times_with_growing_pauses(
    app: Flask, tuesday_morning: time_machine.Traveller
):
    open_sending()
    message = make_message(not_after=clock.now() + timedelta(days=2))
    fake_channel.install(app, lambda _message: retry("451 later"))
    for minutes in outbox.BACKOFF_MINUTES:
        assert delivery.drain() == 1
        pause = (reload(message).next_at - clock.now()) / timedelta(minutes=1)
        assert 0.79 * minutes <= pause <= 1.2 * minutes
        assert message.status is S.QUEUED
        assert delivery.drain() == 0
        tuesday_morning.shift(timedelta(minutes=1.2 * minutes))
    delivery.drain()
    assert (reload(message).status, message.failure) == (S.FAILED, FailureKind.EXHAUSTED)
    assert message.attempts == 6
    assert message.facts["answer"] == "451 later"


def test_a_refusal_for_good_is_not_tried_again(app: Flask):
    open_sending()
    message = make_message()
    fake_channel.install(app, lambda _message: rejected("550 no such user"))
    delivery.drain()
    assert (reload(message).status, message.failure) == (S.FAILED, FailureKind.REJECTED)


def test_an_unknown_outcome_waits_for_a_person(app: Flask, tuesday_morning: time_machine.Traveller):
    open_sending()
    message = make_message()
    fake_channel.install(app, lambda _message: unknown("connection lost"))
    delivery.drain()
    tuesday_morning.shift(timedelta(days=1))
    outbox.reap(clock.now())
    assert delivery.drain() == 0
    assert reload(message).status is S.UNKNOWN


def test_a_message_past_its_last_moment_expires(
    app: Flask, tuesday_morning: time_machine.Traveller
):
    open_sending()
    message = make_message(not_after=clock.now() + timedelta(hours=1))
    fake_channel.install(app)
    tuesday_morning.shift(timedelta(hours=2))
    assert delivery.drain() == 0
    outbox.reap(clock.now())
    assert reload(message).status is S.EXPIRED


def test_a_drain_that_is_asked_to_stop_gives_back_what_it_has_not_begun(app: Flask):
    open_sending()
    wave = make_running_wave(10)
    channel = fake_channel.install(app)
    delivery.drain(lambda: len(channel.taken) >= 4)
    assert statuses(wave) == {S.SENT: 4, S.QUEUED: 6}
    assert delivery.drain() == 6


def test_a_crash_in_a_channel_leaves_one_message_unknown_and_keeps_the_others(
    app: Flask, tuesday_morning: time_machine.Traveller
):
    open_sending()
    wave = make_running_wave(10)
    channel = fake_channel.install(app)

    def answer(_message):
        if len(channel.taken) == 3:
            raise ZeroDivisionError
        return accepted()

    channel.answer = answer
    with pytest.raises(ZeroDivisionError):
        delivery.drain()
    assert statuses(wave) == {S.SENT: 3, S.SENDING: 1, S.QUEUED: 6}
    tuesday_morning.shift(timedelta(seconds=700))
    outbox.reap(clock.now())
    assert statuses(wave) == {S.SENT: 3, S.UNKNOWN: 1, S.QUEUED: 6}


def test_cancelling_leaves_what_is_being_sent(app: Flask):
    open_sending()
    wave = make_running_wave(5)
    claimed = outbox.claim(clock.now())
    outbox.begin(claimed.token, claimed.ids[:2], clock.now())
    assert outbox.cancel_queued(wave.id) == 3
    assert statuses(wave) == {S.SENDING: 2, S.CANCELLED: 3}
    assert not outbox.begin(claimed.token, claimed.ids, clock.now()).messages


def test_what_comes_back_into_a_cancelled_wave_is_cancelled(app: Flask):
    open_sending()
    wave = make_running_wave(5)
    claimed = outbox.claim(clock.now())
    outbox.begin(claimed.token, claimed.ids, clock.now())
    wave.status = WaveStatus.CANCELLED
    outbox.record_outcomes(claimed.token, dict.fromkeys(claimed.ids, retry("451")), clock.now())
    assert statuses(wave) == {S.QUEUED: 5}
    assert outbox.reap(clock.now()) == 5
    assert statuses(wave) == {S.CANCELLED: 5}


@pytest.mark.parametrize(
    ("outcome", "because"),
    [
        (misconfigured("MAIL: 550 not yours"), "配置"),
        (unknown("lost"), "结果不明"),
        (rejected("550"), "被拒收"),
    ],
)
def test_a_wave_pauses_when_something_is_wrong(app: Flask, outcome, because: str):
    open_sending()
    wave = make_running_wave(60)
    fake_channel.install(app, lambda _message: outcome)
    delivery.drain()
    wave = reload(wave)
    assert wave.status is WaveStatus.PAUSED
    assert because in wave.paused_because
    assert delivery.drain() == 0
    assert statuses(wave).get(S.QUEUED, 0) >= 20


def test_a_few_refusals_among_many_do_not_pause(app: Flask):
    open_sending()
    wave = make_running_wave(60)
    first = db.session.scalar(sa.select(sa.func.min(Message.id)))
    refused = {first + 20, first + 40}
    fake_channel.install(
        app, lambda message: rejected("550") if message.id in refused else accepted()
    )
    delivery.drain()
    assert reload(wave).status is WaveStatus.RUNNING
    assert statuses(wave) == {S.SENT: 58, S.FAILED: 2}


def test_one_module_writes_the_status_of_a_message():
    """Reads the sources: no insert of messages, no update or assignment of a status of one, outside
    states.py. The demonstration writes history, not transitions."""
    writers = {
        (path.name, kind)
        for path in (ROOT / "outreach").rglob("*.py")
        if "demo" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if (kind := writes_status(node))
    }
    assert writers == {("states.py", "insert"), ("states.py", "update")}
    source = (ROOT / "outreach/messages/states.py").read_text()
    assert source.count("sa.update(") == source.count("insert_many(Message") == 1


MESSAGES = ("Message", "table_of(Message)")
INSERTS = (
    "Message(",
    *(
        f"{call}({table}{end}"
        for call in ("sa.insert", "dialect.insert", "insert_new", "insert_many", "insert_any_new")
        for table in MESSAGES
        for end in "),"
    ),
)


def writes_status(node: ast.AST) -> str:
    if isinstance(node, ast.Assign) and "message.status" in ast.unparse(node.targets[0]):
        return "assignment"
    if not isinstance(node, ast.Call):
        return ""
    text = ast.unparse(node)
    if text.startswith(INSERTS):
        return "insert"
    is_values = isinstance(node.func, ast.Attribute) and node.func.attr == "values"
    sets_status = any(keyword.arg == "status" for keyword in node.keywords)
    of_messages = any(f"update({table})" in text for table in MESSAGES)
    return "update" if is_values and sets_status and of_messages else ""


def test_the_steps_of_a_window_cost_few_statements(app: Flask):
    """What is asked for each twenty messages decides how fast a wave goes out."""
    open_sending()
    make_running_wave(60)
    fake_channel.install(app)
    delivery.drain()  # the canary, and then the rest
    wave = make_running_wave(60)
    with noting_statements() as statements:
        delivery.drain()
    assert statuses(wave) == {S.SENT: 60}
    windows = 4  # ten canaries, then twenty, twenty and ten
    claims = 4  # of the last there is nothing to claim
    assert len(statements) <= windows * 5 + claims * 15


def test_what_follows_from_a_message_is_made_up_for_when_its_worker_died(
    app: Flask, tuesday_morning: time_machine.Traveller
):
    """The worker wrote that the first was sent, in the transaction that began the second."""
    open_sending()
    told: list[list[int]] = []
    app.extensions["outreach.on_sent"] = [lambda ids, _now: told.append(list(ids))]
    first, second = make_message(), make_message()
    claim = outbox.claim(clock.now())
    assert claim is not None
    outbox.begin(claim.token, [first.id], clock.now())
    outbox.record_outcomes(claim.token, {first.id: accepted()}, clock.now())
    outbox.begin(claim.token, [second.id], clock.now())
    db.session.commit()
    assert not told
    tuesday_morning.shift(timedelta(days=4))  # nobody looked after it all weekend
    outbox.reap(clock.now())
    assert told == [[first.id]]


def test_the_html_of_a_mail_is_made_from_its_text_unless_it_has_its_own(app: Flask):
    open_sending()
    make_message(body_text="第一段 <b>\n\n第二段")
    make_message(body_text="周报", body_html="<p>周报的版式</p>")
    make_message(channel=Channel.SMS, address="13800001234", body_text="短信")
    claimed = outbox.claim(clock.now())
    window = outbox.begin(claimed.token, claimed.ids, clock.now())

    plain, digest = window.messages[Channel.EMAIL]
    [sms] = window.messages[Channel.SMS]

    assert plain.body_html == render_html(plain.body_text)
    assert "第一段 &lt;b&gt;</p>" in plain.body_html
    assert (digest.body_html, sms.body_html) == ("<p>周报的版式</p>", "")


def test_a_paused_wave_ends_when_its_time_is_over_and_nothing_is_left(app: Flask):
    wave = make_running_wave(2)
    wave.status = WaveStatus.PAUSED
    db.session.commit()
    assert waves.finish_waves() == 0
    with time_machine.travel(wave.not_after + timedelta(minutes=1)):
        assert waves.finish_waves() == 0, "its messages are not accounted for yet"
        outbox.reap(clock.now())
        assert waves.finish_waves() == 1
    db.session.refresh(wave)
    assert wave.status is WaveStatus.FINISHED
    assert statuses(wave) == {S.EXPIRED: 2}


def test_a_paused_wave_without_open_messages_waits_for_its_last_day(app: Flask):
    """Whoever resumes it may want what failed to go on over the other channel."""
    wave = make_running_wave(1)
    wave.status = WaveStatus.PAUSED
    message = db.session.scalars(sa.select(Message)).one()
    message.status, message.failure = S.FAILED, FailureKind.REJECTED
    db.session.commit()
    assert waves.finish_waves() == 0
