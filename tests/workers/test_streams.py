"""Generator methods: their items come while they run, in order, each once, whatever dies."""

from __future__ import annotations

import asyncio
import concurrent.futures
import statistics
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import pullet
from pullet_broker.address import Address
from pullet_broker.errors import EncodeError
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from pullet_workers.heart import bury_consumer
from tests.support.leaks import wait_until
from tests.support.workers import Kit, calling, kill_connections, registered, running, worker_process

pytestmark = pytest.mark.timeout(60)


class Plain:
    closed: threading.Event
    go: threading.Event
    yielded: int

    def __init__(self) -> None:
        type(self).closed, type(self).go, type(self).yielded = threading.Event(), threading.Event(), 0
        self._closed = self.closed

    def count(self, n: int, rest_s: float = 0.0) -> Iterator[int]:
        try:
            for i in range(n):
                type(self).yielded += 1
                yield i
                if rest_s:
                    time.sleep(rest_s)
        finally:
            self._closed.set()

    def times(self, n: int) -> Iterator[float]:
        for _ in range(n):
            yield time.monotonic()
            time.sleep(0.01)

    def blobs(self, *sizes: int) -> Iterator[bytes]:
        for i, size in enumerate(sizes):
            yield bytes([i]) * size

    def broken(self, n: int) -> Iterator[int]:
        yield from range(n)
        raise KeyError("broken")

    def opaque(self) -> Iterator[Any]:
        yield 1
        yield object()

    def listed(self, n: int) -> list[int]:
        return list(range(n))

    def number(self) -> int:
        return 7

    def gated(self, n: int) -> Iterator[int]:
        for i in range(n):
            yield i
            assert self.go.wait(30)

    def stepped(self, n: int) -> Iterator[int]:
        for i in range(n):
            yield i
            assert self.go.wait(30)
            self.go.clear()


class Async:
    closed: threading.Event

    def __init__(self) -> None:
        type(self).closed = self._closed = threading.Event()

    async def count(self, n: int, rest_s: float = 0.0) -> AsyncIterator[int]:
        try:
            for i in range(n):
                yield i
                if rest_s:
                    await asyncio.sleep(rest_s)
        finally:
            self._closed.set()

    async def broken(self, n: int) -> AsyncIterator[int]:
        for i in range(n):
            yield i
        raise KeyError("broken")

    async def blobs(self, *sizes: int) -> AsyncIterator[bytes]:
        for i, size in enumerate(sizes):
            yield bytes([i]) * size

    async def listed(self, n: int) -> list[int]:
        return list(range(n))

    async def number(self) -> int:
        return 7


KINDS = pytest.mark.parametrize("engine", [Plain, Async])


@KINDS
def test_all_items_come_in_order(queue: Queue, address: Address, link: Link, engine: Any) -> None:
    with running(queue, address, engine), calling(queue, address, engine) as client:
        stream = client.stream(engine.count, 5000)
        assert list(stream) == list(range(5000))
        assert list(client.stream(engine.count, 0)) == []
        assert list(client.stream(engine.listed, 3)) == [0, 1, 2]
        assert wait_until(lambda: not link.execute("EXISTS", queue.keys.part(stream.job_id)))
        assert wait_until(lambda: not link.execute("EXISTS", queue.keys.reply(stream.job_id)))


@KINDS
def test_async_callers_iterate_too(queue: Queue, address: Address, engine: Any) -> None:
    async def caller(client: pullet.Client[Any], n: int) -> list[int]:
        return [item async for item in client.stream(engine.count, n, 0.001)]

    async def both(client: pullet.Client[Any]) -> list[list[int]]:
        return await asyncio.gather(caller(client, 30), caller(client, 20))

    with running(queue, address, engine), calling(queue, address, engine) as client:
        assert asyncio.run(both(client)) == [list(range(30)), list(range(20))]


@KINDS
def test_submit_returns_the_list_of_all_items(queue: Queue, address: Address, link: Link, engine: Any) -> None:
    with running(queue, address, engine), calling(queue, address, engine) as client:
        assert client.submit(engine.count, 100).result(10) == list(range(100))
        assert not link.execute("KEYS", queue.keys.part("*").replace("{", "\\{"))


