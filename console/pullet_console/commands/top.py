"""`pullet top`: workers and queues, live."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from pullet_console.commands.options import reading, redis_option
from pullet_console.refusals import USAGE, Refusal
from pullet_console.screen import Cell, Column, Styled, age, console, size, table

if TYPE_CHECKING:
    from rich.console import Group

    from pullet_console.reading.queues import Look, WorkerView

QUEUES = (
    Column("QUEUE", most=24),
    Column("WAITING", right=True),
    Column("RUNNING", right=True),
    Column("DONE/s", rank=1, right=True),
    Column("OLDEST", rank=2, right=True),
    Column("BUSY", rank=1, right=True),
    Column("DEAD", rank=3, right=True),
)
WORKERS = (
    Column("WORKER", most=24),
    Column("STATE"),
    Column("BUSY", right=True),
    Column("METHOD", rank=1, most=20),
    Column("DONE", rank=2, right=True),
    Column("FAILED", rank=4, right=True),
    Column("QUEUE", rank=5, most=20),
    Column("HOST", rank=3, most=20),
    Column("PID", rank=6, right=True),
    Column("MEMORY", rank=4, right=True),
)
COLOURS = {"busy": "green", "silent": "red", "failed": "red", "draining": "yellow", "starting": "yellow"}


@click.command()
@click.argument("queues", nargs=-1)
@redis_option
@click.option("--interval", type=click.FloatRange(min=0.1), default=1.0, show_default=True, help="Seconds between.")
def top(queues: tuple[str, ...], redis: str | None, interval: float) -> None:
    """Who works on what, in these QUEUES or in all, until Ctrl-C."""
    if not sys.stdout.isatty():
        raise Refusal("top needs a terminal", "pullet status --watch", USAGE)
    from rich.live import Live

    screen = console()
    with reading(redis) as reader:
        before = reader.looks(list(queues) or reader.queues())
        with Live(_frame(before, {}, screen.width), console=screen, screen=True, auto_refresh=False) as live:
            try:
                while True:
                    live.refresh()
                    time.sleep(interval)
                    after = reader.looks(list(queues) or reader.queues())
                    live.update(_frame(after, {look.name: look for look in before}, screen.width))
                    before = after
            except KeyboardInterrupt:
                return


def _frame(looks: list[Look], before: dict[str, Look], width: int) -> Group:
    from rich.console import Group
    from rich.text import Text

    queues = [_queue_row(look, before.get(look.name)) for look in looks]
    workers = [row for look in looks for row in _worker_rows(look, before.get(look.name))]
    return Group(table(QUEUES, queues, width), Text(), table(WORKERS, workers, width))


def _queue_row(look: Look, before: Look | None) -> list[Cell]:
    from pullet_console.reading.queues import rates, summarise

    one = summarise(look)
    passed = rates(summarise(before), one) if before else None
    return [
        Styled(one.name, "bold"),
        f"{one.waiting:,}",
        f"{one.running:,}",
        f"{passed.done:.1f}" if passed else "-",
        age(one.oldest_s) if one.waiting else "-",
        f"{one.workers_busy}/{one.workers}",
        Styled(f"{one.dead:,}", "red" if one.dead else ""),
    ]


def _worker_rows(look: Look, before: Look | None) -> list[list[Cell]]:
    from pullet_console.reading.queues import list_workers

    earlier = {one.consumer: one for one in list_workers(before)} if before else {}
    passed = (look.at_ms - before.at_ms) / 1000 if before else 0.0
    return [_worker_row(look.name, one, earlier.get(one.consumer), passed) for one in list_workers(look)]


def _worker_row(queue: str, one: WorkerView, before: WorkerView | None, passed: float) -> list[Cell]:
    return [
        one.name,
        Styled(one.state, COLOURS.get(one.state, "")),
        busy_share(one, before, passed),
        one.method or "-",
        f"{one.done:,}",
        f"{one.failed:,}",
        queue,
        one.host,
        str(one.pid),
        size(one.rss),
    ]


def busy_share(one: WorkerView, before: WorkerView | None, passed: float) -> str:
    """How much of the time between two looks a worker ran jobs; several at once count as many times."""
    if before is None or passed <= 0:
        return "-"
    return f"{max(0.0, one.busy_s - before.busy_s) / passed:.0%}"
