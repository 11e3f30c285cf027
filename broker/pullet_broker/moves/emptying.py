"""empty: end all jobs of a queue that nobody has taken."""

from __future__ import annotations

import os
from dataclasses import dataclass

from pullet_broker.moves.settling import settling
from pullet_broker.scripting import Call, fixed_keys, load
from pullet_broker.settings import Queue

PIECE = 200
"""Jobs that one call ends."""


@dataclass(frozen=True, slots=True)
class Emptied:
    ended: int
    more: bool
    """There may be more: empty again."""


def empty(queue: Queue, latest_ms: int) -> Call[Emptied]:
    """Cancel up to `PIECE` jobs that wait and were issued up to this time of the server, or that are delayed."""
    script = load("empty")
    consumer = f"empty.{os.urandom(6).hex()}"
    args = script.arguments(consumer=consumer, latest=latest_ms, most=PIECE, **settling(queue))
    return Call(script, fixed_keys(script, queue.keys), args, lambda raw: Emptied(raw[0], bool(raw[1])))
