"""What one run of the bench has: its server, its systems, its sizes. A workload measures one system for one round."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.server import Cost, Server
from benchmarks.system import System

Figures = dict[str, float]

SHORT = ("ray_calls", "actor_pool", "huey", "celery")
"""Measured beside pullet in the short form."""
OURS = "pullet"
SEED = 2026


@dataclass
class Run:
    server: Server
    systems: list[System]
    jobs: int = 20_000
    """Of one measurement of throughput, for whoever is fast enough."""
    most_s: float = 4.0
    """What one measurement of throughput may take: slower systems get fewer jobs."""
    notes: dict[str, str] = field(default_factory=dict)
    """Why a system could not be measured."""

    def system(self, name: str) -> System:
        return next(one for one in self.systems if one.name == name)

    @property
    def names(self) -> list[str]:
        return [one.name for one in self.systems]


@dataclass(frozen=True)
class Workload:
    """`measure` gives the figures of one system in one round. `main` is the one that the picture shows."""

    name: str
    what: str
    main: str
    measure: Callable[[Run, str], Figures]
    rivals: Callable[[Run], Sequence[str]]
    """Who is measured: names of systems, or of what else the workload knows, such as the limit."""
    ratios: tuple[tuple[str, str, str], ...] = ()
    """(figure, system, other system): shown as one divided by the other, round by round."""


def only_ours(run: Run) -> list[str]:
    return [OURS]


def everybody(run: Run) -> list[str]:
    return run.names


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def milliseconds(name: str, seconds: Sequence[float]) -> Figures:
    return {
        f"{name} p50 ms": 1000 * statistics.median(seconds),
        f"{name} p99 ms": 1000 * percentile(seconds, 0.99),
    }


def server_figures(before: Cost, after: Cost, jobs: int) -> Figures:
    return {
        "server us/job": (after.cpu_s - before.cpu_s) / jobs * 1e6,
        "script calls/job": (after.scripts - before.scripts) / jobs,
        "commands/job": (after.commands - before.commands) / jobs,
    }


def dice() -> random.Random:
    """The same for every system and every run."""
    return random.Random(SEED)
