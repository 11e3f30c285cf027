"""`InlinePool` behaves as the real way does: one story, told on both."""

from __future__ import annotations

import asyncio
import concurrent.futures
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import pullet
from pullet import Client, RemoteTraceback, Retry
from pullet.testing import InlinePool
from pullet.testing.plugin import pullet_pool as pullet_pool  # the fixture, where the entry point is not installed
from pullet_broker.address import Address
from pullet_broker.errors import ClientClosed, EncodeError, JobTimeout, RemoteError, TooLarge, UnknownMethod
from pullet_broker.settings import Limits, Queue
from tests.support.workers import Kit, calling, running

pytestmark = pytest.mark.timeout(40)


@dataclass
class Board:
    fen: str


class Custom(Exception):
    pass


class Engine(Kit):
    def turn(self, board: Board) -> Board:
        return Board(board.fen[::-1])

    def own(self) -> None:
        raise Custom("mine")

    def ask_again(self) -> None:
        raise Retry(after=0)

    def broken(self, n: int) -> Iterator[int]:
        yield from range(n)
        if not self.calls:
            self.calls.append("broken")
            raise KeyError("broken")

    def opaque_items(self) -> Iterator[Any]:
        yield 1
        yield object()

    @pullet.batch(max_batch_size=8)
    def doubled(self, items: list[int]) -> list[int | Exception]:
        return [2 * item if item else ValueError("zero") for item in items]

    @pullet.batch(max_batch_size=8)
    def too_few(self, items: list[int]) -> list[int]:
        return []

    def keyed(self) -> Any:
        return {(1, 2): {3}, "b": bytearray(b"x")}


@pytest.fixture(params=["inline", "real"])
def client(request: pytest.FixtureRequest, queue: Queue, address: Address) -> Iterator[Client[Engine]]:
    small = Queue(name=queue.name, limits=Limits(result_bytes=10_000, args_bytes=10_000))
    if request.param == "inline":
        with InlinePool(Engine, queue=small) as pool:
            yield pool
    else:
        with running(small, address, Engine), calling(small, address, Engine) as made:
            yield made


def test_values_come_back_encoded_and_decoded(client: Client[Engine]) -> None:
    assert client.submit(Engine.echo, [1, (2, {3})]).result(10) == [1, (2, {3})]
    assert client.submit(Engine.keyed).result(10) == {(1, 2): {3}, "b": b"x"}
    assert client.submit(Engine.turn, Board("abc")).result(10) == Board("cba")
    data = [1, 2]
    assert client.submit(Engine.echo, data).result(10) is not data


def test_errors_come_back_alike(client: Client[Engine]) -> None:
    error: Any = client.submit(Engine.boom, "bad").exception(10)
    assert (type(error), error.args) == (ValueError, ("bad",))
    assert isinstance(error.__cause__, RemoteTraceback)
    assert "in boom" in str(error.__cause__)
    assert "in run" not in str(error.__cause__), "the traceback begins with the engine's own frames"
    assert "attempt 1, job " in error.__notes__[0]
    own: Any = client.submit(Engine.own).exception(10)
    assert (type(own), own.type_name) == (RemoteError, f"{__name__}.Custom")
    assert type(client.submit(Engine.opaque).exception(10)) is EncodeError
    assert type(client.submit(Engine.huge, 20_000).exception(10)) is TooLarge


def test_what_submit_refuses_is_refused_alike(client: Client[Engine]) -> None:
    nothing: Any = object()
    with pytest.raises(TypeError, match="boom"):
        client.submit(Engine.boom, 1, 2, 3)  # type: ignore[call-overload]
    with pytest.raises(UnknownMethod):
        client.submit("missing")
    with pytest.raises(EncodeError):
        client.submit(Engine.echo, nothing)
    with pytest.raises(TooLarge):
        client.submit(Engine.echo, b"x" * 20_000)


def test_retries_are_made(client: Client[Engine]) -> None:
    future = client.options(retries=1).submit(Engine.fail_first, "a", 1)
    assert future.result(20) == 2
    assert future.attempts == 2
    assert isinstance(client.submit(Engine.fail_first, "b", 5).exception(10), ConnectionError)


def test_retries_are_chosen_by_type(client: Client[Engine]) -> None:
    again = client.options(retries=1, backoff=0, retry_on=(OSError,))
    assert again.submit(Engine.fail_first, "a", 1).result(20) == 2
    never = client.options(retries=1, backoff=0, no_retry_on=(ConnectionError, "builtins.ValueError"))
    for future in (never.submit(Engine.fail_first, "b", 1), never.submit(Engine.boom), again.submit(Engine.boom)):
        assert isinstance(future.exception(20), (ConnectionError, ValueError))
        assert future.attempts == 1
    asked = never.options(retry_on=(OSError,)).submit(Engine.ask_again)
    assert isinstance(asked.exception(20), Retry)
    assert asked.attempts == 2


def test_a_run_has_its_time(client: Client[Engine]) -> None:
    with pytest.raises(JobTimeout, match=r"timeout=0\.05") as caught:
        client.options(timeout=0.05, retries=1, backoff=0.001).submit(Engine.nap, 0.5).result(10)
    assert (caught.value.timeout_s, caught.value.attempts, caught.value.run_s >= 0.05) == (0.05, 2, True)
    assert client.options(timeout=10).submit(Engine.nap, 0.01).result(10) == 0.01


