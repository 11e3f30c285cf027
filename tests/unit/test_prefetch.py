"""How many jobs a worker takes at once: as many as fit the budget, by the run times it has seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pullet_broker.settings import Prefetch
from pullet_workers.prefetch import Pace

PREFETCH = Prefetch(budget_s=0.005, most_jobs=64)


def after(*run_s: float, prefetch: Prefetch = PREFETCH) -> Pace:
    pace = Pace(prefetch)
    for seconds in run_s:
        pace.ran(seconds)
    return pace


def test_one_job_while_nothing_is_known() -> None:
    assert after().want() == 1


@pytest.mark.parametrize(
    ("run_s", "want"), [(0.0, 64), (0.00001, 64), (0.0005, 10), (0.001, 5), (0.0026, 1), (0.005, 1), (30.0, 1)]
)
def test_as_many_as_fit_the_budget(run_s: float, want: int) -> None:
    assert after(run_s).want() == pytest.approx(want, abs=1)


@pytest.mark.parametrize(("run_s", "want"), [(0.0, 64), (0.00003, 64), (0.0001, 25), (0.0002, 0), (0.005, 0)])
def test_it_goes_ahead_where_two_batches_fit_the_budget(run_s: float, want: int) -> None:
    assert after().want_ahead() == 0
    assert after(run_s).want_ahead() == pytest.approx(want, abs=1)


def test_a_single_long_job_does_not_slow_the_tiny_ones_for_long() -> None:
    pace = after(*[0.00001] * 50, 60.0)
    assert pace.want() >= 1

    jobs = 0
    while pace.want() < 32:
        pace.ran(0.00001)
        jobs += 1
    assert jobs < 30


def test_when_jobs_become_long_it_takes_one_within_a_few_jobs() -> None:
    pace = after(*[0.00001] * 1000)
    assert pace.want() == 64

    jobs = 0
    while pace.want() > 1:
        pace.ran(1.0)
        jobs += 1
    assert jobs <= 5


def test_many_jobs_at_once_count_as_many() -> None:
    one_by_one = after(0.1, *[0.001] * 8)
    together = after(0.1)
    together.ran(0.008, jobs=8)

    assert together.want() == one_by_one.want()


@given(st.lists(st.floats(0, 1e6), max_size=50), st.floats(1e-6, 10), st.integers(1, 1000))
def test_it_always_wants_between_one_and_the_most(run_s: list[float], budget_s: float, most: int) -> None:
    want = after(*run_s, prefetch=Prefetch(budget_s=budget_s, most_jobs=most)).want()
    assert 1 <= want <= most


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_what_it_wants_fits_the_budget_by_its_own_reckoning(run_s: list[float]) -> None:
    pace = after(*run_s)
    assert pace.want() == 1 or min(run_s) * pace.want() <= PREFETCH.budget_s * 1.001
