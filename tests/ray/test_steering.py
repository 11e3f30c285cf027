"""Pools while they live: more and fewer workers, new ones for old, several owners, other drivers, hung processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray

import pullet
from pullet_broker.address import Address
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from pullet_workers import Pool
from tests.ray.engines import Broken, Echo
from tests.support.leaks import wait_until

pytestmark = pytest.mark.usefixtures("cluster")


def ready(pool: Pool[Any]) -> int:
    return int(pool.status()["ready"])


def names(pool: Pool[Any]) -> set[str]:
    return {worker["name"] for worker in pool.workers() if worker["state"] != "leaving"}


def pids(pool: Pool[Any]) -> list[int]:
    return [worker["pid"] for worker in pool.workers()]


def test_more_and_fewer_workers(queue: Queue, address: Address) -> None:
    with Pool(Echo, workers=1, queue=queue, redis=address) as pool:
        pool.scale(3)
        assert wait_until(lambda: ready(pool) == 3, 30)
        futures = [pool.submit(Echo.started, 1.5) for _ in range(3)]
        assert wait_until(lambda: all(worker["job"] for worker in pool.workers()))
        pool.scale(1)
        assert [future.result(20) > 0 for future in futures] == [True] * 3
        assert {future.attempts for future in futures} == {1}, "who has to leave ends its job first"
        assert wait_until(lambda: len(pool.workers()) == 1)


@pytest.mark.slow
def test_a_restart_replaces_every_worker_and_runs_no_job_again(queue: Queue, address: Address) -> None:
    with Pool(Echo, workers=2, queue=queue, redis=address) as pool:
        assert wait_until(lambda: ready(pool) == 2, 30)
        before = names(pool)
        over = threading.Event()
        futures = []

        def keep_busy() -> None:
            while not over.is_set():
                futures.append(pool.submit(Echo.started, 0.05))
                futures[-1].result(30)

        caller = threading.Thread(target=keep_busy)
        caller.start()
        pool.restart()
        over.set()
        caller.join()
        assert wait_until(lambda: ready(pool) == 2, 30)
        assert not names(pool) & before
        assert {future.attempts for future in futures} == {1}


@pytest.mark.slow
def test_an_elastic_pool_grows_with_its_backlog_and_shrinks_to_nothing(
    queue: Queue, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Pool(Echo, workers=(0, 3), queue=queue, redis=address) as pool:
        assert pool.workers() == []
        begun = time.monotonic()
        futures = [pool.submit(Echo.started, 0.5) for _ in range(12)]
        assert wait_until(lambda: len(pool.workers()) == 3, 5), "at once"
        assert all(future.result(30) for future in futures)
        assert time.monotonic() - begun < 20
        assert wait_until(lambda: not pool.workers(), 40), pool.status()
        assert {future.attempts for future in futures} == {1}
        assert pool.submit(Echo.say, "again").result(30) == "again"


@pytest.mark.slow
def test_a_worn_out_worker_is_replaced_by_a_warm_one(queue: Queue, address: Address) -> None:
    with Pool(Echo, workers=1, queue=queue, redis=address, max_jobs_per_worker=20) as pool:
        before = names(pool)
        assert list(pool.map(Echo.say, ["x"] * 30)) == ["x"] * 30
        assert wait_until(lambda: bool(names(pool)) and not names(pool) & before, 30)
        assert pool.submit(Echo.say, "y").result(10) == "y"


def test_a_pool_is_found_from_elsewhere_and_steered(queue: Queue, address: Address) -> None:
    with pytest.raises(pullet.PoolMissing, match="no pool of queue"):
        Pool.attach(queue.name)
    with Pool(Echo, workers=1, queue=queue, redis=address) as pool:
        with Pool.attach(queue.name, Echo) as found:
            assert found.submit(Echo.say, "x").result(10) == "x"
            assert names(found) == names(pool)
        assert pool.submit(Echo.say, "still there").result(10) == "still there"


def test_two_that_open_the_same_pool_share_it_until_the_last_one_leaves(queue: Queue, address: Address) -> None:
    first = Pool(Echo, workers=2, queue=queue, redis=address)
    assert wait_until(lambda: ready(first) == 2, 30)
    with Pool(Echo, workers=5, queue=queue, redis=address) as second:
        assert names(second) == names(first)
        first.close()
        assert second.submit(Echo.say, "x").result(10) == "x"
        held = pids(second)
    assert wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in held))
    with pytest.raises(pullet.PoolMissing):
        Pool.attach(queue.name)


DRIVER = """
import sys, ray
from pullet_workers import Pool
from pullet_broker.address import Address
from tests.ray.engines import Echo

ray.init(address=sys.argv[1], namespace="pullet", log_to_driver=False, logging_level="error")
pool = Pool(Echo, workers=1, queue=sys.argv[2], redis=sys.argv[3], detached=sys.argv[4] == "detached")
print(pool.submit(Echo.pid).result(30), flush=True)
if sys.argv[4] == "shutdown":
    ray.shutdown()
    pool.close()
