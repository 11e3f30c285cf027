"""One caller process: submits its bursts, and notes what it submitted, what was accepted, and what it got.

When it is killed, another one goes on in its place: it asks for what its predecessor waited for by the jobs' ids, and
submits what that had not submitted.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import pickle
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pullet import Client, Future
from pullet_broker.address import Address
from pullet_broker.settings import Queue
from tests.chaos.engine import LARGE_BYTES, Work
from tests.chaos.history import Recorder, of_kind, read_history
from tests.chaos.plan import Plan, Task

FLUSH_S = 0.5
LOOKS = 32
"""Jobs of a predecessor that are asked for at once."""
AGAIN = 25
"""Kept replies that are read once more at the end."""


@dataclass(frozen=True)
class Part:
    """What one caller process is told."""

    plan: Plan
    queue: Queue
    address: Address
    folder: Path
    began_at: float
    index: int
    incarnation: int

    @property
    def who(self) -> str:
        return f"caller.{self.index}"


class Caller:
    def __init__(self, part: Part, client: Client[Any]) -> None:
        self._part, self._client = part, client
        self._recorder = Recorder(part.folder, part.who)
        self._futures: dict[str, Future[Any]] = {}
        self._unconfirmed: dict[str, Future[Any]] = {}
        self._kept: list[str] = []

    def run(self) -> bool:
        """True when every future has ended."""
        known = self._take_over()
        for burst in self._part.plan.bursts(self._part.index):
            fresh = [task for task in burst.tasks if task.number not in known]
            if fresh:
                self._wait_until(self._part.began_at + burst.at_s)
                for task in fresh:
                    self._submit(task)
            self._client.flush(FLUSH_S)
            self._confirm()
        end = self._part.began_at + self._part.plan.seconds + self._part.plan.drain_s
        self._client.flush(max(0.0, end - time.monotonic()))
        self._confirm()
        _, open_ = concurrent.futures.wait(self._futures.values(), max(0.0, end - time.monotonic()))
        for job in self._kept[:AGAIN]:
            future = self._find(job)
            _note_outcome(partial(self._recorder.note, "again", id=job), future, max(1.0, end - time.monotonic()))
        return not open_

    def _take_over(self) -> set[int]:
        """Wait for what a predecessor had submitted and not got. Returns the numbers of all that it submitted."""
        events = read_history(self._part.folder, self._part.who)
        got = {event["id"] for event in of_kind(events, "got", "found")}
        submitted = of_kind(events, "submit")
        open_ = [event["id"] for event in submitted if event["id"] not in got]
        with ThreadPoolExecutor(LOOKS) as looks:  # there may be thousands, and the next kill is not far
            for job, future in zip(open_, looks.map(self._find, open_), strict=True):
                self._futures[job] = future
                future.add_done_callback(partial(_note_outcome, partial(self._recorder.note, "found", id=job)))
        return {int(event["name"].partition(".")[0]) for event in submitted}

    def _find(self, job: str) -> Future[Any]:
        """Asked again while the server does not answer."""
        while True:
            with contextlib.suppress(TimeoutError):
                return self._client.job(job).future

    def _submit(self, task: Task) -> None:
        name = f"{task.number}.{self._part.incarnation}"
        options = self._client.options(
            priority=task.priority,
            key=task.key,
            delay=task.delay,
            keep=task.keep,
            when_full="wait" if task.number % 2 else "raise",
        )
        future = options.submit(task.kind, name, *_more(task, self._part.queue))
        self._recorder.note("submit", name=name, id=future.job_id, kind=task.kind)
        self._futures[future.job_id] = self._unconfirmed[future.job_id] = future
        future.add_done_callback(partial(_note_outcome, partial(self._recorder.note, "got", id=future.job_id)))
        if task.keep:
            self._kept.append(future.job_id)

    def _confirm(self) -> None:
        stored = [job for job, future in self._unconfirmed.items() if future.accepted]
        for job in stored:
            del self._unconfirmed[job]
        if stored:
            self._recorder.note("accepted", ids=stored)

    def _wait_until(self, at: float) -> None:
        threading.Event().wait(max(0.0, at - time.monotonic()))


def _more(task: Task, queue: Queue) -> tuple[Any, ...]:
    if task.kind == "large":
        return (bytes([task.number % 256]) * LARGE_BYTES,)
    return (1.5 * queue.lease.seconds,) if task.kind == "long" else ()


def _note_outcome(note: Callable[..., None], future: Future[Any], timeout_s: float = 0.0) -> None:
    """`value` is the execution's token, for what has one."""
    try:
        value = future.result(timeout_s)
    except (Exception, concurrent.futures.CancelledError) as error:
        token = error.args[1] if isinstance(error, ValueError) and len(error.args) == 2 else None
        note(outcome=type(error).__name__, value=token)
    else:
        note(outcome="ok", value=value[1])


def main() -> None:
    part: Part = pickle.loads(bytes.fromhex(sys.argv[1]))
    client: Client[Any] = Client(Work, part.queue, part.address)
    whole = Caller(part, client).run()
    client.close(wait=False)
    sys.exit(0 if whole else 1)


if __name__ == "__main__":
    main()
