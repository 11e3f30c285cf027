"""How many workers, and where: a pool that follows its backlog, its user's word, or the nodes that come and go."""

from __future__ import annotations

import dataclasses
import threading
import time
from types import SimpleNamespace

import pytest

from pullet_workers.placement import Node, Target
from pullet_workers.spec import PoolSpec, Scale, WorkerOptions
from tests.support.fleet import FakeCluster, FakeWorker, all_ready, controlling, give_jobs, register, states
from tests.support.leaks import wait_until
from tests.support.scribe import Scribe, a_job

pytestmark = [pytest.mark.timeout(30), pytest.mark.usefixtures("hasty")]


@pytest.fixture
def quick_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """An elastic pool gives workers up after 0.2 s."""
    monkeypatch.setattr("pullet_workers.scaling.IDLE_S", 0.2)
    monkeypatch.setattr("pullet_workers.scaling.STEP_S", 0.05)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch, eager: None) -> None:
    """The controller does not look around by itself: what it does at once, something has woken it for."""
    monkeypatch.setattr("pullet_workers.controller.RECONCILE_S", 8.0)


def pool(spec: PoolSpec, workers: object, **options: object) -> PoolSpec:
    worker = WorkerOptions(**options)  # type: ignore[arg-type]
    return dataclasses.replace(spec, scale=Scale.of(workers), worker=worker)  # type: ignore[arg-type]


def submit(scribe: Scribe, count: int) -> None:
    scribe.caller().submit(*(a_job() for _ in range(count)))


def node(name: str, **more: bool) -> Node:
    return Node(name, total={"CPU": 8}, free={"CPU": 8}, **more)


def placed(cluster: FakeCluster) -> list[str]:
    return sorted(worker.node for worker in cluster.alive if worker.placed.done())


# -- by backlog


@pytest.mark.usefixtures("slow")
def test_a_pool_of_none_starts_workers_as_soon_as_jobs_come(spec: PoolSpec, scribe: Scribe) -> None:
    cluster = FakeCluster()
    with controlling(pool(spec, (0, 3)), cluster) as controller:
        controller.wait_ready()
        assert controller.status()["wanted"] == 0
        assert cluster.started == []

        submit(scribe, 2)
        assert wait_until(lambda: len(cluster.started) == 2, 2)
        assert all_ready(controller, 2)


@pytest.mark.usefixtures("slow")
def test_it_can_be_stopped_while_it_waits_for_a_job(spec: PoolSpec) -> None:
    with controlling(pool(spec, (0, 3)), FakeCluster()) as controller:
        controller.wait_ready()
        assert not wait_until(lambda: False, 0.1)
        start = time.monotonic()
        controller.stop(1.0)
        assert time.monotonic() - start < 4


@pytest.mark.usefixtures("quick_down")
@pytest.mark.parametrize("least", [0, 1])
def test_up_with_the_backlog_and_back_without_running_a_job_again(spec: PoolSpec, scribe: Scribe, least: int) -> None:
    cluster = FakeCluster()
    with controlling(pool(spec, (least, 3)), cluster) as controller:
        submit(scribe, 5)
        assert all_ready(controller, 3)
        workers = [register(scribe, worker) for worker in cluster.started]
        held = [worker.take(2 if worker is workers[0] else 1) for worker in workers]
        assert sum(map(len, held)) == 4

        assert not wait_until(lambda: len(cluster.alive) < 3, 0.4), "there is work for all"
        for worker, entries in zip(workers, held, strict=True):
            if worker is not workers[1]:
                worker.finish(*entries)
        assert wait_until(lambda: len(cluster.alive) == 2), "one runs, and one job waits"
        busy = cluster.started[1]
        assert busy in cluster.alive
        workers[1].finish(*held[1], *workers[1].take())
        assert wait_until(lambda: len(cluster.alive) == least)
        assert wait_until(lambda: controller.status()["wanted"] == least)

        assert all(worker.drains for worker in cluster.started if worker not in cluster.alive)
        assert len(cluster.started) == 3
        assert [scribe.on_lane(lane) for lane in ("again", "suspect")] == [[], []]

        submit(scribe, 1)
        assert wait_until(lambda: len(cluster.alive) == 1), "up again"


@pytest.mark.usefixtures("quick_down")
def test_a_delayed_job_that_comes_due_wakes_a_pool_of_none(spec: PoolSpec, scribe: Scribe) -> None:
    cluster = FakeCluster()
    with controlling(pool(spec, (0, 3)), cluster):
        scribe.caller().one(delay_ms=200)
        assert not wait_until(lambda: bool(cluster.started), 0.1)
        assert wait_until(lambda: len(cluster.started) == 1)


