"""A model of the server: one thread that answers call after call, three lanes, blocked readers, pending entries.

It does to the jobs of one queue what `cycle.lua`, `give_back.lua`, `reap.lua` and a blocking `XREADGROUP` do, without
keys, priorities and cancels, and takes as long for it as real scripts were measured to take.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from benchmarks.simulation.clock import Clock
from pullet_broker.job import Entry
from pullet_broker.moves.cycle import SUSPECT

AGAIN, NORMAL = 1, 4

Work: TypeAlias = Callable[[], tuple[int, Callable[[], None]]]
"""What a call does when the server comes to it: how many jobs that moves, and what to do when the answer arrives."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Seconds: of the way there and back, and of the server's thread for a call and for each job that it moves."""

    trip_s: float
    call_s: float
    job_s: float


class Worker(Protocol):
    """As the server sees it."""

    def woken(self, entry: Entry) -> None: ...


class Server:
    def __init__(self, clock: Clock, costs: Costs, jobs: int) -> None:
        self.costs, self.jobs = costs, jobs
        self.done = 0
        self.fenced = 0
        """Outcomes that came too late."""
        self.busy_s = 0.0
        self.calls = 0
        self._clock, self._numbers = clock, itertools.count(1)
        self._lanes: dict[int, deque[Entry]] = {lane: deque() for lane in (AGAIN, SUSPECT, NORMAL)}
        self._pending: dict[Worker, dict[str, Entry]] = {}
        self._blocked: deque[Worker] = deque()
        self._calls: deque[Work] = deque()
        self._is_busy = False
        for job in range(jobs):
            self._add(NORMAL, str(job))

    @property
    def is_through(self) -> bool:
        return self.done == self.jobs

    def register(self, worker: Worker) -> None:
        self._pending[worker] = {}

    def call(self, work: Work) -> None:
        """From a worker, who hears of it when the way, those before it and the work itself are behind it."""
        self._clock.later(self.costs.trip_s / 2, self._arrive, work)

    # -- what calls do

    def cycle(self, worker: Worker, finished: Sequence[Entry], want: int, *, alone: bool) -> list[Entry]:
        for entry in finished:
            if self._ack(worker, entry):
                self.done += 1
            else:
                self.fenced += 1
        suspects = self._lanes[SUSPECT]
        if suspects and alone and want:
            return self._deliver(worker, suspects, 1)
        if suspects or worker not in self._pending:
            return []
        taken = self._deliver(worker, self._lanes[AGAIN], want)
        return taken + self._deliver(worker, self._lanes[NORMAL], want - len(taken))

    def wait(self, worker: Worker) -> None:
        """The blocking read of a worker that holds nothing."""
        if worker in self._pending:
            self._blocked.append(worker)
            self._wake()

    def give_back(self, worker: Worker, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if self._ack(worker, entry):
                self._add(AGAIN, entry.job)
        self._wake()

    def reap(self, worker: Worker, *, blame: bool) -> None:
        """Issue a dead worker's jobs again."""
        for entry in self._pending.pop(worker).values():
            self._add(SUSPECT if blame else AGAIN, entry.job)
        if worker in self._blocked:
            self._blocked.remove(worker)
        self._wake()

    # -- its thread

    def _arrive(self, work: Work) -> None:
        self._calls.append(work)
        if not self._is_busy:
            self._next()

    def _next(self) -> None:
        self._is_busy = bool(self._calls)
        if self._is_busy:
            jobs, then = self._calls.popleft()()
            took = self._take_time(jobs)
            self._clock.later(took + self.costs.trip_s / 2, then)
            self._clock.later(took, self._next)

    def _take_time(self, jobs: int) -> float:
        took = self.costs.call_s + jobs * self.costs.job_s
        self.busy_s += took
        self.calls += 1
        return took

    # -- its data

    def _add(self, lane: int, job: str) -> None:
        self._lanes[lane].append(Entry(lane, f"{next(self._numbers)}-0", job, "run", b"", "", ""))

    def _ack(self, worker: Worker, entry: Entry) -> bool:
        """The fence."""
        return self._pending.get(worker, {}).pop(entry.id, None) is not None

    def _deliver(self, worker: Worker, lane: deque[Entry], most: int) -> list[Entry]:
        taken = [lane.popleft() for _ in range(min(most, len(lane)))]
        self._pending[worker].update((entry.id, entry) for entry in taken)
        return taken

    def _wake(self) -> None:
        """Who waits longest gets what is there."""
        for number in (SUSPECT, AGAIN, NORMAL):
            while self._blocked and self._lanes[number]:
                worker = self._blocked.popleft()
                took = self._take_time(1)
                for entry in self._deliver(worker, self._lanes[number], 1):
                    self._clock.later(took + self.costs.trip_s / 2, worker.woken, entry)
