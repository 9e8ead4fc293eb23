"""The timetable, and the rows that say how its runs went."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from outreach import clock, jobs
from outreach.db import db
from outreach.jobs import JobResult, JobRun
from tasks import timetable
from tasks.embedded import InProcessWorker
from tasks.queue import ContextTask, celery
from tests.services import PATIENCE, wait_until

DIGESTS = next(job for job in timetable.TIMETABLE if job.name == "build_digests")
VISITS = next(job for job in timetable.TIMETABLE if job.name == "propose_visits")


def shanghai(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+08:00").astimezone(UTC)


@pytest.fixture
def replace_task(monkeypatch: pytest.MonkeyPatch):
    """Puts another body into a task of the timetable."""

    def replace(name: str, body) -> ContextTask:
        members = {"name": f"outreach.{name}", "run": staticmethod(body)}
        task = type("Replaced", (ContextTask,), members)()
        task.bind(celery)
        monkeypatch.setitem(celery.tasks, task.name, task)
        return task

    return replace


def list_runs(job: str) -> list[JobRun]:
    db.session.expire_all()
    return list(db.session.scalars(sa.select(JobRun).filter_by(job=job).order_by(JobRun.id)))


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-10-19T07:29:59", None),
        ("2026-10-19T07:30:00", "2026-10-19T07:30:00"),
        ("2026-10-20T10:00:00", "2026-10-19T07:30:00"),
        ("2026-10-25T23:58:00", "2026-10-19T07:30:00"),
        ("2026-10-26T00:01:00", None),
        ("2026-10-26T07:30:01", "2026-10-26T07:30:00"),
    ],
)
def test_the_digest_is_due_on_monday_morning_and_can_be_made_up_for_until_sunday_night(now, due):
    assert DIGESTS.last_due(shanghai(now)) == (shanghai(due) if due else None)


def test_the_next_run_is_always_in_the_future():
    at_the_time = shanghai("2026-10-19T07:30:00")

    assert DIGESTS.next_due(at_the_time) == shanghai("2026-10-26T07:30:00")
    assert VISITS.next_due(at_the_time) == shanghai("2026-10-20T07:00:00")


@pytest.mark.parametrize("job", timetable.TIMETABLE, ids=lambda job: job.name)
def test_every_job_of_the_timetable_comes_round_after_its_grace(job):
    first = job.next_due(clock.now())
    second = job.next_due(first)

    assert first + job.grace < second
    assert job.last_due(first) == first


def test_a_slot_is_claimed_once(app: Flask):
    slot = clock.now()

    first, second = jobs.claim_run("build_digests", slot), jobs.claim_run("build_digests", slot)

    assert first is not None
    assert second is None


@pytest.mark.parametrize(("minutes", "is_taken_over"), [(29, False), (31, True)])
def test_a_run_whose_process_died_is_taken_over_after_half_an_hour(
    app, tuesday_morning, minutes, is_taken_over
):
    slot = clock.now()
    died = jobs.claim_run("build_digests", slot)
    db.session.commit()

    tuesday_morning.shift(timedelta(minutes=minutes))
    run = jobs.claim_run("build_digests", slot)

    assert (run is not None) is is_taken_over
    assert run is None or run.id == died.id


def test_a_run_that_is_done_is_never_taken_over(app, tuesday_morning):
    slot = clock.now()
    jobs.finish_run(jobs.claim_run("build_digests", slot).id, JobResult.DONE)
    db.session.commit()

    tuesday_morning.shift(timedelta(days=1))

    assert jobs.claim_run("build_digests", slot) is None


def test_a_job_runs_once_for_each_time_that_it_is_due(app, tuesday_morning, replace_task):
    calls = []
    task = replace_task("propose_visits", lambda: calls.append(clock.today()))

    task()
    task()
    tuesday_morning.shift(timedelta(days=1))
    task()

    assert len(calls) == 2
    assert [run.result for run in list_runs("propose_visits")] == [JobResult.DONE] * 2


def test_what_a_task_returns_is_kept_as_the_detail(app, replace_task):
    replace_task("propose_visits", lambda: "提出 3 次走访")()

    run = jobs.last_runs()["propose_visits"]

    assert (run.detail, run.result) == ("提出 3 次走访", JobResult.DONE)
    assert run.scheduled_for == shanghai("2026-10-20T07:00:00")
    assert run.started_at <= run.finished_at <= clock.now()


def test_a_failing_task_is_recorded_as_failed_and_the_next_slot_runs(
    app, tuesday_morning, replace_task
):
    task = replace_task("propose_visits", _fail_once("好了"))

    with pytest.raises(LookupError):
        task()
    tuesday_morning.shift(timedelta(days=1))
    task()

    failed, done = list_runs("propose_visits")
    assert (failed.result, failed.detail) == (JobResult.FAILED, "LookupError")
    assert (done.result, done.detail) == (JobResult.DONE, "好了")


def test_a_failed_run_is_repeated_by_the_catch_up_of_the_same_slot(
    app, tuesday_morning, replace_task
):
    task = replace_task("propose_visits", _fail_once("好了"))
    with pytest.raises(LookupError):
        task()
    task()  # too soon: nothing happens

    tuesday_morning.shift(timedelta(hours=1))
    task()

    assert [(run.result, run.detail) for run in list_runs("propose_visits")] == [
        (JobResult.DONE, "好了")
    ]


def test_what_a_failing_task_had_changed_is_undone(app, replace_task):
    def change_and_fail() -> None:
        jobs.claim_run("half done", clock.now())
        _fail()

    with pytest.raises(LookupError):
        replace_task("propose_visits", change_and_fail)()

    assert list_runs("half done") == []


def test_a_sweep_runs_whenever_it_is_woken_and_keeps_only_its_newest_row(
    app, tuesday_morning, replace_task
):
    calls = []
    task = replace_task("deliver", lambda: calls.append(1))

    for _ in range(3):
        task()
        task()
        tuesday_morning.shift(timedelta(seconds=30))

    (run,) = list_runs("deliver")
    assert len(calls) == 6
    assert run.scheduled_for == shanghai("2026-10-20T10:01:00")


def test_a_failing_sweep_says_so_and_the_next_one_mends_it(app, tuesday_morning, replace_task):
    task = replace_task("deliver", _fail_once(""))

    with pytest.raises(LookupError):
        task()
    failed = [(run.result, run.detail) for run in list_runs("deliver")]
    tuesday_morning.shift(timedelta(seconds=30))
    task()

    assert failed == [(JobResult.FAILED, "LookupError")]
    assert [(run.result, run.detail) for run in list_runs("deliver")] == [(JobResult.DONE, "")]


def test_catching_up_wakes_the_jobs_that_must_not_be_missed():
    woken = []

    timetable.catch_up(woken.append)

    assert woken == [
        "erase_expired",
        "propose_visits",
        "run_rules",
        "plan_week",
        "build_digests",
    ]


def test_calls_that_wait_for_their_turn_are_one_call(app, replace_task):
    worker = InProcessWorker(app, threads=1)
    is_running, may_end, ended = threading.Event(), threading.Event(), []

    def work() -> None:
        is_running.set()
        may_end.wait(PATIENCE)
        ended.append(1)

    replace_task("noted", work)
    worker.wake("noted")
    is_running.wait(PATIENCE)
    for _ in range(5):
        worker.wake("noted")
    may_end.set()
    wait_until(lambda: len(ended) == 2)
    worker.stop()

    assert len(ended) == 2


def test_a_task_that_fails_in_a_thread_does_not_end_the_worker(app, replace_task, caplog):
    worker = InProcessWorker(app, threads=1)
    is_done = threading.Event()
    replace_task("broken", _fail)
    replace_task("sound", is_done.set)

    worker.wake("broken")
    worker.wake("sound")

    assert is_done.wait(PATIENCE)
    worker.stop()
    assert "broken" in caplog.text


def test_a_stopping_worker_takes_no_more_calls(app, replace_task):
    worker = InProcessWorker(app, threads=1)
    calls = []
    replace_task("late", lambda: calls.append(1))

    worker.stop()
    worker.wake("late")

    assert calls == []


def _fail() -> None:
    raise LookupError("a name that must not be kept")


def _fail_once(answer: str):
    answers = iter([_fail, lambda: answer])

    def body() -> str:
        return next(answers)()

    return body
