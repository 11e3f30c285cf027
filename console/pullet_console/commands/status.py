"""`pullet status`: the answer on one screen."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from pullet_console.commands.options import json_option, reading, redis_option
from pullet_console.screen import Cell, Column, Styled, age, count, say, show, size, write_json

if TYPE_CHECKING:
    from pullet_broker.inspection import ServerFacts
    from pullet_console.reading.queues import QueueSummary, Rates
    from pullet_console.reading.reader import Reader

COLUMNS = (
    Column("QUEUE", most=24),
    Column("WAITING", right=True),
    Column("RUNNING", right=True),
    Column("DELAYED", rank=4, right=True),
    Column("DONE", rank=5, right=True),
    Column("DONE/s", rank=3, right=True),
    Column("FAIL/s", rank=6, right=True),
    Column("OLDEST", rank=2, right=True),
    Column("WORKERS", rank=1, right=True),
    Column("DEAD", rank=1, right=True),
)


@click.command()
@click.argument("queues", nargs=-1)
@redis_option
@json_option
@click.option("--watch", is_flag=True, help="Look again and again, until Ctrl-C.")
@click.option("--interval", type=click.FloatRange(min=0.1), default=1.0, show_default=True, help="Seconds between.")
def status(queues: tuple[str, ...], redis: str | None, as_json: bool, watch: bool, interval: float) -> None:
    """What waits, what runs and who works, in these QUEUES or in all.

    \b
    pullet status
    pullet status chess --json
    pullet status --watch
    """
    with reading(redis) as reader:
        before: dict[str, QueueSummary] = {}
        try:
            while True:
                before = _look(reader, queues, before, as_json=as_json, watch=watch)
                if not watch:
                    return
                time.sleep(interval)
        except KeyboardInterrupt:
            if not watch:
                raise


def _look(
    reader: Reader, queues: Sequence[str], before: dict[str, QueueSummary], *, as_json: bool, watch: bool
) -> dict[str, QueueSummary]:
    from pullet_console.reading.queues import rates

    server, summaries = reader.server(), reader.summaries(queues or None)
    passed = {one.name: rates(before[one.name], one) for one in summaries if one.name in before}
    if as_json:
        write_json(report(str(reader.address), server, summaries, passed), line=watch)
    else:
        if watch and before:
            click.clear()
        _print(str(reader.address), server, summaries, passed)
    return {one.name: one for one in summaries}


def report(
    address: str, server: ServerFacts, summaries: Sequence[QueueSummary], passed: dict[str, Rates | None]
) -> dict[str, Any]:
    """What `--json` prints."""
    from dataclasses import asdict

    queues = [asdict(one) | {"rates": passed.get(one.name)} for one in summaries]
    return {"server": {"address": address, **asdict(server)}, "queues": queues}


def _print(
    address: str, server: ServerFacts, summaries: Sequence[QueueSummary], passed: dict[str, Rates | None]
) -> None:
    say("  ".join(["redis", address, *describe(server)]))
    if summaries:
        show(COLUMNS, [_row(one, passed.get(one.name)) for one in summaries])
    else:
        say("no queues yet: pullet worker MODULE:ENGINE makes one")
    for one in summaries:
        for line in hints(one):
            say(line)


def describe(server: ServerFacts) -> list[str]:
    """The server in a few words."""
    version = ".".join(map(str, server.version)) if server.version else "?"
    persistence = {None: "persistence ?", "none": "NOT PERSISTED"}.get(server.persistence, server.persistence or "")
    failing = " FAILING" if server.writes_ok is False else ""
    return [f"{server.kind or 'server'} {version}", size(server.memory), persistence + failing, server.eviction or "?"]


def _row(one: QueueSummary, passed: Rates | None) -> list[Cell]:
    busy = f"{one.workers_busy}/{one.workers} busy"
    return [
        Styled(one.name, "bold"),
        f"{one.waiting:,}",
        f"{one.running:,}",
        f"{one.delayed:,}",
        f"{one.done:,}",
        f"{passed.done:.1f}" if passed else "-",
        f"{passed.failed:.1f}" if passed else "-",
        age(one.oldest_s) if one.waiting else "-",
        Styled(busy, "red" if one.waiting and not one.workers else ""),
        Styled(f"{one.dead:,}", "red" if one.dead else ""),
    ]


def hints(one: QueueSummary) -> list[str]:
    """What is unusual about a queue, each with what to type."""
    found = []
    if one.paused:
        found.append(f"{one.name} is paused: pullet queue resume {one.name}")
    if one.trouble:
        found.append(f"{one.name}: {one.trouble}")
    if one.waiting and not one.workers:
        found.append(
            f"{count(one.waiting, 'job')} in {one.name} and no worker: pullet worker MODULE:ENGINE --queue {one.name}"
        )
    if one.dead:
        found.append(f"{count(one.dead, 'dead job')} in {one.name}: pullet dead ls {one.name}")
    return found
