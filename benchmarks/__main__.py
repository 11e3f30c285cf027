"""The cost of one job: pullet beside its peers and beside what the server can do, in one run.

    make bench                                          the short form: about five minutes
    make bench-peers                                    all peers, all workloads: about an hour
    make bench-peers ARGS="--only throughput --systems celery,rq"

Systems take turns, round after round; within a turn the others do not run. Every answer is checked: a system with a
wrong or missing one is not shown in that round, but counted. Results go to benchmarks/results/local/.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
import warnings
from pathlib import Path

from benchmarks.limit import limit
from benchmarks.report import Result
from benchmarks.run import OURS, SHORT, Run, Workload
from benchmarks.server import Server
from benchmarks.system import ROOT, System, all_systems
from benchmarks.turn import Failed
from benchmarks.workloads import ALL
from benchmarks.workloads import SHORT as SHORT_WORKLOADS

RESULTS = ROOT / "benchmarks" / "results" / "local"
CPUS = 8
"""What the local Ray cluster may place; jobs that sleep need none."""


def main() -> int:
    asked = arguments()
    warnings.simplefilter("ignore", RuntimeWarning)  # nothing here needs to be persisted
    chosen = choose(asked)
    start_ray()
    failed = 0
    with Server() as server:
        run = Run(server, [], jobs=asked.jobs, most_s=asked.seconds)
        install(run, chosen)
        machine = f"{server.version}, Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()}"
        print(machine, flush=True)
        for workload in asked.workloads:
            result = measure(run, workload, asked.rounds, machine)
            result.write(asked.results)
            failed += OURS in result.failures
            print("\n" + result.markdown(), flush=True)
    return int(failed > 0)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", action="store_true", help="all systems and all workloads")
    parser.add_argument("--only", default="", help=f"workloads: {','.join(one.name for one in ALL)}")
    parser.add_argument("--systems", default="", help="systems beside pullet, by the names of their files in peers/")
    parser.add_argument("--rounds", type=int, help="2, with --peers 3")
    parser.add_argument("--jobs", type=int, default=20_000, help="of one measurement of throughput, at most")
    parser.add_argument("--seconds", type=float, default=4.0, help="that it may take: slow systems get fewer jobs")
    parser.add_argument("--results", type=Path, default=RESULTS)
    asked = parser.parse_args()
    asked.rounds = asked.rounds or (3 if asked.peers else 2)
    names = [name for name in asked.only.split(",") if name]
    if unknown := set(names) - {one.name for one in ALL}:
        parser.error(f"unknown workloads: {', '.join(unknown)}")
    asked.workloads = [
        one for one in (ALL if asked.peers or names else SHORT_WORKLOADS) if not names or one.name in names
    ]
    return asked


def choose(asked: argparse.Namespace) -> list[System]:
    known = {one.name: one for one in all_systems()}
    names = asked.systems.split(",") if asked.systems else list(known) if asked.peers else SHORT
    return [known[OURS], *(known[name] for name in names if name != OURS)]


def start_ray() -> None:
    import ray

    from pullet_workers.cluster import start_local_ray

    start_local_ray(CPUS, log_to_driver=False)
    os.environ["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address


def install(run: Run, chosen: list[System]) -> None:
    for system in chosen:
        problem = system.install()
        if problem:
            run.notes[system.name] = f"cannot be installed: {problem[-400:]}"
            print(f"{system.name}: {run.notes[system.name]}", flush=True)
        else:
            run.systems.append(system)
            print(f"{system.name}: {system.version}; {system.settings}", flush=True)


def measure(run: Run, workload: Workload, rounds: int, machine: str) -> Result:
    command = " ".join(["python -m benchmarks", *sys.argv[1:]])
    rivals = list(workload.rivals(run))
    settings = {one.name: f"{one.version}; {one.settings}" for one in run.systems if one.name in rivals}
    settings |= {"limit": limit.SETTINGS} if "limit" in rivals else {}
    result = Result(workload.name, workload.what, workload.main, command, machine, rounds, settings | run.notes)
    for number in range(rounds):
        for name in rivals[number % len(rivals) :] + rivals[: number % len(rivals)]:
            begun = time.monotonic()
            try:
                figures = workload.measure(run, name)
            except Failed as problem:
                result.failures.setdefault(name, []).append(str(problem))
                print(f"{workload.name} {name}: FAILED: {problem}", flush=True)
                continue
            for figure, value in figures.items():
                result.figures.setdefault(name, {}).setdefault(figure, []).append(value)
            print(f"{workload.name} {name}: {time.monotonic() - begun:.0f} s", flush=True)
    result.figures = {name: result.figures[name] for name in rivals if name in result.figures}
    result.add_ratios(workload)
    return result


if __name__ == "__main__":
    sys.exit(main())
