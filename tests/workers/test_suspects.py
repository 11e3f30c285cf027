"""A suspect runs alone, and soon, also while all workers have other jobs in hand."""

from __future__ import annotations

import pytest

from pullet_broker.address import Address
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from pullet_workers.heart import bury_consumer
from tests.support.scribe import Worker as Consumer
from tests.support.workers import Kit, calling, running


@pytest.mark.parametrize("job_s", [0.002, 0.01])
def test_a_suspect_does_not_wait_until_busy_workers_run_out_of_jobs(
    queue: Queue, address: Address, link: Link, job_s: float
) -> None:
    dead = Consumer(link, queue, "dead").register()
    with calling(queue, address) as client:
        first = client.submit(Kit.nap, job_s)
        assert client.flush(10)
        assert len(dead.take(1)) == 1
        with running(queue, address, Kit(), name="one"), running(queue, address, Kit(), name="two"):
            others = [client.submit(Kit.nap, job_s) for _ in range(int(3 / job_s))]
            others[50].result(10)

            assert bury_consumer(link, queue, dead.name, blame=True) == 1

            first.result(10)
            assert first.attempts == 2
            assert sum(not other.done() for other in others) > len(others) / 2, "it went ahead of most of the others"
            for other in others:
                other.cancel()