def test_an_item_comes_while_the_generator_waits(queue: Queue, address: Address) -> None:
    with running(queue, address, Plain), calling(queue, address, Plain) as client:
        items = iter(client.stream(Plain.gated, 2))
        assert next(items) == 0
        Plain.go.set()
        assert list(items) == [1]


def test_items_come_within_milliseconds(queue: Queue, address: Address) -> None:
    with running(queue, address, Plain), calling(queue, address, Plain) as client:
        late = [time.monotonic() - sent for sent in client.stream(Plain.times, 100)]
    assert statistics.median(late) < 0.005, statistics.quantiles(late, n=10)


@KINDS
def test_large_items_come_in_their_place(queue: Queue, address: Address, engine: Any) -> None:
    sizes = [10, 100_000, 20, 3_000_000, 9_000, 1] + [30_000] * 60
    with running(queue, address, engine), calling(queue, address, engine) as client:
        found = list(client.stream(engine.blobs, *sizes))
    assert [(item[0], len(item)) for item in found] == list(enumerate(sizes))


@KINDS
def test_an_error_is_raised_after_the_items_before_it(queue: Queue, address: Address, engine: Any) -> None:
    found = []
    with running(queue, address, engine), calling(queue, address, engine) as client:
        with pytest.raises(KeyError, match="broken") as caught:
            found.extend(client.stream(engine.broken, 300))
        assert found == list(range(300))
        text = str(caught.value.__cause__)
        assert "test_streams.py" in text
        assert "pullet_workers" not in text, "the worker's own frames are left out"


def test_an_item_that_cannot_travel_fails_the_job(queue: Queue, address: Address) -> None:
    with running(queue, address, Plain), calling(queue, address, Plain) as client:
        items = iter(client.stream(Plain.opaque))
        assert next(items) == 1
        with pytest.raises(EncodeError, match=r"item\[1\]"):
            next(items)


@KINDS
def test_what_cannot_be_iterated_is_refused(queue: Queue, address: Address, engine: Any) -> None:
    with (
        running(queue, address, engine),
        calling(queue, address, engine) as client,
        pytest.raises(TypeError, match="submit it instead"),
    ):
        list(client.stream(engine.number))


@KINDS
def test_leaving_the_loop_closes_the_generator(queue: Queue, address: Address, link: Link, engine: Any) -> None:
    with running(queue, address, engine), calling(queue, address, engine) as client:
        stream = client.stream(engine.count, 1_000_000, 0.001)
        for item in stream:
            if item == 5:
                break
        assert engine.closed.wait(10)
        assert wait_until(lambda: b"cancelled" in (link.execute("GET", queue.keys.reply(stream.job_id)) or b""))
        assert not link.execute("EXISTS", queue.keys.part(stream.job_id))
        assert not link.execute("EXISTS", queue.keys.fixed("cancelled"))
        assert client.submit(engine.number).result(10) == 7


@KINDS
def test_a_cancelled_stream_ends_its_loop_with_cancelled(queue: Queue, address: Address, engine: Any) -> None:
    with running(queue, address, engine), calling(queue, address, engine) as client:
        stream = client.stream(engine.count, 1_000_000, 0.001)
        items = iter(stream)
        next(items)
        assert stream.cancel()
        with pytest.raises(concurrent.futures.CancelledError):
            list(items)
        assert engine.closed.wait(10)
        assert not stream.cancel() or stream.cancel()

        quiet = client.stream(engine.count, 1_000_000, 0.001)
        items = iter(quiet)
        next(items)
        quiet.close()
        assert list(items) == []


def test_a_generator_is_held_back_while_its_items_cannot_be_sent(queue: Queue, address: Address, link: Link) -> None:
    with running(queue, address, Plain), calling(queue, address, Plain) as client:
        assert list(client.stream(Plain.count, 10)) == list(range(10))
        Plain.yielded = 0
        link.execute("CLIENT", "PAUSE", 60_000, "WRITE")
        try:
            stream = client.stream(Plain.count, 5000)
            link.execute("CLIENT", "UNPAUSE")
            items = iter(stream)
            next(items)
            link.execute("CLIENT", "PAUSE", 60_000, "WRITE")
            seen = Plain.yielded
            assert not wait_until(lambda: Plain.yielded > seen + 4 * 256 + 1, 0.5)
        finally:
            link.execute("CLIENT", "UNPAUSE")
        assert [0, *items] == list(range(5000))


