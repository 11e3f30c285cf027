"""How long to wait before the next try: exponential, with full jitter, and a cap of a second: who waits for a server
that was away must not wait much longer than it."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Full jitter: a random part of `first_s * 2**n`, at most `most_s`.

    Source: "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
    """

    def __init__(self, first_s: float = 0.05, most_s: float = 1.0, draw: Callable[[], float] = random.random) -> None:
        self._first_s, self._most_s, self._draw = first_s, most_s, draw
        self._failures = 0

    def next_s(self) -> float:
        """Seconds to wait after one more failure."""
        span = min(self._most_s, self._first_s * 2.0**self._failures)
        self._failures = min(self._failures + 1, 30)
        return span * self._draw()

    def reset(self) -> None:
        """After a success."""
        self._failures = 0
