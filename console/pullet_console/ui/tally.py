"""Who did how much in the last minutes: jobs, failures and run time by method, or by caller. No I/O, no clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

MOST_NAMES = 200
"""Names that are told apart in one slot; whoever invents more of them is counted together."""
OTHERS = "(others)"


@dataclass(slots=True)
class Count:
    jobs: int = 0
    failed: int = 0
    run_s: float = 0.0
    wait_s: float = 0.0

    def add(self, other: Count) -> None:
        self.jobs += other.jobs
        self.failed += other.failed
        self.run_s += other.run_s
        self.wait_s += other.wait_s


class Tally:
    """Counts by name over the last slots."""

    def __init__(self, slots: int = 300) -> None:
        self._now: dict[str, Count] = {}
        self._past: deque[dict[str, Count]] = deque(maxlen=slots)

    def add(self, name: str, one: Count) -> None:
        count = self._now.get(name)
        if count is None:
            name = name if len(self._now) < MOST_NAMES else OTHERS
            count = self._now.setdefault(name, Count())
        count.add(one)

    def turn(self) -> None:
        self._past.append(self._now)
        self._now = {}

    def totals(self) -> dict[str, Count]:
        """The sums, the busiest name first."""
        found: dict[str, Count] = {}
        for slot in self._past:
            for name, count in slot.items():
                found.setdefault(name, Count()).add(count)
        return dict(sorted(found.items(), key=lambda item: -item[1].jobs))