"""


def drive(cluster: Any, queue: Queue, address: Address, how: str) -> int:
    """Another driver opens the pool, uses it, and ends; the process of its worker."""
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, cluster.address, queue.name, address.url, how],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["exits", "shutdown"])
def test_a_pool_ends_with_its_driver(cluster: Any, queue: Queue, address: Address, how: str) -> None:
    pid = drive(cluster, queue, address, how)
    assert wait_until(lambda: not Path(f"/proc/{pid}").exists(), 20)


@pytest.mark.slow
def test_a_detached_pool_outlives_its_driver_until_it_is_drained(cluster: Any, queue: Queue, address: Address) -> None:
    pid = drive(cluster, queue, address, "detached")
    with Pool.attach(queue.name, Echo) as pool:
        assert pool.submit(Echo.pid).result(20) == pid
        pool.drain()
        assert wait_until(lambda: not Path(f"/proc/{pid}").exists(), 20)


@pytest.mark.slow
def test_a_hung_worker_is_replaced_and_its_late_outcome_changes_nothing(
    queue: Queue, address: Address, link: Link, tmp_path: Path
) -> None:
    with Pool(Echo, workers=2, queue=queue, redis=address, hang_timeout=3) as pool:
        assert wait_until(lambda: ready(pool) == 2, 30)
        future = pool.submit(Echo.hold, str(tmp_path / "gate"))
        assert wait_until(lambda: any(worker["job"] for worker in pool.workers()))
        (stopped,) = [worker["pid"] for worker in pool.workers() if worker["job"]]
        os.kill(stopped, signal.SIGSTOP)
        assert wait_until(lambda: not Path(f"/proc/{stopped}").exists(), 20), "killed"
        (tmp_path / "gate").touch()
        assert future.result(20) != stopped
        assert future.attempts == 2
        assert wait_until(lambda: ready(pool) == 2, 30)


def test_an_engine_that_cannot_be_built_any_more_is_told_of(queue: Queue, address: Address) -> None:
    with Pool(Broken, workers=(0, 1), queue=queue, redis=address) as pool:
        future = pool.submit("run")
        assert wait_until(lambda: "no model at" in pool.status()["trouble"], 20), pool.status()
        future.cancel()


@pytest.mark.slow
def test_a_worker_that_is_told_to_end_finishes_its_job_and_is_replaced(queue: Queue, address: Address) -> None:
    """Longer than Ray waits for a call that is under way: nobody else must run the job meanwhile."""
    with Pool(Echo, workers=2, queue=queue, redis=address) as pool:
        assert wait_until(lambda: ready(pool) == 2, 20)
        future = pool.submit(Echo.started, 5.0)
        assert wait_until(lambda: any(worker["job"] for worker in pool.workers()))
        (pid,) = [worker["pid"] for worker in pool.workers() if worker["job"]]
        os.kill(pid, signal.SIGTERM)
        assert future.result(20) > 0
        assert future.attempts == 1
        assert wait_until(lambda: ready(pool) == 2 and pid not in pids(pool), 20)


@pytest.mark.slow
def test_a_node_that_drains_is_emptied(
    queue: Queue, address: Address, cluster: Any, add_node: Callable[..., Any]
) -> None:
    first = add_node(num_cpus=1, labels={"site": "x"})
    with Pool(Echo, workers=1, queue=queue, redis=address, label_selector={"site": "x"}) as pool:
        assert pool.workers()[0]["node"] == first.node_id
        future = pool.submit(Echo.started, 2.0)
        second = add_node(num_cpus=1, labels={"site": "x"})
        gcs = ray._private.worker.global_worker.gcs_client
        gcs.drain_node(first.node_id, 2, "preempted", 0)  # 2: preemption
        assert wait_until(lambda: [one["node"] for one in pool.workers()] == [second.node_id], 30), pool.status()
        assert future.result(20) > 0
        assert future.attempts == 1


@pytest.mark.slow
def test_a_node_that_dies_costs_only_the_attempts_that_ran_there(
    queue: Queue, address: Address, cluster: Any, add_node: Callable[..., Any], tmp_path: Path
) -> None:
    doomed = add_node(num_cpus=1, labels={"zone": "x"})
    with Pool(Echo, workers=1, queue=queue, redis=address, label_selector={"zone": "x"}) as pool:
        future = pool.submit(Echo.hold, str(tmp_path / "gate"))
        assert wait_until(lambda: any(worker["job"] for worker in pool.workers()))
        add_node(num_cpus=1, labels={"zone": "x"})
        (pid,) = pids(pool)
        cluster.remove_node(doomed, allow_graceful=False)
        assert wait_until(lambda: not Path(f"/proc/{pid}").exists(), 20), "it ends with its node"
        (tmp_path / "gate").touch()
        assert future.result(40) > 0
        assert future.attempts == 2
        assert pool.status()["trouble"] == ""
