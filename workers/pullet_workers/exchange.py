"""Commit and take in one round trip, for the loop and for the courier: one of them at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from pullet_broker.link import Link
from pullet_broker.moves.cycle import OUTCOMES, Cycled, reconcile
from pullet_broker.settings import Queue
from pullet_workers.commit import Take, commit
from pullet_workers.hand import Hand

log = logging.getLogger("pullet.worker")

HIGH_EVERY = 4
"""Every fourth take starts with the `high` lane, so that re-issued jobs do not starve urgent ones."""


class Exchange:
    """Holds the right to take. While somebody has it, nobody else takes, commits or compares."""

    def __init__(self, queue: Queue, hand: Hand, consumer: Callable[[], str]) -> None:
        self._queue, self._hand, self._consumer = queue, hand, consumer
        self._takes = 0
        self.taking = threading.Lock()

    def run(self, link: Link, want: int, *, alone: bool) -> Cycled:
        """Needs `taking`. When the link breaks, the outcomes stay in hand and go out again."""
        self.reopen(link)
        while self._hand.finished > OUTCOMES:
            self._run(link, 0, alone=False)
        return self._run(link, want, alone=alone)

    def reopen(self, link: Link) -> None:
        """Where a connection was lost, drop what is held and not pending, before anything is committed or given back.

        The server may have forgotten its last moment, and give the same entries to other jobs by now: a master that
        was a replica does. What is pending and not held is nobody's business here: a take may be under way.
        """
        if link.is_open or not link.opened:
            return
        held = self._hand.held()
        lost = link.run(reconcile(self._queue, self._consumer(), held)).lost
        self._hand.drop(held[place] for place in lost)

    def _run(self, link: Link, want: int, *, alone: bool) -> Cycled:
        finished = self._hand.commit(OUTCOMES)
        self._takes += want > 0
        take = Take(want, alone=alone, high_first=self._takes % HIGH_EVERY == 0, yields=not alone)
        cycled = commit(link, self._queue, self._consumer(), finished, take)
        self._hand.committed()
        if cycled.fenced:
            log.warning("outcomes came too late", extra={"queue": self._queue.name, "jobs": len(cycled.fenced)})
        self._hand.take(cycled.entries)
        return cycled
