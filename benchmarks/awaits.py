"""Many awaits in one event loop at once: how often the loop is woken, how long it is kept, how long it takes.

    python benchmarks/awaits.py [--jobs 10000]

Everything is submitted and awaited before the first worker starts; what is measured is the way back.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from pullet import Client
from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.settings import Queue
from tests.support.watchdog import Watchdog
from tests.support.workers import Kit, worker_process

SLICE = 200
"""Tasks started before the loop gets a turn: starting them is the caller's own work."""


async def measure(queue: Queue, address: Address, jobs: int) -> None:
    with Client(Kit, queue, address) as client:
        tasks = []
        for n in range(jobs):
            tasks.append(asyncio.ensure_future(client.submit(Kit.echo, n)))
            if n % SLICE == 0:
                await asyncio.sleep(0)
        await asyncio.to_thread(client.flush)
        watchdog = Watchdog()
        async with watchdog:
            with worker_process(queue, address):
                start = time.perf_counter()
                await tasks[0]
                first = time.perf_counter()
                values = [await task for task in tasks]
                end = time.perf_counter()
        assert values == list(range(jobs))
    print(
        f"{jobs} awaits: {end - first:.2f} s after the first ({first - start:.2f} s), {watchdog.wakes} wake-ups, "
        f"the loop was kept for {watchdog.longest_s * 1000:.1f} ms at most "
        f"({watchdog.longest_cpu_s * 1000:.1f} ms of CPU time)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    options = parser.parse_args()
    with EmbeddedServer.start() as server:
        for place in range(3):
            asyncio.run(measure(Queue(name=f"awaits-{place}"), Address(server.url), options.jobs))


if __name__ == "__main__":
    sys.exit(main())
