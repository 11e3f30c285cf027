"""Workers, nodes and the controller die or hang with a job in hand."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray

from benchmarks.cluster.engines import Sleeper
from benchmarks.cluster.figures import Figure, at_most, exactly, spread
from benchmarks.cluster.nodes import DEATH_S, FREEZE_S, kill_raylet, raylet_of, some_nodes, until
from pullet_broker.address import Address
from pullet_broker.link import Link
from pullet_broker.settings import Lease, Queue
from pullet_workers import Pool

Cluster = Any


@contextlib.contextmanager
def a_pool(name: str, redis: Address, **options: Any) -> Iterator[Pool[Sleeper]]:
    """Two workers, both ready."""
    with Pool(Sleeper, workers=2, queue=name, redis=redis, **options) as pool:
        until(lambda: pool.status()["ready"] == 2, "two workers")
        yield pool


def busy(pool: Pool[Sleeper]) -> list[int]:
    """Processes of the workers that have a job."""
    return [worker["pid"] for worker in pool.workers() if worker.get("job")]


def killed_workers(cluster: Cluster, redis: Address, times: int) -> list[Figure]:
    """kill -9 with a 2 s job in hand, while another worker is idle."""
    again, back, right = [], [], 0
    with some_nodes(cluster, {"num_cpus": 4}), a_pool("kills", redis) as pool:
        for _ in range(times):
            future = pool.submit(Sleeper.work, 2.0)
            until(lambda: busy(pool), "a worker at work")
            (pid,) = busy(pool)
            os.kill(pid, signal.SIGKILL)
            killed_at = time.time()
            back.append(until(functools.partial(is_whole, pool, without=pid), "two workers") - killed_at)
            other, begun = future.result(30)
            again.append(begun - killed_at)
            right += other != pid and future.attempts == 2
    return [
        *spread("kill -9 of a worker: its job starts elsewhere", again, 0.1, 1.0),
        *spread("kill -9 of a worker: all workers are warm again", back, 3.0, 20.0)[:1],
        exactly("kill -9 of a worker: jobs lost", times - right, 0),
    ]


def pids(pool: Pool[Sleeper]) -> list[int]:
    return [worker["pid"] for worker in pool.workers()]


def is_whole(pool: Pool[Sleeper], without: int) -> bool:
    return without not in pids(pool) and bool(pool.status()["ready"] == 2)


def hung_worker(cluster: Cluster, redis: Address) -> list[Figure]:
    """SIGSTOP; then SIGCONT, when its job runs elsewhere."""
    with some_nodes(cluster, {"num_cpus": 4}), a_pool("hangs", redis, hang_timeout=4.0) as pool:
        future = pool.submit(Sleeper.work, 8.0)
        until(lambda: busy(pool), "a worker at work")
        (pid,) = busy(pool)
        os.kill(pid, signal.SIGSTOP)
        stopped_at = time.time()
        replaced = until(lambda: [one for one in busy(pool) if one != pid], "its job runs elsewhere") - stopped_at
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
        gone = until(lambda: not Path(f"/proc/{pid}").exists(), "the hung process is killed") - stopped_at
        other, _ = future.result(60)
        until(lambda: pool.status()["ready"] == 2, "two workers")
        return [
            at_most("SIGSTOP, hang_timeout 4 s: its job starts elsewhere after", replaced, 4.0 + 3.0, "s"),
            at_most("SIGSTOP: the process is gone after", gone, 4.0 + 5.0, "s"),
            exactly("SIGSTOP: who answered was the other", other != pid, True),
            exactly("SIGSTOP: outcomes committed", done_jobs(pool, redis), 1),
        ]


def held_interpreter(cluster: Cluster, redis: Address) -> list[Figure]:
    """30 s of C code that holds the GIL: no beat for three leases."""
    with some_nodes(cluster, {"num_cpus": 4}), a_pool("holds", redis) as pool:
        before = set(pids(pool))
        future = pool.submit(Sleeper.hold_interpreter, 30)
        pid = future.result(90)
        return [
            exactly("30 s with the GIL held: attempts", future.attempts, 1),
            exactly("30 s with the GIL held: the worker lives", pid in pids(pool) and set(pids(pool)) == before, True),
        ]


def lost_nodes(cluster: Cluster, redis: Address) -> list[Figure]:
    """A node with a busy worker: its raylet is killed, or frozen."""
    figures = []
    for how, expected_s in (("killed", DEATH_S), ("frozen", FREEZE_S)):
        options = {"num_cpus": 1}
        with some_nodes(cluster, options, options) as nodes, a_pool(f"node-{how}", redis) as pool:
            until(lambda: len({worker["node"] for worker in pool.workers()}) == 2, "a worker on each node")
            future = pool.submit(Sleeper.work, 10.0)
            until(lambda: busy(pool), "a worker at work")
            (pid,) = busy(pool)
            home = next(worker["node"] for worker in pool.workers() if worker["pid"] == pid)
            node = next(one for one in nodes if one.node_id == home)
            if how == "killed":
                kill_raylet(node)
            else:
                raylet_of(node).send_signal(signal.SIGSTOP)
            lost_at = time.time()
            other, begun = future.result(90)
            figures += [
                at_most(f"raylet {how}: its job starts elsewhere after", begun - lost_at, expected_s + 1.0, "s"),
                exactly(f"raylet {how}: who answered was the other", other != pid, True),
                exactly(f"raylet {how}: outcomes committed", done_jobs(pool, redis), 1),
            ]
            if how == "frozen":
                raylet_of(node).send_signal(signal.SIGCONT)
    return figures


def lost_controller(cluster: Cluster, redis: Address) -> list[Figure]:
    """kill -9 of the controller and of a busy worker at once: only the beats see it."""
    with some_nodes(cluster, {"num_cpus": 4}), a_pool("headless", redis) as pool:
        survivors = set(pids(pool))
        future = pool.submit(Sleeper.work, 2.0)
        until(lambda: busy(pool), "a worker at work")
        (pid,) = busy(pool)
        keeper = ray.get_actor("pullet:headless:controller", namespace="pullet")
        ray.kill(keeper, no_restart=False)
        os.kill(pid, signal.SIGKILL)
        killed_at = time.time()
        _, begun = future.result(60)
        until(lambda: pool.status()["ready"] == 2, "two workers")
        lease = Lease().seconds
        return [
            at_most(
                f"controller and worker killed (lease {lease:g} s): starts after", begun - killed_at, lease + 2, "s"
            ),
            exactly(
                "controller killed: the next one keeps the living worker", survivors - {pid} <= set(pids(pool)), True
            ),
        ]


def done_jobs(pool: Pool[Any], redis: Address) -> int:
    """Outcomes that the queue has counted."""
    link = Link(redis, "bench")
    try:
        return int(link.execute("HGET", Queue(name=pool.queue).keys.fixed("stats"), "done") or 0)
    finally:
        link.close()
