"""`pullet bench`: what one job costs here."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from pullet_console.commands.options import json_option, named_address, redis_option
from pullet_console.screen import note, say, size, write_json

if TYPE_CHECKING:
    from pullet_broker.address import Address

UNITS = {"": 1, "k": 1_000, "m": 1_000_000}


def read_bytes(ctx: click.Context, param: click.Parameter, text: str) -> int:
    """100, 1k, 1M."""
    found = re.fullmatch(r"(\d{1,9})([km]?)b?", text.lower())
    if not found:
        raise click.BadParameter(f"{text!r}: expected bytes, as 100, 1k or 1M")
    return int(found[1]) * UNITS[found[2]]


@click.command()
@redis_option
@json_option
@click.option("--jobs", type=click.IntRange(100, 10_000_000), default=10_000, show_default=True, help="At most speed.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes.")
@click.option("--payload", callback=read_bytes, default="100", show_default=True, help="Bytes of argument and result.")
def bench(redis: str | None, as_json: bool, jobs: int, workers: int, payload: int) -> None:
    """Measure the throughput and the latency of an engine that gives back what it gets.

    On the server that is named, or on a private one; without Ray. Its queue is removed afterwards.

    \b
    pullet bench --workers 2 --payload 1k
    """
    from pullet_console.benching import measure

    with _server(named_address(redis)) as address:
        note(f"{jobs:,} jobs of {size(payload)}, workers: {workers}, server: {address}")
        found = measure(address, jobs, workers, payload)
    if as_json:
        write_json(found)
        return
    say(f"throughput   {found.jobs_per_s:,.0f} jobs/s")
    say(f"latency      {found.p50_ms:.2f} ms median, {found.p95_ms:.2f} ms p95, {found.p99_ms:.2f} ms p99")


@contextlib.contextmanager
def _server(address: Address | None) -> Iterator[Address]:
    """The server that was named, or one of our own."""
    from pullet_broker.address import Address
    from pullet_broker.embedded import EmbeddedServer

    if address is not None:
        yield address
        return
    with EmbeddedServer.start() as server:
        yield Address(server.url)
