"""The cost of one job on this machine: throughput and latency of an engine that does nothing, without Ray.

Workers are processes of their own, as they are under Ray, which is not in a job's way once they run.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection

from pullet import Client
from pullet_broker.address import Address
from pullet_broker.errors import PulletError
from pullet_broker.link import Link
from pullet_broker.settings import Queue

WARM_UP = 500
"""Jobs before the measurement: connections open, scripts loaded, run times known."""
SINGLE = 300
"""Jobs one at a time."""
START_S = 30.0


class Echo:
    """The engine: gives back what it gets."""

    def run(self, payload: bytes) -> bytes:
        return payload


@dataclass(frozen=True)
class Figures:
    """What was measured. Latencies are from submit to result, one job at a time, in milliseconds."""

    jobs: int
    workers: int
    payload_bytes: int
    seconds: float
    jobs_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


def measure(address: Address, jobs: int, workers: int, payload_bytes: int) -> Figures:
    """Run the jobs on a queue of its own, which is removed afterwards. Raises `PulletError` for a wrong answer."""
    queue, payload = Queue(name=f"bench-{os.urandom(4).hex()}"), os.urandom(payload_bytes)
    try:
        with _working(queue, address, workers), Client[Echo](Echo, queue, address) as client:
            _run(client, payload, WARM_UP)
            seconds = _run(client, payload, jobs)
            times = sorted(_run(client, payload, 1) * 1000 for _ in range(SINGLE))
    finally:
        _remove(queue, address)
    cuts = statistics.quantiles(times, n=100)
    return Figures(jobs, workers, payload_bytes, seconds, jobs / seconds, cuts[49], cuts[94], cuts[98])


def _run(client: Client[Echo], payload: bytes, jobs: int) -> float:
    """Seconds from the first submit to the last answer."""
    start = time.perf_counter()
    futures = [client.submit(Echo.run, payload) for _ in range(jobs)]
    wrong = sum(future.result() != payload for future in futures)
    seconds = time.perf_counter() - start
    if wrong:
        raise PulletError(f"{wrong} of {jobs} answers are wrong")
    return seconds


@contextlib.contextmanager
def _working(queue: Queue, address: Address, workers: int) -> Iterator[None]:
    """Worker processes, which end with their pipes: also when this process is killed."""
    spawning = multiprocessing.get_context("spawn")
    started = []
    try:
        for number in range(workers):
            ours, theirs = spawning.Pipe()
            process = spawning.Process(target=_work, args=(queue, address, f"bench-{number}", theirs), daemon=True)
            process.start()
            theirs.close()
            started.append((process, ours))
        for process, ours in started:
            if not (ours.poll(START_S) and _is_ready(ours)):
                raise PulletError(f"a worker of the bench did not start (exit code {process.exitcode})")
        yield
    finally:
        for _, ours in started:
            ours.close()
        for process, _ in started:
            process.join(START_S)


def _is_ready(pipe: Connection) -> bool:
    try:
        return bool(pipe.recv())
    except EOFError:
        return False


def _work(queue: Queue, address: Address, name: str, pipe: Connection) -> None:
    """In the other process: work until the pipe is closed."""
    from pullet_workers.runner import Runner

    ready = threading.Event()
    runner = Runner(queue, address, Echo, name=name, on_ready=ready.set, on_end=lambda _: ready.set())
    runner.start()
    ready.wait(START_S)
    pipe.send(runner.consumer is not None)
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        pipe.recv()
    runner.drain(5)


def _remove(queue: Queue, address: Address) -> None:
    link = Link(address, "pullet:bench")
    cursor = b"0"
    while True:
        pattern = queue.keys.fixed("").replace("{", "\\{") + "*"
        cursor, keys = link.execute("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
        if keys:
            link.execute("UNLINK", *keys)
        if cursor == b"0":
            break
    link.close()
