"""The client half of a pool: submit jobs to a queue and hold futures. Needs no Ray."""

from __future__ import annotations

import atexit
import functools
import os
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import InvalidStateError
from concurrent.futures import wait as wait_for_futures
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from pullet.future import Future
from pullet.method import Methods
from pullet.options import DEFAULT, Options
from pullet.outbox import Pending
from pullet.receiver import Receiver
from pullet.resolve import resolve
from pullet.results import Results
from pullet.sender import Sender
from pullet_broker.address import Address
from pullet_broker.codec import encode_call
from pullet_broker.errors import ClientClosed, JobLost, PulletError
from pullet_broker.job import new_job_id
from pullet_broker.link import Link
from pullet_broker.moves.cancel import cancel
from pullet_broker.settings import Queue

if TYPE_CHECKING:
    from typing_extensions import Self

E = TypeVar("E")
P = ParamSpec("P")
R = TypeVar("R")
X = TypeVar("X")

CLOSE_S = 5.0
WINDOW = 1000


class Client(Generic[E]):
    """Submit method calls to the queue of an engine. Safe to share between threads and to use on an event loop.

    Make one with `pullet.connect`. Closing it (or leaving its `with` block) waits for the jobs that are open.
    """

    def __init__(self, engine: Any, queue: Queue, address: Address) -> None:
        self._engine, self._queue, self._address = engine, queue, address
        self._methods = Methods(engine)
        self._options = DEFAULT
        self._core = Core(queue, address)
        self._shared = False

    @property
    def queue(self) -> str:
        """The name of the queue."""
        return self._queue.name

    @overload
    def submit(
        self, method: Callable[Concatenate[E, P], Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[R]: ...
    @overload
    def submit(self, method: Callable[Concatenate[E, P], R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]: ...
    @overload
    def submit(self, method: str, /, *args: Any, **kwargs: Any) -> Future[Any]: ...
    def submit(self, method: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Queue one call of an engine's method and return its future at once; never waits for the network.

        Raises `TypeError` when the arguments do not fit, `UnknownMethod`, `EncodeError` and `TooLarge` when they
        cannot travel, `ClientClosed` after `close`. Everything later is raised by the future.
        """
        found = self._methods.find(method)
        found.check(args, kwargs)
        payload = encode_call(args, kwargs, limit=self._queue.limits.args_bytes)
        return self._core.submit(found.name, payload, self._options)

    def map(
        self,
        method: Callable[Concatenate[E, X, ...], R] | str,
        items: Iterable[X],
        /,
        *,
        ordered: bool = True,
        window: int = WINDOW,
        kwargs: dict[str, Any] | None = None,
        return_exceptions: bool = False,
    ) -> Results[R]:
        """Call `method` once for each item, at most `window` jobs in flight; results in the order of the items.

        `ordered=False` yields each result as it comes. `return_exceptions=True` yields errors instead of raising.
        """
        call = functools.partial(self.submit, method, **(kwargs or {}))
        return Results(call, items, window=window, ordered=ordered, return_exceptions=return_exceptions)

    def options(self, **options: Any) -> Self:
        """The same client with other options for the jobs submitted through it; see `pullet.Options`."""
        other = object.__new__(type(self))  # not copy.copy: that would go through __reduce__ to another core
        other.__dict__.update(self.__dict__)
        other._options = Options(**{**vars(self._options), **options})
        return other

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until Redis has stored every job submitted so far; False when `timeout` seconds were not enough."""
        return self._core.flush(timeout)

    def close(self, wait: bool = True) -> None:
        """Wait for the open jobs (unless `wait` is False: they are cancelled), then let go of everything.

        A client that was unpickled shares its connections with the others of its process: it only flushes.
        """
        if self._shared:
            self._core.flush(CLOSE_S)
        else:
            self._core.close(wait)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self.close(wait=error is None)

    def __reduce__(self) -> tuple[Any, ...]:
        return _connect_again, (self._engine, self._queue, self._address, self._options)

    def __repr__(self) -> str:
        return f"<pullet.Client of {self._queue.name!r} at {self._address}>"


def _connect_again(engine: Any, queue: Queue, address: Address, options: Options) -> Client[Any]:
    """A client in the process that unpickles it. Ray opens one with every task: all of a queue share one core."""
    client: Client[Any] = Client.__new__(Client)
    client._engine, client._queue, client._address, client._options = engine, queue, address, options
    client._methods = Methods(engine)
    client._shared = True
    with _sharing:
        core = _shared_cores.get((queue.name, address))
        if core is None:
            core = _shared_cores[queue.name, address] = Core(queue, address)
    client._core = core
    return client


class Core:
    """What all `options` of one client share: the open jobs and the two threads. Starts at the first submit."""

    def __init__(self, queue: Queue, address: Address) -> None:
        self._queue, self._address = queue, address
        self._lock = threading.Lock()
        self._build()
        _cores.add(self)

    def _build(self) -> None:
        self._open: dict[bytes, Pending] = {}
        self._closed = False
        self._sender = Sender(self._queue, self._address, self._reject)
        self._receiver = Receiver(self._queue, self._address, self._sender.client, self._open)
        self._sender.on_identity = self._receiver.change_client
        self._sender.on_new_inbox = self._receiver.look
        self._sender.on_forgotten = self._settle_forgotten
        self._receiver.on_silence = self._sender.check_mark
        self._started = False

    def submit(self, method: str, payload: bytes, options: Options) -> Future[Any]:
        job = options.job(new_job_id(), method, payload)
        future: Future[Any] = Future(job.id, self._cancel)
        item = Pending(job, future, keep=options.keep is not False)
        if not self._started:
            self._start()
        self._open[job.id.encode()] = item
        try:
            self._sender.put(item)
        except PulletError:
            del self._open[job.id.encode()]
            raise
        return future

    def _start(self) -> None:
        with self._lock:
            if not self._started and not self._closed:
                self._receiver.start()
                self._started = True

    def flush(self, timeout: float | None) -> bool:
        return self._sender.flush(timeout)

    def close(self, wait: bool) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
        futures = [item.future for item in list(self._open.values())]
        if wait:
            wait_for_futures(futures)
        else:
            for future in futures:
                future.cancel()
            self._sender.flush(CLOSE_S)
        self._sender.close(CLOSE_S)
        self._receiver.close(CLOSE_S)
        for item in list(self._open.values()):
            self._reject(item, ClientClosed("the client was closed before the outcome came", job=item.future.job_id))

    def after_fork(self) -> None:
        """In a forked child: a new identity and new connections. The parent's jobs are the parent's."""
        self._lock = threading.Lock()
        self._build()

    def _cancel(self, job: str) -> None:
        item = self._open.pop(job.encode(), None)
        if item is not None and not self._sender.withdraw(job):
            self._sender.ask(cancel(self._queue, job))

    def _reject(self, item: Pending, error: PulletError) -> None:
        self._open.pop(item.future.job_id.encode(), None)
        try:
            item.future.set_exception(error)
        except InvalidStateError:
            return  # its owner cancelled it, or its reply came, before the rejection

    def _settle_forgotten(self, first: int, last: int) -> None:
        items = [item for item in list(self._open.values()) if first <= item.number <= last]
        if not items:
            return
        link = Link(self._address, f"pullet:{self._queue.name}:look")
        replies = link.execute("MGET", *(self._queue.keys.reply(item.future.job_id) for item in items))
        link.close()
        for item, raw in zip(items, replies, strict=True):
            if raw is not None:
                self._open.pop(item.future.job_id.encode(), None)
                resolve(item.future, raw, self._queue.limits)
            else:
                self._reject(item, _lost(item.future.job_id))


def _lost(job: str) -> JobLost:
    return JobLost(
        f"the server forgot job {job} after it had accepted it (restart without persistence, or FLUSHALL); submit it "
        "again if running it twice does no harm, and turn on appendonly",
        job=job,
    )


_cores: weakref.WeakSet[Core] = weakref.WeakSet()
_shared_cores: dict[tuple[str, Address], Core] = {}
_sharing = threading.Lock()


@atexit.register
def _flush_all() -> None:
    """What was submitted is stored before the process ends, also when nobody waits for the outcome."""
    for core in list(_cores):
        core.flush(CLOSE_S)


def _after_fork() -> None:
    for core in list(_cores):
        core.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
