"""`pullet check`: is it well? For health checks, by its exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pullet_console.commands.options import json_option, pick_queue, queue_argument, reading, redis_option
from pullet_console.refusals import FAILED, Refusal
from pullet_console.screen import age, count, say, write_json

if TYPE_CHECKING:
    from pullet_console.reading.queues import QueueSummary


@click.command()
@queue_argument
@redis_option
@json_option
@click.option("--workers", type=click.IntRange(min=0), default=1, show_default=True, help="At least so many live.")
@click.option("--oldest", type=click.FloatRange(min=0), help="No job waits longer than this, in seconds.")
@click.option("--dead", type=click.IntRange(min=0), help="At most so many dead letters.")
def check(  # click gives one argument for each option
    queue: str | None,
    redis: str | None,
    as_json: bool,
    workers: int,
    oldest: float | None,
    dead: int | None,
) -> None:
    """Exit 0 when the server can be used and the QUEUE has workers; 1 when not; 3 when the server does not answer.

    \b
    pullet check chess --workers 4 --oldest 60
    """
    from pullet_broker.inspection import judge

    with reading(redis) as reader:
        judge(reader.server())
        name = pick_queue(reader, queue)
        (one,) = reader.looks([name])
    from pullet_console.reading.queues import list_workers, summarise

    summary = summarise(one)
    living = sum(worker.state not in ("silent", "left", "failed") for worker in list_workers(one))
    faults = find_faults(summary, living, workers=workers, oldest=oldest, dead=dead)
    if as_json:
        write_json({"queue": name, "ok": not faults, "faults": faults, "workers": living, "summary": summary})
        if faults:
            raise click.exceptions.Exit(FAILED)
        return
    if faults:
        raise Refusal(f"{name}: {'; '.join(faults)}", f"pullet status {name}", FAILED)
    say(f"{name} is well: {count(living, 'worker')}, {count(summary.waiting, 'job')} waiting")


def find_faults(one: QueueSummary, living: int, *, workers: int, oldest: float | None, dead: int | None) -> list[str]:
    """What is not as it should be."""
    faults = []
    if living < workers:
        faults.append(f"{count(living, 'worker')} of at least {workers}")
    if oldest is not None and one.oldest_s > oldest:
        faults.append(f"a job has waited {age(one.oldest_s)}")
    if dead is not None and one.dead > dead:
        faults.append(f"{count(one.dead, 'dead letter')}")
    if one.trouble:
        faults.append(one.trouble)
    return faults
