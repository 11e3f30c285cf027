"""Streams on the client: items in order, each once, for sync and async readers, and how they end."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from typing import Any

import pytest

from pullet.arrivals import Arrivals
from pullet.future import Future
from pullet.stream import Stream
from pullet_broker.codec import encode
from pullet_broker.errors import DecodeError, JobLost
from pullet_broker.reply import pack_reply
from pullet_broker.settings import Queue


class Kept:
    """A stream, its items' place, and the jobs that were asked to cancel."""

    def __init__(self) -> None:
        self.cancelled: list[str] = []
        self.future: Future[Any] = Future("job-1", self.cancelled.append)
        self.arrivals = Arrivals(self.future)
        self.stream: Stream[Any] = Stream(self.future, self.arrivals, Queue(name="q"))

    def feed(self, *items: int) -> None:
        for item in items:
            assert self.arrivals.feed(item, encode(item))


def test_items_come_in_order_and_each_once() -> None:
    kept = Kept()
    kept.feed(0, 1, 0, 1, 2)
    kept.future.set_result(3)
    assert list(kept.stream) == [0, 1, 2]
    assert kept.cancelled == []


def test_a_gap_and_a_notice_must_be_read_elsewhere() -> None:
    kept = Kept()
    kept.feed(0)
    assert not kept.arrivals.feed(2, encode(2))
    assert not kept.arrivals.feed(1, b"")
    assert kept.arrivals.expected == 1
    assert kept.arrivals.feed(0, b""), "it is here"


@pytest.mark.parametrize(
    ("reply", "complete"),
    [
        (pack_reply("ok", 1, "w", 1, encode(2)), True),
        (pack_reply("ok", 1, "w", 1, encode(3)), False),
        (pack_reply("error", 1, "w", 1, encode(2)), False),
        (b"rubbish", False),
        (pack_reply("ok", 1, "w", 1, b"\xc1"), False),
    ],
)
def test_only_a_reply_with_the_right_count_makes_a_stream_complete(reply: bytes, complete: bool) -> None:
    kept = Kept()
    kept.feed(0, 1)
    assert kept.arrivals.is_complete(reply) is complete


def test_items_that_never_came_are_an_error() -> None:
    kept = Kept()
    kept.feed(0)
    kept.future.set_result(3)
    items = iter(kept.stream)
    assert next(items) == 0
    with pytest.raises(JobLost, match="of the 3 items of job job-1 only 1 came"):
        next(items)


def test_an_error_comes_after_the_items_before_it() -> None:
    kept = Kept()
    kept.feed(0, 1)
    kept.future.set_exception(KeyError("broken"))
    items = iter(kept.stream)
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(KeyError, match="broken"):
        next(items)


def test_an_item_that_cannot_be_decoded_raises_there_and_cancels() -> None:
    kept = Kept()
    kept.arrivals.feed(0, b"\xc1")
    with pytest.raises(DecodeError):
        next(iter(kept.stream))
    assert kept.cancelled == ["job-1"]


def test_leaving_the_loop_cancels_once() -> None:
    kept = Kept()
    kept.feed(0, 1)
    for _ in kept.stream:
        break
    assert kept.cancelled == ["job-1"]
    kept.stream.close()
    assert kept.stream.cancel()
    assert kept.cancelled == ["job-1"]


def test_cancel_ends_the_loop_with_an_error_and_close_without() -> None:
    one, other = Kept(), Kept()
    one.stream.cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        list(one.stream)
    other.feed(0)
    other.stream.close()
    assert list(other.stream) == []


def test_a_reader_that_waits_is_woken_by_items_and_by_the_end() -> None:
    kept, found = Kept(), []
    reader = threading.Thread(target=lambda: found.extend(kept.stream))
    reader.start()
    for n in range(100):
        kept.feed(n)
    kept.future.set_result(100)
    reader.join(10)
    assert found == list(range(100))


def test_an_async_reader_is_woken_too() -> None:
    kept = Kept()

    async def read() -> list[int]:
        return [item async for item in kept.stream]

    def feed() -> None:
        for n in range(100):
            kept.feed(n)
        kept.future.set_result(100)

    async def both() -> list[int]:
        reader = asyncio.create_task(read())
        await asyncio.sleep(0)
        await asyncio.to_thread(feed)
        return await asyncio.wait_for(reader, 10)

    assert asyncio.run(both()) == list(range(100))


def test_an_async_reader_that_is_cancelled_cancels_the_job() -> None:
    kept = Kept()

    async def read() -> None:
        async for _ in kept.stream:
            raise AssertionError

    async def both() -> None:
        reader = asyncio.create_task(read())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader

    asyncio.run(both())
    assert kept.cancelled == ["job-1"]
    assert kept.arrivals._waiters == []


def test_items_for_a_loop_that_is_closed_harm_nobody() -> None:
    kept = Kept()

    async def leave() -> None:
        task = asyncio.ensure_future(kept.arrivals.next_async())
        await asyncio.sleep(0)
        assert kept.arrivals._waiters
        keep.append(task)

    keep: list[Any] = []
    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave())
    loop.close()
    kept.feed(0)
    keep[0]._log_destroy_pending = False
