"""The cost model of docs/scale.md: what a server spends on jobs and workers, and whether that adds up.

    python -m benchmarks.model        four minutes

Costs are measured one by one: tiny jobs in full batches, longer jobs one by one on a server that is busy and on one
that mostly sleeps, workers that run one long job, workers that wait. Then more workers with other jobs run, and what
the server spent on them is compared with the sum of the parts.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import pullet
from benchmarks.server import Server
from benchmarks.threads import Echo, workers
from benchmarks.turn import PAYLOAD
from pullet_broker.inspection import parse_info
from pullet_broker.settings import Lease
from pullet_workers.rest import rest_among

QUEUE = "model"
TINY_JOBS, SETTLE_S, IDLE_S = 20_000, 10.0, 10.0


@dataclass(frozen=True)
class Spent:
    """By the server: seconds of CPU time, and bytes that came in and went out."""

    seconds: float
    cpu_s: float
    received: int
    sent: int


class Meter:
    def __init__(self, server: Server) -> None:
        self._server = server
        self._before = self._look()

    def _look(self) -> Spent:
        with self._server.link() as link:
            stats = parse_info(link.execute("INFO", "stats").decode())
        received, sent = int(stats["total_net_input_bytes"]), int(stats["total_net_output_bytes"])
        return Spent(time.monotonic(), self._server.cost().cpu_s, received, sent)

    def spent(self) -> Spent:
        now, then = self._look(), self._before
        return Spent(
            now.seconds - then.seconds, now.cpu_s - then.cpu_s, now.received - then.received, now.sent - then.sent
        )


def idle(server: Server, count: int) -> Spent:
    """Workers that wait: for two of their reads."""
    server.clear()
    with workers(server.url, QUEUE, count):
        time.sleep(SETTLE_S)
        meter = Meter(server)
        time.sleep(IDLE_S * rest_among(count, Lease()).times)
        return meter.spent()


def held(server: Server, count: int) -> Spent:
    """Workers that all run one job."""
    server.clear()
    with workers(server.url, QUEUE, count), pullet.connect(Echo, server.url, queue=QUEUE) as client:
        futures = [client.submit(Echo.nap, 2 * SETTLE_S + IDLE_S) for _ in range(count)]
        time.sleep(SETTLE_S)
        meter = Meter(server)
        time.sleep(IDLE_S)
        spent = meter.spent()
        if any(future.done() for future in futures):
            raise RuntimeError("not all workers were busy all the time")
        return spent


def tiny(server: Server) -> Spent:
    """Echo jobs of 100 bytes, one caller and one worker, so that all batches are full."""
    server.clear()
    with workers(server.url, QUEUE, 1), pullet.connect(Echo, server.url, queue=QUEUE) as client:
        list(client.map(Echo.echo, [PAYLOAD] * 1000))
        meter = Meter(server)
        futures = [client.submit(Echo.echo, PAYLOAD) for _ in range(TINY_JOBS)]
        for future in futures:
            future.result()
        return meter.spent()


def naps(server: Server, count: int, nap_s: float, jobs: int) -> Spent:
    """Jobs that take a while, each sent when another is done, so that nothing travels in company."""
    server.clear()
    with workers(server.url, QUEUE, count), pullet.connect(Echo, server.url, queue=QUEUE) as client:
        list(client.map(Echo.nap, [nap_s] * count))
        meter = Meter(server)
        for _ in client.map(Echo.nap, [nap_s] * jobs, ordered=False, window=2 * count):
            pass
        return meter.spent()


def main() -> None:
    with Server() as server:
        waiting, working, small = idle(server, 64), held(server, 64), tiny(server)
        busy, long = naps(server, 32, 0.01, 10_000), naps(server, 8, 0.05, 1500)
        worker, rests = (one.cpu_s / one.seconds / 64 for one in (working, waiting))
        each = (long.cpu_s - 8 * worker * long.seconds) / 1500
        found = naps(server, 32, 0.1, 4000)
    print(f"{server_line(small, TINY_JOBS)}  a tiny job in full batches")
    print(
        f"{server_line(busy, 10_000)}  a job of 10 ms, {10_000 / busy.seconds:,.0f} a second, with its workers' beats"
    )
    print(f"{server_line(long, 1500)}  a job of 50 ms, {1500 / long.seconds:,.0f} a second, with beats")
    print(f"{each * 1e6:>6.0f} us{'':>34}  the same without them")
    print(f"{worker * 1e6:>6.0f} us a second{'':>25}  a worker that runs a long job, of 64")
    print(f"{rests * 1e6:>6.0f} us a second{'':>25}  one that waits, of 64")
    expected = 32 * worker * found.seconds + 4000 * each
    print(f"\n32 workers, 4,000 jobs of 100 ms: {found.cpu_s:.2f} s of CPU, {expected:.2f} s by the model", end="")
    print(f" ({found.cpu_s / expected:.2f} times); {4000 / found.seconds:,.0f} jobs/s")


def server_line(spent: Spent, jobs: int) -> str:
    return f"{spent.cpu_s / jobs * 1e6:>6.0f} us {spent.received / jobs:>7,.0f} B in {spent.sent / jobs:>7,.0f} B out"


if __name__ == "__main__":
    main()
