"""One call of a batch method for several jobs: gather their items, and give each job its own outcome."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from pullet.running import enter, leave
from pullet_broker.job import Entry
from pullet_broker.reply import Failure
from pullet_workers.attempt import Attempt
from pullet_workers.engine import BadJob, Done, Engine, describe, ended
from pullet_workers.opts import read_opts


def run_batch(engine: Engine, entries: Sequence[Entry]) -> list[Done]:
    """Run jobs of one batch method together. Never raises. A call that raises blames nobody: each is tried alone."""
    call = BatchCall(engine, entries)
    if call.items:
        try:
            call.share_out(call.values())
        except BaseException as error:  # the engine may raise anything; the worker must outlive it
            if len(call.items) == 1:
                call.fail(error)
            else:
                call.settle([run_batch(engine, [entry])[0] for entry in call.ready])
    return call.outcomes()


async def run_batch_async(engine: Engine, entries: Sequence[Entry]) -> list[Done]:
    """The same for an async method."""
    call = BatchCall(engine, entries)
    if call.items:
        try:
            call.share_out(await call.awaited_values())
        except BaseException as error:
            if len(call.items) == 1:
                call.fail(error)
            else:
                call.settle([(await run_batch_async(engine, [entry]))[0] for entry in call.ready])
    return call.outcomes()


class BatchCall:
    """The jobs of one call. One whose arguments cannot be read fails before it."""

    method: Callable[[list[Any]], Any]

    def __init__(self, engine: Engine, entries: Sequence[Entry]) -> None:
        self.items: list[Any] = []
        self.ready: list[Entry] = []
        self._engine, self._entries = engine, entries
        self._attempts: list[Attempt] = []
        self._done: dict[int, Done] = {}
        self._started = time.perf_counter()
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

    def fail(self, error: BaseException) -> None:
        """The call raised, and there is only one to blame."""
        (entry,) = self.ready
        self._done[id(entry)] = self._engine.failed(entry, error, describe(error), self._run_s())

    def settle(self, done: Sequence[Done]) -> None:
        """They were tried one by one."""
        self._done.update({id(entry): one for entry, one in zip(self.ready, done, strict=True)})

    def outcomes(self) -> list[Done]:
        """In the order of the entries."""
        for entry, attempt in zip(self.ready, self._attempts, strict=True):
            self._done[id(entry)] = ended(attempt, self._done[id(entry)])
        return [self._done[id(entry)] for entry in self._entries]

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
