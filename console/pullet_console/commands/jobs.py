"""`pullet jobs`: list, show, cancel and wait for jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pullet_console.commands.options import (
    address_of,
    confirm,
    json_option,
    pick_queue,
    queue_argument,
    queue_option,
    reading,
    redis_option,
    yes_option,
)
from pullet_console.refusals import FAILED, Refusal
from pullet_console.screen import Column, age, count, facts, say, show, write_json

if TYPE_CHECKING:
    from pullet_console.reading.job import JobDetail
    from pullet_console.reading.jobs import JobView
    from pullet_console.reading.reader import Reader

COLUMNS = (
    Column("JOB", most=40),
    Column("STATE", rank=2),
    Column("METHOD", rank=1, most=24),
    Column("ARGUMENTS", rank=5, most=40),
    Column("WHEN", rank=3, right=True),
    Column("WORKER", rank=4, most=40),
    Column("LANE", rank=6, most=20),
    Column("TRY", rank=6, right=True),
)


@click.group()
def jobs() -> None:
    """List, show, cancel and wait for jobs."""


@jobs.command("ls")
@queue_argument
@redis_option
@json_option
@click.option(
    "--state",
    type=click.Choice(["waiting", "running", "delayed"]),
    multiple=True,
    help="Only these. [default: running, waiting, delayed]",
)
@click.option("--method", default="", help="Only calls of this method.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="At most so many a state.")
@click.option("--after", default="", help="Go on behind the `next` of an earlier --json.")
def ls(  # click gives one argument for each option
    queue: str | None,
    redis: str | None,
    as_json: bool,
    state: tuple[str, ...],
    method: str,
    limit: int,
    after: str,
) -> None:
    """Jobs of a QUEUE that have not ended, the oldest first. Those that failed: pullet dead ls.

    \b
    pullet jobs ls chess --state running
    pullet jobs ls chess --method eval --limit 100 --json
    """
    if after and len(state) != 1:
        raise click.UsageError("--after goes on in one state: name it with --state")
    with reading(redis) as reader:
        name = pick_queue(reader, queue)
        try:
            pages = [
                reader.jobs(name, one, after=after, limit=limit, method=method)
                for one in state or ("running", "waiting", "delayed")
            ]
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        now = reader.now()
    if as_json:
        write_json({"queue": name, "pages": pages})
        return
    found = [job for page in pages for job in page.jobs]
    if not found:
        say("no jobs")
        return
    show(COLUMNS, [_row(job, now) for job in found])
    for page in pages:
        if page.next:
            say(f'more that are {page.state}: pullet jobs ls {name} --state {page.state} --after "{page.next}"')


def _row(job: JobView, now: float) -> list[str]:
    if job.state == "delayed":
        when = f"in {age(max(0.0, (job.due or now) - now))}"
    else:
        when = age(job.held_s if job.held_s is not None else max(0.0, now - job.since))
    return [job.id, job.state, job.method, job.arguments.text, when, job.worker or "-", job.lane, str(job.attempt)]


@jobs.command("show")
@click.argument("job")
@queue_option
@redis_option
@json_option
def show_job(job: str, queue: str | None, redis: str | None, as_json: bool) -> None:
    """All that Redis knows of a JOB: arguments, attempts, where it is, its outcome, the remote traceback."""
    with reading(redis) as reader:
        name, detail = find(reader, job, queue)
        now = reader.now()
    if as_json:
        write_json({"queue": name, "job": detail})
        return
    show_pairs(name, detail, now)


def show_pairs(queue: str, job: JobDetail, now: float) -> None:
    """All that is known of a job, a line each."""
    facts([pair for pair in _pairs(queue, job, now) if pair[1]])


def _pairs(queue: str, job: JobDetail, now: float) -> list[tuple[str, str]]:
    from pullet_console.reading.when import clock

    call = f"{job.method}({job.arguments.text if job.arguments else '...'})" if job.method else ""
    since = f"{clock(job.since)}, {age(max(0.0, now - job.since))} ago" if job.since else ""
    attempts = "\n".join(
        " ".join(filter(None, [f"{one.attempt}.", clock(one.at), one.worker, one.how, one.error_type, one.text]))
        for one in job.errors
    )
    return [
        ("job", job.id),
        ("queue", queue),
        ("state", job.state),
        ("call", call),
        ("submitted", since),
        ("due", f"{clock(job.due)}, in {age(max(0.0, job.due - now))}" if job.due else ""),
        ("expires", clock(job.expires) if job.expires else ""),
        ("lane", job.lane),
        ("key", job.key),
        ("caller", job.client),
        ("attempt", str(job.attempt or "")),
        ("crashes", str(job.crashes or "")),
        ("worker", job.worker + (f", for {age(job.held_s)}" if job.held_s is not None else "")),
        ("ran for", age(job.run_s) if job.run_s else ""),
        ("result", job.result or ""),
        ("error", ": ".join(filter(None, [job.error_type, job.error]))),
        ("failed attempts", attempts + "\n" if attempts else ""),
        ("traceback", job.traceback),
    ]


def find(reader: Reader, job: str, queue: str | None) -> tuple[str, JobDetail]:
    """A job by its id, in the queue that was named or in whichever has it. Raises `Refusal` when none has."""
    names = [pick_queue(reader, queue)] if queue else reader.queues()
    for name in names:
        detail = reader.job(name, job)
        if detail.state != "unknown":
            return name, detail
    where = f"queue {queue!r}" if queue else f"the {count(len(names), 'queue')} of {reader.address}"
    raise Refusal(
        f"{where} knows no job {job}: it never was, or its caller has read the reply, or the reply's time is over",
        "pullet jobs ls",
        FAILED,
    )


@jobs.command()
@click.argument("job", nargs=-1, required=True)
@queue_option
@redis_option
@yes_option
def cancel(job: tuple[str, ...], queue: str | None, redis: str | None, yes: bool) -> None:
    """Ask that these JOBs do not run. One that runs already is let be, and its outcome counts if it comes first."""
    from pullet_broker.moves.cancel import cancel as ask
    from pullet_broker.settings import Queue

    with reading(redis) as reader:
        found = [(one, *find(reader, one, queue)) for one in job]
        if len(found) > 1:
            confirm(f"cancel {count(len(found), 'job')}", yes)
        for one, name, _ in found:
            say(f"{one}: {_CANCELLED[reader.run(ask(Queue(name=name), one))]}")


_CANCELLED = {
    "CANCELLED": "cancelled",
    "DONE": "too late, it has ended",
    "ASKED": "asked; the next worker that touches it lets it be",
}


@jobs.command()
@click.argument("job")
@queue_option
@redis_option
@json_option
@click.option("--timeout", type=click.FloatRange(min=0), help="Seconds. [default: as long as it takes]")
def wait(job: str, queue: str | None, redis: str | None, as_json: bool, timeout: float | None) -> None:
    """Wait for a JOB and print its result. The exit code is 1 when it failed, or when the time is over."""
    from pullet import Client
    from pullet_broker.settings import Queue
    from pullet_console.outcomes import print_outcome

    with reading(redis) as reader:
        name, _ = find(reader, job, queue)
    client: Client[Any] = Client(None, Queue(name=name), address_of(redis))
    try:
        print_outcome(client.job(job).future, timeout, name, as_json=as_json)
    finally:
        client.detach()