@pytest.mark.parametrize("name", ["parts", "inbox", "take", ""])
def test_connections_may_die_and_every_item_still_comes_once(
    quick: Queue, address: Address, link: Link, name: str
) -> None:
    found = []
    with running(quick, address, Plain), calling(quick, address, Plain) as client:
        for item in client.stream(Plain.count, 400, 0.002):
            found.append(item)
            if len(found) in (50, 150, 250):
                kill_connections(link, f"pullet:{quick.name}:{name}")
    assert found == list(range(400))


@pytest.mark.parametrize("lost_at", [50, 195])
def test_an_inbox_that_is_lost_costs_no_item(
    quick: Queue, address: Address, link: Link, monkeypatch: pytest.MonkeyPatch, lost_at: int
) -> None:
    monkeypatch.setattr("pullet.receiver.BLOCK_MS", 200)
    found = []
    with running(quick, address, Plain), calling(quick, address, Plain) as client:
        for item in client.stream(Plain.count, 200, 0.005):
            found.append(item)
            if len(found) == lost_at:
                link.execute("DEL", *link.execute("KEYS", "*:inbox:*"))
    assert found == list(range(200))


def test_an_item_that_the_inbox_has_lost_comes_while_the_generator_goes_on(
    quick: Queue, address: Address, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pullet.receiver.BLOCK_MS", 100)
    with running(quick, address, Plain), calling(quick, address, Plain) as client:
        items = iter(client.stream(Plain.stepped, 3))
        assert next(items) == 0
        link.execute("DEL", *link.execute("KEYS", "*:inbox:*"))
        Plain.go.set()
        assert next(items) == 1
        Plain.go.set()
        assert next(items) == 2
        Plain.go.set()
        assert list(items) == []


@KINDS
def test_a_worker_that_counts_as_dead_adds_nothing(quick: Queue, address: Address, link: Link, engine: Any) -> None:
    """Two attempts at once: each item comes once all the same, and the first generator is closed."""
    with (
        running(quick, address, engine, name="one") as one,
        calling(quick, address, engine) as client,
        running(quick, address, engine, name="two"),
    ):
        assert wait_until(lambda: len(registered(link, quick)) == 2)
        stream = client.stream(engine.count, 300, 0.005)
        items = iter(stream)
        found = [next(items) for _ in range(20)]
        for consumer in registered(link, quick):
            bury_consumer(link, quick, consumer, blame=False)
        assert found + list(items) == list(range(300))
        assert one.lives


def test_nothing_is_lost_or_doubled_when_the_worker_is_killed_in_mid_stream(
    quick: Queue, address: Address, link: Link
) -> None:
    found = []
    with calling(quick, address) as client, worker_process(quick, address, name="first") as process:
        assert wait_until(lambda: list(registered(link, quick).values()) == ["first"])
        stream = client.stream(Kit.count, 2000, 0.001)
        for item in stream:
            found.append(item)
            if len(found) == 500:
                process.kill()
                process.wait()
                (dead,) = registered(link, quick)
                bury_consumer(link, quick, dead, blame=True)
                second = running(quick, address, name="second")
                second.__enter__()
        second.__exit__(None, None, None)
    assert found == list(range(2000))


def test_a_hundred_thousand_items(queue: Queue, address: Address) -> None:
    with running(queue, address, Plain), calling(queue, address, Plain) as client:
        start = time.monotonic()
        assert list(client.stream(Plain.count, 100_000)) == list(range(100_000))
        assert time.monotonic() - start < 20, "it takes two or three where nothing else runs"


def test_a_draining_worker_ends_its_stream_and_another_goes_on(quick: Queue, address: Address) -> None:
    with calling(quick, address, Plain) as client, running(quick, address, Plain, name="one") as one:
        items = iter(client.stream(Plain.count, 400, 0.005))
        found = [next(items) for _ in range(10)]
        first_closed = Plain.closed
        assert not one.runner.drain(0.05)
        with running(quick, address, Plain, name="two"):
            assert found + list(items) == list(range(400))
        assert first_closed.wait(10)
        assert one.ended.result(10) is None
