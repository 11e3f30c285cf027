"""Three queues: on one server, and on the three masters of a Redis Cluster, all on this machine.

    python -m benchmarks.shards        one minute

One caller and one worker for each queue. On so few cores three servers are no faster than one; what is measured is how
the work divides: a queue lives on one master, whole, and each job costs its master what it costs a server alone.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pullet
from benchmarks.threads import Echo, workers
from benchmarks.turn import PAYLOAD
from pullet_broker.inspection import parse_info
from tests.support.servers import Node, shards


def cpu_s(node: Node) -> float:
    cpu = parse_info(node.ask("INFO", "cpu").decode())
    return float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"])


def run(url: str, queues: list[str], jobs: int) -> float:
    """Seconds until every queue has done so many jobs; answers are checked."""
    with ExitStack() as stack:
        clients = []
        for queue in queues:
            stack.enter_context(workers(url, queue, 1))
            clients.append(stack.enter_context(pullet.connect(Echo, url, queue=queue)))
            list(clients[-1].map(Echo.echo, [PAYLOAD] * 200))

        def all_of(client: pullet.Client[Echo]) -> None:
            if list(client.map(Echo.echo, [PAYLOAD] * jobs, window=2000)) != [PAYLOAD] * jobs:
                raise RuntimeError("wrong answers")

        begun = time.monotonic()
        with ThreadPoolExecutor(len(clients)) as threads:
            list(threads.map(all_of, clients))
        return time.monotonic() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=8_000, help="of each queue")
    options = parser.parse_args()
    print("| | jobs/s | server us/job, each |\n|---|---|---|")
    with TemporaryDirectory() as folder, shards(Path(folder)) as cluster, Node(Path(folder) / "alone") as alone:
        masters = cluster.nodes[:3]
        queues = [cluster.queue_on(node, "shard") for node in masters]
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in masters)
        for name, url, nodes in (
            ("one server", alone.url, [alone]),
            ("three masters", f"redis+cluster://{hosts}", masters),
        ):
            before = [cpu_s(node) for node in nodes]
            seconds = run(url, queues, options.jobs)
            jobs = options.jobs * len(queues) / len(nodes)
            costs = [(cpu_s(node) - then) / jobs * 1e6 for node, then in zip(nodes, before, strict=True)]
            print(f"| {name} | {options.jobs * len(queues) / seconds:,.0f} | {', '.join(f'{c:.0f}' for c in costs)} |")


if __name__ == "__main__":
    main()
