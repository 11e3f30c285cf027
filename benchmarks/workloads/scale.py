"""Long queues and many workers. pullet alone, and workers without Ray, so that one machine holds them."""

from __future__ import annotations

import time

import pullet
from benchmarks.engine import Engine
from benchmarks.run import Figures, Run, Workload, only_ours
from benchmarks.server import Server
from benchmarks.threads import workers
from benchmarks.turn import PAYLOAD
from pullet_broker.codec import encode_call
from pullet_broker.job import Job, new_client_id, new_job_id
from pullet_broker.moves.submit import submit
from pullet_broker.settings import Lease, Queue
from pullet_workers.rest import rest_among

DEPTHS = {"10^3": 1_000, "10^5": 100_000, "10^6": 1_000_000}
COUNTED = 20_000
"""Jobs whose cost is measured while the others wait."""
WIDTHS = (1, 8, 64, 256)
SETTLE_S, IDLE_S, WIDE_JOBS = 10.0, 10.0, 10_000
"""The first reads of a fleet are short. Then it is looked at for two of its reads, which are longer in a large one."""
BATCH = 256


def depth(run: Run, name: str) -> Figures:
    figures: Figures = {}
    for label, waiting in DEPTHS.items():
        run.server.clear()
        before = run.server.memory()
        _fill(run.server, waiting)
        figures[f"{label} waiting: bytes a job"] = (run.server.memory() - before) / waiting
        begun = time.monotonic()
        with workers(run.server.url, "depth", 1):
            figures[f"{label} waiting: start s"] = time.monotonic() - begun
            figures |= _drain(run.server, label, min(COUNTED, waiting))
            begun = time.monotonic()
        figures[f"{label} waiting: stop s"] = time.monotonic() - begun
    run.server.clear()
    return figures


def _fill(server: Server, waiting: int) -> None:
    """From a client that does not read its inbox, in batches as a client's."""
    queue, client, payload = Queue(name="depth"), new_client_id(), encode_call((PAYLOAD,), {})
    with server.link() as link:
        link.run(submit(queue, client, 1, 1, []))
        for first in range(1, waiting + 1, BATCH):
            count = min(BATCH, waiting + 1 - first)
            link.run(submit(queue, client, 1, first, [Job(new_job_id(), "echo", payload) for _ in range(count)]))


def _drain(server: Server, label: str, jobs: int) -> Figures:
    """Server time of each job: the worker may have taken some before we look, and takes some while we do."""
    cost, done = server.cost(), _done(server)
    last = done
    while last < jobs - BATCH:
        time.sleep(0.02)
        last = _done(server)
    after = server.cost()
    return {f"{label} waiting: server us/job": (after.cpu_s - cost.cpu_s) / max(1, last - done) * 1e6}


def _done(server: Server) -> int:
    with server.link() as link:
        return int(link.execute("HGET", Queue(name="depth").keys.fixed("stats"), "done") or 0)


def width(run: Run, name: str) -> Figures:
    figures: Figures = {}
    for count in WIDTHS:
        run.server.clear()
        with workers(run.server.url, "width", count), pullet.connect(Engine, run.server.url, queue="width") as client:
            list(client.map(Engine.echo, [PAYLOAD] * 100))
            time.sleep(SETTLE_S)
            before, begun = run.server.cost(), time.monotonic()
            time.sleep(IDLE_S * rest_among(count, Lease()).times)
            idle, seconds = run.server.cost(), time.monotonic() - begun
            futures = [client.submit(Engine.echo, PAYLOAD) for _ in range(WIDE_JOBS)]
            if [future.result() for future in futures] != [PAYLOAD] * WIDE_JOBS:
                raise RuntimeError("wrong answers")
            busy = run.server.cost()
        figures |= {
            f"{count} workers: idle round trips/s a worker": (idle.round_trips - before.round_trips) / seconds / count,
            f"{count} workers: idle commands/s a worker": (idle.commands - before.commands) / seconds / count,
            f"{count} workers: idle server CPU %": 100 * (idle.cpu_s - before.cpu_s) / seconds,
            f"{count} workers: server us/job": (busy.cpu_s - idle.cpu_s) / WIDE_JOBS * 1e6,
        }
    return figures


DEPTH = Workload(
    "depth", "one worker, so many jobs of 100 bytes waiting", "10^6 waiting: server us/job", depth, only_ours
)
WIDTH = Workload(
    "width",
    f"so many workers (threads) of one queue: idle for {IDLE_S:g} s or longer, then {WIDE_JOBS} echo jobs",
    "256 workers: server us/job",
    width,
    only_ours,
)
