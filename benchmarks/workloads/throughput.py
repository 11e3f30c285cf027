"""Throughput and latency of echo jobs of 100 bytes; the limit beside them."""

from __future__ import annotations

from benchmarks.limit import limit
from benchmarks.run import OURS, Figures, Run, Workload, milliseconds, server_figures
from benchmarks.turn import FAST, PAYLOAD, Turn, a_turn

LIMIT = "limit"
PROBE = 300
"""Jobs from which the size of a measurement is guessed."""
ALONE = 300
"""Calls one at a time."""
LOADED_S = 3.0


def fitting(run: Run, turn: Turn, share: int = 1) -> int:
    """How many jobs this system does in the time that a measurement may take."""
    found = turn.ask("many", "echo", [PAYLOAD] * PROBE)
    rate = PROBE / (found["ended"] - found["begun"])
    return max(PROBE, min(run.jobs, int(rate * run.most_s))) // share


def rate(turn: Turn, jobs_each: int) -> float:
    """Jobs a second of all callers together, from the first submit to the last result."""
    found = turn.together("many", [("echo", [PAYLOAD] * jobs_each)] * len(turn.callers))
    return float(jobs_each * len(turn.callers) / (max(f["ended"] for f in found) - min(f["begun"] for f in found)))


def one_worker(run: Run, name: str) -> Figures:
    if name == LIMIT:
        before = run.server.cost()
        per_second, cpu_s = limit.measure(run.server, run.jobs, PAYLOAD)
        figures = {"jobs/s": per_second, "client us/job": cpu_s / run.jobs * 1e6}
        return figures | server_figures(before, run.server.cost(), run.jobs)
    with a_turn(run.system(name), run.server) as turn:
        jobs = fitting(run, turn)
        rate(turn, jobs // 2)  # Ray, and processors that change their clock, need a while
        before = run.server.cost()
        figures = {"jobs/s": rate(turn, jobs)}
        return figures | server_figures(before, run.server.cost(), jobs)


def several(run: Run, name: str) -> Figures:
    with a_turn(run.system(name), run.server, speeds=FAST * 2) as turn:
        figures = {"2 workers, 1 caller jobs/s": rate(turn, fitting(run, turn))}
    with a_turn(run.system(name), run.server, callers=4) as turn:
        return figures | {"1 worker, 4 callers jobs/s": rate(turn, fitting(run, turn, 4))}


def latency(run: Run, name: str) -> Figures:
    with a_turn(run.system(name), run.server) as turn:
        figures = milliseconds("one at a time", turn.ask("one_by_one", ALONE, PAYLOAD)["seconds"])
        if turn.system.is_for_one_thread:
            return figures
        highest = rate(turn, fitting(run, turn))
        for percent in (20, 50):
            per_second = highest * percent / 100
            jobs_now: list[tuple[str, str]] = [("echo", PAYLOAD)] * max(50, int(per_second * LOADED_S))
            found = turn.ask("at_rate", per_second, jobs_now)
            figures |= milliseconds(f"at {percent} %", found["seconds"]) | {f"at {percent} % jobs/s": per_second}
        return figures


def rivals(run: Run) -> list[str]:
    found = list(run.names)
    if problem := limit.missing():
        run.notes[LIMIT] = problem
    else:
        found.insert(1, LIMIT)
    return found


THROUGHPUT = Workload(
    "throughput",
    "echo jobs of 100 bytes, submit to result, one caller, one worker",
    "jobs/s",
    one_worker,
    rivals,
    (("jobs/s", OURS, LIMIT), ("jobs/s", OURS, "ray_calls")),
)
SEVERAL = Workload(
    "several", "the same with two workers, and with four callers", "2 workers, 1 caller jobs/s", several,
    lambda run: run.names,
)  # fmt: skip
LATENCY = Workload(
    "latency",
    "submit to result, one job at a time and at 20 % and 50 % of this system's own highest throughput",
    "one at a time p50 ms",
    latency,
    lambda run: run.names,
    (("one at a time p50 ms", OURS, "ray_calls"),),
)
