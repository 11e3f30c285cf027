"""find and watch: any client looks where a job is, and hears how it ends, whoever submitted it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pullet_broker.scripting import Call, fixed_keys, load
from pullet_broker.settings import Queue

PAGE = 200
"""Entries that one `find` looks at: their arguments pass through the server's memory."""
READERS = 100
"""Clients that may wait for one job beside the one that submitted it."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one look for a job told. `where` is reply, parked, lane, more or nowhere."""

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
    return Found("nowhere")


def _whole(text: str) -> int:
    """An attempt as an entry has it, which somebody may have written by hand."""
    return int(text) if text.isdecimal() and len(text) <= 15 else 1