@pytest.mark.usefixtures("quick_down")
def test_a_paused_queue_keeps_the_workers_it_has(spec: PoolSpec, scribe: Scribe) -> None:
    cluster = FakeCluster()
    with controlling(pool(spec, (1, 3)), cluster) as controller:
        submit(scribe, 2)
        assert all_ready(controller, 2)
        scribe.link.execute("HSET", scribe.key("config"), "paused", "1")
        assert wait_until(lambda: controller.status()["waiting"] == 2)
        submit(scribe, 5)
        assert not wait_until(lambda: len(cluster.alive) != 2, 0.4)
        scribe.link.execute("HDEL", scribe.key("config"), "paused")
        assert all_ready(controller, 3)


@pytest.mark.parametrize("why", ["paused", "cannot be built", "odd lane", "cannot start", "cannot see nodes"])
def test_a_pool_of_none_that_cannot_start_workers_does_not_spin(
    spec: PoolSpec, scribe: Scribe, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """Whatever comes in meanwhile, it looks as often as ever."""
    monkeypatch.setattr("pullet_workers.controller.RECONCILE_S", 0.1)
    cluster = FakeCluster(on_start=lambda worker: worker.fail("no licence"))
    if why == "paused":
        scribe.link.execute("HSET", scribe.key("config"), "paused", "1")
    if why == "odd lane":
        scribe.link.execute("SET", scribe.queue.keys.lane("low"), "odd")
    if why == "cannot start":
        monkeypatch.setattr(cluster, "start_worker", _raise)
    with controlling(pool(spec, (0, 3)), cluster) as controller:
        controller.wait_ready()
        if why == "cannot see nodes":
            monkeypatch.setattr(cluster, "nodes", _raise)
        if why != "odd lane":
            submit(scribe, 1)
        assert wait_until(lambda: why != "cannot be built" or bool(cluster.started))
        looks = count_calls(monkeypatch, controller, "_reconcile")
        for _ in range(50):
            if why != "odd lane":
                submit(scribe, 1)
            threading.Event().wait(0.01)
        assert looks[0] < 25
        if why in ("cannot start", "cannot see nodes"):
            assert wait_until(lambda: "out of order" in controller.status()["trouble"])
    scribe.link.execute("UNLINK", scribe.queue.keys.lane("low"))


def _raise(*args: object) -> FakeWorker:
    raise RuntimeError("out of order")


def count_calls(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> list[int]:
    calls, real = [0], getattr(owner, name)

    def counting(*args: object) -> object:
        calls[0] += 1
        return real(*args)

    monkeypatch.setattr(owner, name, counting)
    return calls


# -- by word


def test_scale_up_and_down(spec: PoolSpec, scribe: Scribe) -> None:
    cluster = FakeCluster()
    with controlling(pool(spec, 2, drain_timeout=7.0), cluster) as controller:
        assert all_ready(controller, 2)
        first = cluster.started[0]
        give_jobs(scribe, first, 1)
        controller.scale(Scale.of(4))
        assert all_ready(controller, 4)
        controller.scale(Scale.of(1))
        assert all_ready(controller, 1)
        assert cluster.alive == [first], "it has something to do"
        assert [worker.drains for worker in cluster.started] == [[], [7.0], [7.0], [7.0]]
        controller.scale(Scale(0, 0))
        assert all_ready(controller, 0)
        controller.wait_ready()
        controller.scale(Scale.of((1, 2)))
        assert all_ready(controller, 1)


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("workers", [2, (0, 3)])
def test_scale_is_done_at_once(spec: PoolSpec, workers: object) -> None:
    cluster = FakeCluster()
    with controlling(pool(spec, workers), cluster) as controller:
        controller.wait_ready()
        controller.scale(Scale.of(5))
        assert wait_until(lambda: len(cluster.started) == 5, 2)


# -- by the nodes there are


def test_one_worker_per_node_follows_the_nodes(spec: PoolSpec) -> None:
    cluster = FakeCluster()
    cluster.there = [node("a"), node("b")]
    with controlling(pool(spec, "per-node"), cluster) as controller:
        assert all_ready(controller, 2)
        assert placed(cluster) == ["a", "b"]

        cluster.there.append(node("c"))
        assert all_ready(controller, 3)
        assert placed(cluster) == ["a", "b", "c"]

        lost = next(worker for worker in cluster.alive if worker.node == "a")
        lost.on_drain = lambda: lost.closed.exception(10) is None  # its node is gone: no answer
        cluster.there = [node("b"), node("c")]
        assert wait_until(lambda: controller.status()["wanted"] == 2)
        assert not wait_until(lambda: len(cluster.alive) != 3, 0.1)
        lost.die()
        assert all_ready(controller, 2)
        assert placed(cluster) == ["b", "c"]
        assert len(cluster.started) == 3

        cluster.there = [node("b", draining=True), node("c"), node("d")]
        assert wait_until(lambda: placed(cluster) == ["c", "d"])
        assert all_ready(controller, 2)


def test_a_worker_that_waits_gets_the_node_that_joins(spec: PoolSpec) -> None:
    def start(worker: FakeWorker) -> None:
        if not worker.target.waits:
            worker.get_ready()

    cluster = FakeCluster(on_start=start)
    cluster.there = [node("a"), node("b")]
    with controlling(pool(spec, 4, scheduling_strategy="STRICT_SPREAD"), cluster) as controller:
        assert wait_until(lambda: states(controller) == ["pending", "ready", "ready"])
        assert cluster.started[-1].target == Target(avoid=("a", "b"), waits=True)
        assert not wait_until(lambda: len(cluster.started) > 3, 0.1), "only one of them waits"

        cluster.there.append(node("c"))
        assert wait_until(lambda: states(controller) == ["pending", "ready", "ready", "ready"])
        assert placed(cluster) == ["a", "b", "c"]
        assert [worker.target for worker in cluster.alive if worker.target.waits] == [
            Target(avoid=("a", "b", "c"), waits=True)
        ]
        cluster.there.append(node("d"))
        assert all_ready(controller, 4)
        assert placed(cluster) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("how", ["gone", "draining"])
@pytest.mark.parametrize("strategy", ["STRICT_SPREAD", "STRICT_PACK"])
def test_a_worker_on_its_way_to_a_node_that_leaves_is_asked_for_anew(spec: PoolSpec, strategy: str, how: str) -> None:
    cluster = FakeCluster(on_start=lambda worker: None)
    with controlling(pool(spec, 1, scheduling_strategy=strategy), cluster) as controller:
        assert wait_until(lambda: [worker.target.node for worker in cluster.alive] == ["node-1"])
        cluster.there = [node("b"), *([node("node-1", draining=True)] if how == "draining" else [])]
        assert wait_until(lambda: [worker.target.node for worker in cluster.alive] == ["b"])
        cluster.alive[0].get_ready()
        assert all_ready(controller, 1)
        assert len(cluster.started) == 2


def test_a_place_in_a_group_is_taken_once(spec: PoolSpec) -> None:
    bundles = dataclasses.replace(pool(spec, 3), worker=WorkerOptions(scheduling_strategy=["first", "second", "third"]))
    cluster = FakeCluster()
    with controlling(bundles, cluster) as controller:
        assert all_ready(controller, 3)
        assert sorted(worker.target.bundle or 0 for worker in cluster.alive) == [0, 1, 2]
        cluster.started[1].die()
        assert wait_until(lambda: len(cluster.started) == 4)
        assert cluster.started[-1].target.bundle == cluster.started[1].target.bundle


def test_a_worker_of_a_name_that_is_taken_gets_another(spec: PoolSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter(b"\0\0\0\0\0\1\0\1\0\2")
    urandom = SimpleNamespace(urandom=lambda n: bytes(next(numbers) for _ in range(n)))
    monkeypatch.setattr("pullet_workers.fleet.os", urandom)
    cluster = FakeCluster()
    with controlling(pool(spec, 3), cluster) as controller:
        assert all_ready(controller, 3)
        assert len({worker.name for worker in cluster.started}) == 3


def test_places_in_a_group_that_are_taken_are_known_after_a_crash_of_the_controller(spec: PoolSpec) -> None:
    places = dataclasses.replace(pool(spec, 3), worker=WorkerOptions(scheduling_strategy=["first", "second", "third"]))
    before = FakeCluster()
    with controlling(places, before) as controller:
        assert all_ready(controller, 3)
        names = {worker.target.bundle: worker.name for worker in before.alive}
    cluster = FakeCluster()
    cluster.existing = [FakeWorker(names[0]), FakeWorker(names[2])]
    for worker in cluster.existing:
        worker.get_ready()
    with controlling(places, cluster) as controller:
        assert all_ready(controller, 3)
        assert [worker.target.bundle for worker in cluster.started] == [1]
