"""options(timeout=): a run that takes too long ends as JobTimeout, whatever it is doing, and takes nobody with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import pullet
from pullet_broker.address import Address
from pullet_broker.errors import JobTimeout
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from tests.support.held import Held, Seen, fresh
from tests.support.leaks import wait_until
from tests.support.workers import calling, doomed, registered, running

pytestmark = pytest.mark.timeout(60)

SHORT = 0.2


class Slow(Held):
    def count(self, n: int) -> Iterator[int]:
        try:
            for i in range(n):
                yield i
                time.sleep(0.01)
        finally:
            self._calls.append("closed")

    @pullet.batch(max_batch_size=3, batch_wait_timeout_s=2)
    def together(self, values: list[str]) -> list[str]:
        self._calls.append("+".join(values))
        if "stuck" in values:
            assert self._go.wait(40)
        return values


class Patient(Seen):
    async def echo(self, value: str) -> str:
        return value

    async def hold(self, value: str) -> str:
        try:
            await asyncio.sleep(40)
        except asyncio.CancelledError:
            self._calls.append(f"{value} cancelled")
            raise
        return value

    async def stubborn(self) -> str:
        while not self._go.is_set():
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                self._calls.append("ignored")
        return "late"

    async def blocking(self) -> None:
        assert self._go.wait(40)

    async def count(self, n: int) -> AsyncIterator[int]:
        try:
            for i in range(n):
                yield i
                await asyncio.sleep(0.01)
        finally:
            self._calls.append("closed")

    @pullet.batch(max_batch_size=3, batch_wait_timeout_s=2)
    async def together(self, values: list[str]) -> list[str]:
        self._calls.append("+".join(values))
        if "stuck" in values:
            await asyncio.sleep(40)
        return values


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    with fresh(Slow, Patient):
        yield


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pullet_workers.watchdog.GRACE_S", 0.1)


def test_an_async_method_is_cancelled_and_its_caller_hears_where(queue: Queue, address: Address) -> None:
    with running(queue, address, Patient) as worker, calling(queue, address, Patient) as client:
        future = client.options(timeout=SHORT).submit(Patient.hold, "a")
        with pytest.raises(JobTimeout, match=r"hold was stopped: it ran longer than options\(timeout=0.2\)") as caught:
            future.result(10)
        error = caught.value
        assert not isinstance(error, TimeoutError)
        assert (error.job, error.timeout_s, error.attempts) == (future.job_id, SHORT, 1)
        assert (error.worker, worker.lives) == ("worker", True)
        assert error.run_s >= SHORT
        assert "await asyncio.sleep(40)" in str(error.__cause__)
        assert Patient.calls == ["a cancelled"]
        assert client.submit(Patient.echo, "next").result(10) == "next"


def test_jobs_that_are_in_time_are_not_touched(queue: Queue, address: Address) -> None:
    for engine in (Slow, Patient):
        with running(queue, address, engine), calling(queue, address, engine) as client:
            quick = client.options(timeout=5)
            assert list(quick.map(engine.echo, map(str, range(300)))) == list(map(str, range(300)))
            assert quick.submit(engine.count, 5).result(10) == list(range(5))


@pytest.mark.parametrize("engine", [Slow, Patient])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_generator_is_closed(queue: Queue, address: Address, engine: Any, streamed: bool) -> None:
    with running(queue, address, engine), calling(queue, address, engine) as client:
        limited, found = client.options(timeout=SHORT), []
        with pytest.raises(JobTimeout):
            if streamed:
                found.extend(limited.stream(engine.count, 4000))
            else:
                limited.submit(engine.count, 4000).result(10)
        assert wait_until(lambda: engine.calls == ["closed"])
        assert found == list(range(len(found)))
        assert client.submit(engine.echo, "next").result(10) == "next"


def test_code_that_cannot_be_interrupted_costs_its_worker_and_nobody_else(
    queue: Queue, address: Address, link: Link, hasty: None
) -> None:
    with calling(queue, address, Slow) as client:
        with doomed(queue, address, Slow) as worker:
            stuck = client.options(timeout=SHORT).submit(Slow.hold, "stuck")
            assert wait_until(lambda: Slow.calls == ["stuck"])
            others = [client.submit(Slow.echo, name) for name in ("b", "c")]
            with pytest.raises(JobTimeout) as caught:
                stuck.result(10)
            assert "self._go.wait(40)" in str(caught.value.__cause__)
            worker.ended.result(10)
            assert registered(link, queue) == {}
        assert client.dead.get(stuck.job_id).error_type == "pullet.JobTimeout"  # type: ignore[union-attr]
        with running(queue, address, Slow):
            assert [other.result(10) for other in others] == ["b", "c"]
            assert [other.attempts for other in others] == [1, 1], "nobody blames them"
        Slow.go.set()
    assert sorted(Slow.calls) == ["b", "c", "stuck"]


def test_a_call_that_comes_back_soon_keeps_its_warm_worker(queue: Queue, address: Address) -> None:
    with running(queue, address, Slow) as worker, calling(queue, address, Slow) as client:
        first = worker.consumer
        future = client.options(timeout=SHORT).submit(Slow.hold, "late")
        with pytest.raises(JobTimeout):
            future.result(10)
        Slow.go.set()
        assert client.submit(Slow.echo, "next").result(10) == "next"
        assert (worker.consumer, worker.lives) == (first, True)


def test_only_a_caller_who_asked_for_retries_gets_them(queue: Queue, address: Address) -> None:
    with running(queue, address, Patient), calling(queue, address, Patient) as client:
        again = client.options(timeout=SHORT, retries=2, backoff=0.01)
        with pytest.raises(JobTimeout) as caught:
            again.submit(Patient.hold, "a").result(20)
        assert caught.value.attempts == 3
        assert Patient.calls == ["a cancelled"] * 3
        never = again.options(no_retry_on=(JobTimeout,)).submit(Patient.hold, "b")
        with pytest.raises(JobTimeout):
            never.result(10)
        assert never.attempts == 1


def test_what_runs_in_other_threads_may_end_first(queue: Queue, address: Address, hasty: None) -> None:
    with calling(queue, address, Slow) as client:
        with doomed(queue, address, Slow, concurrency=3) as worker:
            beside = client.submit(Slow.count, 60)
            stuck = client.options(timeout=SHORT).submit(Slow.hold, "stuck")
            with pytest.raises(JobTimeout):
                stuck.result(10)
            assert beside.result(10) == list(range(60))
            assert beside.attempts == 1
            worker.ended.result(10)
        Slow.go.set()


def test_but_not_for_ever(queue: Queue, address: Address, hasty: None) -> None:
    with calling(queue, address, Slow) as client:
        with doomed(queue, address, Slow, concurrency=2, drain_s=0.1) as worker:
            beside = client.submit(Slow.hold, "beside")
            with pytest.raises(JobTimeout):
                client.options(timeout=SHORT).submit(Slow.hold, "stuck").result(10)
            worker.ended.result(10)
        Slow.go.set()
        with running(queue, address, Slow):
            assert beside.result(10) == "beside"
    assert Slow.calls.count("beside") == 2


@pytest.mark.parametrize("engine", [Slow, Patient])
def test_the_others_of_a_batch_are_run_again(queue: Queue, address: Address, hasty: None, engine: Any) -> None:
    with calling(queue, address, engine) as client:

        def submit() -> tuple[Any, list[Any]]:
            others = [client.submit(engine.together, "b")]
            stuck = client.options(timeout=SHORT).submit(engine.together, "stuck")
            return stuck, [*others, client.submit(engine.together, "c")]

        if engine is Patient:
            with running(queue, address, engine):
                stuck, others = submit()
                with pytest.raises(JobTimeout):
                    stuck.result(10)
                assert [other.result(10) for other in others] == ["b", "c"]
            assert engine.calls[-1] == "b+c", "in the same worker, at once and together"
            return
        with doomed(queue, address, engine):
            stuck, others = submit()
            with pytest.raises(JobTimeout):
                stuck.result(10)
        with running(queue, address, engine):
            assert [other.result(10) for other in others] == ["b", "c"]
        engine.go.set()


@pytest.mark.parametrize("method", ["stubborn", "blocking"])
def test_a_task_that_will_not_be_cancelled_costs_its_worker(
    queue: Queue, address: Address, hasty: None, method: str
) -> None:
    with calling(queue, address, Patient) as client:
        with doomed(queue, address, Patient, drain_s=0.1):
            stuck = client.options(timeout=SHORT).submit(method)
            with pytest.raises(JobTimeout):
                stuck.result(10)
        assert Patient.calls == (["ignored"] if method == "stubborn" else []) or Patient.calls[:1] == ["ignored"]
        Patient.go.set()
        with running(queue, address, Patient):
            assert client.submit(Patient.echo, "next").result(10) == "next"


@pytest.mark.parametrize("engine", [Slow, Patient])
def test_a_job_that_must_not_be_repeated_shares_no_batch(queue: Queue, address: Address, engine: Any) -> None:
    """A batch that is stopped for one of its jobs is tried again with the others."""
    with calling(queue, address, engine) as client:
        futures = [client.options(repeat=n != 2).submit(engine.together, str(n)) for n in range(4)]
        assert client.flush(10)
        with running(queue, address, engine):
            assert [future.result(10) for future in futures] == list("0123")
    assert "2" in engine.calls
    assert sorted("".join(engine.calls).replace("+", "")) == list("0123")
