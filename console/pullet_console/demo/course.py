"""What happens between the first worker and the verdict: the callers start, one worker dies, the answers come."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

import ray
from typing_extensions import Self

from pullet_console.demo.callers import Answer
from pullet_console.demo.collect import Caller
from pullet_console.demo.engine import Digits
from pullet_console.demo.interrupt import Interrupt
from pullet_console.demo.reference import Reference
from pullet_console.demo.strike import Strike, strike
from pullet_console.demo.verdict import Verdict, judge, last_rerun
from pullet_console.demo.watch import Picture, Watch
from pullet_workers import Pool

LOOK_S = 0.25
LEAD_S = 1.5
"""What the callers have to get ready: all begin at once, and no process starts up beside the first jobs."""
SILENCE_S = 30.0
"""Without an answer for this long the demo gives up."""


class View(Protocol):
    """What `view.TerminalView` and `plain.PlainView` both are."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def say(self, text: str, lines: Sequence[str] = ()) -> None: ...
    def show(self, picture: Picture) -> None: ...
    def conclude(self, verdict: Verdict, lines: Sequence[str]) -> None: ...


class Course:
    """One run of the callers through the pool."""

    def __init__(self, pool: Pool[Digits], callers: Sequence[Caller], view: View, interrupt: Interrupt) -> None:
        self._pool, self._callers, self._view, self._interrupt = pool, callers, view, interrupt
        self._strike: Strike | None = None
        self._problems: list[str] = []

    def run(self, workers: int, reference: Reference) -> Verdict:
        with Watch(self._pool, self._callers) as self._watch:
            self._await_workers(workers)
            begin = time.time() + LEAD_S
            for caller in self._callers:
                caller.start(begin)
            self._await_answers(half=len(reference.direct) // 2)
        ends = [f"the {caller.name} ended early: {caller.error}" for caller in self._callers if caller.error]
        return judge(self._answers(), reference.direct, reference.labels, self._strike, [*self._problems, *ends])

    def _await_workers(self, workers: int) -> None:
        """The pool is open when one worker is ready; here all of them are wanted."""
        while self._watch.ready < workers:
            self._show()

    def _await_answers(self, half: int) -> None:
        done, since = 0, time.monotonic()
        while not all(caller.is_over for caller in self._callers):
            if self._watch.done > done:
                done, since = self._watch.done, time.monotonic()
            if time.monotonic() - since > SILENCE_S:
                self._problems.append(f"no answer came for {SILENCE_S:g} s")
                return
            if done >= half and not (self._strike or self._problems):
                self._kill_one()
            self._show()

    def _kill_one(self) -> None:
        try:
            self._strike = strike(self._pool, ray.get_runtime_context().get_node_id())
        except RuntimeError as error:
            self._problems.append(str(error))
            return
        self._watch.killed = self._strike.worker

    def _news(self) -> list[str]:
        if self._strike is None:
            return []
        died = f"kill -9 {self._strike.pid}: {self._strike.worker} died with job {self._strike.job[-8:]} in hand"
        again = last_rerun(self._answers())
        if again is None:
            return [died]
        return [died, f"the job ran again {(again[1]['started'] - self._strike.at) * 1000:.0f} ms later"]

    def _answers(self) -> list[Answer]:
        return [answer for caller in self._callers for answer in list(caller.answers)]

    def _show(self) -> None:
        self._view.show(self._watch.look(self._news()))
        self._interrupt.wait(LOOK_S)
