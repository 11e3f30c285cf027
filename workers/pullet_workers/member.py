"""A worker as the controller sees it, and which of them start and leave next. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from pullet_workers.hand import Hand
from pullet_workers.placement import Target
from pullet_workers.report import Report

PATIENCE_S = 3.0
"""A worker that is to be replaced leaves without waiting for its successor when that finds no room for so long, or
when its node is about to go."""


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
    leave_by: float | None = None
    """When it leaves, with or without a successor; None: not before there is one."""
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
        """For people: what we know, and what the worker says of itself. Who has not answered has the same fields: those
        of a new worker until its engine is built, None where nobody can tell."""
        fields = {**Report(Hand()).shown(), "consumer": None, "holds": 0}
        unsaid = fields if self.state in ("pending", "starting") else dict.fromkeys(fields)
        known = {**unsaid, "name": self.name, "state": self.state, "pid": self.pid, "node": self.node, **answer}
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


def is_stuck(members: Iterable[Member], now: float, freed: float) -> bool:
    """Does a worker find no room, though nobody is about to make room or (`freed`) has just done so?"""
    members = list(members)
    if any(member.state == "leaving" for member in members):
        return False
    since = now - PATIENCE_S
    return any(member.state == "pending" and member.stays and max(member.asked, freed) < since for member in members)


def replaced(members: Iterable[Member], wanted: int, now: float, *, stuck: bool) -> list[Member]:
    """Who may leave of those to be replaced: as many as have a warm successor, one when its successor is stuck, and
    who cannot wait any longer."""
    members = list(members)
    missing = max(0, wanted - sum(member.stays and member.state == "ready" for member in members))
    retiring = [member for member in members if member.retiring and member.state != "leaving"]
    retiring.sort(key=lambda member: member.leave_by is None or member.leave_by > now)
    overdue = sum(member.leave_by is not None and member.leave_by <= now for member in retiring)
    return retiring[: max(int(stuck), overdue, len(retiring) - missing)]
