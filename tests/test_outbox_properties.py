"""The invariants of delivery (I1 to I14) under any order of claims, crashes, lost answers,
receipts, gifts, opt-outs, people's decisions, clocks that jump, and databases that are put back.

The machine keeps its own account of what arrived and of what people decided, and holds the rows
against it. `make chaos` runs many more examples than `make test`.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any

import hypothesis.strategies as st
import sqlalchemy as sa
import time_machine
from flask import current_app
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from outreach import clock
from outreach.accounts.models import User
from outreach.campaigns.models import DeclineReason, Solicitation, Stage, StageCause
from outreach.campaigns.services import change_stage, plan_next_action
from outreach.db import db
from outreach.errors import OutreachError
from outreach.gifts.models import Gift
from outreach.gifts.services import record_pledge, reverse_gift
from outreach.messages import instance, opt_outs, outbox, receipts, waves
from outreach.messages import services as messages
from outreach.messages.channels import Outcome, accepted, misconfigured, rejected, retry, unknown
from outreach.messages.models import (
    Channel,
    DeliveryReceipt,
    FailureKind,
    Message,
    MessageSolicitation,
    MessageStatus,
    Purpose,
    ReceiptKind,
    SendingRate,
    SendingWindow,
    SendPolicy,
    Wave,
    WaveStatus,
    WindowDays,
)
from outreach.messages.outbox import Claim, Decision
from outreach.messages.receipts import Report
from outreach.reminders import services as reminders
from outreach.units.models import ContactRole
from tests import factories
from tests.conftest import TUESDAY_MORNING
from tests.copies import Copy, clear

S = MessageStatus
UNITS = 5
OPENS_AT, ALMOST, CLOSES_AT = time(8, 0), time(17, 59, 30), time(18, 0)
CONTACT_CAP, UNIT_CAP, SMS_BUDGET = 2, 2, 2
RATES = {"": 12, "unit.example": 8}
"""E-mails a minute, in all and to one domain."""
IS_CHAOS = settings.get_current_profile_name() == "chaos"

FAULTS = {
    "accept": (True, accepted("ok")),
    "accept, slowly": (True, accepted("ok")),
    "lose the answer": (True, unknown("lost")),
    "lose the message": (False, unknown("lost")),
    "refuse": (False, rejected("550")),
    "put off": (False, retry("451")),
    "refuse the sender": (False, misconfigured("550")),
}
"""Whether the message arrives, and what its worker comes to know."""
FAULT = st.sampled_from(["accept"] * 3 + sorted(FAULTS))
CRASHES = ("never", "never", "before the note", "after the note", "after sending")

STEPS = {
    "work": 8,
    "claim": 2,
    "begin": 3,
    "send": 4,
    "record": 3,
    "crash": 1,
    "stop_politely": 1,
    "look_after": 3,
    "pass_time": 4,
    "wait_for_the_hours": 1,
    "give_a_reason_against": 2,
    "take_the_reason_back": 2,
    "switch": 1,
    "decide_about_a_wave": 2,
    "settle": 3,
    "report": 3,
    "back_up": 1,
    "restore": 1,
    "fall_back": 2,
}
"""How often each is chosen. One rule draws among them, since rules of their own would each be left
out of half of the examples, and an example without workers shows nothing."""
MEANWHILE = ("work", "work", "look_after", "report", "settle")
"""What a copy that is put back may be without."""


class Worker:
    """Does by hand, one step at a time, what `deliver_batch` does at one go."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.in_hand: list[int] = []
        self.began_at = self.latest = clock.now()
        self.outcomes: dict[int, Outcome] = {}
        self.sent: list[int] = []


