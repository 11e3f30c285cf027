"""What a caller is measured at. Runs in the environment of the system; only the standard library.

An adapter brings a caller, whose methods are all plain or all coroutine functions:

    submit(task, values) -> handles     one job a value, as its documentation recommends for many
    result(handle) -> value             wait for one
    close()

A measurement returns plain data. Times are seconds of the machine's monotonic clock, which its processes share.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

TICK_S = 0.001
"""To sleep for less costs the caller more than to submit."""


@contextlib.contextmanager
def lean() -> Iterator[None]:
    """What is here already, as imports and the lists of the measurement, is not looked through again by the garbage
    collector: that took 25 to 45 ms at a time, and was the 99th percentile of every system."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def is_right(task: str, sent: Any, got: Any) -> bool:
    if task == "echo":
        return bool(got == sent)
    return isinstance(got, (list, tuple)) and len(got) == 2


class PlainCalls:
    """Measures a caller with plain methods."""

    def __init__(self, caller: Any) -> None:
        self._caller = caller

    def many(self, task: str, values: list[Any]) -> dict[str, Any]:
        """Submit all, then wait for all."""
        begun = time.monotonic()
        answers, errors = [], []
        for handle in self._caller.submit(task, values):
            try:
                answers.append(self._caller.result(handle))
            except Exception as error:
                answers.append(None)
                errors.append(f"{type(error).__name__}: {error}"[:300])
        ended = time.monotonic()
        return _summary(task, values, answers, errors) | {"begun": begun, "ended": ended}

    def one_by_one(self, count: int, value: Any) -> dict[str, Any]:
        """Submit to result, each after the one before."""
        seconds, answers = [], []
        for _ in range(count):
            begun = time.perf_counter()
            answers.append(self._caller.result(self._caller.submit("echo", [value])[0]))
            seconds.append(time.perf_counter() - begun)
        return _summary("echo", [value] * count, answers, []) | {"seconds": seconds}

    def echo_size(self, size: int, count: int) -> dict[str, Any]:
        """The same with so many bytes, after one that does not count."""
        value = os.urandom(size)
        self.one_by_one(1, value)
        return self.one_by_one(count, value)

    def at_rate(self, rate: float, jobs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Submit each at its time, whatever became of those before; those due within a millisecond go together.

        For each kind of job another thread waits for one after the other: jobs of one length end about in their order,
        and a long one must not keep the clock of the tiny ones running.
        """
        waiting: dict[str, SimpleQueue[Any]] = {task: SimpleQueue() for task, _ in jobs}
        found: list[tuple[Any, float]] = [(None, 0.0)] * len(jobs)
        counts = {task: sum(task == other for other, _ in jobs) for task in waiting}
        collectors = [
            threading.Thread(target=self._collect, args=(waiting[task], counts[task], found)) for task in waiting
        ]
        with lean():
            for collector in collectors:
                collector.start()
            start = time.monotonic()
            for place, (task, value) in enumerate(jobs):
                due = start + place / rate
                if (early := due - time.monotonic()) > 0:
                    time.sleep(max(early, TICK_S))
                waiting[task].put((place, due, self._caller.submit(task, [value])[0]))
            for collector in collectors:
                collector.join()
        return _open_summary(jobs, found)

    def _collect(self, waiting: SimpleQueue[Any], count: int, found: list[tuple[Any, float]]) -> None:
        for _ in range(count):
            place, due, handle = waiting.get()
            try:
                answer = self._caller.result(handle)
            except Exception:  # counted as a wrong answer
                answer = None
            found[place] = answer, time.monotonic() - due

    def close(self) -> None:
        self._caller.close()


class AsyncCalls:
    """Measures a caller with coroutine methods, on the loop it was made for."""

    def __init__(self, caller: Any, run: Callable[[Any], Any]) -> None:
        self._caller, self._run = caller, run

    def many(self, task: str, values: list[Any]) -> dict[str, Any]:
        return dict(self._run(self._many(task, values)))

    async def _many(self, task: str, values: list[Any]) -> dict[str, Any]:
        begun = time.monotonic()
        handles = await self._caller.submit(task, values)
        found = await asyncio.gather(*map(self._caller.result, handles), return_exceptions=True)
        ended = time.monotonic()
        errors = [f"{type(one).__name__}: {one}"[:300] for one in found if isinstance(one, BaseException)]
        return _summary(task, values, found, errors) | {"begun": begun, "ended": ended}

    def one_by_one(self, count: int, value: Any) -> dict[str, Any]:
        return dict(self._run(self._one_by_one(count, value)))

    async def _one_by_one(self, count: int, value: Any) -> dict[str, Any]:
        seconds, answers = [], []
        for _ in range(count):
            begun = time.perf_counter()
            answers.append(await self._caller.result((await self._caller.submit("echo", [value]))[0]))
            seconds.append(time.perf_counter() - begun)
        return _summary("echo", [value] * count, answers, []) | {"seconds": seconds}

    def at_rate(self, rate: float, jobs: list[tuple[str, Any]]) -> dict[str, Any]:
        with lean():
            return dict(self._run(self._at_rate(rate, jobs)))

    async def _at_rate(self, rate: float, jobs: list[tuple[str, Any]]) -> dict[str, Any]:
        start, tasks = time.monotonic(), []
        for n, (task, value) in enumerate(jobs):
            due = start + n / rate
            if (early := due - time.monotonic()) > 0:
                await asyncio.sleep(max(early, TICK_S))
            tasks.append(asyncio.create_task(self._one(task, value, due)))
        return _open_summary(jobs, await asyncio.gather(*tasks))

    async def _one(self, task: str, value: Any, due: float) -> tuple[Any, float]:
        try:
            answer = await self._caller.result((await self._caller.submit(task, [value]))[0])
        except Exception:  # counted as a wrong answer
            answer = None
        return answer, time.monotonic() - due

    def close(self) -> None:
        self._run(self._caller.close())


def _summary(task: str, values: list[Any], answers: list[Any], errors: list[str]) -> dict[str, Any]:
    wrong = sum(not is_right(task, sent, got) for sent, got in zip(values, answers, strict=True))
    found = {"jobs": len(values), "wrong": wrong, "errors": sorted(set(errors))[:3]}
    return found | ({"answers": [a for a in answers if isinstance(a, (list, tuple))]} if task == "nap" else {})


def _open_summary(jobs: list[tuple[str, Any]], found: list[tuple[Any, float]]) -> dict[str, Any]:
    wrong = sum(not is_right(task, sent, got) for (task, sent), (got, _) in zip(jobs, found, strict=True))
    seconds = [took for (task, _), (_, took) in zip(jobs, found, strict=True) if task == "echo"]
    return {"jobs": len(jobs), "wrong": wrong, "errors": [], "seconds": seconds}
