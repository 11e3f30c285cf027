"""What the server knew, had told somebody, and had forgotten when it came back from a crash of its machine. Pure.

How old the oldest of it is, in the moment of the crash, is the loss window.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.chaos.history import Event
from tests.chaos.ledger import Ledger, Story


@dataclass(frozen=True)
class Forgotten:
    """In one crash."""

    jobs: int
    """Accepted, as their callers knew by then."""
    replies: int
    """Read by their callers by then."""
    seconds: float
    """Age of the oldest of both."""
    unsynced_s: float
    """How long before the crash the last sync that had ended began: nothing older can be gone."""


def find_forgotten(events: list[Event], at: float, unsynced_s: float, known: Ledger, lost: Ledger) -> Forgotten:
    """`known` is what the log held that the server came back with, `lost` what it had held beyond that."""
    accepted, read = _when(events)
    no_story = Story()
    jobs = [
        at - accepted[job]
        for job, story in lost.items()
        if story.issued and not known.get(job, no_story).issued and accepted.get(job, at) < at
    ]
    replies = [
        at - read[job]
        for job, story in lost.items()
        if story.commits and not known.get(job, no_story).commits and read.get(job, at) < at
    ]
    return Forgotten(len(jobs), len(replies), max([*jobs, *replies], default=0.0), unsynced_s)


def _when(events: list[Event]) -> tuple[dict[str, float], dict[str, float]]:
    """When each job was first known to be accepted, and when its outcome was first read."""
    accepted: dict[str, float] = {}
    read: dict[str, float] = {}
    for event in events:
        if event.what == "accepted":
            for job in event["ids"]:
                accepted.setdefault(job, event.at)
        elif event.what == "got" and event["outcome"] not in ("JobLost", "CancelledError"):
            accepted.setdefault(event["id"], event.at)
            read.setdefault(event["id"], event.at)
    return accepted, read
