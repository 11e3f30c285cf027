"""find, late and watch: any client looks where jobs are, and hears how one ends, whoever submitted it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pullet_broker.scripting import Call, fixed_keys, load
from pullet_broker.settings import Queue

PAGE = 200
"""Entries that one `find` looks at: their arguments pass through the server's memory."""
LATE = 1000
"""The most jobs in one `late`."""
SKEW_MS = 60_000
"""How far the clock of the client that made a job's id may be ahead of the server's."""
HELD = 5000
"""Entries in workers' hands that one `late` looks through, a lane."""
READERS = 100
"""Clients that may wait for one job beside the one that submitted it."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one look for a job told. `where` is reply, parked, lane, more, nowhere, or hidden: one may not look."""

    where: str
    head: str = ""
    """reply: the first line of it."""
    consumer: str = ""
    """lane: who runs the job, or has it in hand; empty while it waits."""
    attempt: int = 0
    progress: bytes = b""
    """How far it was at last, see `pullet_broker.progress`."""
    lane: int = 0
    start: str = ""
    """more: where to go on."""
    stream: str = field(default="", compare=False)
    """lane: the key of the stream in which the job's entry lies."""
    entry: str = field(default="", compare=False)


def find(queue: Queue, job: str, since: str, lane: int = 1, start: str | None = None) -> Call[Found]:
    """Look for a job among the entries of `since` (an entry's id) and later; `lane` and `start`: where to go on."""
    script = load("find")
    args = script.arguments(
        job=job, reply=queue.keys.reply_prefix, since=since, lane=lane, **{"from": start or since}, most=PAGE
    )
    return Call(script, fixed_keys(script, queue.keys), args, _read)


def search(queue: Queue, job: str, ask: Callable[[Call[Found]], Found], looks: int) -> Found:
    """Where a job is, by as many looks as it takes: "more" when it was not found by `looks` of them."""
    since = _first_entry_of(job)
    found = ask(find(queue, job, since))
    for _ in range(looks - 1):
        if found.where != "more":
            break
        found = ask(find(queue, job, since, found.lane, found.start))
    return found


def late(queue: Queue, jobs: Sequence[str]) -> Call[list[int]]:
    """Places of those of up to `LATE` jobs that have no reply and that no worker holds. None when nobody can say."""
    script = load("late")
    args = [*script.arguments(reply=queue.keys.reply_prefix, most=HELD), *jobs]
    return Call(script, fixed_keys(script, queue.keys), args, lambda raw: [place - 1 for place in raw])


def watch(queue: Queue, job: str, client: str) -> Call[str]:
    """Have the reply of a job put into the inbox of `client` too. Answers DONE (it is there), WATCHING or FULL."""
    script = load("watch")
    args = script.arguments(
        job=job,
        me=client,
        reply=queue.keys.reply_prefix,
        inbox=queue.keys.inbox_prefix,
        inline=queue.limits.inline_bytes,
        client_ms=queue.lifetimes.client_ms,
        most=READERS,
    )
    return Call(script, fixed_keys(script, queue.keys), args, lambda raw: str(raw.decode()))


def _first_entry_of(job: str) -> str:
    """The id of the first entry that can be of this job: its own id begins with the time it was made at."""
    try:
        made_ms = int(job[:12], 16) if len(job) == 32 else 0
    except ValueError:
        return "0-0"  # an id that somebody chose
    return f"{max(0, made_ms - SKEW_MS)}-0"


def _read(raw: Any) -> Found:
    where, *rest = [part.decode(errors="replace") for part in raw]
    if where == "REPLY":
        return Found("reply", head=rest[0])
    if where == "PARKED":
        return Found("parked", attempt=_whole(rest[0]), progress=raw[2])
    if where == "LANE":
        consumer, attempt, stream, entry, _ = rest
        return Found("lane", "", consumer, _whole(attempt), progress=raw[5], stream=stream, entry=entry)
    if where == "MORE":
        return Found("more", lane=int(rest[0]), start=rest[1])
    if where == "HIDDEN":
        return Found("hidden", progress=raw[1])
    return Found("nowhere")


def _whole(text: str) -> int:
    """An attempt as an entry has it, which somebody may have written by hand."""
    return int(text) if text.isdecimal() and len(text) <= 15 else 1
