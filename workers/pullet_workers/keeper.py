"""The controller as a Ray actor: detached and named, so that it outlives a crash and is found by its queue's name."""

from __future__ import annotations

from typing import Any

import ray
from ray.actor import exit_actor
from ray.exceptions import RayTaskError

from pullet_workers.cluster import NAMESPACE, RayCluster, actor_name
from pullet_workers.controller import Controller
from pullet_workers.spec import PoolSpec


class Keeper:
    """The actor: a plain `Controller`, and nothing that Ray must know."""

    def __init__(self, spec: PoolSpec) -> None:
        self._controller = Controller(spec, RayCluster(), on_over=exit_actor)
        self._controller.start()

    def wait_ready(self) -> None:
        self._controller.wait_ready()

    def status(self) -> list[dict[str, Any]]:
        return self._controller.status()

    def stop(self, drain_s: float) -> None:
        self._controller.stop(drain_s)


class KeeperHandle:
    """The controller of a pool, from any process of the cluster."""

    def __init__(self, spec: PoolSpec) -> None:
        self._actor: Any = (
            ray.remote(Keeper)
            .options(
                name=actor_name(spec, "controller"),
                namespace=NAMESPACE,
                lifetime="detached",
                get_if_exists=True,
                max_restarts=-1,
                max_task_retries=-1,
                max_concurrency=16,
                num_cpus=0,
            )
            .remote(spec)
        )

    def wait_ready(self) -> None:
        """Until one worker is ready; raises `EngineFailed`."""
        try:
            ray.get(self._actor.wait_ready.remote())
        except RayTaskError as error:
            raise (error.cause if isinstance(error.cause, Exception) else error) from None

    def status(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = ray.get(self._actor.status.remote())
        return found

    def stop(self, drain_s: float) -> None:
        """Drain all workers, each within `drain_s` seconds, and end the controller."""
        ray.get(self._actor.stop.remote(drain_s))
        ray.kill(self._actor, no_restart=True)
