"""One call of a batch method for several jobs: gather their items, and give each job its own outcome."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from pullet.running import enter, leave
from pullet_broker.job import Entry
from pullet_broker.reply import Failure
from pullet_workers.attempt import Attempt
from pullet_workers.engine import BadJob, Done, Engine, describe, ended
from pullet_workers.opts import read_opts
from pullet_workers.spans import around


def run_batch(engine: Engine, entries: Sequence[Entry]) -> list[Done]:
    """Run jobs of one batch method together. Never raises. A call that raises blames nobody: each is tried alone."""
    call = BatchCall(engine, entries, None)
    if call.items:
        try:
            with around(engine.queue, call.ready):
                call.share_out(call.values())
        except BaseException as error:  # the engine may raise anything; the worker must outlive it
            for group in call.blame(error):
                call.settle(group, run_batch(engine, group))
    return call.outcomes()


async def run_batch_async(engine: Engine, entries: Sequence[Entry]) -> list[Done]:
    """The same for an async method."""
    task = asyncio.current_task()
    call = BatchCall(engine, entries, task)
    if call.items:
        try:
            with around(engine.queue, call.ready):
                call.share_out(await call.awaited_values())
        except BaseException as error:
            if sys.version_info >= (3, 11) and task is not None and engine.runs.orders:
                task.uncancel()  # we asked for it, and what runs now is not to stop
            for group in call.blame(error):
                call.settle(group, await run_batch_async(engine, group))
    return call.outcomes()


class BatchCall:
    """The jobs of one call. One whose arguments cannot be read fails before it."""

    method: Callable[[list[Any]], Any]

    def __init__(self, engine: Engine, entries: Sequence[Entry], task: asyncio.Task[Any] | None) -> None:
        self.items: list[Any] = []
        self.ready: list[Entry] = []
        self._engine, self._entries = engine, entries
        self._attempts: list[Attempt] = []
        self._done: dict[int, Done] = {}
        self._started = time.perf_counter()
        self._run = engine.runs.begin(entries, task)
        for entry in entries:
            try:
                self.method, args, kwargs = engine.prepare(entry)
                self.items.append(_item(entry, args, kwargs))
                self.ready.append(entry)
                self._attempts.append(Attempt(entry, engine.open_reports))
            except BadJob as bad:
                self._done[id(entry)] = engine.failed(entry, bad, bad.failure, 0.0)

    def values(self) -> Any:
        """Call the method."""
        token = enter(tuple(self._attempts))
        try:
            return self.method(self.items)
        finally:
            leave(token)

    async def awaited_values(self) -> Any:
        """The same for an async method."""
        token = enter(tuple(self._attempts))
        try:
            return await self.method(self.items)
        finally:
            leave(token)

    def share_out(self, values: Any) -> None:
        """Each job gets the value in its place."""
        run_s = self._run_s()
        if not isinstance(values, Sequence) and hasattr(values, "__len__") and hasattr(values, "__iter__"):
            values = list(values)  # an array, say
        if isinstance(values, (str, bytes)) or not isinstance(values, Sequence) or len(values) != len(self.items):
            error = ValueError(self._wrong(values))
            for entry in self.ready:
                self._done[id(entry)] = self._engine.failed(entry, error, describe(error), run_s)
            return
        for entry, value in zip(self.ready, values, strict=True):
            if isinstance(value, Exception):
                self._done[id(entry)] = self._engine.failed(entry, value, describe(value), run_s)
            else:
                self._done[id(entry)] = self._engine.returned(entry, value, run_s)

    def blame(self, error: BaseException) -> list[list[Entry]]:
        """The call raised, or was stopped for some of its jobs. Says who is tried again, and who of them together."""
        self._engine.runs.end(self._run)
        told = [entry for entry in self.ready if id(entry) in self._engine.runs.orders]
        failed = self.ready if len(self.ready) == 1 else told
        for entry in failed:
            self._done[id(entry)] = self._engine.failed(entry, error, describe(error), self._run_s())
        others = [entry for entry in self.ready if id(entry) not in self._done]
        return [others] if told and others else [[entry] for entry in others]

    def settle(self, entries: Sequence[Entry], done: Sequence[Done]) -> None:
        """They were tried again."""
        self._done.update({id(entry): one for entry, one in zip(entries, done, strict=True)})

    def outcomes(self) -> list[Done]:
        """In the order of the entries."""
        self._engine.runs.end(self._run)
        for entry, attempt in zip(self.ready, self._attempts, strict=True):
            self._done[id(entry)] = ended(attempt, self._done[id(entry)])
        return [self._engine.overruled(entry, self._done[id(entry)]) for entry in self._entries]

    def _run_s(self) -> float:
        return (time.perf_counter() - self._started) / len(self.items)

    def _wrong(self, values: Any) -> str:
        sized = hasattr(values, "__len__") and not isinstance(values, (str, bytes))
        got = f"{len(values)} results" if sized else f"a value of type {type(values).__name__}"
        name, expected = self.ready[0].method, len(self.items)
        return f"the batch method {name} got {expected} items and returned {got}: expected a list of equal length"


def _item(entry: Entry, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    given = [*args, *kwargs.values()]
    if len(given) != 1:
        raise _refused(f"the batch method {entry.method} takes one item for each job, not {len(given)} arguments")
    if entry.opts and read_opts(entry.opts).stream:
        raise _refused(f"the batch method {entry.method} cannot be streamed: submit it instead")
    return given[0]


def _refused(text: str) -> BadJob:
    return BadJob(Failure("builtins.TypeError", text, [text], ""))
