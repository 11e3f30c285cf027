"""What all handles of one client share: the open jobs, the sender and the receiver; and what happens to it at a fork,
in another process, and at the end of the program."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future as PlainFuture
from concurrent.futures import InvalidStateError
from concurrent.futures import wait as wait_for_futures
from typing import Any, TypeVar

from pullet.arrivals import Arrivals
from pullet.expiry import Expiry
from pullet.future import Future
from pullet.options import Options
from pullet.outbox import Pending
from pullet.receiver import Receiver
from pullet.resolve import resolve
from pullet.sender import Sender
from pullet.stream import Stream
from pullet.waiting import PATIENCE_S, lend_during
from pullet_broker.address import Address
from pullet_broker.errors import ClientClosed, JobLost, PulletError, QueueFull
from pullet_broker.job import Job, new_job_id
from pullet_broker.link import Link
from pullet_broker.moves.cancel import cancel
from pullet_broker.moves.finding import watch
from pullet_broker.parts import Buffer
from pullet_broker.scripting import Call
from pullet_broker.settings import Queue
from pullet_broker.tracing import is_used

T = TypeVar("T")

CLOSE_S = 5.0
"""How long closing waits for what is on its way to the server."""


class Core:
    """The open jobs of one client identity, and the two threads, which start at the first submit."""

    def __init__(self, queue: Queue, address: Address) -> None:
        self._queue, self._address = queue, address
        self._lock = threading.Lock()
        self._build()
        _cores.add(self)

    def _build(self) -> None:
        self._open: dict[bytes, Pending] = {}
        self._closed = self._refuses = False
        self._sender = Sender(self._queue, self._address, self._reject)
        self._receiver = Receiver(self._queue, self._address, self._sender.client, self._open)
        self._sender.on_identity = self._receiver.change_client
        self._sender.on_new_inbox = self._receiver.look
        self._sender.on_forgotten = self._settle_forgotten
        self._receiver.on_refusal = self._end_accepted
        self._receiver.on_doubt = self._sender.check_mark
        self._expiry = Expiry(self._queue, self._open, self._sender.ask, self._sender.withdraw, self._reject)
        self._hooks = self._cancel, self._share  # bound once: each open job would keep two objects more
        self._started = False

    def submit(
        self, method: str, payload: Buffer, options: Options, build: Callable[[Any], Any] | None = None
    ) -> Future[Any]:
        if self._refuses:
            raise ClientClosed("submit after close; connect again", queue=self._queue.name)
        job = options.job(options.id or new_job_id(), method, payload)
        future: Future[Any] = Future(job.id, *self._hooks)
        future.build, future.since = build, time.monotonic()
        return self._put(Pending(job, future, options.keeps, None, options.waits, options.hasty))

    def stream(
        self, method: str, payload: Buffer, options: Options, build: Callable[[Any], Any] | None = None
    ) -> Stream[Any]:
        if self._refuses:
            raise ClientClosed("submit after close; connect again", queue=self._queue.name)
        job = options.job(new_job_id(), method, payload, stream=True)
        future: Future[Any] = Future(job.id, *self._hooks)
        future.since = time.monotonic()
        arrivals = Arrivals(future)
        self._put(Pending(job, future, options.keeps, arrivals, options.waits, options.hasty))
        return Stream(future, arrivals, self._queue, build)

    def _put(self, item: Pending) -> Future[Any]:
        """Its future: that of an open job where this one has the same id, which its caller chose."""
        if not self._started:
            self._start()
        if is_used():
            from pullet.spans import with_trace

            item.job.opts = with_trace(self._queue.name, item.job)
        job, future = item.job.id.encode(), item.future  # which is let go of when the outcome comes: maybe at once
        while (known := self._open.setdefault(job, item)) is not item:
            if (shared := known.future).job_id == future.job_id:
                return shared
        try:
            self._sender.put(item, alone=len(self._open) == 1)
        except PulletError:
            del self._open[job]
            raise
        if item.job.expires_ms:
            self._expiry.watch(item)
        return future

    def attach(self, job: str) -> Future[Any]:
        """A future of a job that anybody submitted. Its reply is left to its TTL: others may wait for it too."""
        item = self._open.get(job.encode())
        if item is not None and (shared := item.future).job_id == job:  # else its outcome has just come
            return shared
        future: Future[Any] = Future(job, *self._hooks)
        future.accepted = True
        if not self._started:
            self._start()
        item = self._open[job.encode()] = Pending(Job(job, "", b""), future, keep=True)
        asked = self._sender.ask(watch(self._queue, job, self._sender.client))
        asked.add_done_callback(lambda done: self._watched(item, done))
        return future

    def _watched(self, item: Pending, asked: PlainFuture[str]) -> None:
        error = asked.exception()
        if isinstance(error, PulletError):
            self._reject(item, error)
        elif asked.result() == "FULL":
            text = "too many clients wait for this job already; wait in one of them"
            self._reject(item, QueueFull(f"{text} (job {item.future.job_id})", job=item.future.job_id))

    def give_up(self, future: Future[Any], error: PulletError) -> None:
        """The job of this future cannot end; whoever waits for it hears why."""
        item = self._open.get(future.job_id.encode())
        if item is not None and item.future is future:
            self._reject(item, error)

    def _share(self, job: str) -> tuple[Queue, Address] | None:
        """Somebody else will read the reply, so that ours is not to delete it; None when it is being read now."""
        item = self._open.get(job.encode())
        if item is None:
            return None
        item.keep = True
        return (self._queue, self._address) if job.encode() in self._open else None

    def ask(self, call: Call[T], timeout: float) -> T:
        """Run a script, and wait for its answer: `TimeoutError` after `timeout` seconds without the server."""
        answer: T = self._sender.ask(call).result(timeout)
        return answer

    @property
    def open_jobs(self) -> int:
        """Jobs without an outcome."""
        return len(self._open)

    def _start(self) -> None:
        with self._lock:
            if not self._started and not self._closed:
                self._receiver.start()
                self._started = True

    def flush(self, timeout: float | None) -> bool:
        if self._sender.flush(PATIENCE_S if timeout is None else min(timeout, PATIENCE_S)):
            return True
        left = None if timeout is None else max(0.0, timeout - PATIENCE_S)
        return left != 0 and lend_during(lambda: self._sender.flush(left))

    def refuse(self) -> None:
        """From now on `submit` raises; the open jobs go on."""
        self._refuses = True

    def close(self, wait: bool) -> None:
        self.refuse()
        with self._lock:
            if self._closed:
                return
            self._closed = True
        items = list(self._open.values())
        if wait:
            wait_for_futures([item.future for item in items])
        else:
            for item in items:
                if item.is_own:
                    item.future.cancel()
        self._sender.flush(CLOSE_S)  # also what was asked for by the way, as to cancel the job of a loop that was left
        self._expiry.close(CLOSE_S)
        self._sender.close(CLOSE_S)
        self._receiver.close(CLOSE_S)
        for item in list(self._open.values()):
            self._reject(item, ClientClosed("the client was closed before the outcome came", job=item.future.job_id))

    def detach(self) -> None:
        """Let go of the open jobs, which go on without us, and close."""
        self.refuse()
        self._sender.flush(CLOSE_S)
        for item in list(self._open.values()):
            job = item.future.job_id
            self._reject(item, ClientClosed(f"the client let go of job {job}, which goes on", job=job))
        self.close(wait=False)

    def after_fork(self) -> None:
        """In a forked child: a new identity and new connections. The parent's jobs are the parent's."""
        self._lock = threading.Lock()
        self._build()

    def _cancel(self, job: str, force: bool = False) -> None:
        item = self._open.pop(job.encode(), None)
        if (item is not None or force) and not self._sender.withdraw(job):
            self._sender.ask(cancel(self._queue, job, force=force))

    def _reject(self, item: Pending, error: PulletError) -> None:
        self._open.pop(item.future.job_id.encode(), None)
        try:
            item.future.set_exception(error)
        except InvalidStateError:
            return  # its owner cancelled it, or its reply came, before the rejection

    def _end_accepted(self, error: PulletError) -> None:
        """Nobody can tell us how these end. They go on, and `job` finds them again."""
        for item in [item for item in list(self._open.values()) if item.future.accepted]:
            self._reject(item, error)

    def _settle_forgotten(self, first: int, last: int) -> None:
        items = [item for item in list(self._open.values()) if first <= item.number <= last]
        if not items:
            return
        with contextlib.closing(Link.to(self._queue, self._address, "look")) as link:
            replies = link.execute("MGET", *(self._queue.keys.reply(item.future.job_id) for item in items))
        for item, raw in zip(items, replies, strict=True):
            if raw is not None:
                self._open.pop(item.future.job_id.encode(), None)
                resolve(item.future, raw, self._queue)
            else:
                self._reject(item, _lost(item.future.job_id))


def _lost(job: str) -> JobLost:
    return JobLost(
        f"the server forgot job {job} after it had accepted it (restart without persistence, or FLUSHALL); submit it "
        "again if running it twice does no harm, and turn on appendonly",
        job=job,
    )


_cores: weakref.WeakSet[Core] = weakref.WeakSet()
_shared: dict[tuple[str, Address], Core] = {}
_sharing = threading.Lock()


def shared_core(queue: Queue, address: Address) -> Core:
    """The one core of a queue for all clients that this process unpickles. Ray opens one with every task."""
    with _sharing:
        core = _shared.get((queue.name, address))
        if core is None:
            core = _shared[queue.name, address] = Core(queue, address)
    return core


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
