"""What Ray is asked for one worker: the user's own words, and where the controller wants it."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

pytest.importorskip("ray")

from ray.exceptions import ActorUnavailableError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pullet_workers.cluster import RayWorker, actor_options
from pullet_workers.placement import Target
from pullet_workers.spec import PoolSpec, WorkerOptions

NODE = "ray.io/node-id"
N1, N2 = "1" * 56, "2" * 56
SSD = {"disk": "ssd"}
OTHER: list[dict[str, Any]] = [{"label_selector": {"disk": "hdd"}}]


def asked(spec: PoolSpec, target: Target, **options: Any) -> dict[str, Any]:
    found = actor_options(dataclasses.replace(spec, worker=WorkerOptions(**options)), target)
    return {name: value for name, value in found.items() if name not in ("num_cpus", "num_gpus", "resources")}


def test_what_the_user_says_goes_to_ray_as_it_is(spec: PoolSpec) -> None:
    said = {"scheduling_strategy": "SPREAD", "label_selector": SSD, "fallback_strategy": OTHER}
    assert asked(spec, Target(), **said) == said
    full = actor_options(
        dataclasses.replace(spec, worker=WorkerOptions(num_cpus=2, num_gpus=0.5, resources={"licence": 1})), Target()
    )
    assert (full["num_cpus"], full["num_gpus"], full["resources"]) == (2, 0.5, {"licence": 1})


def test_a_node_is_asked_for_beside_the_labels_of_the_user_in_each_choice(spec: PoolSpec) -> None:
    found = asked(
        spec, Target(node=N1), scheduling_strategy="STRICT_SPREAD", label_selector=SSD, fallback_strategy=OTHER
    )
    assert found == {
        "label_selector": {**SSD, NODE: N1},
        "fallback_strategy": [{"label_selector": {"disk": "hdd", NODE: N1}}],
    }


def test_nodes_are_avoided_by_their_labels(spec: PoolSpec) -> None:
    found = asked(spec, Target(avoid=(N1, N2), waits=True), scheduling_strategy="STRICT_SPREAD")
    assert found == {"label_selector": {NODE: f"!in({N1},{N2})"}}


def test_a_node_that_is_only_preferred_keeps_the_labels_of_the_user(spec: PoolSpec) -> None:
    plain = asked(spec, Target(node=N1, soft=True), scheduling_strategy="PACK")["scheduling_strategy"]
    assert isinstance(plain, NodeAffinitySchedulingStrategy)
    assert (plain.node_id, plain.soft) == (N1, True)
    found = asked(
        spec, Target(node=N1, soft=True), scheduling_strategy="PACK", label_selector=SSD, fallback_strategy=OTHER
    )
    assert found == {
        "label_selector": {**SSD, NODE: N1},
        "fallback_strategy": [{"label_selector": SSD}, *OTHER],
    }


def test_a_place_of_a_list_is_that_strategy(spec: PoolSpec) -> None:
    assert asked(spec, Target(bundle=1), scheduling_strategy=["a", "b"]) == {"scheduling_strategy": "b"}


def test_a_worker_that_the_network_hides_for_a_moment_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Any] = [False, ActorUnavailableError("a blip", None), False, True]

    class Method:
        def remote(self) -> Any:
            return self

        def future(self) -> Any:
            from concurrent.futures import Future

            future: Future[Any] = Future()
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
            return future

    class Handle:
        wait_closed = Method()

    monkeypatch.setattr("pullet_workers.cluster.UNREACHABLE_S", 0.01)
    asyncio.run(RayWorker("w", Handle()).wait_closed())
    assert answers == []
