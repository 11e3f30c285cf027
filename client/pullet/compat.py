"""`ActorPool` for programs written for `ray.util.ActorPool`: the same calls, over a pool that others share.

from pullet.compat import ActorPool

actors = ActorPool(pool)                        # a Pool, or any Client
list(actors.map_unordered(lambda actor, value: actor.run.remote(value), batch))
"""

from __future__ import annotations

import concurrent.futures
import queue
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pullet.client import Client
from pullet.future import Future

IN_FLIGHT = 1000
"""Jobs that one `ActorPool` has under way unless it is told otherwise."""

Call = Callable[["Actor", Any], Any]


class Actor:
    """Stands for an actor of a pool in the functions given to `ActorPool`: `actor.method.remote(value)`."""

    def __init__(self, client: Client[Any]) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Method:
        if name.startswith("_"):
            raise AttributeError(f"{name!r} is private: call a public method of the engine")
        return Method(self._client, name)

    def __repr__(self) -> str:
        return f"<pullet.compat.Actor of {self._client.queue!r}>"


class Method:
    """One method of an `Actor`."""

    def __init__(self, client: Client[Any], name: str) -> None:
        self._client, self._name = client, name

    def remote(self, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit a call to the pool: whichever worker is free takes it."""
        return self._client.submit(self._name, *args, **kwargs)


class ActorPool:
    """Behaves as `ray.util.ActorPool` does, but its actors are the workers of a pool that others use too.

    `actors`: how many jobs it has under way at once, 1000 unless given. What is beyond waits here, as with Ray, until
    a result is fetched. Nobody is bound to a worker: each takes the next job of all callers when it is free.

    Pickled, it arrives empty: with the same pool, and without the jobs of this one.
    """

    def __init__(self, pool: Client[Any], actors: int = IN_FLIGHT) -> None:
        if actors < 0:
            raise ValueError(f"actors={actors}: expected 0 or more")
        self._pool, self._actors = pool, actors
        self._idle = [Actor(pool) for _ in range(actors)]
        self._flying: dict[int, tuple[tuple[Future[Any], ...], Any, Actor]] = {}
        self._done: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._waiting: deque[tuple[Call, Any]] = deque()
        self._next_task = self._next_return = 0

    def map(self, fn: Call, values: Iterable[Any]) -> Iterator[Any]:
        """Results of `fn(actor, value)` in the order of the values. Everything is submitted at once; results of
        earlier `submit`s are dropped."""
        self._start(fn, values)
        return self._drain(self.get_next)

    def map_unordered(self, fn: Call, values: Iterable[Any]) -> Iterator[Any]:
        """The same, each result as it comes."""
        self._start(fn, values)
        return self._drain(self.get_next_unordered)

    def submit(self, fn: Call, value: Any) -> None:
        """Call `fn(actor, value)`, now or when an actor is free. It must return what `actor.method.remote` did, or a
        list of such."""
        if not self._idle:
            self._waiting.append((fn, value))
            return
        actor = self._idle.pop()
        try:
            given = fn(actor, value)
            futures = _futures(given)
        except BaseException:
            self._idle.append(actor)
            raise
        index, self._next_task = self._next_task, self._next_task + 1
        self._flying[index] = futures, given, actor
        _when_all_done(futures, lambda: self._done.put(index))

    def has_next(self) -> bool:
        """Are there results not yet fetched?"""
        return bool(self._flying)

    def get_next(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> Any:
        """The next result in the order of submission.

        Raises `TimeoutError` after `timeout` seconds; with `ignore_if_timedout` that result is dropped, and the next
        call goes on to the one after it. Raises `StopIteration` when nothing is left, and whatever the job raised.
        """
        if not self._flying:
            raise StopIteration("No more results to get")
        if self._next_return >= self._next_task or self._next_return not in self._flying:
            raise ValueError("It is not allowed to call get_next() after get_next_unordered().")
        index = self._next_return
        done = concurrent.futures.wait(self._flying[index][0], timeout).not_done == set()
        if not done and not ignore_if_timedout:
            raise TimeoutError("Timed out waiting for result")
        self._next_return += 1
        return self._take(index, done)

    def get_next_unordered(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> Any:
        """Any of the results, the first that is there. Raises as `get_next` does."""
        if not self._flying:
            raise StopIteration("No more results to get")
        index = self._first_done(timeout)
        if index is None and not ignore_if_timedout:
            raise TimeoutError("Timed out waiting for result")
        done = index is not None
        index = next(iter(self._flying)) if index is None else index
        self._next_return = max(self._next_return, index + 1)
        return self._take(index, done)

    def has_free(self) -> bool:
        """Is an actor idle, and nothing waiting for one?"""
        return bool(self._idle) and not self._waiting

    def pop_idle(self) -> Actor | None:
        """Take an idle actor out: one job less may be under way. None when none is free."""
        return self._idle.pop() if self.has_free() else None

    def push(self, actor: Actor | Client[Any]) -> None:
        """Put an actor in, one that `pop_idle` gave or a pool: one job more may be under way."""
        member = Actor(actor) if isinstance(actor, Client) else actor
        if member in self._idle or any(member is busy for _, _, busy in self._flying.values()):
            raise ValueError("Actor already belongs to current ActorPool")
        self._give_back(member)

    def _start(self, fn: Call, values: Iterable[Any]) -> None:
        while self._flying:
            _, _, actor = self._flying.pop(next(iter(self._flying)))
            self._give_back(actor)
        self._next_return = self._next_task
        for value in values:
            self.submit(fn, value)

    def _drain(self, get: Callable[[], Any]) -> Iterator[Any]:
        while self.has_next():
            yield get()

    def _first_done(self, timeout: float | None) -> int | None:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                index = self._done.get(timeout=None if deadline is None else max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return None
            if index in self._flying:  # else get_next had it, or it was dropped
                return index

    def _take(self, index: int, done: bool) -> Any:
        futures, given, actor = self._flying.pop(index)
        try:
            if not done:
                raise TimeoutError(f"Timed out waiting for result. The task {given} has been ignored.")
            values = [future.result() for future in futures]
            return values if isinstance(given, list) else values[0]
        finally:
            self._give_back(actor)

    def _give_back(self, actor: Actor) -> None:
        self._idle.append(actor)
        if self._waiting:
            self.submit(*self._waiting.popleft())

    def __reduce__(self) -> tuple[Any, ...]:
        return ActorPool, (self._pool, self._actors)


def _futures(given: Any) -> tuple[Future[Any], ...]:
    found = tuple(given) if isinstance(given, list) else (given,)
    if not found or not all(isinstance(one, Future) for one in found):
        raise TypeError(
            f"the function returned {given!r}: expected what actor.method.remote(...) returns, or a list of such"
        )
    return found


def _when_all_done(futures: tuple[Future[Any], ...], then: Callable[[], None]) -> None:
    left = list(futures)

    def one_done(_: object) -> None:
        left.pop()  # atomic, so that whoever empties it is one
        if not left:
            then()

    for future in futures:
        future.add_done_callback(one_done)
