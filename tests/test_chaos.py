"""Delivery by real processes that are killed on the way: each recipient exactly one message, or a
row that says that nobody knows; never two. `make chaos` runs more of it, and more faults."""

from pathlib import Path

import pytest

from outreach.messages import outbox
from tests.chaos import failpoints, runs
from tests.chaos.trial import Result

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]

SIZE, KILLS, WORKERS = 3000, 12, 2


def check(result: Result) -> None:
    assert result.duplicates == 0, result
    assert result.lost == 0, result


def test_a_worker_that_is_killed_at_any_step_sends_nothing_twice_and_loses_nothing(
    database_url: str, tmp_path: Path
):
    results = runs.run_failpoints(database_url, tmp_path, later_passes=0)
    assert len(results) >= len(failpoints.STEPS)
    assert [result for result in results if not result.is_good] == []


def test_workers_that_are_killed_at_random_send_nothing_twice_and_lose_nothing(
    database_url: str, tmp_path: Path
):
    result = runs.run_kills(database_url, tmp_path, SIZE, KILLS, WORKERS)
    check(result)
    assert result.rows == SIZE
    # Two deliveries side by side in each worker, one window each.
    assert result.unknown <= KILLS * 2 * outbox.WINDOW


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_celery_workers_that_are_killed_send_nothing_twice_and_lose_nothing(
    database_url: str, tmp_path: Path
):
    check(runs.run_celery_kills(database_url, tmp_path, size=400, kills=2, workers=1))
