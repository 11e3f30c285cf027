"""Workers that are to be replaced: restarts, worn-out and hung workers, nodes that leave; and a server that is away."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.errors import PoolMissing
from pullet_broker.settings import Lease
from pullet_workers.placement import Node
from pullet_workers.spec import PoolSpec, Scale, WorkerOptions
from tests.support.fleet import FakeCluster, FakeWorker, all_ready, controlling, give_jobs, is_running, register, states
from tests.support.leaks import wait_until
from tests.support.proxy import Proxy
from tests.support.scribe import Scribe

pytestmark = [pytest.mark.timeout(30), pytest.mark.usefixtures("hasty")]


@pytest.fixture
def aside() -> Iterator[Callable[..., Future[Any]]]:
    """Make a call in another thread."""
    with ThreadPoolExecutor(2) as threads:
        yield threads.submit


def pool(spec: PoolSpec, workers: int, **options: Any) -> PoolSpec:
    return dataclasses.replace(spec, scale=Scale.of(workers), worker=WorkerOptions(**options))


class Narrow(FakeCluster):
    """A cluster with room for so many workers at once; the others are pending."""

    def __init__(self, room: int) -> None:
        self.room, self.fewest = room, room
        super().__init__(on_start=lambda worker: self.let_in())

    def let_in(self) -> None:
        for worker in self.alive:
            if sum(one.placed.done() for one in self.alive) < self.room:
                worker.get_ready()

    def start_worker(self, *args: Any) -> FakeWorker:
        worker = super().start_worker(*args)
        leave = worker.on_drain

        def drain() -> bool:
            self.fewest = min(self.fewest, sum(one.ready.done() and not one.drains for one in self.alive))
            return leave()

        worker.on_drain = drain
        worker.closed.add_done_callback(lambda _: self.let_in())
        return worker


def test_one_that_leaves_by_itself_is_replaced_at_once_and_was_no_crash(spec: PoolSpec, scribe: Scribe) -> None:
    """A worker with a call that does not stop, say. It has given back its jobs, so nobody is to blame."""
    cluster = FakeCluster()
    with controlling(pool(spec, 1), cluster) as controller:
        for n in range(5):
            assert wait_until(lambda n=n: len(cluster.started) == n + 1)  # type: ignore[misc]
            assert all_ready(controller, 1)
            worker = give_jobs(scribe, cluster.started[n], 1)
            cluster.started[n]._leave()
            assert wait_until(lambda worker=worker: worker.name not in str(scribe.dump().get("workers")))  # type: ignore[misc]
        assert wait_until(lambda: not scribe.pending())
        assert {one["crashes"] for one in scribe.on_lane("again")} == {"0"}
        assert controller.status()["trouble"] == ""


# -- restart


def test_restart_replaces_one_after_the_other_each_by_a_warm_one(spec: PoolSpec, scribe: Scribe) -> None:
    cluster = FakeCluster()
    with controlling(pool(spec, 3, drain_timeout=7.0), cluster) as controller:
        assert all_ready(controller, 3)
        old, seen = list(cluster.started), []
        for worker in old:

            def drain(worker: FakeWorker = worker) -> bool:
                seen.append((len(cluster.started), states(controller).count("ready"), len(cluster.alive)))
                return worker._leave()

            worker.on_drain = drain

        controller.restart()

        assert seen == [(4, 3, 4), (5, 3, 4), (6, 3, 4)], "started, ready beside the one that leaves, alive"
        assert all(worker.drains == [7.0] for worker in old)
        assert cluster.alive == cluster.started[3:]
        assert all_ready(controller, 3)


def test_where_there_is_no_room_for_a_successor_the_old_one_leaves_first(spec: PoolSpec) -> None:
    cluster = Narrow(room=3)
    with controlling(pool(spec, 3), cluster) as controller:
        assert all_ready(controller, 3)
        controller.restart()
        assert all_ready(controller, 3)
        assert len(cluster.started) == 6
        assert cluster.fewest == 2, "one at a time"


def test_an_engine_that_fails_now_keeps_the_old_workers_and_says_why(
    spec: PoolSpec, aside: Callable[..., Future[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pullet_workers.fleet.SETTLED_S", 0.5)
    cluster = FakeCluster()
    with controlling(spec, cluster) as controller:
        assert all_ready(controller, 2)
        old = list(cluster.started)
        cluster.on_start = lambda worker: worker.fail("no licence")
        restarting = aside(controller.restart)
        assert wait_until(lambda: controller.status()["trouble"] == "no licence")
        assert not wait_until(lambda: len(cluster.alive) < 2, 0.7)
        assert all(worker in cluster.alive and not worker.drains for worker in old)
        assert controller.status()["trouble"] == "no licence", "the old workers say nothing of a new engine"
        controller.wait_ready()

        cluster.on_start = FakeWorker.get_ready
        restarting.result(10)
        assert all_ready(controller, 2)
        assert not set(old) & set(cluster.alive)
        assert wait_until(lambda: controller.status()["trouble"] == "")


def test_a_restart_that_is_cut_short_by_the_end(spec: PoolSpec, aside: Callable[..., Future[Any]]) -> None:
    cluster = FakeCluster()
    with controlling(spec, cluster) as controller:
        assert all_ready(controller, 2)
        cluster.on_start = lambda worker: worker.get_placed()
        restarting = aside(controller.restart)
        assert wait_until(lambda: len(cluster.started) == 3)
        controller.stop(1.0)
        with pytest.raises(PoolMissing):
            restarting.result(5)


def test_workers_with_places_of_their_own_leave_before_their_successors_come(
    spec: PoolSpec, aside: Callable[..., Future[Any]]
) -> None:
    cluster = FakeCluster()
    with controlling(
        dataclasses.replace(spec, worker=WorkerOptions(scheduling_strategy=["first", "second"])), cluster
    ) as controller:
        assert all_ready(controller, 2)
        cluster.on_start = lambda worker: worker.get_placed()
        restarting = aside(controller.restart)
        for replaced in (1, 2):
            assert wait_until(lambda count=2 + replaced: len(cluster.started) == count)  # type: ignore[misc]
            assert not wait_until(lambda: len(cluster.alive) < 2, 0.3), "the next one waits for the successor"
            cluster.started[-1].get_ready()
        restarting.result(5)
        assert all_ready(controller, 2)
        assert sorted(worker.target.bundle or 0 for worker in cluster.alive) == [0, 1]


# -- worn out


@pytest.mark.parametrize(
    ("options", "record"),
    [({"max_jobs_per_worker": 10}, {"done": 8, "failed": 2}), ({"max_rss": 1 << 30}, {"rss": 2 << 30})],
    ids=["jobs", "memory"],
)
def test_a_worn_out_worker_leaves_when_its_successor_is_warm(
    spec: PoolSpec, scribe: Scribe, options: dict[str, Any], record: dict[str, Any]
) -> None:
    cluster = FakeCluster()
    with controlling(pool(spec, 2, **options), cluster) as controller:
        assert all_ready(controller, 2)
        worn, other = cluster.started
        cluster.on_start = lambda worker: worker.get_placed()
        register(scribe, other, done=1, failed=1, rss=1 << 20)
        register(scribe, worn, **record)
        assert wait_until(lambda: len(cluster.started) == 3)
        assert not wait_until(lambda: bool(worn.drains), 0.4), "the new one is not ready"
        cluster.started[2].get_ready()
        assert wait_until(lambda: cluster.alive == [other, cluster.started[2]])
        assert worn.drains
        assert not other.drains


def test_of_worn_out_workers_without_room_for_successors_one_leaves_at_a_time(spec: PoolSpec, scribe: Scribe) -> None:
    """They are equally fast, so all wear out at about the same time."""
    cluster = Narrow(room=4)
    with controlling(pool(spec, 4, max_jobs_per_worker=10), cluster) as controller:
        assert all_ready(controller, 4)
        for worker in cluster.started:
            register(scribe, worker, done=10)
        assert wait_until(lambda: len(cluster.started) == 8)
        assert all_ready(controller, 4)
        assert cluster.fewest == 3


# -- hung


def test_a_hung_worker_is_buried_at_once_killed_and_replaced(spec: PoolSpec, scribe: Scribe) -> None:
    hasty = dataclasses.replace(spec.queue, lease=Lease(tick_ms=1, ticks=1_000_000))
    cluster = FakeCluster()
    with controlling(dataclasses.replace(pool(spec, 1, hang_timeout=0.3), queue=hasty), cluster) as controller:
        assert all_ready(controller, 1)
        (hung,) = cluster.started
        seen: list[Any] = []
        kill = hung.kill
        hung.kill = lambda: (seen.append(scribe.on_lane("suspect")), kill())[1]  # type: ignore[method-assign,func-returns-value]
        give_jobs(scribe, hung, 2)

        assert wait_until(lambda: len(cluster.started) == 2, 5)
        assert wait_until(lambda: hung.killed > 0)
        assert [job["crashes"] for job in seen[0]] == ["1", "1"], "its jobs come first: to kill it may take long"
        assert hung.drains == []
        assert all_ready(controller, 1)
        assert controller.status()["trouble"] == "", "its engine does work"
        assert scribe.link.execute("HKEYS", scribe.key("workers")) == []


def test_while_a_worker_beats_it_does_not_hang(spec: PoolSpec, scribe: Scribe) -> None:
    cluster = FakeCluster()
    with controlling(pool(spec, 1, hang_timeout=0.3), cluster) as controller:
        assert all_ready(controller, 1)
        consumer = give_jobs(scribe, cluster.started[0], 1)
        assert not wait_until(lambda: consumer.beat() is None or len(cluster.started) > 1, 1.0)


def test_nobody_hangs_when_the_server_comes_back(spec: PoolSpec, scribe: Scribe, server: EmbeddedServer) -> None:
    """Nobody could beat meanwhile, and some have not beaten yet."""
    cluster = FakeCluster()
    with Proxy(server.tcp_url) as proxy:
        away = dataclasses.replace(pool(spec, 1, hang_timeout=0.5), address=Address(proxy.url))
        with controlling(away, cluster) as controller:
            assert all_ready(controller, 1)
            consumer = give_jobs(scribe, cluster.started[0], 1)
            assert wait_until(lambda: controller.status()["running"] == 1)
            proxy.go_down()
            assert not wait_until(lambda: bool(cluster.started[0].killed), 0.7)
            proxy.come_up()
            assert wait_until(lambda: controller.status()["running"] == 1)
            assert not wait_until(lambda: bool(cluster.started[0].killed), 0.2)
            consumer.beat()


def test_without_a_time_limit_only_a_worker_without_a_job_hangs(
    spec: PoolSpec, scribe: Scribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = FakeCluster()
    with controlling(pool(spec, 1), cluster) as controller:
        assert all_ready(controller, 1)
        (worker,) = cluster.started
        scribe.caller().one()
        consumer = register(scribe, worker)
        entry = consumer.take_one()
        assert wait_until(lambda: controller.status()["running"] == 1)
        monkeypatch.setattr("pullet_workers.vitals.IDLE_HANG_S", 0.2)
        assert not wait_until(lambda: len(cluster.started) > 1, 0.7)
        consumer.finish(entry)
        assert wait_until(lambda: len(cluster.started) == 2)
        assert wait_until(lambda: worker.killed > 0)


def test_a_worker_that_never_answers_its_drain_is_killed(spec: PoolSpec) -> None:
    """Its process is stopped, say. Else nobody could end the pool."""
    cluster, go = FakeCluster(), threading.Event()
    with controlling(spec, cluster) as controller:
        assert all_ready(controller, 2)
        cluster.started[0].on_drain = lambda: go.wait(20)
        start = time.monotonic()
        try:
            controller.stop(0.1)
        finally:
            go.set()
    assert time.monotonic() - start < 5
    assert cluster.alive == []


# -- nodes that leave


def test_a_node_that_is_about_to_leave_is_emptied(spec: PoolSpec, scribe: Scribe) -> None:
    cluster = FakeCluster(on_start=lambda worker: None)
    cluster.there = [Node("a"), Node("b")]
    with controlling(pool(spec, 2, num_cpus=0), cluster) as controller:
        assert wait_until(lambda: len(cluster.started) == 2)
        for worker, name in zip(cluster.started, "ab", strict=True):
            worker.node = name
            worker.get_ready()
        assert all_ready(controller, 2)
        first, second = cluster.started

        cluster.there = [Node("a", draining=True), Node("b")]
        assert wait_until(lambda: len(cluster.started) == 3)
        assert not first.drains, "its successor may be quick"
        cluster.started[2].node = "b"
        cluster.started[2].get_ready()
        assert wait_until(lambda: cluster.alive == [second, cluster.started[2]])
        assert first.drains
        assert not second.drains
    assert [scribe.on_lane(lane) for lane in ("again", "suspect")] == [[], []]


@pytest.mark.parametrize("successors", ["pending", "starting"])
def test_a_node_that_is_about_to_leave_is_emptied_also_when_successors_take_long(
    spec: PoolSpec, successors: str
) -> None:
    cluster = FakeCluster()
    with controlling(pool(spec, 3), cluster) as controller:
        assert all_ready(controller, 3)
        old = list(cluster.started)
        cluster.on_start = FakeWorker.get_placed if successors == "starting" else lambda worker: None
        cluster.there = [Node("node-1", total={"CPU": 8}, draining=True), Node("b", total={"CPU": 8})]
        assert wait_until(lambda: all(worker.drains for worker in old), 2)


def test_nobody_is_blamed_for_what_dies_on_a_node_that_is_about_to_leave(spec: PoolSpec, scribe: Scribe) -> None:
    cluster = FakeCluster()
    with controlling(pool(spec, 1), cluster) as controller:
        assert all_ready(controller, 1)
        cluster.on_start = lambda worker: None
        give_jobs(scribe, cluster.started[0], 1)
        cluster.started[0].on_drain = lambda: threading.Event().wait(0.3) and False
        cluster.there = [Node("node-1", total={"CPU": 8}, draining=True)]
        cluster.started[0].die()
        assert wait_until(lambda: len(scribe.on_lane("again")) == 1)
        assert scribe.on_lane("again")[0]["crashes"] == "0"


# -- trouble


def test_trouble_is_over_when_a_new_worker_has_lived_for_a_while(
    spec: PoolSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pullet_workers.fleet.SETTLED_S", 0.3)
    cluster = FakeCluster()
    with controlling(pool(spec, 1), cluster) as controller:
        assert all_ready(controller, 1)
        cluster.started[0].die()
        assert wait_until(lambda: "died soon after its start" in controller.status()["trouble"])
        assert wait_until(lambda: len(cluster.started) == 2)
        assert wait_until(lambda: controller.status()["trouble"] == "")
        assert all_ready(controller, 1)


# -- the server is away


def test_while_the_server_is_away_nothing_ends_and_nothing_raises(
    spec: PoolSpec, scribe: Scribe, server: EmbeddedServer, aside: Callable[..., Future[Any]]
) -> None:
    cluster = FakeCluster()
    with Proxy(server.tcp_url) as proxy:
        address = Address(proxy.url)
        away = dataclasses.replace(pool(spec, 2, hang_timeout=0.5), address=address, owner="01000000:a")
        with controlling(away, cluster) as controller:
            assert all_ready(controller, 2)
            busy, other = cluster.started
            give_jobs(scribe, busy, 1)
            proxy.go_down()
            assert wait_until(lambda: controller.status()["waiting"] is None)

            assert controller.join("02000000:b")
            assert controller.leave("01000000:a", 1.0) is False
            controller.scale(Scale.of(3))
            assert all_ready(controller, 3)
            other.die()
            assert all_ready(controller, 3)
            assert not wait_until(lambda: bool(busy.killed), 0.7), "nobody can beat"
            controller.restart()
            assert all_ready(controller, 3)
            cluster.there = [Node("node-1", total={"CPU": 8}, draining=True), Node("b", total={"CPU": 8})]
            assert wait_until(lambda: any(worker.drains for worker in cluster.alive) or len(cluster.started) > 6)
            cluster.there = [Node("node-1", total={"CPU": 8})]
            assert all_ready(controller, 3)
            assert is_running()

            proxy.come_up()
            assert wait_until(lambda: controller.status()["running"] == 1), "as the lease is not over"
            assert wait_until(lambda: scribe.link.execute("HGET", scribe.key("pool"), "owners") == b'["02000000:b"]')


def test_an_elastic_pool_keeps_what_it_has_while_the_server_is_away(
    spec: PoolSpec, scribe: Scribe, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pullet_workers.scaling.IDLE_S", 0.1)
    cluster = FakeCluster()
    with Proxy(server.tcp_url) as proxy:
        elastic = dataclasses.replace(spec, address=Address(proxy.url), scale=Scale.of((0, 3)))
        with controlling(elastic, cluster) as controller:
            scribe.caller().one()
            scribe.caller().one()
            assert all_ready(controller, 2)
            proxy.go_down()
            assert not wait_until(lambda: len(cluster.alive) != 2, 0.4)
            cluster.started[0].die()
            assert wait_until(lambda: len(cluster.alive) == 1)
            proxy.come_up()
            assert all_ready(controller, 2)