@dataclass
class Known:
    """What people have said and the database holds; a copy that is put back takes it back too."""

    against: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Reasons not to write about a unit, by solicitation."""
    opted_out: set[str] = field(default_factory=set)
    is_on: bool = True
    marks: int = 0
    """How often the count beside the database had been raised; -1: it was ahead already."""
    taken: int = 0
    """E-mails that were let through, as the rates in it count them."""


class Delivery(RuleBasedStateMachine):
    world: "World"

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        # Time stands still between the steps, so that an example can be run again.
        self.time = self.stack.enter_context(time_machine.travel(TUESDAY_MORNING, tick=False))
        self.workers: list[Worker] = []
        self.known = Known()
        self.copies: list[tuple[Copy, Known]] = []
        self.is_trusted = True
        self.marks = 0
        self.arrived: Counter[tuple[int, int]] = Counter()
        """By message and resend number."""
        self.resends: Counter[int] = Counter()
        self.said_sent: set[int] = set()
        self.bounced: set[int] = set()
        """Also what a copy that was put back has forgotten."""
        self.taken = 0
        """E-mails that were claimed."""
        self.seconds_forward = 0.0

    @initialize()
    def prepare(self) -> None:
        self.world.copy.put_back()
        self.world.write_mark()

    # Workers

    @rule(
        data=st.data(),
        what=st.sampled_from([n for n, weight in STEPS.items() for _ in range(weight)]),
    )
    def step(self, data: st.DataObject, what: str) -> None:
        getattr(self, what)(data)

    def claim(self, data: st.DataObject) -> None:
        self._claim()

    def _claim(self) -> Worker | None:
        claimed = outbox.claim(clock.now(), limit=6)
        db.session.commit()
        if claimed is None:
            return None
        assert self.is_trusted, "I14"
        assert self.known.is_on, "I8: the switch"
        is_email = sa.select(sa.func.count()).where(
            Message.id.in_(claimed.ids), Message.channel == Channel.EMAIL
        )
        self.taken += db.session.scalar(is_email) or 0
        db.session.rollback()
        self.workers.append(Worker(claimed))
        return self.workers[-1]

    def begin(self, data: st.DataObject) -> None:
        if self.workers:
            worker = data.draw(st.sampled_from(self.workers))
            self._begin(worker, data.draw(st.integers(1, 6)))

    def _begin(self, worker: Worker, count: int = 20, *, is_noted: bool = True) -> None:
        began_at = clock.now()
        sent = self._write(worker)
        window = outbox.begin(worker.claim.token, worker.claim.ids[:count], began_at)
        db.session.commit()
        worker.outcomes = {}
        worker.sent += sent
        if window.epoch and is_noted:
            instance.note(window.epoch)
            self.marks += 1
        ids = [message.id for messages in window.messages.values() for message in messages]
        if not ids:
            self._record(worker)
            return
        self._check_begun(ids, began_at)
        if is_noted:
            worker.began_at, worker.latest = began_at, window.latest
            worker.in_hand += ids

    def _check_begun(self, ids: list[int], now: datetime) -> None:
        """I3, I8 and I14, by the machine's own account."""
        assert self.is_trusted, "I14"
        assert self.known.is_on, "I8: the switch"
        is_open = self._is_open(now)
        waves = dict(db.session.execute(sa.select(Wave.id, Wave.status)).all())
        self._check_person_cap(ids)
        for row in self._read(Message.id.in_(ids)):
            assert is_open or row.purpose is Purpose.ACCOUNT, "I8: the hours"
            assert waves.get(row.wave_id, WaveStatus.RUNNING) is WaveStatus.RUNNING, "I8: the wave"
            if row.purpose is Purpose.REMINDER:
                assert row.address_hash not in self.known.opted_out, "I3: opted out"
                for solicitation_id in self.world.about[row.id]:
                    assert not self.known.against[solicitation_id], "I3"
        db.session.rollback()

    def _check_person_cap(self, ids: list[int]) -> None:
        """I10: what went to a person, and what went to the address under another name, together;
        without what people had sent again."""
        arrived = {id_ for id_, _resend_no in self.arrived}
        reached = arrived - self.bounced - self.resends.keys()
        rows = [row for row in self._read() if row.purpose is Purpose.REMINDER]
        gone = [row for row in rows if row.id in reached and row.status is not S.FAILED]
        for row in rows:
            if row.id not in ids:
                continue
            theirs = (
                one.id != row.id
                and (one.contact_id == row.contact_id or one.address_hash == row.address_hash)
                for one in gone
            )
            assert sum(theirs) < CONTACT_CAP, "I10: person"
            gone.append(row)

    def send(self, data: st.DataObject) -> None:
        if busy := [worker for worker in self.workers if worker.in_hand]:
            self._send(data.draw(st.sampled_from(busy)), data.draw(FAULT))

    def _send(self, worker: Worker, fault: str) -> None:
        if not worker.began_at <= clock.now() < worker.latest:
            self._put_down(worker)
            return
        id_ = worker.in_hand.pop(0)
        row = self._read(Message.id == id_)[0]
        assert self._is_open(clock.now()) or row.purpose is Purpose.ACCOUNT, "I8: the hours"
        arrives, worker.outcomes[id_] = FAULTS[fault]
        if arrives:
            # The number of this sending, which a copy put back may have forgotten since.
            self.arrived[id_, row.resend_no] += 1
        if fault == "accept, slowly":
            self._shift(700)

    def _put_down(self, worker: Worker) -> None:
        outbox.release(worker.claim.token, worker.in_hand, of=S.SENDING)
        db.session.commit()
        worker.in_hand = []

    def record(self, data: st.DataObject) -> None:
        if knowing := [worker for worker in self.workers if worker.outcomes]:
            self._record(data.draw(st.sampled_from(knowing)))

    def _record(self, worker: Worker) -> None:
        outbox.follow_up(worker.sent + self._write(worker), clock.now())
        db.session.commit()
        worker.outcomes, worker.sent = {}, []

    def _write(self, worker: Worker) -> list[int]:
        return outbox.record_outcomes(worker.claim.token, worker.outcomes, clock.now())

    def work(self, data: st.DataObject) -> None:
        """A worker from claim to outcome, or to the point at which it crashes. Receipts may be
        faster than it is."""
        worker = self._claim()
        if worker is None:
            return
        crashes = data.draw(st.sampled_from(CRASHES))
        self._begin(worker, is_noted=crashes != "before the note")
        while worker.in_hand and crashes != "after the note":
            self._send(worker, data.draw(FAULT))
        if self.arrived and data.draw(st.booleans()):
            self._report(data.draw(st.sampled_from(ReceiptKind)), *max(self.arrived))
        if crashes == "never":
            self._record(worker)
            outbox.release(worker.claim.token, worker.claim.ids, of=S.QUEUED)
            db.session.commit()
        self.workers.remove(worker)

    def crash(self, data: st.DataObject) -> None:
        if self.workers:
            self.workers.remove(data.draw(st.sampled_from(self.workers)))

    def stop_politely(self, data: st.DataObject) -> None:
        if self.workers:
            worker = data.draw(st.sampled_from(self.workers))
            outbox.release(worker.claim.token, worker.claim.ids, of=S.QUEUED)
            self._put_down(worker)

    def look_after(self, data: st.DataObject) -> None:
        """What the clock has done every minute."""
        outbox.reap(clock.now())
        waves.finish_waves()
        epoch = instance.beat()
        db.session.commit()
        if epoch:
            instance.note(epoch)
            self.marks += 1

    # Time

    def pass_time(self, data: st.DataObject) -> None:
        self._shift(data.draw(st.sampled_from([1, 31, 61, 310, 700, 4000, 7200, -7200])))

    def wait_for_the_hours(self, data: st.DataObject) -> None:
        """They close on workers that have just claimed, or, when they are closed, open again."""
        if not self._is_open(clock.now()):
            self._wait_until(OPENS_AT)
            return
        self._wait_until(ALMOST)
        self._claim()
        self._shift(31)
        self._begin_all()

    def _wait_until(self, moment: time) -> None:
        now = clock.now()
        wait = clock.at(clock.day_of(now), moment) - now
        self._shift(wait.total_seconds() % timedelta(days=1).total_seconds())

    def _is_open(self, now: datetime) -> bool:
        return OPENS_AT <= clock.local(now).time() < CLOSES_AT

    def _begin_all(self) -> None:
        for worker in self.workers:
            self._begin(worker)

    def _shift(self, seconds: float) -> None:
        self.time.shift(timedelta(seconds=seconds))
        self.seconds_forward += max(seconds, 0.0)

    # People

    def give_a_reason_against(self, data: st.DataObject) -> None:
        solicitation = self._solicitation(data)
        how = data.draw(st.sampled_from(["gift", "pledge", "decline", "snooze", "opt out"]))
        self._claim()
        if how == "opt out":
            for channel, address_hash in self.world.addresses[solicitation.id]:
                token = opt_outs.link(channel, address_hash).rpartition("/")[2]
                opt_outs.add(*opt_outs.read_token(token), source="link")
                self.known.opted_out.add(address_hash)
        elif how == "gift":
            factories.make_gift(solicitation)
        elif how == "snooze":
            until = clock.today() + timedelta(days=30)
            plan_next_action(solicitation, action="", on=None, snoozed_until=until)
        elif how == "decline":
            self._decline(solicitation)
        else:
            due_on = clock.today() + timedelta(days=30)
            record_pledge(solicitation, amount_fen=10_000_00, due_on=due_on)
            self.known.against[solicitation.id].discard("decline")
        db.session.commit()
        if how != "opt out":
            self.known.against[solicitation.id].add(how)
        self._begin_all()

    def _decline(self, solicitation: Solicitation) -> None:
        if solicitation.stage is not Stage.DECLINED:
            change_stage(
                solicitation,
                Stage.DECLINED,
                cause=StageCause.PERSON,
                by=None,
                decline_reason=DeclineReason.OTHER,
            )

    def take_the_reason_back(self, data: st.DataObject) -> None:
        solicitation = self._solicitation(data)
        how = data.draw(st.sampled_from(["gift", "snooze", "opt out"]))
        if how == "gift":
            self._reverse_gifts(solicitation)
        elif how == "snooze":
            plan_next_action(solicitation, action="", on=None, snoozed_until=None)
        else:
            for channel, address_hash in self.world.addresses[solicitation.id]:
                opt_outs.withdraw(channel, address_hash, reason="test")
                self.known.opted_out.discard(address_hash)
        db.session.commit()
        self.known.against[solicitation.id].discard(how)

    def _reverse_gifts(self, solicitation: Solicitation) -> None:
        taken_back = sa.select(Gift.reversal_of_id).where(Gift.reversal_of_id.is_not(None))
        for gift in db.session.scalars(
            sa.select(Gift).where(
                Gift.unit_id == solicitation.unit_id,
                Gift.reversal_of_id.is_(None),
                Gift.id.not_in(taken_back),
            )
        ).all():
            reverse_gift(gift, reason="误记", by=None)

    def switch(self, data: st.DataObject) -> None:
        was_trusted = self.is_trusted
        self._claim()
        is_on = not self.known.is_on or not was_trusted or data.draw(st.booleans())
        messages.switch_sending(is_on=is_on)
        db.session.commit()
        self.known.is_on = is_on
        if is_on and not was_trusted:
            self.is_trusted = True
            assert not {S.QUEUED, S.SENDING} & {row.status for row in self._read()}, "I14"
        self._begin_all()

    def decide_about_a_wave(self, data: st.DataObject) -> None:
        how = data.draw(st.sampled_from(["pause", "resume", "resume", "resume", "cancel"]))
        self._claim()
        wave = db.session.get_one(Wave, data.draw(st.sampled_from(self.world.waves)))
        options = {} if how == "cancel" else {"by": db.session.get_one(User, wave.author_id)}
        self._try(lambda: getattr(reminders, f"{how}_wave")(wave, **options))
        self._begin_all()

    def settle(self, data: st.DataObject) -> None:
        unknowns = [row.id for row in self._read(Message.status == S.UNKNOWN)]
        if not unknowns:
            return
        id_ = data.draw(st.sampled_from(unknowns))
        decision = data.draw(st.sampled_from(Decision))
        message = db.session.get_one(Message, id_, populate_existing=True)
        if not self._try(lambda: messages.resolve_unknown(message, decision, reason="核实")):
            return
        if decision is Decision.RESEND:
            self.resends[id_] += 1
        if decision is Decision.SENT:
            self.said_sent.add(id_)

    def _try(self, act: Callable[[], object]) -> bool:
        """Does what a page would: commits, or tells that it was refused."""
        try:
            act()
        except OutreachError:
            db.session.rollback()
            return False
        db.session.commit()
        return True

    # Providers

    def report(self, data: st.DataObject) -> None:
        """Of something that was accepted, at any time after it and as often as it likes."""
        if self.arrived:
            kind = data.draw(st.sampled_from(ReceiptKind))
            self._report(kind, *data.draw(st.sampled_from(sorted(self.arrived))))

    def _report(self, kind: ReceiptKind, id_: int, resend_no: int) -> None:
        key = f"test:{id_}.{resend_no}:{kind}"
        receipts.take([Report(key, id_, resend_no, kind)], clock.now())
        db.session.commit()
        if kind is ReceiptKind.BOUNCED:
            self.bounced.add(id_)

    # Restores

    def back_up(self, data: st.DataObject) -> None:
        self.known.marks = self.marks if self.is_trusted else -1
        self.known.taken = self.taken
        self.copies = [*self.copies[-1:], (Copy(), deepcopy(self.known))]

    def restore(self, data: st.DataObject) -> None:
        if not self.copies:
            return
        copy, self.known = deepcopy(data.draw(st.sampled_from(self.copies)))
        copy.put_back()
        self.is_trusted = self.known.marks == self.marks
        if self.is_trusted:
            # What was claimed since then never came to be sent.
            self.taken = self.known.taken
        assert self.is_trusted or outbox.claim(clock.now()) is None, "I14"
        db.session.rollback()

    def fall_back(self, data: st.DataObject) -> None:
        """A copy is put back soon: much is still due in it. By chance alone the three steps hardly
        ever come in this order. A person may look at once, or the next steps are idle."""
        self.back_up(data)
        for what in data.draw(st.lists(st.sampled_from(MEANWHILE), min_size=1, max_size=2)):
            getattr(self, what)(data)
        self.restore(data)
        if data.draw(st.booleans()):
            self.switch(data)

    # Invariants

    @invariant()
    def every_promise_is_kept(self) -> None:
        rows = self._read()
        proofs = self._read_receipts()
        self._check_arrivals(rows)
        for row in rows:
            self._check_receipts(row, proofs[row.id])
        self._check_sums(rows)
        self._check_caps(rows)
        assert self.taken <= RATES[""] * (1 + self.seconds_forward / 60), "rates"

    def _check_arrivals(self, rows: list[Any]) -> None:
        total: Counter[int] = Counter()
        for (id_, _resend_no), count in self.arrived.items():
            total[id_] += count
        for row in rows:
            assert total[row.id] <= 1 + self.resends[row.id], "I1"
            if row.status in (S.SENT, S.DELIVERED):
                assert total[row.id] or row.id in self.said_sent, "I2"
            if self.is_trusted and total[row.id] > self.resends[row.id]:
                assert row.status is not S.QUEUED, "I4"

    def _check_receipts(self, row: Any, proofs: set[tuple[ReceiptKind, int]]) -> None:
        """I13: whatever the order, a message is where its receipts say that it is."""
        has_arrived = any(kind is ReceiptKind.DELIVERED for kind, _resend_no in proofs)
        has_bounced = (ReceiptKind.BOUNCED, row.resend_no) in proofs
        if row.status in (S.SENT, S.UNKNOWN):
            assert not has_bounced, "I13"
        if row.status in (S.SENT, S.UNKNOWN, S.QUEUED):
            assert not has_arrived, "I13"
        if row.status is S.DELIVERED:
            assert has_arrived, "I13"
            assert not has_bounced, "I13"
        if row.failure is FailureKind.BOUNCED:
            assert has_bounced, "I13"

    def _check_sums(self, rows: list[Any]) -> None:
        assert Counter(row.wave_id for row in rows) == self.world.sizes, "I5"
        addresses = {(row.wave_id, row.channel, row.address_hash) for row in rows}
        assert len(addresses) == len(rows), "I11"

    def _check_caps(self, rows: list[Any]) -> None:
        """I10. What bounced was not received; what people had sent again is theirs."""
        contacts: Counter[int] = Counter()
        units: Counter[int] = Counter()
        text_messages: Counter[datetime] = Counter()
        arrived = {id_ for id_, _resend_no in self.arrived}
        for row in rows:
            is_ours = row.id in arrived and row.id not in self.resends
            is_back = row.status is S.FAILED or row.id in self.bounced
            if not is_ours or is_back or row.purpose is not Purpose.REMINDER:
                continue
            contacts[row.contact_id] += 1
            units.update(self.world.about[row.id])
            if row.channel is Channel.SMS and row.sent_at:
                text_messages[clock.day_of(row.sent_at)] += 1
        assert max(contacts.values(), default=0) <= CONTACT_CAP, "I10: contact"
        assert max(units.values(), default=0) <= UNIT_CAP, "I10: unit"
        assert max(text_messages.values(), default=0) <= SMS_BUDGET, "I10: budget"

    def teardown(self) -> None:
        try:
            if hasattr(self.world, "copy"):
                self._settle_down()
        finally:
            self.stack.close()

    def _settle_down(self) -> None:
        """I6: once faults stop, nothing stays due or in the air."""
        messages.switch_sending(is_on=True)
        for wave in db.session.scalars(sa.select(Wave)).all():
            if wave.status is WaveStatus.PAUSED:
                reminders.resume_wave(wave, by=db.session.get_one(User, wave.author_id))
        db.session.commit()
        self.is_trusted = self.known.is_on = True
        self.workers = []
        for _ in range(12):
            self._shift(4 * 3600 + 700)
            outbox.reap(clock.now())
            db.session.commit()
            while worker := self._claim():
                self._begin(worker)
                while worker.in_hand:
                    self._send(worker, "accept")
                self._record(worker)
                outbox.release(worker.claim.token, worker.claim.ids, of=S.QUEUED)
                db.session.commit()
        waves.finish_waves()
        db.session.commit()
        assert not {S.QUEUED, S.SENDING} & {row.status for row in self._read()}, "I6"
        ended = {WaveStatus.FINISHED, WaveStatus.CANCELLED}
        assert set(db.session.scalars(sa.select(Wave.status))) <= ended, "I6"
        self.every_promise_is_kept()

    def _solicitation(self, data: st.DataObject) -> Solicitation:
        id_ = data.draw(st.sampled_from(self.world.solicitations))
        return db.session.get_one(Solicitation, id_, populate_existing=True)

    def _read(self, *conditions: sa.ColumnElement[bool]) -> list[Any]:
        rows = db.session.execute(
            sa.select(
                Message.id,
                Message.status,
                Message.failure,
                Message.purpose,
                Message.channel,
                Message.address_hash,
                Message.contact_id,
                Message.wave_id,
                Message.resend_no,
                Message.sent_at,
            )
            .where(*conditions)
            .order_by(Message.id)
        ).all()
        db.session.rollback()
        return list(rows)

    def _read_receipts(self) -> dict[int, set[tuple[ReceiptKind, int]]]:
        proofs: dict[int, set[tuple[ReceiptKind, int]]] = defaultdict(set)
        for id_, kind, resend_no in db.session.execute(
            sa.select(DeliveryReceipt.message_id, DeliveryReceipt.kind, DeliveryReceipt.resend_no)
        ):
            proofs[id_].add((kind, resend_no))
        db.session.rollback()
        return proofs


