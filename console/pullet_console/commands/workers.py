"""`pullet workers`: who works on a queue, and how many shall."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import click

from pullet_console.commands.options import (
    confirm,
    json_option,
    pick_queue,
    queue_argument,
    reading,
    redis_option,
    yes_option,
)
from pullet_console.refusals import Refusal
from pullet_console.screen import Column, Styled, age, count, say, show, size, write_json

if TYPE_CHECKING:
    from pullet_workers.pool import Pool

COLUMNS = (
    Column("WORKER", most=24),
    Column("STATE"),
    Column("METHOD", rank=2, most=20),
    Column("DONE", rank=1, right=True),
    Column("FAILED", rank=3, right=True),
    Column("BUSY", rank=4, right=True),
    Column("HOST", rank=2, most=24),
    Column("PID", rank=3, right=True),
    Column("MEMORY", rank=4, right=True),
    Column("CONSUMER", rank=6, most=60),
)


@click.group()
def workers() -> None:
    """Who works on a queue. `drain`, `restart` and `scale` ask the pool, so they need its Ray cluster (RAY_ADDRESS)."""


@workers.command("ls")
@queue_argument
@redis_option
@json_option
def ls(queue: str | None, redis: str | None, as_json: bool) -> None:
    """The workers of a QUEUE, as Redis knows them."""
    with reading(redis) as reader:
        name = pick_queue(reader, queue)
        found = reader.workers(name)
    if as_json:
        write_json({"queue": name, "workers": found})
        return
    if not found:
        say(f"no workers: pullet worker MODULE:ENGINE --queue {name}")
        return
    colours = {"busy": "green", "silent": "red", "failed": "red"}
    show(
        COLUMNS,
        [
            [
                one.name,
                Styled(one.state, colours.get(one.state, "")),
                one.method or "-",
                f"{one.done:,}",
                f"{one.failed:,}",
                age(one.busy_s),
                one.host,
                str(one.pid),
                size(one.rss),
                one.consumer,
            ]
            for one in found
        ],
    )


@workers.command()
@click.argument("queue")
@click.option("--timeout", type=click.FloatRange(min=0), help="Seconds that each has. [default: the pool's]")
@yes_option
def drain(queue: str, timeout: float | None, yes: bool) -> None:
    """End the pool of a QUEUE: each worker finishes its job and leaves. Jobs that wait stay in Redis."""
    with _attached(queue) as pool:
        confirm(f"end the pool of {queue!r}, {count(len(pool.workers()), 'worker')}", yes)
        pool.drain(timeout)
    say(f"the pool of {queue} has ended")


@workers.command()
@click.argument("queue")
@yes_option
def restart(queue: str, yes: bool) -> None:
    """Replace the workers of a QUEUE one after the other; each successor is warm before the old one leaves."""
    with _attached(queue) as pool:
        number = len(pool.workers())
        confirm(f"replace {count(number, 'worker')} of {queue!r}", yes)
        pool.restart()
    say(f"{count(number, 'worker')} of {queue} replaced")


@workers.command()
@click.argument("queue")
@click.argument("number", metavar="N|MIN..MAX|per-node|per-gpu|per-cpu")
@yes_option
def scale(queue: str, number: str, yes: bool) -> None:
    """Have another number of workers in a QUEUE.

    \b
    pullet workers scale chess 8
    pullet workers scale chess 0..8
    """
    wanted = read_scale(number)
    with _attached(queue) as pool:
        now = len(pool.workers())
        if isinstance(wanted, int) and wanted < now:
            confirm(f"have {count(now - wanted, 'worker')} of {now} of {queue!r} leave after their job", yes)
        pool.scale(wanted)
    say(f"{queue} is to have {number} workers")


def read_scale(text: str) -> int | tuple[int, int] | str:
    """4, "2..8" or "per-node", as `Pool(workers=)` takes it. Raises `click.BadParameter`."""
    least, dots, most = text.partition("..")
    if dots and least.isdecimal() and most.isdecimal() and int(least) <= int(most):
        return int(least), int(most)
    if text.isdecimal():
        return int(text)
    if text in ("per-node", "per-gpu", "per-cpu"):
        return text
    raise click.BadParameter(f"{text!r}: expected a number, MIN..MAX, per-node, per-gpu or per-cpu")


def _attached(queue: str) -> Pool[Any]:
    if importlib.util.find_spec("ray") is None:
        raise Refusal("a pool is steered through Ray, which is not installed", 'pip install "pullet[ray]"')
    import os

    if not os.environ.get("RAY_ADDRESS"):
        raise Refusal(
            "a pool is steered through its Ray cluster, and RAY_ADDRESS does not say which that is",
            "export RAY_ADDRESS=auto",
        )
    from pullet_workers.pool import Pool

    return Pool.attach(queue)
