"""Long waits for jobs give back what the waiting thread holds, where a bridge knows how.

All waits for a future, `concurrent.futures.wait` and `as_completed` too, block on the event of a waiter that is
appended to the waiters of each future (since Python 3.2). So it is enough to exchange that event.
"""

from __future__ import annotations

import concurrent.futures
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from pullet import bridge

T = TypeVar("T")

PATIENCE_S = 0.025
"""A wait that lasts longer is long. Most jobs are shorter, and to lend costs some 0.5 ms."""


class LendingEvent(threading.Event):
    """An event whose long waits lend."""

    _bell: bridge.Bell | None = None

    def set(self) -> None:
        super().set()
        bell = self._bell
        if bell is not None:
            bell.ring()

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is not None and timeout <= PATIENCE_S:
            return super().wait(timeout)
        started = time.monotonic()
        if super().wait(PATIENCE_S):
            return True
        found = bridge.find()
        self._bell = found.bell() if found else None
        if self._bell is not None:
            try:
                self._lend(started, timeout)
            finally:
                bell, self._bell = self._bell, None
                bell.close()
        return super().wait(time_left(started, timeout))

    def _lend(self, started: float, timeout: float | None) -> None:
        bell = self._bell
        if bell is not None and not self.is_set():  # it was set before the bell was there to be rung
            bell.wait(time_left(started, timeout))


def lending(waiter: Any) -> Any:
    """The same waiter, with an event whose long waits lend."""
    if type(getattr(waiter, "event", None)) is threading.Event:
        waiter.event = LendingEvent()
    return waiter


def lend_during(call: Callable[[], T]) -> T:
    """Make a call that blocks for long; where a bridge knows how, in another thread, so that this one can lend."""
    found = bridge.find()
    bell = found.bell() if found else None
    if bell is None:
        return call()
    bell.close()
    outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
    over = LendingEvent()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:
            outcome.set_exception(error)
        over.set()

    threading.Thread(target=run, name="pullet-wait", daemon=True).start()
    over.wait()
    return outcome.result()


def time_left(started: float, timeout: float | None) -> float | None:
    """What is left of `timeout` seconds that began at `started` (monotonic)."""
    return None if timeout is None else max(0.0, started + timeout - time.monotonic())
