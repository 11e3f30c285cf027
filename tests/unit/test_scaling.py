"""How many workers an elastic pool wants: up at once, down one by one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullet_workers.scaling import CLEAR_S, IDLE_S, STEP_S, Load, Scaler

LONG_S = CLEAR_S * 2
"""The run time of a job that wants a worker of its own."""


def wanted(load: Load, *, least: int = 0, most: int = 10, concurrency: int = 1, current: int = 0) -> int:
    return Scaler(least, most, concurrency).wanted(load, current, 0, 0.0)


@pytest.mark.parametrize(
    ("load", "count"),
    [
        (Load(), 0),
        (Load(waiting=1), 1),
        (Load(waiting=3, running=2), 5),
        (Load(waiting=100), 10),
        (Load(waiting=3, running=2, run_s=LONG_S), 5),
        (Load(waiting=100, run_s=CLEAR_S / 100), 1),
        (Load(waiting=101, run_s=CLEAR_S / 100), 2),
        (Load(waiting=100, running=3, run_s=CLEAR_S / 100), 4),
        (Load(waiting=1, run_s=0.0), 1),
        (Load(waiting=500, run_s=0.0), 1),
        (Load(running=4, run_s=0.001), 4),
    ],
    ids=str,
)
def test_as_many_as_clear_what_waits_in_time(load: Load, count: int) -> None:
    assert wanted(load) == count


@pytest.mark.parametrize(("concurrency", "count"), [(1, 8), (3, 3), (8, 1), (1000, 1)])
def test_a_worker_of_many_jobs_at_once_counts_as_many(concurrency: int, count: int) -> None:
    assert wanted(Load(waiting=5, running=3), concurrency=concurrency) == count


def test_never_fewer_than_least_or_more_than_most() -> None:
    assert wanted(Load(), least=2) == 2
    assert wanted(Load(waiting=1000), least=2, most=4) == 4
    assert wanted(Load(), most=4, current=9) == 4, "the most has just become less"


def test_one_more_when_a_job_waits_too_long_whatever_the_estimate_says() -> None:
    late = Load(waiting=1, oldest_s=CLEAR_S + 0.1, run_s=0.0001)
    scaler = Scaler(0, 4)
    assert scaler.wanted(late, 2, 0, 0.0) == 3
    assert scaler.wanted(late, 3, 1, 1.0) <= 3, "that one is still starting"
    assert scaler.wanted(late, 4, 0, 2.0) == 4
    assert scaler.wanted(Load(running=1, oldest_s=99), 2, 0, 3.0) == 2, "nothing waits: idleness comes first"


def test_up_at_once_and_down_one_by_one_after_a_while() -> None:
    scaler = Scaler(1, 10)
    assert scaler.wanted(Load(waiting=8), 1, 0, 0.0) == 8
    assert scaler.wanted(Load(), 8, 0, 100.0) == 8
    assert scaler.wanted(Load(), 8, 0, 100.0 + IDLE_S - 0.01) == 8

    now, current, left = 100.0 + IDLE_S, 8, []
    while current > 1:
        less = scaler.wanted(Load(), current, 0, now)
        if less < current:
            left.append(now)
        assert current - less in (0, 1)
        now, current = now + STEP_S / 4, less
    assert left == pytest.approx([100.0 + IDLE_S + STEP_S * n for n in range(7)])


def test_work_that_comes_in_between_starts_the_wait_anew() -> None:
    scaler = Scaler(0, 10)
    for now in range(0, 100, 5):
        assert scaler.wanted(Load(), 4, 0, now) == 4
        assert scaler.wanted(Load(running=4), 4, 0, now + 1) == 4


def test_to_zero_and_from_zero() -> None:
    scaler = Scaler(0, 3)
    assert scaler.wanted(Load(), 1, 0, 0.0) == 1
    assert scaler.wanted(Load(), 1, 0, IDLE_S) == 0
    assert scaler.wanted(Load(waiting=1, run_s=0.0001), 0, 0, IDLE_S + 1) == 1


counts = st.integers(0, 10**6)
loads = st.builds(
    Load, waiting=counts, running=counts, oldest_s=st.floats(0, 1e6), run_s=st.none() | st.floats(0, 1e15)
)


@given(
    st.tuples(st.integers(0, 20), st.integers(0, 20)).map(sorted),
    st.integers(1, 1000),
    st.lists(st.tuples(loads, st.integers(0, 3), st.floats(0, 30)), max_size=20),
)
def test_any_story_stays_in_bounds_and_goes_down_slowly(
    bounds: list[int], concurrency: int, story: list[tuple[Load, int, float]]
) -> None:
    scaler = Scaler(*bounds, concurrency)
    current, now, dropped = bounds[0], 0.0, -math.inf
    for load, starting, passed in story:
        now += passed
        count = scaler.wanted(load, current, min(starting, current), now)
        assert bounds[0] <= count <= bounds[1]
        assert count >= current - 1
        if count < current:
            assert now - dropped >= STEP_S
            dropped = now
        current = count
