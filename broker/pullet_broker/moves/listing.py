"""Page through the jobs of a queue, for people: what waits, what runs, what is delayed. Reads only, a page at a time.

The commands of one page are built here and their answers are read here. What an entry holds may have been written by
anybody, so everything can be read: what is missing or makes no sense is empty or 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgpack

from pullet_broker.job import whole
from pullet_broker.keys import GROUP, LANES
from pullet_broker.scripting import Arg
from pullet_broker.settings import Queue


@dataclass(frozen=True)
class Listed:
    """One job that has not ended, as it lies in its lane or among the delayed ones."""

    id: str
    method: str
    lane: str
    """One of `LANES`, `at:<place>`, or `delayed`."""
    entry: str
    """Its place there: the id of the entry, or the time at which a delayed job is due, in ms."""
    fields: dict[str, str]
    """All fields but the arguments, as text."""
    payload: bytes | None
    """The encoded arguments, or None when they lie beside the entry."""

    @property
    def attempt(self) -> int:
        return self.number("attempt", 1)

    @property
    def since_ms(self) -> int:
        """When the job was first issued, on the server's clock; 0 for a delayed one that was not issued yet."""
        return self.number("since", 0 if self.lane == "delayed" else entry_ms(self.entry))

    def number(self, name: str, default: int = 0) -> int:
        """A field that is a whole number."""
        return whole(self.fields.get(name, "").encode(), default)


def entry_ms(entry: str) -> int:
    """The server's time at which an entry was added."""
    return whole(entry.partition("-")[0].encode(), 0)


def lanes_of(queue: Queue, places: Sequence[str]) -> dict[str, str]:
    """Name -> key of every lane: the common ones, then those of the places."""
    common = dict(zip(LANES, queue.keys.lanes, strict=False))
    return common | {f"at:{place}": queue.keys.at(place) for place in sorted(places)}


def ask_places(queue: Queue) -> tuple[Arg, ...]:
    return ("SMEMBERS", queue.keys.fixed("places"))


def ask_group(stream: str) -> tuple[Arg, ...]:
    """For `read_delivered`."""
    return ("XINFO", "GROUPS", stream)


def read_delivered(raw: Any) -> str:
    """The last entry that any worker has taken: those behind it wait."""
    for group in raw:
        fields = dict(zip(group[::2], group[1::2], strict=False))
        if fields.get(b"name") == GROUP.encode():
            return str(fields[b"last-delivered-id"].decode())
    return "0-0"


def ask_behind(stream: str, entry: str, count: int) -> tuple[Arg, ...]:
    """The next entries behind one, for `read_listed`."""
    return ("XRANGE", stream, f"({entry}", "+", "COUNT", count)


def ask_entry(stream: str, entry: str) -> tuple[Arg, ...]:
    return ("XRANGE", stream, entry, entry)


def ask_pending(stream: str, after: str, count: int) -> tuple[Arg, ...]:
    """What was taken and has not ended, for `read_pending`; `after` "" begins with the oldest."""
    return ("XPENDING", stream, GROUP, f"({after}" if after else "-", "+", count)


def ask_pending_entry(stream: str, entry: str) -> tuple[Arg, ...]:
    """Who has this one in hand, for `read_pending`."""
    return ("XPENDING", stream, GROUP, entry, entry, 1)


@dataclass(frozen=True)
class Taken:
    """Who has an entry in hand, and for how many milliseconds."""

    entry: str
    consumer: str
    held_ms: int


def read_pending(raw: Any) -> list[Taken]:
    return [Taken(row[0].decode(), row[1].decode(errors="replace"), int(row[2])) for row in raw]


def read_listed(lane: str, raw: Any) -> list[Listed]:
    """Jobs from the entries of a lane."""
    return [_listed(lane, entry.decode(), flat) for entry, flat in raw]


def ask_delayed(queue: Queue, first: int, count: int) -> tuple[Arg, ...]:
    """Job and due time of the delayed jobs from this rank, the next one first."""
    return ("ZRANGE", queue.keys.fixed("delayed"), first, first + count - 1, "WITHSCORES")


def ask_rank(queue: Queue, job: str) -> tuple[Arg, ...]:
    return ("ZRANK", queue.keys.fixed("delayed"), job)


def ask_due(queue: Queue, job: str) -> tuple[Arg, ...]:
    return ("ZSCORE", queue.keys.fixed("delayed"), job)


def ask_earlier(queue: Queue, due: str) -> tuple[Arg, ...]:
    """How many delayed jobs are due before this time."""
    return ("ZCOUNT", queue.keys.fixed("delayed"), "-inf", f"({due}")


def ask_parked(queue: Queue, jobs: Sequence[str]) -> tuple[Arg, ...]:
    """What those jobs are, for `read_parked`."""
    return ("HMGET", queue.keys.fixed("parked"), *jobs)


def read_parked(job: str, due: str, packed: bytes | None) -> Listed:
    """A delayed job from its fields, which a script has packed."""
    try:
        flat = msgpack.unpackb(packed or b"\x90", raw=True)
    except (ValueError, msgpack.UnpackException):
        flat = []
    parts = flat if isinstance(flat, list) else []
    fields = [part if isinstance(part, bytes) else str(part).encode() for part in parts]
    return _listed("delayed", due, [b"id", job.encode(), *fields])


def _listed(lane: str, entry: str, flat: Sequence[bytes]) -> Listed:
    pairs = dict(zip(flat[::2], flat[1::2], strict=False))
    payload: bytes | None = None if b"blob" in pairs else pairs.get(b"args", b"")
    text = {
        name.decode(errors="replace"): value.decode(errors="replace")
        for name, value in pairs.items()
        if name != b"args"
    }
    return Listed(text.get("id", ""), text.get("method", ""), lane, entry, text, payload)
