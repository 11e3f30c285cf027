"""How long the beat of a consumer has stood still. Pure: the clock is given."""

from __future__ import annotations

from collections.abc import Mapping

GAP_S = 1.5
"""Of a longer time between two looks only this much counts: nobody knows who beat while nobody looked."""


class Pulse:
    """Counts only time between looks, so that a stopped server or a sleeping machine makes nobody look hung."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, float]] = {}
        self._last: float | None = None

    def forget(self) -> None:
        """Start anew."""
        self._seen, self._last = {}, None

    def look(self, beats: Mapping[str, str], now: float) -> dict[str, float]:
        """Seconds without a new beat for each consumer."""
        passed = 0.0 if self._last is None else min(GAP_S, now - self._last)
        self._last = now
        seen = {}
        for consumer, beat in beats.items():
            before, still = self._seen.get(consumer, (None, 0.0))
            seen[consumer] = (beat, still + passed if beat == before else 0.0)
        self._seen = seen
        return {consumer: still for consumer, (_, still) in seen.items()}
