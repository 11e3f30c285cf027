"""`python -m tests.chaos`, which `make chaos` calls: one run, its figures, and exit code 1 when anything is wrong."""

from __future__ import annotations

import contextlib
import random
import sys
import tempfile
from pathlib import Path

import click

from tests.chaos import report
from tests.chaos.driver import play
from tests.chaos.plan import DECK, Plan

CLOCK = "step the clock"
"""With `everysec` only when it is asked for: a server whose clock is set back syncs nothing until it has caught up."""


@click.command(help=__doc__)
@click.option("--jobs", default=10_000, show_default=True)
@click.option("--seed", type=int, help="Of an earlier run, to have the same again.")
@click.option("--server", type=click.Choice(["valkey", "redis"]), default="valkey", show_default=True)
@click.option("--fsync", type=click.Choice(["always", "everysec"]), default="always", show_default=True)
@click.option("--seconds", type=float, help="How long faults come. [default: 100 for 10,000 jobs, 460 for 100,000]")
@click.option("--faults", type=int, help="How many. [default: 1 a second]")
@click.option(
    "--only", "kinds", multiple=True, type=click.Choice(list(DECK)), help="Only these faults; may be repeated."
)
@click.option("--poison", type=int, help="Jobs that kill their worker. [default: 0.05 %]")
@click.option("--long", type=int, help="Jobs that take longer than a lease. [default: 0.12 %]")
@click.option(
    "--budget", "budget_s", default=0.005, show_default=True, help="Seconds of work that a worker takes at once."
)
@click.option("--workers", default=4, show_default=True)
@click.option("--drain", "drain_s", default=300.0, show_default=True, help="Seconds in which all must end.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where histories and data are kept. [default: nowhere]")
def main(
    jobs: int,
    seed: int | None,
    server: str,
    seconds: float | None,
    faults: int | None,
    kinds: tuple[str, ...],
    folder: Path | None,
    **more: object,
) -> None:
    if seconds is None:
        seconds = min(jobs, 10_000) / 100 + max(0, jobs - 10_000) / 250
    plan = Plan(
        seed=random.SystemRandom().randrange(1_000_000) if seed is None else seed,
        jobs=jobs,
        seconds=seconds,
        faults=round(seconds) if faults is None else faults,
        kinds=kinds or tuple(kind for kind in DECK if kind != CLOCK or more["fsync"] == "always"),
        **more,  # type: ignore[arg-type]
    )
    print(f"seed {plan.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="chaos-") as scratch:
        if folder is not None:
            folder.mkdir(parents=True)
        with Path(folder or scratch, "ray.log").open("w") as log, contextlib.redirect_stdout(log):  # each death is told
            run = play(plan, folder or Path(scratch), server)
    print("\n".join(report.lines(plan, run)))
    sys.exit(0 if run.verdict.is_right else 1)


if __name__ == "__main__":
    main()
