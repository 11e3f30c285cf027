"""Every call to Ray that the controller and the pool make, so that all else runs and is tested without Ray."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Any

import ray
from ray._private import state
from ray.exceptions import RayActorError, RayError, RayTaskError

from pullet_broker.errors import EngineFailed
from pullet_workers.host import Host
from pullet_workers.spec import PoolSpec

log = logging.getLogger("pullet.pool")

NAMESPACE = "pullet"


class RayWorker:
    """A handle on one worker's actor."""

    def __init__(self, name: str, handle: Any) -> None:
        self.name, self._handle = name, handle

    async def wait_ready(self) -> dict[str, Any]:
        """Node and process. Raises `EngineFailed`, or `WorkerGone` when the process died."""
        return await _answer(self._handle.wait_ready.remote())  # type: ignore[no-any-return]

    async def wait_closed(self) -> None:
        """Ends when the worker left; raises `WorkerGone` within milliseconds of its process's death."""
        await _answer(self._handle.wait_closed.remote())

    async def status(self) -> dict[str, Any]:
        return await _answer(self._handle.status.remote())  # type: ignore[no-any-return]

    async def drain(self, timeout_s: float) -> bool:
        return await _answer(self._handle.drain.remote(timeout_s))  # type: ignore[no-any-return]

    def kill(self) -> None:
        ray.kill(self._handle, no_restart=True)


class WorkerGone(Exception):
    """The process of a worker is no more."""


async def _answer(ref: Any) -> Any:
    try:
        return await asyncio.wrap_future(ref.future())
    except RayTaskError as error:
        cause = error.cause
        raise cause if isinstance(cause, EngineFailed) else EngineFailed(str(error), remote_traceback="") from None
    except RayActorError as error:
        raise WorkerGone(str(error)) from None


class RayCluster:
    """The Ray cluster that this process belongs to."""

    def start_worker(self, spec: PoolSpec, name: str) -> RayWorker:
        """Ask for a worker; Ray starts it when its resources are free. `max_restarts=0`: a dead one is replaced
        under a new name, so that its death is seen at once and nothing of it lives on."""
        actor = ray.remote(Host).options(
            name=actor_name(spec, name),
            namespace=NAMESPACE,
            lifetime="detached",
            max_restarts=0,
            max_concurrency=100,
            **spec.resources.options(),
        )
        return RayWorker(name, actor.remote(spec, name))

    def find_workers(self, spec: PoolSpec) -> list[RayWorker]:
        """The workers of this pool that an earlier incarnation of its controller had started."""
        prefix = actor_name(spec, "")
        found = []
        listed: list[Any] = ray.util.list_named_actors(all_namespaces=True)
        for entry in listed:
            name = entry["name"]
            if entry["namespace"] == NAMESPACE and name.startswith(prefix) and not name.endswith(":controller"):
                try:
                    found.append(RayWorker(name[len(prefix) :], ray.get_actor(name, namespace=NAMESPACE)))
                except ValueError:
                    continue  # it died since it was listed
        return found

    def is_node_alive(self, node: str) -> bool:
        return any(one["NodeID"] == node and one["Alive"] for one in ray.nodes())

    def is_job_over(self, job: str) -> bool:
        """Has the driver that owns the pool ended? Asked of a private table; unknown counts as no."""
        try:
            table = state.jobs()
        except (AttributeError, RayError) as error:
            log.debug("cannot see Ray's jobs", extra={"error": str(error)})
            return False
        return any(one["JobID"] == job and one["IsDead"] for one in table)


def actor_name(spec: PoolSpec, name: str) -> str:
    return f"pullet:{spec.queue.name}:{name}"


def start_local_ray(cpus: float, log_to_driver: bool = True) -> None:
    """A Ray cluster of this machine only, which ends with this process; `cpus` are promised to the workers, also on a
    machine with fewer. `log_to_driver`: show what workers print."""
    os.environ.setdefault("RAY_worker_niceness", "0")  # else the beats run at nice +15
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray.init(
        num_cpus=max(os.cpu_count() or 1, int(cpus + 0.999)),
        include_dashboard=False,
        logging_level=logging.ERROR,
        log_to_driver=log_to_driver,
        namespace=NAMESPACE,
    )
