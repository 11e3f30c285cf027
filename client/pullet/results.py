"""What `Client.map` returns: the results of many jobs, pulled lazily through a window of jobs in flight."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sized
from typing import Any, Generic, TypeVar

from pullet.flight import AsDone, Flight, InOrder
from pullet.future import Future
from pullet.html import table
from pullet.meter import NO_METER, Meter, meter

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
        length: int | None = None,
        timeout: float | None = None,
    ) -> None:
        if window < 1:
            raise ValueError(f"window={window}: expected at least 1 job in flight")
        self._length = len(items) if isinstance(items, Sized) else length
        self._submit, self._items = submit, iter(items)
        self._return_exceptions = return_exceptions
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._flight: Flight[R] = InOrder() if ordered else AsDone()
        self._meter: Meter = NO_METER
        self._by_hand: Iterator[R] | None = None
        self.done = 0
        """Results yielded so far."""
        try:
            while len(self._flight) < window and self._submit_next():
                continue
        except BaseException:
            self._flight.cancel()
            raise

    def show_progress(self, title: str = "") -> None:
        """Show a progress bar while the results are iterated."""
        self._meter = meter(self._length, title)

    def __len__(self) -> int:
        if self._length is None:
            raise TypeError("the input of this map has no length")
        return self._length

    def __length_hint__(self) -> int:
        return self._length or 0

    def __iter__(self) -> Iterator[R]:
        try:
            while self._flight:
                ready = [self._flight.next(self._left_s())]
                self._submit_next()
                self._count()
                yield self._value(ready.pop())  # while the caller has the value, nothing here holds it
        finally:
            self._end()

    def __next__(self) -> R:
        """One at a time, as from the iterator that other executors return."""
        self._by_hand = self._by_hand or iter(self)
        return next(self._by_hand)

    async def __aiter__(self) -> AsyncIterator[R]:
        try:
            while self._flight:
                ready = [await self._flight.next_async(self._left_s())]
                self._submit_next()
                self._count()
                yield self._value(ready.pop())
        finally:
            self._end()

    def _left_s(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def _count(self) -> None:
        self.done += 1
        self._meter.advance()

    def _end(self) -> None:
        self._flight.cancel()
        self._meter.close()

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

    def __repr__(self) -> str:
        total = "?" if self._length is None else self._length
        return f"<pullet.Results: {self.done} of {total} yielded, {len(self._flight)} in flight>"

    def _repr_html_(self) -> str:
        total = "unknown" if self._length is None else self._length
        return table("pullet.Results", {"items": total, "yielded": self.done, "in flight": len(self._flight)})
