"""A Ray cluster of several nodes on this machine, and what can happen to them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray.cluster_utils import Cluster

from pullet_workers.cluster import NAMESPACE

PERIOD_MS, TIMEOUT_MS, FAILURES = 500, 1000, 3
DEATH_S = PERIOD_MS * FAILURES / 1000
"""When Ray, set like this, should know that a node's raylet is gone."""
FREEZE_S = (PERIOD_MS + TIMEOUT_MS) * FAILURES / 1000
"""The same for one that is there and does not answer."""

SETTINGS = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": str(PERIOD_MS),
    "RAY_health_check_timeout_ms": str(TIMEOUT_MS),
    "RAY_health_check_failure_threshold": str(FAILURES),
    "RAY_kill_worker_timeout_milliseconds": "500",
    "RAY_worker_niceness": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": "worker died|Raylet is terminated|node with node id",  # that is what happens here
}


@contextmanager
def a_cluster() -> Iterator[Cluster]:
    """The head has no CPUs: workers run on the nodes that a measurement adds."""
    os.environ.update(SETTINGS)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    ray.init(address=cluster.address, namespace=NAMESPACE, log_to_driver=False, logging_level="error")
    try:
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


@contextmanager
def some_nodes(cluster: Cluster, *options: dict[str, Any]) -> Iterator[list[Any]]:
    """One node for each of the options."""
    nodes = [cluster.add_node(**each) for each in options]
    try:
        yield nodes
    finally:
        for node in nodes:
            if node in cluster.list_all_nodes():
                cluster.remove_node(node)


def raylet_of(node: Any) -> Any:
    """Its process, a `subprocess.Popen`."""
    return node.all_processes["raylet"][0].process


def kill_raylet(node: Any) -> None:
    """As if the machine had gone. The dead process is reaped, or its workers take it for alive."""
    raylet = raylet_of(node)
    raylet.send_signal(signal.SIGKILL)
    raylet.wait()


def drain_node(node: Any) -> None:
    """What a preemption notice does."""
    ray._private.worker.global_worker.gcs_client.drain_node(node.node_id, 2, "preempted", 0)


def until(condition: Callable[[], Any], what: str, timeout_s: float = 60.0) -> float:
    """Wait for it; says when it was (`time.time()`)."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {timeout_s} s in vain: {what}")
        time.sleep(0.002)
    return time.time()
