"""A worker as the controller sees it, and which of them start and leave next. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pullet_workers.placement import Target

PATIENCE_S = 3.0
"""A worker that is to be replaced leaves without waiting for its successor when that finds no room for so long."""


class Worker(Protocol):
    """What the controller needs of a worker; `cluster.RayWorker` is one."""

    name: str

    async def wait_placed(self) -> dict[str, Any]: ...
    async def wait_ready(self) -> None: ...
    async def wait_closed(self) -> None: ...
    async def status(self) -> dict[str, Any]: ...
    async def drain(self, timeout_s: float) -> bool: ...
    def kill(self) -> None: ...


@dataclass(eq=False)
class Member:
    """One worker of a pool."""

    worker: Worker
    target: Target = field(default_factory=Target)
    state: str = "pending"
    """pending: Ray looks for room; starting: its engine is built; ready; leaving"""
    node: str | None = None
    pid: int | None = None
    asked: float = 0.0
    """When it was asked for."""
    retiring: str | None = None
    """Why it is to be replaced."""
    jobs: int = 0
    """Jobs in hand, as Redis sees it."""
    hung: bool = False
    """Its process is there and shows no life."""

    @property
    def name(self) -> str:
        return self.worker.name

    @property
    def where(self) -> str | None:
        """The node it runs on or has been sent to."""
        return self.node or (None if self.target.soft else self.target.node)

    @property
    def stays(self) -> bool:
        """Counts as one of the wanted."""
        return self.state != "leaving" and self.retiring is None

    def record(self, answer: dict[str, Any]) -> dict[str, Any]:
        """For people: what we know, and what the worker says of itself."""
        known = {"name": self.name, "state": self.state, "pid": self.pid, "node": self.node, **answer}
        return known | ({"retiring": self.retiring} if self.retiring else {})


def nodes_taken(members: Iterable[Member]) -> Counter[str]:
    """How many workers are on a node or on their way to it, those that leave included."""
    return Counter(member.where for member in members if member.where)


def surplus(members: Iterable[Member], wanted: int) -> list[Member]:
    """Who leaves when there are more than wanted: first who has not started, then who has nothing to do."""
    order = {"pending": 0, "starting": 1, "ready": 2}
    staying = sorted(
        (member for member in members if member.stays),
        key=lambda member: (order[member.state], member.jobs > 0, -member.asked),
    )
    return staying[: max(0, len(staying) - wanted)]


def replaced(members: Sequence[Member], wanted: int, now: float) -> list[Member]:
    """Who may leave of those to be replaced: successors are warm, or find no room while the old ones are there."""
    staying = [member for member in members if member.stays]
    spare = sum(member.state == "ready" for member in staying)
    missing = max(0, wanted - spare)
    stuck = any(member.state == "pending" and now - member.asked > PATIENCE_S for member in staying)
    retiring = [member for member in members if member.retiring and member.state != "leaving"]
    return retiring[: max(int(stuck), len(retiring) - missing)]
