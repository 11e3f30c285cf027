"""A worker that leaves: it finishes what it runs, gives back what it does not, and leaves nothing behind."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from pullet_broker.address import Address
from pullet_broker.keys import GROUP
from pullet_broker.link import Link
from pullet_broker.scripting import Call
from pullet_broker.settings import Lease, Queue
from tests.support.leaks import wait_until
from tests.support.workers import Kit, Worker, calling, consumers, registered, running

pytestmark = pytest.mark.timeout(40)


def pending(link: Link, queue: Queue) -> int:
    return sum(link.execute("XPENDING", lane, GROUP)[0] for lane in queue.keys.lanes)


def length(link: Link, queue: Queue) -> int:
    return sum(link.execute("XLEN", lane) for lane in queue.keys.lanes)


def assert_nothing_is_left(link: Link, queue: Queue) -> None:
    assert registered(link, queue) == {}
    assert consumers(link, queue) == set()
    assert pending(link, queue) == 0
    for hash_ in ("beats", "missed"):
        assert not link.execute("EXISTS", queue.keys.fixed(hash_)), hash_


def test_it_finishes_the_running_job_and_gives_back_the_rest(quick: Queue, address: Address, link: Link) -> None:
    kit = Kit()
    with calling(quick, address) as client, ThreadPoolExecutor() as aside:
        with running(quick, address, kit) as worker:
            assert list(client.map(Kit.echo, range(100))) == list(range(100)), "now it takes many at once"
            link.execute("HSET", quick.keys.fixed("config"), "paused", 1)
            assert wait_until(lambda: worker.state == "paused")
            held = client.submit(Kit.hold, "held")
            others = [client.submit(Kit.echo, n) for n in range(10)]
            assert client.flush(10)
            link.execute("HDEL", quick.keys.fixed("config"), "paused")
            assert kit.started.wait(10)

            drained = aside.submit(worker.runner.drain, 30)
            assert wait_until(lambda: pending(link, quick) == 1), "the rest is given back while the job still runs"
            late = client.submit(Kit.echo, "late")
            assert client.flush(10)
            assert not drained.done()
            kit.go.set()

            assert drained.result(10)
            assert held.result(10) == "held"
            assert kit.calls[100:] == ["held"]
            assert length(link, quick) == 11
            assert_nothing_is_left(link, quick)
        with running(quick, address):
            assert [future.result(10) for future in [*others, late]] == [*range(10), "late"]


def test_after_the_deadline_the_running_job_is_another_workers(queue: Queue, address: Address, link: Link) -> None:
    first, second = Kit(), Kit()
    second.go.set()
    with calling(queue, address) as client, running(queue, address, first, name="first") as slow:
        future = client.submit(Kit.hold, "held")
        assert first.started.wait(10)

        assert not slow.runner.drain(0.05)
        with running(queue, address, second, name="second"):
            assert future.result(10) == "held"
            assert future.worker == "second"
            first.go.set()
            assert slow.ended.result(10) is None
            reply = client.options(keep=True).submit(Kit.echo, 1)
            reply.result(10)

        assert link.execute("HGET", queue.keys.fixed("stats"), "done") == b"2", "the late outcome does not count"
    assert_nothing_is_left(link, queue)


def test_an_idle_worker_leaves_at_once(queue: Queue, address: Address, link: Link) -> None:
    with running(queue, address) as worker, calling(queue, address) as client:
        client.submit(Kit.echo, 1).result(10)
        assert wait_until(lambda: worker.state == "idle")
        start = time.monotonic()
        assert worker.runner.drain(10)
        assert time.monotonic() - start < 1.0, "it does not wait for its blocking read to end"
    assert_nothing_is_left(link, queue)


def test_drain_may_be_repeated(queue: Queue, address: Address) -> None:
    with running(queue, address) as worker:
        assert worker.runner.drain(10)
        assert worker.runner.drain(10)
        assert worker.state == "left"


def test_a_worker_that_still_builds_its_engine_can_be_drained(queue: Queue, address: Address, link: Link) -> None:
    building, go = threading.Event(), threading.Event()

    def slow() -> Kit:
        building.set()
        assert go.wait(30)
        return Kit()

    worker = Worker(queue, address, slow, "slow")
    worker.runner.start()
    assert building.wait(10)
    assert not worker.runner.drain(0.05)
    go.set()
    assert worker.ended.result(10) is None
    assert registered(link, queue) == {}


def test_the_engine_is_closed_once_and_after_its_last_job(queue: Queue, address: Address) -> None:
    class Closing(Kit):
        def close(self) -> None:
            self.calls.append("closed")

    kit = Closing()
    with running(queue, address, kit), calling(queue, address) as client:
        client.submit(Kit.echo, 1).result(10)
    assert kit.calls == [1, "closed"]


def test_an_engine_that_cannot_close_does_not_keep_its_worker(queue: Queue, address: Address, link: Link) -> None:
    class Stuck(Kit):
        def close(self) -> None:
            raise OSError("the port is gone")

    kit = Stuck()
    worker = Worker(queue, address, lambda: kit, "stuck")
    worker.runner.start()
    assert worker.ready.wait(10)
    worker.runner.drain(10)
    assert isinstance(worker.ended.result(10), OSError), "whoever waits for the worker hears of it"
    assert_nothing_is_left(link, queue)


def test_a_slow_close_does_not_bring_the_worker_back(queue: Queue, address: Address, link: Link) -> None:
    quick = dataclasses.replace(queue, lease=Lease(beat_s=0.02, tick_ms=15, ticks=500))
    closing, go = threading.Event(), threading.Event()

    class Slow(Kit):
        def close(self) -> None:
            closing.set()
            assert go.wait(30)

    with ThreadPoolExecutor() as aside, calling(quick, address) as client, running(quick, address, Slow()) as worker:
        client.submit(Kit.echo, 1).result(10)
        drained = aside.submit(worker.runner.drain, 30)
        assert closing.wait(10)
        came_back = wait_until(lambda: registered(link, quick) != {}, 0.3)
        go.set()
        assert drained.result(10)
        assert not came_back, "the heart registered it again"
    assert_nothing_is_left(link, quick)


def test_a_job_that_is_being_fetched_when_the_worker_leaves_is_given_back(
    queue: Queue, address: Address, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short jobs are taken ahead while another runs: here the answer to such a take comes after the last job ended."""
    taken, go, run_all = threading.Event(), threading.Event(), Link.run_all

    def slow(self: Link, calls: Sequence[Call[Any]]) -> list[Any]:
        answers = run_all(self, calls)
        if threading.current_thread().name == "pullet-courier" and any(getattr(one, "entries", ()) for one in answers):
            taken.set()
            assert go.wait(30)
        return answers

    monkeypatch.setattr(Link, "run_all", slow)
    kit = Kit()
    with calling(queue, address) as client, ThreadPoolExecutor() as aside:
        futures = [client.submit(Kit.nap, 0.01) for _ in range(50)]
        with running(queue, address, kit) as worker:
            assert taken.wait(10)
            drained = aside.submit(worker.runner.drain, 20)
            wait_until(drained.done, 0.3)
            go.set()
            assert drained.result(10)
            assert_nothing_is_left(link, queue)
        with running(queue, address, name="next"):
            for future in futures:
                assert future.result(10) == 0.01


def test_workers_that_leave_in_mid_stream_strand_nothing(queue: Queue, address: Address, link: Link) -> None:
    with calling(queue, address) as client:
        futures: list[Future[Any]] = [client.submit(Kit.nap, 0.002) for _ in range(200)]
        for _ in range(8):
            kit = Kit()
            with running(queue, address, kit) as worker:
                assert wait_until(lambda kit=kit: len(kit.calls) >= 3)  # type: ignore[misc]
                assert worker.runner.drain(10)
                assert_nothing_is_left(link, queue)
        with running(queue, address, name="last"):
            for future in futures:
                assert future.result(20) == 0.002
