"""progress: a running job tells how far it is."""

from __future__ import annotations

from pullet_broker.job import Entry
from pullet_broker.moves.part import inbox_of
from pullet_broker.scripting import Call, load
from pullet_broker.settings import Queue


def progress(queue: Queue, consumer: str, entry: Entry, value: str) -> Call[bool]:
    """Keep `value` (see `pullet_broker.progress`) and tell those who wait. False: the entry is not this worker's."""
    script, keys = load("progress"), queue.keys
    args = script.arguments(
        consumer=consumer,
        lane=entry.lane,
        entry=entry.id,
        job=entry.job,
        value=value,
        boxes=keys.inbox_prefix,
        client_ms=queue.lifetimes.client_ms,
    )
    own = (keys.fixed("progress"), keys.fixed("watched"), inbox_of(queue, entry))
    return Call(script, (*own, *keys.lanes), args, lambda raw: bool(raw == b"OK"))
