"""Commit and take in one round trip, for the loop and for the courier: one of them at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import NamedTuple

from pullet_broker.link import Link
from pullet_broker.moves.cycle import OUTCOMES, Cycled, reconcile
from pullet_broker.scripting import Call
from pullet_broker.settings import Queue
from pullet_broker.translation import ScriptMissing
from pullet_workers.commit import Take, commit, commits
from pullet_workers.hand import Finished, Hand

log = logging.getLogger("pullet.worker")

HIGH_EVERY = 4
"""Every fourth take starts with the `high` lane, so that re-issued jobs do not starve urgent ones."""


class Ahead(NamedTuple):
    """A cycle that was sent, and whose answer nobody has read yet."""

    link: Link
    call: Call[Cycled]


class Exchange:
    """The right to take: `with exchange:` nobody else takes, commits or compares. What was sent ahead arrives first.

    Entering raises `ServerUnavailable` where that answer got lost: what it brought is found by comparing.
    """

    def __init__(self, queue: Queue, hand: Hand, consumer: Callable[[], str]) -> None:
        self._queue, self._hand, self._consumer = queue, hand, consumer
        self._takes = 0
        self.ahead: Ahead | None = None
        """An answer is on its way, and jobs with it."""
        self._right = threading.Lock()

    def __enter__(self) -> None:
        self._right.acquire()
        if self.ahead is None:
            return
        try:
            self._arrive()
        except BaseException:
            self._right.release()
            raise

    def __exit__(self, *_: object) -> None:
        self._right.release()

    def run(self, link: Link, want: int, *, alone: bool) -> Cycled:
        """Needs the right. When the link breaks, the outcomes stay in hand and go out again."""
        self.reopen(link)
        while len(self._hand.finished) > OUTCOMES:
            self._run(link, 0, alone=False)
        return self._run(link, want, alone=alone)

    def run_ahead(self, link: Link, want: int) -> None:
        """The same, for a worker that has jobs in hand and need not wait for the answer: whoever has the right next
        reads it. Only what one plain `cycle` can say goes ahead."""
        if len(self._hand.finished) > OUTCOMES or not link.is_open:
            self.run(link, want, alone=False)
            return
        finished, take = self._hand.commit(OUTCOMES), self._take(want, alone=False)
        calls = commits(self._queue, self._consumer(), finished, take)
        if len(calls) > 1 or calls[0].drafts:
            self._settle(finished, take, link)
            return
        link.post(calls[0])
        self.ahead = Ahead(link, calls[0])

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
        return self._settle(self._hand.commit(OUTCOMES), self._take(want, alone=alone), link)

    def _take(self, want: int, *, alone: bool) -> Take:
        self._takes += want > 0
        return Take(want, alone=alone, high_first=self._takes % HIGH_EVERY == 0, yields=not alone)

    def _settle(self, finished: list[Finished], take: Take, link: Link) -> Cycled:
        cycled = commit(link, self._queue, self._consumer(), finished, take)
        self._heed(cycled)
        return cycled

    def _arrive(self) -> None:
        """Read the answer to what went ahead. How the queue sees this worker is the next one's to say."""
        ahead, self.ahead = self.ahead, None
        assert ahead
        try:
            self._heed(ahead.call.parse(ahead.link.receive()))
        except ScriptMissing:
            log.debug("the server had forgotten the script: nothing was committed or taken")

    def _heed(self, cycled: Cycled) -> None:
        self._hand.committed()
        if cycled.fenced:
            log.warning("outcomes came too late", extra={"queue": self._queue.name, "jobs": len(cycled.fenced)})
        if cycled.entries:
            self._hand.take(cycled.entries)
