"""Jobs, workers, deaths; and what became of them."""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from benchmarks.simulation.clock import Clock
from benchmarks.simulation.server import Costs, Server
from benchmarks.simulation.worker import SimulatedWorker

NOTICED_S = 0.023
"""From a kill to the reap, as `make bench-cluster` measures it."""
REPLACED_S = 5.0
"""Until a new worker is warm."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """`lengths` of jobs in seconds on a worker of speed 1, in the order in which they were submitted."""

    lengths: Sequence[float]
    speeds: Sequence[float]
    """Of each worker: how many times longer it takes."""
    costs: Costs
    deaths_each_s: float = 0.0
    """Workers that are killed in a second; each is replaced."""
    node_loss_at: float | None = None
    """When one in a hundred workers are lost together, seen after `node_noticed_s`."""
    node_noticed_s: float = 3.0
    kind: type[SimulatedWorker] = SimulatedWorker


@dataclass(frozen=True)
class Result:
    begun_s: float
    """When the last job began for the first time: what scheduling can do something about."""
    makespan_s: float
    executions: int
    server_busy: float
    """Part of the time in which its thread worked."""
    calls: int
    fenced: int


def simulate(scenario: Scenario) -> Result:
    return _World(scenario).run()


def greedy(lengths: Sequence[float], speeds: Sequence[float]) -> float:
    """When the last of the same jobs begins if each goes, in order and at no cost, to whoever is free first."""
    free = [(0.0, speed) for speed in sorted(speeds)]
    heapq.heapify(free)
    at = 0.0
    for length in lengths:
        at, speed = free[0]
        heapq.heapreplace(free, (at + length * speed, speed))
    return at


def lognormal(jobs: int, mean: float, sigma: float, seed: int = 1) -> list[float]:
    dice = random.Random(seed)
    found = [dice.lognormvariate(0.0, sigma) for _ in range(jobs)]
    return [length * mean * jobs / sum(found) for length in found]


@dataclass
class _World:
    scenario: Scenario
    clock: Clock = field(default_factory=Clock)
    dice: random.Random = field(default_factory=lambda: random.Random(1))

    def run(self) -> Result:
        scenario = self.scenario
        self.server = Server(self.clock, scenario.costs, len(scenario.lengths))
        self.begun = [0.0] * len(scenario.lengths)
        self.everybody: list[SimulatedWorker] = []
        self.alive: list[tuple[SimulatedWorker, float]] = []
        for speed in self._shuffled(scenario.speeds):
            self._add(speed)
        if scenario.deaths_each_s:
            self.clock.later(1 / scenario.deaths_each_s, self._kill_one)
        if scenario.node_loss_at is not None:
            self.clock.later(scenario.node_loss_at, self._lose_node)
        self.clock.run(lambda: self.server.is_through)
        if not self.server.is_through:
            raise RuntimeError(f"{self.server.jobs - self.server.done} jobs never ended")
        return Result(
            max(self.begun),
            self.clock.now,
            sum(worker.executions for worker in self.everybody),
            self.server.busy_s / self.clock.now,
            self.server.calls,
            self.server.fenced,
        )

    def _shuffled(self, speeds: Sequence[float]) -> list[float]:
        return self.dice.sample(list(speeds), len(speeds))

    def _add(self, speed: float) -> None:
        worker = self.scenario.kind(self.clock, self.server, self.scenario.lengths, self.begun, speed)
        self.everybody.append(worker)
        self.alive.append((worker, speed))
        worker.start()

    def _kill_one(self) -> None:
        if self.alive:
            self._kill(self.dice.randrange(len(self.alive)), NOTICED_S, blame=True)
        self.clock.later(1 / self.scenario.deaths_each_s, self._kill_one)

    def _lose_node(self) -> None:
        for _ in range(len(self.alive) // 100):
            self._kill(self.dice.randrange(len(self.alive)), self.scenario.node_noticed_s, blame=False)

    def _kill(self, place: int, noticed_s: float, *, blame: bool) -> None:
        worker, speed = self.alive.pop(place)
        worker.is_dead = True
        self.clock.later(noticed_s, partial(self.server.reap, worker, blame=blame))
        self.clock.later(noticed_s + REPLACED_S, self._add, speed)
