"""Where workers run: each of the classic wishes, on a cluster of several nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pullet_broker.address import Address
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from pullet_workers import Group, Part, Pool
from tests.ray.engines import Echo, Searcher
from tests.support.leaks import check_keys, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("cluster")]

HERE = {"team": "test"}
"""A label that only the nodes of these tests have."""


@pytest.fixture(scope="module")
def nodes(cluster: Any) -> Iterator[dict[str, str]]:
    """Three nodes of 4 CPUs: name -> id. Node "c" has what looks like a GPU, "a" and "b" a disk."""
    made = {
        name: cluster.add_node(num_cpus=4, labels={**HERE, "name": name}, **more)
        for name, more in {
            "a": {"resources": {"disk": 2}},
            "b": {"resources": {"disk": 1}},
            "c": {"num_gpus": 1},
        }.items()
    }
    yield {name: node.node_id for name, node in made.items()}
    for node in made.values():
        cluster.remove_node(node)


@pytest.fixture
def landed(queue: Queue, address: Address, nodes: dict[str, str]) -> Callable[..., Counter[str]]:
    """Where the workers of a pool with these options land."""
    names = {node: name for name, node in nodes.items()}

    def land(workers: Any, *, ready: int | None = None, **options: Any) -> Counter[str]:
        wanted = ready if ready is not None else workers
        with Pool(Echo, workers=workers, queue=queue, redis=address, **options) as pool:
            assert wait_until(lambda: pool.status()["ready"] == wanted, 30), pool.status()
            pool.submit(Echo.say, "x").result(10)
            return Counter(names.get(worker["node"], "head") for worker in pool.workers() if worker["node"])

    return land


def test_spread_balances_the_load(landed: Callable[..., Counter[str]]) -> None:
    assert landed(6, scheduling_strategy="SPREAD", label_selector=HERE) == {"a": 2, "b": 2, "c": 2}


def test_pack_fills_one_node_before_the_next(landed: Callable[..., Counter[str]]) -> None:
    found = landed(5, scheduling_strategy="PACK", label_selector=HERE)
    assert sorted(found.values()) == [1, 4]


def test_strict_pack_keeps_all_on_one_node(landed: Callable[..., Counter[str]]) -> None:
    assert list(landed(3, scheduling_strategy="STRICT_PACK", label_selector=HERE).values()) == [3]


def test_strict_spread_puts_one_on_each_node_and_the_rest_wait(landed: Callable[..., Counter[str]]) -> None:
    found = landed(4, ready=3, scheduling_strategy="STRICT_SPREAD", label_selector=HERE)
    assert found == {"a": 1, "b": 1, "c": 1}


def test_one_worker_per_node(landed: Callable[..., Counter[str]]) -> None:
    assert landed("per-node", ready=3, label_selector=HERE) == {"a": 1, "b": 1, "c": 1}


def test_as_many_workers_as_cpus(landed: Callable[..., Counter[str]]) -> None:
    assert landed("per-cpu", ready=6, num_cpus=2, label_selector=HERE) == {"a": 2, "b": 2, "c": 2}


def test_two_workers_share_a_gpu(landed: Callable[..., Counter[str]]) -> None:
    assert landed("per-gpu", ready=2, num_gpus=0.5, label_selector=HERE) == {"c": 2}


def test_custom_resources_bind_to_the_nodes_that_have_them(landed: Callable[..., Counter[str]]) -> None:
    assert landed(3, resources={"disk": 1}, label_selector=HERE) == {"a": 2, "b": 1}


def test_labels_select_the_node(landed: Callable[..., Counter[str]]) -> None:
    assert landed(2, label_selector={"name": "b"}) == {"b": 2}


def test_where_no_node_has_the_labels_the_fallback_is_taken(landed: Callable[..., Counter[str]]) -> None:
    fallback = [{"label_selector": {"name": "c"}}]
    assert landed(2, label_selector={"name": "z"}, fallback_strategy=fallback) == {"c": 2}


def test_node_affinity(landed: Callable[..., Counter[str]], nodes: dict[str, str]) -> None:
    assert landed(2, scheduling_strategy=NodeAffinitySchedulingStrategy(nodes["a"], soft=False)) == {"a": 2}


def test_workers_without_room_wait_where_an_autoscaler_sees_them_and_start_on_a_node_that_joins(
    queue: Queue, address: Address, add_node: Callable[..., Any]
) -> None:
    add_node(num_cpus=1, labels={"late": "yes"})
    with Pool(Echo, workers=2, queue=queue, redis=address, label_selector={"late": "yes"}) as pool:
        assert wait_until(lambda: (pool.status()["ready"], pool.status()["pending"]) == (1, 1))
        demands = [actor["State"] for actor in ray._private.state.actors().values()]
        assert "PENDING_CREATION" in demands
        add_node(num_cpus=1, labels={"late": "yes"})
        assert wait_until(lambda: pool.status()["ready"] == 2, 20)


def test_the_parts_of_a_group_share_a_node_and_move_together_when_it_dies(
    cluster: Any, address: Address, add_node: Callable[..., Any], link: Link
) -> None:
    first, second = (add_node(num_cpus=3, resources={"pair": 3}) for _ in range(2))
    parts = {
        "evaluator": Part(Echo, resources={"pair": 1}),
        "searcher": Part(Searcher, workers=2, uses=["evaluator"], resources={"pair": 1}),
    }
    with Group(parts, replicas=2, name="alpha", redis=address) as group:
        assert wait_until(lambda: all(pool.status()["ready"] for pool in group.values()), 30)
        assert group["searcher"].submit(Searcher.move, "e4").result(20) == "after e4"
        assert wait_until(lambda: [pool.status()["ready"] for pool in group.values()] == [2, 4], 30)
        homes = Counter(worker["node"] for pool in group.values() for worker in pool.workers())
        assert homes == {first.node_id: 3, second.node_id: 3}

        cluster.remove_node(first, allow_graceful=False)
        third = add_node(num_cpus=3, resources={"pair": 3})
        assert wait_until(lambda: [pool.status()["ready"] for pool in group.values()] == [2, 4], 40)
        homes = Counter(worker["node"] for pool in group.values() for worker in pool.workers())
        assert homes == {second.node_id: 3, third.node_id: 3}
    for part in parts:
        check_keys(link, Queue(name=f"alpha.{part}"))
