"""What happens when a worker is killed; what a client and a worker weigh."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.run import OURS, Figures, Run, Workload, everybody
from benchmarks.turn import Failed, Turn, a_turn

MOST_S = 20.0
"""How long a job is waited for that its worker took with it: the defaults of most systems are minutes."""
LONG = 2.0
KILLS, IMPORTS = 3, 5
BARE = "ray_calls"


def recovery(run: Run, name: str) -> Figures:
    """Two workers, of which one is killed with a 2 s job in hand."""
    with a_turn(run.system(name), run.server, speeds=(0.01, 0.01)) as turn:
        times = [killed(turn, known) for known in range(0, 2 * KILLS, 2)] if name == OURS else [killed(turn, 0)]
    return {"runs again after ms": 1000 * statistics.median(times), "the first time after ms": 1000 * times[0]}


def killed(turn: Turn, known: int) -> float:
    """Seconds until the job begins a second time. `known`: notes of naps so far."""
    caller = turn.callers[0]
    caller.begin("many", "nap", [LONG / 0.01])
    _until(turn, known + 1, MOST_S)
    _, worker, pid = turn.naps()[known]
    at = time.monotonic()
    if turn.system.is_together:
        os.kill(pid, signal.SIGKILL)
    else:
        os.killpg(turn.workers[worker].pid, signal.SIGKILL)
    _until(turn, known + 2, MOST_S)
    found = turn.naps()[known + 1][0] - at
    caller.answer()
    if turn.system.is_together:
        turn.warm(2)  # its replacement has started, which is not measured here
    return found


def _until(turn: Turn, notes: int, most_s: float) -> None:
    deadline = time.monotonic() + most_s
    while len(turn.naps()) < notes:
        if time.monotonic() > deadline:
            raise Failed(f"not run again within {most_s:g} s; its documentation: {turn.system.recovery}")
        time.sleep(0.002)


def footprint(run: Run, name: str) -> Figures:
    with a_turn(run.system(name), run.server, speeds=(0.01,)) as turn:
        turn.ask("many", "nap", [160.0])
        (_, _, worker) = turn.naps()[0]
        return {
            "worker MB": _resident(worker),
            "client MB": _resident(turn.callers[0].pid),
            "import ms": 1000 * _import_s("pullet" if name == OURS else "ray"),
        }


def _resident(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def _import_s(module: str) -> float:
    """Beyond what Python itself takes to start."""
    return statistics.median(_start_s(f"import {module}") - _start_s("pass") for _ in range(IMPORTS))


def _start_s(code: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - begun


RECOVERY = Workload(
    "recovery",
    f"kill -9 of one of two workers with a 2 s job in hand, defaults: until the job runs again (at most {MOST_S:g} s)",
    "runs again after ms",
    recovery,
    everybody,
)
FOOTPRINT = Workload(
    "footprint",
    "resident memory of a worker's and of a caller's process, and time to import; beside a bare Ray actor and driver",
    "worker MB",
    footprint,
    lambda run: [name for name in (OURS, BARE) if name in run.names],
)
