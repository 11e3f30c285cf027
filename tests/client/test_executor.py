"""A client is an executor of the standard library: what its users count on, on a real server.

What CPython tests of its own executors (test_concurrent_futures), in words of our own. Left out, with the reason:

- max_workers, workers, initializers, contexts, max_tasks_per_child, broken pools, fork and spawn: those belong to the
  pool's side
- running(): the caller is not told when a worker starts a job, so a future is pending until it is done
- deadlocks of pickling in a worker's pipe: there is no pipe; what cannot travel is refused by submit
  (test_codec_refusals)
- buffersize of map: `window` is that
- whether a future holds its function or its arguments: they are encoded by submit, and let go of
- falsy exceptions: only builtins and registered classes are rebuilt, and the standard library keeps them
- weak references to the function: only its name is sent
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pullet import Client
from pullet_broker.address import Address
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from tests.support.leaks import wait_until
from tests.support.workers import Kit, calling, running

pytestmark = pytest.mark.timeout(40)

ROOT = Path(__file__).parents[2]


class Desk(Kit):
    """A `Kit` whose methods take what is usual of functions."""

    def power(self, base: int, exponent: int = 2) -> int:
        return int(base**exponent)

    def capture(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        return args, kwargs

    def divide(self, one: int, other: int) -> tuple[int, int]:
        return divmod(one, other)


@pytest.fixture
def kit() -> Desk:
    return Desk()


@pytest.fixture
def client(queue: Queue, address: Address, kit: Desk) -> Iterator[Client[Desk]]:
    """A client with one worker."""
    with running(queue, address, kit), calling(queue, address, Desk) as made:
        yield made
        kit.go.set()


def asked_to_cancel(link: Link, client: Client[Any], jobs: int) -> bool:
    """The server was told that these are not wanted."""
    return wait_until(lambda: link.execute("ZCARD", Queue(name=client.queue).keys.fixed("cancelled")) == jobs)


def test_it_is_an_executor(client: Client[Desk]) -> None:
    assert isinstance(client, concurrent.futures.Executor)
    assert isinstance(client.submit(Desk.echo, 1), concurrent.futures.Future)


# -- submit


def test_submit_passes_positions_and_keywords(client: Client[Desk]) -> None:
    assert client.submit(Desk.power, 2, 8).result(10) == 256
    assert client.submit(Desk.power, 2, exponent=5).result(10) == 32
    assert client.submit(Desk.capture, 1, self_=2, method=3, fn=4).result(10) == (
        (1,),
        {"self_": 2, "method": 3, "fn": 4},
    )


def test_the_method_is_given_by_position(client: Client[Desk]) -> None:
    for wrong in ({"method": Desk.echo, "value": 1}, {"value": 1}, {}):
        with pytest.raises(TypeError):
            client.submit(**wrong)  # type: ignore[call-overload]


def test_a_map_holds_no_result_that_it_has_yielded(client: Client[Desk]) -> None:
    for value in client.map(Desk.echo, [{n} for n in range(5)]):
        ref = weakref.ref(value)
        del value
        assert wait_until(lambda ref=ref: gc.collect() >= 0 and ref() is None, 15)  # type: ignore[misc]


def test_shutdown_right_after_a_map_lets_it_finish(queue: Queue, address: Address) -> None:
    with running(queue, address):
        client: Client[Kit] = Client(Kit, queue, address)
        results = client.map(Kit.echo, range(20))
        client.shutdown()
        assert list(results) == list(range(20))


def test_a_result_is_freed_with_its_future(client: Client[Desk]) -> None:
    future = client.submit(Desk.echo, {1, 2})
    ref = weakref.ref(future.result(10))  # idle from here on: nothing else makes the client clean up
    assert ref() is not None
    del future
    assert wait_until(lambda: gc.collect() >= 0 and ref() is None, 15), "somebody keeps the result"


# -- map


def test_map_gives_what_the_builtin_would(client: Client[Desk]) -> None:
    numbers = list(range(10))
    assert list(client.map(Desk.power, numbers)) == [number**2 for number in numbers]
    assert list(client.map(Desk.power, numbers, numbers)) == list(map(pow, numbers, numbers))
    assert list(client.map(Desk.power, numbers, numbers, chunksize=3)) == list(map(pow, numbers, numbers))
    assert list(client.map(Desk.power, [])) == []


def test_map_ends_with_its_shortest_input(client: Client[Desk]) -> None:
    results = client.map(Desk.power, range(100), [1, 2, 3])
    assert len(results) == 3
    assert list(results) == [0, 1, 8]


def test_map_raises_where_the_error_is(client: Client[Desk]) -> None:
    results = client.map(Desk.divide, [1, 1, 1, 1], [2, 3, 0, 5])
    assert [next(results), next(results)] == [(0, 1), (0, 1)]
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.mark.parametrize("ordered", [True, False])
def test_map_raises_when_its_time_is_over(client: Client[Desk], kit: Desk, link: Link, ordered: bool) -> None:
    start = time.monotonic()
    results = iter(client.map(Desk.echo, ["quick"], timeout=20))
    assert next(results) == "quick"
    held = client.submit(Desk.hold, "held")
    assert kit.started.wait(10)
    with pytest.raises(concurrent.futures.TimeoutError):
        list(client.map(Desk.echo, ["waits", "waits"], timeout=0.2, ordered=ordered))
    assert time.monotonic() - start < 15
    assert asked_to_cancel(link, client, 2)
    assert not held.done()
    kit.go.set()
    assert client.submit(Desk.echo, "last").result(10) == "last"
    assert "waits" not in kit.calls, "what was not yielded is cancelled"


@pytest.mark.parametrize("ordered", [True, False])
def test_map_in_async_code_raises_when_its_time_is_over(client: Client[Desk], ordered: bool) -> None:
    async def story() -> None:
        results = [value async for value in client.map(Desk.echo, [1, 2], timeout=20, ordered=ordered)]
        assert sorted(results) == [1, 2]
        with pytest.raises(asyncio.TimeoutError):
            async for _ in client.map(Desk.hold, ["held"], timeout=0.1, ordered=ordered):
                raise AssertionError("it did not wait")

    asyncio.run(story())


@pytest.mark.parametrize("how", [{"chunksize": 0}, {"window": 0}, {"chunk": 1}])
def test_map_refuses_what_makes_no_sense(client: Client[Desk], how: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=next(iter(how))):
        client.map(Desk.echo, [1], **how)


# -- wait and as_completed


def test_wait_returns_at_the_first_that_is_done(client: Client[Desk], kit: Desk) -> None:
    quick, held = client.submit(Desk.echo, 1), client.submit(Desk.hold, 2)
    done, rest = concurrent.futures.wait([quick, held], 10, concurrent.futures.FIRST_COMPLETED)
    assert (done, rest) == ({quick}, {held})


def test_wait_returns_at_the_first_error(client: Client[Desk], kit: Desk) -> None:
    futures = [client.submit(Desk.echo, 1), client.submit(Desk.boom), client.submit(Desk.hold, 2)]
    done, rest = concurrent.futures.wait(futures, 10, concurrent.futures.FIRST_EXCEPTION)
    assert (done, rest) == (set(futures[:2]), {futures[2]})


def test_wait_takes_a_cancelled_future_for_done(client: Client[Desk], kit: Desk) -> None:
    held, cancelled = client.submit(Desk.hold, 1), client.submit(Desk.echo, 2)
    assert kit.started.wait(10)
    assert cancelled.cancel()
    done, rest = concurrent.futures.wait([held, cancelled], 5, concurrent.futures.FIRST_COMPLETED)
    assert (done, rest) == ({cancelled}, {held})


def test_wait_for_all_and_wait_in_vain(client: Client[Desk], kit: Desk) -> None:
    futures = [client.submit(Desk.echo, n) for n in range(50)]
    held = client.submit(Desk.hold, 0)
    assert concurrent.futures.wait([*futures, futures[0]], 10) == (set(futures), set())
    assert concurrent.futures.wait([*futures, held], 0.05) == (set(futures), {held})


def test_as_completed_yields_each_future_once(client: Client[Desk]) -> None:
    futures = [client.submit(Desk.echo, n) for n in range(50)]
    seen = list(concurrent.futures.as_completed([*futures, futures[3]], timeout=10))
    assert len(seen) == 50
    assert set(seen) == set(futures)


def test_as_completed_times_out_with_what_is_done(client: Client[Desk], kit: Desk) -> None:
    quick, held = client.submit(Desk.echo, 1), client.submit(Desk.hold, 2)
    assert quick.result(10) == 1
    seen: list[Any] = []
    with pytest.raises(concurrent.futures.TimeoutError):
        seen.extend(future for future in concurrent.futures.as_completed([quick, held], timeout=0.05))
    assert seen == [quick]


# -- shutdown


def test_after_shutdown_submit_raises_what_executors_raise(queue: Queue, address: Address) -> None:
    with running(queue, address):
        for how in ({}, {"wait": False}, {"cancel_futures": True}):
            client: Client[Kit] = Client(Kit, queue, address)
            client.submit(Kit.echo, 1).result(10)
            client.shutdown(**how)
            with pytest.raises(RuntimeError, match="after close"):
                client.submit(Kit.echo, 2)


def test_shutdown_waits_for_the_open_jobs(queue: Queue, address: Address) -> None:
    with running(queue, address):
        client: Client[Kit] = Client(Kit, queue, address)
        futures = [client.submit(Kit.nap, 0.02) for _ in range(5)]
        client.shutdown()
        assert all(future.done() for future in futures)
        client.shutdown()


def test_shutdown_without_waiting_returns_at_once_and_the_jobs_go_on(queue: Queue, address: Address) -> None:
    kit = Kit()
    with running(queue, address, kit):
        client: Client[Kit] = Client(Kit, queue, address)
        held, next_one = client.submit(Kit.hold, 1), client.submit(Kit.echo, 2)
        assert kit.started.wait(10)
        client.shutdown(wait=False)
        assert not held.done()
        kit.go.set()
        assert (held.result(10), next_one.result(10)) == (1, 2)
    assert wait_until(lambda: not any(one.name.startswith("pullet-") for one in threading.enumerate()))


@pytest.mark.parametrize("wait", [True, False])
def test_shutdown_that_cancels_ends_every_open_future(queue: Queue, address: Address, link: Link, wait: bool) -> None:
    kit = Kit()
    with running(queue, address, kit):
        client: Client[Kit] = Client(Kit, queue, address)
        done = client.submit(Kit.echo, "done")
        assert done.result(10) == "done"
        open_ones = [client.submit(Kit.hold, "held"), *(client.submit(Kit.echo, n) for n in range(20))]
        assert kit.started.wait(10)
        client.shutdown(wait=wait, cancel_futures=True)
        assert all(future.cancelled() for future in open_ones)
        assert not done.cancelled()
        kit.go.set()
        assert wait_until(lambda: link.execute("XLEN", queue.keys.lane("normal")) == 0)
    assert kit.calls == ["done", "held"]


def test_leaving_the_block_is_a_shutdown(queue: Queue, address: Address) -> None:
    with running(queue, address), Client(Kit, queue, address) as client:
        future = client.submit(Kit.nap, 0.02)
    assert future.done()
    with pytest.raises(RuntimeError):
        client.submit(Kit.echo, 1)


def test_a_program_ends_with_open_jobs_after_shutdown(queue: Queue, address: Address) -> None:
    """The interpreter waits for them, as it does for the jobs of a thread pool."""
    code = f"""
