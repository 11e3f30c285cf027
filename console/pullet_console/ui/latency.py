"""How long jobs waited and ran: percentiles of the last minute, in steps of 8 %. No I/O, no clock."""

from __future__ import annotations

import math
from collections import Counter, deque

STEP = math.log(1.08)
SMALLEST_S = 1e-5
QUANTILES = (0.5, 0.95, 0.99)


def bucket(seconds: float) -> int:
    """The step in which a time lies."""
    return max(0, int(math.log(seconds / SMALLEST_S) / STEP)) if seconds > SMALLEST_S else 0


def middle(place: int) -> float:
    """The time that stands for a step."""
    return SMALLEST_S * math.exp((place + 0.5) * STEP)


class Recent:
    """Times of the last slots. A slot is what came between two calls of `turn`."""

    def __init__(self, slots: int = 60) -> None:
        self._now: Counter[int] = Counter()
        self._past: deque[Counter[int]] = deque(maxlen=slots)

    def add(self, seconds: float, many: int = 1) -> None:
        self._now[bucket(seconds)] += many

    def turn(self) -> None:
        """The next slot begins."""
        self._past.append(self._now)
        self._now = Counter()

    def spread(self) -> Counter[int]:
        """How many times lie in each step."""
        total: Counter[int] = Counter()
        for slot in self._past:
            total.update(slot)
        return total

    def quantiles(self) -> list[float | None]:
        """p50, p95 and p99 in seconds; None where there was nothing."""
        return quantiles(self.spread())


def quantiles(spread: Counter[int]) -> list[float | None]:
    count = spread.total()
    if not count:
        return [None] * len(QUANTILES)
    steps = sorted(spread.items())
    found: list[float | None] = []
    for wanted in QUANTILES:
        seen = 0
        for place, many in steps:
            seen += many
            if seen >= wanted * count:
                found.append(middle(place))
                break
    return found


def columns(spread: Counter[int], most: int = 36) -> list[tuple[float, float, int]]:
    """The spread as at most `most` columns of equal width on a logarithmic scale: from, to, how many."""
    if not spread:
        return []
    low, high = min(spread), max(spread) + 1
    width = max(1, math.ceil((high - low) / most))
    found = []
    for start in range(low, high, width):
        many = sum(spread[place] for place in range(start, start + width))
        found.append((SMALLEST_S * math.exp(start * STEP), SMALLEST_S * math.exp((start + width) * STEP), many))
    return found
