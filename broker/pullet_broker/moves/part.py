"""part: the items of a generator on their way from its worker to its client."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from typing import Any

from pullet_broker.job import Entry
from pullet_broker.parts import Buffer
from pullet_broker.scripting import Arg, Call, load
from pullet_broker.settings import Queue

ITEMS = 256
"""The most items in one call."""
ITEMS_BYTES = 1 << 20
"""The most bytes in one call, unless a single item is larger."""

_CLIENT = re.compile(r"[0-9a-f]{32}")
_NOBODY = "0" * 32


class Sent(Enum):
    """What became of items."""

    OK = b"OK"
    FENCED = b"FENCED"
    """The entry is no longer this worker's."""
    CANCELLED = b"CANCELLED"


def part(queue: Queue, consumer: str, entry: Entry, first: int, items: Sequence[Buffer]) -> Call[Sent]:
    """Store up to `ITEMS` encoded items, numbered from `first`; those that are there already are skipped."""
    script, keys = load("part"), queue.keys
    args = script.arguments(
        consumer=consumer,
        lane=entry.lane,
        entry=entry.id,
        job=entry.job,
        attempt=entry.attempt,
        first=first,
        inline=queue.limits.inline_bytes,
        ttl=entry.ttl_ms or queue.lifetimes.reply_ms,
    )
    own = (keys.fixed("cancelled"), keys.part(entry.job), inbox_of(queue, entry))
    return Call(script, (*own, *keys.lanes), [*args, *items], Sent)


def inbox_of(queue: Queue, entry: Entry) -> str:
    """The inbox of the client that submitted a job, whatever stands in the entry."""
    return queue.keys.inbox(entry.client if _CLIENT.fullmatch(entry.client) else _NOBODY)


def read_from(queue: Queue, job: str, first: int, most: int) -> tuple[Arg, ...]:
    """The command that reads up to `most` items from index `first` on; read its reply with `read_items`."""
    return ("XRANGE", queue.keys.part(job), f"0-{first + 1}", "+", "COUNT", most)


def read_items(raw: Any) -> list[tuple[int, bytes]]:
    """Index and encoded value of each item."""
    found = []
    for entry_id, flat in raw:
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        found.append((int(entry_id.partition(b"-")[2]) - 1, fields[b"value"]))
    return found
