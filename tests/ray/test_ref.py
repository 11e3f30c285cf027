"""`future.ref()`: the outcome of a job as an object of Ray, wherever the future is."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import numpy
import pytest
import ray
from ray._private.worker import global_worker

from pullet.future import Future
from pullet_broker.address import Address
from pullet_broker.settings import Queue
from pullet_workers import Pool
from tests.ray.engines import Echo
from tests.support.leaks import wait_until

pytestmark = pytest.mark.usefixtures("local_ray")

TIMEOUT_S = 30


@pytest.fixture
def pool(queue: Queue, address: Address) -> Iterator[Pool[Echo]]:
    with Pool(functools.partial(Echo, "hello "), workers=1, queue=queue, redis=address) as started:
        yield started


@ray.remote(num_cpus=0)
def describe(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"


@ray.remote(num_cpus=0)
def look_into(box: list[Any]) -> Any:
    return ray.get(box[0], timeout=TIMEOUT_S)


@ray.remote(num_cpus=0, max_calls=1)  # its process would keep the threads of this queue's client
def call(shared: Pool[Echo]) -> tuple[Any, Any]:
    futures = [shared.submit(Echo.say, "there"), shared.submit(Echo.fail, "lost")]
    refs = [future.ref() for future in futures]
    value = ray.get(describe.remote(refs[0]), timeout=TIMEOUT_S)
    try:
        ray.get(refs[1], timeout=TIMEOUT_S)
    except KeyError as error:
        return value, error.cause.args[0]  # type: ignore[attr-defined]
    return value, None


def test_get_wait_and_arguments_of_tasks(pool: Pool[Echo], tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    held = pool.submit(Echo.hold, str(gate))
    ref = held.ref()
    assert isinstance(ref, ray.ObjectRef)
    user, nested = describe.remote(ref), look_into.remote([ref])
    assert ray.wait([ref, user, nested], num_returns=3, timeout=0.3)[0] == []
    gate.touch()
    pid = held.result(TIMEOUT_S)
    assert ray.wait([ref], timeout=TIMEOUT_S)[0] == [ref]
    assert ray.get([ref, nested], timeout=TIMEOUT_S) == [pid, pid]
    assert ray.get(user, timeout=TIMEOUT_S) == f"int {pid}"


def test_of_a_future_that_is_done(pool: Pool[Echo]) -> None:
    future = pool.submit(Echo.say, "you")
    future.result(TIMEOUT_S)
    assert ray.get(future.ref(), timeout=TIMEOUT_S) == "hello you"
    assert ray.get(future.ref(), timeout=TIMEOUT_S) == "hello you"


@pytest.mark.parametrize("done", [False, True])
def test_an_error_is_raised_as_result_raises_it(pool: Pool[Echo], done: bool) -> None:
    future = pool.submit(Echo.fail, "lost")
    if done:
        future.exception(TIMEOUT_S)
    ref = future.ref()
    with pytest.raises(KeyError) as caught:
        ray.get(ref, timeout=TIMEOUT_S)
    assert caught.value.cause.args == ("lost",)  # type: ignore[attr-defined]
    assert "raise KeyError(text)" in str(caught.value), "the traceback at the worker"
    with pytest.raises(KeyError):
        ray.get(describe.remote(ref), timeout=TIMEOUT_S)


def test_errors_of_pullet_and_cancelled_jobs(pool: Pool[Echo], tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    pool.submit(Echo.hold, str(gate))
    cancelled = pool.submit(Echo.say, "never")
    ref = cancelled.ref()
    cancelled.cancel()
    with pytest.raises(CancelledError):
        ray.get(ref, timeout=TIMEOUT_S)
    gate.touch()
    after = pool.submit(Echo.pid).ref()
    assert ray.get(after, timeout=TIMEOUT_S) == pool.workers()[0]["pid"]


def test_from_a_task_that_the_pool_was_passed_to(pool: Pool[Echo]) -> None:
    assert ray.get(call.remote(pool), timeout=60) == ("str 'hello there'", "lost")


def new() -> Future[Any]:
    return Future("job", lambda job: None)


@pytest.mark.parametrize("early", [True, False])
def test_a_large_value_is_one_object_of_the_store(early: bool) -> None:
    value = numpy.arange(2 << 20, dtype=float)
    free = ray.available_resources()["object_store_memory"]

    def used() -> float:
        return (free - ray.available_resources()["object_store_memory"]) / value.nbytes

    future = new()
    ref = future.ref() if early else None
    future.set_result(value)
    ref = ref or future.ref()
    assert ray.wait([ref], timeout=TIMEOUT_S)[0]
    assert wait_until(lambda: 0.9 < used() < 1.1), used()
    assert (ray.get(ref) == value).all()
    del ref, future
    assert wait_until(lambda: used() < 0.1), used()


def test_nothing_is_left_of_many(local_ray: None) -> None:
    def known() -> tuple[int, int]:
        core: Any = global_worker.core_worker  # type: ignore[attr-defined]
        return core.get_memory_store_size(), len(core.get_all_reference_counts())

    assert ray.get(new_done(0).ref()) == 0
    before, actors = known(), ray.util.list_named_actors(all_namespaces=True)
    futures = [new() for _ in range(200)]
    refs = [future.ref() for future in futures]
    del refs[100:]
    for number, future in enumerate(futures):
        future.set_result(number)
    assert ray.get(refs, timeout=TIMEOUT_S) == list(range(100))
    assert ray.util.list_named_actors(all_namespaces=True) == actors
    del futures, refs, future
    assert wait_until(lambda: known() <= before), (known(), before)


def new_done(value: Any) -> Future[Any]:
    future = new()
    future.set_result(value)
    return future


def test_what_ray_cannot_carry_is_an_error_of_the_reference() -> None:
    future = new()
    ref = future.ref()
    future.set_result(sys._getframe())
    with pytest.raises(TypeError, match="cannot go through Ray"):
        ray.get(ref, timeout=TIMEOUT_S)


@pytest.mark.slow
def test_where_ray_was_never_started_or_has_ended() -> None:
    code = """
import ray, pullet, pullet_workers
from pullet.future import Future
future = Future("job", lambda job: None)
try:
    future.ref()
except pullet.RayMissing as error:
    print(error)
ray.init(address="local", num_cpus=1, include_dashboard=False, logging_level="error")
future.ref()
ray.shutdown()
future.set_result(1)
print(future.result())
try:
    future.ref()
except pullet.RayMissing as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    first, value, last = done.stdout.splitlines()
    assert value == "1"
    assert first == last
    assert "call ray.init()" in first
    assert done.returncode == 0, done.stderr
