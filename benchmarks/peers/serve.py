"""Ray Serve: a deployment with one replica a worker, called through handles."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import ray
from ray import serve

from benchmarks import engine
from benchmarks.ray_side import until_told

SETTINGS = "num_replicas=workers, max_ongoing_requests 1 (100 for echo); DeploymentHandle, 1,000 in flight"
REQUIRES = ["ray[serve]==2.60.*"]
VERSION_OF = "ray"
TOGETHER = True
RECOVERY = "the caller gets ActorDiedError or a retry; a new replica in seconds"

IN_FLIGHT = 1000


class Replica(engine.Engine):
    async def __call__(self, task: str, value: Any) -> Any:
        return getattr(self, task)(value)


ADDRESS = Path(os.environ["BENCH_SEATS"]) / ".address"
"""Of a Ray cluster of its own: that of the run lacks the packages of ray[serve]."""


def work() -> None:
    speeds = engine.speeds()
    ray.init(address="local", num_cpus=8, namespace="bench", log_to_driver=False, include_dashboard=False)
    deployment = serve.deployment(
        Replica,
        num_replicas=len(speeds),
        max_ongoing_requests=1 if speeds[0] else 100,
        ray_actor_options={"num_cpus": 1},
    )
    serve.run(deployment.bind(os.environ["BENCH_SEATS"], speeds), name="bench", route_prefix=None)
    ADDRESS.with_suffix(".new").write_text(ray.get_runtime_context().gcs_address)
    ADDRESS.with_suffix(".new").rename(ADDRESS)
    until_told()
    serve.shutdown()


class Caller:
    def __init__(self) -> None:
        while not ADDRESS.exists():
            time.sleep(0.1)
        ray.init(address=ADDRESS.read_text(), namespace="bench", log_to_driver=False)
        self._handle = serve.get_app_handle("bench")

    def submit(self, task: str, values: list[Any]) -> list[Any]:
        handles: list[Any] = []
        for place, value in enumerate(values):
            if place >= IN_FLIGHT:
                handles[place - IN_FLIGHT].result()
            handles.append(self._handle.remote(task, value))
        return handles

    def result(self, handle: Any) -> Any:
        return handle.result()

    def close(self) -> None:
        ray.shutdown()


def connect() -> Caller:
    return Caller()
