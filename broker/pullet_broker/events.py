"""How attempts end, as a stream that whoever watches can follow. Nobody pays while nobody watches.

Whoever watches writes `watched` into `config`: until when, in ms of the server's time, and writes it again before that.
Workers hear of it with their next beat, scripts look when they have something to tell. An entry of `events` holds what
one call has ended:

    by      the consumer
    ended   a line for each attempt with which its job ended
    again   a line for each attempt that ended while its job goes on: raised, or lost with its worker
    fenced  the lines (from 1) that do not count: those outcomes came too late

A line is `outcome attempt worker run_us ended_us batch entry job client method`: the words of a reply, then when it
ended on the server's clock, how many jobs shared the call, and the entry, whose time tells since when it waited.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pullet_broker.job import Entry
from pullet_broker.scripting import Arg
from pullet_broker.settings import Queue

WATCH_MS = 10_000
"""How long a watcher is believed to watch."""
PAGE = 500
"""Entries in one read: each holds up to 64 lines."""

_UNSAFE = re.compile(r"[\s\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Ended:
    """One attempt that ended. Times are seconds since the epoch on the server's clock."""

    job: str
    method: str
    client: str
    consumer: str
    outcome: str
    """ok, error, timeout, cancelled, expired, crashed; lost where the worker's node went."""
    attempt: int
    queued: float
    """Since when this attempt waited."""
    started: float
    ended: float
    batch: int
    """How many jobs shared the call."""
    is_last: bool
    """The job ended with it."""

    @property
    def waited_s(self) -> float:
        return max(0.0, self.started - self.queued)

    @property
    def run_s(self) -> float:
        """Of this job: the call's time, divided by those who shared it."""
        return (self.ended - self.started) / self.batch


def line(entry: Entry, head: str, ended_us: int, batch: int) -> str:
    """What a worker tells of an attempt; `head` is the first line of its reply."""
    return f"{head} {ended_us} {batch} {entry.id} {_plain(entry.job)} {_plain(entry.client)} {_plain(entry.method)}"


def join_lines(lines: Sequence[str]) -> str:
    """The lines in their places: a fenced one is known by its number."""
    return "\n".join(lines) if any(lines) else ""


def watch_until(queue: Queue, until_ms: int) -> tuple[Arg, ...]:
    """Say that somebody watches, until then by the server's clock; `WATCH_MS` ahead is meant."""
    return ("HSET", queue.keys.fixed("config"), "watched", until_ms)


def events_after(queue: Queue, cursor: str) -> tuple[Arg, ...]:
    """The next `PAGE` entries behind a place in the stream; "" begins with the oldest."""
    return ("XRANGE", queue.keys.fixed("events"), f"({cursor}" if cursor else "-", "+", "COUNT", PAGE)


def wait_for_events(queue: Queue, cursor: str, block_ms: int) -> tuple[Arg, ...]:
    """A blocking read of what comes behind a place."""
    return ("XREAD", "COUNT", PAGE, "BLOCK", block_ms, "STREAMS", queue.keys.fixed("events"), cursor or "0-0")


def read_events(entries: Sequence[Any]) -> tuple[list[Ended], str]:
    """The attempts of these entries, and the place of the last. What makes no sense is left out."""
    found: list[Ended] = []
    for _, flat in entries:
        found += _read_entry(dict(zip(flat[::2], flat[1::2], strict=False)))
    return found, entries[-1][0].decode() if entries else ""


def _read_entry(fields: dict[bytes, bytes]) -> Iterator[Ended]:
    consumer = fields.get(b"by", b"").decode(errors="replace")
    fenced = set(fields.get(b"fenced", b"").split())
    for what in (b"ended", b"again"):
        for place, text in enumerate(fields.get(what, b"").split(b"\n"), 1):
            if text and b"%d" % place not in fenced:
                ended = _read_line(text.decode(errors="replace"), consumer, what == b"ended")
                if ended:
                    yield ended


def _read_line(text: str, consumer: str, is_last: bool) -> Ended | None:
    words = text.split(" ", 9)
    if len(words) != 10:
        return None
    outcome, attempt, _, run_us, ended_us, batch, entry, job, client, method = words
    ended = _number(ended_us, 18) / 1e6
    many = max(1, _number(batch))
    started = ended - _number(run_us) / 1e6 * many
    queued = _number(entry.partition("-")[0]) / 1000 or started
    return Ended(
        job, method, client, consumer, outcome, _number(attempt), min(queued, started), started, ended, many, is_last
    )


def _number(text: str, most: int = 15) -> int:
    return int(text) if text.isdecimal() and len(text) <= most else 0


def _plain(text: str) -> str:
    """Names come from outside: they must end neither their line nor their place in it."""
    return text if text.isalnum() else _UNSAFE.sub("?", text[:200])
