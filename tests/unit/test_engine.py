"""How an engine's worker ends a generator that nobody wants any more."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from pullet_broker.codec import encode_call
from pullet_broker.job import Entry
from pullet_broker.reply import read_reply
from pullet_broker.settings import Queue
from pullet_workers.commit import finish
from pullet_workers.emitter import Fenced, Halted
from pullet_workers.engine import Done, Engine
from pullet_workers.traits import class_of, traits_of


class Counter:
    closed = False

    def count(self) -> Iterator[int]:
        try:
            yield from range(10)
        finally:
            type(self).closed = True


class Stopping:
    """A flow that stops its generator at the third item."""

    def __init__(self, problem: Exception) -> None:
        self.count, self._problem = 0, problem

    def offer(self, item: bytes) -> None:
        self.count += 1
        if self.count == 3:
            raise self._problem

    def finish(self) -> Future[None]:
        through: Future[None] = Future()
        through.set_exception(self._problem)
        return through


def run(problem: Exception) -> tuple[Entry, Done]:
    Counter.closed = False
    entry = Entry(4, "1-0", "job", "count", encode_call((), {}), "", '{"stream":1}')
    flow: Any = Stopping(problem)
    return entry, Engine(Counter(), "w", Queue(name="q"), lambda entry: flow, lambda entry: flow).run(entry)


def test_a_cancelled_generator_is_closed_and_ends_as_cancelled() -> None:
    _, done = run(Halted())
    assert Counter.closed
    assert done.reply is not None
    assert read_reply(done.reply).outcome == "cancelled"
    assert done.error is None


def test_a_generator_of_another_workers_job_is_closed_and_commits_nothing() -> None:
    """Its entry may still be pending under an older name of this worker: a word about it would count."""
    entry, done = run(Fenced())
    assert Counter.closed
    assert done.reply is None
    assert finish(entry, done) is None


def test_what_cannot_be_stored_is_the_jobs_error() -> None:
    _, done = run(OSError("full"))
    assert isinstance(done.error, OSError)


class Mixed:
    size = 3

    class Inner:
        pass

    @property
    def broken(self) -> int:
        raise AssertionError("a class is not to be asked for the values of its properties")

    def plain(self) -> None: ...

    async def coroutine(self) -> None: ...

    async def generator(self) -> Any:
        yield 1

    @classmethod
    async def of_class(cls) -> None: ...

    async def close(self) -> None: ...

    async def _private(self) -> None: ...


class OnlyAsync:
    async def work(self) -> None: ...

    def close(self) -> None: ...

    def health(self) -> None: ...


def test_methods_are_told_apart_by_their_class() -> None:
    mixed, alone, none = traits_of(Mixed), traits_of(OnlyAsync), traits_of(object)
    assert mixed.plain
    assert mixed.on_loop == {"coroutine", "generator", "of_class"}
    assert (alone.plain, alone.on_loop) == (False, {"work"})
    assert (none.plain, none.on_loop) == (True, frozenset())


@pytest.mark.parametrize(
    ("engine", "concurrency", "simple"),
    [(Counter, None, True), (Counter, 1, True), (Counter, 2, False), (Mixed, 1, False), (OnlyAsync, None, False)],
)
def test_only_one_job_at_a_time_in_one_thread_is_simple(engine: type, concurrency: int | None, simple: bool) -> None:
    assert traits_of(engine).is_simple(concurrency) is simple


def test_the_class_of_a_factory_is_known_without_building() -> None:
    import functools

    def annotated() -> Mixed:
        raise AssertionError

    assert class_of(Mixed) is class_of(functools.partial(functools.partial(Mixed), 1)) is class_of(annotated) is Mixed
    assert class_of(lambda: Mixed()) is None
    assert class_of(functools.partial(len)) is None
