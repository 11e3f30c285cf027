"""Look for what should not be left after a test."""

from __future__ import annotations

import time
from collections.abc import Callable

from pullet_broker.link import Link
from pullet_broker.settings import Queue

FIXED = {
    *("jobs:again", "jobs:suspect", "jobs:high", "jobs", "jobs:low"),
    *("dead", "buried", "workers", "beats", "missed", "stats", "config", "pool", "places", "actions"),
    *("delayed", "parked", "cancelled", "named"),
}
"""Keys that may stay without a TTL: see the table in `pullet_broker.keys`."""


def wait_until(condition: Callable[[], bool], timeout_s: float = 10.0, *, every_s: float = 0.005) -> bool:
    """Look until the condition holds; False when it did not within `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)
    return True


def check_keys(link: Link, queue: Queue) -> None:
    """Every key of the queue has a TTL, or is one of the fixed ones. Large arguments may wait with their job, and a
    place has its lane while jobs are there, or workers that nobody has found dead."""
    prefix = queue.keys.fixed("")
    known = link.execute("HKEYS", queue.keys.fixed("workers"))
    for raw in link.execute("KEYS", prefix.replace("{", "\\{") + "*"):
        name = raw.decode().removeprefix(prefix)
        if name.startswith("jobs:at:"):
            consumers = [row[1] for row in link.execute("XINFO", "CONSUMERS", raw, "workers")]
            assert link.execute("XLEN", raw) or set(consumers) & set(known), f"{name} is of no use to anybody"
            place = name.removeprefix("jobs:at:")
            assert link.execute("SISMEMBER", queue.keys.fixed("places"), place), f"{name} is not in places"
        elif name not in FIXED and not name.startswith("blob:"):
            assert link.execute("PTTL", raw) != -1, f"{name} has no TTL"
