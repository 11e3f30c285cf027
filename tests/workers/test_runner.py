"""A job's way through a worker: from submit to result, with everything that options ask for."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import pytest

from pullet_broker.address import Address
from pullet_broker.errors import JobExpired
from pullet_broker.keys import LANES
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from tests.support.leaks import wait_until
from tests.support.workers import Kit, calling, running

pytestmark = pytest.mark.timeout(40)


def length(link: Link, queue: Queue) -> int:
    return sum(link.execute("XLEN", lane) for lane in queue.keys.lanes)


def test_a_job_comes_back_with_its_story(queue: Queue, address: Address) -> None:
    with running(queue, address, name="chess-1"), calling(queue, address) as client:
        future = client.submit(Kit.echo, {"fen": [1, (2, b"3")]})

        assert future.result(10) == {"fen": [1, (2, b"3")]}
        assert future.accepted
        assert (future.attempts, future.worker) == (1, "chess-1")
        assert future.run_s is not None
        assert 0 <= future.run_s < 1


def test_many_jobs_run_once_each(queue: Queue, address: Address, link: Link) -> None:
    kit = Kit()
    with running(queue, address, kit) as worker, calling(queue, address) as client:
        assert list(client.map(Kit.echo, range(3000))) == list(range(3000))

        assert sorted(kit.calls) == list(range(3000))
        assert wait_until(lambda: worker.runner.report.done == 3000)
    assert length(link, queue) == 0
    assert link.execute("HGET", queue.keys.fixed("stats"), "done") == b"3000"


def test_an_engine_is_built_and_called_in_one_thread_and_closed_there(queue: Queue, address: Address) -> None:
    seen: dict[str, set[int]] = {"built": set(), "called": set(), "closed": set()}

    class Affine:
        def __init__(self) -> None:
            seen["built"].add(threading.get_ident())

        def work(self) -> None:
            seen["called"].add(threading.get_ident())

        def close(self) -> None:
            seen["closed"].add(threading.get_ident())

    with running(queue, address, Affine), calling(queue, address, Affine) as client:
        for future in [client.submit(Affine.work) for _ in range(50)]:
            future.result(10)

    assert len(seen["built"]) == 1
    assert seen["built"] == seen["called"] == seen["closed"]
    assert threading.get_ident() not in seen["built"]


@pytest.mark.parametrize("size", [5_000, 20_000, 3_000_000])
def test_values_of_every_size_travel_both_ways(queue: Queue, address: Address, link: Link, size: int) -> None:
    value = os.urandom(size)
    with running(queue, address), calling(queue, address) as client:
        assert client.submit(Kit.echo, value).result(20) == value
        assert [found == value for found in client.map(Kit.echo, [value] * 4)] == [True] * 4
    assert not link.execute("KEYS", queue.keys.blob_prefix.replace("{", "\\{") + "*"), (
        "large arguments end with the job"
    )


def test_large_arguments_that_are_gone_fail_their_job(queue: Queue, address: Address, link: Link) -> None:
    with calling(queue, address) as client:
        future = client.submit(Kit.echo, b"x" * 100_000)
        assert client.flush(10)
        link.execute("DEL", queue.keys.blob(future.job_id))
        with running(queue, address) as worker:
            with pytest.raises(Exception, match="arguments are gone"):
                future.result(10)
            assert client.submit(Kit.echo, 1).result(10) == 1
            assert worker.lives


def test_a_job_that_waited_too_long_is_not_run(queue: Queue, address: Address) -> None:
    kit = Kit()
    with calling(queue, address) as client:
        late = client.options(expires=0.001).submit(Kit.echo, "late")
        fresh = client.options(expires=60).submit(Kit.echo, "fresh")
        assert client.flush(10)
        with running(queue, address, kit):
            assert fresh.result(10) == "fresh"
            with pytest.raises(JobExpired, match=late.job_id):
                late.result(10)
    assert kit.calls == ["fresh"]


def test_a_delayed_job_runs_when_it_is_due(quick: Queue, address: Address) -> None:
    kit = Kit()
    with running(quick, address, kit), calling(quick, address) as client:
        start = time.monotonic()
        delayed = client.options(delay=0.4).submit(Kit.echo, "delayed")
        assert client.submit(Kit.echo, "at once").result(10) == "at once"
        assert delayed.result(10) == "delayed"
        assert time.monotonic() - start >= 0.4
    assert kit.calls == ["at once", "delayed"]


def test_a_job_that_raises_is_tried_again_as_often_as_asked(quick: Queue, address: Address) -> None:
    with running(quick, address), calling(quick, address) as client:
        future = client.options(retries=2, backoff=0.02).submit(Kit.fail_first, "a", 2)
        assert future.result(10) == 3
        assert future.attempts == 3


def test_the_last_error_is_the_outcome_when_all_retries_are_used(quick: Queue, address: Address, link: Link) -> None:
    kit = Kit()
    with running(quick, address, kit) as worker, calling(quick, address) as client:
        future = client.options(retries=2, backoff=0.02).submit(Kit.fail_first, "a", 99)
        with pytest.raises(ConnectionError, match="a"):
            future.result(10)
        assert future.attempts == 3
        assert kit.calls == ["a"] * 3
        assert worker.runner.report.failed == 3
    assert link.execute("XLEN", quick.keys.fixed("dead")) == 1


def test_a_job_that_raises_runs_once_unless_retries_are_given(queue: Queue, address: Address) -> None:
    kit = Kit()
    with running(queue, address, kit), calling(queue, address) as client:
        with pytest.raises(ConnectionError):
            client.submit(Kit.fail_first, "a", 1).result(10)
        assert client.submit(Kit.echo, 1).result(10) == 1
    assert kit.calls == ["a", 1]


def test_urgent_jobs_overtake_those_that_wait(queue: Queue, address: Address) -> None:
    kit = Kit()
    with calling(queue, address) as client:
        jobs = [client.options(priority=n).submit(Kit.echo, n) for n in (-1, 0, 1, -1, 0, 1)]
        assert client.flush(10)
        with running(queue, address, kit):
            for job in jobs:
                job.result(10)
    assert kit.calls == [1, 1, 0, 0, -1, -1]


def test_a_paused_queue_takes_nothing_until_it_is_resumed(quick: Queue, address: Address, link: Link) -> None:
    kit = Kit()
    with running(quick, address, kit) as worker, calling(quick, address) as client:
        assert not client.paused
        client.pause()
        assert client.paused
        assert wait_until(lambda: worker.state == "paused")

        futures = [client.submit(Kit.echo, n) for n in range(20)]
        assert client.flush(10)
        beats = link.execute("HGET", quick.keys.fixed("beats"), worker.consumer)
        assert wait_until(lambda: link.execute("HGET", quick.keys.fixed("beats"), worker.consumer) != beats)
        assert kit.calls == []
        assert length(link, quick) == 20

        client.resume()
        assert not client.paused
        assert [future.result(10) for future in futures] == list(range(20))


@pytest.mark.slow
def test_an_idle_worker_hears_of_a_pause_in_two_seconds_and_of_its_end_in_a_beat(
    queue: Queue, address: Address
) -> None:
    with running(queue, address) as worker, calling(queue, address) as client:
        assert wait_until(lambda: worker.state == "idle")
        for _ in range(2):
            client.pause()
            assert wait_until(lambda: worker.state == "paused", 2.5)
            future = client.submit(Kit.echo, 1)
            client.resume()
            assert future.result(1.5) == 1


def test_a_paused_worker_can_be_drained(quick: Queue, address: Address, link: Link) -> None:
    link.execute("HSET", quick.keys.fixed("config"), "paused", 1)
    with running(quick, address) as worker:
        assert wait_until(lambda: worker.state == "paused")
        start = time.monotonic()
        assert worker.runner.drain(5)
        assert time.monotonic() - start < 2


def test_a_worker_says_what_it_does(quick: Queue, address: Address, link: Link) -> None:
    kit = Kit()

    def record() -> str:
        return str(link.execute("HGET", quick.keys.fixed("workers"), worker.consumer))

    with running(quick, address, kit, name="chess-1") as worker, calling(quick, address) as client:
        assert worker.consumer.startswith("chess-1.")
        assert wait_until(lambda: worker.state == "idle")
        future = client.submit(Kit.hold, 1)
        assert kit.started.wait(10)

        report = worker.runner.report
        now = report.shown()
        assert (now["state"], now["method"], now["job"]) == ("busy", "hold", future.job_id)
        assert worker.runner.holds == 1
        assert wait_until(lambda: future.job_id in record())

        kit.go.set()
        future.result(10)
        assert wait_until(lambda: (report.state, report.done, report.running) == ("idle", 1, 0))
        assert wait_until(lambda: '"done":1' in record())


def test_an_engine_that_cannot_be_built_is_reported_and_registers_nothing(
    queue: Queue, address: Address, link: Link
) -> None:
    from tests.support.workers import Worker

    def broken() -> Any:
        raise SystemExit("no licence")

    worker = Worker(queue, address, broken, "chess-1")
    worker.runner.start()

    error = worker.ended.result(10)
    assert isinstance(error, SystemExit)
    assert worker.state == "failed"
    assert not worker.ready.is_set()
    assert not link.execute("EXISTS", queue.keys.fixed("workers"))
    assert worker.runner.drain(5), "there is nothing to wait for"


def test_an_engine_may_be_named_instead_of_given(queue: Queue, address: Address) -> None:
    with running(queue, address, "tests.support.workers:Kit"), calling(queue, address) as client:  # type: ignore[arg-type]
        assert client.submit(Kit.echo, 1).result(10) == 1


def test_every_lane_has_its_group_before_the_first_job(queue: Queue, address: Address, link: Link) -> None:
    with running(queue, address):
        for lane in LANES:
            (group,) = link.execute("XINFO", "GROUPS", queue.keys.lane(lane))
            assert b"workers" in group
