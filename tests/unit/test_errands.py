"""What a courier does beside a running job, and when."""

from __future__ import annotations

import pytest

from pullet_broker.settings import Prefetch
from pullet_workers.errands import SOON_S, WORTH_S, Errand, plan

NOW = 100.0
BUDGET_S = 0.005


def planned(
    expected_s: float | None, *, waits: bool = False, finished: bool = False, alone: bool = False
) -> list[tuple[str, float]]:
    """What, and how many milliseconds after the job started."""
    steps = plan(NOW, expected_s, Prefetch(budget_s=BUDGET_S), waits=waits, finished=finished, alone=alone)
    return [(errand.value, round(1000 * (at - NOW), 3)) for at, errand in steps]


def test_rows_of_tiny_jobs_only_free_what_waits_behind_one_that_turns_out_long() -> None:
    for expected_s in (None, WORTH_S / 2):
        assert planned(expected_s, waits=True, finished=True) == [("free", 10)]
        assert planned(expected_s, finished=True) == []


def test_a_job_is_fetched_a_budget_before_the_running_one_should_end() -> None:
    assert planned(0.1, finished=True) == [("commit", 0), ("fetch", 95), ("look", 100.2), ("free", 105)]


def test_what_is_finished_goes_with_a_fetch_that_comes_at_once() -> None:
    assert planned(0.005, finished=True) == [("fetch", 0), ("look", 5.2), ("free", 10)]


def test_nothing_is_fetched_beside_a_job_that_must_run_alone_or_while_one_waits() -> None:
    assert planned(0.1, finished=True, alone=True) == [("commit", 0), ("look", 100.2)]
    assert planned(0.1, finished=True, waits=True) == [("commit", 0), ("free", 10), ("look", 100.2)]


@pytest.mark.parametrize("expected_s", [0.002, 0.0039])
def test_it_looks_for_the_next_job_only_where_that_is_a_small_part_of_one(expected_s: float) -> None:
    assert Errand.LOOK.value not in dict(planned(expected_s))
    assert planned(10 * SOON_S)[1] == ("look", 4.2)
