"""One page of jobs: lane after lane, each read a bounded piece at a time, however many jobs there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pullet_broker.link import Link
from pullet_broker.moves.listing import (
    ask_behind,
    ask_delayed,
    ask_earlier,
    ask_entry,
    ask_group,
    ask_parked,
    ask_pending,
    ask_places,
    ask_rank,
    lanes_of,
    read_delivered,
    read_listed,
    read_parked,
    read_pending,
)
from pullet_broker.settings import Queue
from pullet_console.reading.asking import ask_all, ask_lane
from pullet_console.reading.jobs import STATES, JobPage, JobView, view

PIECE = 100
"""Entries that one command reads: their arguments, up to 16 KiB each, come along."""
MOST = 5_000
"""Jobs that are looked through for one page. A page that a filter leaves nearly empty ends there, and has a `next`."""


def list_jobs(link: Link, queue: Queue, state: str, *, after: str, limit: int, method: str) -> JobPage:
    """Up to `limit` jobs in this state, of one method if it is given, behind the cursor `after`.

    Jobs move while they are listed, so what is met later may be met twice or not at all. Raises `ValueError` for a
    state or a cursor that there is not.
    """
    walks: dict[str, Callable[[Link, Queue, str], Iterator[JobView]]] = {
        "waiting": _waiting,
        "running": _running,
        "delayed": _delayed,
    }
    if state not in walks:
        raise ValueError(f"state {state!r}: expected one of {', '.join(STATES)}")
    found: list[JobView] = []
    last = ""
    for looked, job in enumerate(walks[state](link, queue, after)):
        if looked == MOST or len(found) == limit:
            return JobPage(state, tuple(found), last)
        last = job.cursor
        if method in ("", job.method):
            found.append(job)
    return JobPage(state, tuple(found), "")


def _waiting(link: Link, queue: Queue, after: str) -> Iterator[JobView]:
    for lane, stream, start in _lanes(link, queue, after):
        delivered = read_delivered(ask_lane(link, ask_group(stream)))
        place = max(start, delivered, key=_order)
        while entries := ask_lane(link, ask_behind(stream, place, PIECE)):
            for found in read_listed(lane, entries):
                place = found.entry
                yield view(found)


def _running(link: Link, queue: Queue, after: str) -> Iterator[JobView]:
    for lane, stream, start in _lanes(link, queue, after):
        place = start if start != "0-0" else ""
        while taken := read_pending(ask_lane(link, ask_pending(stream, place, PIECE))):
            entries = ask_all(link, [ask_entry(stream, one.entry) for one in taken])
            for one, entry in zip(taken, entries, strict=True):
                place = one.entry
                for found in read_listed(lane, entry):  # none, when it has ended since
                    yield view(found, one)


def _delayed(link: Link, queue: Queue, after: str) -> Iterator[JobView]:
    rank = _rank_behind(link, queue, after) if after else 0
    while flat := link.execute(*ask_delayed(queue, rank, PIECE)):
        jobs, dues = [_text(job) for job in flat[::2]], [_text(due) for due in flat[1::2]]
        packed = link.execute(*ask_parked(queue, jobs))
        for one in zip(jobs, dues, packed, strict=True):
            yield view(read_parked(*one))
        rank += len(jobs)


def _rank_behind(link: Link, queue: Queue, cursor: str) -> int:
    due, _, job = cursor.partition(" ")
    try:
        float(due)
    except ValueError:
        raise _no_cursor(cursor) from None
    rank = link.execute(*ask_rank(queue, job))
    return int(rank) + 1 if rank is not None else int(link.execute(*ask_earlier(queue, due)))


def _lanes(link: Link, queue: Queue, after: str) -> Iterator[tuple[str, str, str]]:
    """Name and key of each lane from that of the cursor on, and the entry behind which to read."""
    lanes = lanes_of(queue, [_text(place) for place in link.execute(*ask_places(queue))])
    name, _, entry = after.rpartition(" ")
    names = list(lanes)
    if after and not (name in lanes and _is_entry(entry)):
        raise _no_cursor(after)
    for lane in names[names.index(name) if after else 0 :]:
        yield lane, lanes[lane], entry if after and lane == name else "0-0"


def _no_cursor(cursor: str) -> ValueError:
    return ValueError(f"{cursor!r} is no cursor of this list (its lane may be gone): begin at the first page")


def _is_entry(text: str) -> bool:
    first, _, second = text.partition("-")
    return first.isdecimal() and second.isdecimal() and len(text) <= 40


def _order(entry: str) -> tuple[int, int]:
    first, _, second = entry.partition("-")
    return int(first), int(second or 0)


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")
