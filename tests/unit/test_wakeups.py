"""How event loops are woken: once for a batch, a bounded part of the waiters in a turn, and never one too few."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import Any

import pytest

from pullet.wakeups import TURN, Batch, until_done
from tests.support.leaks import wait_until
from tests.support.watchdog import Watchdog


class Until:
    def __init__(self, future: Future[Any]) -> None:
        self.future = future

    def __await__(self) -> Any:
        return until_done(self.future)


async def wait(future: Future[Any]) -> None:
    await Until(future)


async def waiting(futures: list[Future[Any]]) -> list[asyncio.Task[None]]:
    """Tasks that wait already."""
    tasks = [asyncio.ensure_future(wait(future)) for future in futures]
    await asyncio.sleep(0)
    return tasks


def resolve(futures: list[Future[Any]]) -> None:
    for future in futures:
        future.set_result(None)


def resolve_as_batch(futures: list[Future[Any]]) -> None:
    with Batch():
        resolve(futures)


def test_a_batch_wakes_the_loop_once() -> None:
    async def story() -> int:
        futures: list[Future[Any]] = [Future() for _ in range(50)]
        tasks = await waiting(futures)
        async with Watchdog() as watchdog:
            worker = threading.Thread(target=resolve_as_batch, args=(futures,))
            worker.start()
            await asyncio.wait_for(asyncio.gather(*tasks), 5)
            worker.join()  # not to_thread: that wakes the loop too
        return watchdog.wakes

    assert asyncio.run(story()) == 1


def test_outside_of_a_batch_each_is_woken_at_once() -> None:
    async def story() -> None:
        first, second = futures = [Future[Any](), Future[Any]()]
        tasks = await waiting(futures)
        await asyncio.to_thread(resolve, [first])
        await asyncio.wait_for(tasks[0], 5)
        assert not tasks[1].done()
        await asyncio.to_thread(resolve, [second])
        await asyncio.wait_for(tasks[1], 5)

    asyncio.run(story())


def test_an_error_inside_a_batch_leaves_nobody_waiting() -> None:
    async def story() -> None:
        futures = [Future[Any]()]
        tasks = await waiting(futures)

        def fail() -> None:
            with pytest.raises(KeyError), Batch():
                resolve(futures)
                raise KeyError

        await asyncio.to_thread(fail)
        await asyncio.wait_for(tasks[0], 5)

    asyncio.run(story())


def test_the_loop_gets_its_turn_between_parts_of_a_large_Batch() -> None:
    async def story() -> int:
        futures: list[Future[Any]] = [Future() for _ in range(TURN * 5)]
        tasks = await waiting(futures)
        worker = threading.Thread(target=resolve_as_batch, args=(futures,))
        worker.start()
        worker.join()
        most = before = 0
        while before < len(tasks):
            await asyncio.sleep(0)
            done = sum(task.done() for task in tasks)
            most, before = max(most, done - before), done
        return most

    assert asyncio.run(story()) <= TURN


def test_one_batch_wakes_every_loop_that_waits() -> None:
    futures: list[Future[Any]] = [Future() for _ in range(3)]
    barrier = threading.Barrier(4)

    async def story(future: Future[Any]) -> None:
        (task,) = await waiting([future])
        barrier.wait(10)
        await asyncio.wait_for(task, 5)

    loops = [threading.Thread(target=asyncio.run, args=(story(future),)) for future in futures]
    for loop in loops:
        loop.start()
    barrier.wait(10)
    resolve_as_batch(futures)
    for loop in loops:
        loop.join(10)
        assert not loop.is_alive()


def test_a_loop_that_is_closed_meanwhile_stops_nobody() -> None:
    futures: list[Future[Any]] = [Future(), Future()]

    async def leave() -> None:
        await waiting(futures[:1])

    asyncio.run(leave())
    resolve_as_batch(futures)
    assert futures[1].done()


def test_a_waiter_that_was_cancelled_is_passed_over() -> None:
    async def story() -> None:
        futures: list[Future[Any]] = [Future(), Future()]
        tasks = await waiting(futures)
        tasks[0].cancel()
        await asyncio.sleep(0)
        await asyncio.to_thread(resolve_as_batch, futures)
        await asyncio.wait_for(tasks[1], 5)
        assert tasks[0].cancelled()

    asyncio.run(story())


def test_whatever_threads_do_at_once_nobody_is_forgotten() -> None:
    async def story() -> None:
        futures: list[Future[Any]] = [Future() for _ in range(4000)]
        tasks = [asyncio.ensure_future(wait(future)) for future in futures]
        threads = [threading.Thread(target=part, args=(futures[n::4], n % 2 == 0)) for n in range(4)]
        for thread in threads:
            thread.start()
        await asyncio.wait_for(asyncio.gather(*tasks), 20)
        assert wait_until(lambda: not any(thread.is_alive() for thread in threads))

    def part(futures: list[Future[Any]], batched: bool) -> None:
        for place in range(0, len(futures), 7):
            (resolve_as_batch if batched else resolve)(futures[place : place + 7])

    asyncio.run(story())
