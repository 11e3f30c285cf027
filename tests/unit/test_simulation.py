"""The simulated pool of docs/scale.md: the decisions of real workers lose next to nothing, whatever the jobs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.simulation.scenario import Scenario, greedy, lognormal, simulate
from benchmarks.simulation.server import Costs
from benchmarks.simulation.worker import KeepingWorker

WORKERS, EACH = 200, 15
COSTS = Costs(trip_s=0.0003, call_s=60e-6, job_s=20e-6)
SPEEDS = [1 + 4 * n / (WORKERS - 1) for n in range(WORKERS)]
EVEN, UNEVEN = [1.0] * (WORKERS * EACH), lognormal(WORKERS * EACH, 1.0, 1.5)


@pytest.mark.parametrize("lengths", [EVEN, UNEVEN], ids=["even", "lognormal"])
def test_jobs_begin_nearly_as_soon_as_they_could(lengths: list[float]) -> None:
    found = simulate(Scenario(lengths=lengths, speeds=SPEEDS, costs=COSTS))
    assert greedy(lengths, SPEEDS) / found.begun_s > 0.97
    assert found.executions == len(lengths)


def test_workers_that_keep_what_they_took_lose_much() -> None:
    plain = Scenario(lengths=UNEVEN, speeds=SPEEDS, costs=COSTS)
    kept = simulate(replace(plain, kind=KeepingWorker))
    assert kept.begun_s > 2 * simulate(plain).begun_s


def test_jobs_of_killed_workers_run_again_and_no_others() -> None:
    found = simulate(Scenario(lengths=EVEN, speeds=SPEEDS, costs=COSTS, deaths_each_s=1.0))
    assert len(EVEN) < found.executions <= len(EVEN) + found.makespan_s
    assert found.fenced == 0


def test_a_lost_node_costs_its_share() -> None:
    many = [1.0] * (200 * EACH)
    speeds = [1.0] * 200
    found = simulate(Scenario(lengths=many, speeds=speeds, costs=COSTS, node_loss_at=5.5))
    assert found.executions == len(many) + 2, "one in a hundred workers, each with a job in hand"


def test_tiny_jobs_travel_together() -> None:
    tiny = [0.00005] * 5000
    found = simulate(Scenario(lengths=tiny, speeds=[1.0] * 4, costs=COSTS))
    assert found.calls < len(tiny) / 20
