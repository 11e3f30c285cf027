"""Batch methods on real workers: one call for many jobs, in the plain loop, in threads and on an event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

import pullet
from pullet_broker.address import Address
from pullet_broker.link import Link
from pullet_broker.scripting import Call
from pullet_broker.settings import Queue
from pullet_workers.heart import bury_consumer
from tests.support.leaks import wait_until
from tests.support.scribe import Worker as Dead
from tests.support.workers import Worker, calling, kill_connections, running
from tests.workers.test_drain import assert_nothing_is_left, length
from tests.workers.test_upsets import set_paused

pytestmark = pytest.mark.timeout(60)


class Plain:
    calls: list[list[Any]]
    go: threading.Event

    def __init__(self) -> None:
        type(self).calls, type(self).go = [], threading.Event()

    @pullet.batch(max_batch_size=32)
    def double(self, items: list[Any]) -> list[Any]:
        self.calls.append(items)
        if "bad" in items:
            raise KeyError("bad")
        return [item * 2 for item in items]

    @pullet.batch(max_batch_size=8, batch_wait_timeout_s=0.3)
    def patient(self, items: list[Any]) -> list[Any]:
        self.calls.append(items)
        return items

    @pullet.batch(max_batch_size=8, batch_wait_timeout_s=50)
    def full(self, items: list[Any]) -> list[Any]:
        self.calls.append(items)
        return items

    @pullet.batch(max_batch_size=256)
    def wide(self, items: list[Any]) -> list[Any]:
        self.calls.append(items)
        return items

    @pullet.batch(max_batch_size=4)
    def slow(self, items: list[Any]) -> list[Any]:
        self.calls.append(items)
        time.sleep(0.03)
        return items

    @pullet.batch(max_batch_size=4)
    def hold(self, items: list[Any]) -> list[Any]:
        self.calls.append(items)
        assert self.go.wait(30)
        return items

    def one(self, item: Any) -> Any:
        self.calls.append([item])
        return item


class Async(Plain):
    @pullet.batch(max_batch_size=32)
    async def double(self, items: list[Any]) -> list[Any]:  # type: ignore[override]
        self.calls.append(items)
        await asyncio.sleep(0.001)
        if "bad" in items:
            raise KeyError("bad")
        return [item * 2 for item in items]

    @pullet.batch(max_batch_size=8, batch_wait_timeout_s=0.3)
    async def patient(self, items: list[Any]) -> list[Any]:  # type: ignore[override]
        self.calls.append(items)
        return items

    @pullet.batch(max_batch_size=8, batch_wait_timeout_s=50)
    async def full(self, items: list[Any]) -> list[Any]:  # type: ignore[override]
        self.calls.append(items)
        return items

    @pullet.batch(max_batch_size=256)
    async def wide(self, items: list[Any]) -> list[Any]:  # type: ignore[override]
        self.calls.append(items)
        return items


@contextmanager
def all_at_once(link: Link, queue: Queue, worker: Worker, client: pullet.Client[Any]) -> Iterator[None]:
    """What is submitted in here waits when the worker takes its next jobs."""
    set_paused(link, queue, worker, True)
    yield
    assert client.flush(10)
    set_paused(link, queue, worker, False)


KINDS = pytest.mark.parametrize(("engine", "concurrency"), [(Plain, None), (Plain, 4), (Async, None), (Async, 2)])


@KINDS
def test_what_waits_is_served_by_few_calls(
    quick: Queue, address: Address, link: Link, engine: Any, concurrency: int | None
) -> None:
    with (
        running(quick, address, engine, concurrency=concurrency) as worker,
        calling(quick, address, engine) as client,
    ):
        with all_at_once(link, quick, worker, client):
            futures = [client.submit(engine.double, n) for n in range(320)]
        assert [future.result(10) for future in futures] == [2 * n for n in range(320)]
        assert sorted(item for call in engine.calls for item in call) == list(range(320))
        assert max(map(len, engine.calls)) == 32
        assert len(engine.calls) <= 20
        assert wait_until(lambda: worker.runner.report.done == 320)
    assert length(link, quick) == 0


@KINDS
def test_a_lone_job_does_not_wait(queue: Queue, address: Address, engine: Any, concurrency: int | None) -> None:
    with running(queue, address, engine, concurrency=concurrency), calling(queue, address, engine) as client:
        client.submit(engine.double, 0).result(10)
        start = time.monotonic()
        for n in range(10):
            assert client.submit(engine.double, n).result(10) == 2 * n
        assert time.monotonic() - start < 1.0
        assert engine.calls == [[0], *([n] for n in range(10))]


@KINDS
def test_a_batch_waits_for_more_and_a_full_one_goes_at_once(
    queue: Queue, address: Address, engine: Any, concurrency: int | None
) -> None:
    """It would wait for 50 s."""
    with running(queue, address, engine, concurrency=concurrency), calling(queue, address, engine) as client:
        futures = []
        for n in range(8):
            futures.append(client.submit(engine.full, n))
            assert client.flush(10), "the next one comes later"
        assert [future.result(20) for future in futures] == list(range(8))
        assert engine.calls == [list(range(8))]


@KINDS
def test_a_batch_waits_no_longer_than_its_time(
    queue: Queue, address: Address, engine: Any, concurrency: int | None
) -> None:
    with running(queue, address, engine, concurrency=concurrency), calling(queue, address, engine) as client:
        waits = []
        for n in range(3):
            start = time.monotonic()
            assert client.submit(engine.patient, n).result(10) == n
            waits.append(time.monotonic() - start)
        assert engine.calls == [[0], [1], [2]]
        assert 0.29 < min(waits) < 1.5


@KINDS
def test_batches_may_be_larger_than_one_take(
    quick: Queue, address: Address, link: Link, engine: Any, concurrency: int | None
) -> None:
    with (
        running(quick, address, engine, concurrency=concurrency) as worker,
        calling(quick, address, engine) as client,
    ):
        with all_at_once(link, quick, worker, client):
            futures = [client.submit(engine.wide, n) for n in range(1000)]
        assert [future.result(10) for future in futures] == list(range(1000))
        assert {future.attempts for future in futures} == {1}
        if concurrency is None and engine is Plain:
            assert len(engine.calls) <= 6


@KINDS
def test_a_bad_item_harms_no_neighbour(
    quick: Queue, address: Address, link: Link, engine: Any, concurrency: int | None
) -> None:
    with (
        running(quick, address, engine, concurrency=concurrency) as worker,
        calling(quick, address, engine) as client,
    ):
        with all_at_once(link, quick, worker, client):
            futures = [client.submit(engine.double, "bad" if n == 7 else n) for n in range(40)]
        for n, future in enumerate(futures):
            if n == 7:
                with pytest.raises(KeyError, match="bad"):
                    future.result(10)
            else:
                assert future.result(10) == 2 * n
        assert wait_until(lambda: worker.runner.report.failed == 1)


@KINDS
def test_other_methods_keep_their_order(
    quick: Queue, address: Address, link: Link, engine: Any, concurrency: int | None
) -> None:
    with (
        running(quick, address, engine, concurrency=concurrency) as worker,
        calling(quick, address, engine) as client,
    ):
        for n in range(100):
            client.submit(engine.one, -n - 1).result(10)  # now it takes many at once
        engine.calls.clear()
        with all_at_once(link, quick, worker, client):
            futures = [client.submit(engine.one if n % 3 else engine.double, n) for n in range(60)]
        assert [future.result(10) for future in futures] == [n if n % 3 else 2 * n for n in range(60)]
        singles = [call[0] for call in engine.calls if call[0] % 3]
        if concurrency is None and engine is Plain:
            assert singles == sorted(singles)


class Paced(Plain):
    """A call takes 30 ms, and as long as it takes the courier to fetch the next batch: on a busy machine it is late."""

    fetched: list[int]
    """How many items at a time."""
    took: list[float]
    changed = threading.Condition()

    @pullet.batch(max_batch_size=4)
    def step(self, items: list[Any]) -> list[Any]:
        start, before = time.monotonic(), len(self.fetched)
        self.calls.append(items)
        with self.changed:
            if LAST not in items and items[0] >= 0:
                assert self.changed.wait_for(lambda: len(self.fetched) > before, 20), "nothing was fetched meanwhile"
        time.sleep(max(0.0, start + 0.03 - time.monotonic()))
        self.took.append(time.monotonic() - start)
        return items


LAST = 199


def test_the_next_batch_is_fetched_while_one_runs(
    queue: Queue, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hundred items in batches of four: each lies ready when the one before ends, so nothing is added between."""
    Paced.fetched, Paced.took, run_all = [], [], Link.run_all

    def spy(self: Link, calls: Sequence[Call[Any]]) -> list[Any]:
        answers = run_all(self, calls)
        found = sum(len(getattr(one, "entries", ())) for one in answers)
        if found and threading.current_thread().name == "pullet-courier":
            with Paced.changed:
                Paced.fetched.append(found)
                Paced.changed.notify()
        return answers

    monkeypatch.setattr(Link, "run_all", spy)
    with running(queue, address, Paced), calling(queue, address, Paced) as client:
        for future in [client.submit(Paced.step, -n) for n in range(40, 0, -1)]:
            future.result(10)  # now it knows how long a call takes
        for seen in (Paced.calls, Paced.fetched, Paced.took):
            seen.clear()
        start = time.monotonic()
        futures = [client.submit(Paced.step, n) for n in range(LAST + 1)]
        assert [future.result(20) for future in futures] == list(range(LAST + 1))
        whole = time.monotonic() - start
        assert sum(len(call) == 4 for call in Paced.calls) >= 47
        assert Paced.fetched.count(4) >= 47, Paced.fetched
        shares = sum(future.run_s or 0.0 for future in futures)
        assert 0.99 * sum(Paced.took) < shares < whole, "of each item its share of the batch"


