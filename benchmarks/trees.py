"""What a job costs the worker and the server, in CPU time, in several trees of this repository, turn by turn.

    .venv/bin/python -m benchmarks.trees [--jobs 30000] [--turns 5] [TREE ...]

A tree is a checkout, such as `git worktree add` makes; this one is always there. Each turn fills a queue with echo jobs
of 100 bytes and then lets one worker without Ray empty it, both of that tree. No caller listens, so what is counted is
the path of a job from `submit` to its committed reply: `submit` for the server alone, the rest for both.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.server import Server
from benchmarks.system import ROOT

QUEUE = "trees"
PROGRAM = Path(__file__).with_name("one_tree.py")
ROOMS = ("broker", "client", "workers")
FIRST = 2_000
"""Jobs that are not counted: the worker is still starting."""
LOOK_S = 0.05
PARTS = ("worker us/job", "server us/job", "submit us/job", "jobs/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=30_000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("trees", nargs="*", type=Path)
    given = parser.parse_args()
    trees = [ROOT, *given.trees]
    found: list[list[tuple[float, ...]]] = [[] for _ in trees]
    with Server() as server:
        for _ in range(given.turns):
            for tree, figures in zip(trees, found, strict=True):
                figures.append(turn(server, tree, given.jobs))
    width = max(len(str(tree)) for tree in trees)
    print(" " * width, *(f"{part:>22}" for part in PARTS))
    for tree, figures in zip(trees, found, strict=True):
        columns = [
            f"{statistics.median(one):.1f} ({min(one):.1f} - {max(one):.1f})" for one in zip(*figures, strict=True)
        ]
        print(f"{tree!s:<{width}}", *(f"{column:>22}" for column in columns))


def turn(server: Server, tree: Path, jobs: int) -> tuple[float, ...]:
    """The parts of one job, in microseconds of CPU time."""
    server.clear()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(tree / room) for room in ROOMS)}
    command = [sys.executable, str(PROGRAM), QUEUE, server.url, str(jobs)]
    empty = server.cost().cpu_s
    subprocess.run([*command, "fill"], env=environment, cwd="/", check=True)
    filled = server.cost().cpu_s
    with subprocess.Popen([*command, "work"], env=environment, cwd="/") as process:
        try:
            at, begun, worker, cost = look(server, process.pid, FIRST)
            done, ended, worker_then, cost_then = look(server, process.pid, jobs)
        finally:
            process.kill()
    counted = done - at
    return (
        (worker_then - worker) / counted * 1e6,
        (cost_then - cost) / counted * 1e6,
        (filled - empty) / jobs * 1e6,
        counted / (ended - begun),
    )


def look(server: Server, pid: int, jobs: int) -> tuple[int, float, float, float]:
    """As soon as so many jobs are done: how many, when, and the CPU seconds of worker and server."""
    with server.link() as link:
        while (done := int(link.execute("HGET", f"pullet:{{{QUEUE}}}:stats", "done") or 0)) < jobs:
            time.sleep(LOOK_S)
    return done, time.monotonic(), cpu_s(pid), server.cost().cpu_s


def cpu_s(pid: int) -> float:
    """Of all threads of a process, to the nanosecond."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


if __name__ == "__main__":
    main()
