"""The end of a pool: engines that fail, stop, an owner that is gone; and what does not end it."""

from __future__ import annotations

import dataclasses
import json
import logging
import threading
import time

import pytest

from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.errors import EngineFailed
from pullet_broker.link import Link
from pullet_broker.moves.life import beat
from pullet_broker.settings import Lease, Queue
from pullet_workers.controller import Controller
from pullet_workers.spec import PoolSpec, Scale
from tests.support.fleet import FakeCluster, FakeWorker, Gone, controlling, is_running, states
from tests.support.leaks import wait_until
from tests.support.scribe import Scribe

pytestmark = pytest.mark.timeout(30)


def test_an_engine_that_cannot_be_built_is_reported_at_once(spec: PoolSpec) -> None:
    cluster = FakeCluster(on_start=lambda worker: worker.fail("no licence"))
    with controlling(spec, cluster) as controller:
        start = time.monotonic()
        with pytest.raises(EngineFailed, match="no licence") as raised:
            controller.wait_ready()
        assert time.monotonic() - start < 2
        assert raised.value.remote_traceback == "the traceback"


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("how", ["cannot be built", "dies before it is ready", "dies idle"])
def test_an_engine_that_keeps_failing_is_started_ever_more_slowly(spec: PoolSpec, how: str) -> None:
    def end(worker: FakeWorker) -> None:
        if how == "cannot be built":
            return worker.fail("no")
        if how == "dies idle":
            worker.get_ready()
        worker.die()

    cluster = FakeCluster(on_start=end)
    with controlling(spec, cluster):
        assert wait_until(lambda: len(cluster.started) >= 2)
        assert not wait_until(lambda: len(cluster.started) > 20, 0.6)


