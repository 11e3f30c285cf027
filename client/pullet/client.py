"""The client half of a pool: submit jobs to a queue and hold futures. Needs no Ray."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from pullet import bridge
from pullet.core import CLOSE_S, Core, shared_core
from pullet.dead import DeadLetters
from pullet.future import Future
from pullet.handle import JobHandle
from pullet.html import table
from pullet.mapping import MapOptions, map_calls
from pullet.method import Method, Methods
from pullet.options import Options, OptionWords, choose
from pullet.results import Results
from pullet.stream import Stream
from pullet_broker.address import Address
from pullet_broker.codec import encode_call
from pullet_broker.link import Link
from pullet_broker.meanings import Meanings, meanings, restore
from pullet_broker.moves import pausing
from pullet_broker.settings import Queue

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

E = TypeVar("E")
P = ParamSpec("P")
R = TypeVar("R")
X = TypeVar("X")
Y = TypeVar("Y")
Z = TypeVar("Z")


class Client(Executor, Generic[E]):
    """Submit method calls to the queue of an engine. Safe to share between threads and to use on an event loop.

    Make one with `pullet.connect`. Closing it (or leaving its `with` block) waits for the jobs that are open. It is a
    `concurrent.futures.Executor` whose functions are the methods of its engine.
    """

    def __init__(self, engine: Any, queue: Queue, address: Address, defaults: OptionWords | None = None) -> None:
        self._engine, self._queue, self._address = engine, queue, address
        self._methods = Methods(engine)
        self._give(defaults or OptionWords())
        self._core = Core(queue, address)
        self._shared = False

    def _give(self, options: OptionWords) -> None:
        choose(options)  # raises for what makes no sense
        self._given = options
        self._chosen: dict[str, Options] = {}  # method -> its options

    @property
    def queue(self) -> str:
        """The name of the queue."""
        return self._queue.name

    @overload  # type: ignore[override]  # an Executor takes any function, and gives it all of its arguments
    def submit(
        self, method: Callable[Concatenate[E, P], Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[R]: ...
    @overload
    def submit(
        self, method: Callable[Concatenate[E, P], Iterator[R] | AsyncIterator[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[list[R]]: ...
    @overload
    def submit(self, method: Callable[Concatenate[E, P], R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]: ...
    @overload
    def submit(self, method: str, /, *args: Any, **kwargs: Any) -> Future[Any]: ...
    def submit(self, method: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Queue one call of an engine's method and return its future at once; never waits for the network.

        The result of a generator method is the list of its items; see `stream` for one at a time.

        Raises `TypeError` when the arguments do not fit, `UnknownMethod`, `EncodeError` and `TooLarge` when they
        cannot travel, `ClientClosed` after `close`. Everything later is raised by the future.
        """
        found = self._methods.find(method)
        found.check(args, kwargs)
        payload = encode_call(args, kwargs, limit=self._queue.limits.args_bytes, how=self._queue.encoding)
        return self._core.submit(found.name, payload, self._options_of(found), found.build)

    @overload
    def stream(
        self, method: Callable[Concatenate[E, P], AsyncIterable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Stream[R]: ...
    @overload
    def stream(
        self, method: Callable[Concatenate[E, P], Iterable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Stream[R]: ...
    @overload
    def stream(self, method: str, /, *args: Any, **kwargs: Any) -> Stream[Any]: ...
    def stream(self, method: Any, /, *args: Any, **kwargs: Any) -> Stream[Any]:
        """Queue one call of a generator method; iterate what this returns for its items, as they come.

        Raises as `submit` does. An error in the generator is raised in the loop, after the items before it. Leaving
        the loop early cancels the job: the generator is closed at its next item.

        A job that is run again (its worker died, or `retries`) starts its generator anew; items that were there
        already are skipped by their number. So the generator must yield the same items again, or the reader sees
        some of the first run and the rest of the second. One that cannot says `@pullet.defaults(repeat=False)`, and
        then fails with `WorkerLost` instead.
        """
        if self._given.get("id") is not None:
            raise ValueError("options(id=) is for submit: the items of a stream go to one caller")
        found = self._methods.find(method)
        found.check(args, kwargs)
        payload = encode_call(args, kwargs, limit=self._queue.limits.args_bytes, how=self._queue.encoding)
        return self._core.stream(found.name, payload, self._options_of(found), found.build_item)

    @overload  # type: ignore[override]
    def map(
        self, method: Callable[Concatenate[E, X, ...], R], items: Iterable[X], /, **how: Unpack[MapOptions]
    ) -> Results[R]: ...
    @overload
    def map(
        self,
        method: Callable[Concatenate[E, X, Y, ...], R],
        items: Iterable[X],
        second: Iterable[Y],
        /,
        **how: Unpack[MapOptions],
    ) -> Results[R]: ...
    @overload
    def map(
        self,
        method: Callable[Concatenate[E, X, Y, Z, ...], R],
        items: Iterable[X],
        second: Iterable[Y],
        third: Iterable[Z],
        /,
        **how: Unpack[MapOptions],
    ) -> Results[R]: ...
    @overload
    def map(
        self, method: str, items: Iterable[Any], /, *more: Iterable[Any], **how: Unpack[MapOptions]
    ) -> Results[Any]: ...
    def map(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, method: Any, items: Iterable[Any], /, *more: Iterable[Any], **how: Unpack[MapOptions]
    ) -> Results[Any]:
        """Call `method` once for each item, at most `window` jobs in flight; results in the order of the items.

        With several inputs each call takes one item of each, until the shortest ends. `how`: see `pullet.MapOptions`.
        Nothing is read from the inputs beyond the window, so they may be endless. Leaving the loop over the results
        cancels what was submitted and not yielded.
        """
        if self._given.get("id") is not None:
            raise ValueError("options(id=) names one job, and a map has many")
        return map_calls(self.submit, method, (items, *more), how)

    def job(self, job_id: str) -> JobHandle:
        """Any job of this queue by its id, whoever submitted it: its state, its result. Asks nothing yet."""
        return JobHandle(self._core, self._queue, job_id)

    def options(self, **options: Unpack[OptionWords]) -> Self:
        """The same client with other options for the jobs submitted through it; see `pullet.Options`."""
        other = object.__new__(type(self))  # not copy.copy: that would go through __reduce__ to another core
        other.__dict__.update(self.__dict__)
        other._give({**self._given, **options})
        return other

    def _options_of(self, method: Method) -> Options:
        found = self._chosen.get(method.name)
        if found is None:
            found = self._chosen[method.name] = choose(method.defaults, self._given)
        return found

    @property
    def dead(self) -> DeadLetters:
        """The jobs of this queue that failed for good."""
        return DeadLetters(self._queue, self._address)

    def pause(self) -> None:
        """Let no worker take another job until `resume`; running jobs end, and jobs can be submitted.

        An idle worker may take one more job before it hears of it. Asks the server, as `resume` and `paused` do.
        """
        with self._asking() as link:
            pausing.pause(self._queue, link.execute)

    def resume(self) -> None:
        """End a pause. Workers hear of it at once."""
        with self._asking() as link:
            pausing.resume(self._queue, link.execute)

    @property
    def paused(self) -> bool:
        """Is the queue paused?"""
        with self._asking() as link:
            return bool(link.execute(*pausing.is_paused(self._queue)))

    def _asking(self) -> contextlib.closing[Link]:
        return contextlib.closing(Link.to(self._queue, self._address, "ask"))

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until Redis has stored every job submitted so far; False when `timeout` seconds were not enough."""
        return self._core.flush(timeout)

    def close(self, wait: bool = True) -> None:
        """Wait for the open jobs, then let go of everything. With `wait` False the jobs submitted here are cancelled.

        A client that was unpickled shares its connections with the others of its process: it only flushes.
        """
        if self._shared:
            self._core.flush(CLOSE_S)
        else:
            self._core.close(wait)

    def detach(self) -> None:
        """Close without waiting and without cancelling: the jobs go on, and `job(id)` of another client finds them.

        What was submitted is stored first, within 5 s. The futures that are open end with `ClientClosed`.
        """
        if self._shared:
            self._core.flush(CLOSE_S)
        else:
            self._core.detach()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As that of other executors: `submit` raises from now on, and the open jobs are waited for.

        With `wait` False that happens in the background. With `cancel_futures` every open job is cancelled instead:
        one that runs already is let be, but its result is no longer waited for.
        """
        if wait or cancel_futures:
            self.close(wait=not cancel_futures)
        elif not self._shared:
            self._core.refuse()
            threading.Thread(target=self.close, name="pullet-closer").start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self.close(wait=error is None)

    def __reduce__(self) -> tuple[Any, ...]:
        there = bridge.installed()
        reopen = there.reopen if there else connect_again
        known = meanings(self._methods.engine)
        return reopen, (self._engine, self._queue, self._address, self._given, known)

    def __repr__(self) -> str:
        return f"<pullet.{type(self).__name__} of {self._queue.name!r} at {self._address}>"

    def _repr_html_(self) -> str:
        engine = self._methods.engine
        rows = {
            "engine": "any" if engine is None else engine.__qualname__,
            "queue": self._queue.name,
            "server": self._address,
            "open jobs": self._core.open_jobs,
        }
        return table(f"pullet.{type(self).__name__}", rows)


def connect_again(engine: Any, queue: Queue, address: Address, options: OptionWords, known: Meanings) -> Client[Any]:
    """A client in the process that unpickles it: all of one queue share a core."""
    restore(known)
    client: Client[Any] = Client.__new__(Client)
    client._engine, client._queue, client._address = engine, queue, address
    client._methods = Methods(engine)
    client._give(options)
    client._shared = True
    client._core = shared_core(queue, address)
    return client
