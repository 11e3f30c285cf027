"""One Ray cluster for all tests that need it: several CPUs are promised, so that workers and callers find room."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ray = pytest.importorskip("ray")

SETTINGS = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_kill_worker_timeout_milliseconds": "500",
    "RAY_worker_niceness": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""Of the cluster: a dead node is seen in about 2.5 s."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.ray)
            item.add_marker(pytest.mark.xdist_group("ray"))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A cluster with a head node of 8 CPUs, to which this process is connected."""
    os.environ.update(SETTINGS)
    from ray.cluster_utils import Cluster

    from pullet_workers.cluster import NAMESPACE

    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 8, "include_dashboard": False})
    ray.init(address=started.address, namespace=NAMESPACE, log_to_driver=False, logging_level="error")
    yield started
    ray.shutdown()
    started.shutdown()


@pytest.fixture(scope="session")
def local_ray(cluster: Any) -> None:
    """A pool finds Ray running."""


@pytest.fixture
def add_node(cluster: Any) -> Iterator[Callable[..., Any]]:
    """Adds nodes (`num_cpus=`, `labels=`, `resources=` ...) that go again with the test."""
    added = []

    def add(**options: Any) -> Any:
        node = cluster.add_node(**options)
        added.append(node)
        return node

    yield add
    for node in added:
        if node in cluster.list_all_nodes():
            cluster.remove_node(node, allow_graceful=False)
