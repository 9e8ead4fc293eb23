"""The invariants of delivery under any order of claims, crashes, gifts, pauses and lost answers."""

from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
import sqlalchemy as sa
import time_machine
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from outreach import clock
from outreach.db import db, insert_new
from outreach.messages import outbox
from outreach.messages.channels import Outcome, accepted, rejected, retry, unknown
from outreach.messages.models import (
    Message,
    MessageStatus,
    OptOut,
    SendPolicy,
    Wave,
    WaveStatus,
)
from outreach.messages.outbox import Claim, Decision
from tests import factories
from tests.conftest import TUESDAY_MORNING

S = MessageStatus
SIZE = 6
FAULTS = {
    "accept": (True, accepted("ok")),
    "lose the answer": (True, unknown("lost")),
    "lose the message": (False, unknown("lost")),
    "refuse": (False, rejected("550")),
    "put off": (False, retry("451")),
    "put off after all": (False, retry("421")),
}


class Worker:
    """Does by hand, one step at a time, what `deliver_batch` does at one go."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.in_hand: list[int] = []
        self.outcomes: dict[int, Outcome] = {}


class Delivery(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.time = self.stack.enter_context(time_machine.travel(TUESDAY_MORNING))
        self.workers: list[Worker] = []
        self.arrived: Counter[int] = Counter()
        self.accepted: set[int] = set()
        self.resends: Counter[int] = Counter()
        self.said_sent: set[int] = set()
        self.blocked: set[int] = set()
        self.is_stopped = False
        self.began_after_block: set[int] = set()

    @initialize()
    def prepare(self) -> None:
        clear()
        factories.open_sending()
        self.wave = factories.make_running_wave(SIZE)
        self.wave.not_after = clock.now() + timedelta(days=2)
        self.ids = list(db.session.scalars(sa.select(Message.id).order_by(Message.id)))
        db.session.execute(sa.update(Message).values(not_after=self.wave.not_after))
        db.session.commit()

    # Workers

    @rule()
    def claim(self) -> None:
        claimed = outbox.claim(clock.now(), limit=4)
        db.session.commit()
        if claimed:
            self.workers.append(Worker(claimed))

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), count=st.integers(1, 3))
    def begin(self, data: st.DataObject, count: int) -> None:
        self._begin(data.draw(st.sampled_from(self.workers)), count)

    def _begin(self, worker: Worker, count: int) -> None:
        window = outbox.begin(worker.claim.token, worker.claim.ids[:count], clock.now())
        db.session.commit()
        ids = [message.id for messages in window.values() for message in messages]
        self.began_after_block |= {id_ for id_ in ids if id_ in self.blocked}
        assert not ids or not self.is_stopped, "I8"
        worker.in_hand += ids

    @precondition(lambda self: any(worker.in_hand for worker in self.workers))
    @rule(data=st.data(), fault=st.sampled_from(sorted(FAULTS)))
    def send(self, data: st.DataObject, fault: str) -> None:
        self._send(data.draw(st.sampled_from([w for w in self.workers if w.in_hand])), fault)

    def _send(self, worker: Worker, fault: str) -> None:
        id_ = worker.in_hand.pop(0)
        arrives, outcome = FAULTS[fault]
        if arrives:
            self.arrived[id_] += 1
            self.accepted.add(id_)
        worker.outcomes[id_] = outcome

    @precondition(lambda self: any(worker.outcomes for worker in self.workers))
    @rule(data=st.data())
    def record(self, data: st.DataObject) -> None:
        self._record(data.draw(st.sampled_from([w for w in self.workers if w.outcomes])))

    def _record(self, worker: Worker) -> None:
        outbox.record_outcomes(worker.claim.token, worker.outcomes, clock.now())
        db.session.commit()
        worker.outcomes = {}

    @rule(data=st.data(), crashes=st.sampled_from(["never", "after begin", "after sending"]))
    def work(self, data: st.DataObject, crashes: str) -> None:
        """A worker from claim to outcome, or to the point at which it crashes."""
        claimed = outbox.claim(clock.now(), limit=4)
        db.session.commit()
        if claimed is None:
            return
        worker = Worker(claimed)
        self.workers.append(worker)
        self._begin(worker, 4)
        while worker.in_hand and crashes != "after begin":
            self._send(worker, data.draw(st.sampled_from(sorted(FAULTS))))
        if crashes == "never":
            self._record(worker)
        self.workers.remove(worker)

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        self.workers.remove(data.draw(st.sampled_from(self.workers)))

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def stop_politely(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from(self.workers))
        outbox.release(worker.claim.token, worker.claim.ids, of=S.QUEUED)
        outbox.release(worker.claim.token, worker.in_hand, of=S.SENDING)
        db.session.commit()
        worker.in_hand = []

    @rule(seconds=st.sampled_from([1, 61, 700, 4000]))
    def pass_time(self, seconds: int) -> None:
        # What a worker holds when its lease runs out it no longer sends: `_deliver` looks at the
        # clock before each message.
        self.time.shift(timedelta(seconds=seconds))
        if seconds > 60:
            for worker in self.workers:
                worker.in_hand = []

    @rule()
    def reap(self) -> None:
        outbox.reap(clock.now())
        outbox.finish_waves()
        db.session.commit()

    # People

    @rule(index=st.integers(0, SIZE - 1), how=st.sampled_from(["gift", "opt-out", "snooze"]))
    def give_a_reason_against(self, index: int, how: str) -> None:
        if how == "gift":
            factories.make_gift(self._solicitation(index))
        elif how == "snooze":
            self._solicitation(index).snoozed_until = clock.today() + timedelta(days=30)
        else:
            message = db.session.get_one(Message, self.ids[index])
            key = {"channel": message.channel, "address_hash": message.address_hash}
            insert_new(
                OptOut, [key | {"source": "test", "at": clock.now()}], ["channel", "address_hash"]
            )
        db.session.commit()
        self.blocked.add(self.ids[index])
        for worker in self.workers:
            self._begin(worker, 4)

    @rule(how=st.sampled_from(["switch", "pause"]))
    def stop_sending(self, how: str) -> None:
        """Nobody begins or claims anything until it is taken back."""
        db.session.expire_all()
        wave = db.session.get_one(Wave, self.wave.id)
        if how == "pause" and wave.status is not WaveStatus.RUNNING:
            return
        self._set_stopped(how, is_stopped=True)
        for worker in self.workers:
            self._begin(worker, 4)
        assert outbox.claim(clock.now()) is None, "I8"
        db.session.rollback()
        self._set_stopped(how, is_stopped=False)

    def _set_stopped(self, how: str, *, is_stopped: bool) -> None:
        self.is_stopped = is_stopped
        if how == "switch":
            db.session.get_one(SendPolicy, 1).is_on = not is_stopped
        else:
            status = WaveStatus.PAUSED if is_stopped else WaveStatus.RUNNING
            db.session.get_one(Wave, self.wave.id).status = status
        db.session.commit()

    @rule(index=st.integers(0, SIZE - 1), decision=st.sampled_from(Decision))
    def settle(self, index: int, decision: Decision) -> None:
        db.session.expire_all()
        message = db.session.get_one(Message, self.ids[index])
        outbox.waves.reopen_wave(self.wave.id)
        if outbox.settle_unknown(message, decision, clock.now()):
            if decision is Decision.RESEND:
                self.resends[message.id] += 1
            if decision is Decision.SENT:
                self.said_sent.add(message.id)
        db.session.commit()

    # Invariants

    @invariant()
    def no_row_is_delivered_more_often_than_people_said(self) -> None:
        for id_, count in self.arrived.items():
            assert count <= 1 + self.resends[id_], "I1"

    @invariant()
    def what_is_sent_was_accepted_or_a_person_said_so(self) -> None:
        for id_, row in self._rows().items():
            if row.status is S.SENT:
                assert id_ in self.accepted | self.said_sent, "I2"

    @invariant()
    def nothing_begins_after_a_reason_against_it_is_committed(self) -> None:
        assert not self.began_after_block, "I3"

    @invariant()
    def what_arrived_runs_again_only_for_a_person(self) -> None:
        for id_, row in self._rows().items():
            if self.arrived[id_] > self.resends[id_]:
                assert row.status is not S.QUEUED, "I4"

    @invariant()
    def every_recipient_is_in_one_state(self) -> None:
        if hasattr(self, "wave"):
            assert sum(outbox.counts(self.wave.id).values()) == SIZE, "I5"
            db.session.rollback()

    @invariant()
    def no_two_rows_share_an_address(self) -> None:
        rows = self._rows().values()
        assert len({(row.channel, row.address_hash) for row in rows}) == len(rows), "I11"

    def teardown(self) -> None:
        try:
            if hasattr(self, "wave"):
                self._settle_down()
        finally:
            self.stack.close()

    def _settle_down(self) -> None:
        """I6: once faults stop, nothing stays due or in the air."""
        self.time.shift(timedelta(seconds=700))
        outbox.reap(clock.now())
        db.session.commit()
        for _ in range(4):
            while claimed := outbox.claim(clock.now()):
                for messages in outbox.begin(claimed.token, claimed.ids, clock.now()).values():
                    outcomes = {message.id: accepted() for message in messages}
                    self.arrived.update(outcomes.keys())
                    outbox.record_outcomes(claimed.token, outcomes, clock.now())
                db.session.commit()
            self.time.shift(timedelta(hours=5))
        assert not {S.QUEUED, S.SENDING} & {row.status for row in self._rows().values()}, "I6"
        for id_, count in self.arrived.items():
            assert count <= 1 + self.resends[id_], "I1"

    def _solicitation(self, index: int) -> Any:
        message = db.session.get_one(Message, self.ids[index])
        return db.session.get_one(
            factories.Solicitation, message.links[0].solicitation_id, populate_existing=True
        )

    def _rows(self) -> dict[int, Any]:
        rows = db.session.execute(
            sa.select(Message.id, Message.status, Message.channel, Message.address_hash)
        ).all()
        db.session.rollback()
        return {row.id: row for row in rows}


def clear() -> None:
    db.session.rollback()
    db.session.expunge_all()
    for table in reversed(db.metadata.sorted_tables):
        db.session.execute(sa.delete(table))
    db.session.commit()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_promises_hold_whatever_happens(app, tmp_path: Path):
    run_state_machine_as_test(
        Delivery,
        settings=settings(
            max_examples=20,
            stateful_step_count=20,
            deadline=None,
            # Making a failure smaller takes minutes; twenty steps can be read as they are.
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
