"""The shortest possible makespan: what a perfect scheduler without any overhead would need."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """One worker as a scheduler sees it. Times in seconds from the start of the work."""

    job_s: float
    """How long it takes for one job."""
    since: float = 0.0
    until: float = math.inf
    """When it dies; the job it has then is lost."""


def ideal_makespan(jobs: int, machines: Sequence[Machine]) -> float:
    """The least time in which `machines` can do `jobs` equal jobs that cannot be divided.

    List scheduling: each job goes to the machine that would end it first. For equal jobs that is the optimum, because
    the n-th job then ends at the n-th smallest of all times at which any machine can end a job.

    Raises `ValueError` when the machines die before all jobs are done.
    """
    ends = [(one.since + one.job_s, one.job_s, one.until) for one in machines if one.since + one.job_s <= one.until]
    heapq.heapify(ends)
    now = 0.0
    for number in range(jobs):
        if not ends:
            raise ValueError(f"only {number} of {jobs} jobs can be done: no machine lives longer")
        now, job_s, until = ends[0]
        if now + job_s <= until:
            heapq.heapreplace(ends, (now + job_s, job_s, until))
        else:
            heapq.heappop(ends)
    return now
