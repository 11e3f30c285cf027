"""What a worker tells of the attempts that it has ended, while somebody wants to hear it."""

from __future__ import annotations

import time

from pullet_broker.events import Note
from pullet_workers.engine import Done

STEP_US = 1_000_000
"""A larger difference is no delay of an answer: one of the clocks was set."""
DRIFT_US = 200
"""How far the two clocks may drift apart between two beats."""


class Witness:
    """Knows whether somebody watches, and the server's clock; both as of the last beat."""

    def __init__(self) -> None:
        self.offset_us: int | None = None
        """What to add to this process's clock for the server's; None while nobody watches."""

    def heed(self, watched_us: int) -> None:
        """What a beat said: the server's time, or 0 when nobody watches."""
        if not watched_us:
            self.offset_us = None
            return
        measured, known = watched_us - time.perf_counter_ns() // 1000, self.offset_us
        if known is None or abs(measured - known) > STEP_US:
            self.offset_us = measured
        else:
            self.offset_us = max(measured, known - DRIFT_US)  # what an answer takes only ever makes it smaller

    def note(self, done: Done, batch: int = 1) -> Note | None:
        """What to tell of an attempt that ended just now; None when nobody watches."""
        offset_us = self.offset_us
        if offset_us is None:
            return None
        return offset_us + time.perf_counter_ns() // 1000, done.run_s, batch
