"""The program of the forum's thread: several remote callers of `process_batch(actors, batch)`, two lines changed."""

from __future__ import annotations

import pickle

import pytest
import ray

from pullet.compat import ActorPool  # was: from ray.util import ActorPool
from pullet_broker.address import Address
from pullet_broker.settings import Queue
from pullet_workers import Pool
from tests.ray.engines import Echo

pytestmark = pytest.mark.usefixtures("local_ray")


@ray.remote(num_cpus=0)
def process_batch(actors: ActorPool, batch: list[int]) -> list[str]:
    return list(actors.map_unordered(lambda actor, arg: actor.say.remote(str(arg)), batch))


def test_remote_callers_of_one_actor_pool_share_its_workers(queue: Queue, address: Address) -> None:
    with Pool(Echo, workers=2, queue=queue, redis=address) as pool:
        actors = ActorPool(pool)  # was: ActorPool([Echo.remote() for _ in range(2)])
        batches = [list(range(caller, 60, 3)) for caller in range(3)]
        results = ray.get([process_batch.remote(actors, batch) for batch in batches])
        assert [sorted(map(int, result)) for result in results] == batches
        assert sum(worker["done"] for worker in pool.workers()) >= 60


def test_a_future_goes_to_a_ray_task(queue: Queue, address: Address) -> None:
    @ray.remote(num_cpus=0)
    def read(data: bytes) -> str:
        value: str = pickle.loads(data).result(20)
        return value

    with Pool(Echo, workers=1, queue=queue, redis=address) as pool:
        future = pool.submit(Echo.say, "both")
        waiting = read.remote(pickle.dumps(future))
        assert future.result(20) == "both"
        assert ray.get(waiting, timeout=30) == "both"