import pullet
from pullet_broker.address import Address
from pullet_broker.settings import Queue
client = pullet.Client(None, Queue(name={queue.name!r}), Address({address.url!r}))
future = client.submit("nap", 0.2)
future.add_done_callback(lambda done: print(done.result()))
client.shutdown(wait=False)
"""
    with running(queue, address):
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("0.2\n", "")


# -- asyncio


def test_an_event_loop_takes_it_for_its_executor(client: Client[Desk]) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        run: Any = loop.run_in_executor  # its type wants the engine as the first argument
        assert await run(client, Desk.power, 2, 10) == 1024
        assert await asyncio.gather(*(run(client, Desk.power, n) for n in range(20))) == [n**2 for n in range(20)]
        with pytest.raises(ValueError, match="boom"):
            await run(client, Desk.boom)

    asyncio.run(story())


def test_a_run_in_executor_that_is_cancelled_cancels_the_job(client: Client[Desk], kit: Desk, link: Link) -> None:
    async def story() -> None:
        held = client.submit(Desk.hold, "held")
        assert await asyncio.to_thread(kit.started.wait, 10)
        run: Any = asyncio.get_running_loop().run_in_executor
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(run(client, Desk.echo, "unwanted"), 0.05)
        assert await asyncio.to_thread(asked_to_cancel, link, client, 1)
        kit.go.set()
        assert await held == "held"
        assert await client.submit(Desk.echo, "last") == "last"

    asyncio.run(story())
    assert kit.calls == ["held", "last"]


def test_the_tools_of_asyncio_take_its_futures(client: Client[Desk], kit: Desk) -> None:
    async def story() -> None:
        assert await asyncio.gather(*(client.submit(Desk.power, n) for n in range(50))) == [n**2 for n in range(50)]
        assert await asyncio.wait_for(client.submit(Desk.echo, 1), 10) == 1
        completed = asyncio.as_completed([client.submit(Desk.echo, n) for n in range(20)], timeout=10)
        assert sorted([await one for one in completed]) == list(range(20))
        assert await asyncio.shield(client.submit(Desk.echo, 2)) == 2
        values = await asyncio.gather(client.submit(Desk.boom), client.submit(Desk.echo, 3), return_exceptions=True)
        assert isinstance(values[0], ValueError)
        assert values[1] == 3

    asyncio.run(story())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup and timeout are of Python 3.11")
def test_a_task_group_cancels_the_jobs_of_a_failed_group(client: Client[Desk], kit: Desk, link: Link) -> None:
    async def story() -> None:
        async def wait(future: Any) -> Any:
            return await future

        held = client.submit(Desk.hold, "held")
        assert await asyncio.to_thread(kit.started.wait, 10)
        with pytest.raises(TimeoutError):  # first: before 3.11.3 no timeout works in a task whose group has failed
            async with asyncio.timeout(0.05):
                await held
        assert held.cancelled()
        with pytest.raises(ExceptionGroup):  # noqa: F821
            async with asyncio.TaskGroup() as group:
                unwanted = [client.submit(Desk.echo, n) for n in range(5)]
                for future in unwanted:
                    group.create_task(wait(future))
                assert await asyncio.to_thread(client.flush, 10)
                group.create_task(_fail())
        assert all(future.cancelled() for future in unwanted)
        assert await asyncio.to_thread(asked_to_cancel, link, client, 6)
        kit.go.set()
        assert await client.submit(Desk.echo, "last") == "last"

    asyncio.run(story())
    assert kit.calls == ["held", "last"]


async def _fail() -> None:
    raise KeyError