def test_a_pool_that_ends_before_its_workers_are_ready_ends_in_silence(
    spec: PoolSpec, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = FakeCluster(on_start=lambda worker: worker.get_placed())
    with controlling(spec, cluster) as controller:
        assert wait_until(lambda: states(controller) == ["starting", "starting"])
    assert cluster.alive == []
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_worker_of_which_the_bad_news_come_in_any_order(spec: PoolSpec) -> None:
    cluster = FakeCluster(on_start=lambda worker: worker.get_placed())
    with controlling(spec, cluster) as controller:
        assert wait_until(lambda: states(controller) == ["starting", "starting"])
        first, second = cluster.started
        first.closed.set_exception(Gone(first.name))
        assert not wait_until(lambda: len(cluster.started) > 2, 0.1)
        first.ready.set_exception(Gone(first.name))
        second.ready.set_exception(Gone(second.name))
        assert wait_until(lambda: len(cluster.started) == 4)


def test_one_engine_that_fails_does_not_hide_another_that_works(spec: PoolSpec) -> None:
    fates = iter([FakeWorker.get_ready, lambda worker: worker.fail("no")])
    cluster = FakeCluster(on_start=lambda worker: next(fates, lambda worker: None)(worker))
    with controlling(spec, cluster) as controller:
        assert wait_until(lambda: len(cluster.started) >= 2)
        controller.wait_ready()


def test_stop_drains_all_workers_and_ends(spec: PoolSpec) -> None:
    cluster = FakeCluster()
    controller = Controller(spec, cluster)
    controller.start()
    controller.wait_ready()
    assert wait_until(lambda: [one["state"] for one in controller.status()["workers"]] == ["ready", "ready"])

    controller.stop(12.5)

    assert [worker.drains for worker in cluster.started] == [[12.5], [12.5]]
    assert cluster.alive == []
    assert not is_running()
    assert len(cluster.started) == 2, "nothing is started for those that left"


def test_what_happens_while_the_controller_looks_is_not_missed(spec: PoolSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here it is told to stop during its first look, and does not sleep over it until the next."""
    monkeypatch.setattr("pullet_workers.controller.RECONCILE_S", 5.0)
    controller = Controller(spec, FakeCluster())
    controller.start()
    start = time.monotonic()
    controller.stop(1.0)
    assert time.monotonic() - start < 3


def test_stop_may_be_repeated(spec: PoolSpec) -> None:
    controller = Controller(spec, FakeCluster())
    controller.start()
    controller.stop(1.0)
    controller.stop(1.0)
    assert not is_running()


def test_stop_drains_workers_side_by_side(spec: PoolSpec) -> None:
    together = threading.Barrier(2, timeout=5)
    cluster = FakeCluster()
    controller = Controller(spec, cluster)
    controller.start()
    assert wait_until(lambda: len(cluster.started) == 2)
    for worker in cluster.started:
        leave = worker.on_drain
        worker.on_drain = lambda leave=leave: together.wait() >= 0 and leave()  # type: ignore[misc]
    assert wait_until(lambda: [one["state"] for one in controller.status()["workers"]] == ["ready", "ready"])
    controller.stop(5.0)
    assert not together.broken


@pytest.mark.parametrize("how", ["still starting", "drain fails", "drain in vain"])
def test_a_worker_that_cannot_be_drained_is_killed(spec: PoolSpec, how: str) -> None:
    def broken() -> bool:
        raise ConnectionError("no answer")

    cluster = FakeCluster(on_start=lambda worker: None)
    controller = Controller(spec, cluster)
    controller.start()
    assert wait_until(lambda: len(cluster.started) == 2)
    if how != "still starting":
        for worker in cluster.started:
            worker.on_drain = broken if how == "drain fails" else lambda: False
            worker.get_ready()
        assert wait_until(lambda: [one["state"] for one in controller.status()["workers"]] == ["ready", "ready"])
    controller.stop(0.1)
    assert all(worker.killed for worker in cluster.started)
    assert not is_running()


@pytest.mark.usefixtures("eager")
def test_a_pool_whose_owner_is_gone_ends_itself(spec: PoolSpec) -> None:
    over = threading.Event()
    cluster = FakeCluster()
    controller = Controller(dataclasses.replace(spec, owner="01000000:a"), cluster, on_over=over.set)
    controller.start()
    controller.wait_ready()
    assert not wait_until(over.is_set, 0.2)

    cluster.over.add("01000000")

    assert over.wait(10)
    assert cluster.alive == []
    assert all(worker.drains for worker in cluster.started)
    assert wait_until(lambda: not is_running())


def test_who_stops_a_pool_is_not_told_that_it_is_over(spec: PoolSpec) -> None:
    over = threading.Event()
    controller = Controller(dataclasses.replace(spec, owner="01000000:a"), FakeCluster(), on_over=over.set)
    controller.start()
    controller.stop(1.0)
    assert not over.is_set()


@pytest.mark.usefixtures("eager")
def test_a_server_that_is_away_ends_nothing(queue: Queue) -> None:
    with EmbeddedServer.start() as server:
        address = Address(server.url)
    spec = PoolSpec(queue=queue, address=address, engine=b"", scale=Scale.of(2))
    cluster = FakeCluster()
    with controlling(spec, cluster) as controller:
        controller.wait_ready()
        assert wait_until(lambda: len(cluster.started) == 2)
        cluster.started[0].die()
        assert wait_until(lambda: len(cluster.alive) == 2)
        assert is_running()


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("record", ["", "[]", "\xff"])
def test_a_worker_record_that_nobody_can_read_ends_nothing(
    spec: PoolSpec, link: Link, queue: Queue, record: str
) -> None:
    link.execute("HSET", queue.keys.fixed("workers"), "somebody", record)
    cluster = FakeCluster()
    with controlling(spec, cluster) as controller:
        controller.wait_ready()
        assert wait_until(lambda: len(cluster.started) == 2)
        cluster.started[0].die()
        assert wait_until(lambda: len(cluster.alive) == 2, 3)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("call", ["start_worker", "is_job_over", "nodes"])
def test_a_cluster_that_fails_for_a_moment_ends_nothing(
    spec: PoolSpec, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = FakeCluster()
    failures = [RuntimeError("the cluster is busy")] * 3
    real = getattr(cluster, call)

    def flaky(*args: object) -> object:
        if failures:
            raise failures.pop()
        return real(*args)

    with controlling(dataclasses.replace(spec, owner="01000000:a"), cluster) as controller:
        controller.wait_ready()
        assert wait_until(lambda: len(cluster.started) == 2)
        monkeypatch.setattr(cluster, call, flaky)
        cluster.started[0].die()
        assert wait_until(lambda: len(cluster.alive) == 2, 5)
        assert wait_until(lambda: not failures or call == "nodes", 3)


@pytest.mark.usefixtures("eager")
def test_it_makes_ticks_while_there_is_no_worker(spec: PoolSpec, link: Link, queue: Queue) -> None:
    """What is due is issued and who is silent is found dead, also in a pool whose workers do not start."""
    lease = Lease(tick_ms=1, ticks=3)
    quick = dataclasses.replace(spec, queue=dataclasses.replace(queue, lease=lease))
    scribe = Scribe(link, queue)
    scribe.caller().one()
    assert scribe.worker("silent").take()
    scribe.caller().one(delay_ms=1)

    with controlling(quick, FakeCluster(on_start=lambda worker: None)):
        assert wait_until(lambda: len(scribe.on_lane("suspect")) == 1)
        assert wait_until(lambda: len(scribe.on_lane("normal")) == 1)
    assert scribe.delayed() == []


@pytest.mark.usefixtures("eager")
def test_it_vouches_for_workers_that_live_but_do_not_beat(spec: PoolSpec, link: Link, queue: Queue) -> None:
    lease = Lease(tick_ms=1, ticks=3)
    quick = dataclasses.replace(spec, queue=dataclasses.replace(queue, lease=lease), scale=Scale.of(1))
    cluster = FakeCluster(on_start=lambda worker: None)
    scribe = Scribe(link, queue)
    with controlling(quick, cluster) as controller:
        assert wait_until(lambda: len(cluster.started) == 1)
        (worker,) = cluster.started
        for name in (worker.name, "stranger"):
            link.run(beat(queue, f"{name}.1", 0, json.dumps({"name": name})))
        worker.get_ready()
        controller.wait_ready()
        assert wait_until(lambda: b"stranger.1" not in link.execute("HKEYS", scribe.key("workers")))
        assert not wait_until(lambda: not link.execute("HEXISTS", scribe.key("workers"), f"{worker.name}.1"), 0.5)
