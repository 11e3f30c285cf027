"""One Ray cluster for all tests that need it: several CPUs are promised, so that workers and callers find room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

ray = pytest.importorskip("ray")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.ray)


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    from pullet_workers.cluster import start_local_ray

    start_local_ray(8, log_to_driver=False)
    yield
    ray.shutdown()
