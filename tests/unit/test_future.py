"""The handle of a job: a future of the standard library that can also be awaited."""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
import threading
from collections.abc import Iterator

import pytest

from pullet.future import Future
from tests.support.leaks import wait_until


def future(job: str = "01job", asked: list[str] | None = None) -> Future[int]:
    return Future(job, (asked if asked is not None else []).append)


async def resolve_soon(*made: Future[int]) -> None:
    """From another thread, as replies come."""
    await asyncio.to_thread(lambda: [one.set_result(place) for place, one in enumerate(made)])


def test_it_is_a_future_of_the_standard_library() -> None:
    first, second, third = made = [future(), future(), future()]
    threading.Thread(
        target=lambda: [second.set_result(2), first.set_exception(ValueError("x")), third.cancel()]
    ).start()

    done, waiting = concurrent.futures.wait(made, timeout=5)
    assert (done, waiting) == (set(made), set())
    assert set(concurrent.futures.as_completed(made, timeout=5)) == set(made)
    assert second.result(0) == 2
    assert isinstance(first.exception(0), ValueError)


def test_it_has_whatever_python_gives_its_own_futures() -> None:
    plain, one = vars(concurrent.futures.Future()), future()
    for name in set(plain) - {"_condition", "_waiters", "_done_callbacks"}:
        assert getattr(one, name) == plain[name], name
    assert list(one._done_callbacks) == list(one._waiters) == []
    wanted = {"acquire", "release", "wait", "notify_all", "__enter__", "__exit__"}
    assert wanted <= set(dir(one._condition))


def test_result_with_a_timeout_only_stops_waiting() -> None:
    asked: list[str] = []
    one = future(asked=asked)
    with pytest.raises(concurrent.futures.TimeoutError):
        one.result(0)
    assert not asked
    assert not one.done()


def test_it_can_be_awaited_once_or_often() -> None:
    async def story() -> None:
        one = future()
        waiting = [asyncio.ensure_future(_wait(one)) for _ in range(3)]
        await resolve_soon(one)
        assert await asyncio.gather(*waiting) == [0, 0, 0]
        assert await one == 0

    asyncio.run(story())


async def _wait(one: Future[int]) -> int:
    return await one


def test_gather_wait_for_and_as_completed_work() -> None:
    async def story() -> None:
        made = [future() for _ in range(4)]
        gathered = asyncio.gather(*(_wait(one) for one in made))
        completed = asyncio.as_completed([_wait(one) for one in made], timeout=5)
        await resolve_soon(*made)
        assert await gathered == [0, 1, 2, 3]
        assert sorted([await one for one in completed]) == [0, 1, 2, 3]
        assert await asyncio.wait_for(_wait(made[3]), 5) == 3

    asyncio.run(story())


def test_an_error_is_raised_where_it_is_awaited() -> None:
    async def story() -> None:
        one = future()
        one.set_exception(KeyError("fen"))
        with pytest.raises(KeyError, match="fen"):
            await one

    asyncio.run(story())


def test_cancel_asks_once_and_wakes_whoever_waits() -> None:
    asked: list[str] = []
    one = future("01abc", asked)
    waiter = threading.Thread(target=lambda: concurrent.futures.wait([one], timeout=30))
    waiter.start()

    assert one.cancel()
    assert one.cancel()

    waiter.join(5)
    assert not waiter.is_alive()
    assert asked == ["01abc"]
    assert list(concurrent.futures.as_completed([one], timeout=1)) == [one]
    with pytest.raises(concurrent.futures.CancelledError):
        one.result(0)


def test_a_future_with_its_outcome_cannot_be_cancelled() -> None:
    asked: list[str] = []
    one = future(asked=asked)
    one.set_result(1)

    assert not one.cancel()
    assert not asked
    assert one.result(0) == 1


def test_cancelling_the_waiting_task_cancels_the_job() -> None:
    async def story() -> list[str]:
        asked: list[str] = []
        one = future("01abc", asked)
        waiting = asyncio.ensure_future(_wait(one))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert one.cancelled()
        return asked

    assert asyncio.run(story()) == ["01abc"]


def test_a_timeout_of_wait_for_cancels_the_job() -> None:
    async def story() -> None:
        one = future()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(_wait(one), 0.01)
        assert one.cancelled()

    asyncio.run(story())


def test_cancelling_the_future_cancels_the_waiting_task() -> None:
    async def story() -> None:
        one = future()
        waiting = asyncio.ensure_future(_wait(one))
        await asyncio.sleep(0)
        await asyncio.to_thread(one.cancel)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(waiting, 5)

    asyncio.run(story())


def test_a_callback_may_cancel_again() -> None:
    asked: list[str] = []
    one = future(asked=asked)
    one.add_done_callback(lambda done: done.cancel())
    assert one.cancel()
    assert len(asked) == 1


@pytest.fixture
def hurried() -> Iterator[None]:
    """Threads change places as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("hurried")
def test_two_threads_may_cancel_at_once() -> None:
    errors: list[BaseException] = []
    asked: list[str] = []
    start, rounds = threading.Barrier(3), [future(str(n), asked) for n in range(1000)]

    def cancel_all() -> None:
        for one in rounds:
            start.wait(10)
            try:
                one.cancel()
            except BaseException as error:
                errors.append(error)

    threads = [threading.Thread(target=cancel_all) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in rounds:
        start.wait(10)
    for thread in threads:
        thread.join(10)

    assert not errors, errors[0]
    assert wait_until(lambda: len(asked) >= len(rounds))
    assert sorted(asked, key=int) == [one.job_id for one in rounds], "each was asked for exactly once"


def test_the_repr_says_how_far_it_is() -> None:
    one = future()
    assert "sending" in repr(one)
    one.accepted = True
    assert "accepted" in repr(one)
    one.set_result(1)
    assert "done" in repr(one)
    other = future()
    other.cancel()
    assert "cancelled" in repr(other)
