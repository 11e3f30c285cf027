"""The controller as a Ray actor: detached and named, so that it outlives a crash and is found by its queue's name."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import ray
from ray.actor import exit_actor
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

from pullet_broker.errors import PoolMissing, PulletError
from pullet_workers.cluster import NAMESPACE, RayCluster, actor_name
from pullet_workers.controller import Controller
from pullet_workers.spec import PoolSpec, Scale

log = logging.getLogger("pullet.pool")

ROOM_S = 10.0
"""After this time a pool without a ready worker says what it waits for."""
JOINS = 5
"""How often a driver tries to join a pool of which every one it finds is just ending."""


class Keeper:
    """The actor: a plain `Controller`, and nothing that Ray must know."""

    def __init__(self, spec: PoolSpec) -> None:
        recovered = _is_recovered()
        self._spec = spec
        self._controller = Controller(spec, RayCluster(), on_over=exit_actor, recovered=recovered)
        self._controller.start()

    def about(self) -> PoolSpec:
        return self._spec

    def join(self, owner: str) -> bool:
        return self._controller.join(owner)

    def leave(self, owner: str, drain_s: float) -> bool:
        return self._controller.leave(owner, drain_s)

    def wait_ready(self) -> None:
        self._controller.wait_ready()

    def status(self) -> dict[str, Any]:
        return self._controller.status()

    def scale(self, scale: Scale) -> None:
        self._controller.scale(scale)

    def restart(self) -> None:
        self._controller.restart()

    def stop(self, drain_s: float) -> None:
        self._controller.stop(drain_s)


def _is_recovered() -> bool:
    """Has Ray started this actor anew?"""
    with warnings.catch_warnings():  # Ray deprecates what its own property uses, and tells every driver
        warnings.simplefilter("ignore", DeprecationWarning)
        return bool(ray.get_runtime_context().was_current_actor_reconstructed)


class KeeperHandle:
    """The controller of a pool, from any process of the cluster."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor
        self.spec: PoolSpec = self._ask("about")

    @classmethod
    def find(cls, queue: str) -> KeeperHandle | None:
        """The controller of the queue's pool, or None when there is no pool."""
        try:
            return cls(ray.get_actor(actor_name(queue, "controller"), namespace=NAMESPACE))
        except (ValueError, PoolMissing):
            return None

    @classmethod
    def start(cls, spec: PoolSpec) -> KeeperHandle:
        """Start a pool, or join the one that the queue has already. See `spec` for which it is."""
        for _ in range(JOINS):
            found = cls(
                ray.remote(Keeper)
                .options(
                    name=actor_name(spec.queue.name, "controller"),
                    namespace=NAMESPACE,
                    lifetime="detached",
                    get_if_exists=True,
                    max_restarts=-1,
                    max_task_retries=-1,
                    max_concurrency=100,
                    num_cpus=0,
                )
                .remote(spec)
            )
            if spec.owner is None or found.spec.owner == spec.owner or found.join(spec.owner):
                return found
            found.stop(spec.worker.drain_timeout)
        raise PulletError(f"the pool of queue {spec.queue.name!r} ends again and again; look for who closes it")

    def join(self, owner: str) -> bool:
        """Become one of the owners; False when the pool is ending."""
        try:
            return bool(self._ask("join", owner))
        except PoolMissing:
            return False

    def wait_ready(self) -> None:
        """Until one worker is ready; raises `EngineFailed`. Says what it waits for when that takes long."""
        waiting = self._actor.wait_ready.remote()
        while True:
            try:
                self._get(waiting, ROOM_S)
                return
            except GetTimeoutError:
                status = self.status()
                log.warning(
                    "no worker of %r is ready yet: of %d wanted %d wait for room in the cluster, %d build an engine%s",
                    status["queue"],
                    status["wanted"],
                    status["pending"],
                    sum(worker["state"] == "starting" for worker in status["workers"]),
                    f"; {status['trouble']}" if status["trouble"] else "",
                )

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self._ask("status")
        return found

    def scale(self, scale: Scale) -> None:
        self._ask("scale", scale)

    def restart(self) -> None:
        self._ask("restart")

    def leave(self, owner: str, drain_s: float) -> None:
        """Own the pool no longer; the last owner ends it, and waits for its end."""
        try:
            if self._ask("leave", owner, drain_s):
                ray.kill(self._actor, no_restart=True)
        except PoolMissing:
            return  # it has ended already

    def stop(self, drain_s: float) -> None:
        """Drain all workers, each within `drain_s` seconds, and end the pool for everybody."""
        try:
            self._ask("stop", drain_s)
            ray.kill(self._actor, no_restart=True)
        except PoolMissing:
            return  # it has ended already

    def _ask(self, method: str, *args: Any) -> Any:
        return self._get(getattr(self._actor, method).remote(*args))

    def _get(self, ref: Any, timeout_s: float | None = None) -> Any:
        try:
            return ray.get(ref, timeout=timeout_s)
        except RayTaskError as error:
            raise (error.cause if isinstance(error.cause, Exception) else error) from None
        except RayActorError as error:
            raise PoolMissing(f"the pool has ended: {error}") from None
