"""A worker in virtual time. `Hand`, `Pace` and `plan` are those of real workers; what `Loop`, `Exchange` and `Courier`
do with threads and connections is done here by steps of the clock."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from benchmarks.simulation.clock import Clock
from benchmarks.simulation.server import Server
from pullet_broker.job import Entry
from pullet_broker.moves.cycle import OUTCOMES, SUSPECT
from pullet_broker.settings import Prefetch
from pullet_workers.errands import WORTH_S, Errand, Step, plan
from pullet_workers.hand import Finished, Hand
from pullet_workers.prefetch import Pace


class SimulatedWorker:
    """Runs jobs of `lengths[job] * speed` seconds, and notes when each began for the first time."""

    def __init__(
        self, clock: Clock, server: Server, lengths: Sequence[float], begun: list[float], speed: float
    ) -> None:
        self.is_dead = False
        self.executions = 0
        self._clock, self._server, self._speed = clock, server, speed
        self._lengths, self._begun = lengths, begun
        self._hand, self._prefetch = Hand(), Prefetch()
        self._pace = Pace(self._prefetch)
        self._is_talking = False  # somebody has the right to take
        self._queue: deque[Callable[[], None]] = deque()  # who waits for it
        self._plans = itertools.count(1)
        self._plan, self._is_planned = 0, False

    def start(self) -> None:
        self._server.register(self)
        self._turn()

    def want(self) -> int:
        """Jobs to take at once."""
        return min(OUTCOMES, self._pace.want())

    def woken(self, entry: Entry) -> None:
        """The answer of its blocking read."""
        if not self.is_dead:
            self._hand.take([entry])
            self._work()

    # -- the loop

    def _turn(self) -> None:
        self._with_right_to_take(self._refill)

    def _refill(self) -> None:
        if self._hand.queued:  # the courier has fetched it meanwhile
            self._release()
            self._work()
            return
        self._exchange(self.want(), self._hand.is_empty, self._refilled)

    def _refilled(self) -> None:
        self._release()
        if self._hand.queued:
            self._work()
        else:
            self._server.call(lambda: (0, self._nothing_yet))

    def _nothing_yet(self) -> None:
        self._server.wait(self)

    def _work(self) -> None:
        if self.is_dead:
            return
        entry = self._hand.start(self._clock.now)
        if entry is None:
            self._plan, self._is_planned = next(self._plans), False
            self._turn()
            return
        if not self._is_planned or (self._pace.expected_s or 0) >= WORTH_S:
            self.plan_errands(entry)
            self._is_planned = True
        self.executions += 1
        self._begun[int(entry.job)] = self._begun[int(entry.job)] or self._clock.now
        run_s = self._lengths[int(entry.job)] * self._speed
        self._clock.later(run_s, self._ended, entry, run_s)

    def _ended(self, entry: Entry, run_s: float) -> None:
        if self.is_dead:
            return
        self._hand.finish(entry, Finished(entry, b""))
        self._pace.ran(run_s)
        self._work()

    # -- the courier

    def plan_errands(self, entry: Entry) -> None:
        hand, self._plan = self._hand, next(self._plans)
        steps = plan(
            self._clock.now,
            self._pace.expected_s,
            self._prefetch,
            waits=bool(hand.queued),
            finished=bool(hand.finished),
            alone=entry.lane == SUSPECT,
        )
        self._wait_for(steps, self._plan)

    def _wait_for(self, steps: tuple[Step, ...], number: int) -> None:
        if steps:
            self._clock.later(max(0.0, steps[0][0] - self._clock.now), self._run_errand, steps, number)

    def _run_errand(self, steps: tuple[Step, ...], number: int) -> None:
        if self.is_dead or number != self._plan:
            return
        then = partial(self._wait_for, steps[1:], number)
        if steps[0][1] is Errand.LOOK:
            then()
        elif steps[0][1] is Errand.FREE:
            self._free(then)
        else:
            self._with_right_to_take(partial(self._swap, steps[0][1] is Errand.FETCH, then))

    def _swap(self, fetch: bool, then: Callable[[], None]) -> None:
        wanted = fetch and self._hand.runs > 0 and not self._hand.queued

        def swapped() -> None:
            self._release()
            then()

        self._exchange(int(wanted), False, swapped)

    def _free(self, then: Callable[[], None]) -> None:
        aside = self._hand.set_aside()
        if not aside:
            then()
            return

        def work() -> tuple[int, Callable[[], None]]:
            self._server.cycle(self, [one.entry for one in aside.finished], 0, alone=False)
            self._server.give_back(self, aside.queued)
            return len(aside.queued) + len(aside.finished), answered

        def answered() -> None:
            self._hand.put_away(aside)
            then()

        self._server.call(work)

    # -- both

    def _exchange(self, want: int, alone: bool, then: Callable[[], None]) -> None:
        finished = [one.entry for one in self._hand.commit(OUTCOMES)]

        def work() -> tuple[int, Callable[[], None]]:
            if self.is_dead:
                return 0, lambda: None
            taken = self._server.cycle(self, finished, want, alone=alone)
            return max(len(finished), len(taken)), lambda: self._answered(taken, then)

        self._server.call(work)

    def _answered(self, taken: list[Entry], then: Callable[[], None]) -> None:
        if not self.is_dead:
            self._hand.committed()
            self._hand.take(taken)
            then()

    def _with_right_to_take(self, step: Callable[[], None]) -> None:
        if self._is_talking:
            self._queue.append(step)
        else:
            self._is_talking = True
            step()

    def _release(self) -> None:
        if self._queue:
            self._queue.popleft()()
        else:
            self._is_talking = False


class KeepingWorker(SimulatedWorker):
    """As in queues that fetch ahead by a count: it takes four jobs and keeps them until it comes to them."""

    def want(self) -> int:
        return 4

    def plan_errands(self, entry: Entry) -> None:
        pass
