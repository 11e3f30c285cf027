"""cancel: a caller asks that a job does not run; and how the workers that run it hear of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pullet_broker.moves.settling import settling
from pullet_broker.scripting import Arg, Call, fixed_keys, load
from pullet_broker.settings import Queue

STOPS = 1000
"""The most requests in one read."""
STOPS_LIVE_S, STOPS_KEPT = 60.0, 10_000
"""How long after the last one the stream of requests ends, and about how many it holds at most."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Somebody wants that a job stops. `force`: at the price of its worker, where it cannot be interrupted."""

    job: str
    force: bool


def cancel(queue: Queue, job: str, *, force: bool = False) -> Call[str]:
    """Ask that a job does not run. Answers CANCELLED (it was parked), DONE (too late) or ASKED."""
    script = load("cancel")
    args = script.arguments(job=job, force=int(force), **settling(queue))
    return Call(script, fixed_keys(script, queue.keys), args, lambda raw: str(raw.decode()))


def look_for_tombstone(queue: Queue, job: str) -> tuple[Arg, ...]:
    """Asks whether a job is cancelled. Read the answer with `is_tombstone`."""
    return ("ZSCORE", queue.keys.fixed("cancelled"), job)


def is_tombstone(raw: bytes | None) -> bool:
    """False also for one that `submit` has made void, because it was meant for an earlier job with the same id."""
    return raw is not None and raw != b"0"


def wait_for_stops(queue: Queue, after: str, block_ms: int) -> tuple[Arg, ...]:
    """The blocking read of a worker: all that was asked for after the entry `after`. Read it with `read_stops`."""
    return ("XREAD", "COUNT", STOPS, "BLOCK", block_ms, "STREAMS", queue.keys.fixed("stops"), after)


@dataclass(frozen=True, slots=True)
class Heard:
    """What one read brought."""

    stops: list[Stop]
    is_call: bool
    """Somebody wants all workers to look at the queue, wherever they wait: see `pausing`."""
    last: str | None
    """The id of the last entry; None where there was nothing."""


def read_stops(raw: Any) -> Heard:
    """Anybody may have written the entries."""
    rows = raw[0][1] if raw else []
    found = [dict(zip(flat[::2], flat[1::2], strict=False)) for _, flat in rows]
    stops = [Stop(one[b"job"].decode(errors="replace"), one.get(b"force") == b"1") for one in found if b"job" in one]
    return Heard(stops, len(stops) < len(found), rows[-1][0].decode() if rows else None)