def test_what_was_taken_behind_a_long_batch_is_given_back(queue: Queue, address: Address) -> None:
    with running(queue, address, Plain, name="one"), calling(queue, address, Plain) as client:
        for future in [client.submit(Plain.slow, n) for n in range(16)]:
            future.result(10)
        held = client.submit(Plain.hold, 0)  # one: of several the second worker might hold some too
        assert wait_until(lambda: Plain.calls[-1] == [0])
        others = [client.submit(Plain.one, n) for n in range(20)]
        go = Plain.go
        with running(queue, address, Plain, name="two"):
            assert [future.result(10) for future in others] == list(range(20))
            go.set()
            assert held.result(10) == 0


@KINDS
def test_a_suspect_runs_in_a_batch_of_its_own(
    queue: Queue, address: Address, link: Link, engine: Any, concurrency: int | None
) -> None:
    dead = Dead(link, queue, "dead").register()
    with calling(queue, address, engine) as client:
        first = client.submit(engine.double, "s")
        assert client.flush(10)
        assert len(dead.take(1)) == 1
        bury_consumer(link, queue, dead.name, blame=True)
        others = [client.submit(engine.double, n) for n in range(20)]
        assert client.flush(10)
        with running(queue, address, engine, concurrency=concurrency):
            assert first.result(10) == "ss"
            assert [future.result(10) for future in others] == [2 * n for n in range(20)]
            assert ["s"] in engine.calls


