"""What a network does to each connection of callers and workers: nothing is lost or run twice, and all are answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.link import Link
from pullet_broker.settings import Lease, Queue
from tests.support.leaks import wait_until
from tests.support.proxy import Pipe, Proxy
from tests.support.workers import Kit, calling, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

ROLES = ("send", "inbox", "take", "errands", "beat", "stops")
"""Of a caller: its batches of jobs, the read of its inbox. Of a worker: takes and waits, what the courier does beside a
running job, beats, the read of what is to stop."""
JOBS = 40


def cut(proxy: Proxy, role: str) -> list[Pipe]:
    pipes = proxy.hold(role)
    for pipe in pipes:
        pipe.cut()
    return pipes


def late(proxy: Proxy, role: str) -> list[Pipe]:
    return proxy.delay(0.03, role)


FAULTS: dict[str, Callable[[Proxy, str], list[Pipe]]] = {
    "cut": cut,
    "half-open": lambda proxy, role: proxy.hold(role),
    "answers lost": lambda proxy, role: proxy.mute(role),
    "delay": late,
}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection without an answer is given up after half a second."""
    monkeypatch.setattr("pullet_broker.link.REPLY_TIMEOUT_S", 0.5)
    monkeypatch.setattr("pullet.receiver.BLOCK_MS", 200)
    monkeypatch.setattr("pullet.receiver.LATE_S", 0.3)
    monkeypatch.setattr("pullet_workers.consumer.BLOCK_MS", 100)
    monkeypatch.setattr("pullet_workers.ear.LISTEN_S", 0.2)
    monkeypatch.setattr("pullet_workers.ear.LATE_S", 0.5)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_connection_fails_in_mid_work(
    server: EmbeddedServer, queue: Queue, link: Link, fault: str, role: str
) -> None:
    queue = Queue(name=queue.name, lease=Lease(beat_s=0.05, tick_ms=45, ticks=100))
    kit = Kit()
    with (
        Proxy(server.tcp_url) as proxy,
        running(queue, Address(proxy.url), kit),
        calling(queue, Address(proxy.url)) as client,
    ):
        futures = [client.submit(Kit.nap, 0.02 + n / 1e6) for n in range(JOBS)]
        assert wait_until(lambda: len(kit.calls) > JOBS // 4)
        assert wait_until(lambda: proxy.pipes(f":{role}")), "there is such a connection"
        hit = FAULTS[fault](proxy, f":{role}")
        futures += [client.submit(Kit.nap, 0.001 + n / 1e6) for n in range(JOBS)]
        expected = [*(0.02 + n / 1e6 for n in range(JOBS)), *(0.001 + n / 1e6 for n in range(JOBS))]
        assert [future.result(20) for future in futures] == expected
        for pipe in hit:
            pipe.release()  # what was held arrives after all
        assert client.submit(Kit.echo, "after").result(20) == "after"
    assert Counter(kit.calls) == Counter([*expected, "after"])
    assert [link.execute("XLEN", lane) for lane in queue.keys.lanes] == [0] * len(queue.keys.lanes)
