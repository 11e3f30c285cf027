"""The thread that stops runs: those that take longer than `options(timeout=)`, and those that their callers cancelled.

A task is cancelled, a generator is left at its next item. A job in code that cannot be interrupted is ended by the
watchdog itself, under its fence; if the call still goes on after `GRACE_S`, its worker is given up.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from pullet_broker.address import Address
from pullet_broker.errors import ServerError
from pullet_broker.job import Entry
from pullet_broker.link import Link
from pullet_broker.moves.cancel import Stop, is_tombstone, look_for_tombstone
from pullet_broker.moves.cycle import RETURNS, give_back
from pullet_broker.settings import Queue
from pullet_workers.commit import commit
from pullet_workers.hand import Finished, Hand
from pullet_workers.runs import Order, Run, Runs

log = logging.getLogger("pullet.worker")

GRACE_S = 1.0
"""How long a call may take to stop. An engine may be slow to build: one that comes back late is still warm."""
RETRY_S = 0.2
SWEEP = 1000
"""Steps that wait before those of runs that have ended are thrown away."""

Ended = Callable[[Order, float, str], Finished | None]
"""What becomes of a job that is stopped, after how many seconds, and where it was."""


class Watchdog:
    """Its thread and its connection begin with the first run that has a limit, or is cancelled."""

    def __init__(
        self,
        queue: Queue,
        address: Address,
        hand: Hand,
        runs: Runs,
        consumer: Callable[[], str],
        ended: Ended,
        on_stuck: Callable[[Run], None],
    ) -> None:
        self._queue, self._hand, self._runs, self._consumer = queue, hand, runs, consumer
        self._ended, self._on_stuck = ended, on_stuck
        self.link = Link.to(queue, address, "watchdog")
        self._unmet: Sequence[Stop] = ()
        self._steps: list[tuple[float, int, Run | None, Callable[[], None]]] = []
        self._numbers, self._sweep_at = itertools.count(), SWEEP
        self._changed = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def watch(self, run: Run, entry: Entry, limit_s: float) -> None:
        """A run with a time limit begins. A lazy timer: its thread wakes only for what comes before all else."""
        self.later(limit_s, partial(self._overran, run, entry, limit_s, time.monotonic()), run)

    def heed(self, stops: Sequence[Stop]) -> None:
        """Callers ask that jobs stop. Those that are not in hand may be just arriving: they are looked at once more,
        when this is called again."""
        asked, self._unmet = [*self._unmet, *stops], ()
        if not asked:
            return
        held = {entry.job for entry in [*self._hand.waiting(), *self._hand.running]}
        self._unmet = [stop for stop in stops if stop.job not in held]
        if mine := [stop for stop in asked if stop.job in held]:
            self.later(0.0, partial(self._stop_jobs, mine))

    def later(self, seconds: float, step: Callable[[], None], run: Run | None = None) -> None:
        """Do this in the watchdog's thread, unless `run` has ended by then. It is repeated while the server is away."""
        with self._changed:
            if self._thread is None and not self._stopping:
                self._thread = threading.Thread(target=self._work, name="pullet-watchdog", daemon=True)
                self._thread.start()
            if len(self._steps) >= self._sweep_at:
                self._steps = [one for one in self._steps if one[2] is None or not one[2].over]
                heapq.heapify(self._steps)
                self._sweep_at = max(SWEEP, 2 * len(self._steps))
            heapq.heappush(self._steps, (time.monotonic() + seconds, next(self._numbers), run, step))
            if self._steps[0][3] is step:
                self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5)
        self.link.close()

    # -- the thread

    def _work(self) -> None:
        while (step := self._next()) is not None:
            try:
                step()
            except ServerError as error:
                log.info("cannot stop a job yet", extra={"queue": self._queue.name, "error": str(error)})
                self.later(RETRY_S, step)

    def _next(self) -> Callable[[], None] | None:
        """Wait for the next step; None when there will be no more."""
        with self._changed:
            while not self._stopping:
                left = self._steps[0][0] - time.monotonic() if self._steps else None
                if left is not None and left <= 0:
                    _, _, run, step = heapq.heappop(self._steps)
                    if run is None or not run.over:
                        return step
                else:
                    self._changed.wait(left)
        return None

    def _overran(self, run: Run, entry: Entry, limit_s: float, began: float) -> None:
        order = self._runs.order(entry, limit_s)
        if run.over:
            self._runs.forget(entry)  # it has ended between the two looks, and nobody else will
            return
        if run.task is not None:
            run.interrupt()
        else:
            self._settle(run, order, began)
        self.later(GRACE_S, partial(self._last_look, run, order, began), run)

    def _stop_jobs(self, stops: Sequence[Stop]) -> None:
        self._runs.forget_ended(self._hand.is_running)
        jobs = {stop.job for stop in stops}
        forced = {stop.job for stop in stops if stop.force}
        self._drop_queued(jobs)
        for entry in self._hand.running:
            if entry.job in jobs and self._is_meant(entry):
                self._stop_run(entry, entry.job in forced)

    def _is_meant(self, entry: Entry) -> bool:
        """A request outlives its job by up to a minute, and may have been for an earlier one with the same id."""
        return not entry.named or is_tombstone(self.link.execute(*look_for_tombstone(self._queue, entry.job)))

    def _drop_queued(self, jobs: set[str]) -> None:
        """What has not started never will: given back, it meets its tombstone."""
        aside = self._hand.set_aside(jobs)
        try:
            for start in range(0, len(aside.queued), RETURNS):
                self.link.run(give_back(self._queue, self._consumer(), aside.queued[start : start + RETURNS]))
        except ServerError:
            self._hand.take_back(aside)
            raise
        if aside:
            self._hand.put_away(aside)

    def _stop_run(self, entry: Entry, force: bool) -> None:
        run, order, now = self._runs.find(entry), self._runs.order(entry), time.monotonic()
        if not self._hand.is_running(entry):
            self._runs.forget(entry)
            return
        if all(id(one) in self._runs.orders for one in run.entries):
            run.interrupt()  # others in a batch go on, and this one's value is thrown away
        if not force:
            return
        if run.task is None:
            self._settle(run, order, now)
        self.later(GRACE_S, partial(self._last_look, run, order, now), run)

    def _last_look(self, run: Run, order: Order, began: float) -> None:
        if self._hand.is_running(order.entry):
            self._settle(run, order, began)
            log.warning("a call does not stop", extra={"queue": self._queue.name, "method": order.entry.method})
            self._on_stuck(run)

    def _settle(self, run: Run, order: Order, began: float) -> None:
        """End the job in place of its run: the fence lets one of both count."""
        if not order.settled:
            finished = self._ended(order, time.monotonic() - began, run.where())
            if finished is not None:
                commit(self.link, self._queue, self._consumer(), [finished])
            order.settled = True
