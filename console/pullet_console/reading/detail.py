"""Find one job: in its lane, among the delayed ones, by its reply, or among the dead letters."""

from __future__ import annotations

from pullet_broker.keys import LANES
from pullet_broker.letter import DeadLetter, read_letter
from pullet_broker.link import Link
from pullet_broker.moves.dead import letter_at, place_of_letter
from pullet_broker.moves.finding import Found, search
from pullet_broker.moves.listing import (
    Listed,
    Taken,
    ask_due,
    ask_entry,
    ask_parked,
    ask_pending_entry,
    read_listed,
    read_parked,
    read_pending,
)
from pullet_broker.settings import Queue
from pullet_console.reading.arguments import MOST_BYTES, Arguments, show_arguments
from pullet_console.reading.asking import ask_all, ask_lane
from pullet_console.reading.job import JobDetail, of_letter, of_open, of_reply

LOOKS = 10_000
"""Calls that are made for one job, each of which looks at 200 entries."""
TRIES = 3
"""A job may move between the two questions where it is and what it is."""


def find_job(link: Link, queue: Queue, job: str) -> JobDetail:
    """The job, whatever has become of it; `unknown` where Redis knows nothing of it."""
    for _ in range(TRIES):
        found = search(queue, job, link.run, LOOKS)
        detail = _describe(link, queue, job, found)
        if detail is not None:
            return detail
    return JobDetail(job, "unknown")


def _describe(link: Link, queue: Queue, job: str, found: Found) -> JobDetail | None:
    """None when it is not there any more."""
    if found.where == "lane":
        return _in_lane(link, queue, found)
    if found.where == "parked":
        due, packed = ask_all(link, [ask_due(queue, job), ask_parked(queue, [job])])
        if due is None or packed[0] is None:
            return None
        return _open(link, queue, read_parked(job, due.decode(), packed[0]))
    letter = _letter(link, queue, job)
    if letter is not None:
        return of_letter(letter, _arguments(link, queue, letter))
    if found.where == "reply":
        reply = link.execute("GET", queue.keys.reply(job))
        return None if reply is None else of_reply(job, reply)
    return JobDetail(job, "unknown")


def _in_lane(link: Link, queue: Queue, found: Found) -> JobDetail | None:
    entries = read_listed(_lane_name(queue, found.stream), link.execute(*ask_entry(found.stream, found.entry)))
    if not entries:
        return None
    pending = read_pending(ask_lane(link, ask_pending_entry(found.stream, found.entry)))
    return _open(link, queue, entries[0], *pending)


def _open(link: Link, queue: Queue, found: Listed, *taken: Taken) -> JobDetail:
    payload = found.payload if found.payload is not None else _blob(link, queue, found.id)
    return of_open(found, taken[0] if taken else None, payload)


def _lane_name(queue: Queue, stream: str) -> str:
    if stream in queue.keys.lanes:
        return LANES[queue.keys.lanes.index(stream)]
    return "at:" + stream.removeprefix(queue.keys.at(""))


def _letter(link: Link, queue: Queue, job: str) -> DeadLetter | None:
    place = link.execute(*place_of_letter(queue, job))
    found = place and link.execute(*letter_at(queue, place.decode(errors="replace")))
    if not found:
        return None
    entry, flat = found[0]
    return read_letter(entry, flat, lambda name: _blob(link, queue, name))


def _arguments(link: Link, queue: Queue, letter: DeadLetter) -> Arguments:
    return show_arguments(letter.payload if letter.payload is not None else _blob(link, queue, letter.id))


def _blob(link: Link, queue: Queue, job: str) -> bytes | None:
    """Large arguments; of those that are not shown anyway no more than what tells that."""
    key = queue.keys.blob(job)
    there, size = ask_all(link, [("GETRANGE", key, 0, MOST_BYTES), ("STRLEN", key)])
    return there if size else None
