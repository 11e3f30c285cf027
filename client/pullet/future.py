"""The handle of one job: a `concurrent.futures.Future` that can also be awaited."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from pullet import bridge
from pullet.condition import Condition
from pullet.html import seconds, table
from pullet.travelling import pickled
from pullet.waiting import PATIENCE_S, time_left
from pullet.wakeups import until_done
from pullet_broker.errors import RayMissing
from pullet_broker.progress import Progress, read_progress

log = logging.getLogger("pullet.client")

R = TypeVar("R")

PENDING, FINISHED = concurrent.futures._base.PENDING, concurrent.futures._base.FINISHED


class Future(concurrent.futures.Future[R]):
    """What `submit` returns. Use it as any other future: `result`, `wait`, `as_completed`, `await`, `gather`.

    `result()` raises what the engine raised, with the remote traceback as its cause. It pickles: to its outcome when
    that is here, else to a future in the other process that gets the same outcome.
    """

    accepted = False
    """Redis has stored the job. See also `Client.flush`."""
    attempts = 0
    """Which attempt brought the outcome; 0 until there is one."""
    worker: str | None = None
    """The consumer name of the worker that brought the outcome."""
    run_s: float | None = None
    """Seconds that the engine's method ran, in the attempt that brought the outcome."""
    wait_s: float | None = None
    """All other seconds from `submit` to the outcome: waiting, travelling, earlier attempts. None in a process that did
    not submit the job."""
    progress: Progress | None = None
    """What the engine said last of how far it is: see `RunningJob.report`."""
    build: Callable[[Any], Any] | None = None
    """Makes the value what the method's return annotation says, from the plain data that came."""
    since: float | None = None
    """When it was submitted, on the monotonic clock; None where that was elsewhere."""
    _state = PENDING
    _result: R | None = None
    _exception: BaseException | None = None
    _done_callbacks: Any = ()
    _asked = False
    _on_progress: tuple[Callable[[Progress], object], ...] = ()
    _reported = (0, 0)  # attempt and number of the last report

    def __init__(
        self, job_id: str, ask_to_cancel: Callable[..., object], share: Callable[[str], Any] | None = None
    ) -> None:
        """`ask_to_cancel` is called with the job's id, and with True beside it to stop it at any price."""
        # Not super().__init__(): the condition that it makes costs more than all the rest of a submit, and what most
        # futures never change is on the class. A test compares.
        self._condition: Any = Condition()
        self._waiters: Any = self._condition
        self.job_id = job_id
        self._ask_to_cancel = ask_to_cancel
        self._share = share

    def result(self, timeout: float | None = None) -> R:
        """The value, or raises what went wrong; `TimeoutError` after `timeout` seconds.

        In a Ray task a wait of more than some 50 ms gives the task's CPU to others until the outcome is here.
        """
        if self._state == FINISHED and self._exception is None:  # the state is set last, so it needs no lock
            return self._result  # type: ignore[return-value]
        started = time.monotonic()
        try:
            return super().result(PATIENCE_S if timeout is None or timeout > PATIENCE_S else timeout)
        except concurrent.futures.TimeoutError:
            pass  # the wait's, or the engine's own, which is raised below
        return super().result(self._wait(started, timeout))

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """What `result` would raise, or None. Waits as `result` does."""
        if self._state == FINISHED:
            return self._exception
        started = time.monotonic()
        try:
            return super().exception(PATIENCE_S if timeout is None or timeout > PATIENCE_S else timeout)
        except concurrent.futures.TimeoutError:
            pass
        return super().exception(self._wait(started, timeout))

    def set_result(self, result: R) -> None:
        """By whoever runs the job. Most futures have nobody to tell but threads that are in `result`."""
        condition = self._condition
        with condition:
            if self._state == PENDING and not self._done_callbacks and not condition.waiters:
                self._result, self._state = result, FINISHED
                if condition.blocked is not None:
                    condition.notify_all()
                return
        super().set_result(result)

    def add_done_callback(self, fn: Callable[[concurrent.futures.Future[R]], object]) -> None:
        """Call this with the future when it is done, in the thread that reads replies, or now: be quick."""
        with self._condition:
            self._done_callbacks = self._done_callbacks or []
        super().add_done_callback(fn)

    def add_progress_callback(self, call: Callable[[Progress], object]) -> None:
        """Call this with each report that comes, in the thread that reads replies: be quick. The last one is in
        `progress`; what was reported before, and what comes after the outcome, is not heard of."""
        self._on_progress = (*self._on_progress, call)

    def progressed(self, raw: bytes) -> None:
        """A report has come. One that is not newer than the last was read again."""
        found = read_progress(raw)
        if found is None or (found[0].attempt, found[1]) <= self._reported or self.done():
            return
        self.progress, self._reported = found[0], (found[0].attempt, found[1])
        for call in self._on_progress:
            try:
                call(found[0])
            except Exception:
                log.exception("a callback raised", extra={"future": self.job_id})

    def ref(self) -> Any:
        """A `ray.ObjectRef` of the outcome: for `ray.get`, which raises what `result` would, for `ray.wait`, and as an
        argument of Ray tasks, which then get the value. Each call makes an object of its own: share the reference.

        Raises `RayMissing` in a process that is not connected to Ray.
        """
        found = bridge.find()
        if found is None:
            raise RayMissing(
                "ref() needs Ray, and this process has not loaded it: call ray.init(), or use result(); if Ray is "
                "running here, import pullet_workers first"
            )
        return found.ref(self)

    def _wait(self, started: float, timeout: float | None) -> float | None:
        """Wait so that the time can be lent; returns what is left of `timeout`."""
        concurrent.futures.wait([self], time_left(started, timeout))
        return None if timeout is None else 0

    def __await__(self) -> Generator[Any, None, R]:
        """Cancelling the task that waits cancels the job."""
        if not self.done():
            try:
                yield from until_done(self)
            except asyncio.CancelledError:
                self.cancel()
                raise
        if self.cancelled():
            raise asyncio.CancelledError
        return self.result()

    def cancel(self, *, force: bool = False) -> bool:
        """Stop waiting for the job and ask that it does not run. False when its outcome is already here.

        A job that waits never starts. One that runs is stopped within milliseconds if it is an async method or a
        generator; a plain method cannot be interrupted and runs on in vain, unless `force` asks that its worker is
        replaced: jobs beside it are run again elsewhere. A job that was cancelled may be cancelled again with `force`.
        """
        ask = self.end_cancelled()
        if ask is not None:
            ask(self.job_id, *([True] if force else []))
        elif force and self.cancelled() and not self.attempts:  # with attempts, its end was told by the server
            self._ask_to_cancel(self.job_id, True)
        return self.cancelled()

    def end_cancelled(self) -> Callable[..., object] | None:
        """The job ended as cancelled. The first call gets the function that asks the server to cancel it."""
        if not super().cancel():
            return None
        with self._condition:
            first, self._asked = not self._asked, True
        if not first:
            return None
        self.set_running_or_notify_cancel()
        return self._ask_to_cancel

    def __reduce__(self) -> tuple[Any, ...]:
        return pickled(self, self._share)

    @property
    def _word(self) -> str:
        if self.done():
            return "cancelled" if self.cancelled() else "failed" if self.exception(0) else "done"
        return "accepted" if self.accepted else "sending"

    def __repr__(self) -> str:
        far = "" if self.progress is None or self.done() else f" {self.progress}"
        return f"<pullet.Future {self.job_id} {self._word}{far}>"

    def _repr_html_(self) -> str:
        rows: dict[str, object] = {"job": self.job_id, "state": self._word}
        if self.progress is not None and not self.done():
            rows["progress"] = self.progress
        if self.attempts:
            rows |= {"attempt": self.attempts, "worker": self.worker, "run time": seconds(self.run_s)}
            rows |= {} if self.wait_s is None else {"wait time": seconds(self.wait_s)}
        if self._word == "failed":
            rows["error"] = repr(self.exception(0))
        return table("pullet.Future", rows)


def _share_names() -> Future[Any]:
    """One future with every attribute that most get. Python keeps the names of attributes once for all instances of a
    class, but takes up no new one when many were made without it; whoever gets that one later has a `dict` of its own,
    one more object for the garbage collector to look at."""
    future: Future[Any] = Future("", lambda job: None)
    future.build = future.since = future.worker = future.run_s = future.wait_s = None
    future.accepted, future.attempts = True, 0
    future.set_result(None)
    return future


SETTLED = _share_names()
"""One that has its outcome."""
