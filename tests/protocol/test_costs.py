"""What one job costs the server, as numbers of commands: they say the same on every machine. And how much of what the
bare commands would do is left."""

from __future__ import annotations

import statistics
import time
from contextlib import closing

import pytest

from benchmarks.limit import limit
from benchmarks.server import Cost, Server
from benchmarks.threads import Echo, workers
from benchmarks.workloads.scale import SETTLE_S
from pullet import Client
from pullet_broker.address import Address
from pullet_broker.job import Job, new_client_id, new_job_id
from pullet_broker.link import Link
from pullet_broker.moves.cycle import OUTCOMES, Outcome, cycle, read_waited, wait_for_work
from pullet_broker.moves.life import beat
from pullet_broker.moves.submit import submit
from pullet_broker.settings import Lease, Queue
from pullet_workers.ear import LISTEN_S
from pullet_workers.rest import rest_among
from tests.support.leaks import wait_until

pytestmark = pytest.mark.slow

JOBS, BATCH = 4096, 256
PAYLOAD = "x" * 100
STORED = 1.2
"""Commands a job until it is stored: one XADD, and what each batch adds."""
DONE = 2.6
"""From there to its end: XACK, SET of the reply, UNLINK of it, and what each cycle adds."""
SHARE = 0.3
"""Of the bare commands' speed that must be left: 0.6 to 0.7 on a quiet machine with two cores."""
ROUNDS = 3


def run(server: Server, name: str) -> tuple[Cost, Cost, Cost, float]:
    """Nothing is stored before all is submitted, and all is before the worker starts: so batches are full however the
    threads run."""
    queue = Queue(name=name)
    with Client(Echo, queue, Address(server.url)) as client, closing(Link(Address(server.url), "test")) as link:
        start = server.cost()
        link.execute("CLIENT", "PAUSE", 60_000, "WRITE")
        futures = [client.submit(Echo.echo, PAYLOAD) for _ in range(JOBS)]
        link.execute("CLIENT", "UNPAUSE")
        assert client.flush(60)
        stored = server.cost()
        with workers(server.url, name, 1):
            begun = time.perf_counter()
            assert [future.result(60) for future in futures] == [PAYLOAD] * JOBS
            seconds, done = time.perf_counter() - begun, server.cost()
        return start, stored, done, seconds


LONE, LONE_JOB = 200, 30.5
"""Commands of a job that is alone: two calls of scripts, 12 in the one and 15 in the other, and a blocking read."""
BEATS, BEAT = 200, 7.5
"""Commands of a beat that makes no tick: the call of the script and six in it; one in some hundred makes one."""
IDLE_S = 20.0
IDLE = {4: 2.0, 64: 0.45}
"""Calls that an idle worker of so many makes in a second: a beat, and four in five seconds to wait, take, compare and
listen. Of many each makes a beat in half a lease, and an eighth of the others."""


def test_commands_of_a_beat() -> None:
    queue = Queue(name="beats")
    with Server() as server, server.link() as link:
        link.run(beat(queue, "w", 0, "{}"))
        start = server.cost()
        for number in range(1, BEATS + 1):
            link.run(beat(queue, "w", number))
        assert (server.cost().commands - start.commands) / BEATS <= BEAT


def test_commands_of_a_lone_job() -> None:
    queue, client = Queue(name="lone"), new_client_id()
    with Server() as server, server.link() as link:
        link.run(submit(queue, client, 1, 1, []))
        link.run(beat(queue, "w", 0, "{}"))
        start = server.cost()
        for number in range(1, LONE + 1):
            link.run(submit(queue, client, 1, number, [Job(new_job_id(), "echo", b"")]))
            [entry] = read_waited(queue, link.execute(*wait_for_work(queue, "w", 1000)))
            link.run(cycle(queue, "w", [Outcome(entry, b"ok 1 w 1")], 1, alone=True, high_first=False))
        assert (server.cost().commands - start.commands) / LONE <= LONE_JOB


@pytest.mark.timeout(180)
@pytest.mark.parametrize("count", IDLE)
def test_calls_of_an_idle_worker(count: int) -> None:
    times = rest_among(count, Lease()).times
    with Server() as server, workers(server.url, "idle", count):
        assert wait_until(lambda: waiting(server) == 2 * count, 30), "for work, and for what is to stop"
        if times > 1:
            time.sleep(SETTLE_S)
        first = server.cost()
        start, begun = server.cost(), time.monotonic()
        time.sleep(max(IDLE_S, times * LISTEN_S))
        seconds, end = time.monotonic() - begun, server.cost()
        sent = end.round_trips - start.round_trips - (start.round_trips - first.round_trips)  # less our own looks
        assert sent / count / seconds <= IDLE[count]


def waiting(server: Server) -> int:
    """Connections that are in a blocking read."""
    with server.link() as link:
        return sum(" flags=b " in line for line in link.execute("CLIENT", "LIST").decode().splitlines())


def test_commands_a_job() -> None:
    with Server() as server:
        start, stored, done, _ = run(server, "costs")
    assert (stored.commands - start.commands) / JOBS <= STORED
    assert (done.commands - stored.commands) / JOBS <= DONE
    assert stored.scripts - start.scripts <= 2 * JOBS / BATCH
    assert done.scripts - stored.scripts <= 2 * JOBS / OUTCOMES


@pytest.mark.skipif(limit.missing() is not None, reason=str(limit.missing()))
def test_share_of_what_the_bare_commands_do() -> None:
    """Side by side, in turns: a slow machine is slow for both."""
    shares = []
    with Server() as server:
        for number in range(ROUNDS):
            bare, _ = limit.measure(server, 5 * JOBS, PAYLOAD)
            queue = Queue(name=f"share-{number}")
            with Client(Echo, queue, Address(server.url)) as client, workers(server.url, queue.name, 1):
                for _ in client.map(Echo.echo, [PAYLOAD] * BATCH):
                    pass
                begun = time.perf_counter()
                futures = [client.submit(Echo.echo, PAYLOAD) for _ in range(5 * JOBS)]
                assert [future.result(60) for future in futures] == [PAYLOAD] * 5 * JOBS
                shares.append(5 * JOBS / (time.perf_counter() - begun) / bare)
    assert max(shares) >= SHARE, f"pullet does {statistics.median(shares):.2f} of what the bare commands do"
