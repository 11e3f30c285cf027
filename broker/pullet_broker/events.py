"""How attempts end, as a stream that whoever watches can follow. Nobody pays while nobody watches.

Whoever watches writes `watched` into `config`: until when, in ms of the server's time, and writes it again before that.
Workers hear of it with their next beat, scripts look when they have something to tell. An entry of `events` holds what
one call has ended:

    by      the consumer
    ended   a line for each attempt with which its job ended
    again   a line for each attempt that ended while its job goes on: raised, or lost with its worker
    fenced  which of those attempts (from 1) do not count: their outcomes came too late

A line is `jobs outcome attempt worker run_us ended_us batch entry job client method`. `jobs` is how many such attempts
ran one after the other, with nothing between them: tiny jobs are told together, or hearing of them would cost as much
as running them. Then the words of a reply, where `run_us` is of all of them; when the last one ended, on the server's
clock; how many jobs shared the call; and the first one's entry, whose time tells since when it waited.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from pullet_broker.job import Entry
from pullet_broker.parts import Parts
from pullet_broker.reply import first_line
from pullet_broker.scripting import Arg
from pullet_broker.settings import Queue

WATCH_MS = 10_000
"""How long a watcher is believed to watch."""
GAP_US, ROW_US = 2_000, 50_000
"""Attempts with no longer gaps between them are told together, up to this length of a row."""
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
    jobs: int = 1
    """How many like it this stands for: `job` is the first of them."""

    @property
    def waited_s(self) -> float:
        return max(0.0, self.started - self.queued)

    @property
    def run_s(self) -> float:
        """Of one job: the time of the call, or of the row, divided by those who shared it."""
        return (self.ended - self.started) / (self.batch if self.batch > 1 else self.jobs)


Note: TypeAlias = tuple[int, float, int]
"""What a worker notes of an attempt that has ended: when (us, the server's clock), how long it ran (s), how many jobs
shared the call. A plain tuple, because one is made for every job."""


class Noted(Protocol):
    """An outcome."""

    @property
    def entry(self) -> Entry: ...
    @property
    def reply(self) -> bytes | Parts: ...
    @property
    def event(self) -> Note | None: ...


def tell(outcomes: Sequence[Noted]) -> str:
    """The lines for the outcomes of one call; nothing where nobody watches."""
    if not outcomes or (outcomes[0].event is None and outcomes[-1].event is None):
        return ""
    lines: list[str] = []
    place, count = 0, len(outcomes)
    while place < count:
        end, run_s = _row(outcomes, place)
        lines.append(_line(outcomes[place], outcomes[end - 1].event, end - place, run_s))
        place = end
    return "\n".join(lines)


def _row(outcomes: Sequence[Noted], first: int) -> tuple[int, float]:
    """Where the attempts end that are told together with this one, and how long all of them ran."""
    start = outcomes[first]
    entry, last = start.entry, start.event
    if last is None:
        return first + 1, 0.0
    ended_us, run_s, batch = last
    if not _went_well(start.reply):
        return first + 1, run_s
    method, client, latest_us = entry.method, entry.client, ended_us - run_s * 1e6 + ROW_US
    for end in range(first + 1, len(outcomes)):
        outcome = outcomes[end]
        note, other = outcome.event, outcome.entry
        if note is None or note[2] != batch or note[0] > latest_us or other.method != method or other.client != client:
            return end, run_s
        if (batch == 1 and note[0] - note[1] * 1e6 - ended_us > GAP_US) or not _went_well(outcome.reply):
            return end, run_s
        ended_us = note[0]
        run_s += note[1]
    return len(outcomes), run_s


def _went_well(reply: bytes | Parts) -> bool:
    return isinstance(reply, bytes) and reply.startswith(b"ok 1 ")


def _line(first: Noted, last: Note | None, jobs: int, run_s: float) -> str:
    """`last` is the note of the last one."""
    if last is None:
        return "1"
    entry = first.entry
    head = first_line(first.reply).decode().rpartition(" ")[0]
    who = f"{entry.id} {_plain(entry.job)} {_plain(entry.client)} {_plain(entry.method)}"
    return f"{jobs} {head} {int(run_s * 1e6)} {last[0]} {last[2]} {who}"


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
    late = [_number(word.decode(errors="replace")) for word in fields.get(b"fenced", b"").split()]
    for what in (b"ended", b"again"):
        place = 0
        for text in fields.get(what, b"").decode(errors="replace").split("\n"):
            words = text.split(" ", 10)
            jobs = max(1, _number(words[0]))
            lost = sum(place < one <= place + jobs for one in late) if late else 0
            place += jobs
            if len(words) == 11 and lost < jobs:
                yield _read_line(words, consumer, what == b"ended", lost)


def _read_line(words: list[str], consumer: str, is_last: bool, lost: int) -> Ended:
    many, outcome, attempt, _, run_us, ended_us, batch, entry, job, client, method = words
    ended, shared, jobs = _number(ended_us, 18) / 1e6, max(1, _number(batch)), max(1, _number(many))
    run_s = _number(run_us) / 1e6
    started = ended - (run_s / jobs * shared if shared > 1 else run_s)
    queued = min(started, _number(entry.partition("-")[0]) / 1000 or started)
    return Ended(
        job=job,
        method=method,
        client=client,
        consumer=consumer,
        outcome=outcome,
        attempt=_number(attempt),
        queued=queued,
        started=started,
        ended=ended,
        batch=shared,
        is_last=is_last,
        jobs=jobs - lost,
    )


def _number(text: str, most: int = 15) -> int:
    return int(text) if text.isdecimal() and len(text) <= most else 0


def _plain(text: str) -> str:
    """Names come from outside: they must end neither their line nor their place in it."""
    return text if text.isalnum() else _UNSAFE.sub("?", text[:200])
