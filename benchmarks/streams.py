"""Streams: how soon the items of a generator are with its caller, how many a second, and a worker killed in between.

    python benchmarks/streams.py [--streams 300] [--items 100000]

Caller, server and worker are three processes on one machine, whose monotonic clock they share.
"""

from __future__ import annotations

import argparse
import statistics
import time

from pullet import Client
from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.link import Link
from pullet_broker.settings import Queue
from pullet_workers.heart import bury_consumer
from tests.support.leaks import wait_until
from tests.support.workers import Kit, registered, worker_process


def first_items(client: Client[Kit], streams: int) -> None:
    """One stream at a time: from the yield in the worker to the loop in the caller."""
    late: list[float] = []
    for _ in range(streams):
        late += [1000 * (time.monotonic() - moment) for moment in client.stream(Kit.moments, 1, 0.0)]
    later = [1000 * (time.monotonic() - moment) for moment in client.stream(Kit.moments, streams, 0.002)]
    print(f"first item of {streams} streams: {_spread(late)}; each of {streams} items 2 ms apart: {_spread(later)}")


def many_items(queue: Queue, client: Client[Kit], items: int) -> None:
    start = time.perf_counter()
    assert list(client.stream(Kit.count, items, 0.0)) == list(range(items)), "lost, doubled or out of order"
    seconds = time.perf_counter() - start
    print(f"{items} items of one stream in {seconds:.1f} s: {items / seconds:,.0f} a second")


def across_a_kill(queue: Queue, address: Address, items: int) -> None:
    """The worker dies with a third of the items sent; another one is there."""
    link, found, killed, gap = Link(address, "streams"), [], 0.0, 0.0
    with Client(Kit, queue, address) as client, worker_process(queue, address, name="first") as first:
        assert wait_until(lambda: len(registered(link, queue)) == 1)
        stream = iter(client.stream(Kit.count, items, 0.0))
        found.append(next(stream))  # so the first worker has it, before there is another
        with worker_process(queue, address, name="second"):
            assert wait_until(lambda: len(registered(link, queue)) == 2)
            for item in stream:
                found.append(item)
                if killed and not gap:
                    gap = time.perf_counter() - killed
                if len(found) == items // 3:
                    first.kill()
                    first.wait()
                    killed = time.perf_counter()
                    dead = next(consumer for consumer, name in registered(link, queue).items() if name == "first")
                    assert bury_consumer(link, queue, dead, blame=True) == 1, "it had ended before the kill"
    link.close()
    assert found == list(range(items)), "lost, doubled or out of order"
    print(f"{items} items in order across a kill at a third; the next came {1000 * gap:.0f} ms after it")


def _spread(times_ms: list[float]) -> str:
    ordered = sorted(times_ms)
    return f"p50 {statistics.median(ordered):.2f} ms, p99 {ordered[int(0.99 * len(ordered))]:.2f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, default=300)
    parser.add_argument("--items", type=int, default=100_000)
    options = parser.parse_args()
    with EmbeddedServer.start() as server:
        queue, address = Queue(name="streams"), Address(server.url)
        with Client(Kit, queue, address) as client, worker_process(queue, address):
            client.submit(Kit.echo, 1).result(30)
            first_items(client, options.streams)
            many_items(queue, client, options.items)
        across_a_kill(Queue(name="killed"), address, options.items)


if __name__ == "__main__":
    main()
