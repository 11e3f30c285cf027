"""Every call to Ray that the controller and the pool make, so that all else runs and is tested without Ray."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from typing import Any

import ray
from ray._private import state
from ray.exceptions import ActorUnavailableError, RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pullet_broker.errors import EngineFailed
from pullet_workers.host import Host
from pullet_workers.placement import OURS, Node, Target
from pullet_workers.spec import PoolSpec

log = logging.getLogger("pullet.pool")

NAMESPACE = "pullet"
UNREACHABLE_S = 0.5
"""Pause before the next call to a worker that the network hides."""
NODE_LABEL = "ray.io/node-id"
"""The label that Ray gives each node."""


class RayWorker:
    """A handle on one worker's actor."""

    def __init__(self, name: str, handle: Any) -> None:
        self.name, self._handle = name, handle

    async def wait_placed(self) -> dict[str, Any]:
        """Node and process, as soon as Ray has found room. Raises `EngineFailed`, or `WorkerGone`."""
        return await _answer(self._handle.where.remote())  # type: ignore[no-any-return]

    async def wait_ready(self) -> None:
        """Until the engine is built. Raises `EngineFailed`, or `WorkerGone` when the process died."""
        await _answer(self._handle.wait_ready.remote())

    async def wait_closed(self) -> None:
        """Ends when the worker left; raises `WorkerGone` within milliseconds of its process's death."""
        while True:
            try:
                if await _answer(self._handle.wait_closed.remote()):
                    return
            except ActorUnavailableError as error:  # the network: it may live
                log.info("a worker cannot be reached", extra={"worker": self.name, "error": str(error)})
                await asyncio.sleep(UNREACHABLE_S)

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
    except ActorUnavailableError:
        raise
    except RayActorError as error:
        raise WorkerGone(str(error)) from None


class RayCluster:
    """The Ray cluster that this process belongs to."""

    def start_worker(self, spec: PoolSpec, name: str, target: Target) -> RayWorker:
        """Ask for a worker; Ray starts it when its resources are free. `max_restarts=0`: a dead one is replaced
        under a new name, so that its death is seen at once and nothing of it lives on."""
        actor = ray.remote(Host).options(
            name=actor_name(spec.queue.name, name),
            namespace=NAMESPACE,
            lifetime="detached",
            max_restarts=0,
            max_concurrency=100,
            **actor_options(spec, target),
        )
        return RayWorker(name, actor.remote(spec, name))

    def find_workers(self, spec: PoolSpec) -> list[RayWorker]:
        """The workers of this pool that an earlier incarnation of its controller had started."""
        prefix = actor_name(spec.queue.name, "")
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

    def nodes(self) -> list[Node]:
        """The nodes that are alive."""
        free = state.available_resources_per_node()
        leaving = _draining()
        return [
            Node(
                one["NodeID"],
                total=one["Resources"],
                free=free.get(one["NodeID"], {}),
                labels=one.get("Labels", {}),
                draining=one["NodeID"] in leaving,
            )
            for one in ray.nodes()
            if one["Alive"]
        ]

    def is_job_over(self, job: str) -> bool:
        """Has the driver that owns the pool ended? Asked of a private table; unknown counts as no."""
        try:
            table = state.jobs()
        except (AttributeError, RayError) as error:
            log.debug("cannot see Ray's jobs", extra={"error": str(error)})
            return False
        return any(one["JobID"] == job and one["IsDead"] for one in table)


def _draining() -> Mapping[str, int]:
    """Nodes that are told to leave. Asked of a private table; unknown counts as none."""
    try:
        found: Mapping[str, int] = state.state.get_draining_nodes()
    except (AttributeError, RayError) as error:
        log.debug("cannot see which nodes drain", extra={"error": str(error)})
        return {}
    return found


def actor_name(queue: str, name: str) -> str:
    return f"pullet:{queue}:{name}"


def actor_options(spec: PoolSpec, target: Target) -> dict[str, Any]:
    """What Ray is asked for one worker: its resources, and where it may run."""
    worker = spec.worker
    options: dict[str, Any] = {
        "num_cpus": worker.num_cpus,
        "num_gpus": worker.num_gpus,
        "resources": worker.resources or None,
    }
    if target.bundle is not None:
        return options | {"scheduling_strategy": worker.scheduling_strategy[target.bundle]}
    selector, others = worker.label_selector, worker.fallback_strategy
    if target.soft and target.node is not None:
        if not (selector or others):
            return options | {"scheduling_strategy": NodeAffinitySchedulingStrategy(target.node, soft=True)}
        here = {"label_selector": {**selector, NODE_LABEL: target.node}}
        return options | here | {"fallback_strategy": [{"label_selector": selector}, *others]}
    wanted = {}
    if target.node is not None:
        wanted = {NODE_LABEL: target.node}
    elif target.avoid:
        wanted = {NODE_LABEL: f"!in({','.join(target.avoid)})"}
    if selector or wanted:
        options["label_selector"] = {**selector, **wanted}
    if others:
        options["fallback_strategy"] = [
            {**other, "label_selector": {**other.get("label_selector", {}), **wanted}} for other in others
        ]
    if worker.scheduling_strategy not in OURS:
        options["scheduling_strategy"] = worker.scheduling_strategy
    return options


def connect_to_ray(cpus: float) -> bool:
    """Connect this process to Ray, unless it is: to the cluster at `RAY_ADDRESS`, else to a local one with at least so
    many CPUs. True when that was done here, so that it is ours to shut down."""
    if ray.is_initialized():
        return False
    if os.environ.get("RAY_ADDRESS"):
        ray.init(address=os.environ["RAY_ADDRESS"], namespace=NAMESPACE)
    else:
        start_local_ray(cpus)
    return True


def start_local_ray(cpus: float, log_to_driver: bool = True) -> None:
    """A Ray cluster of this machine only, which ends with this process; `cpus` are promised to the workers, also on a
    machine with fewer. `log_to_driver`: show what workers print."""
    os.environ.setdefault("RAY_worker_niceness", "0")  # else the beats run at nice +15
    os.environ.setdefault("RAY_kill_worker_timeout_milliseconds", "500")  # else a hung worker holds its CPU for 5 s
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray.init(
        address="local",  # a cluster that somebody started on this machine is not meant
        num_cpus=max(os.cpu_count() or 1, int(cpus + 0.999)),
        include_dashboard=False,
        logging_level=logging.ERROR,
        log_to_driver=log_to_driver,
        namespace=NAMESPACE,
    )
