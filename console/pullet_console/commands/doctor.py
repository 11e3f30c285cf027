"""`pullet doctor`: what is wrong, and the remedy."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from pullet_console.commands.options import json_option, named_address, redis_option
from pullet_console.refusals import FAILED, NO_CONNECTION
from pullet_console.screen import count, say, write_json

if TYPE_CHECKING:
    from pullet_broker.address import Address
    from pullet_console.doctor.findings import Finding

SIGNS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}


@click.command()
@redis_option
@json_option
def doctor(redis: str | None, as_json: bool) -> None:
    """Look at this machine, the server, the rights of this account, the queues and the Ray cluster.

    The exit code is 0 when nothing fails (warnings may be there), 1 when something does, 3 when the server does not
    answer or refuses this account.
    """
    from pullet_console.doctor.cluster import look_at_cluster
    from pullet_console.doctor.machine import look_at_machine
    from pullet_console.doctor.server import look_at_server

    address = named_address(redis)
    server, connected = look_at_server(address)
    found = [*look_at_machine(), *server]
    if address and connected:
        found += _queues(address)
    found += look_at_cluster(os.environ.get("RAY_ADDRESS"))
    if as_json:
        write_json({"findings": found, "ok": not any(one.level == "fail" for one in found)})
    else:
        _print(found)
    if any(one.level == "fail" for one in found):
        raise click.exceptions.Exit(FAILED if connected else NO_CONNECTION)


def _print(found: list[Finding]) -> None:
    for one in found:
        say(f"{SIGNS[one.level]}  {one.about}: {one.found}")
        if one.remedy:
            say(f"      try: {one.remedy}")
    faults, doubts = (sum(one.level == level for one in found) for level in ("fail", "warn"))
    if not faults:
        say(f"nothing fails, {count(doubts, 'warning')}")
    else:
        say(f"{count(faults, 'fault')}, {count(doubts, 'warning')}; the remedy is below each")


def _queues(address: Address) -> list[Finding]:
    """How much there is, and what is unusual about it."""
    from pullet_broker.errors import ServerError
    from pullet_console.commands.status import hints
    from pullet_console.doctor.findings import ok, warn
    from pullet_console.reading.reader import Reader

    try:
        with Reader(address) as reader:
            summaries = reader.summaries()
    except ServerError as error:
        return [warn("queues", f"cannot be read: {error}", "see the rights above")]
    waiting = sum(one.waiting for one in summaries)
    dead = sum(one.dead for one in summaries)
    total = f"{count(len(summaries), 'queue')}, {count(waiting, 'waiting job')}, {count(dead, 'dead letter')}"
    found = [ok("queues", total)]
    for one in summaries:
        for text, _, remedy in (line.partition(": ") for line in hints(one)):
            found.append(warn("queues", text, remedy))
    return found
