"""How long a worker with nothing in hand leaves the server alone: the longer, the more workers its queue has. Pure.

A server that sleeps between two calls pays mostly for waking up, so what its idle workers cost is their calls. Each of
a few may call often. Of many, each calls more seldom, and a job, a pause or a stop wakes it all the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from pullet_broker.settings import Lease

SMALL = 8
"""Up to so many workers none rests."""
MOST = 8.0
"""However many there are, they call at least an eighth as often."""
PART = 0.5
"""Of a lease: the longest time between two beats, so that a live worker has as long again until it counts as dead."""


@dataclass(frozen=True, slots=True)
class Rest:
    """What a worker does in its idle time."""

    times: float
    """How many times longer its reads last, and how much more seldom it compares."""
    beat_s: float
    """Between two beats."""


def rest_among(workers: int, lease: Lease) -> Rest:
    """For each of so many workers that are registered, the dead that nobody has reaped yet among them."""
    times = min(MOST, max(1.0, workers / SMALL))
    lease_s = lease.ticks * lease.tick_ms / 1000  # ticks are not made more often, so it never lasts less
    return Rest(times, max(lease.beat_s, min(times * lease.beat_s, PART * lease_s)))


def longest(lease: Lease) -> Rest:
    """In the largest of fleets: what whoever looks at beats must allow for, since a fleet may just have shrunk."""
    return rest_among(round(MOST * SMALL), lease)
