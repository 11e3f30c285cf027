"""The whole of a queue at one moment, read in one round trip, for tests that look after every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pullet_broker.errors import ServerError
from pullet_broker.keys import GROUP
from pullet_broker.link import Link
from pullet_broker.settings import Queue

Place = tuple[str, str]
"""The key of a lane, and the id of an entry on it."""


@dataclass(frozen=True)
class Glance:
    entries: dict[Place, str]
    """The job of every entry."""
    spilled: set[str]
    """Jobs that have waited for their place in vain."""
    pending: dict[Place, str]
    """Who has taken it."""
    parked: list[str]
    due: list[str]
    """Jobs that have a time to be promoted at: the parked ones."""
    replies: dict[str, bytes]
    blobs: dict[str, bool]
    """Jobs with large arguments, and whether these have a TTL."""
    homes: dict[str, str]
    """The place of each key that has one."""
    places: set[str]
    letters: dict[str, str]
    """The job of each dead letter, by its place."""
    buried: dict[str, str]
    """The place of the letter of each dead job."""
    large_letters: set[str]
    """Dead jobs whose letters say that their arguments are in a blob."""
    open_names: set[str]
    """Open jobs whose callers chose the id."""
    storm: int
    """Suspects that killed their workers not long ago."""
    workers: int
    """Those that are registered, the dead that nobody has found included."""
    mail: list[str]
    """The jobs whose replies were sent to the inboxes, once for each time."""

    @property
    def live(self) -> list[str]:
        """Every place in which a job waits or runs: a job that is here twice is in two places."""
        return [*self.entries.values(), *self.parked]


def glance(
    link: Link, queue: Queue, jobs: Sequence[str], clients: Sequence[str], places: Sequence[str], named: Sequence[str]
) -> Glance:
    """`places` and `named` are the places and the keys of jobs that there may be."""
    keys = queue.keys
    lanes = [*keys.lanes, *map(keys.at, places)]
    link.send(
        *(("XRANGE", lane, "-", "+") for lane in lanes),
        *(("XPENDING", lane, GROUP, "-", "+", 1000) for lane in lanes),
        ("SMEMBERS", keys.fixed("places")),
        ("MGET", "-", *map(keys.home, named)),
        ("HKEYS", keys.fixed("parked")),
        ("ZRANGE", keys.fixed("delayed"), 0, -1),
        ("XRANGE", keys.fixed("dead"), "-", "+"),
        ("HGETALL", keys.fixed("buried")),
        ("HKEYS", keys.fixed("named")),
        ("GET", keys.fixed("storm")),
        ("HLEN", keys.fixed("workers")),
        ("MGET", "-", *(keys.reply(job) for job in jobs)),
        *(("PTTL", keys.blob(job)) for job in jobs),
        *(("XRANGE", keys.inbox(client), "-", "+") for client in clients),
    )
    streams = {lane: link.receive() for lane in lanes}
    groups = {lane: _receive_rows(link) for lane in lanes}
    existing, homes = link.receive(), link.receive()[1:]
    parked, delayed = link.receive(), link.receive()
    letters, buried, open_names = link.receive(), link.receive(), link.receive()
    storm, workers = link.receive(), link.receive()
    replies = link.receive()[1:]
    lifetimes = [link.receive() for _ in jobs]
    boxes = [link.receive() for _ in clients]
    return Glance(
        entries={(lane, id_.decode()): flat[1].decode() for lane, rows in streams.items() for id_, flat in rows},
        spilled={flat[1].decode() for rows in streams.values() for _, flat in rows if b"spilled" in flat[::2]},
        pending={(lane, row[0].decode()): row[1].decode() for lane, rows in groups.items() for row in rows},
        parked=[job.decode() for job in parked],
        due=[job.decode() for job in delayed],
        replies={job: reply for job, reply in zip(jobs, replies, strict=True) if reply is not None},
        blobs={job: ttl > 0 for job, ttl in zip(jobs, lifetimes, strict=True) if ttl != -2},
        homes={name: place.decode() for name, place in zip(named, homes, strict=True) if place is not None},
        places={place.decode() for place in existing},
        letters={place.decode(): flat[1].decode() for place, flat in letters},
        buried={job.decode(): place.decode() for job, place in zip(buried[::2], buried[1::2], strict=True)},
        large_letters={flat[1].decode() for _, flat in letters if b"blob" in flat[::2]},
        open_names={job.decode() for job in open_names},
        storm=int(storm.split()[0]) if storm else 0,
        workers=workers,
        mail=[job.decode() for box in boxes for _, flat in box for job in flat[::2] if job != b":open"],
    )


def _receive_rows(link: Link) -> list[list[bytes]]:
    """What is pending on a lane; a place that is not there has none."""
    try:
        rows: list[list[bytes]] = link.receive()
    except ServerError as error:
        if not str(error.evidence.get("answer")).startswith("NOGROUP"):
            raise
        return []
    return rows
