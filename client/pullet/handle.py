"""Find any job of a queue again by its id, whoever submitted it."""

from __future__ import annotations

from typing import Any

from pullet.core import Core
from pullet.future import Future
from pullet.html import seconds, table
from pullet_broker.errors import JobLost
from pullet_broker.moves.finding import Found, search
from pullet_broker.progress import Progress, read_progress
from pullet_broker.reply import read_reply
from pullet_broker.settings import Queue

ASK_S = 10.0
"""How long a look waits for a server that does not answer."""
LOOKS = 500
"""Pages of entries that are looked through for one job."""


class JobHandle:
    """One job. `state` asks the server each time (on an event loop: in a thread); `result` waits for the outcome.

    States: waiting, delayed, running (taken by a worker), done, failed, cancelled, expired, and unknown: it never was,
    or its reply was read by the client that submitted it, or outlived its TTL. To an account that may not read the jobs
    of others (the role `client`) a job without an outcome is hidden: it waits, or runs, or is unknown.
    """

    def __init__(self, core: Core, queue: Queue, job_id: str) -> None:
        self.job_id = job_id
        self.attempts = 0
        """Which attempt it was at the last look; 0 before the first look, and of an unknown job."""
        self.worker: str | None = None
        """The consumer name of the worker that runs it, or brought its outcome, at the last look."""
        self.run_s: float | None = None
        """Seconds that it ran, once there is an outcome."""
        self.progress: Progress | None = None
        """What its engine had said of how far it is, at the last look."""
        self._core, self._queue = core, queue
        self._future: Future[Any] | None = None

    @property
    def state(self) -> str:
        """Look now. Raises `TimeoutError` when the server does not answer for 10 s."""
        known = self._future
        if known is not None and known.done() and known.attempts:
            self.attempts, self.worker, self.run_s = known.attempts, known.worker, known.run_s
        if known is not None and known.done():
            return "cancelled" if known.cancelled() else "failed" if known.exception(0) else "done"
        return self._state_of(self._look())

    @property
    def future(self) -> Future[Any]:
        """A future of its outcome; cancelling it cancels the job. Its error is `JobLost` when the job is unknown.

        Looks once, as `state` does.
        """
        if self._future is None:
            self._future = self._core.attach(self.job_id)
            # asked after `attach` asked for the reply: a job that ends between the two is not taken for unknown
            if self._future.accepted and self._state_of(self._look()) == "unknown":
                text = (
                    f"job {self.job_id} is unknown in queue {self._queue.name!r}: it never was, its submitter has read "
                    "its reply, or the reply's time is over; submit with options(keep=True) what others shall read"
                )
                self._core.give_up(self._future, JobLost(text, job=self.job_id))
        return self._future

    def result(self, timeout: float | None = None) -> Any:
        """Wait for its outcome as `Future.result` does. Raises `JobLost` when the server knows no such job."""
        return self.future.result(timeout)

    def cancel(self, *, force: bool = False) -> bool:
        """Ask that it does not run, or stops, as `Future.cancel` does; False when its outcome is here already."""
        return self.future.cancel(force=force)

    def _look(self) -> Found:
        return search(self._queue, self.job_id, lambda call: self._core.ask(call, ASK_S), LOOKS)

    def _state_of(self, found: Found) -> str:
        self.attempts, self.worker = found.attempt, found.consumer or None
        said = read_progress(found.progress)
        self.progress = said[0] if said else None
        if found.where == "reply":
            reply = read_reply(found.head.encode() + b"\n")
            self.attempts, self.worker, self.run_s = reply.attempt, reply.worker, reply.run_us / 1e6
            return reply.state
        if found.where == "parked":
            return "delayed"
        if found.where == "hidden":
            return "hidden"
        if found.where == "lane":
            return "running" if found.consumer else "waiting"
        return "unknown"

    def __repr__(self) -> str:
        return f"<pullet.JobHandle {self.job_id} of {self._queue.name!r}>"

    def _repr_html_(self) -> str:
        rows: dict[str, object] = {"job": self.job_id, "queue": self._queue.name, "state": self.state}
        if self.attempts:
            rows |= {"attempt": self.attempts, "worker": self.worker or "-"}
        if self.run_s is not None:
            rows["run time"] = seconds(self.run_s)
        if self.progress is not None:
            rows["progress"] = self.progress
        return table("pullet.JobHandle", rows)
