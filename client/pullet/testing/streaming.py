"""The items of a generator that runs in its caller: each is made when somebody asks for it."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Coroutine, Generator, Iterable
from contextlib import closing
from typing import Any, Protocol

from pullet.arrivals import Arrivals
from pullet.future import Future
from pullet.running import RunningJob, enter, leave
from pullet.testing.calling import Ended, call, encoded, failed, iterate
from pullet_broker.settings import Queue


class Caller(Protocol):
    """What an `InlinePool` does for a stream."""

    engine: Any
    queue: Queue

    def wait(self, coroutine: Coroutine[Any, Any, Any], /) -> Any: ...
    def settle(self, job: Any, ended: Ended) -> bool:
        """The attempt has ended so. False: it is to be made again."""
        ...


class InlineArrivals(Arrivals):
    """Takes the place of what a receiver brings. A worker's generator runs ahead; this one waits for its reader."""

    def __init__(self, future: Future[Any], caller: Caller, begin: Callable[[int], RunningJob], payload: bytes) -> None:
        super().__init__(future)
        self._caller, self._begin, self._payload = caller, begin, payload
        self._job = begin(1)
        self._source = self._made()

    def next(self) -> bytes | None:
        token = enter((self._job,))
        try:
            raw = next(self._source, None)
        finally:
            leave(token)
        self.expected += raw is not None
        return raw

    async def next_async(self) -> bytes | None:
        return self.next()

    def close(self) -> None:
        """Nobody wants more: the generator is closed."""
        self._source.close()

    def _made(self) -> Generator[bytes, None, None]:
        """The items of all attempts, each once."""
        while True:
            try:
                count = 0
                with closing(iterate(self._values(), self._caller.wait)) as values:
                    for value in values:
                        raw = encoded(value, self._caller.queue, f"item[{count}]", f"an item of {self._job.method}")
                        count += 1
                        if count > self.expected:
                            yield bytes(raw)
                ended: Ended = "ok", encoded(count, self._caller.queue, "result", "the count"), None
            except Exception as error:
                ended = failed(error)
            if self._caller.settle(self._job, ended):
                return
            self._job = self._begin(self._job.attempt + 1)
            enter((self._job,))  # for the rest of this call; `next` takes it back

    def _values(self) -> Any:
        caller, method = self._caller, self._job.method
        values = call(caller.engine, method, self._payload, caller.queue, caller.wait)
        if not isinstance(values, (Iterable, AsyncIterable)):
            raise TypeError(f"{method} returned {type(values).__name__}, which cannot be streamed: submit it instead")
        return values
