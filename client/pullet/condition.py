"""The condition of one future: a client has as many of them as jobs."""

from __future__ import annotations

import threading
from typing import Any


class Condition:
    """What `concurrent.futures` uses of a `threading.Condition`, at a third of its cost.

    That one is nine objects, which the garbage collector looks at again and again while many jobs are open: it was a
    quarter of the time that a caller spent on a job. This one is two, and a list while somebody waits.
    """

    __slots__ = ("_lock", "_waiting")

    def __init__(self) -> None:
        self._lock: Any = threading.RLock()
        self._waiting: list[Any] | None = None

    def __enter__(self) -> bool:
        return bool(self._lock.acquire())

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def acquire(self) -> bool:
        return bool(self._lock.acquire())

    def release(self) -> None:
        self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Let go of the lock until `notify_all`, or until the time is up: then False. It may be held several times."""
        if self._waiting is None:
            self._waiting = []
        waiter = threading.Lock()
        waiter.acquire()
        self._waiting.append(waiter)
        held = self._lock._release_save()
        told = False
        try:
            told = waiter.acquire(timeout=-1 if timeout is None else max(0.0, min(timeout, threading.TIMEOUT_MAX)))
            return told
        finally:
            self._lock._acquire_restore(held)
            if not told and self._waiting and waiter in self._waiting:
                self._waiting.remove(waiter)

    def notify_all(self) -> None:
        waiting, self._waiting = self._waiting, None
        for waiter in waiting or ():
            waiter.release()
