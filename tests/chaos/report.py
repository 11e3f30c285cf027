"""What is printed of a run."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos.checker import FINDINGS
from tests.chaos.driver import Run
from tests.chaos.forgotten import Forgotten
from tests.chaos.meanwhile import Meanwhile
from tests.chaos.plan import Plan

EVIDENCE = 5
"""Lines of each finding."""


def lines(plan: Plan, run: Run) -> Iterator[str]:
    verdict, total = run.verdict, sum(run.faults.values())
    share = 100 * verdict.extra / max(1, verdict.jobs)
    yield f"{verdict.jobs} jobs, {total} faults in {run.took_s:.0f} s, seed {plan.seed}"
    yield f"  server: {run.program}, appendfsync {plan.fsync}"
    yield "  faults: " + (", ".join(f"{what} {count}" for what, count in sorted(run.faults.items())) or "none")
    yield f"  executions: {verdict.executions}, of them {verdict.extra} again after a fault ({share:.2f} %)"
    yield f"  dead letters: {verdict.dead_letters}, of them {verdict.unlucky} of jobs that faults hit three times"
    if run.meanwhile is not None:
        yield "  " + _of_the_others(run.meanwhile)
    if run.crashes:
        yield "  " + _of_the_loss(run.crashes)
    if plan.fsync != "always":
        yield f"  run again after a crash of the server: {verdict.renewed}"
        yield f"  forgotten by the server, and never sent to it again: {verdict.forgotten}"
    for finding, meaning in FINDINGS.items():
        evidence = verdict.wrong[finding]
        yield f"  {finding:<12} {len(evidence):>6}   {meaning}"
        yield from (f"      {line}" for line in evidence[:EVIDENCE])
    yield "right" if verdict.is_right else "WRONG"


def _of_the_others(meanwhile: Meanwhile) -> str:
    median, most, longest = meanwhile.wait_s
    return (
        f"while jobs killed workers ({meanwhile.seconds:.0f} s): {meanwhile.jobs} others ended, "
        f"{meanwhile.rate:.0f} a second while there were any; "
        f"from submit to outcome {median:.2f} s (median), {most:.2f} s (99 %), {longest:.2f} s (longest)"
    )


def _of_the_loss(crashes: list[Forgotten]) -> str:
    jobs, replies = sum(crash.jobs for crash in crashes), sum(crash.replies for crash in crashes)
    return (
        f"{len(crashes)} crashes of the server's machine; forgotten: "
        f"{jobs} accepted jobs and {replies} replies that had been read, "
        f"up to {max(crash.seconds for crash in crashes):.2f} s old "
        f"({', '.join(f'{crash.seconds:.2f}' for crash in crashes)}); "
        f"the last sync had begun up to {max(crash.unsynced_s for crash in crashes):.2f} s before"
    )
