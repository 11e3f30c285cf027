"""What is printed of a run."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos.checker import FINDINGS, Verdict
from tests.chaos.plan import Plan

EVIDENCE = 5
"""Lines of each finding."""


def lines(plan: Plan, program: str, faults: dict[str, int], verdict: Verdict, took_s: float) -> Iterator[str]:
    total = sum(faults.values())
    share = 100 * verdict.extra / max(1, verdict.jobs)
    yield f"{verdict.jobs} jobs, {total} faults in {took_s:.0f} s, seed {plan.seed}"
    yield f"  server: {program}, appendfsync {plan.fsync}"
    yield "  faults: " + (", ".join(f"{what} {count}" for what, count in sorted(faults.items())) or "none")
    yield f"  executions: {verdict.executions}, of them {verdict.extra} again after a fault ({share:.2f} %)"
    yield f"  dead letters: {verdict.dead_letters}, of them {verdict.unlucky} of jobs that faults hit three times"
    if plan.fsync != "always":
        yield f"  accepted and forgotten by the server: {verdict.forgotten}"
    for finding, meaning in FINDINGS.items():
        evidence = verdict.wrong[finding]
        yield f"  {finding:<12} {len(evidence):>6}   {meaning}"
        yield from (f"      {line}" for line in evidence[:EVIDENCE])
    yield "right" if verdict.is_right else "WRONG"
