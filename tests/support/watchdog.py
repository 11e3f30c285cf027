"""How an event loop fares: how often other threads wake it, and for how long it is kept at a time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any


class Watchdog:
    """Looks after the loop that enters it."""

    EVERY_S = 0.001

    def __init__(self) -> None:
        self.wakes = 0
        """Calls of `call_soon_threadsafe`: each writes to the loop's pipe."""
        self.longest_s = 0.0
        """How much later than it was due the watchdog's own timer came, at the worst."""
        self.longest_cpu_s = 0.0
        """CPU time of the loop's thread between two turns of the watchdog, at the worst: other load does not count."""

    async def __aenter__(self) -> Watchdog:
        self._loop: Any = asyncio.get_running_loop()
        self._original = self._loop.call_soon_threadsafe
        self._loop.call_soon_threadsafe = self._count
        self._task = asyncio.ensure_future(self._watch())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._loop.call_soon_threadsafe = self._original

    def _count(self, *args: Any, **kwargs: Any) -> Any:
        self.wakes += 1
        return self._original(*args, **kwargs)

    async def _watch(self) -> None:
        due, used = time.perf_counter() + self.EVERY_S, time.thread_time()
        while True:
            await asyncio.sleep(self.EVERY_S)
            now, cpu = time.perf_counter(), time.thread_time()
            self.longest_s, self.longest_cpu_s = max(self.longest_s, now - due), max(self.longest_cpu_s, cpu - used)
            due, used = now + self.EVERY_S, cpu
