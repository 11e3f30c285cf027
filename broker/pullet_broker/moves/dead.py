"""What may be done with dead letters: replay and purge, and the reads that list them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from pullet_broker.scripting import Arg, Call, fixed_keys, load
from pullet_broker.settings import SCHEMA, Queue

PAGE = 50
"""Letters in one read: each may hold a long traceback."""


class Replay(Enum):
    """What became of a replay."""

    OK = b"OK"
    MISSING = b"MISSING"
    """There is no such letter, or it was replayed before."""
    GONE = b"GONE"
    """Its large arguments have expired."""
    FULL = b"FULL"
    """The backlog limit is reached."""
    SCHEMA = b"SCHEMA"


@dataclass(frozen=True, slots=True)
class Replayed:
    answer: Replay
    backlog: int
    limit: int


def replay(queue: Queue, job: str) -> Call[Replayed]:
    """Run the job of a dead letter once more, as if it were new."""
    script = load("replay")
    args = script.arguments(
        schema=SCHEMA,
        job=job,
        home_ms=queue.affinity.home_ms,
        backlog=queue.limits.backlog_jobs,
        reply=queue.keys.reply_prefix,
        blob=queue.keys.blob_prefix,
    )
    return Call(script, fixed_keys(script, queue.keys), args, _read_replayed)


def _read_replayed(raw: Any) -> Replayed:
    return Replayed(Replay(raw[0]), raw[1], raw[2])


def purge(queue: Queue, job: str) -> Call[bool]:
    """Remove a dead letter for good; False when there was none."""
    script = load("purge")
    args = script.arguments(job=job, blob=queue.keys.blob_prefix)
    return Call(script, fixed_keys(script, queue.keys), args, bool)


def letters_after(queue: Queue, cursor: str, last: str = "+") -> tuple[Arg, ...]:
    """The next `PAGE` letters behind a place, up to `last`; "" begins with the oldest."""
    return ("XRANGE", queue.keys.fixed("dead"), f"({cursor}" if cursor else "-", last, "COUNT", PAGE)


def letters_before(queue: Queue, cursor: str, count: int = PAGE) -> tuple[Arg, ...]:
    """The next letters before a place, the newest first; "" begins with the newest."""
    return ("XREVRANGE", queue.keys.fixed("dead"), f"({cursor}" if cursor else "+", "-", "COUNT", count)


def newest_letter(queue: Queue) -> tuple[Arg, ...]:
    return ("XREVRANGE", queue.keys.fixed("dead"), "+", "-", "COUNT", 1)


def count_letters(queue: Queue) -> tuple[Arg, ...]:
    return ("XLEN", queue.keys.fixed("dead"))


def place_of_letter(queue: Queue, job: str) -> tuple[Arg, ...]:
    """Where the letter of a job is, or None."""
    return ("HGET", queue.keys.fixed("buried"), job)


def letter_at(queue: Queue, place: str) -> tuple[Arg, ...]:
    return ("XRANGE", queue.keys.fixed("dead"), place, place)
