"""The condition of one future, and who waits for it: a client has as many of them as jobs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from pullet.waiting import lending

RLock: Any = type(threading.RLock())  # `threading.RLock` is a function


class Condition(RLock):  # type: ignore[misc]
    """What `concurrent.futures` uses of the `threading.Condition` of a future and of its list of waiters, in one.

    Those are ten objects, which the garbage collector looks at again and again while many jobs are open: it was a
    quarter of the time that a caller spent on a job. This is one, and a list while somebody waits. Taking it as a lock
    runs no Python code: four times a job, 0.3 us each with the class of the standard library.
    """

    blocked: list[Any] | None = None
    """A lock for each thread that is in `wait`. On the class, as the next one: most futures never have any."""
    waiters: list[Any] | None = None
    """What `concurrent.futures.wait` and `as_completed` leave there."""

    def wait(self, timeout: float | None = None) -> bool:
        """Let go of the lock until `notify_all`, or until the time is up: then False. It may be held several times."""
        blocked = threading.Lock()
        blocked.acquire()
        if self.blocked is None:
            self.blocked = []
        self.blocked.append(blocked)
        held = self._release_save()
        told = False
        try:
            told = blocked.acquire(timeout=-1 if timeout is None else max(0.0, min(timeout, threading.TIMEOUT_MAX)))
            return told
        finally:
            self._acquire_restore(held)
            if not told and self.blocked and blocked in self.blocked:
                self.blocked.remove(blocked)

    def notify_all(self) -> None:
        if self.blocked is not None:
            blocked, self.blocked = self.blocked, None
            for one in blocked:
                one.release()

    # -- the list of waiters

    def append(self, waiter: Any) -> None:
        if self.waiters is None:
            self.waiters = []
        self.waiters.append(lending(waiter))

    def remove(self, waiter: Any) -> None:
        if self.waiters is None:
            raise ValueError("it does not wait here")
        self.waiters.remove(waiter)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.waiters or ())
