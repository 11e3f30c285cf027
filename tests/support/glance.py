"""The whole of a queue at one moment, read in one round trip, for tests that look after every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pullet_broker.keys import GROUP
from pullet_broker.link import Link
from pullet_broker.settings import Queue

Place = tuple[int, str]
"""Lane and entry id."""


@dataclass(frozen=True)
class Glance:
    entries: dict[Place, str]
    """The job of every entry."""
    pending: dict[Place, str]
    """Who has taken it."""
    parked: list[str]
    due: list[str]
    """Jobs that have a time to be promoted at: the parked ones."""
    replies: dict[str, bytes]
    blobs: dict[str, bool]
    """Jobs with large arguments, and whether these have a TTL."""
    mail: list[str]
    """The jobs whose replies were sent to the inboxes."""

    @property
    def live(self) -> list[str]:
        """Every place in which a job waits or runs: a job that is here twice is in two places."""
        return [*self.entries.values(), *self.parked]


def glance(link: Link, queue: Queue, jobs: Sequence[str], clients: Sequence[str]) -> Glance:
    keys = queue.keys
    link.send(
        *(("XRANGE", lane, "-", "+") for lane in keys.lanes),
        *(("XPENDING", lane, GROUP, "-", "+", 1000) for lane in keys.lanes),
        ("HKEYS", keys.fixed("parked")),
        ("ZRANGE", keys.fixed("delayed"), 0, -1),
        ("MGET", "-", *(keys.reply(job) for job in jobs)),
        *(("PTTL", keys.blob(job)) for job in jobs),
        *(("XRANGE", keys.inbox(client), "-", "+") for client in clients),
    )
    streams = [link.receive() for _ in keys.lanes]
    groups = [link.receive() for _ in keys.lanes]
    parked, delayed, replies = link.receive(), link.receive(), link.receive()[1:]
    lifetimes = [link.receive() for _ in jobs]
    boxes = [link.receive() for _ in clients]
    return Glance(
        entries={(n, id_.decode()): flat[1].decode() for n, rows in enumerate(streams, 1) for id_, flat in rows},
        pending={(n, row[0].decode()): row[1].decode() for n, rows in enumerate(groups, 1) for row in rows},
        parked=[job.decode() for job in parked],
        due=[job.decode() for job in delayed],
        replies={job: reply for job, reply in zip(jobs, replies, strict=True) if reply is not None},
        blobs={job: ttl > 0 for job, ttl in zip(jobs, lifetimes, strict=True) if ttl != -2},
        mail=[job.decode() for box in boxes for _, flat in box for job in flat[::2] if job != b"open"],
    )
