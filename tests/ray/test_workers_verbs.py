"""`pullet workers` steers the pool of another program, through the cluster that both are on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pullet_broker.address import Address
from pullet_broker.settings import Queue
from pullet_workers import Pool
from tests.ray.engines import Echo
from tests.support.leaks import wait_until

PULLET = Path(sys.executable).with_name("pullet")


def pullet(cluster: Any, *words: str) -> str:
    """What the installed command says."""
    done = subprocess.run(
        [PULLET, "workers", *words],
        env=os.environ | {"RAY_ADDRESS": cluster.address},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.filterwarnings("ignore:nothing is persisted")
def test_a_pool_is_scaled_restarted_and_drained(cluster: Any, queue: Queue, address: Address) -> None:
    with Pool(Echo, workers=1, queue=queue, redis=address) as pool:
        assert "2 workers" in pullet(cluster, "scale", queue.name, "2")
        assert wait_until(lambda: pool.status()["ready"] == 2, 30)
        old = {worker["pid"] for worker in pool.workers()}

        assert f"2 workers of {queue.name} replaced" in pullet(cluster, "restart", queue.name, "--yes")
        assert wait_until(lambda: pool.status()["ready"] == 2, 30)
        assert not old & {worker["pid"] for worker in pool.workers()}
        assert pool.submit(Echo.say, "still here").result(20) == "still here"

        assert "has ended" in pullet(cluster, "drain", queue.name, "--yes")
        waiting = pool.submit(Echo.say, "later")
        assert pool.flush(10)
        assert not waiting.done()
        waiting.cancel()
