"""Jobs in rows and pages, as people look at them. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pullet_broker.moves.listing import Listed, Taken
from pullet_console.reading.arguments import Arguments, show_arguments

STATES = ("waiting", "running", "delayed")
"""In which a job can be listed. Those that failed for good are dead letters."""


@dataclass(frozen=True)
class JobView:
    """One job that has not ended. Times are seconds since the epoch, on the server's clock."""

    id: str
    method: str
    state: str
    """waiting, running (taken by a worker), delayed"""
    lane: str
    attempt: int
    crashes: int
    """How many workers died with it in hand."""
    key: str
    client: str
    """Who submitted it."""
    since: float
    """When it was first issued; for a delayed job that was not issued yet, 0."""
    due: float | None
    """When a delayed job is due."""
    expires: float | None
    worker: str
    """The consumer that has taken it; empty while it waits."""
    held_s: float | None
    """How long that one has had it."""
    arguments: Arguments
    cursor: str
    """Where a page that goes on behind this job begins."""


@dataclass(frozen=True)
class JobPage:
    """Some jobs in one state, and where the next page begins."""

    state: str
    jobs: tuple[JobView, ...]
    next: str
    """The cursor of the next page; empty at the end."""


BESIDE = Arguments(problem="large arguments")
"""Those that lie beside the entry, which a list does not read."""


def view(found: Listed, taken: Taken | None = None) -> JobView:
    """A job from what lies in a lane or among the delayed ones; `taken`: who has it in hand."""
    delayed = found.lane == "delayed"
    expires = found.number("expires")
    return JobView(
        id=found.id,
        method=found.method,
        state="delayed" if delayed else "running" if taken else "waiting",
        lane=found.fields.get("lane", "normal") if delayed else found.lane,
        attempt=found.attempt,
        crashes=found.number("crashes"),
        key=found.fields.get("key", ""),
        client=found.fields.get("client", ""),
        since=found.since_ms / 1000,
        due=_seconds(found.entry) if delayed else None,
        expires=expires / 1000 if expires else None,
        worker=taken.consumer if taken else "",
        held_s=taken.held_ms / 1000 if taken else None,
        arguments=BESIDE if found.payload is None else show_arguments(found.payload),
        cursor=f"{found.entry} {found.id}" if delayed else f"{found.lane} {found.entry}",
    )


def with_arguments(job: JobView, payload: bytes | None) -> JobView:
    """The job with arguments that lay beside its entry."""
    return replace(job, arguments=show_arguments(payload))


def _seconds(milliseconds: str) -> float:
    try:
        return float(milliseconds) / 1000
    except ValueError:
        return 0.0
