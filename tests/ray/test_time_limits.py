"""A pool whose worker is in a call that does not stop has a new one soon."""

from __future__ import annotations

from pathlib import Path

import pytest

from pullet_broker.errors import JobTimeout
from pullet_workers import Pool
from tests.ray.engines import Echo
from tests.support.leaks import wait_until


@pytest.mark.slow
def test_a_worker_that_does_not_stop_is_replaced(local_ray: None, tmp_path: Path) -> None:
    with Pool(Echo, workers=1, queue="stuck") as pool:
        first = pool.submit(Echo.pid).result(30)
        stuck = pool.options(timeout=0.5).submit(Echo.hold, str(tmp_path / "never"))
        waiting = pool.submit(Echo.pid)
        with pytest.raises(JobTimeout):
            stuck.result(30)
        assert waiting.result(30) != first
        assert waiting.attempts == 1

        forced = pool.submit(Echo.hold, str(tmp_path / "never"))
        job = pool.job(forced.job_id)
        assert wait_until(lambda: job.state == "running")
        assert forced.cancel(force=True)
        assert pool.submit(Echo.pid).result(30) not in (first, waiting.result())
        assert pool.status()["trouble"] == ""
        assert len(pool.dead) == 1
