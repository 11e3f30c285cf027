"""The thread that ends jobs which nobody takes before they expire, by this client's clock.

A worker ends such a job when it meets it. But there may be no worker, or all may be busy for long, or the queue paused,
and an entry that nobody has taken is not deleted by anybody else. So the client answers its own future, once the
server says that no worker holds the job.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future as PlainFuture
from concurrent.futures import TimeoutError as WaitTimeoutError
from typing import Any

from pullet.outbox import Pending
from pullet_broker.errors import JobExpired, PulletError
from pullet_broker.moves.finding import LATE, late
from pullet_broker.scripting import Call
from pullet_broker.settings import Queue

log = logging.getLogger("pullet.client")

SLACK_S = 2.0
"""How much longer a job is left to the workers, which answer by the server's clock."""
AGAIN_S = 10.0
"""When a job is looked at again that a worker holds: it may come back from there."""
SWEEP = 1000
"""Jobs that wait here before those that have ended are thrown away."""


class Expiry:
    """Its thread begins with the first job that expires."""

    def __init__(
        self,
        queue: Queue,
        open_jobs: Mapping[bytes, Pending],
        ask: Callable[[Call[Any]], PlainFuture[Any]],
        withdraw: Callable[[str], bool],
        reject: Callable[[Pending, PulletError], None],
    ) -> None:
        self._queue, self._open = queue, open_jobs
        self._ask, self._withdraw, self._reject = ask, withdraw, reject
        self._due: list[tuple[float, int, Pending]] = []
        self._numbers, self._sweep_at = itertools.count(), SWEEP
        self._changed = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None

    def watch(self, item: Pending) -> None:
        """A job that expires is submitted."""
        self._push([item], item.job.expires_ms / 1000 + SLACK_S)

    def close(self, timeout: float) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _push(self, items: Sequence[Pending], seconds: float) -> None:
        at = time.monotonic() + seconds
        with self._changed:
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._run, name="pullet-expiry", daemon=True)
                self._thread.start()
            if len(self._due) >= self._sweep_at:
                self._due = [one for one in self._due if self._is_open(one[2])]
                heapq.heapify(self._due)
                self._sweep_at = max(SWEEP, 2 * len(self._due))
            for item in items:
                heapq.heappush(self._due, (at, next(self._numbers), item))
            self._changed.notify()

    def _is_open(self, item: Pending) -> bool:
        return self._open.get(item.job.id.encode()) is item

    # -- the thread

    def _run(self) -> None:
        while (items := self._next()) is not None:
            waiting = [item for item in items if self._has_waited(item)]
            if waiting:
                self._end(waiting)

    def _next(self) -> list[Pending] | None:
        """The jobs whose time is over; None when there will be no more."""
        found: list[Pending] = []
        with self._changed:
            while not self._closing:
                now = time.monotonic()
                while self._due and self._due[0][0] <= now and len(found) < LATE:
                    found.append(heapq.heappop(self._due)[2])
                if found:
                    return found
                self._changed.wait(self._due[0][0] - now if self._due else None)
        return None

    def _has_waited(self, item: Pending) -> bool:
        """False where there is nothing to ask: it has ended, was never sent, or reached the server late."""
        if not self._is_open(item):
            return False
        if self._withdraw(item.job.id):
            self._expire(item, "it was not even sent: the server was away, or the queue full")
            return False
        left = item.accepted_at + item.job.expires_ms / 1000 + SLACK_S - time.monotonic()
        if left > 0:
            self._push([item], left)
        return left <= 0

    def _end(self, items: Sequence[Pending]) -> None:
        asked = self._ask(late(self._queue, [item.job.id for item in items]))
        try:
            late_ones = {items[place].job.id: items[place] for place in asked.result(AGAIN_S)}
        except (PulletError, WaitTimeoutError) as error:
            log.info("cannot ask for expired jobs", extra={"queue": self._queue.name, "error": str(error)})
            late_ones = {}
        for item in late_ones.values():
            self._expire(item, "no worker has taken it: there is none, all are busy, or the queue is paused")
        self._push([item for item in items if item.job.id not in late_ones and self._is_open(item)], AGAIN_S)

    def _expire(self, item: Pending, why: str) -> None:
        job, expires_s = item.job.id, item.job.expires_ms / 1000
        text = f"job {job} waited longer than options(expires={expires_s:g}) by this client's clock; {why}"
        self._reject(item, JobExpired(text, job=job, expires_s=expires_s))
