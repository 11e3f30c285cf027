"""The controller of a pool, on a cluster without Ray: as many workers as wanted, and what it does when one dies."""

from __future__ import annotations

import dataclasses

import pytest

from pullet_workers.spec import PoolSpec, Scale
from tests.support.fleet import FakeCluster, FakeWorker, controlling, give_jobs, register
from tests.support.leaks import wait_until
from tests.support.scribe import Scribe

pytestmark = pytest.mark.timeout(30)


def test_it_starts_as_many_workers_as_are_wanted_each_under_a_name_of_its_own(spec: PoolSpec) -> None:
    cluster = FakeCluster()
    with controlling(dataclasses.replace(spec, scale=Scale.of(5)), cluster) as controller:
        controller.wait_ready()
        assert wait_until(lambda: len(cluster.started) == 5)
        assert len({worker.name for worker in cluster.started}) == 5
        assert all(worker.name.startswith(spec.queue.name) for worker in cluster.started)
        assert not wait_until(lambda: len(cluster.started) > 5, 0.2)


def test_it_waits_for_the_first_worker_only(spec: PoolSpec) -> None:
    cluster = FakeCluster(on_start=lambda worker: None)
    with controlling(spec, cluster) as controller:
        assert wait_until(lambda: len(cluster.started) == 2)
        cluster.started[1].get_ready()
        controller.wait_ready()
        assert sorted(one["state"] for one in controller.status()["workers"]) == ["pending", "ready"]


def test_status_tells_of_every_worker_also_of_one_that_does_not_answer(spec: PoolSpec) -> None:
    def broken() -> None:
        raise ConnectionError("gone")

    cluster = FakeCluster()
    with controlling(spec, cluster) as controller:
        controller.wait_ready()
        assert wait_until(lambda: [one["state"] for one in controller.status()["workers"]] == ["ready", "ready"])
        first, second = cluster.started
        second.on_status = broken

        records = {one["name"]: one for one in controller.status()["workers"]}
        assert (records[first.name]["done"], records[first.name]["node"], records[first.name]["pid"]) == (
            7,
            "node-1",
            1,
        )
        assert records[second.name]["state"] == "silent"


def test_the_jobs_of_a_dead_worker_are_issued_again_and_it_is_replaced(spec: PoolSpec, scribe: Scribe) -> None:
    cluster = FakeCluster()
    with controlling(spec, cluster) as controller:
        controller.wait_ready()
        assert wait_until(lambda: len(cluster.started) == 2)
        dead, other = cluster.started
        register(scribe, other)
        give_jobs(scribe, dead, 3)

        dead.die()

        assert wait_until(lambda: len(cluster.alive) == 2)
        assert [job["crashes"] for job in scribe.on_lane("suspect")] == ["1"] * 3
        assert dead.name not in {worker.name for worker in cluster.alive}
        assert scribe.link.execute("HKEYS", scribe.key("workers")) == [f"{other.name}.1".encode()]


def test_all_incarnations_of_a_dead_worker_are_reaped(spec: PoolSpec, scribe: Scribe) -> None:
    cluster = FakeCluster()
    with controlling(dataclasses.replace(spec, scale=Scale.of(1)), cluster) as controller:
        controller.wait_ready()
        (dead,) = cluster.started
        give_jobs(scribe, dead, 1)
        scribe.caller().one()
        assert register(scribe, dead, incarnation=2).take()
        dead.die()
        assert wait_until(lambda: len(scribe.on_lane("suspect")) == 2)


def test_a_worker_that_was_busy_is_replaced_at_once_however_often_it_dies(spec: PoolSpec, scribe: Scribe) -> None:
    """A poison job must not be taken for an engine that cannot start."""
    cluster = FakeCluster()
    with controlling(dataclasses.replace(spec, scale=Scale.of(1)), cluster) as controller:
        controller.wait_ready()
        for deaths in range(1, 6):
            give_jobs(scribe, cluster.started[-1], 1)
            assert wait_until(lambda: [one["state"] for one in controller.status()["workers"]] == ["ready"])
            cluster.started[-1].die()
            assert wait_until(lambda deaths=deaths: len(cluster.started) == deaths + 1, 1.5)  # type: ignore[misc]


def test_the_jobs_of_a_worker_whose_node_is_gone_are_not_blamed(spec: PoolSpec, scribe: Scribe) -> None:
    cluster = FakeCluster()
    with controlling(dataclasses.replace(spec, scale=Scale.of(1)), cluster) as controller:
        controller.wait_ready()
        (worker,) = cluster.started
        give_jobs(scribe, worker, 2)
        cluster.there.clear()
        worker.die()
        assert wait_until(lambda: len(scribe.on_lane("again")) == 2)
    assert [job["crashes"] for job in scribe.on_lane("again")] == ["0", "0"]


def test_the_jobs_of_a_worker_that_was_told_to_leave_are_not_blamed(spec: PoolSpec, scribe: Scribe) -> None:
    cluster = FakeCluster()
    with controlling(dataclasses.replace(spec, scale=Scale.of(1)), cluster) as controller:
        controller.wait_ready()
        (worker,) = cluster.started
        assert wait_until(lambda: [one["state"] for one in controller.status()["workers"]] == ["ready"])
        give_jobs(scribe, worker, 2)
        worker.on_drain = lambda: False  # its job takes longer than it may: it is killed with it
    assert worker.killed
    assert [job["crashes"] for job in scribe.on_lane("again")] == ["0", "0"]
    assert scribe.on_lane("suspect") == []


def test_a_worker_that_leaves_by_itself_is_replaced(spec: PoolSpec) -> None:
    cluster = FakeCluster()
    with controlling(dataclasses.replace(spec, scale=Scale.of(1)), cluster) as controller:
        controller.wait_ready()
        cluster.started[0].closed.set_result(None)
        assert wait_until(lambda: len(cluster.started) == 2)


def test_after_a_restart_it_finds_its_workers_and_starts_only_what_is_missing(spec: PoolSpec, scribe: Scribe) -> None:
    cluster = FakeCluster()
    cluster.existing = [FakeWorker("old-1"), FakeWorker("old-2")]
    for worker in cluster.existing:
        worker.get_ready()
    with controlling(dataclasses.replace(spec, scale=Scale.of(3)), cluster) as controller:
        controller.wait_ready()
        assert wait_until(lambda: len(controller.status()["workers"]) == 3)
        assert not wait_until(lambda: len(cluster.started) > 1, 0.2)

        give_jobs(scribe, cluster.existing[0], 1)
        cluster.existing[0].die()
        assert wait_until(lambda: len(cluster.started) == 2), "it follows them as its own"
        assert len(scribe.on_lane("suspect")) == 1
