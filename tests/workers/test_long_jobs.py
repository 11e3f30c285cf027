"""Jobs much longer than the lease run once: also while the server is away for longer than that."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from pullet import Client
from pullet_broker.address import Address
from pullet_broker.link import Link
from pullet_broker.settings import Lease, Queue
from tests.support.leaks import wait_until
from tests.support.servers import Node
from tests.support.workers import Kit, calling, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

LEASE = Lease(beat_s=0.05, tick_ms=45, ticks=10)
"""About half a second."""
WORKERS, JOBS = 4, 12


class Work:
    """Workers, a client, and jobs of which each lasts for ten leases."""

    def __init__(self, stack: ExitStack, node: Node) -> None:
        self.queue = Queue(name="long", lease=LEASE)
        self.kits = [Kit() for _ in range(WORKERS)]
        self.link = stack.enter_context(closing(Link(Address(node.url), "test")))
        for n, kit in enumerate(self.kits):
            stack.enter_context(running(self.queue, Address(node.url), kit, name=f"w{n}"))
        self.client: Client[Kit] = stack.enter_context(calling(self.queue, Address(node.url)))
        self.futures = [self.client.submit(Kit.nap, 10 * LEASE.seconds + n / 1000) for n in range(JOBS)]
        assert wait_until(lambda: self._counted("missed") >= WORKERS), "ticks are made"

    def _counted(self, name: str) -> int:
        return int(self.link.execute("HLEN", self.queue.keys.fixed(name)))

    def end(self) -> None:
        """Wait for all of them; each ran once, in its first attempt, and no worker ever counted as dead."""
        for future in self.futures:
            future.result(60)
        ran = sorted(call for kit in self.kits for call in kit.calls)
        assert ran == [10 * LEASE.seconds + n / 1000 for n in range(JOBS)]
        assert {future.attempts for future in self.futures} == {1}
        assert self._counted("workers") == WORKERS


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with Node(tmp_path / "server", appendonly="yes", appendfsync="always") as made:
        yield made


def test_jobs_ten_times_as_long_as_the_lease_run_once(node: Node) -> None:
    with ExitStack() as stack:
        Work(stack, node).end()


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_server_that_is_away_for_three_leases_makes_nobody_run_a_job_again(node: Node, how: str) -> None:
    with ExitStack() as stack:
        work = Work(stack, node)
        if how == "stopped":
            node.signal(signal.SIGSTOP)
        else:
            node.kill()
        threading.Event().wait(3 * LEASE.seconds)  # the outage itself
        if how == "stopped":
            node.signal(signal.SIGCONT)
        else:
            node.start()
            work.link.close()
        work.end()
