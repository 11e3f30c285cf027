"""`kill -9` for one worker, at a moment when it has a job in hand."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pullet_console.demo.engine import Digits
from pullet_workers import Pool

REST_S = 0.01
"""What must be left of a job, so that it is still in hand when the signal arrives."""
TRY_S = 5.0


@dataclass(frozen=True)
class Strike:
    """Which worker was killed; `at` is the time of `time.time`."""

    worker: str
    pid: int
    job: str
    at: float


def strike(pool: Pool[Digits], node: str) -> Strike:
    """Kill a worker of this machine (`node`) that is in the middle of a job.

    Raises `RuntimeError` when none is seen for a while, as when all jobs are done.
    """
    until = time.monotonic() + TRY_S
    while time.monotonic() < until:
        victim = choose(pool.workers(), node, time.monotonic())
        if victim is not None:
            at = time.time()
            os.kill(victim["pid"], signal.SIGKILL)
            return Strike(victim["name"], victim["pid"], victim["job"], at)
    raise RuntimeError(f"no worker of this machine was seen with a job in hand for {TRY_S:g} s, so none was killed")


def choose(records: Sequence[dict[str, Any]], node: str, now: float) -> dict[str, Any] | None:
    """The fastest of the workers that have a good part of a job before them, as their jobs so far let expect."""
    able = [one for one in records if one["node"] == node and rest_s(one, now) > REST_S]
    return min(able, key=lambda one: float(one["busy_s"] / one["done"]), default=None)


def rest_s(record: dict[str, Any], now: float) -> float:
    """What is left of a worker's job if it takes as long as its jobs before; 0 where that is not known."""
    if not (record.get("job") and record.get("job_since") and record.get("done")):
        return 0.0
    return float(record["busy_s"] / record["done"] - (now - record["job_since"]))
