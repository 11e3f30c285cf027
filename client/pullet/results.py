"""What `Client.map` returns: the results of many jobs, pulled lazily through a window of jobs in flight."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import queue
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sized
from typing import Any, Generic, TypeVar

from pullet.future import Future
from pullet.waiting import PATIENCE_S

R = TypeVar("R")


class Results(Generic[R]):
    """Iterate it, in sync code or with `async for`. The first window of jobs runs already.

    Has a `len()` when the input has one. Leaving the loop early cancels what was submitted and not yielded.
    """

    def __init__(
        self,
        submit: Callable[[Any], Future[R]],
        items: Iterable[Any],
        *,
        window: int,
        ordered: bool,
        return_exceptions: bool,
    ) -> None:
        if window < 1:
            raise ValueError(f"window={window}: expected at least 1 job in flight")
        self._length = len(items) if isinstance(items, Sized) else None
        self._submit, self._items = submit, iter(items)
        self._return_exceptions = return_exceptions
        self._flight: _Flight[R] = _InOrder() if ordered else _AsDone()
        try:
            while len(self._flight) < window and self._submit_next():
                continue
        except BaseException:
            self._flight.cancel()
            raise

    def __len__(self) -> int:
        if self._length is None:
            raise TypeError("the input of this map has no length")
        return self._length

    def __length_hint__(self) -> int:
        return self._length or 0

    def __iter__(self) -> Iterator[R]:
        try:
            while self._flight:
                future = self._flight.next()
                self._submit_next()
                yield self._value(future)
        finally:
            self._flight.cancel()

    async def __aiter__(self) -> AsyncIterator[R]:
        try:
            while self._flight:
                future = await self._flight.next_async()
                self._submit_next()
                yield self._value(future)
        finally:
            self._flight.cancel()

    def _submit_next(self) -> bool:
        for item in self._items:
            self._flight.add(self._submit(item))
            return True
        return False

    def _value(self, future: Future[R]) -> R:
        try:
            return future.result()
        except Exception as error:
            if self._return_exceptions:
                return error  # type: ignore[return-value]
            raise


class _Flight(Generic[R]):
    """Jobs submitted and not yielded."""

    def __len__(self) -> int:
        raise NotImplementedError

    def add(self, future: Future[R]) -> None:
        raise NotImplementedError

    def next(self) -> Future[R]:
        raise NotImplementedError

    async def next_async(self) -> Future[R]:
        raise NotImplementedError

    def cancel(self) -> None:
        raise NotImplementedError


class _InOrder(_Flight[R]):
    def __init__(self) -> None:
        self._futures: deque[Future[R]] = deque()

    def __len__(self) -> int:
        return len(self._futures)

    def add(self, future: Future[R]) -> None:
        self._futures.append(future)

    def next(self) -> Future[R]:
        with contextlib.suppress(concurrent.futures.CancelledError):
            self._futures[0].exception()
        return self._futures.popleft()

    async def next_async(self) -> Future[R]:
        await _until_done(self._futures[0])
        return self._futures.popleft()

    def cancel(self) -> None:
        while self._futures:
            self._futures.popleft().cancel()


class _AsDone(_Flight[R]):
    def __init__(self) -> None:
        self._open: set[Future[R]] = set()
        self._done: queue.SimpleQueue[Future[R]] = queue.SimpleQueue()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, future: Future[R]) -> None:
        self._open.add(future)
        future.add_done_callback(self._done.put)  # type: ignore[arg-type]

    def next(self) -> Future[R]:
        try:
            future = self._done.get(timeout=PATIENCE_S)
        except queue.Empty:
            concurrent.futures.wait(self._open, return_when=concurrent.futures.FIRST_COMPLETED)
            future = self._done.get()
        self._open.discard(future)
        return future

    async def next_async(self) -> Future[R]:
        while self._done.empty():
            await asyncio.wait([asyncio.wrap_future(one) for one in self._open], return_when=asyncio.FIRST_COMPLETED)
        return self.next()

    def cancel(self) -> None:
        for future in self._open:
            future.cancel()
        self._open.clear()


async def _until_done(future: Future[Any]) -> None:
    await asyncio.wait([asyncio.wrap_future(future)])
