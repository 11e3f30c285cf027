"""A pool whose queue is in a Redis Cluster: workers and controller follow it when its node dies."""

from __future__ import annotations

from pathlib import Path

import pytest

from pullet_workers import Pool
from tests.ray.engines import Echo
from tests.support.leaks import wait_until
from tests.support.servers import shards

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.usefixtures("local_ray"),
    pytest.mark.filterwarnings("ignore:nothing is persisted"),
]


def test_a_pool_goes_on_when_the_node_of_its_queue_dies(tmp_path: Path) -> None:
    with shards(tmp_path) as cluster:
        node = cluster.nodes[0]
        with Pool(Echo, workers=2, queue=cluster.queue_on(node, "pool"), redis=cluster.address) as pool:
            assert list(pool.map(Echo.say, map(str, range(50)))) == [str(n) for n in range(50)]
            node.kill()
            futures = [pool.submit(Echo.say, str(n)) for n in range(50)]
            assert [future.result(60) for future in futures] == [str(n) for n in range(50)]
            assert wait_until(lambda: (pool.status()["ready"], pool.status()["trouble"]) == (2, ""), 30)
            assert wait_until(lambda: pool.status()["waiting"] == 0, 30), "the controller looks at the new node"