class World:
    """Five units, of which two share a coordinator; a wave of text messages and one of e-mails to
    the coordinators, one to leaders, one to those who pay; a digest and a letter that may go out at
    any hour. Made once; each example begins with a copy."""

    def __init__(self) -> None:
        clear()
        self._open_sending()
        campaign = factories.make_campaign()
        sector = factories.make_sector(campaign)
        units = [factories.make_unit() for _ in range(UNITS)]
        rows = [factories.make_solicitation(campaign, sector, unit=unit) for unit in units]
        self.solicitations = [row.id for row in rows]
        people = {
            role: [(factories.make_contact(row.unit, role=role), [row]) for row in rows[2:]]
            for role in ContactRole
        }
        # Who pays at one unit is the coordinator of another: the caps count one mailbox.
        for (payer, _about), (coordinator, _about) in zip(
            people[ContactRole.FINANCE][1:], people[ContactRole.COORDINATOR], strict=False
        ):
            payer.email = coordinator.email
        shared = (factories.make_contact(units[0]), rows[:2])
        coordinators = [shared, *people[ContactRole.COORDINATOR]]
        self.waves = [
            factories.make_wave_to(campaign.id, coordinators, channel=Channel.SMS).id,
            factories.make_wave_to(campaign.id, coordinators).id,
            factories.make_wave_to(campaign.id, people[ContactRole.LEADER]).id,
            factories.make_wave_to(campaign.id, people[ContactRole.FINANCE]).id,
        ]
        not_after = clock.now() + timedelta(days=2)
        factories.make_message(not_after=not_after)
        factories.make_message(purpose=Purpose.ACCOUNT, not_after=not_after)
        db.session.execute(sa.update(Wave).values(not_after=not_after))
        db.session.execute(sa.update(Message).values(not_after=not_after))
        db.session.commit()
        self._remember()

    def _open_sending(self) -> None:
        factories.open_sending()
        policy = db.session.get_one(SendPolicy, 1)
        policy.contact_cap, policy.unit_cap = CONTACT_CAP, UNIT_CAP
        policy.sms_daily_budget = SMS_BUDGET
        db.session.execute(sa.delete(SendingWindow))
        db.session.execute(
            sa.update(SendingRate).filter_by(channel=Channel.EMAIL).values(per_minute=RATES[""])
        )
        db.session.add_all(
            [
                SendingRate(
                    channel=Channel.EMAIL,
                    domain="unit.example",
                    per_minute=RATES["unit.example"],
                ),
                SendingWindow(days=WindowDays.EVERY_DAY, opens_at=OPENS_AT, closes_at=CLOSES_AT),
            ]
        )
        db.session.commit()

    def _remember(self) -> None:
        self.about: dict[int, list[int]] = defaultdict(list)
        self.addresses: dict[int, set[tuple[Channel, str]]] = defaultdict(set)
        for row in db.session.execute(
            sa.select(
                Message.id,
                Message.channel,
                Message.address_hash,
                MessageSolicitation.solicitation_id,
            ).join(MessageSolicitation, MessageSolicitation.message_id == Message.id)
        ):
            self.about[row.id].append(row.solicitation_id)
            self.addresses[row.solicitation_id].add((row.channel, row.address_hash))
        self.sizes = Counter(db.session.scalars(sa.select(Message.wave_id)))
        self.copy = Copy()
        self.instance_id = instance.read_mark().id

    def write_mark(self) -> None:
        directory = current_app.extensions["outreach.settings"].data_dir
        (directory / instance.FILE).write_text(json.dumps({"id": self.instance_id, "epoch": 0}))


def test_the_promises_hold_whatever_happens(app):
    with time_machine.travel(TUESDAY_MORNING, tick=False):
        Delivery.world = World()
    run_state_machine_as_test(
        Delivery,
        settings=settings(
            max_examples=800 if IS_CHAOS else 10,
            stateful_step_count=30,
            deadline=None,
            # Making a failure smaller takes minutes; thirty steps can be read as they are.
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
