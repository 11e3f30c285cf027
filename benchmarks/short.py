"""The cost of one job, in one run, beside plain Ray and the bare Redis commands.

    make bench                      about two minutes
    make bench ARGS="--jobs 20000 --rounds 5 --json bench.json"

What is measured, interleaved, `rounds` times, the median taken and the range shown:

throughput   `jobs` echo jobs of 100 bytes, one caller, one worker, from the first submit to the last result.
             pullet: Pool(workers=1), all submitted, then all awaited.
             Ray: calls of one plain actor, at most 1,000 in flight.
             limit: the commands of the same jobs (submit of 256, cycle of 64, inbox read) from one connection that
             encodes, decodes and runs nothing.
latency      one job at a time, submit to result, in milliseconds (median and p99), through the same workers.

Every answer is checked.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import ray

import pullet
from pullet_broker.address import Address
from pullet_broker.embedded import EmbeddedServer
from pullet_broker.inspection import parse_info
from pullet_broker.job import Job, new_client_id, new_job_id
from pullet_broker.link import Link
from pullet_broker.moves.cycle import Outcome, cycle
from pullet_broker.moves.life import beat
from pullet_broker.moves.submit import submit
from pullet_broker.reply import pack_reply
from pullet_broker.settings import Queue
from pullet_workers import Pool
from pullet_workers.cluster import start_local_ray

PAYLOAD = "x" * 100
IN_FLIGHT = 1000


class Echo:
    """The engine: gives back what it gets, and notes nothing."""

    def run(self, text: str) -> str:
        return text


def check(answers: Iterable[str], jobs: int) -> None:
    right = sum(answer == PAYLOAD for answer in answers)
    if right != jobs:
        raise SystemExit(f"{jobs - right} of {jobs} answers are wrong or missing")


def pullet_throughput(pool: Pool[Echo], jobs: int) -> float:
    start = time.perf_counter()
    futures = [pool.submit(Echo.run, PAYLOAD) for _ in range(jobs)]
    answers = [future.result() for future in futures]
    seconds = time.perf_counter() - start
    check(answers, jobs)
    return jobs / seconds


def ray_throughput(actor: Any, jobs: int) -> float:
    start = time.perf_counter()
    answers, flying = [], []
    for _ in range(jobs):
        if len(flying) >= IN_FLIGHT:
            ready, flying = ray.wait(flying, num_returns=100)
            answers += ray.get(ready)
        flying.append(actor.run.remote(PAYLOAD))
    answers += ray.get(flying)
    seconds = time.perf_counter() - start
    check(answers, jobs)
    return jobs / seconds


def limit_throughput(server: EmbeddedServer, jobs: int) -> float:
    """The commands alone: what the server and one busy connection can do."""
    link, queue, client = Link(Address(server.url), "limit"), Queue(name="limit"), new_client_id()
    link.run(beat(queue, "limit", 0, "{}"))
    batches = [[Job(new_job_id(), "run", PAYLOAD.encode()) for _ in range(256)] for _ in range(jobs // 256)]
    start, number, cursor, outcomes, done = time.perf_counter(), 1, b"0", [], 0
    for batch in batches:
        link.run(submit(queue, client, 1, number, batch))
        number += len(batch)
        for _ in range(len(batch) // 64):
            taken = link.run(cycle(queue, "limit", outcomes, 64, alone=True, high_first=False))
            outcomes = [Outcome(entry, pack_reply("ok", 1, "limit", 1, entry.args)) for entry in taken.entries]
            done += len(outcomes)
        found = link.execute("XREAD", "COUNT", 100, "STREAMS", queue.keys.inbox(client), cursor)
        cursor = found[0][1][-1][0]
    seconds = time.perf_counter() - start
    if done != len(batches) * 256:
        raise SystemExit(f"the bare commands lost {len(batches) * 256 - done} jobs")
    link.execute("FLUSHDB")
    link.close()
    return done / seconds


def latencies(call: Callable[[], Any], calls: int) -> list[float]:
    """Milliseconds of each call, sorted."""
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        if call() != PAYLOAD:
            raise SystemExit("a wrong answer")
        times.append((time.perf_counter() - start) * 1000)
    return sorted(times)


def measure(jobs: int, rounds: int) -> dict[str, list[float]]:
    """Each figure, one value a round. The rounds interleave what is compared."""
    found: dict[str, list[float]] = {}
    start_local_ray(4, log_to_driver=False)
    actor = ray.remote(Echo).options(num_cpus=1).remote()
    with EmbeddedServer.start() as bare, Pool(Echo, workers=1) as pool:
        pullet_throughput(pool, 1000), ray_throughput(actor, 1000)
        for _ in range(rounds):
            one, two = latencies(lambda: pool.submit(Echo.run, PAYLOAD).result(), 500), []
            two = latencies(lambda: ray.get(actor.run.remote(PAYLOAD)), 500)
            for name, value in {
                "pullet jobs/s": pullet_throughput(pool, jobs),
                "ray jobs/s": ray_throughput(actor, jobs),
                "limit jobs/s": limit_throughput(bare, jobs),
                "pullet p50 ms": statistics.median(one),
                "ray p50 ms": statistics.median(two),
                "pullet p99 ms": one[int(len(one) * 0.99)],
                "ray p99 ms": two[int(len(two) * 0.99)],
            }.items():
                found.setdefault(name, []).append(value)
        found["pullet / ray jobs/s"] = ratio(found, "pullet jobs/s", "ray jobs/s")
        found["pullet / limit jobs/s"] = ratio(found, "pullet jobs/s", "limit jobs/s")
        found["pullet / ray p50"] = ratio(found, "pullet p50 ms", "ray p50 ms")
        print(versions(bare))
    ray.shutdown()
    return found


def ratio(found: dict[str, list[float]], a: str, b: str) -> list[float]:
    return [x / y for x, y in zip(found[a], found[b], strict=True)]


def versions(server: EmbeddedServer) -> str:
    link = Link(Address(server.url), "versions")
    info = parse_info(link.execute("INFO", "server").decode())
    link.close()
    kind = f"valkey {info['valkey_version']}" if "valkey_version" in info else f"redis {info['redis_version']}"
    return f"pullet {pullet.__version__}, ray {ray.__version__}, {kind}, python {platform.python_version()}"


def table(found: dict[str, list[float]]) -> str:
    rows = [f"{'':<24}{'median':>12}{'min':>12}{'max':>12}"]
    for name, values in found.items():
        shown = [statistics.median(values), min(values), max(values)]
        rows.append(
            f"{name:<24}" + "".join(f"{value:>12,.0f}" if value >= 100 else f"{value:>12.2f}" for value in shown)
        )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = measure(options.jobs, options.rounds)
    print(table(found))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
