"""Workers of unequal speed, jobs of unequal length: who keeps all workers busy, and who waits behind the slow ones."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from benchmarks.run import Figures, Run, Workload, dice, everybody, milliseconds
from benchmarks.turn import PAYLOAD, Failed, a_turn

SPEEDS = (0.005, 0.005, 0.025, 0.025)
CALLERS = 3
JOBS_EACH = 600
SIGMA = 1.5
LONG_S, NAP_S, EVERY, PER_SECOND, FOR_S = 1.0, 0.001, 100, 200, 6


def heavy_tail(jobs: int) -> list[float]:
    """Lengths of a lognormal distribution, with 1 as their mean."""
    rolled = dice()
    found = [rolled.lognormvariate(0, SIGMA) for _ in range(jobs)]
    return [length * jobs / sum(found) for length in found]


def mixed(run: Run, name: str) -> Figures:
    with a_turn(run.system(name), run.server, callers=CALLERS, speeds=SPEEDS) as turn:
        even = turn.together("many", [("nap", [1.0] * JOBS_EACH)] * CALLERS)
        lengths = heavy_tail(JOBS_EACH * CALLERS)
        parts = [lengths[n::CALLERS] for n in range(CALLERS)]
        uneven = turn.together("many", [("nap", part) for part in parts])
    return {
        "efficiency": efficiency(even, [[1.0] * JOBS_EACH] * CALLERS),
        "heavy-tailed efficiency": efficiency(uneven, parts),
    }


def efficiency(found: list[dict[str, Any]], lengths: list[list[float]]) -> float:
    """Ideal / measured makespan. The ideal: all workers busy to the end, each as fast as it was."""
    slept, done = defaultdict[float, float](float), defaultdict[float, float](float)
    for one, asked in zip(found, lengths, strict=True):
        for (worker, seconds), length in zip(one["answers"], asked, strict=True):
            slept[worker] += seconds
            done[worker] += length
    ideal = sum(done.values()) / sum(done[worker] / slept[worker] for worker in done)
    makespan = max(one["ended"] for one in found) - min(one["begun"] for one in found)
    return float(ideal / makespan)


def head_of_line(run: Run, name: str) -> Figures:
    """Four workers, 200 jobs a second, every hundredth takes 1 s: two of the four are busy with those."""
    if run.system(name).is_for_one_thread:
        raise Failed("it cannot be given a job while it waits for another")
    long, tiny = ("nap", LONG_S / NAP_S), ("echo", PAYLOAD)
    jobs = [long if n % EVERY == EVERY // 2 else tiny for n in range(PER_SECOND * FOR_S)]
    with a_turn(run.system(name), run.server, speeds=(NAP_S,) * 4) as turn:
        found = turn.ask("at_rate", PER_SECOND, jobs)
    return milliseconds("tiny jobs", found["seconds"])


MIXED = Workload(
    "mixed",
    f"workers of 5, 5, 25 and 25 ms, {CALLERS} callers with {JOBS_EACH} jobs each: ideal / measured makespan; the same "
    f"with lengths of a lognormal distribution, sigma {SIGMA}",
    "efficiency",
    mixed,
    everybody,
)
HEAD_OF_LINE = Workload(
    "head-of-line",
    f"four workers, {PER_SECOND} jobs a second for {FOR_S} s, every {EVERY}th takes {LONG_S:g} s: the tiny "
    "ones, due to result",
    "tiny jobs p99 ms",
    head_of_line,
    everybody,
)
