"""A `map` over a generator of a million items: the memory of the caller, and what waits in Redis.

python -m benchmarks.million [--items 1000000] [--window 1000]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

from benchmarks.memory import peak_bytes
from pullet import Client
from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from tests.support.workers import Kit, worker_process

LOOK_EVERY = 10_000


def run(queue: Queue, address: Address, items: int, window: int) -> None:
    link, backlog = Link(address, "million"), 0

    def numbers() -> Iterator[int]:
        nonlocal backlog
        for n in range(items):
            if n % LOOK_EVERY == 0:
                backlog = max(backlog, link.execute("XLEN", queue.keys.lane("normal")))
            yield n

    with Client(Kit, queue, address) as client, worker_process(queue, address):
        start = time.perf_counter()
        total = sum(client.map(Kit.echo, numbers(), window=window))
        seconds = time.perf_counter() - start
    assert total == items * (items - 1) // 2
    link.close()
    peak = peak_bytes() / 2**20
    print(f"{items} items in {seconds:.0f} s: peak memory {peak:.0f} MB, backlog at most {backlog} (window {window})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--window", type=int, default=1000)
    options = parser.parse_args()
    with EmbeddedServer.start() as server:
        run(Queue(name="million"), Address(server.url), options.items, options.window)


if __name__ == "__main__":
    main()
