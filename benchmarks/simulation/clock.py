"""Virtual time: what is to happen, in order."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any


class Clock:
    """Runs steps at their times; steps of one time in the order in which they were planned."""

    def __init__(self) -> None:
        self.now = 0.0
        self._steps: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = itertools.count()

    def later(self, seconds: float, step: Callable[..., None], *args: Any) -> None:
        heapq.heappush(self._steps, (self.now + seconds, next(self._numbers), step, args))

    def run(self, until: Callable[[], bool]) -> None:
        """Until it is so, or nothing is left to happen."""
        while self._steps and not until():
            self.now, _, step, args = heapq.heappop(self._steps)
            step(*args)
