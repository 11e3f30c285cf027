"""Concurrency, elasticity, and workers of unequal speed that come and go."""

from __future__ import annotations

import functools
import itertools
import time
from typing import Any

from benchmarks.cluster.engines import AsyncSleeper, Sleeper, Uneven
from benchmarks.cluster.figures import Figure, at_least, at_most, exactly
from benchmarks.cluster.nodes import drain_node, some_nodes, until
from pullet_broker.address import Address
from pullet_workers import Pool

Cluster = Any
JOBS, JOB_S = 40, 0.05
AT_ONCE = 8


def concurrency(cluster: Cluster, redis: Address) -> list[Figure]:
    """40 jobs of 50 ms that wait: one at a time, in 8 threads, 8 on a loop."""
    took = {}
    kinds: list[tuple[str, Any, int]] = [
        ("one at a time", Sleeper, 1),
        ("threads", Sleeper, AT_ONCE),
        ("async", AsyncSleeper, AT_ONCE),
    ]
    with some_nodes(cluster, {"num_cpus": 4}):
        for name, engine, at_once in kinds:
            with Pool(engine, queue=f"kind-{at_once}-{name[:3]}", redis=redis, concurrency=at_once) as pool:
                pool.submit(engine.work, 0).result(30)
                begun = time.perf_counter()
                list(pool.map(engine.work, [JOB_S] * JOBS))
                took[name] = time.perf_counter() - begun
    return [
        at_least(
            f"{JOBS} jobs of {JOB_S * 1000:.0f} ms, {name}: faster by",
            took["one at a time"] / took[name],
            0.85 * AT_ONCE,
        )
        for name in ("threads", "async")
    ]


def elasticity(cluster: Cluster, redis: Address) -> list[Figure]:
    """From no worker to four and back. An engine takes 1 s to start."""
    engine = functools.partial(Sleeper, 1.0)
    with some_nodes(cluster, {"num_cpus": 6}):
        begun = time.time()
        with Pool(engine, workers=4, queue="fixed", redis=redis) as pool:
            start_s = until(lambda: pool.status()["ready"] == 4, "four workers") - begun
        with Pool(engine, workers=(0, 4), queue="elastic", redis=redis) as pool:
            begun = time.time()
            futures = [pool.submit(Sleeper.work, 0.5) for _ in range(60)]
            full_s = until(lambda: pool.status()["ready"] == 4, "four workers") - begun
            attempts = {future.attempts for future in futures if future.result(60)}
            until(lambda: not pool.workers(), "no worker", 90)
    return [
        at_most(f"elastic: from 0 to 4 workers (a fixed pool of 4: {start_s:.1f} s) after", full_s, start_s + 2.0, "s"),
        exactly("elastic: attempts a job while it grows and shrinks to 0", attempts, {1}),
    ]


def mixed_speeds(cluster: Cluster, redis: Address, jobs: int = 2400) -> list[Figure]:
    """Workers of 20 and of 100 ms a job; after a third of the jobs a fast node joins, after two thirds one leaves."""
    fast, slow = ({"num_cpus": 2, "labels": {"job_s": job_s}} for job_s in ("0.02", "0.1"))
    with some_nodes(cluster, fast, slow) as nodes, Pool(Uneven, workers="per-cpu", queue="mixed", redis=redis) as pool:
        until(lambda: pool.status()["ready"] == 4, "four workers")
        begun = time.time()
        futures = [pool.submit(Uneven.work) for _ in range(jobs)]
        done = itertools.count(1)
        reached = [0]
        for future in futures:
            future.add_done_callback(lambda _: reached.__setitem__(0, next(done)))
        until(lambda: reached[0] >= jobs // 3, "a third of the jobs")
        nodes.append(cluster.add_node(**fast))
        until(lambda: reached[0] >= 2 * jobs // 3, "two thirds of the jobs")
        drain_node(nodes[0])
        answers = [future.result(60) for future in futures]
        ended = max(answer["ended"] for answer in answers)
        came = len({answer["worker"] for answer in answers}) - 4
        again = sum(future.attempts > 1 for future in futures)
    return [
        at_least(
            "mixed speeds 1:5, a node joins, one leaves: ideal / measured",
            ideal_s(answers, begun, ended) / (ended - begun),
            0.95,
        ),
        exactly("mixed speeds: workers that joined in mid-run", came, 2),
        exactly("mixed speeds: jobs that ran twice", again, 0),
    ]


def ideal_s(answers: list[dict[str, Any]], begun: float, ended: float) -> float:
    """How long the jobs take when every worker that is there works all the time."""
    present = {}
    for answer in answers:
        _, _, last = present.get(answer["worker"], (0, 0, 0.0))
        present[answer["worker"]] = (answer["job_s"], max(begun, answer["ready"]), max(last, answer["ended"]))
    final = ended - max(job_s for job_s, _, _ in present.values())  # who worked until about then was there to the end
    left = {
        worker: (job_s, since, ended if last >= final else last) for worker, (job_s, since, last) in present.items()
    }
    low, high = begun, ended
    for _ in range(50):
        middle = (low + high) / 2
        done = sum(max(0.0, min(middle, until_) - since) / job_s for job_s, since, until_ in left.values())
        low, high = (middle, high) if done < len(answers) else (low, middle)
    return high - begun
