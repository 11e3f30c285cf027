"""`InlinePool`: a client whose jobs run in the caller, at once, with the encoding and the errors of the real way."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from pullet.client import Client
from pullet.connecting import queue_name
from pullet.future import Future
from pullet.method import Methods
from pullet.options import Options, OptionWords
from pullet.resolve import resolve
from pullet.retrying import names_of
from pullet.running import RunningJob, enter, leave
from pullet.stream import Stream
from pullet.testing.calling import Ended, run
from pullet.testing.streaming import InlineArrivals
from pullet_broker.errors import ClientClosed, JobTimeout
from pullet_broker.failure import overran
from pullet_broker.job import new_job_id
from pullet_broker.progress import Progress
from pullet_broker.reply import pack_failure, pack_reply
from pullet_broker.retrying import is_worth_a_retry
from pullet_broker.settings import Codec, Queue

if TYPE_CHECKING:
    from pullet.dead import DeadLetters
    from pullet_broker.link import Link
    from pullet_broker.scripting import Call

E = TypeVar("E")

WORKER = "inline"
NO_SERVER = "an InlinePool has no server to ask; look at the future"


class InlinePool(Client[E]):
    """Usable wherever a `Client` or a `Pool` is, for tests: builds one engine here, and `submit` runs the job.

    Arguments and results go through the codec, and errors come back as they do from a worker, so that what works here
    works there. A job that raised is run again at once, as often as its options allow it. One that took longer than its
    `timeout` ends as `JobTimeout`: an async method then, any other when it is through. A second submit with the same
    `id` is the same job. A generator that is streamed runs as its reader asks for items. Other options do nothing, jobs
    cannot be cancelled because they are done when `submit` returns, and the pool does not pickle. It has no server and
    so no dead letters and no pause: these raise `NotImplementedError`. Not for engines that must not share a thread
    with their caller.
    """

    def __init__(
        self,
        engine: Callable[[], E],
        *,
        queue: str | Queue | None = None,
        defaults: OptionWords | None = None,
        codec: Codec | None = None,
    ) -> None:
        self._engine = engine
        self._queue = Queue.of(queue or queue_name(engine), codec)
        self._address: Any = "this process"
        self._methods = Methods(engine)
        self._give(defaults or OptionWords())
        self._shared = False
        self._core: Any = InlineCore(engine(), self._queue)

    @property
    def engine(self) -> E:
        """The engine itself, to look into."""
        found: E = self._core.engine
        return found

    def workers(self) -> list[dict[str, Any]]:
        """One record, as that of a `Pool`."""
        return [{"name": WORKER, "state": "idle", "done": self._core.done, "failed": self._core.failed}]

    @property
    def dead(self) -> DeadLetters:
        raise NotImplementedError(NO_SERVER)

    def _asking(self) -> contextlib.closing[Link]:
        raise NotImplementedError(NO_SERVER)

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("an InlinePool lives in one process; use a Pool where jobs shall come from others")


class InlineJob(RunningJob):
    """Its reports are in the future at once."""

    __slots__ = ("_options", "began", "future")

    def __init__(self, future: Future[Any], attempt: int, method: str, options: Options) -> None:
        super().__init__(future.job_id, attempt, method)
        self.future, self._options, self.began = future, options, time.monotonic()

    @property
    def limit_s(self) -> float | None:
        return self._options.timeout

    @property
    def deadline(self) -> float | None:
        return None if self.limit_s is None else self.began + self.limit_s

    def may_be_tried_again(self, error: BaseException) -> bool:
        options = self._options
        names = names_of(options.retry_on), names_of(options.no_retry_on)
        return self.attempt <= options.retries and is_worth_a_retry(error, *names)

    def _tell(self, progress: Progress) -> None:
        if not self.future.done():
            self.future.progress = progress


class InlineCore:
    """Takes the place of a client's connections: runs jobs instead of sending them."""

    open_jobs = 0

    def __init__(self, engine: Any, queue: Queue) -> None:
        self.engine, self.done, self.failed = engine, 0, 0
        self.queue = queue
        self._futures: dict[str, Future[Any]] = {}
        self._one_at_a_time = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def submit(
        self, method: str, payload: bytes, options: Options, build: Callable[[Any], Any] | None = None
    ) -> Future[Any]:
        self._check_open()
        if options.id is not None and options.id in self._futures:
            return self._futures[options.id]
        future: Future[Any] = Future(options.id or new_job_id(), lambda job: None)
        future.build, future.accepted = build, True
        with self._one_at_a_time:  # a worker runs one job at a time; the lock lets an engine submit to its own pool
            job = InlineJob(future, 1, method, options)
            while not self.settle(job, self._attempt(job, payload)):
                job = InlineJob(future, job.attempt + 1, method, options)
        if options.keeps:
            self._futures[future.job_id] = future
        return future

    def stream(
        self, method: str, payload: bytes, options: Options, build: Callable[[Any], Any] | None = None
    ) -> Stream[Any]:
        self._check_open()
        future: Future[Any] = Future(new_job_id(), lambda job, force=False: arrivals.close())
        future.accepted = True
        arrivals = InlineArrivals(future, self, lambda attempt: InlineJob(future, attempt, method, options), payload)
        return Stream(future, arrivals, self.queue, build)

    def settle(self, job: InlineJob, ended: Ended) -> bool:
        """Give its future the outcome, as a worker would commit it. False: it is to be run again."""
        run_s, (outcome, encoded, error) = time.monotonic() - job.began, ended
        if job.limit_s is not None and run_s > job.limit_s:
            failure = overran(job.method, job.limit_s)
            outcome, encoded, error = "error", pack_failure(failure), JobTimeout(failure.text)
        self.done, self.failed = self.done + (outcome == "ok"), self.failed + (outcome != "ok")
        if error is not None and job.may_be_tried_again(error):
            return False
        packed = pack_reply(outcome, job.attempt, WORKER, int(run_s * 1e6), encoded)
        resolve(job.future, packed if isinstance(packed, bytes) else b"".join(packed), self.queue)
        return True

    def attach(self, job: str) -> Future[Any]:
        """A job that was submitted with `keep`."""
        return self._futures.get(job) or Future(job, lambda job: None)

    def ask(self, call: Call[Any], timeout: float) -> Any:
        raise NotImplementedError(NO_SERVER)

    def flush(self, timeout: float | None) -> bool:
        return True

    def refuse(self) -> None:
        self._closed = True

    def close(self, wait: bool) -> None:
        if not self._closed:
            self._closed = True
            close = getattr(self.engine, "close", None)
            if callable(close):
                close()
        if self._loop is not None:
            self._loop.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ClientClosed("submit after close; make another pool", queue=self.queue.name)

    def _attempt(self, job: InlineJob, payload: bytes) -> Ended:
        token = enter((job,))
        try:
            return run(self.engine, job.method, payload, self.queue, lambda one: self.wait(_limited(one, job.limit_s)))
        finally:
            leave(token)

    def wait(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """On a loop of the pool's own, in a thread of its own where the caller has a loop running."""
        loop = self._loop = self._loop or asyncio.new_event_loop()
        found: list[Any] = []
        errors: list[BaseException] = []

        def wait() -> None:
            try:
                found.append(loop.run_until_complete(coroutine))
            except BaseException as error:  # raised again below, in the caller's thread
                errors.append(error)

        thread = threading.Thread(target=copy_context().run, args=(wait,), name="pullet-inline")
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return found[0]


async def _limited(coroutine: Coroutine[Any, Any, Any], limit_s: float | None) -> Any:
    """Cancelled when it takes longer."""
    task = asyncio.ensure_future(coroutine)
    done, _ = await asyncio.wait([task], timeout=limit_s)
    if not done:
        task.cancel()
        await asyncio.wait([task])
        return None  # whatever it says: the clock tells the same
    return task.result()
