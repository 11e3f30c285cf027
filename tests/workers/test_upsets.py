"""What happens to a server while workers work on it: they go on, and no job is lost or run twice without need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from pullet import Client
from pullet_broker.address import Address
from pullet_broker.errors import JobLost
from pullet_broker.keys import GROUP
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from pullet_workers.heart import bury_consumer
from tests.support.leaks import wait_until
from tests.support.workers import Kit, Worker, calling, kill_connections, registered, running

pytestmark = pytest.mark.timeout(60)


def read_blindly(link: Link, queue: Queue, consumer: str) -> None:
    """Everything that waits is delivered to this consumer, and the answer is lost."""
    lanes = queue.keys.lanes
    link.execute("XREADGROUP", "GROUP", GROUP, consumer, "STREAMS", *lanes, *(">" for _ in lanes))


def set_paused(link: Link, queue: Queue, worker: Worker, paused: bool) -> None:
    config = queue.keys.fixed("config")
    link.execute("HSET", config, "paused", 1) if paused else link.execute("HDEL", config, "paused")
    if paused:
        assert wait_until(lambda: worker.state == "paused")


def test_a_worker_that_was_forgotten_starts_a_new_incarnation(quick: Queue, address: Address, link: Link) -> None:
    with running(quick, address) as worker, calling(quick, address) as client:
        assert client.submit(Kit.echo, 1).result(10) == 1
        old = worker.consumer

        bury_consumer(link, quick, old, blame=True)

        assert [client.submit(Kit.echo, n).result(10) for n in range(20)] == list(range(20))
        assert wait_until(lambda: worker.consumer != old)
        assert wait_until(lambda: list(registered(link, quick)) == [worker.consumer])


def test_a_worker_that_counts_as_dead_never_rises_under_its_old_name(
    quick: Queue, address: Address, link: Link
) -> None:
    """Its beats go on while it runs its job, and what it says of itself is new."""
    kit = Kit()
    with running(quick, address, kit) as worker, calling(quick, address) as client:
        old = worker.consumer
        future = client.submit(Kit.hold, 1)
        assert kit.started.wait(10)
        bury_consumer(link, quick, old, blame=False)

        assert not wait_until(lambda: old in registered(link, quick), 0.5)
        kit.go.set()
        assert future.result(10) == 1
        assert wait_until(lambda: worker.consumer != old)


def test_a_job_of_a_worker_that_counts_as_dead_has_one_outcome(quick: Queue, address: Address, link: Link) -> None:
    first, second = Kit(), Kit()
    second.go.set()
    with running(quick, address, first, name="first") as worker, calling(quick, address) as client:
        future = client.submit(Kit.hold, 1)
        assert first.started.wait(10)
        bury_consumer(link, quick, worker.consumer, blame=True)
        with running(quick, address, second, name="second"):
            assert future.result(10) == 1
            assert (future.worker, future.attempts) == ("second", 2)
            first.go.set()
            assert [client.submit(Kit.echo, n).result(10) for n in range(10)] == list(range(10))
            assert worker.lives
    assert link.execute("HGET", quick.keys.fixed("stats"), "done") == b"11"


UPSETS: dict[str, Callable[[Link, Queue], object]] = {
    "scripts lost": lambda link, queue: link.execute("SCRIPT", "FLUSH"),
    "everything lost": lambda link, queue: link.execute("FLUSHALL"),
    "groups lost": lambda link, queue: [link.execute("XGROUP", "DESTROY", lane, GROUP) for lane in queue.keys.lanes],
    "one group lost": lambda link, queue: link.execute("XGROUP", "DESTROY", queue.keys.lane("normal"), GROUP),
    "lanes lost": lambda link, queue: link.execute("DEL", *queue.keys.lanes),
    "connections lost": lambda link, queue: link.execute("CLIENT", "KILL", "TYPE", "normal"),
    "workers forgotten": lambda link, queue: link.execute("DEL", queue.keys.fixed("workers")),
    "worker reads woken": lambda link, queue: kill_connections(link, ":take"),
}


@pytest.mark.parametrize("upset", UPSETS)
def test_an_idle_worker_goes_on(fresh: Address, quick: Queue, upset: str) -> None:
    link = Link(fresh, "test")
    with running(quick, fresh) as worker, calling(quick, fresh) as client:
        assert client.submit(Kit.echo, "before").result(10) == "before"
        assert wait_until(lambda: worker.state == "idle")

        UPSETS[upset](link, quick)

        for n in range(5):
            future = client.submit(Kit.echo, n)
            assert future.result(15) == n
            assert future.attempts == 1, "nobody died"
        assert worker.consumer in registered(link, quick)
    link.close()


@pytest.mark.parametrize("upset", [upset for upset in UPSETS if upset != "lanes lost"])
def test_a_busy_worker_goes_on_and_no_future_hangs(
    fresh: Address, quick: Queue, upset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pullet.receiver.BLOCK_MS", 200)
    link = Link(fresh, "test")
    with running(quick, fresh) as worker, calling(quick, fresh) as client:
        futures = [client.submit(Kit.echo, n) for n in range(1500)]
        assert wait_until(lambda: worker.runner.report.done > 100)

        UPSETS[upset](link, quick)

        for n, future in enumerate(futures):
            try:
                assert future.result(20) == n
            except JobLost:
                assert upset == "everything lost"
        assert client.submit(Kit.echo, "after").result(10) == "after"
    link.close()


def test_a_lane_without_its_group_costs_no_job_of_the_other_lanes(quick: Queue, address: Address, link: Link) -> None:
    with running(quick, address) as worker, calling(quick, address) as client:
        assert list(client.map(Kit.echo, range(200))) == list(range(200)), "now it takes many, from all lanes"
        set_paused(link, quick, worker, True)
        future = client.submit(Kit.echo, 1)
        assert client.flush(10)
        link.execute("XGROUP", "DESTROY", quick.keys.lane("low"), GROUP)
        set_paused(link, quick, worker, False)

        assert future.result(15) == 1
        assert future.attempts == 1, "it was taken, and not by a worker that died"


def test_flushall_ends_jobs_that_are_no_longer_kept_as_lost(
    fresh: Address, quick: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pullet.outbox.KEPT_S", 0.0)
    monkeypatch.setattr("pullet.receiver.BLOCK_MS", 200)
    link = Link(fresh, "test")
    with calling(quick, fresh) as client:
        lost = _accepted(client, 3)
        kept = client.submit(Kit.echo, "kept")
        assert client.flush(10)
        link.execute("FLUSHALL")
        with running(quick, fresh):
            for future in lost:
                with pytest.raises(JobLost, match=future.job_id):
                    future.result(20)
            assert kept.result(20) == "kept"
    link.close()


def _accepted(client: Client[Kit], count: int) -> list[object]:
    futures = []
    for n in range(count):
        futures.append(client.submit(Kit.echo, n))
        assert client.flush(10)
    return futures  # type: ignore[return-value]


def test_what_a_lost_connection_carried_is_run_after_the_reconnect(quick: Queue, address: Address, link: Link) -> None:
    kit = Kit()
    with running(quick, address, kit) as worker, calling(quick, address) as client:
        set_paused(link, quick, worker, True)
        futures = [client.submit(Kit.echo, n) for n in range(20)]
        assert client.flush(10)
        read_blindly(link, quick, worker.consumer)
        kill_connections(link, f"pullet:{quick.name}:take")
        set_paused(link, quick, worker, False)

        assert [future.result(10) for future in futures] == list(range(20))
        assert {future.attempts for future in futures} == {1}
    assert sorted(kit.calls) == list(range(20)), "adopted, not issued again"


def test_what_was_delivered_and_never_seen_is_run_without_a_reconnect_too(
    quick: Queue, address: Address, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pullet_workers.consumer.COMPARE_S", 0.2)
    kit = Kit()
    with running(quick, address, kit) as worker, calling(quick, address) as client:
        set_paused(link, quick, worker, True)
        future = client.submit(Kit.echo, 1)
        assert client.flush(10)
        read_blindly(link, quick, worker.consumer)

        assert future.result(10) == 1, "a paused worker still finishes what is its own"
        set_paused(link, quick, worker, False)
        assert client.submit(Kit.echo, 2).result(10) == 2
    assert kit.calls == [1, 2]


@pytest.mark.parametrize("name", ["take", "errands", "beat", ""])
def test_connections_may_die_at_any_time_and_each_job_still_runs_once(
    quick: Queue, address: Address, link: Link, name: str
) -> None:
    kit = Kit()
    with running(quick, address, kit), calling(quick, address) as client:
        futures = [client.submit(Kit.nap, 0.0015) for _ in range(200)]
        for done in (40, 80, 120, 160):
            assert wait_until(lambda done=done: len(kit.calls) >= done)  # type: ignore[misc]
            kill_connections(link, f"pullet:{quick.name}:{name}")
        for future in futures:
            assert future.result(20) == 0.0015
        assert {future.attempts for future in futures} == {1}
    assert len(kit.calls) == 200, Counter(kit.calls)
