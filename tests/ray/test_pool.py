"""Pools on real Ray and a real server: what a user does, and what happens when a worker dies."""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

import pullet
from pullet_broker.address import Address
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from pullet_workers import Pool
from tests.ray.engines import Broken, Echo
from tests.support.leaks import wait_until

pytestmark = pytest.mark.usefixtures("local_ray")


@pytest.fixture
def pool(queue: Queue, address: Address) -> Iterator[Pool[Echo]]:
    with Pool(functools.partial(Echo, "hello "), workers=2, queue=queue, redis=address) as started:
        yield started


def ready(pool: Pool[Echo]) -> int:
    return sum(worker["state"] in ("idle", "busy") for worker in pool.workers())


def test_calls_go_to_warm_engines_and_come_back(pool: Pool[Echo]) -> None:
    assert pool.submit(Echo.say, "you").result(10) == "hello you"
    assert list(pool.map(Echo.say, ["a", "b", "c"])) == ["hello a", "hello b", "hello c"]
    assert wait_until(lambda: ready(pool) == 2)
    counts = [pool.submit(Echo.count).result(10) for _ in range(4)]
    assert sum(counts) >= 6, "the engines keep their state between jobs"


def test_the_garbage_collector_leaves_alone_what_lives_as_long_as_a_worker(pool: Pool[Echo]) -> None:
    assert pool.submit(Echo.frozen).result(20) > 10_000


def test_results_can_be_awaited(pool: Pool[Echo]) -> None:
    async def callers() -> list[str]:
        return await asyncio.gather(*(pool.submit(Echo.say, str(n)) for n in range(20)))

    assert asyncio.run(callers()) == [f"hello {n}" for n in range(20)]


def test_an_error_comes_back_as_itself_with_the_remote_traceback(pool: Pool[Echo]) -> None:
    with pytest.raises(KeyError, match="lost") as caught:
        pool.submit(Echo.fail, "lost").result(10)
    assert "raise KeyError(text)" in str(caught.value.__cause__)


def test_ray_tasks_and_other_actors_use_the_same_pool(pool: Pool[Echo]) -> None:
    @ray.remote(num_cpus=0, runtime_env={"env_vars": {"PROCESSES": "of these tasks only"}})
    def process_batch(shared: Pool[Echo], batch: list[str]) -> tuple[list[str], int]:
        import threading

        answers = list(shared.map(Echo.say, batch))
        return answers, sum(thread.name.startswith("pullet-") for thread in threading.enumerate())

    rounds = [ray.get([process_batch.remote(pool, ["x", "y"]) for _ in range(3)]) for _ in range(4)]
    for answers, threads in itertools.chain.from_iterable(rounds):
        assert answers == ["hello x", "hello y"]
        assert threads <= 2, "a process that unpickles a pool again and again keeps one sender and one receiver"


def test_the_job_of_a_killed_worker_runs_again_within_a_second(pool: Pool[Echo]) -> None:
    assert wait_until(lambda: ready(pool) == 2)
    pid = pool.submit(Echo.pid).result(10)
    before = {worker["name"] for worker in pool.workers()}
    futures = [pool.submit(Echo.started, 0.4) for _ in range(2)]
    assert wait_until(lambda: all(worker["job"] for worker in pool.workers()))
    killed_at = time.time()
    os.kill(pid, signal.SIGKILL)
    starts = [future.result(20) for future in futures]
    assert sorted(future.attempts for future in futures) == [1, 2]
    assert max(starts) - killed_at < 1.0
    assert wait_until(lambda: ready(pool) == 2, 20), "the dead worker is replaced"
    assert {worker["name"] for worker in pool.workers()} != before


def test_a_poison_job_ends_as_worker_lost_and_takes_nobody_with_it(pool: Pool[Echo]) -> None:
    poison = pool.submit(Echo.die)
    others = [pool.submit(Echo.say, str(n)) for n in range(50)]
    with pytest.raises(pullet.WorkerLost):
        poison.result(60)
    assert [other.result(60) for other in others] == [f"hello {n}" for n in range(50)]


def test_the_place_of_a_worker_is_its_node(pool: Pool[Echo], queue: Queue, link: Link) -> None:
    assert pool.options(key="k").submit(Echo.say, "keyed").result(20) == "hello keyed"
    assert link.execute("GET", queue.keys.home("k")).decode() == ray.get_runtime_context().get_node_id()


def test_an_engine_that_cannot_be_built_says_so_at_once(queue: Queue, address: Address) -> None:
    started = time.monotonic()
    with pytest.raises(pullet.EngineFailed, match=r"no model at /models/chess\.bin") as caught:
        Pool(Broken, workers=2, queue=queue, redis=address)
    assert "engines.py" in caught.value.remote_traceback
    assert time.monotonic() - started < 30


def test_after_a_drain_nothing_is_left(queue: Queue, address: Address, link: Link) -> None:
    with Pool(Echo, workers=2, queue=queue, redis=address) as pool:
        list(pool.map(Echo.say, ["x"] * 500, ordered=False))
        held = [worker["pid"] for worker in pool.workers() if worker["pid"]]
    assert wait_until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in held))
    for lane in queue.keys.lanes:
        assert link.execute("XLEN", lane) == 0
        assert link.execute("XPENDING", lane, "workers")[0] == 0
        assert link.execute("XINFO", "CONSUMERS", lane, "workers") == []
    assert (
        link.execute("EXISTS", *(queue.keys.fixed(name) for name in ("workers", "beats", "missed", "cancelled"))) == 0
    )
    assert wait_until(lambda: b"pullet:" + queue.name.encode() not in link.execute("CLIENT", "LIST"))


def test_the_pool_works_on_while_its_controller_is_dead_and_is_adopted_by_the_next(
    pool: Pool[Echo], queue: Queue
) -> None:
    assert wait_until(lambda: ready(pool) == 2)
    names = {worker["name"] for worker in pool.workers()}
    keeper = ray.get_actor(f"pullet:{queue.name}:controller", namespace="pullet")
    ray.kill(keeper, no_restart=False)
    assert pool.submit(Echo.say, "still").result(10) == "hello still"
    assert wait_until(lambda: ready(pool) == 2, 30)
    assert {worker["name"] for worker in pool.workers()} == names


def test_an_engine_named_by_module_is_imported_by_the_workers(queue: Queue, address: Address) -> None:
    with Pool("tests.ray.engines:Echo", queue=queue, redis=address) as pool:
        assert pool.submit("say", "x").result(10) == "x"
