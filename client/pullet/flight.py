"""The jobs of one `map` that are submitted and not yielded, in order or as they come."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import queue
import time
from collections import deque
from collections.abc import Generator
from typing import Any, Generic, TypeVar

from pullet.future import Future
from pullet.waiting import PATIENCE_S, time_left
from pullet.wakeups import Mailbox, mailbox, until_done

R = TypeVar("R")


class Flight(Generic[R]):
    """`next` gives a future that is done; after `timeout` seconds without one it raises `TimeoutError`."""

    def __len__(self) -> int:
        raise NotImplementedError

    def add(self, future: Future[R]) -> None:
        raise NotImplementedError

    def next(self, timeout: float | None) -> Future[R]:
        raise NotImplementedError

    async def next_async(self, timeout: float | None) -> Future[R]:
        raise NotImplementedError

    def cancel(self) -> None:
        raise NotImplementedError


class InOrder(Flight[R]):
    def __init__(self) -> None:
        self._futures: deque[Future[R]] = deque()

    def __len__(self) -> int:
        return len(self._futures)

    def add(self, future: Future[R]) -> None:
        self._futures.append(future)

    def next(self, timeout: float | None) -> Future[R]:
        with contextlib.suppress(concurrent.futures.CancelledError):
            self._futures[0].exception(timeout)
        return self._futures.popleft()

    async def next_async(self, timeout: float | None) -> Future[R]:
        if not self._futures[0].done():
            await asyncio.wait_for(_Done(self._futures[0]), timeout)
        return self._futures.popleft()

    def cancel(self) -> None:
        while self._futures:
            self._futures.popleft().cancel()


class AsDone(Flight[R]):
    def __init__(self) -> None:
        self._open: set[Future[R]] = set()
        self._done: queue.SimpleQueue[Future[R]] = queue.SimpleQueue()
        self._waiting: tuple[Mailbox, asyncio.Future[None]] | None = None

    def __len__(self) -> int:
        return len(self._open)

    def add(self, future: Future[R]) -> None:
        self._open.add(future)
        future.add_done_callback(self._arrived)

    def next(self, timeout: float | None) -> Future[R]:
        started = time.monotonic()
        try:
            future = self._done.get(timeout=PATIENCE_S if timeout is None else min(timeout, PATIENCE_S))
        except queue.Empty:
            future = self._next_late(started, timeout)
        self._open.discard(future)
        return future

    def _next_late(self, started: float, timeout: float | None) -> Future[R]:
        """Wait in a way that can lend, see `waiting`."""
        left = time_left(started, timeout)
        done, _ = concurrent.futures.wait(self._open, left, return_when=concurrent.futures.FIRST_COMPLETED)
        if not done:
            raise concurrent.futures.TimeoutError
        return self._done.get()  # it is done, so its callback puts it there

    async def next_async(self, timeout: float | None) -> Future[R]:
        box = mailbox()
        while self._done.empty():
            waiter: asyncio.Future[None] = box.loop.create_future()
            self._waiting = box, waiter  # before the second look: `_arrived` goes the other way round
            if self._done.empty():
                await asyncio.wait_for(waiter, timeout)
        return self.next(0)

    def cancel(self) -> None:
        for future in self._open:
            future.cancel()
        self._open.clear()

    def _arrived(self, future: concurrent.futures.Future[R]) -> None:
        self._done.put(future)  # type: ignore[arg-type]
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting[0].put(waiting[1])


class _Done:
    """Awaitable: whatever the outcome, and without a say in it."""

    def __init__(self, future: Future[Any]) -> None:
        self._future = future

    def __await__(self) -> Generator[Any, None, None]:
        return until_done(self._future)
