"""Who runs entries beside the thread that takes: threads for plain methods, an event loop for async ones."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pullet_broker.job import Entry
from pullet_workers.batching import run_batch, run_batch_async
from pullet_workers.engine import Done, Engine, wait_for
from pullet_workers.event_loop import EventLoop
from pullet_workers.threads import Threads
from pullet_workers.traits import ASYNC_CONCURRENCY, Traits

Ended = Callable[[Sequence[tuple[Entry, Done]], bool], None]
"""Called, in any thread, with what one call has ended; True when it ran on the event loop."""


def check_class(engine: Engine, planned: Traits) -> None:
    """Where async methods run is decided before the engine is built. Raises `TypeError` when that was impossible."""
    unplanned = engine.traits.on_loop - planned.on_loop
    if unplanned:
        raise TypeError(
            f"the engine has async methods ({', '.join(sorted(unplanned))}), which its factory did not tell: give the "
            "class itself or a functools.partial of it, or annotate what the factory returns"
        )


class Crew:
    """Builds the engine where it runs. Only the thread that takes calls its methods."""

    def __init__(self, traits: Traits, concurrency: int | None, build: Callable[[], Engine]) -> None:
        self.ended: Ended = lambda done, on_loop: None
        self.places = concurrency or (1 if traits.plain else 0)
        """Calls of plain methods at once."""
        self.tasks = concurrency or ASYNC_CONCURRENCY if traits.on_loop else 0
        """Jobs on the event loop at once."""
        self._threads = Threads(self.places) if traits.plain else None
        self._loop = EventLoop() if traits.on_loop else None
        try:
            self.engine: Engine = self._run_at_home(build)
            check_class(self.engine, traits)
        except BaseException:
            self._end()
            raise

    def runs_on_loop(self, entry: Entry) -> bool:
        """Where there are no plain methods, an unknown one is refused on the loop."""
        return self._threads is None or entry.method in self.engine.traits.on_loop

    def start(self, calls: Sequence[Sequence[Entry]]) -> None:
        """Run what was found to have a place."""
        tasks = []
        for call in calls:
            if self.runs_on_loop(call[0]):
                tasks.append(self._task(call))
            elif self._threads is not None:
                self._threads.start(self._call(call))
        if tasks and self._loop is not None:
            self._loop.start(tasks)

    def cancel(self) -> None:
        """Cancel what runs on the loop: it was given back. A thread cannot be interrupted."""
        if self._loop is not None:
            self._loop.cancel()

    def ask(self, answered: Callable[[Any, BaseException | None], None]) -> None:
        """Call the engine's `health` between jobs where the engine was built; the answer comes in any thread."""

        def question() -> None:
            try:
                answered(self._awaited(self.engine.hook("health")), None)
            except BaseException as error:  # whatever it is, the engine is not well
                answered(None, error)

        async def question_on_loop() -> None:
            try:
                answer = self.engine.hook("health")
                answered(await answer if isinstance(answer, Awaitable) else answer, None)
            except BaseException as error:
                answered(None, error)

        if self._threads is not None:
            self._threads.start(question)
        elif self._loop is not None:
            self._loop.start([question_on_loop])

    def close(self) -> None:
        """Wait for what still runs, close the engine where it was built, end the threads."""
        try:
            if self._loop is not None:
                self._loop.settle()
            if self._threads is not None:
                self._threads.close(last=lambda: self._awaited(self.engine.hook("close")))
            else:
                self._run_at_home(lambda: self.engine.hook("close"))
        finally:
            self._end()

    def forsake(self) -> None:
        """A call never ends: end what else there is, without `close` of the engine, which may not run beside it."""
        if self._loop is not None:
            self._loop.forsake()
        if self._threads is not None:
            self._threads.forsake()

    def _run_at_home(self, call: Callable[[], Any]) -> Any:
        if self._threads is not None:
            return self._threads.run(call)
        assert self._loop is not None
        return self._loop.run(call)

    def _awaited(self, value: Any) -> Any:
        """What an async hook returned is awaited on the loop where there is one."""
        if not isinstance(value, Awaitable):
            return value
        return self._loop.run(lambda: value) if self._loop is not None else wait_for(value)

    def _call(self, entries: Sequence[Entry]) -> Callable[[], None]:
        if entries[0].method in self.engine.traits.batches:
            return lambda: self.ended(_pairs(entries, run_batch(self.engine, entries)), False)
        (entry,) = entries
        return lambda: self.ended([(entry, self.engine.run(entry))], False)

    def _task(self, entries: Sequence[Entry]) -> Callable[[], Any]:
        async def together() -> None:
            self.ended(_pairs(entries, await run_batch_async(self.engine, entries)), True)

        async def alone() -> None:
            self.ended([(entries[0], await self.engine.run_async(entries[0]))], True)

        return together if entries[0].method in self.engine.traits.batches else alone

    def _end(self) -> None:
        if self._threads is not None:
            self._threads.close()  # it may be closed already
        if self._loop is not None:
            self._loop.close()


def _pairs(entries: Sequence[Entry], done: Sequence[Done]) -> list[tuple[Entry, Done]]:
    return list(zip(entries, done, strict=True))
