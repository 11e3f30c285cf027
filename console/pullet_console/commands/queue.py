"""`pullet queue`: pause, resume, drain, purge, and the keys of a queue."""

from __future__ import annotations

import os
import shlex
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

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
from pullet_console.refusals import FAILED, Refusal
from pullet_console.screen import age, count, note, say, write_json

if TYPE_CHECKING:
    from pullet_broker.moves.emptying import Emptied
    from pullet_console.reading.queues import QueueSummary
    from pullet_console.reading.reader import Reader

LOOK_S = 0.5
"""How often `drain` looks: nothing tells when the last job of a queue has ended."""


@click.group()
def queue() -> None:
    """Pause, resume, drain and purge queues; show their keys."""


@queue.command()
@queue_argument
@redis_option
def pause(queue: str | None, redis: str | None) -> None:
    """Let no worker of a QUEUE take another job. Running jobs end; callers may go on submitting."""
    from pullet_broker.moves import pausing
    from pullet_broker.settings import Queue

    with reading(redis) as reader:
        name = pick_queue(reader, queue)
        pausing.pause(Queue(name=name), reader.ask)
    say(f"{name} is paused; go on with: pullet queue resume {name}")


@queue.command()
@queue_argument
@redis_option
def resume(queue: str | None, redis: str | None) -> None:
    """End the pause of a QUEUE."""
    from pullet_broker.moves import pausing
    from pullet_broker.settings import Queue

    with reading(redis) as reader:
        name = pick_queue(reader, queue)
        pausing.resume(Queue(name=name), reader.ask)
    say(f"{name} goes on")


@queue.command()
@queue_argument
@redis_option
@json_option
@click.option("--timeout", type=click.FloatRange(min=0), help="Seconds. [default: as long as it takes]")
def drain(queue: str | None, redis: str | None, as_json: bool, timeout: float | None) -> None:
    """Wait until nothing waits and nothing runs in a QUEUE. The exit code is 1 when the time is over first."""
    with reading(redis) as reader:
        name = pick_queue(reader, queue)
        begun = time.monotonic()
        one = _summary(reader, name)
        while one.waiting + one.running + one.delayed:
            passed = time.monotonic() - begun
            if timeout is not None and passed >= timeout:
                raise Refusal(_left(one, passed), f"pullet status {name}", FAILED)
            time.sleep(LOOK_S if timeout is None else min(LOOK_S, timeout - passed))
            one = _summary(reader, name)
    took = time.monotonic() - begun
    if as_json:
        write_json({"queue": name, "seconds": took, "done": one.done, "failed": one.failed})
    else:
        say(f"{name} is empty after {age(took)}")


def _summary(reader: Reader, name: str) -> QueueSummary:
    return reader.summaries([name])[0]


def _left(one: QueueSummary, passed: float) -> str:
    left = f"{one.waiting:,} wait, {one.running:,} run, {one.delayed:,} are delayed"
    why = "; it is paused" if one.paused else "; it has no workers" if not one.workers else ""
    return f"{one.name} is not empty after {age(passed)}: {left}{why}"


@queue.command()
@queue_argument
@redis_option
@json_option
@yes_option
def purge(queue: str | None, redis: str | None, as_json: bool, yes: bool) -> None:
    """Cancel all jobs of a QUEUE that no worker has taken, and the delayed ones. Their callers get CancelledError.

    Jobs that run are let be. Jobs that are submitted from now on are not touched.
    """
    from pullet_broker.moves.emptying import empty
    from pullet_broker.settings import Queue

    with reading(redis) as reader:
        name = pick_queue(reader, queue)
        one = _summary(reader, name)
        confirm(f"cancel {count(one.waiting + one.delayed, 'job')} of {name}", yes)
        until = int(reader.now() * 1000)
        done = 0
        more = True
        while more:
            emptied: Emptied = reader.run(empty(Queue(name=name), until))
            done, more = done + emptied.ended, emptied.more
    if as_json:
        write_json({"queue": name, "cancelled": done})
    else:
        say(f"{count(done, 'job')} of {name} cancelled")


@queue.command()
@queue_argument
@redis_option
@json_option
def keys(queue: str | None, redis: str | None, as_json: bool) -> None:
    """The Redis keys of a QUEUE, what each holds, and a redis-cli line for it. All of these only read."""
    from pullet_broker.server_binary import find_cli
    from pullet_console.reading.keymap import keymap

    with reading(redis) as reader:
        name = pick_queue(reader, queue)
        client = shlex.join([_client(find_cli()), *_where(str(reader.address))])
        rows = keymap(name)
        there = reader.sizes([row.key for row in rows if "<" not in row.key])
    if as_json:
        found = [
            {
                "key": row.key,
                "type": row.type,
                "holds": row.holds,
                "size": there.get(row.key),
                "command": f"{client} {row.command}",
            }
            for row in rows
        ]
        write_json({"queue": name, "keys": found})
        return
    if os.environ.get("PULLET_REDIS_PASSWORD_FILE"):
        note("first: export REDISCLI_AUTH=$(cat $PULLET_REDIS_PASSWORD_FILE)")
    for row in rows:
        held = there.get(row.key)
        say(f"{row.key}  ({row.type}) {row.holds}" + (f": {held:,} now" if held else ""))
        say(f"    {client} {row.command}")


def _client(found: Path | None) -> str:
    """The short name where the shell finds it."""
    if found is None:
        return "redis-cli"
    return found.name if shutil.which(found.name) else str(found)


def _where(address: str) -> list[str]:
    """How redis-cli is told where the server is."""
    if address.startswith("unix://"):
        return ["-s", address.removeprefix("unix://")]
    return ["-u", address]
