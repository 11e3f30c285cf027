"""An engine may say that it is not well: its worker leaves in order, and says why."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from pullet_broker.address import Address
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from pullet_workers.health import Unhealthy
from tests.support.leaks import wait_until
from tests.support.workers import Worker, calling, running
from tests.workers.test_drain import assert_nothing_is_left, length

pytestmark = pytest.mark.timeout(40)


class Plain:
    answer: Any = None
    asked: list[tuple[float, int]]
    home: int

    def __init__(self) -> None:
        type(self).answer, type(self).asked, type(self).home = None, [], threading.get_ident()

    def rest(self, seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    def health(self) -> Any:
        self.asked.append((time.monotonic(), threading.get_ident()))
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


class Async(Plain):
    async def rest(self, seconds: float) -> float:  # type: ignore[override]
        await asyncio.sleep(seconds)
        return seconds

    async def health(self) -> Any:
        await asyncio.sleep(0)
        return super().health()


KINDS = pytest.mark.parametrize(("engine", "concurrency"), [(Plain, None), (Plain, 1), (Async, 4)])
ALL = pytest.mark.parametrize(("engine", "concurrency"), [(Plain, None), (Plain, 3), (Async, 4)])


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pullet_workers.health.HEALTH_S", 0.1)


@KINDS
def test_it_is_asked_now_and_then_where_the_engine_lives(
    quick: Queue, address: Address, engine: Any, concurrency: int | None
) -> None:
    began = time.monotonic()
    with (
        running(quick, address, engine, concurrency=concurrency) as worker,
        calling(quick, address, engine) as client,
    ):
        engine.answer = True
        futures = [client.submit(engine.rest, 0.01) for _ in range(60)]
        assert wait_until(lambda: len(engine.asked) >= 3)
        assert {thread for _, thread in engine.asked} == {engine.home}
        assert len(engine.asked) - 1 <= (time.monotonic() - began) / 0.1
        for future in futures:
            future.result(10)
        assert wait_until(lambda: len(engine.asked) >= 8), "an idle worker is asked too"
        assert worker.lives


@ALL
@pytest.mark.parametrize("answer", [False, OSError("the device is gone"), SystemExit()])
def test_a_worker_that_is_not_well_leaves_and_says_why(
    quick: Queue, address: Address, link: Link, engine: Any, concurrency: int | None, answer: Any
) -> None:
    worker = Worker(quick, address, engine, "ill", concurrency=concurrency)
    with calling(quick, address, engine) as client:
        worker.runner.start()
        assert worker.ready.wait(10)
        futures = [client.submit(engine.rest, 0.05) for _ in range(60)]
        futures[0].result(10)
        engine.answer = answer
        error = worker.ended.result(10)
        assert isinstance(error, Unhealthy)
        assert "health()" in str(error)
        assert "the device is gone" in str(error) or not isinstance(answer, OSError)
        assert worker.state == "failed"
        assert_nothing_is_left(link, quick)
        assert length(link, quick) > 0
        with running(quick, address, engine, name="well", concurrency=concurrency):
            for future in futures:
                assert future.result(10) == 0.05
                assert future.attempts == 1, "nobody was killed: what ran was finished, the rest given back"


def test_an_engine_without_the_hook_is_well(quick: Queue, address: Address) -> None:
    class Simple:
        def work(self) -> int:
            return 1

    with running(quick, address, Simple), calling(quick, address, Simple) as client:
        assert not wait_until(lambda: client.submit(Simple.work).result(10) != 1, 0.3)
