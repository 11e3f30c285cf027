"""Ten thousand workers on one queue, in virtual time.

    python -m benchmarks.simulation                     eight minutes
    python -m benchmarks.simulation --workers 1000      one minute

First the costs of a real server are measured: what its thread spends on a `cycle` and on each job that one moves. With
these a model of the server answers workers whose decisions are made by the code of real ones (`Hand`, `Pace`, `plan`).
Workers are of all speeds from 1 to 5 times as slow. "of greedy": when the last job began if each went at no cost to
whoever was free first, divided by when it began here.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.server import Server as RealServer
from benchmarks.simulation.scenario import Scenario, greedy, lognormal, simulate
from benchmarks.simulation.server import Costs
from benchmarks.simulation.worker import KeepingWorker
from pullet_broker.codec import encode_call
from pullet_broker.job import Job, new_client_id, new_job_id
from pullet_broker.moves.cycle import OUTCOMES, Outcome, cycle
from pullet_broker.moves.life import beat
from pullet_broker.moves.submit import submit
from pullet_broker.settings import Queue

TRIP_S = 0.0003
CALLS = 3000
HEAD = ("workers", "jobs", "what happens", "of greedy", "executions again", "server busy", "calls a job")


def measured() -> Costs:
    """What `cycle` costs a real server, with one job and with as many as it moves at most."""
    with RealServer() as server:
        one, many = (_cycles(server, width, CALLS // width) for width in (1, OUTCOMES))
    job_s = (many - one) / (OUTCOMES - 1)
    return Costs(trip_s=TRIP_S, call_s=one - job_s, job_s=job_s)


def _cycles(server: RealServer, width: int, calls: int) -> float:
    """Server seconds of a call that commits so many jobs and takes so many."""
    queue, client, args = Queue(name=f"width-{width}"), new_client_id(), encode_call(("x" * 100,), {})
    with server.link() as link:
        link.run(beat(queue, "worker", 0, "{}"))
        link.run(submit(queue, client, 1, 1, []))
        for first in range(1, width * (calls + 1) + 1, width):
            link.run(submit(queue, client, 1, first, [Job(new_job_id(), "run", args) for _ in range(width)]))
        held = link.run(cycle(queue, "worker", [], width, alone=False, high_first=False)).entries
        before = server.cost().cpu_s
        for _ in range(calls):
            outcomes = [Outcome(entry, b"ok 1 worker 12\n" + args) for entry in held]
            held = link.run(cycle(queue, "worker", outcomes, width, alone=False, high_first=False)).entries
        return (server.cost().cpu_s - before) / calls


def scenarios(workers: int, each: int, costs: Costs) -> Iterator[tuple[str, Scenario]]:
    jobs = workers * each
    speeds = [1 + 4 * n / (workers - 1) for n in range(workers)]
    even = Scenario(lengths=[1.0] * jobs, speeds=speeds, costs=costs)
    long, uneven = replace(even, lengths=[10.0] * jobs), replace(even, lengths=lognormal(jobs, 1.0, 1.5))
    for name, plain in (("jobs of 10 s", long), ("jobs of 1 s", even), ("lognormal, mean 1 s, sigma 1.5", uneven)):
        half = greedy(plain.lengths, speeds) / 2
        yield name, plain
        yield f"{name}; one worker in 1,000 is killed each second", replace(plain, deaths_each_s=workers / 1000)
        yield f"{name}; 1 % of the workers are lost at once, seen after 3 s", replace(plain, node_loss_at=half)
        yield f"{name}; each worker takes four and keeps them", replace(plain, kind=KeepingWorker)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", type=int, default=10_000)
    parser.add_argument("--each", type=int, default=20, help="jobs for each worker")
    options = parser.parse_args()
    costs = measured()
    print(f"server: {costs.call_s * 1e6:.0f} us a cycle and {costs.job_s * 1e6:.0f} us for each of its jobs\n")
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    for name, scenario in scenarios(options.workers, options.each, costs):
        found, jobs = simulate(scenario), len(scenario.lengths)
        again = found.executions - jobs
        row = (
            f"{options.workers:,}",
            f"{jobs:,}",
            name,
            f"{greedy(scenario.lengths, scenario.speeds) / found.begun_s:.3f}",
            f"{again:,} ({again / jobs:.2%})",
            f"{found.server_busy:.0%}",
            f"{found.calls / jobs:.2f}",
        )
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
