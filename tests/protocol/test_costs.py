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
from pullet import Client
from pullet_broker.address import Address
from pullet_broker.link import Link
from pullet_broker.moves.cycle import OUTCOMES
from pullet_broker.moves.life import beat
from pullet_broker.settings import Queue
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


BEATS, BEAT = 200, 5.5
"""Commands of a beat that makes no tick: the call of the script and four in it; one in some hundred makes one."""
IDLE_S, IDLE_WORKERS = 20.0, 4
IDLE = 2.0
"""Commands that an idle worker sends in a second: a beat, and four in five seconds to wait, compare and listen."""


def test_commands_of_a_beat() -> None:
    queue = Queue(name="beats")
    with Server() as server, server.link() as link:
        link.run(beat(queue, "w", 0, "{}"))
        start = server.cost()
        for number in range(1, BEATS + 1):
            link.run(beat(queue, "w", number))
        assert (server.cost().commands - start.commands) / BEATS <= BEAT


def test_commands_of_an_idle_worker() -> None:
    with Server() as server, workers(server.url, "idle", IDLE_WORKERS):
        assert wait_until(lambda: waiting(server) == 2 * IDLE_WORKERS, 30), "for work, and for what is to stop"
        first = server.cost()
        start, begun = server.cost(), time.monotonic()
        time.sleep(IDLE_S)
        seconds, end = time.monotonic() - begun, server.cost()
        sent = end.round_trips - start.round_trips - (start.round_trips - first.round_trips)  # less our own looks
        assert sent / IDLE_WORKERS / seconds <= IDLE


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
