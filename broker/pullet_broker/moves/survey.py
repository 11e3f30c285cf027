"""One look at a queue: what waits, what runs, and who is registered."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pullet_broker.scripting import Arg, Call, fixed_keys, load
from pullet_broker.settings import Queue


@dataclass(frozen=True)
class Survey:
    """A queue at one moment."""

    waiting: int
    """Jobs that nobody has taken, delayed ones that are due included: the backlog, as scalers read it."""
    running: int
    oldest_s: float
    """Age of the job that waits longest."""
    paused: bool
    records: dict[str, dict[str, Any]]
    """Consumer -> what it says of itself; empty where that cannot be read: anybody may have written it."""
    beats: dict[str, str]
    jobs: dict[str, int]
    """Consumer -> jobs in its hand."""
    tops: list[str]
    """The last entry of each lane: whoever reads on from there misses nothing."""


def survey(queue: Queue) -> Call[Survey]:
    """Look at a queue. Changes nothing."""
    script = load("survey")
    return Call(script, fixed_keys(script, queue.keys), script.arguments(), _read)


def _read(raw: Any) -> Survey:
    waiting, running, oldest_ms, paused, records, beats, jobs, tops = raw
    in_hand: dict[str, int] = {}
    for consumer, count in zip(jobs[::2], jobs[1::2], strict=True):
        name = consumer.decode(errors="replace")
        in_hand[name] = in_hand.get(name, 0) + count
    return Survey(
        waiting,
        running,
        oldest_ms / 1000,
        bool(paused),
        {name.decode(errors="replace"): _record(text) for name, text in zip(records[::2], records[1::2], strict=True)},
        {
            name.decode(errors="replace"): text.decode(errors="replace")
            for name, text in zip(beats[::2], beats[1::2], strict=True)
        },
        in_hand,
        [top.decode() for top in tops],
    )


def _record(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def wait_for_entries(queue: Queue, tops: list[str], block_ms: int) -> tuple[Arg, ...]:
    """A blocking read that ends when any lane gets an entry behind `tops`. It takes nothing."""
    return ("XREAD", "COUNT", 1, "BLOCK", block_ms, "STREAMS", *queue.keys.lanes, *tops)
