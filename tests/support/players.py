"""Who acts in a story about a queue: clients and workers, and what each of them knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pullet_broker.job import Entry, Job
from tests.support.glance import Place
from tests.support.scribe import Caller, Worker


@dataclass
class Author:
    """A client: what it wants to say, and what it knows was heard."""

    caller: Caller
    jobs: list[Job] = field(default_factory=list)
    heard: int = 0
    """The mark as it knows it."""
    mark: int = 0
    """The mark as it is."""
    connection: int = 1
    """The newest connection that the server has seen."""


@dataclass
class Hand:
    """A worker, what it holds, and the calls that it has no answer to, with the entries that were in them."""

    worker: Worker
    held: list[Entry] = field(default_factory=list)
    unanswered: list[tuple[Callable[[], list[Entry]], list[Entry]]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.worker.name

    @property
    def place(self) -> str:
        return self.worker.queue.place

    def places_of(self, entries: list[Entry]) -> list[Place]:
        return [(self.worker.queue.keys.lanes[entry.lane - 1], entry.id) for entry in entries]
