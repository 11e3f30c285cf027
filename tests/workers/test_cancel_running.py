"""A job that runs is cancelled: tasks and generators stop at once, other code at the price of its worker, if asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import CancelledError
from typing import Any

import pytest

import pullet
from pullet_broker.address import Address
from pullet_broker.link import Link
from pullet_broker.moves.cancel import Stop, cancel
from pullet_broker.settings import Queue
from tests.support.held import Held, Seen, fresh
from tests.support.leaks import wait_until
from tests.support.workers import calling, doomed, kill_connections, registered, running

pytestmark = pytest.mark.timeout(60)


class Plain(Held):
    def count(self) -> Iterator[int]:
        self._calls.append("counts")
        try:
            for i in range(100_000):
                yield i
                self._go.wait(0.01)
        finally:
            self._calls.append("closed")


class Async(Seen):
    async def echo(self, value: str) -> str:
        return value

    async def hold(self, value: str) -> str:
        self._calls.append(value)
        try:
            await asyncio.sleep(40)
        except asyncio.CancelledError:
            self._calls.append(f"{value} cancelled")
            raise
        return value

    async def stubborn(self) -> str:
        self._calls.append("stubborn")
        while not self._go.is_set():
            try:
                await asyncio.sleep(0.02)
            except asyncio.CancelledError:
                self._calls.append("ignored")
        return "late"

    async def count(self) -> AsyncIterator[int]:
        self._calls.append("counts")
        try:
            for i in range(100_000):
                yield i
                await asyncio.sleep(0.01)
        finally:
            self._calls.append("closed")

    @pullet.batch(max_batch_size=2, batch_wait_timeout_s=20)
    async def together(self, values: list[str]) -> list[str]:
        self._calls.append("+".join(values))
        try:
            while not ("short" in values and self._go.is_set()):
                await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            self._calls.append("cancelled")
            raise
        return values


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("pullet_workers.watchdog.GRACE_S", 0.1)
    with fresh(Plain, Async):
        yield


def outcome_of(link: Link, queue: Queue, job: str) -> str:
    return (link.execute("GET", queue.keys.reply(job)) or b"").split(b" ")[0].decode()


def has_outcome(link: Link, queue: Queue, job: str, outcome: str) -> bool:
    return wait_until(lambda: outcome_of(link, queue, job) == outcome)


def tombstones(link: Link, queue: Queue) -> int:
    return int(link.execute("ZCARD", queue.keys.fixed("cancelled")))


def test_a_task_gets_a_cancelled_error(queue: Queue, address: Address, link: Link) -> None:
    with running(queue, address, Async), calling(queue, address, Async) as client:
        future = client.submit(Async.hold, "a")
        assert wait_until(lambda: Async.calls == ["a"])
        assert future.cancel()
        with pytest.raises(CancelledError):
            future.result(0)
        assert wait_until(lambda: Async.calls == ["a", "a cancelled"])
        assert has_outcome(link, queue, future.job_id, "cancelled")
        assert tombstones(link, queue) == 0
        assert client.submit(Async.echo, "next").result(10) == "next"


@pytest.mark.parametrize("engine", [Plain, Async])
def test_a_generator_that_nobody_streams_is_closed_too(queue: Queue, address: Address, link: Link, engine: Any) -> None:
    with running(queue, address, engine), calling(queue, address, engine) as client:
        future = client.submit(engine.count)
        assert wait_until(lambda: engine.calls == ["counts"])
        assert future.cancel()
        assert wait_until(lambda: engine.calls == ["counts", "closed"])
        assert has_outcome(link, queue, future.job_id, "cancelled")


def test_anybody_may_cancel_and_all_who_wait_hear_of_it(queue: Queue, address: Address) -> None:
    with running(queue, address, Async), calling(queue, address, Async) as one, calling(queue, address, Async) as other:
        future = one.submit(Async.hold, "a")
        assert wait_until(lambda: Async.calls == ["a"])
        assert other.job(future.job_id).cancel()
        with pytest.raises(CancelledError):
            future.result(10)
        assert Async.calls == ["a", "a cancelled"]


def test_a_cancel_that_came_too_late_stops_no_later_job_with_the_same_id(
    queue: Queue, address: Address, link: Link
) -> None:
    with running(queue, address, Async) as worker, calling(queue, address, Async) as client:
        named = client.options(id="again")
        assert named.submit(Async.echo, "first").result(10) == "first"
        link.execute("DEL", queue.keys.reply("again"))
        assert link.run(cancel(queue, "again")) == "ASKED"
        second, other = named.submit(Async.hold, "second"), client.submit(Async.hold, "other")
        assert wait_until(lambda: len(Async.calls) == 2)
        worker.runner._watchdog.heed([Stop("again", force=False)])  # as it may be heard only now
        assert other.cancel()
        assert wait_until(lambda: "other cancelled" in Async.calls)
        assert "second cancelled" not in Async.calls
        assert second.cancel()
        assert wait_until(lambda: "second cancelled" in Async.calls)
        assert has_outcome(link, queue, "again", "cancelled")
        assert tombstones(link, queue) == 0


def test_a_plain_method_runs_to_its_end_in_vain(queue: Queue, address: Address, link: Link) -> None:
    with running(queue, address, Plain) as worker, calling(queue, address, Plain) as client:
        future = client.submit(Plain.hold, "a")
        assert wait_until(lambda: Plain.calls == ["a"])
        assert future.cancel()
        assert wait_until(lambda: bool(worker.runner._runs.orders)), "the worker knows"
        assert outcome_of(link, queue, future.job_id) == ""
        Plain.go.set()
        assert has_outcome(link, queue, future.job_id, "cancelled")
        assert client.submit(Plain.echo, "next").result(10) == "next"


@pytest.mark.parametrize("first", [False, True])
def test_force_replaces_the_worker_of_a_plain_method(queue: Queue, address: Address, link: Link, first: bool) -> None:
    with calling(queue, address, Plain) as client:
        with doomed(queue, address, Plain) as worker:
            future = client.submit(Plain.hold, "a")
            assert wait_until(lambda: Plain.calls == ["a"])
            other = client.submit(Plain.echo, "b")
            if first:
                assert future.cancel()
                assert wait_until(lambda: tombstones(link, queue) == 1)
            assert future.cancel(force=True)
            assert has_outcome(link, queue, future.job_id, "cancelled")
            worker.ended.result(10)
            assert registered(link, queue) == {}
        Plain.go.set()
        with running(queue, address, Plain):
            assert (other.result(10), other.attempts) == ("b", 1)
        assert outcome_of(link, queue, future.job_id) == "cancelled"
        assert len(client.dead) == 0


def test_force_costs_nothing_where_it_is_not_needed(queue: Queue, address: Address) -> None:
    with running(queue, address, Async) as worker, calling(queue, address, Async) as client:
        first = worker.consumer
        future = client.submit(Async.hold, "a")
        assert wait_until(lambda: Async.calls == ["a"])
        assert future.cancel(force=True)
        assert wait_until(lambda: Async.calls == ["a", "a cancelled"])
        assert client.submit(Async.echo, "next").result(10) == "next"
        assert worker.consumer == first


def test_a_stubborn_task_costs_its_worker_only_with_force(queue: Queue, address: Address, link: Link) -> None:
    with calling(queue, address, Async) as client:
        with doomed(queue, address, Async) as worker:
            handle = client.job(client.submit(Async.stubborn).job_id)
            assert wait_until(lambda: Async.calls == ["stubborn"])
            assert handle.cancel()
            assert wait_until(lambda: "ignored" in Async.calls)
            assert worker.lives
            assert outcome_of(link, queue, handle.job_id) == ""
            assert handle.cancel(force=True)
            worker.ended.result(10)
            assert has_outcome(link, queue, handle.job_id, "cancelled")
        Async.go.set()


def test_what_waits_in_a_hand_never_starts(queue: Queue, address: Address, link: Link) -> None:
    """A worker may hold more than it runs. Here it does not give that back by itself."""
    lazy = Queue(name=queue.name, prefetch=pullet.Prefetch(budget_s=30))
    with calling(lazy, address, Plain) as client:
        for _ in range(20):
            client.submit(Plain.echo, "x")  # its jobs are short, so it takes many
        held = client.submit(Plain.hold, "held")
        behind = [client.submit(Plain.echo, name) for name in ("b", "c", "d")]
        assert client.flush(10)
        with running(lazy, address, Plain):
            assert wait_until(lambda: "held" in Plain.calls)
            assert client.job(behind[1].job_id).state == "running", "in hand, that is"
            assert behind[1].cancel()
            assert has_outcome(link, queue, behind[1].job_id, "cancelled")
            Plain.go.set()
            assert [held.result(10), behind[0].result(10), behind[2].result(10)] == ["held", "b", "d"]
    assert Plain.calls[20:] == ["held", "b", "d"]


def test_a_batch_stops_when_all_its_jobs_are_cancelled(queue: Queue, address: Address, link: Link) -> None:
    with running(queue, address, Async) as worker, calling(queue, address, Async) as client:
        one, other = client.submit(Async.together, "short"), client.submit(Async.together, "b")
        assert wait_until(lambda: Async.calls == ["short+b"])
        assert one.cancel()
        assert wait_until(lambda: bool(worker.runner._runs.orders)), "the worker knows"
        Async.go.set()
        assert other.result(10) == "b"
        assert has_outcome(link, queue, one.job_id, "cancelled")
        Async.calls.clear()
        both = [client.submit(Async.together, "x"), client.submit(Async.together, "y")]
        assert wait_until(lambda: Async.calls == ["x+y"])
        assert all(future.cancel() for future in both)
        assert wait_until(lambda: Async.calls == ["x+y", "cancelled"])
        assert all(has_outcome(link, queue, future.job_id, "cancelled") for future in both)


def test_a_lost_connection_hears_what_it_missed(queue: Queue, address: Address, link: Link) -> None:
    with running(queue, address, Async), calling(queue, address, Async) as client:
        for n in range(3):
            future = client.submit(Async.hold, str(n))
            assert wait_until(lambda n=n: str(n) in Async.calls)  # type: ignore[misc]
            kill_connections(link, f"pullet:{queue.name}:stops")
            assert future.cancel()
            assert wait_until(lambda n=n: f"{n} cancelled" in Async.calls)  # type: ignore[misc]


def test_a_thousand_cancels_stop_a_thousand_tasks(queue: Queue, address: Address, link: Link) -> None:
    with running(queue, address, Async), calling(queue, address, Async) as client:
        futures = [client.submit(Async.hold, str(n)) for n in range(800)]
        assert wait_until(lambda: len(Async.calls) == 800)
        assert all(future.cancel() for future in futures)
        assert wait_until(lambda: len(Async.calls) == 1600)
        assert wait_until(lambda: tombstones(link, queue) == 0)
        assert client.submit(Async.echo, "next").result(10) == "next"
