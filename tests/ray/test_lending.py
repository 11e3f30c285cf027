"""Ray tasks that wait for jobs lend their CPU: pools start and work while every CPU is held by a caller."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.exceptions import RayTaskError

from pullet_broker.address import Address
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from pullet_workers import Pool
from pullet_workers.lending import task_bell
from tests.ray.engines import Echo
from tests.support.installed import add_metadata
from tests.support.leaks import wait_until

SCRIPT = """
import concurrent.futures, json, sys, threading, time
import ray
import pullet
from pullet_workers import Pool
from tests.ray.engines import Echo

url, name = sys.argv[1:]
ray.init(address="local", num_cpus=2, include_dashboard=False, logging_level="error")

# Each in a process of its own that knows only pullet.connect, on a CPU of its own.
@ray.remote(num_cpus=1)
def caller(way):
    import warnings; warnings.simplefilter('ignore')
    assert "pullet_workers" not in sys.modules
    client = pullet.connect(Echo, url, queue=name)
    items = [f"{way} {n}" for n in range(3)]
    if way in ("map", "unordered"):
        return sorted(client.map(Echo.say, items, ordered=way == "map"))
    futures = [client.submit(Echo.say, item) for item in items]
    if way == "result":
        return [future.result() for future in futures]
    if way == "time limit":
        return [future.result(300) for future in futures]
    if way == "exception":
        return [future.exception() or future.result() for future in futures]
    if way == "wait":
        done, not_done = concurrent.futures.wait(futures)
        return sorted(future.result() for future in done)
    if way == "as_completed":
        return sorted(future.result() for future in concurrent.futures.as_completed(futures, timeout=300))
    if way == "close":
        client.close()
        return [future.result() for future in futures]

ways = ["result", "time limit", "exception", "wait", "as_completed", "map", "unordered", "close"]
calls = [caller.remote(way) for way in ways]
print("started", flush=True)
sys.stdin.readline()
with Pool(Echo, workers=2, num_cpus=1, queue=name, redis=url):
    answers = ray.get(calls, timeout=60)
print(json.dumps(dict(zip(ways, answers))), flush=True)
ray.shutdown()
"""


def start(folder: Path, *arguments: str, script: str = SCRIPT) -> subprocess.Popen[str]:
    """The script, with a cluster of two CPUs and pullet as pip installs it. Ray is told to start a blocked task's
    successor at once: it delays the third and later ones of a kind by 1, 2, 4 ... seconds."""
    add_metadata(folder)
    path = os.pathsep.join([str(folder), os.getcwd(), *filter(None, [os.environ.get("PYTHONPATH")])])
    own = {name: text for name, text in os.environ.items() if name not in ("PULLET_REDIS", "RAY_ADDRESS")}
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        env=own | {"PYTHONPATH": path, "RAY_worker_cap_enabled": "0", "RAY_USAGE_STATS_ENABLED": "0"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_eight_callers_on_two_cpus_wait_at_the_same_time_and_the_pool_still_starts(
    tmp_path: Path, address: Address, queue: Queue, link: Link
) -> None:
    process = start(tmp_path, address.url, queue.name)
    try:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "started\n"
        normal = queue.keys.fixed("jobs")
        assert wait_until(lambda: link.execute("XLEN", normal) == 8 * 3, 60), "all callers run, on two CPUs"
        process.stdin.write("go\n")
        process.stdin.flush()
        answers: dict[str, Any] = json.loads(process.stdout.read().splitlines()[-1])
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()
    assert answers == {way: [f"{way} {n}" for n in range(3)] for way in answers}
    assert len(answers) == 8


class Seen:
    """What a wait looked like from inside a task: milliseconds from the outcome to the return, free CPUs meanwhile."""

    def __init__(self) -> None:
        self.bells = 0

    def wait(self, seconds: float) -> tuple[float, float, int]:
        from pullet import bridge
        from pullet.future import Future

        there = bridge.installed()
        assert there is not None
        make = there.bell

        def counted() -> Any:
            self.bells += 1
            return make()

        there.bell = counted  # type: ignore[method-assign]
        future: Future[float] = Future("job", lambda job: None)
        free: list[float] = []

        def resolve() -> None:
            time.sleep(seconds)
            if seconds > 0.2:
                free.append(ray.available_resources().get("CPU", 0))
            future.set_result(time.perf_counter())

        thread = threading.Thread(target=resolve)
        thread.start()
        since = future.result()
        late = (time.perf_counter() - since) * 1000
        thread.join()
        return late, free[0] if free else -1, self.bells


@pytest.fixture
def cpus(local_ray: None) -> float:
    """All of them are free."""
    total = ray.cluster_resources()["CPU"]
    assert wait_until(lambda: ray.available_resources().get("CPU") == total, 30)
    return total


@pytest.mark.slow
def test_a_long_wait_lends_the_cpu_and_ends_within_milliseconds(cpus: float) -> None:
    @ray.remote(num_cpus=1)
    def task() -> list[tuple[float, float, int]]:

        return [Seen().wait(0.01), *(Seen().wait(1.5) for _ in range(3))]

    short, *long = ray.get(task.remote())
    assert short[2] == 0, "a short wait asks for no bell"
    assert [bells for _, _, bells in long] == [1, 1, 1]
    assert {free for _, free, _ in long} == {cpus}
    assert min(late for late, _, _ in long) < 20


def test_an_actor_keeps_its_cpu_and_a_driver_has_none(cpus: float) -> None:
    @ray.remote(num_cpus=1)
    class Actor:
        def bell(self) -> bool:
            return task_bell() is None

    assert ray.get(Actor.remote().bell.remote()), "Ray does not lend the CPUs of actors"
    assert task_bell() is None


def test_a_waiting_task_can_be_cancelled(cpus: float, tmp_path: Path) -> None:
    @ray.remote(num_cpus=1, max_retries=0)
    def task() -> None:
        from pullet.future import Future

        (tmp_path / "waits").touch()
        Future("job", lambda job: None).result()

    ref = task.remote()
    assert wait_until((tmp_path / "waits").exists, 30)
    assert wait_until(lambda: ray.available_resources().get("CPU") == cpus, 30)
    ray.cancel(ref)
    with pytest.raises((ray.exceptions.TaskCancelledError, RayTaskError)):
        ray.get(ref, timeout=20)


def test_a_pool_lends_in_the_task_that_it_was_passed_to(
    cpus: float, queue: Queue, address: Address, tmp_path: Path
) -> None:
    gate = str(tmp_path / "gate")
    with Pool(Echo, workers=1, num_cpus=1, queue=queue, redis=address) as pool:

        @ray.remote(num_cpus=1, max_calls=1)  # its process would keep the threads of this queue's client
        def task(shared: Pool[Echo]) -> int:
            return shared.submit(Echo.hold, gate).result()

        ref = task.remote(pool)
        assert wait_until(lambda: any(worker["job"] for worker in pool.workers()), 30)
        assert wait_until(lambda: ray.available_resources().get("CPU") == cpus - 1, 30), "all but the worker's"
        Path(gate).touch()
        assert ray.get(ref, timeout=30) == pool.workers()[0]["pid"]