def test_what_the_engine_did_not_raise_is_not_tried_again(client: Client[Engine]) -> None:
    future = client.options(retries=2, backoff=0).submit(Engine.huge, 20_000)
    assert isinstance(future.exception(20), TooLarge)
    assert future.attempts == 1


def test_batch_methods_are_given_lists(client: Client[Engine]) -> None:
    assert client.submit(Engine.doubled, 3).result(10) == 6
    assert list(client.map(Engine.doubled, [1, 2, 3])) == [2, 4, 6]
    assert isinstance(client.submit(Engine.doubled, 0).exception(10), ValueError)
    assert isinstance(client.submit(Engine.too_few, 1).exception(10), ValueError)


def test_generators_are_streamed_and_collected(client: Client[Engine]) -> None:
    stream = client.stream(Engine.count, 5, 0.0)
    assert list(stream) == [0, 1, 2, 3, 4]
    assert client.submit(Engine.count, 3, 0.0).result(10) == [0, 1, 2]

    async def story() -> list[int]:
        return [item async for item in client.stream(Engine.count, 4, 0.0)]

    assert asyncio.run(story()) == [0, 1, 2, 3]
    for item in client.stream(Engine.count, 10**9, 0.0):
        if item == 3:
            break  # and it does not run for ever


def test_errors_of_generators_come_after_their_items(client: Client[Engine]) -> None:
    found: list[int] = []
    with pytest.raises(KeyError, match="broken"):
        found.extend(client.stream(Engine.broken, 3))
    assert found == [0, 1, 2]
    assert list(client.stream(Engine.broken, 3)) == [0, 1, 2]
    with pytest.raises(EncodeError, match=r"item\[1\]"):
        list(client.stream(Engine.opaque_items))
    with pytest.raises(TypeError, match="cannot be streamed"):
        list(client.stream(Engine.nap, 0.0))  # type: ignore[call-overload]


def test_a_stream_that_is_tried_again_repeats_no_item(client: Client[Engine]) -> None:
    again = client.options(retries=1, backoff=0)
    assert list(again.stream(Engine.broken, 3)) == [0, 1, 2]


def test_it_is_an_executor_and_its_futures_are_awaited(client: Client[Engine]) -> None:
    async def story() -> list[Any]:
        return await asyncio.gather(*(client.submit(Engine.echo, n) for n in range(5)))

    assert asyncio.run(story()) == list(range(5))
    assert list(client.map(Engine.echo, range(10), window=3)) == list(range(10))
    assert sorted(client.map(Engine.echo, range(10), ordered=False)) == list(range(10))
    futures = [client.submit(Engine.echo, n) for n in range(3)]
    assert concurrent.futures.wait(futures, 10).not_done == set()
    assert client.flush(10)


def test_after_close_nothing_is_taken(client: Client[Engine]) -> None:
    client.close()
    with pytest.raises(ClientClosed):
        client.submit(Engine.echo, 1)


def test_the_engine_of_an_inline_pool_is_at_hand_and_closed_once() -> None:
    with InlinePool(Engine) as pool:
        pool.submit(Engine.echo, "seen").result(0)
        engine = pool.engine
        assert engine.calls == ["seen"]
        assert pool.queue == "engine"
        assert pool.workers()[0]["done"] == 1
        for ask in (lambda: pool.dead, pool.pause, pool.resume, lambda: pool.paused):
            with pytest.raises(NotImplementedError, match="no server"):
                ask()
        with pytest.raises(TypeError, match="one process"):
            pickle.dumps(pool)
        assert "InlinePool" in repr(pool) + pool._repr_html_()
    pool.close()
    assert engine.closed == 1


class Pondering:
    closed = False

    async def ponder(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "pondered"

    async def fail(self) -> None:
        raise KeyError("deep")

    async def thoughts(self, n: int) -> AsyncIterator[int]:
        try:
            for i in range(n):
                await asyncio.sleep(0)
                yield i
        finally:
            self.closed = True

    @pullet.batch()
    async def weigh(self, items: list[str]) -> list[int]:
        await asyncio.sleep(0)
        return [len(item) for item in items]


def test_async_methods_run_with_and_without_a_loop_around() -> None:
    async def story() -> str:
        return await pool.submit(Pondering.ponder, 0.001)

    with InlinePool(Pondering) as pool:
        assert pool.submit(Pondering.ponder, 0).result(0) == "pondered"
        assert asyncio.run(story()) == "pondered"
        assert isinstance(pool.submit(Pondering.fail).exception(0), KeyError)
        assert list(pool.stream(Pondering.thoughts, 3)) == [0, 1, 2]
        assert pool.submit(Pondering.thoughts, 2).result(0) == [0, 1]
        assert pool.submit(Pondering.weigh, "abc").result(0) == 3
        pool.engine.closed = False
        for _ in pool.stream(Pondering.thoughts, 10**9):
            break
        assert pool.engine.closed


def test_an_async_method_is_cancelled_at_its_time() -> None:
    class Waits:
        cancelled = False

        async def wait(self) -> None:
            try:
                await asyncio.sleep(40)
            except asyncio.CancelledError:
                self.cancelled = True
                raise

    with InlinePool(Waits) as pool:
        with pytest.raises(JobTimeout):
            pool.options(timeout=0.05).submit(Waits.wait).result(0)
        assert pool.engine.cancelled


def test_the_fixture_makes_pools(pullet_pool: Callable[..., InlinePool[Any]]) -> None:
    pool = pullet_pool(Kit)
    assert pool.submit(Kit.echo, 1).result(0) == 1
    assert pullet_pool(Kit, queue="other").queue == "other"
