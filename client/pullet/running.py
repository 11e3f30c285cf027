"""What the code of an engine can ask about the job that it runs: `current_job`. Set by whoever runs it."""

from __future__ import annotations

import math
from collections import deque
from contextvars import ContextVar

from pullet_broker.errors import NoJob
from pullet_broker.progress import TEXT, Progress

LINES = 20
"""Lines of its log that a job keeps."""


class RunningJob:
    """One attempt at a job, seen from inside the engine."""

    __slots__ = ("_lines", "attempt", "id", "method")

    def __init__(self, id: str, attempt: int, method: str) -> None:
        self.id = id
        """The job's id, as in `Future.job_id`: the same in every attempt, so what outside effects are guarded with."""
        self.attempt = attempt
        """1 at first; more after a retry, or after a worker died with it."""
        self.method = method
        self._lines: deque[str] | None = None

    @property
    def deadline(self) -> float | None:
        """When `options(timeout=)` ends this attempt, on the clock of `time.monotonic()`; None without one."""
        return None

    def report(self, fraction: float, text: str = "") -> None:
        """Tell the caller how far the job is: 0 to 1, and what it does (up to 200 characters are sent).

        It is seen as `Future.progress` and `client.job(id).progress`. Cheap, and may be called often: at most ten
        reports a second are sent, in the background, the newest always. After the end of the attempt it does nothing.
        """
        if not (math.isfinite(fraction) and 0 <= fraction <= 1):
            raise ValueError(f"report({fraction!r}): expected a fraction from 0 to 1")
        self._tell(Progress(float(fraction), text[:TEXT], self.attempt))

    def _tell(self, progress: Progress) -> None:
        raise NotImplementedError

    def note(self, line: str) -> None:
        """Keep a line of the log that belongs to this job."""
        if self._lines is None:
            self._lines = deque(maxlen=LINES)
        self._lines.append(line)

    @property
    def log(self) -> str:
        """The last lines of its log."""
        return "\n".join(self._lines or ())

    def __repr__(self) -> str:
        return f"<pullet.RunningJob {self.id} {self.method} attempt {self.attempt}>"


_running: ContextVar[tuple[RunningJob, ...]] = ContextVar("pullet_running", default=())


def current_job() -> RunningJob:
    """The job that this code runs for: in the method of an engine, and in what it calls, awaits and yields from.

    A thread that the engine starts belongs to no job: give it the object. Raises `NoJob` outside of a job, and in a
    batch method that was given several: see `current_jobs`.
    """
    jobs = _running.get()
    if len(jobs) == 1:
        return jobs[0]
    if jobs:
        raise NoJob(f"this call of a batch method serves {len(jobs)} jobs at once: use current_jobs()")
    raise NoJob(
        "current_job() is for the methods of an engine while a worker, or an InlinePool, runs them; a thread that the "
        "engine has started belongs to no job: give it the object"
    )


def current_jobs() -> tuple[RunningJob, ...]:
    """The jobs of this call, in the order of the items that a batch method was given; empty outside of a job."""
    return _running.get()


enter = _running.set
"""From here to `leave` of what it returns, what this thread or task does belongs to these jobs (a tuple). Both are
called for every job, so nothing is put around them."""
leave = _running.reset
