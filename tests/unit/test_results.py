"""What `map` returns: results through a window of jobs in flight, in order or as they come, in sync and async code."""

from __future__ import annotations

import asyncio
import concurrent.futures
import operator
import threading
from collections.abc import Iterable
from typing import Any

import pytest

from pullet.future import Future
from pullet.results import Results
from tests.support.leaks import wait_until


class Desk:
    """Takes jobs and lets the test answer them."""

    def __init__(self) -> None:
        self.jobs: dict[Any, Future[Any]] = {}
        self.cancelled: list[str] = []

    def submit(self, item: Any) -> Future[Any]:
        if item == "unfit":
            raise TypeError("cannot travel")
        self.jobs[item] = Future(str(item), self.cancelled.append)
        return self.jobs[item]

    def submit_and_answer(self, item: Any) -> Future[Any]:
        future = self.submit(item)
        future.set_result(item * 10)
        return future

    def answer(self, *items: Any) -> None:
        for item in items:
            self.jobs[item].set_result(item * 10)

    @property
    def open(self) -> int:
        return sum(not job.done() for job in self.jobs.values())


def results(
    desk: Desk,
    items: Iterable[Any],
    *,
    window: int = 3,
    ordered: bool = True,
    return_exceptions: bool = False,
    at_once: bool = False,
) -> Results[Any]:
    submit = desk.submit_and_answer if at_once else desk.submit
    return Results(submit, items, window=window, ordered=ordered, return_exceptions=return_exceptions)


async def collect(found: Results[Any]) -> list[Any]:
    return [value async for value in found]


def test_results_come_in_the_order_of_the_items_whatever_ends_first() -> None:
    desk = Desk()
    found = results(desk, range(3))
    desk.answer(2, 0, 1)
    assert list(found) == [0, 10, 20]


def test_results_come_in_order_to_async_code_too() -> None:
    desk = Desk()
    found = results(desk, range(3))
    desk.answer(2, 0, 1)
    assert asyncio.run(collect(found)) == [0, 10, 20]


def test_unordered_results_come_as_they_are_there() -> None:
    desk = Desk()
    found = iter(results(desk, range(3), ordered=False))
    for item in (2, 0, 1):
        desk.answer(item)
        assert next(found) == item * 10
    with pytest.raises(StopIteration):
        next(found)


def test_unordered_results_come_to_async_code_as_they_are_there() -> None:
    async def story() -> None:
        desk = Desk()
        found = aiter_of(results(desk, range(3), ordered=False))
        for item in (2, 0, 1):
            waiting = asyncio.ensure_future(found.__anext__())
            await asyncio.sleep(0)
            await asyncio.to_thread(desk.answer, item)
            assert await asyncio.wait_for(waiting, 5) == item * 10
        with pytest.raises(StopAsyncIteration):
            await found.__anext__()

    asyncio.run(story())


def aiter_of(found: Results[Any]) -> Any:
    return found.__aiter__()


@pytest.mark.parametrize("ordered", [True, False])
def test_the_window_runs_at_once_and_bounds_what_is_in_flight(ordered: bool) -> None:
    desk = Desk()
    found = results(desk, range(100), window=4, ordered=ordered)
    assert list(desk.jobs) == [0, 1, 2, 3]

    values = iter(found)
    for item in range(96):
        desk.answer(item)
        next(values)
        assert desk.open <= 4
        assert len(desk.jobs) == item + 5, "for each result taken one more is on its way"


def test_nobody_takes_more_from_an_endless_input_than_the_window() -> None:
    taken: list[int] = []

    def endless() -> Iterable[int]:
        while True:
            taken.append(len(taken))
            yield taken[-1]

    found = iter(results(Desk(), endless(), window=5, at_once=True))
    assert [next(found) for _ in range(3)] == [0, 10, 20]
    assert len(taken) <= 5 + 3


@pytest.mark.parametrize("ordered", [True, False])
def test_every_result_comes_once(ordered: bool) -> None:
    found = list(results(Desk(), range(1000), window=7, ordered=ordered, at_once=True))
    assert sorted(found) == [item * 10 for item in range(1000)]

    again = asyncio.run(collect(results(Desk(), range(1000), window=7, ordered=ordered, at_once=True)))
    assert sorted(again) == sorted(found)


def test_it_has_the_length_of_its_input_where_that_has_one() -> None:
    assert len(results(Desk(), [1, 2, 3, 4], window=1)) == 4
    generator = results(Desk(), (item for item in range(4)))
    with pytest.raises(TypeError, match="no length"):
        len(generator)
    assert operator.length_hint(generator, 7) in (0, 7)


