"""How far a running job is, on its way to whoever waits: the newest report only, at most ten a second."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from pullet_broker.job import Entry
from pullet_broker.moves.progress import progress
from pullet_broker.progress import Progress, pack_progress
from pullet_broker.scripting import Call
from pullet_broker.settings import Queue

log = logging.getLogger("pullet.worker")

EVERY_S = 0.1
"""The time between two reports that are sent for one job."""


class Reports:
    """Of one running job. The engine calls `tell`, from any thread; the emitter sends."""

    def __init__(
        self, entry: Entry, consumer: str, changed: threading.Condition, offered: Callable[[Reports], None]
    ) -> None:
        self._entry, self._consumer = entry, consumer  # the name that it was taken under, not the newest
        self._changed, self._offered = changed, offered
        self._newest: Progress | None = None
        self._flying: Progress | None = None
        self._closed = False
        self._number = 0
        self.due = 0.0
        """When the next one may be sent, on the monotonic clock."""

    def tell(self, newest: Progress) -> None:
        with self._changed:
            if not self._closed:
                self._newest = newest
                self._offered(self)

    def close(self) -> None:
        """The job has ended, and its outcome tells more: what was not sent is dropped."""
        with self._changed:
            self._closed = True

    # -- the emitter, which holds the lock

    @property
    def is_waiting(self) -> bool:
        return not self._closed and (self._newest or self._flying) is not None

    def call(self, queue: Queue) -> Call[bool]:
        """The newest report; after an outage the same again, if there is no newer one."""
        if self._newest is not None:
            self._flying, self._newest = self._newest, None
            self._number += 1
        assert self._flying is not None, "it is called only while something waits"
        self.due = time.monotonic() + EVERY_S
        return progress(queue, self._consumer, self._entry, pack_progress(self._flying, self._number))

    def answered(self, answer: object) -> None:
        self._flying = None
        if isinstance(answer, Exception):
            log.info("a report was not stored", extra={"error": str(answer)})
        elif not answer:
            self._closed = True  # the job is another worker's by now
