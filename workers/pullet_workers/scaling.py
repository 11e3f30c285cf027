"""How many workers an elastic pool should have. Pure: numbers in, a number out; the clock is given."""

from __future__ import annotations

import math
from dataclasses import dataclass

CLEAR_S = 2.0
"""What waits should be done within this time."""
IDLE_S = 10.0
"""A pool that needs less for this long gives one worker up."""
STEP_S = 1.0
"""And after it one more each time this has passed."""


@dataclass(frozen=True)
class Load:
    """What a queue has to do."""

    waiting: int = 0
    running: int = 0
    oldest_s: float = 0.0
    """How long the job that waits longest has waited."""
    run_s: float | None = None
    """Mean run time of a job; None while none has ended."""


class Scaler:
    """Up at once, down one by one."""

    def __init__(self, least: int, most: int, concurrency: int = 1) -> None:
        self.least, self.most = least, most
        self._concurrency = concurrency
        self._down_at: float | None = None

    def wanted(self, load: Load, current: int, starting: int, now: float) -> int:
        """Workers to have, of which `current` are there or on their way, `starting` of these not ready."""
        need = min(self.most, max(self.least, self._need(load)))
        if load.waiting and load.oldest_s > CLEAR_S and not starting:
            need = min(self.most, max(need, current + 1))  # whatever the estimate says, jobs wait too long
        if need >= current:
            self._down_at = None
            return need
        if self._down_at is None:
            self._down_at = now + IDLE_S
        if now < self._down_at:
            return min(current, self.most)
        self._down_at = now + STEP_S
        return min(current - 1, self.most)

    def _need(self, load: Load) -> int:
        jobs = load.waiting + load.running
        if load.run_s is None:
            at_once = jobs
        else:
            at_once = min(jobs, load.running + math.ceil(load.waiting * load.run_s / CLEAR_S))
        return math.ceil(max(at_once, min(jobs, 1)) / self._concurrency)  # tiny jobs need somebody too