@pytest.mark.parametrize("window", [0, -1])
def test_a_window_without_room_is_refused(window: int) -> None:
    with pytest.raises(ValueError, match="window"):
        results(Desk(), [1], window=window)


@pytest.mark.parametrize("ordered", [True, False])
def test_the_first_error_ends_the_loop_and_cancels_the_rest(ordered: bool) -> None:
    desk = Desk()
    found = iter(results(desk, range(10), window=4, ordered=ordered))
    desk.jobs[0].set_exception(ValueError("bad item"))

    with pytest.raises(ValueError, match="bad item"):
        next(found)

    assert desk.open == 0
    assert set(desk.cancelled) == {job for job in map(str, desk.jobs) if job != "0"}


@pytest.mark.parametrize("ordered", [True, False])
def test_errors_are_yielded_where_that_is_asked_for(ordered: bool) -> None:
    desk = Desk()
    found = results(desk, range(3), ordered=ordered, return_exceptions=True)
    desk.jobs[0].set_result(0)
    desk.jobs[1].set_exception(ValueError("bad item"))
    desk.jobs[2].set_result(20)

    first, second, third = found
    assert (first, third) == (0, 20)
    assert isinstance(second, ValueError)


@pytest.mark.parametrize("ordered", [True, False])
def test_a_job_that_was_cancelled_elsewhere_is_an_error_like_others(ordered: bool) -> None:
    desk = Desk()
    found = results(desk, range(2), ordered=ordered, return_exceptions=True)
    desk.jobs[0].cancel()
    desk.jobs[1].set_result(10)

    first, second = found
    assert isinstance(first, concurrent.futures.CancelledError)
    assert second == 10


@pytest.mark.parametrize("ordered", [True, False])
def test_leaving_the_loop_early_cancels_what_is_in_flight(ordered: bool) -> None:
    desk = Desk()
    found = results(desk, range(100), window=4, ordered=ordered)
    desk.answer(0)
    for _ in found:
        break

    assert desk.open == 0
    assert sorted(desk.cancelled) == ["1", "2", "3", "4"]


@pytest.mark.parametrize("ordered", [True, False])
def test_leaving_an_async_loop_early_cancels_what_is_in_flight(ordered: bool) -> None:
    async def story() -> Desk:
        desk = Desk()
        found = results(desk, range(100), window=4, ordered=ordered)
        desk.answer(0)
        async for _ in found:
            break
        await asyncio.to_thread(wait_until, lambda: desk.open == 0, 5.0)
        return desk

    desk = asyncio.run(story())
    assert sorted(desk.cancelled) == ["1", "2", "3", "4"]


def test_an_item_that_cannot_be_submitted_ends_the_loop_and_cancels_the_rest() -> None:
    desk = Desk()
    found = iter(results(desk, [1, 2, "unfit", 4], window=2))
    desk.answer(1)
    with pytest.raises(TypeError, match="cannot travel"):
        next(found)
    assert desk.cancelled == ["2"]


def test_an_item_of_the_first_window_that_cannot_be_submitted_leaves_nothing_behind() -> None:
    desk = Desk()
    with pytest.raises(TypeError, match="cannot travel"):
        results(desk, [1, 2, "unfit", 4], window=10)
    assert desk.cancelled == ["1", "2"]


@pytest.mark.parametrize("ordered", [True, False])
def test_async_code_is_not_blocked_while_it_waits(ordered: bool) -> None:
    async def story() -> int:
        desk, turns = Desk(), 0
        waiting = asyncio.ensure_future(collect(results(desk, range(2), ordered=ordered)))
        for _ in range(20):
            await asyncio.sleep(0)
            turns += 1
        assert not waiting.done()
        await asyncio.to_thread(desk.answer, 0, 1)
        assert await asyncio.wait_for(waiting, 5) == [0, 10]
        return turns

    assert asyncio.run(story()) == 20


@pytest.mark.parametrize("ordered", [True, False])
def test_results_that_come_from_other_threads_are_all_seen(ordered: bool) -> None:
    desk = Desk()
    found = results(desk, range(200), window=200, ordered=ordered)
    threads = [threading.Thread(target=desk.answer, args=range(n, 200, 4)) for n in range(4)]
    for thread in threads:
        thread.start()
    assert sorted(found) == [item * 10 for item in range(200)]
    for thread in threads:
        thread.join()
