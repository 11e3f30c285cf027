"""The words of the summary, the same for both views."""

from __future__ import annotations

from pullet_console.demo.verdict import Verdict, Work

WORK_HEAD = ("worker", "speed", "jobs", "ms a job", "share")


def facts(verdict: Verdict) -> list[tuple[str, str]]:
    """Label and text of each line."""
    return [
        ("answers", f"{verdict.jobs - verdict.missing:,} of {verdict.jobs:,}: {_compared(verdict)}"),
        ("accuracy", f"{verdict.right / verdict.unseen:.1%} of the {verdict.unseen} images it was not trained on"),
        ("kill -9", _recovery(verdict)),
        ("makespan", _makespan(verdict)),
    ]


def work_cells(work: Work, verdict: Verdict) -> tuple[str, ...]:
    """The cells under `WORK_HEAD`."""
    done = verdict.jobs - verdict.missing
    speed = ("slow" if work.slow else "fast") + (", killed" if work.is_dead else "")
    return work.name, speed, str(work.jobs), f"{work.job_s * 1000:.1f}", f"{work.jobs / done:.1%}"


def _compared(verdict: Verdict) -> str:
    return f"{verdict.missing} missing, {verdict.different} different from the engine called directly"


def _recovery(verdict: Verdict) -> str:
    if verdict.strike_s is None:
        return "no worker was killed"
    if verdict.recovery_s is None:
        return f"after {verdict.strike_s:.1f} s; no job ran again"
    again = f"the job ran again {verdict.recovery_s * 1000:.0f} ms later, on {verdict.recovered_by}"
    return f"after {verdict.strike_s:.1f} s; {again}"


def _makespan(verdict: Verdict) -> str:
    if verdict.makespan_s is None or verdict.ideal_s is None or verdict.efficiency is None:
        return "unknown"
    return f"{verdict.makespan_s:.2f} s; ideal {verdict.ideal_s:.2f} s; efficiency {verdict.efficiency:.3f}"