@KINDS
@pytest.mark.parametrize("size", [30_000])
def test_large_items_come_along(
    queue: Queue, address: Address, engine: Any, concurrency: int | None, size: int
) -> None:
    with running(queue, address, engine, concurrency=concurrency), calling(queue, address, engine) as client:
        assert list(client.map(engine.double, [b"x" * size] * 40)) == [b"x" * size * 2] * 40


@KINDS
def test_connections_may_die_and_each_item_still_runs_once(
    quick: Queue, address: Address, link: Link, engine: Any, concurrency: int | None
) -> None:
    with running(quick, address, engine, concurrency=concurrency), calling(quick, address, engine) as client:
        futures = []
        for n in range(300):
            futures.append(client.submit(engine.double, n))
            if n % 60 == 30:
                futures[-1].result(10)
                kill_connections(link, f"pullet:{quick.name}:")
        assert [future.result(20) for future in futures] == [2 * n for n in range(300)]
        assert sorted(item for call in engine.calls for item in call) == list(range(300))


@KINDS
def test_a_worker_that_waits_for_a_batch_can_be_drained(
    queue: Queue, address: Address, link: Link, engine: Any, concurrency: int | None
) -> None:
    with calling(queue, address, engine) as client:
        with running(queue, address, engine, concurrency=concurrency) as worker:
            future = client.submit(engine.patient, 1)
            assert wait_until(lambda: worker.runner.holds == 1)
            assert worker.runner.drain(10)
            assert_nothing_is_left(link, queue)
        if not future.done():
            with running(queue, address, engine, concurrency=concurrency):
                assert future.result(10) == 1
